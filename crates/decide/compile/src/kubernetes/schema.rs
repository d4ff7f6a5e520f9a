//! The parts of NetworkPolicy that decide traffic. Unknown fields are errors: a rule half understood is not read.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Enough of any object to know what it is.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Head {
    pub kind: String,
    #[serde(rename = "apiVersion")]
    pub api_version: String,
}

#[derive(Deserialize, Debug)]
pub(super) struct List {
    #[serde(default)]
    pub items: Vec<serde_json::Value>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Policy {
    #[serde(default)]
    pub metadata: Metadata,
    pub spec: Spec,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Metadata {
    pub name: String,
    pub namespace: Option<String>,
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(default)]
    pub pod_selector: Option<LabelSelector>,
    pub policy_types: Option<Vec<String>>,
    pub ingress: Option<Vec<Entry>>,
    pub egress: Option<Vec<Entry>>,
}

/// An ingress or egress entry; `from` and `to` mean the same here.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub from: Option<Vec<PeerEntry>>,
    pub to: Option<Vec<PeerEntry>>,
    pub ports: Option<Vec<PortEntry>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PeerEntry {
    pub ip_block: Option<IpBlock>,
    pub pod_selector: Option<LabelSelector>,
    pub namespace_selector: Option<LabelSelector>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct IpBlock {
    pub cidr: String,
    pub except: Option<Vec<String>>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PortEntry {
    pub protocol: Option<String>,
    pub port: Option<serde_json::Value>,
    pub end_port: Option<u16>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LabelSelector {
    pub match_labels: Option<BTreeMap<String, String>>,
    pub match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Expression {
    pub key: String,
    pub operator: String,
    pub values: Option<Vec<String>>,
}
