//! From a plan to what enforcement points install, and back.
//!
//! A target is one folder and one row of [`TARGETS`]: its name, what it cannot express, how it renders a plan and how
//! it reads rules back. Two laws hold for every row:
//!
//! - `read(render(plan))` is exactly what the plan allows ([`carried`] says of which packets), or `render` returns a
//!   typed [`Refusal`] for each thing that the target cannot express. Never a silent widening, never a silent
//!   narrowing.
//! - The same plan renders to the same bytes, and a small change of the plan is a small change of the text.
//!
//! Nothing here touches a kernel or a cluster: text goes in and text comes out.

mod carried;
mod connectivity;
mod kubernetes;
mod nftables;
mod target;

use model::Plan;

pub use carried::carried;
pub use connectivity::{Connectivity, connectivity};
pub use nftables::{LOG_GROUP, TABLE};
pub use target::{
    Artifact, Peer, Problem, Read, ReadBack, ReadError, ReadRule, Refusal, Rendered, RuleVerdict, Side,
    Source, Target,
};

/// Every target. Help, documentation and the conformance tests are driven by this table.
pub const TARGETS: &[Target] = &[nftables::TARGET, kubernetes::TARGET];

/// The target with this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The artifacts of a plan for one target, sorted by workload; or everything that the target cannot express.
///
/// # Errors
/// One [`Refusal`] for each obstacle; then nothing is rendered, for half a policy is not the policy.
pub fn render(plan: &Plan, target: &Target) -> Rendered {
    (target.render)(plan)
}

/// The exact sets of traffic that rules in a target's own form let through, one entry for each guarded workload.
///
/// `peers` says who has which labels and addresses, for targets that select by label; others ignore it.
///
/// # Errors
/// One [`ReadError`] for each thing that is not understood. A rule is never skipped.
pub fn read(target: &Target, sources: &[Source], peers: &[Peer]) -> Read {
    (target.read)(sources, peers)
}
