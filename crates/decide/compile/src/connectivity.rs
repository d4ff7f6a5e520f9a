//! Who can reach whom on what, once both ends' rules are taken together.

use std::collections::{BTreeMap, BTreeSet};

use model::{Ip, IpSet, Region, ServiceSet, TrafficSet, WorkloadId};
use netset::Point;

use crate::carried;
use crate::target::{Peer, ReadBack};

/// One ordered pair.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Connectivity {
    /// Who asks: a workload's id, or a range of other addresses as `first-last`.
    pub src: String,
    /// Who is asked.
    pub dst: String,
    /// `TCP 80,443;UDP 53`, `All Connections` or `No Connections`.
    pub connections: String,
}

/// The effective connectivity between every two peers, and between each peer and the ranges of other addresses that
/// the rules tell apart; sorted. What leaves must be let out by the source's rules and let in by the destination's; a
/// peer without rules lets everything through. IPv6 ranges are listed when some peer has an IPv6 address.
///
/// Costs the product of the peers: meant for hundreds of them.
pub fn connectivity(rules: &[ReadBack], peers: &[Peer]) -> Vec<Connectivity> {
    let by_workload: BTreeMap<&WorkloadId, &ReadBack> =
        rules.iter().filter_map(|back| Some((back.workload.as_ref()?, back))).collect();
    let ends: Vec<End> =
        peers.iter().map(|peer| End::new(peer, by_workload.get(&peer.workload).copied())).collect();
    let mut rows = Vec::new();
    for source in &ends {
        for destination in ends.iter().filter(|destination| destination.name != source.name) {
            let both = source.out.intersect(&destination.into);
            let services = between(&both, &source.addresses, &destination.addresses);
            rows.push(row(&source.name, &destination.name, &services));
        }
    }
    for (range, to, from) in outside(&ends) {
        for (end, (to, from)) in ends.iter().zip(to.iter().zip(&from)) {
            rows.push(row(&range, &end.name, to));
            rows.push(row(&end.name, &range, from));
        }
    }
    rows.sort();
    rows
}

struct End {
    name: String,
    addresses: IpSet,
    into: TrafficSet,
    out: TrafficSet,
}

impl End {
    fn new(peer: &Peer, rules: Option<&ReadBack>) -> Self {
        let (all, addresses) = (IpSet::full(), &peer.addresses);
        let unruled =
            |sources, destinations| carried(&TrafficSet::product(sources, destinations, &ServiceSet::full()));
        Self {
            name: peer.workload.0.clone(),
            addresses: addresses.clone(),
            into: rules.map_or_else(|| unruled(&all, addresses), |rules| rules.ingress.clone()),
            out: rules.map_or_else(|| unruled(addresses, &all), |rules| rules.egress.clone()),
        }
    }
}

/// The services from any of some addresses to any of others.
fn between(traffic: &TrafficSet, sources: &IpSet, destinations: &IpSet) -> ServiceSet {
    let within = traffic.intersect(&TrafficSet::product(sources, destinations, &ServiceSet::full()));
    within.boxes().fold(ServiceSet::default(), |all, (_, _, services)| all.union(services))
}

/// A range with the services to and from each of the ends, in their order.
type Outside = (String, Vec<ServiceSet>, Vec<ServiceSet>);

/// The addresses that are nobody's, cut where some rule tells them apart.
fn outside(ends: &[End]) -> Vec<Outside> {
    let owned = ends.iter().fold(IpSet::default(), |all, end| all.union(&end.addresses));
    let mut families = vec![IpSet::all_v4()];
    if !owned.is_disjoint(&IpSet::all_v6()) {
        families.push(IpSet::all_v6());
    }
    // First addresses of the elementary ranges.
    let mut cuts = BTreeSet::new();
    for end in ends {
        let others = end.into.boxes().map(|(sources, ..)| sources);
        for (low, high) in others.chain(end.out.boxes().map(|(_, destinations, _)| destinations)) {
            cuts.insert(low);
            cuts.extend(high.next());
        }
    }
    let mut list: Vec<(Ip, Ip, Vec<ServiceSet>, Vec<ServiceSet>)> = Vec::new();
    for (low, high) in families.iter().flat_map(|family| family.subtract(&owned).runs().to_vec()) {
        let inner: Vec<Ip> = cuts.range(low..=high).copied().filter(|cut| *cut > low).collect();
        let starts = std::iter::once(low).chain(inner.iter().copied());
        let stops = inner.iter().filter_map(|cut| cut.prev()).chain(std::iter::once(high));
        for (start, stop) in starts.zip(stops) {
            let one = IpSet::single(start);
            let to = ends.iter().map(|end| between(&end.into, &one, &end.addresses)).collect();
            let from = ends.iter().map(|end| between(&end.out, &end.addresses, &one)).collect();
            match list.last_mut() {
                Some((_, last, before, after))
                    if last.next() == Some(start)
                        && last.is_v4() == start.is_v4()
                        && *before == to
                        && *after == from =>
                {
                    *last = stop;
                }
                _ => list.push((start, stop, to, from)),
            }
        }
    }
    list.into_iter().map(|(low, high, to, from)| (format!("{low}-{high}"), to, from)).collect()
}

