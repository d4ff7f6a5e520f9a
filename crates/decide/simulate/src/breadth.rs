//! How much a policy allows beyond what was seen.

use std::collections::BTreeMap;

use model::{Ip, ServiceSet};
use policy::{Resolved, ResolvedRule, Verdict};

use crate::estimate::rounded;
use crate::evaluator::{Evaluator, HostClass};
use crate::history::History;

/// Decisions that an exact count may take; beyond, rules are added up.
const BUDGET: usize = 8_000_000;

/// Counts over the hosts and services of a history.
pub(crate) struct Breadth<'a> {
    history: &'a History,
    hosts: Vec<Ip>,
    services: Vec<u32>,
}

impl<'a> Breadth<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let mut hosts = history.hosts.clone();
        hosts.sort_unstable();
        let key = |service: &model::Service| u32::from(service.protocol.0) << 16 | u32::from(service.low);
        let mut services: Vec<u32> = history.services.iter().map(key).collect();
        services.sort_unstable();
        Self { history, hosts, services }
    }

    /// Allowed triples for each one seen, and whether it is an upper bound.
    pub(crate) fn of_policy(&self, evaluator: &Evaluator<'_>, resolved: &Resolved) -> (f64, bool) {
        let seen = self.history.triples.max(1) as f64;
        match self.exact(evaluator) {
            Some(allowed) => (rounded(allowed as f64 / seen), false),
            None => {
                let allows = resolved.rules.iter().filter(|rule| rule.action != model::Action::GuardrailDeny);
                let sum: f64 = allows.map(|rule| self.triples(rule)).sum();
                let hosts = self.hosts.len() as f64;
                let all = hosts * (hosts - 1.0).max(0.0) * self.services.len() as f64;
                (rounded(sum.min(all) / seen), true)
            }
        }
    }

    /// Triples that a rule speaks of.
    pub(crate) fn triples(&self, rule: &ResolvedRule) -> f64 {
        let hosts = |set: &model::IpSet| -> f64 {
            set.runs().iter().map(|(low, high)| within(&self.hosts, *low, *high) as f64).sum()
        };
        hosts(&rule.from) * hosts(&rule.to) * self.services_in(&rule.services) as f64
    }

    fn services_in(&self, set: &ServiceSet) -> usize {
        let mut count = 0;
        for (first, last, selectors) in set.runs() {
            for protocol in *first..=*last {
                let key = |selector: u16| u32::from(protocol) << 16 | u32::from(selector);
                let runs = selectors.runs().iter();
                count += runs.map(|(low, high)| within(&self.services, key(*low), key(*high))).sum::<usize>();
            }
        }
        count
    }

    /// Exact, class by class; none when there are too many classes.
    fn exact(&self, evaluator: &Evaluator<'_>) -> Option<u64> {
        let mut sources: BTreeMap<u32, (u64, HostClass)> = BTreeMap::new();
        let mut destinations: BTreeMap<u32, (u64, HostClass)> = BTreeMap::new();
        let mut both: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for class in &self.history.host_classes {
            sources.entry(class.source).or_insert((0, *class)).0 += 1;
            destinations.entry(class.destination).or_insert((0, *class)).0 += 1;
            *both.entry((class.source, class.destination)).or_default() += 1;
        }
        let mut services: BTreeMap<u32, u64> = BTreeMap::new();
        for service in &self.history.services {
            *services.entry(evaluator.service(service.protocol.0, service.low)).or_default() += 1;
        }
        if sources.len().checked_mul(destinations.len())?.checked_mul(services.len())? > BUDGET {
            return None;
        }
        let mut allowed = 0;
        for (from, (clients, source)) in &sources {
            for (to, (servers, destination)) in &destinations {
                // A host does not count as its own peer.
                let pairs = clients * servers - both.get(&(*from, *to)).unwrap_or(&0);
                for (service, count) in &services {
                    let decision = evaluator.decide_class(*source, *destination, *service);
                    allowed += if decision.verdict == Verdict::Allow { pairs * count } else { 0 };
                }
            }
        }
        Some(allowed)
    }
}

/// How many of the sorted values lie from `low` to `high`.
fn within<T: Ord>(sorted: &[T], low: T, high: T) -> usize {
    sorted.partition_point(|value| *value <= high) - sorted.partition_point(|value| *value < low)
}
