//! The partition of services by the rules that name them.
//!
//! Two services are in one class when exactly the same rules cover them. A class is a chain; finding the class of a
//! packet is one lookup in a verdict map, whatever the number of rules.

use std::collections::{BTreeMap, BTreeSet};

use model::{PlanRule, Protocol, Service, ServiceSet};

/// Services that the same rules cover.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Class {
    /// Runs of one protocol each, sorted.
    pub services: Vec<Service>,
    /// Indexes into the rules, ascending.
    pub rules: Vec<usize>,
}

/// The classes that some rule of narrower services covers, sorted by first service. Rules that cover every service
/// belong to every class, and alone to everything that is in none.
pub(super) fn classes(rules: &[PlanRule]) -> Vec<Class> {
    let full: BTreeSet<usize> = (0..rules.len()).filter(|&i| rules[i].services.is_full()).collect();
    let mut members: BTreeMap<Vec<usize>, Vec<(u32, u32)>> = BTreeMap::new();
    for (low, high, mut covering) in sweep(rules, &full) {
        covering.extend(&full);
        members.entry(covering.into_iter().collect()).or_default().push((low, high));
    }
    let class = |(rules, runs): (Vec<usize>, Vec<(u32, u32)>)| Class { services: services(&runs), rules };
    let mut classes: Vec<Class> = members.into_iter().map(class).collect();
    classes.sort_by(|a, b| a.services.cmp(&b.services));
    classes
}

/// The elementary runs of `protocol * 65536 + selector` with the rules that cover each, but for the full ones.
fn sweep(rules: &[PlanRule], full: &BTreeSet<usize>) -> Vec<(u32, u32, BTreeSet<usize>)> {
    let mut events: BTreeMap<u32, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate().filter(|(index, _)| !full.contains(index)) {
        for (low, high) in flat_runs(&rule.services) {
            events.entry(low).or_default().0.push(index);
            events.entry(high + 1).or_default().1.push(index);
        }
    }
    let (mut runs, mut open, mut since) = (Vec::new(), BTreeSet::new(), 0);
    for (at, (begin, end)) in events {
        if !open.is_empty() {
            runs.push((since, at - 1, open.clone()));
        }
        end.iter().for_each(|index| {
            open.remove(index);
        });
        open.extend(begin);
        since = at;
    }
    runs
}

/// Disjoint, non-adjacent runs in the flattened space; a rule never ends and begins at one point.
fn flat_runs(services: &ServiceSet) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for Service { protocol, low, high } in services.services() {
        let base = u32::from(protocol.0) << 16;
        let (low, high) = (base | u32::from(low), base | u32::from(high));
        match runs.last_mut() {
            Some(last) if last.1 + 1 == low => last.1 = high,
            _ => runs.push((low, high)),
        }
    }
    runs
}

/// Flat runs as services, cut at the protocols' edges, adjacent ones merged.
fn services(runs: &[(u32, u32)]) -> Vec<Service> {
    let mut list: Vec<Service> = Vec::new();
    for &(low, high) in runs {
        for number in low >> 16..=high >> 16 {
            let (first, last) = (low.max(number << 16), high.min(number << 16 | 0xffff));
            let service = Service::range(Protocol(number as u8), first as u16, last as u16);
            match list.last_mut() {
                Some(before)
                    if before.protocol == service.protocol
                        && before.high.checked_add(1) == Some(service.low) =>
                {
                    before.high = service.high;
                }
                _ => list.push(service),
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use model::{Action, IpSet, SourceLocation};

    use super::*;

    fn rule(services: &[&str]) -> PlanRule {
        PlanRule {
            id: "r".into(),
            action: Action::Allow,
            own: IpSet::full(),
            peers: IpSet::full(),
            services: match services {
                ["any"] => ServiceSet::full(),
                list => ServiceSet::of(list.iter().map(|text| text.parse().unwrap())),
            },
            location: SourceLocation::default(),
        }
    }

    fn check(rules: &[&[&str]], expected: &[(&str, &[usize])]) {
        let rules: Vec<PlanRule> = rules.iter().map(|services| rule(services)).collect();
        let found: Vec<(String, Vec<usize>)> = classes(&rules)
            .into_iter()
            .map(|class| {
                let names: Vec<String> = class.services.iter().map(ToString::to_string).collect();
                (names.join(" "), class.rules)
            })
            .collect();
        let expected: Vec<(String, Vec<usize>)> =
            expected.iter().map(|(names, rules)| ((*names).to_owned(), rules.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn services_with_the_same_rules_share_a_class() {
        check(&[&["tcp/80", "tcp/443"]], &[("tcp/80 tcp/443", &[0])]);
        check(
            &[&["tcp/80-90"], &["tcp/85"], &["any"]],
            &[("tcp/80-84 tcp/86-90", &[0, 2]), ("tcp/85", &[0, 1, 2])],
        );
        check(&[&["tcp"], &["tcp/65535"]], &[("tcp/0-65534", &[0]), ("tcp/65535", &[0, 1])]);
        check(&[&["ip255", "ip254"], &["any"]], &[("ip254 ip255", &[0, 1])]);
        check(&[&["any"]], &[]);
    }
}
