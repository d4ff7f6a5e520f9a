//! Google Cloud: `gcloud compute instances list --format json`.

use model::{Labels, Micros};
use serde::Deserialize;

use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{Records, address, claim, lenient, time_of};
use crate::row::Place;

/// The row of Google Cloud.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "gcp",
    aliases: &["gcloud", "gce"],
    title: "Google Cloud gcloud compute instances list --format json",
    description: "Instances by project, zone and name, which Kubernetes nodes name too; labels are labels; the scope is the \
                  network. Internal addresses hold since the instance was created, external ones since it started last; a \
                  terminated instance keeps its internal address. Alias ranges are pods' or services' own.",
    rank: 40,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    probe.has(&["networkInterfaces", "creationTimestamp"]) && probe.keys_any(&["networkIP", "selfLink"])
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Access {
    #[serde(rename = "natIP", deserialize_with = "lenient")]
    nat: String,
    #[serde(deserialize_with = "lenient")]
    external_ipv6: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Interface {
    #[serde(rename = "networkIP", deserialize_with = "lenient")]
    internal: String,
    #[serde(deserialize_with = "lenient")]
    ipv6_address: String,
    #[serde(deserialize_with = "lenient")]
    network: String,
    #[serde(deserialize_with = "lenient")]
    access_configs: Vec<Access>,
    #[serde(deserialize_with = "lenient")]
    ipv6_access_configs: Vec<Access>,
    #[serde(deserialize_with = "lenient")]
    alias_ip_ranges: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    name: String,
    /// A number, as text.
    #[serde(default, deserialize_with = "lenient")]
    id: serde_json::Value,
    #[serde(default, deserialize_with = "lenient")]
    self_link: String,
    #[serde(default, deserialize_with = "lenient")]
    zone: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    last_start_timestamp: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
    network_interfaces: Vec<Interface>,
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let records = Records::of(input.text, sink);
    for record in records.below(&["items", "instances"]) {
        if let Some(instance) = records.read::<Instance>(record, sink) {
            of_instance(instance, records.place(record), sink);
        }
    }
}

/// The last part of a link.
fn last(link: &str) -> &str {
    link.rsplit('/').next().unwrap_or(link)
}

fn of_instance(instance: Instance, place: Place, sink: &mut Sink) {
    let created = time_of(&instance.creation_timestamp);
    let started = time_of(&instance.last_start_timestamp).or(created);
    let project = instance.self_link.split("/projects/").nth(1).and_then(|rest| rest.split('/').next());
    let zone = last(&instance.zone);
    let path = format!("{}/{zone}/{}", project.unwrap_or_default(), instance.name);
    let mut sighting = Sighting {
        id: format!("gce/{path}"),
        name: Some(instance.name),
        keys: vec![format!("gcp:{path}")],
        scope: instance.network_interfaces.first().map_or_else(String::new, |i| last(&i.network).to_owned()),
        labels: instance.labels,
        seen: created.unwrap_or(Micros::MIN),
        ..Sighting::default()
    };
    let id = instance.id.to_string();
    sighting.keys.extend(Some(id.trim_matches('"')).filter(|id| *id != "null").map(|id| format!("gcp:{id}")));
    sighting.labels.entry(String::from("kind")).or_insert_with(|| String::from("instance"));
    sighting.labels.entry(String::from("loc")).or_insert_with(|| zone.to_owned());
    for interface in &instance.network_interfaces {
        let external = interface.access_configs.iter().chain(&interface.ipv6_access_configs);
        let external =
            external.flat_map(|access| [&access.nat, &access.external_ipv6]).map(|text| (text, started));
        let internal = [(&interface.internal, created), (&interface.ipv6_address, created)];
        for (text, from) in internal.into_iter().chain(external).filter(|(text, _)| !text.is_empty()) {
            sighting.claims.extend(address(text, place, sink).map(|ip| claim(ip, from, None)));
        }
        if !interface.alias_ip_ranges.is_empty() {
            sink.skip("alias ranges, whose addresses are pods' or services'");
        }
    }
    sink.sight(sighting, place);
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    #[test]
    fn instances_are_named_as_kubernetes_names_its_nodes() {
        let text = r#"[{"creationTimestamp": "2026-01-15T02:00:00.000-08:00", "id": "123", "kind": "compute#instance",
          "labels": {"env": "prod"}, "lastStartTimestamp": "2026-11-15T02:00:00.000-08:00", "name": "web-1", "status": "RUNNING",
          "networkInterfaces": [{"accessConfigs": [{"natIP": "192.0.2.20", "type": "ONE_TO_ONE_NAT"}],
             "aliasIpRanges": [{"ipCidrRange": "10.8.0.0/24"}], "name": "nic0", "networkIP": "10.2.0.2",
             "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/default"}],
          "selfLink": "https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b/instances/web-1",
          "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b"},
         {"name": "bad", "creationTimestamp": "x", "networkInterfaces": 1}]"#;
        let read = read_as("gcp", text);
        assert_eq!(
            history(&read),
            [
                "gce/p/europe-west1-b/web-1 10.2.0.2 2026-01-15T10:00:00.000Z..",
                "gce/p/europe-west1-b/web-1 192.0.2.20 2026-11-15T10:00:00.000Z..",
            ]
        );
        assert_eq!((read.accounts[0].scope.as_str(), read.rejects.len()), ("default", 1));
        assert_eq!(read.keys["gcp:p/europe-west1-b/web-1"].0, "gce/p/europe-west1-b/web-1");
    }
}
