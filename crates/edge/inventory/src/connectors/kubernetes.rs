//! Kubernetes: `kubectl get pods,services,nodes,namespaces -A -o json`, snapshots of it, and watches.

use std::collections::BTreeMap;

use model::{Labels, Micros};

use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{Records, address, claim, time, time_of};
use crate::row::Place;

mod objects;

use objects::{Meta, Object, Watched};

/// The row of Kubernetes.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "kubernetes",
    aliases: &["kubectl", "k8s"],
    title: "Kubernetes kubectl get pods,svc,nodes,ns -A -o json (also -w, several snapshots)",
    description: "Pods are their owning workload (`namespace/name[Deployment]`), which has each pod's address from when the \
                  pod was started until its last container finished or it was deleted. Pods on the host's network have \
                  their node's address. Services and nodes are workloads of their own kind; labels of a namespace become \
                  `ns/KEY`. The scope is the cluster: name it with --scope.",
    rank: 50,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    probe.has(&["apiVersion", "kind", "metadata"]) || probe.has(&["apiVersion", "kind", "items"])
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let records = Records::of(input.text, sink);
    let mut pods = Pods::default();
    for record in records.below(&["items"]) {
        // With --output-watch-events each object is wrapped.
        let (object, deleted) = match serde_json::from_str::<Watched<'_>>(record.get()) {
            Ok(watched) => (watched.object, watched.kind == "DELETED"),
            Err(_) => (record, false),
        };
        let Some(object) = records.read::<Object>(object, sink) else { continue };
        let place = records.place(record);
        let cluster = &input.options.scope;
        match object.kind.as_str() {
            "Pod" => pods.add(object, deleted, place),
            "Service" => of_service(&object, cluster, place, sink),
            "Node" => of_node(&object, cluster, place, sink),
            "Namespace" => {
                let labels =
                    object.metadata.labels.into_iter().map(|(k, v)| (format!("ns/{k}"), v)).collect();
                sink.group(group(&object.metadata.name), labels);
            }
            "List" | "" => sink.skip("lists without members"),
            _ => sink.skip("objects of kinds that have no address"),
        }
    }
    pods.sight(&input.options.scope, sink);
}

fn group(namespace: &str) -> String {
    format!("k8s-namespace:{namespace}")
}

/// `CLUSTER/NAMESPACE/NAME[KIND]`, as far as they are known.
fn id(cluster: &str, meta: &Meta, name: &str, kind: &str) -> String {
    let parts = [cluster, meta.namespace.as_str(), name].into_iter().filter(|part| !part.is_empty());
    format!("{}[{kind}]", parts.collect::<Vec<_>>().join("/"))
}

/// When nothing is an object's any more: what is being deleted has until then to go.
fn end(meta: &Meta) -> Option<Micros> {
    time_of(&meta.deletion_timestamp)
}

/// Pods by uid: of several snapshots of one, the last counts.
#[derive(Default)]
struct Pods {
    last: BTreeMap<String, (u64, Object, bool, Place)>,
}

impl Pods {
    fn add(&mut self, pod: Object, deleted: bool, place: Place) {
        let Meta { uid, namespace, name, .. } = &pod.metadata;
        let key = if uid.is_empty() { format!("{namespace}/{name}") } else { uid.clone() };
        let version = pod.metadata.resource_version.parse().unwrap_or(0);
        match self.last.get(&key) {
            Some((known, ..)) if *known > version => {}
            _ => {
                self.last.insert(key, (version, pod, deleted, place));
            }
        }
    }

    fn sight(self, cluster: &str, sink: &mut Sink) {
        for (_, pod, deleted, place) in self.last.into_values() {
            of_pod(&pod, deleted, cluster, place, sink);
        }
    }
}

