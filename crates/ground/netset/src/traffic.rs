//! Exact sets of traffic.

use std::sync::Arc;

use crate::ip::{Ip, IpSet};
use crate::map::{IntervalMap, Region};
use crate::service::{Protocol, Service, ServiceSet};

/// One packet's worth of the space, as a witness or a query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Packet {
    /// Who opens the conversation.
    pub source: Ip,
    /// Who is asked.
    pub destination: Ip,
    /// The protocol.
    pub protocol: Protocol,
    /// Destination port, or ICMP `type * 256 + code`.
    pub selector: u16,
}

impl std::fmt::Display for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let service = Service::new(self.protocol, self.selector);
        write!(f, "{} -> {} {service}", self.source, self.destination)
    }
}

type ByDestination = IntervalMap<Ip, Arc<ServiceSet>>;

/// A set of traffic: source x destination x service, of conversations' first packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrafficSet {
    by_source: IntervalMap<Ip, Arc<ByDestination>>,
}

impl TrafficSet {
    /// All traffic.
    pub fn full() -> Self {
        Self::product(&IpSet::full(), &IpSet::full(), &ServiceSet::full())
    }

    /// Everything from any of the sources to any of the destinations on any of the services.
    pub fn product(sources: &IpSet, destinations: &IpSet, services: &ServiceSet) -> Self {
        let inner = ByDestination::product(destinations, &Arc::new(services.clone()));
        Self { by_source: IntervalMap::product(sources, &Arc::new(inner)) }
    }

    /// The union of many sets, in a balanced tree: `n` small sets cost about `n log n`.
    pub fn union_all(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut level: Vec<Self> = sets.into_iter().collect();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => a.union(b),
                    rest => rest.first().cloned().unwrap_or_default(),
                })
                .collect();
        }
        level.pop().unwrap_or_default()
    }

    /// Whether a packet is in the set. `O(log n)`.
    pub fn contains(&self, packet: &Packet) -> bool {
        self.services(packet.source, packet.destination)
            .is_some_and(|services| services.has(packet.protocol, packet.selector))
    }

    /// The services from one address to another.
    pub fn services(&self, source: Ip, destination: Ip) -> Option<&ServiceSet> {
        self.by_source.get(source)?.get(destination).map(|services| &**services)
    }

    /// The least packet of the set.
    pub fn witness(&self) -> Option<Packet> {
        let (source, _, inner) = self.by_source.runs().first()?;
        let (destination, _, services) = inner.runs().first()?;
        let (protocol, _, selectors) = services.runs().first()?;
        Some(Packet {
            source: *source,
            destination: *destination,
            protocol: Protocol(*protocol),
            selector: selectors.first()?,
        })
    }

    /// The disjoint boxes `(sources, destinations, services)` that make up the set, sorted.
    pub fn boxes(&self) -> impl Iterator<Item = ((Ip, Ip), (Ip, Ip), &ServiceSet)> {
        self.by_source.runs().iter().flat_map(|(low, high, inner)| {
            inner.runs().iter().map(move |(from, to, services)| ((*low, *high), (*from, *to), &**services))
        })
    }
}

impl Region for TrafficSet {
    fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }
    fn union(&self, other: &Self) -> Self {
        Self { by_source: self.by_source.union(&other.by_source) }
    }
    fn intersect(&self, other: &Self) -> Self {
        Self { by_source: self.by_source.intersect(&other.by_source) }
    }
    fn subtract(&self, other: &Self) -> Self {
        Self { by_source: self.by_source.subtract(&other.by_source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(source: &str, destination: &str, service: &str) -> TrafficSet {
        let block = |text: &str| text.parse::<crate::Prefix>().unwrap().to_set();
        TrafficSet::product(&block(source), &block(destination), &ServiceSet::of([service.parse().unwrap()]))
    }

    #[test]
    fn equal_sets_have_equal_form() {
        let halves = product("10.0.0.0/25", "10.1.0.0/16", "tcp/1-10").union(&product(
            "10.0.0.128/25",
            "10.1.0.0/16",
            "tcp/1-10",
        ));
        assert_eq!(halves, product("10.0.0.0/24", "10.1.0.0/16", "tcp/1-10"));
    }

    #[test]
    fn difference_names_a_witness() {
        let wide = product("10.0.0.0/8", "10.1.0.0/16", "tcp");
        let narrow = product("10.0.0.0/8", "10.1.0.0/16", "tcp/1-65535");
        let packet = wide.subtract(&narrow).witness().unwrap();
        assert_eq!(packet.to_string(), "10.0.0.0 -> 10.1.0.0 tcp/0");
        assert!(wide.contains(&packet) && !narrow.contains(&packet));
        assert!(narrow.is_subset(&wide) && !wide.is_subset(&narrow));
    }
}
