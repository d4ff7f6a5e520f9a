//! The fast evaluator: decides as [`Resolved::decide`] does, at a cost that hardly grows with the rules.

use model::{Action, Ip, IpSet, Packet, Service};
use policy::{Decision, Resolved, ResolvedRule, Verdict};

use crate::classes::{Classes, each, first_common, runs};

/// A resolved policy, indexed. Building it sorts the bounds of all rules; deciding is three searches and the
/// intersection of three sparse sets of rules.
pub struct Evaluator<'a> {
    resolved: &'a Resolved,
    sources: Classes<Ip>,
    destinations: Classes<Ip>,
    /// By `protocol * 65536 + selector`.
    services: Classes<u32>,
    /// Of each rule, side by side: rules themselves lie too far apart in memory.
    actions: Vec<Action>,
    /// By class of destinations and of sources: the rule whose owner would be asked.
    asked_rules: Vec<Option<u32>>,
    asking_rules: Vec<Option<u32>>,
}

/// What the evaluator knows of an address: computed once, used for every packet from or to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct HostClass {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) governed: bool,
}

impl<'a> Evaluator<'a> {
    /// Indexes a policy. Memory follows the distinct combinations of rules that an address or service can be in.
    pub fn new(resolved: &'a Resolved) -> Self {
        let rules = resolved.rules.iter();
        let sources = Classes::new(rules.clone().map(|rule| runs(&rule.from)));
        let destinations = Classes::new(rules.clone().map(|rule| runs(&rule.to)));
        Self {
            resolved,
            actions: rules.clone().map(|rule| rule.action).collect(),
            asked_rules: spokesmen(&destinations, resolved, |rule| &rule.to),
            asking_rules: spokesmen(&sources, resolved, |rule| &rule.from),
            sources,
            destinations,
            services: Classes::new(rules.map(|rule| {
                let mut keys = Vec::new();
                for (first, last, selectors) in rule.services.runs() {
                    for protocol in *first..=*last {
                        let key = |selector: u16| u32::from(protocol) << 16 | u32::from(selector);
                        keys.extend(selectors.runs().iter().map(|(low, high)| (key(*low), key(*high))));
                    }
                }
                keys
            })),
        }
    }

    /// What happens to a packet; the same as [`Resolved::decide`] says.
    pub fn decide(&self, packet: &Packet) -> Decision {
        let (from, to) = (self.host(packet.source), self.host(packet.destination));
        self.decide_class(from, to, self.service(packet.protocol.0, packet.selector))
    }

    /// What happens to a whole service, such as a range of ports: the first of its parts that is not allowed, or the
    /// decision on its first part.
    pub fn decide_service(&self, source: Ip, destination: Ip, service: Service) -> Decision {
        let (from, to) = (self.host(source), self.host(destination));
        let key = |selector: u16| u32::from(service.protocol.0) << 16 | u32::from(selector);
        let parts = self.services.between(key(service.low), key(service.high));
        let mut first = None;
        for decision in parts.map(|class| self.decide_class(from, to, class)) {
            if decision.verdict != Verdict::Allow {
                return decision;
            }
            first.get_or_insert(decision);
        }
        first.unwrap_or(Decision { verdict: Verdict::Unmanaged, rule: None })
    }

    pub(crate) fn host(&self, ip: Ip) -> HostClass {
        HostClass {
            source: self.sources.of(ip),
            destination: self.destinations.of(ip),
            governed: self.resolved.governed.contains(ip),
        }
    }

    pub(crate) fn service(&self, protocol: u8, selector: u16) -> u32 {
        self.services.of(u32::from(protocol) << 16 | u32::from(selector))
    }

    pub(crate) fn decide_class(&self, from: HostClass, to: HostClass, service: u32) -> Decision {
        let sets = [
            self.sources.rules(from.source),
            self.destinations.rules(to.destination),
            self.services.rules(service),
        ];
        let rule = first_common(sets, self.sources.summary_words());
        let verdict = match rule.map(|index| self.actions[index]) {
            Some(Action::GuardrailAllow | Action::Allow) => Verdict::Allow,
            Some(Action::GuardrailDeny) => Verdict::Deny,
            None if from.governed || to.governed => Verdict::Deny,
            None => Verdict::Unmanaged,
        };
        Decision { verdict, rule }
    }

    /// Who would be asked about a refused conversation: the owner of the first rule about asking the server, else of
    /// the first about the client's asking. Rules about every address speak for nobody.
    pub(crate) fn owner(&self, from: HostClass, to: HostClass) -> Option<&'a str> {
        let rule = self.asked_rules[to.destination as usize].or(self.asking_rules[from.source as usize])?;
        Some(self.resolved.rules[rule as usize].owner.as_str())
    }

    /// How many classes of sources, destinations and services the policy tells apart.
    pub fn classes(&self) -> (usize, usize, usize) {
        (self.sources.len(), self.destinations.len(), self.services.len())
    }
}

/// For each class the first allow that is not about every address.
fn spokesmen(
    classes: &Classes<Ip>,
    resolved: &Resolved,
    side: impl Fn(&ResolvedRule) -> &IpSet,
) -> Vec<Option<u32>> {
    let full = IpSet::full();
    let speaks: Vec<bool> =
        resolved.rules.iter().map(|rule| rule.action == Action::Allow && *side(rule) != full).collect();
    let first = |class| each(classes.rules(class), classes.summary_words()).find(|rule| speaks[*rule]);
    (0..classes.len() as u32).map(|class| first(class).map(|rule| rule as u32)).collect()
}