fn of_pod(pod: &Object, deleted: bool, cluster: &str, place: Place, sink: &mut Sink) {
    if pod.spec.host_network {
        return sink.skip("pods on the host's network, which have their node's address");
    }
    let started = time_of(&pod.status.start_time).or_else(|| time_of(&pod.metadata.creation_timestamp));
    let done = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
    let finished = if done { pod.status.finished() } else { None };
    // A finished pod gives its address back, though the object stays and still shows it.
    let to = match (finished, end(&pod.metadata)) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let (name, kind) = owner(&pod.metadata, &pod.spec.node_name);
    let mut sighting = Sighting {
        id: id(cluster, &pod.metadata, &name, &kind),
        name: Some(name),
        scope: cluster.to_owned(),
        labels: lasting(&pod.metadata.labels),
        groups: vec![group(&pod.metadata.namespace)],
        seen: started.unwrap_or(Micros::MIN),
        ..Sighting::default()
    };
    describe(&mut sighting.labels, &pod.metadata.namespace, &kind);
    if (done || deleted) && to.is_none() {
        sink.skip("finished pods that do not say when: their addresses are not taken");
    } else {
        for text in pod.status.addresses() {
            sighting.claims.extend(address(text, place, sink).map(|ip| claim(ip, started, to)));
        }
    }
    sink.sight(sighting, place);
}

fn describe(labels: &mut Labels, namespace: &str, kind: &str) {
    labels.entry(String::from("kind")).or_insert_with(|| kind.to_lowercase());
    if !namespace.is_empty() {
        labels.entry(String::from("namespace")).or_insert_with(|| namespace.to_owned());
    }
}

/// What owns a pod in the end. A ReplicaSet belongs to the Deployment whose name is followed by the hash of the pods'
/// template, a Job to the CronJob whose name is followed by the time in minutes.
fn owner(meta: &Meta, node: &str) -> (String, String) {
    let controller =
        meta.owner_references.iter().find(|owner| owner.controller).or(meta.owner_references.first());
    let Some(owner) = controller else { return (meta.name.clone(), String::from("Pod")) };
    let parent = owner.name.rsplit_once('-');
    match (owner.kind.as_str(), parent) {
        ("ReplicaSet", Some((name, hash)))
            if meta.labels.get("pod-template-hash").is_some_and(|known| known == hash) =>
        {
            (name.to_owned(), String::from("Deployment"))
        }
        ("Job", Some((name, minutes)))
            if minutes.len() >= 8 && minutes.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (name.to_owned(), String::from("CronJob"))
        }
        // Pods of the kubelet itself are named after their node.
        ("Node", _) => {
            let name =
                meta.name.strip_suffix(node).map_or(meta.name.as_str(), |name| name.trim_end_matches('-'));
            (name.to_owned(), String::from("Pod"))
        }
        _ => (owner.name.clone(), owner.kind.clone()),
    }
}