fn row(src: &str, dst: &str, services: &ServiceSet) -> Connectivity {
    Connectivity { src: src.to_owned(), dst: dst.to_owned(), connections: connections(services) }
}

/// A set of services as `TCP 80,443;UDP 53`, protocols in alphabetical order.
fn connections(services: &ServiceSet) -> String {
    if services.is_empty() {
        return "No Connections".into();
    }
    // Between two addresses there is never the other family's ICMP: its absence is no restriction.
    let icmp = ServiceSet::of([model::Service::all(model::Protocol::ICMP)]);
    let icmpv6 = ServiceSet::of([model::Service::all(model::Protocol::ICMPV6)]);
    if services.union(&icmp).is_full() || services.union(&icmpv6).is_full() {
        return "All Connections".into();
    }
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for service in services.services() {
        let text = service.to_string();
        let (name, selectors) = match text.split_once('/') {
            Some((name, selectors)) => (name, selectors),
            // Port 0 is not one that anybody writes.
            None if service.protocol.has_ports() => (text.as_str(), "1-65535"),
            None => (text.as_str(), ""),
        };
        by_name.entry(name.to_uppercase()).or_default().push(selectors.to_owned());
    }
    let print = |(name, selectors): (String, Vec<String>)| {
        format!("{name} {}", selectors.join(",")).trim_end().to_owned()
    };
    by_name.into_iter().map(print).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use model::{Labels, Mode, Prefix};

    use super::*;

    fn set(text: &str) -> IpSet {
        text.parse::<Prefix>().unwrap().to_set()
    }

    fn services(text: &str) -> ServiceSet {
        ServiceSet::of(text.split(' ').map(|word| word.parse().unwrap()))
    }

    #[test]
    fn both_ends_must_agree() {
        let peer = |id: &str, own: &str| Peer {
            workload: WorkloadId(id.into()),
            labels: Labels::new(),
            addresses: set(own),
        };
        let peers = [peer("web", "10.0.0.1"), peer("db", "10.0.0.2"), peer("free", "10.0.0.3")];
        let back = |id: &str, ingress: TrafficSet, egress: TrafficSet| ReadBack {
            workload: Some(WorkloadId(id.into())),
            mode: Mode::Enforce,
            ingress,
            egress,
            rules: Vec::new(),
            floor: Vec::new(),
        };
        let (web, db) = (set("10.0.0.1"), set("10.0.0.2"));
        let rules = [
            back(
                "web",
                TrafficSet::product(&set("0.0.0.0/1"), &web, &services("tcp/80 tcp/443 udp/53")),
                TrafficSet::product(&web, &db, &services("tcp/5432 tcp/22")),
            ),
            back("db", TrafficSet::product(&web, &db, &services("tcp/5432 icmp/8")), TrafficSet::default()),
        ];
        let rows = connectivity(&rules, &peers);
        let found = |src: &str, dst: &str| {
            rows.iter().find(|row| row.src == src && row.dst == dst).map(|row| row.connections.as_str())
        };
        assert_eq!(found("web", "db"), Some("TCP 5432"));
        assert_eq!(found("db", "web"), Some("No Connections"));
        assert_eq!(found("free", "web"), Some("TCP 80,443;UDP 53"));
        assert_eq!(found("free", "db"), Some("No Connections"));
        assert_eq!(found("128.0.0.0-255.255.255.255", "web"), Some("No Connections"));
        assert_eq!(found("128.0.0.0-255.255.255.255", "free"), Some("All Connections"));
        assert_eq!(found("0.0.0.0-10.0.0.0", "web"), Some("TCP 80,443;UDP 53"));
        assert_eq!(rows.len(), 6 + 3 * 3 * 2);
    }
}
