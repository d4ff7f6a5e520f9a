//! The plan: policy resolved against the inventory at a moment, for each enforcement point.

use netset::{IpSet, Region, ServiceSet, TrafficSet};

use crate::finding::SourceLocation;
use crate::inventory::{Labels, WorkloadId};
use crate::time::Micros;

/// What an enforcement point does with traffic that the policy does not allow.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is installed but counters.
    Observe,
    /// Would-be denials are logged and counted, nothing is dropped.
    #[default]
    Test,
    /// Only guardrail denies are dropped; the default deny is logged.
    Selective,
    /// What is not allowed is dropped.
    Enforce,
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// An allow that no deny may break.
    GuardrailAllow,
    /// A deny that no allow can override.
    GuardrailDeny,
    /// An ordinary allow.
    Allow,
}

/// One rule as one enforcement point sees it: the other side's addresses and the services.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanRule {
    /// The rule's id in the policy, unique in the plan.
    pub id: String,
    /// What it does.
    pub action: Action,
    /// The guarded workload's own addresses that the rule is about: all of [`PlanPoint::addresses`], unless the
    /// policy names addresses and the workload owns others too. A target that cannot tell them apart refuses.
    pub own: IpSet,
    /// Addresses of the other side: sources of an ingress rule, destinations of an egress rule.
    pub peers: IpSet,
    /// Services asked for (server's port).
    pub services: ServiceSet,
    /// Where the rule is written.
    pub location: SourceLocation,
}

/// All that one enforcement point has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanPoint {
    /// Which workload it guards.
    pub workload: WorkloadId,
    /// The workload's labels then: targets that select by label need them.
    pub labels: Labels,
    /// The workload's addresses then.
    pub addresses: IpSet,
    /// See [`Mode`].
    pub mode: Mode,
    /// What others may ask of it, in order of precedence: guardrail allows, guardrail denies, allows.
    pub ingress: Vec<PlanRule>,
    /// What it may ask of others.
    pub egress: Vec<PlanRule>,
}

impl PlanPoint {
    /// The exact traffic that this point lets in: guardrail allow > guardrail deny > allow > default deny.
    pub fn allowed_ingress(&self) -> TrafficSet {
        decide(&self.ingress, |rule| TrafficSet::product(&rule.peers, &rule.own, &rule.services))
    }

    /// The exact traffic that this point lets out.
    pub fn allowed_egress(&self) -> TrafficSet {
        decide(&self.egress, |rule| TrafficSet::product(&rule.own, &rule.peers, &rule.services))
    }
}

fn decide(rules: &[PlanRule], traffic: impl Fn(&PlanRule) -> TrafficSet) -> TrafficSet {
    let of = |action| TrafficSet::union_all(rules.iter().filter(|rule| rule.action == action).map(&traffic));
    of(Action::Allow).subtract(&of(Action::GuardrailDeny)).union(&of(Action::GuardrailAllow))
}

/// Policy x inventory at a moment; immutable once made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// SHA-256 of the content, hexadecimal.
    pub id: String,
    /// The plan that this one replaces.
    pub parent: Option<String>,
    /// The moment of the inventory.
    pub as_of: Micros,
    /// Enforcement points, sorted by workload.
    pub points: Vec<PlanPoint>,
}
