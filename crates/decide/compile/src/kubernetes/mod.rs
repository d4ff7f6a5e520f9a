//! Kubernetes NetworkPolicy, one object for each set of workloads with the same labels.
//!
//! NetworkPolicy only adds: once a policy selects a pod, the pod gets what some policy allows and nothing else. So a
//! guardrail's denies are taken out of the allows exactly, with `except` where that is shorter.

mod blocks;
mod read;
mod render;
mod schema;

use crate::target::Target;

/// The label that says a workload's namespace, as Kubernetes itself puts it on namespaces. Without it, policies and
/// the pods that they select are of one namespace, the one they are applied to.
pub(crate) const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Annotations that keep the rules' ids through the cluster: a JSON list, one id for each entry.
const RULES_ANNOTATION: [&str; 2] = ["ringfence.io/ingress-rules", "ringfence.io/egress-rules"];

/// The target's row.
pub(crate) const TARGET: Target = Target {
    name: "kubernetes",
    title: "Kubernetes NetworkPolicy (networking.k8s.io/v1)",
    limits: &[
        "TCP, UDP and SCTP only: ICMP and other protocols cannot be named, and port 0 neither",
        "a rule of any service becomes an entry without ports, which network plugins take for every protocol; the \
         API itself promises TCP, UDP and SCTP",
        "workloads are selected by their labels: without labels, or with labels that others with different rules \
         have too, they are refused",
        "peers that are exactly the workloads with some labels become a podSelector, which also follows pods that \
         come later; all others are address blocks",
        "only mode `enforce`: a NetworkPolicy cannot watch without dropping",
        "replies to allowed connections pass, as the API has it; what a node sends to its own pods is up to the plugin",
    ],
    render: render::render,
    read: read::read,
};
