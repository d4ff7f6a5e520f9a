//! Exact sets of traffic.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

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

impl serde::Serialize for Packet {
    /// `{"source", "destination", "service"}`, as people write them.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut packet = serializer.serialize_struct("Packet", 3)?;
        packet.serialize_field("source", &self.source)?;
        packet.serialize_field("destination", &self.destination)?;
        packet.serialize_field("service", &Service::new(self.protocol, self.selector))?;
        packet.end()
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

    /// The union of many sets. Costs about `n log n` in the boundaries of the sets, and follows the number of
    /// distinct kinds of sources and destinations rather than that of addresses.
    pub fn union_all(sets: impl IntoIterator<Item = Self>) -> Self {
        let sets: Vec<Self> = sets.into_iter().collect();
        Self::union_many(&sets.iter().collect::<Vec<_>>())
    }

    /// All traffic between every two addresses between which there is any in this set.
    pub fn on_any_service(&self) -> Self {
        let full = Arc::new(ServiceSet::full());
        let widen = |inner: &Arc<ByDestination>| Arc::new(inner.replace(|_| Arc::clone(&full)));
        Self { by_source: self.by_source.replace(widen) }
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
    fn union_many(items: &[&Self]) -> Self {
        let maps: Vec<_> = items.iter().map(|set| &set.by_source).collect();
        Self { by_source: IntervalMap::union_many(&maps) }
    }
}

impl std::fmt::Display for TrafficSet {
    /// One line for each group of sources that can do the same: `SOURCES -> DESTINATIONS: SERVICES`, with
    /// destinations of the same services together; `nothing` for the empty set. Without a final line break.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        let mut first = true;
        for (sources, inner) in grouped(self.by_source.runs()) {
            for (destinations, services) in grouped(inner.runs()) {
                if !first {
                    f.write_str("\n")?;
                }
                first = false;
                write!(f, "{sources} -> {destinations}: {}", **services)?;
            }
        }
        Ok(())
    }
}

/// Keys of equal regions together, in order of each group's least key.
fn grouped<R: Eq + std::hash::Hash>(runs: &[(Ip, Ip, R)]) -> Vec<(IpSet, &R)> {
    let mut index: HashMap<&R, usize, FixedState> = HashMap::default();
    let mut groups: Vec<(Vec<(Ip, Ip)>, &R)> = Vec::new();
    for (low, high, region) in runs {
        let at = *index.entry(region).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((keys, _)) => keys.push((*low, *high)),
            None => groups.push((vec![(*low, *high)], region)),
        }
    }
    groups.into_iter().map(|(keys, region)| (IpSet::from_ranges(keys), region)).collect()
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
