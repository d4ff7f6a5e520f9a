//! Checks properties of one policy at one moment.

use model::{
    Action, InventoryView, IpSet, Packet, Region, Requirement, Service, ServiceSet, TrafficSet, WorkloadId,
};
use policy::{Directory, Peer, PeerTerm, PolicySet, Resolved, ResolvedRule, Verdict};
use serde::Serialize;

use crate::overlap;
use crate::property::{Property, Side};
use crate::radius::{self, Reached};

/// Why a property does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// In one sentence.
    pub reason: String,
    /// A packet that shows it, between workloads of the inventory where there is one; none when the property names
    /// nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Packet>,
    /// The rules it is about, as indices into [`Resolved::rules`]; empty when no rule speaks of the witness.
    pub rules: Vec<usize>,
}

/// The answer to a property.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Proven for all traffic.
    Holds,
    /// Each with its witness; never empty.
    Violated(Vec<Violation>),
    /// The answer to [`Property::BlastRadius`], by hop and then by workload.
    Reaches(Vec<Reached>),
}

impl Outcome {
    /// Whether a demand is not fulfilled.
    pub const fn is_violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }
}

/// Checks properties of one policy at one moment; computes what they share once.
#[derive(Debug)]
pub struct Verifier<'a> {
    pub(crate) set: &'a PolicySet,
    pub(crate) resolved: &'a Resolved,
    pub(crate) view: &'a InventoryView<'a>,
    pub(crate) directory: Directory<'a>,
    permitted: TrafficSet,
    known: IpSet,
}

impl<'a> Verifier<'a> {
    /// A verifier for a policy and what it was resolved to against this very view.
    pub fn new(set: &'a PolicySet, resolved: &'a Resolved, view: &'a InventoryView<'a>) -> Self {
        let directory = Directory::new(set, view);
        let known = directory.known();
        Self { set, resolved, view, directory, permitted: resolved.permitted(), known }
    }

    /// Proves the property, or shows why it does not hold.
    pub fn check(&self, property: &Property) -> Outcome {
        match property {
            Property::Reach { from, to, services } => match self.sides(from, to) {
                Ok((from, to)) => self.reach(&from, &to, services),
                Err(problem) => problem,
            },
            Property::Isolate { from, to, services } => match self.sides(from, to) {
                Ok((from, to)) => self.isolate(&from, &to, services),
                Err(problem) => problem,
            },
            Property::Equal(other) => {
                let opened = self.permitted.subtract(other);
                let closed = other.subtract(&self.permitted);
                self.outcome([(opened, "passes here and not there"), (closed, "passes there and not here")])
            }
            Property::Contains(other) => self.outcome([(other.subtract(&self.permitted), "does not pass")]),
            Property::Shadowed => overlap::shadowed(self.resolved),
            Property::Redundant => overlap::redundant(self.resolved),
            Property::BlastRadius { workload, hops } => self.radius(workload, *hops),
        }
    }

    /// What passes: allowed or unmanaged.
    pub fn permitted(&self) -> &TrafficSet {
        &self.permitted
    }

    pub(crate) fn reach(&self, from: &IpSet, to: &IpSet, services: &[Service]) -> Outcome {
        let missing = match services {
            // No service named: some service must pass for each pair.
            [] => {
                TrafficSet::product(from, to, &ServiceSet::full()).subtract(&self.permitted.on_any_service())
            }
            services => wanted(from, to, services).subtract(&self.permitted),
        };
        self.outcome([(missing, "does not pass")])
    }

    pub(crate) fn isolate(&self, from: &IpSet, to: &IpSet, services: &[Service]) -> Outcome {
        self.outcome([(wanted(from, to, services).intersect(&self.permitted), "passes")])
    }

    /// That nothing passes which a guardrail denies, but for what guardrail allows keep open.
    pub(crate) fn denied(&self, rule: &ResolvedRule) -> Outcome {
        let kept_open = self.resolved.rules.iter().filter(|rule| rule.action == Action::GuardrailAllow);
        let kept_open = TrafficSet::union_all(kept_open.map(ResolvedRule::traffic));
        let passes = rule.traffic().intersect(&self.permitted).subtract(&kept_open);
        self.outcome([(passes, "passes")])
    }

