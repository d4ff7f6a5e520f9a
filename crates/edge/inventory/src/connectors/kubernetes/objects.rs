//! What of the API's objects says who has which address, and when. One shape for all kinds: their fields do not collide.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::records::lenient;

#[derive(Deserialize)]
pub(super) struct Watched<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

#[derive(Deserialize)]
pub(super) struct Object {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) spec: Spec,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) namespace: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) uid: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<String>,
    pub(super) deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) controller: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    #[serde(deserialize_with = "lenient")]
    pub(super) host_network: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) node_name: String,
    #[serde(rename = "providerID", deserialize_with = "lenient")]
    pub(super) provider_id: String,
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP", deserialize_with = "lenient")]
    pub(super) cluster_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "lenient")]
    pub(super) cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "lenient")]
    pub(super) external_ips: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) ports: Vec<Port>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    #[serde(deserialize_with = "lenient")]
    pub(super) protocol: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) port: u32,
    #[serde(deserialize_with = "lenient")]
    pub(super) node_port: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(deserialize_with = "lenient")]
    pub(super) phase: String,
    pub(super) start_time: Option<String>,
    #[serde(rename = "podIP", deserialize_with = "lenient")]
    pub(super) pod_ip: String,
    #[serde(rename = "podIPs", deserialize_with = "lenient")]
    pub(super) pod_ips: Vec<PodIp>,
    #[serde(deserialize_with = "lenient")]
    pub(super) container_statuses: Vec<Container>,
    #[serde(deserialize_with = "lenient")]
    pub(super) init_container_statuses: Vec<Container>,
    #[serde(deserialize_with = "lenient")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient")]
    pub(super) addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "lenient")]
    pub(super) node_info: NodeInfo,
    #[serde(deserialize_with = "lenient")]
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct PodIp {
    #[serde(deserialize_with = "lenient")]
    pub(super) ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Container {
    #[serde(deserialize_with = "lenient")]
    pub(super) state: ContainerState,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Terminated {
    pub(super) finished_at: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    pub(super) last_transition_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) address: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeInfo {
    #[serde(rename = "systemUUID", deserialize_with = "lenient")]
    pub(super) system_uuid: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) os_image: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LoadBalancer {
    #[serde(deserialize_with = "lenient")]
    pub(super) ingress: Vec<Ingress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Ingress {
    #[serde(deserialize_with = "lenient")]
    pub(super) ip: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) hostname: String,
}
