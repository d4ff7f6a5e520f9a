//! From a resolved policy to what each enforcement point has to do.

use std::collections::{BTreeMap, BTreeSet};

use model::{Action, InventoryView, Ip, IpSet, Labels, Mode, Plan, PlanPoint, PlanRule, WorkloadId};
use serde::Serialize;

use crate::plan_file;
use crate::resolve::{Resolved, ResolvedRule};

/// Makes the plan: for every governed workload, the rules that speak of its addresses, in order of precedence. The
/// view must be the one that the policy was resolved against.
///
/// The id hashes the points alone: the same policy against the same inventory is the same plan, whenever it is made
/// and whatever it replaces.
pub fn plan(resolved: &Resolved, view: &InventoryView<'_>, parent: Option<String>) -> Plan {
    let mut points = Vec::new();
    let mut owners: Vec<(Ip, usize)> = Vec::new();
    for (workload, ips) in &view.members {
        let Some(mode) = resolved.mode_of(&workload.id) else { continue };
        owners.extend(ips.iter().map(|ip| (*ip, points.len())));
        points.push(PlanPoint {
            workload: workload.id.clone(),
            labels: workload.labels.clone(),
            addresses: IpSet::from_ranges(ips.iter().map(|ip| (*ip, *ip))),
            mode,
            ingress: Vec::new(),
            egress: Vec::new(),
        });
    }
    owners.sort_unstable();
    // The rules come in order of precedence, and so they go into each point.
    for rule in &resolved.rules {
        if rule.services.runs().is_empty() || rule.from.runs().is_empty() || rule.to.runs().is_empty() {
            continue;
        }
        for (index, own) in touched(&owners, &rule.to) {
            let own = shared(own, &points[index]);
            points[index].ingress.push(plan_rule(rule, own, &rule.from));
        }
        for (index, own) in touched(&owners, &rule.from) {
            let own = shared(own, &points[index]);
            points[index].egress.push(plan_rule(rule, own, &rule.to));
        }
    }
    Plan { id: plan_file::content_id(&points), parent, as_of: view.at, points }
}

/// The points of which some addresses are in the set, with those addresses.
fn touched(owners: &[(Ip, usize)], set: &IpSet) -> BTreeMap<usize, IpSet> {
    let mut found: BTreeMap<usize, Vec<Ip>> = BTreeMap::new();
    for &(low, high) in set.runs() {
        let start = owners.partition_point(|(ip, _)| *ip < low);
        for (ip, index) in owners[start..].iter().take_while(|(ip, _)| *ip <= high) {
            found.entry(*index).or_default().push(*ip);
        }
    }
    let set = |ips: Vec<Ip>| IpSet::from_ranges(ips.into_iter().map(|ip| (ip, ip)));
    found.into_iter().map(|(index, ips)| (index, set(ips))).collect()
}

/// The point's own set where the two are equal, so that its rules share one.
fn shared(own: IpSet, point: &PlanPoint) -> IpSet {
    if own == point.addresses { point.addresses.clone() } else { own }
}

fn plan_rule(rule: &ResolvedRule, own: IpSet, peers: &IpSet) -> PlanRule {
    PlanRule {
        id: rule.id.clone(),
        action: rule.action,
        own,
        peers: peers.clone(),
        services: rule.services.clone(),
        location: rule.location.clone(),
    }
}

/// How two plans differ.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PlanDiff {
    /// Points that only the new plan has.
    pub added: Vec<WorkloadId>,
    /// Points that only the old plan has.
    pub removed: Vec<WorkloadId>,
    /// Points that both have and that differ, sorted by workload.
    pub changed: Vec<PointDiff>,
}

impl PlanDiff {
    /// Whether the plans ask for the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// How one enforcement point differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PointDiff {
    /// Which.
    pub workload: WorkloadId,
    /// Old and new mode, when they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<(Mode, Mode)>,
    /// Whether the workload's addresses differ.
    pub addresses: bool,
    /// Whether the workload's labels differ.
    pub labels: bool,
    /// What others may ask of it.
    pub ingress: RulesDiff,
    /// What it may ask of others.
    pub egress: RulesDiff,
}

/// How two lists of rules differ, by rule id.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RulesDiff {
    /// Rules that only the new list has.
    pub added: Vec<String>,
    /// Rules that only the old list has.
    pub removed: Vec<String>,
    /// Rules whose action, addresses or services differ. Where a rule is written does not count.
    pub changed: Vec<String>,
}

impl RulesDiff {
    /// Whether the lists ask for the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What the new plan changes against the old one.
pub fn plan_diff(old: &Plan, new: &Plan) -> PlanDiff {
    let index = |plan: &'_ Plan| -> BTreeMap<WorkloadId, usize> {
        plan.points.iter().enumerate().map(|(index, point)| (point.workload.clone(), index)).collect()
    };
    let (before, after) = (index(old), index(new));
    let only = |a: &BTreeMap<WorkloadId, usize>, b: &BTreeMap<WorkloadId, usize>| -> Vec<WorkloadId> {
        a.keys().filter(|id| !b.contains_key(id)).cloned().collect()
    };
    let both = before.iter().filter_map(|(id, at)| Some((&old.points[*at], &new.points[*after.get(id)?])));
    PlanDiff {
        added: only(&after, &before),
        removed: only(&before, &after),
        changed: both.filter_map(|(old, new)| point_diff(old, new)).collect(),
    }
}

fn point_diff(old: &PlanPoint, new: &PlanPoint) -> Option<PointDiff> {
    let labels = |point: &PlanPoint| -> Labels { point.labels.clone() };
    let diff = PointDiff {
        workload: new.workload.clone(),
        mode: (old.mode != new.mode).then_some((old.mode, new.mode)),
        addresses: old.addresses != new.addresses,
        labels: labels(old) != labels(new),
        ingress: rules_diff(&old.ingress, &new.ingress),
        egress: rules_diff(&old.egress, &new.egress),
    };
    let same = diff.mode.is_none()
        && !diff.addresses
        && !diff.labels
        && diff.ingress.is_empty()
        && diff.egress.is_empty();
    (!same).then_some(diff)
}

fn rules_diff(old: &[PlanRule], new: &[PlanRule]) -> RulesDiff {
    fn index(rules: &[PlanRule]) -> BTreeMap<&str, &PlanRule> {
        rules.iter().map(|rule| (rule.id.as_str(), rule)).collect()
    }
    fn meaning(rule: &PlanRule) -> (Action, &IpSet, &IpSet, &model::ServiceSet) {
        (rule.action, &rule.own, &rule.peers, &rule.services)
    }
    let (before, after) = (index(old), index(new));
    let mut diff = RulesDiff::default();
    let ids: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for id in ids {
        let list = match (before.get(id), after.get(id)) {
            (None, _) => &mut diff.added,
            (_, None) => &mut diff.removed,
            (Some(old), Some(new)) if meaning(old) != meaning(new) => &mut diff.changed,
            _ => continue,
        };
        list.push(id.to_owned());
    }
    diff
}
