//! What people have decided already: it is kept, never repeated and never contradicted.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Graph, NodeKind};
use model::{
    AddressClaim, Inventory, Ip, IpSet, Micros, Mode, Packet, Region, Service, ServiceSet, TrafficSet,
    Workload, WorkloadId,
};
use policy::{Document, PolicySet, Resolved, Verdict, resolve};

use crate::cells::address;
use crate::proposal::QuarantineReason;
use crate::triage::Fate;

/// People's policy against the graph's own workloads.
pub(crate) struct Existing {
    resolved: Resolved,
}

impl Existing {
    /// Nothing when there is no policy to respect.
    pub(crate) fn new(graph: &Graph, policy: Option<&PolicySet>, as_of: Micros) -> Option<Self> {
        let inventory = inventory(graph)?;
        Some(Self { resolved: resolve(policy?, &inventory.as_of(as_of)) })
    }

    /// Changes the fate of what would be taught but is decided already.
    pub(crate) fn apply(&self, graph: &Graph, fates: &mut [Fate]) {
        for (edge, fate) in graph.edges.iter().zip(fates) {
            if !matches!(fate, Fate::Teach(_)) {
                continue;
            }
            let sides = [edge.client, edge.server].map(|node| self.address_of(graph, node));
            if let [Some(source), Some(destination)] = sides
                && let Some(decided) = self.fate(source, destination, edge.service)
            {
                *fate = decided;
            }
        }
    }

    /// Whether people's rules allow anything from any of the addresses to any of the others.
    pub(crate) fn allows(&self, sources: &IpSet, destinations: &IpSet) -> bool {
        let asked = TrafficSet::product(sources, destinations, &ServiceSet::full());
        !self.resolved.allowed.is_disjoint(&asked)
    }

    /// Whether a guardrail of people denies any of the services from any of the addresses to any of the others.
    pub(crate) fn denies(&self, sources: &IpSet, destinations: &IpSet, services: &[Service]) -> bool {
        let asked = ServiceSet::of(services.iter().copied());
        let mut denials =
            self.resolved.rules.iter().filter(|rule| rule.action == model::Action::GuardrailDeny);
        denials.any(|rule| {
            !rule.from.is_disjoint(sources)
                && !rule.to.is_disjoint(destinations)
                && !rule.services.is_disjoint(&asked)
        })
    }

    /// The least strict mode in which people govern the workloads, when they govern all of them.
    pub(crate) fn mode_of(&self, workloads: &[WorkloadId]) -> Option<Mode> {
        let modes: Option<Vec<Mode>> = workloads.iter().map(|id| self.resolved.mode_of(id)).collect();
        modes?.into_iter().min()
    }

    /// The internet stands for many addresses: any one that the rules mean will do, and no other is known.
    fn address_of(&self, graph: &Graph, node: u32) -> Option<Ip> {
        let node = &graph.nodes[node as usize];
        address(node).or_else(|| match node.kind {
            NodeKind::Internet => IpSet::internet().first(),
            _ => None,
        })
    }

    /// The service must be decided as a whole: a range that is allowed in part is still to be proposed.
    fn fate(&self, source: Ip, destination: Ip, service: Service) -> Option<Fate> {
        let decide = |selector| {
            let packet = Packet { source, destination, protocol: service.protocol, selector };
            self.resolved.decide(&packet)
        };
        let (low, high) = (decide(service.low), decide(service.high));
        let rule = |index: Option<usize>| index.map(|index| &self.resolved.rules[index]);
        match (low.verdict, rule(low.rule).or_else(|| rule(high.rule))) {
            (Verdict::Allow, Some(_)) if low == high => Some(Fate::Covered),
            (_, Some(rule)) if rule.action == model::Action::GuardrailDeny => {
                let detail = format!("guardrail `{}` denies it: {}", rule.id, rule.why);
                Some(Fate::Quarantine(QuarantineReason::Conflict, detail))
            }
            _ => None,
        }
    }
}

/// The graph's workloads as an inventory. An address that two of them held, one after the other, is left to the
/// first: here it only matters which labels a rule of people would find.
fn inventory(graph: &Graph) -> Option<Inventory> {
    let mut owners: BTreeMap<Ip, usize> = BTreeMap::new();
    let nodes = graph.nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Workload);
    for (index, node) in nodes {
        for ip in &node.addresses {
            owners.entry(*ip).or_insert(index);
        }
    }
    let mut workloads: BTreeMap<usize, Workload> = BTreeMap::new();
    for (ip, index) in owners {
        let node = &graph.nodes[index];
        let workload = workloads.entry(index).or_insert_with(|| Workload {
            id: node.id.clone(),
            name: node.name.clone(),
            labels: node.labels.clone(),
            criticality: node.criticality,
            addresses: Vec::new(),
        });
        workload.addresses.push(AddressClaim { ip, from: Micros::MIN, to: Micros::MAX });
    }
    Inventory::new(workloads.into_values().collect()).ok()
}

/// Names that people's documents hold: (segments, rule ids, files).
pub(crate) fn names(policy: Option<&PolicySet>) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let (mut segments, mut ids, mut files) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (file, document) in policy.iter().flat_map(|policy| &policy.documents) {
        files.insert(file.clone());
        match document {
            Document::Segment(segment) => {
                segments.insert(segment.name.value.clone());
            }
            Document::Guardrail(guardrail) => {
                ids.extend(guardrail.deny.iter().map(|rule| rule.id.value.clone()));
                ids.extend(guardrail.allow.iter().map(|rule| rule.id.value.clone()));
            }
            Document::SegmentPolicy(policy) => ids.extend(policy.allow.iter().map(|r| r.id.value.clone())),
        }
    }
    (segments, ids, files)
}