/// Labels that say what a pod is, without those that say which of them.
fn lasting(labels: &BTreeMap<String, String>) -> Labels {
    const PASSING: [&str; 9] = [
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "job-name",
        "controller-uid",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/controller-uid",
    ];
    labels
        .iter()
        .filter(|(key, _)| !PASSING.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn of_service(service: &Object, cluster: &str, place: Place, sink: &mut Sink) {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut sighting = Sighting {
        id: id(cluster, meta, &meta.name, "Service"),
        name: Some(meta.name.clone()),
        keys: Some(&meta.uid)
            .filter(|uid| !uid.is_empty())
            .map(|uid| format!("k8s:{uid}"))
            .into_iter()
            .collect(),
        scope: cluster.to_owned(),
        labels: lasting(&meta.labels),
        groups: vec![group(&meta.namespace)],
        seen: time_of(&meta.creation_timestamp).unwrap_or(Micros::MIN),
        ..Sighting::default()
    };
    describe(&mut sighting.labels, &meta.namespace, "Service");
    let ports = |port: fn(&objects::Port) -> u32| {
        let numbers = spec.ports.iter().filter(|p| port(p) != 0);
        numbers.map(|p| format!("{}/{}", p.protocol.to_lowercase(), port(p))).collect::<Vec<_>>().join(",")
    };
    let dns =
        service.status.load_balancer.ingress.iter().map(|i| i.hostname.clone()).find(|name| !name.is_empty());
    sighting.labels.extend([
        ("service-type".to_owned(), spec.kind.clone()),
        ("ports".to_owned(), ports(|p| p.port)),
        ("node-ports".to_owned(), ports(|p| p.node_port)),
        ("dns".to_owned(), dns.unwrap_or_default()),
    ]);
    let (from, to) = (time_of(&meta.creation_timestamp), end(meta));
    let mut ips: Vec<&str> =
        spec.cluster_ips.iter().map(String::as_str).chain([spec.cluster_ip.as_str()]).collect();
    ips.extend(spec.external_ips.iter().map(String::as_str));
    ips.extend(service.status.load_balancer.ingress.iter().map(|i| i.ip.as_str()));
    // A headless service has no address of its own.
    ips.retain(|ip| !ip.is_empty() && *ip != "None");
    ips.sort_unstable();
    ips.dedup();
    for text in ips {
        sighting.claims.extend(address(text, place, sink).map(|ip| claim(ip, from, to)));
    }
    sink.sight(sighting, place);
}

fn of_node(node: &Object, cluster: &str, place: Place, sink: &mut Sink) {
    let meta = &node.metadata;
    let (from, to) = (time_of(&meta.creation_timestamp), end(meta));
    let mut sighting = Sighting {
        id: id(cluster, meta, &meta.name, "Node"),
        name: Some(meta.name.clone()),
        keys: provider_key(&node.spec.provider_id).into_iter().collect(),
        scope: cluster.to_owned(),
        labels: lasting(&meta.labels),
        seen: from.unwrap_or(Micros::MIN),
        ..Sighting::default()
    };
    describe(&mut sighting.labels, "", "Node");
    let info = &node.status.node_info;
    sighting.keys.extend(
        Some(&info.system_uuid).filter(|u| u.len() == 36).map(|u| format!("uuid:{}", u.to_lowercase())),
    );
    sighting.labels.entry(String::from("os")).or_insert_with(|| info.os_image.clone());
    for entry in node.status.addresses.iter().filter(|entry| entry.kind.ends_with("IP")) {
        sighting.claims.extend(address(&entry.address, place, sink).map(|ip| claim(ip, from, to)));
    }
    sink.sight(sighting, place);
}

/// The key that the cloud's own connector gives to the machine.
fn provider_key(provider: &str) -> Option<String> {
    let (cloud, rest) = provider.split_once("://")?;
    match cloud {
        "aws" => rest.rsplit('/').next().filter(|id| id.starts_with("i-")).map(|id| format!("aws:{id}")),
        "gce" => Some(format!("gcp:{rest}")),
        "azure" => Some(format!("azure:{}", rest.to_ascii_lowercase())),
        _ => None,
    }
}

impl objects::Status {
    /// When the last container finished; when the pod's conditions say so where containers are gone, as after an eviction.
    fn finished(&self) -> Option<Micros> {
        let containers = self.container_statuses.iter().chain(&self.init_container_statuses);
        let ends = containers.filter_map(|c| time(c.state.terminated.as_ref()?.finished_at.as_deref()?));
        let told = self.conditions.iter().filter(|c| c.kind == "Ready" || c.kind == "DisruptionTarget");
        ends.max().or_else(|| told.filter_map(|c| time_of(&c.last_transition_time)).max())
    }

    fn addresses(&self) -> Vec<&str> {
        let mut ips: Vec<&str> =
            self.pod_ips.iter().map(|ip| ip.ip.as_str()).chain([self.pod_ip.as_str()]).collect();
        ips.retain(|ip| !ip.is_empty());
        ips.sort_unstable();
        ips.dedup();
        ips
    }
}

#[cfg(test)]
mod tests;
