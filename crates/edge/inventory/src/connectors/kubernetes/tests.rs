use model::WorkloadId;
use serde_json::{Value, json};

use crate::laws::{history, read_as, read_in};

fn pod(name: &str, owner: Value, ip: &str, started: &str, more: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "10",
            "creationTimestamp": "2026-11-20T07:59:00Z", "ownerReferences": [owner],
            "labels": {"app": "web", "app.kubernetes.io/component": "front", "pod-template-hash": "7c5ddbdf54"}},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "hostIP": "10.0.1.10", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": started},
    });
    merge(&mut pod, more);
    pod
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, more) => *into = more,
    }
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
        .to_string()
}

fn replica_set() -> Value {
    json!({"kind": "ReplicaSet", "name": "web-7c5ddbdf54", "uid": "r", "controller": true})
}

fn job(minutes: &str) -> Value {
    json!({"kind": "Job", "name": format!("report-{minutes}"), "uid": "j", "controller": true})
}

fn terminated(at: &str) -> Value {
    json!({"status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"finishedAt": at}}}]}})
}

#[test]
fn pods_are_their_workload_and_a_finished_one_gives_its_address_back() {
    let text = list(&[
        pod(
            "web-a",
            replica_set(),
            "10.8.0.5",
            "2026-11-20T08:00:00Z",
            json!({"metadata": {"deletionTimestamp": "2026-11-20T09:00:30Z"}}),
        ),
        pod("web-b", replica_set(), "10.8.0.6", "2026-11-20T09:00:00Z", json!({})),
        pod(
            "report-29391000-x",
            job("29391000"),
            "10.8.0.7",
            "2026-11-20T08:00:00Z",
            terminated("2026-11-20T08:05:00Z"),
        ),
        // The address of the finished job is another's before the object is gone.
        pod(
            "report-29391060-x",
            job("29391060"),
            "10.8.0.7",
            "2026-11-20T08:30:00Z",
            terminated("2026-11-20T08:35:00Z"),
        ),
        pod(
            "db-0",
            json!({"kind": "StatefulSet", "name": "db", "uid": "s", "controller": true}),
            "10.8.0.7",
            "2026-11-20T08:40:00Z",
            json!({"status": {"podIPs": [{"ip": "10.8.0.7"}, {"ip": "2001:db8::7"}]}}),
        ),
        pod(
            "proxy-node-1",
            json!({"kind": "Node", "name": "node-1", "uid": "n"}),
            "10.0.1.10",
            "2026-11-20T08:00:00Z",
            json!({"spec": {"hostNetwork": true}}),
        ),
        pod(
            "lost",
            json!({"kind": "Job", "name": "lost", "uid": "l"}),
            "10.8.0.9",
            "2026-11-20T08:00:00Z",
            json!({"status": {"phase": "Failed"}}),
        ),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "blue"}}}),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-7c5ddbdf54"}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": 3}),
    ]);
    let read = read_in("blue", "kubernetes", &text);
    assert_eq!(
        history(&read),
        [
            "blue/shop/db[StatefulSet] 10.8.0.7 2026-11-20T08:40:00.000Z..",
            "blue/shop/db[StatefulSet] 2001:db8::7 2026-11-20T08:40:00.000Z..",
            "blue/shop/report[CronJob] 10.8.0.7 2026-11-20T08:00:00.000Z..2026-11-20T08:05:00.000Z",
            "blue/shop/report[CronJob] 10.8.0.7 2026-11-20T08:30:00.000Z..2026-11-20T08:35:00.000Z",
            "blue/shop/web[Deployment] 10.8.0.5 2026-11-20T08:00:00.000Z..2026-11-20T09:00:30.000Z",
            "blue/shop/web[Deployment] 10.8.0.6 2026-11-20T09:00:00.000Z..",
        ]
    );
    let web = read.accounts[0].workloads.iter().find(|w| w.name == "web").unwrap();
    let label = |key: &str| web.labels.get(key).map(String::as_str);
    assert_eq!(
        (label("role"), label("ns/team"), label("namespace")),
        (Some("front"), Some("blue"), Some("shop"))
    );
    assert_eq!(
        (label("kind"), label("pod-template-hash"), read.accounts[0].scope.as_str()),
        (Some("deployment"), None, "blue")
    );
    assert_eq!(read.rejects.len(), 1);
    assert_eq!(read.skipped.values().sum::<u64>(), 3);
}

#[test]
fn services_and_nodes_are_workloads_of_their_own_kind() {
    let text = list(&[
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "s1", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "2001:db8::a"],
                "ports": [{"port": 443, "protocol": "TCP", "nodePort": 30443}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.30"}]}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None"}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "creationTimestamp": "2026-11-01T00:00:00Z",
                "labels": {"topology.kubernetes.io/zone": "eu-west-1a"}},
            "spec": {"providerID": "aws:///eu-west-1a/i-0aa"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.10"}, {"type": "Hostname", "address": "node-1"}],
                "nodeInfo": {"osImage": "Bottlerocket"}}}),
    ]);
    let read = read_as("kubernetes", &text);
    assert_eq!(
        history(&read),
        [
            "node-1[Node] 10.0.1.10 2026-11-01T00:00:00.000Z..",
            "shop/web[Service] 10.96.0.10 2026-11-01T00:00:00.000Z..",
            "shop/web[Service] 192.0.2.30 2026-11-01T00:00:00.000Z..",
            "shop/web[Service] 2001:db8::a 2026-11-01T00:00:00.000Z..",
        ]
    );
    assert_eq!(read.keys["aws:i-0aa"], WorkloadId("node-1[Node]".into()));
    let service = read.accounts[0].workloads.iter().find(|w| w.id.0 == "shop/web[Service]").unwrap();
    assert_eq!(
        (service.labels["ports"].as_str(), service.labels["node-ports"].as_str()),
        ("tcp/443", "tcp/30443")
    );
    assert_eq!(read.accounts[0].workloads[0].labels["loc"], "eu-west-1a");
}

#[test]
fn snapshots_and_watches_are_history() {
    let early = pod("web-a", replica_set(), "10.8.0.5", "2026-11-20T08:00:00Z", json!({}));
    let late = pod(
        "web-a",
        replica_set(),
        "10.8.0.5",
        "2026-11-20T08:00:00Z",
        json!({"metadata": {"resourceVersion": "99", "deletionTimestamp": "2026-11-20T10:00:00Z"}}),
    );
    let next = pod("web-b", replica_set(), "10.8.0.5", "2026-11-20T11:00:00Z", json!({}));
    let expected = [
        "shop/web[Deployment] 10.8.0.5 2026-11-20T08:00:00.000Z..2026-11-20T10:00:00.000Z",
        "shop/web[Deployment] 10.8.0.5 2026-11-20T11:00:00.000Z..",
    ];
    let snapshots =
        format!("{}\n{}", list(&[late.clone(), next.clone()]), list(std::slice::from_ref(&early)));
    assert_eq!(history(&read_as("kubernetes", &snapshots)), expected);
    let watched = |kind: &str, pod: &Value| json!({"type": kind, "object": pod}).to_string();
    let watch = [watched("ADDED", &early), watched("DELETED", &late), watched("ADDED", &next)].join("\n");
    assert_eq!(history(&read_as("kubernetes", &watch)), expected);
}