    /// Addresses of both sides, or that the property says nothing since a side is nobody.
    fn sides(&self, from: &Side, to: &Side) -> Result<(IpSet, IpSet), Outcome> {
        let (sources, destinations) = (self.side(from), self.side(to));
        match (sources.is_empty(), destinations.is_empty()) {
            (true, _) => Err(vacuous(from)),
            (_, true) => Err(vacuous(to)),
            _ => Ok((sources, destinations)),
        }
    }

    fn side(&self, side: &Side) -> IpSet {
        let everywhere = Peer::new();
        let found = self.directory.term(side, &everywhere);
        let PeerTerm::Labels(selector) = side else { return found };
        let [Requirement::Exists(name)] = selector.requirements.as_slice() else { return found };
        if !found.is_empty() {
            return found;
        }
        let segment = self.directory.term(&PeerTerm::Segment(name.clone()), &everywhere);
        if segment.is_empty() { self.workload(name).map(|(_, set)| set).unwrap_or_default() } else { segment }
    }

    /// A workload by id, or else by its name.
    fn workload(&self, name: &str) -> Option<(WorkloadId, IpSet)> {
        let by_id = self.view.members.iter().find(|(workload, _)| workload.id.0 == name);
        let member =
            by_id.or_else(|| self.view.members.iter().find(|(workload, _)| workload.name == name))?;
        Some((member.0.id.clone(), self.view.addresses(&member.0.id)))
    }

    fn radius(&self, name: &str, hops: Option<u32>) -> Outcome {
        match self.workload(name) {
            Some((id, _)) => Outcome::Reaches(radius::reached(self, &id, hops.unwrap_or(u32::MAX))),
            None => {
                let reason = format!(
                    "no workload `{name}` has an address then; `ringfence inventory list` shows them"
                );
                Outcome::Violated(vec![Violation { reason, witness: None, rules: Vec::new() }])
            }
        }
    }

    /// Holds when every set is empty; otherwise a violation for each that is not, with how its packets fail.
    fn outcome<const N: usize>(&self, sets: [(TrafficSet, &str); N]) -> Outcome {
        let violation = |(set, verb): (TrafficSet, &str)| {
            let witness = self.witness(&set)?;
            let (why, rules) = self.explain(&witness);
            let reason = format!("{witness} {verb}: {why}");
            Some(Violation { reason, witness: Some(witness), rules })
        };
        let violations: Vec<Violation> = sets.into_iter().filter_map(violation).collect();
        if violations.is_empty() { Outcome::Holds } else { Outcome::Violated(violations) }
    }

    /// A packet of the set that a person knows: between workloads, or else with a workload on one side.
    pub(crate) fn witness(&self, set: &TrafficSet) -> Option<Packet> {
        let any = IpSet::full();
        let within = |from: &IpSet, to: &IpSet| {
            set.intersect(&TrafficSet::product(from, to, &ServiceSet::full())).witness()
        };
        within(&self.known, &self.known)
            .or_else(|| within(&any, &self.known))
            .or_else(|| within(&self.known, &any))
            .or_else(|| set.witness())
    }

    /// Why a packet passes or not, with the rule that says so.
    pub(crate) fn explain(&self, packet: &Packet) -> (String, Vec<usize>) {
        let decision = self.resolved.decide(packet);
        let words = match (decision.verdict, decision.rule.map(|index| &self.resolved.rules[index])) {
            (Verdict::Allow, Some(rule)) => format!("rule `{}` at {} allows it", rule.id, rule.location),
            (Verdict::Deny, Some(rule)) => format!("guardrail `{}` at {} denies it", rule.id, rule.location),
            (Verdict::Deny, None) => String::from("no rule allows it"),
            _ => String::from("nobody governs either side"),
        };
        (words, decision.rule.into_iter().collect())
    }
}

fn wanted(from: &IpSet, to: &IpSet, services: &[Service]) -> TrafficSet {
    let services = match services {
        [] => ServiceSet::full(),
        services => ServiceSet::of(services.iter().copied()),
    };
    TrafficSet::product(from, to, &services)
}

fn vacuous(side: &Side) -> Outcome {
    let reason = format!("`{side}` means nobody, so this would prove nothing");
    Outcome::Violated(vec![Violation { reason, witness: None, rules: Vec::new() }])
}
