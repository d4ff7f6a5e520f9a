//! Kubernetes NetworkPolicy.

use model::Plan;

use crate::target::{Artifact, Peer, ReadBack, ReadError, Refusal, Source, Target};

/// The target's row.
pub(crate) const TARGET: Target = Target {
    name: "kubernetes",
    title: "Kubernetes NetworkPolicy (networking.k8s.io/v1)",
    limits: &[],
    render,
    read,
};

fn render(_: &Plan) -> Result<Vec<Artifact>, Vec<Refusal>> {
    Ok(Vec::new())
}

fn read(_: &[Source], _: &[Peer]) -> Result<Vec<ReadBack>, Vec<ReadError>> {
    Ok(Vec::new())
}
