//! Dynamic ports: the graph says where ports are dynamic, and a rule needs the whole range.
//!
//! The graph collapses the longest run of rarely used ports of a server and stops at the first port that is used more
//! often. Chance alone makes some ports of a range come up more often than others, so a run that ends at such a port is
//! continued here: over single ports of the same servers that are no further away than a few of the range's mean gaps,
//! and that are not used more than Poisson's law allows for a port of the range.

use std::collections::BTreeMap;

use graph::Graph;
use model::{Protocol, Service};

use crate::cells::Cells;

/// A neighbour may be this many mean gaps away: with gaps of exponential length, one in 3,000 is longer.
const GAPS_MAX: f64 = 8.0;
/// A port may be used this many standard deviations more often than the mean port of the range.
const DEVIATIONS_MAX: f64 = 4.0;
/// Ports below are given to servers by name.
const LEAST_PORT: u16 = 1_024;

/// The servers of a cell on one protocol: what ports of theirs are used how often.
#[derive(Default)]
struct Pool {
    /// Ranges that the graph found, each with how many ports were seen in it and how often it was used.
    ranges: Vec<(Service, u64, u64)>,
    /// Single ports, with how often they were used.
    singles: BTreeMap<u16, u64>,
}

/// The service of each taught edge: the whole dynamic range where it lies in one, else as it was seen.
pub(crate) fn services(graph: &Graph, cells: &Cells, taught: &[usize]) -> BTreeMap<usize, Service> {
    let key = |index: usize| {
        let edge = &graph.edges[index];
        (cells.of[edge.server as usize], edge.service.protocol)
    };
    let mut pools: BTreeMap<(usize, Protocol), Pool> = BTreeMap::new();
    for &index in taught {
        let edge = &graph.edges[index];
        let pool = pools.entry(key(index)).or_default();
        if edge.dynamic_ports > 1 {
            pool.ranges.push((edge.service, u64::from(edge.dynamic_ports), edge.flows));
        } else if edge.service.low == edge.service.high && !edge.shared {
            *pool.singles.entry(edge.service.low).or_default() += edge.flows;
        }
    }
    let ranges: BTreeMap<_, Vec<Service>> =
        pools.into_iter().map(|(key, pool)| (key, pool.whole_ranges())).collect();
    let within = |index: usize| {
        let service = graph.edges[index].service;
        let range = ranges.get(&key(index)).and_then(|list| list.iter().find(|range| range.covers(&service)));
        range.copied().unwrap_or(service)
    };
    taught.iter().map(|&index| (index, within(index))).collect()
}

impl Pool {
    fn whole_ranges(mut self) -> Vec<Service> {
        self.ranges.sort_unstable();
        let mut merged: Vec<(Service, u64, u64)> = Vec::new();
        for (service, ports, flows) in self.ranges.drain(..) {
            match merged.last_mut() {
                // Clients of one range repeat its port count, and add to its uses.
                Some((last, count, uses)) if service.low <= last.high => {
                    last.high = last.high.max(service.high);
                    (*count, *uses) = ((*count).max(ports), *uses + flows);
                }
                _ => merged.push((service, ports, flows)),
            }
        }
        let grown = merged.into_iter().map(|(service, ports, flows)| self.grow(service, ports, flows));
        let mut result: Vec<Service> = Vec::new();
        for service in grown {
            match result.last_mut() {
                Some(last) if service.low <= last.high => last.high = last.high.max(service.high),
                _ => result.push(service),
            }
        }
        result
    }

    /// The range with its neighbours on both sides, up to the first port that is too far or too busy.
    fn grow(&self, service: Service, ports: u64, flows: u64) -> Service {
        let ports = ports.max(1) as f64;
        let gap = (f64::from(service.high - service.low) / ports).max(1.0);
        let mean = flows as f64 / ports;
        let busiest = mean + DEVIATIONS_MAX * mean.sqrt();
        let reach = (GAPS_MAX * gap).min(f64::from(u16::MAX)) as u16;
        let widen = gap.ceil() as u16;
        let (mut low, mut high) = (service.low, service.high);
        for (port, uses) in self.singles.range(LEAST_PORT..service.low).rev() {
            if low - port > reach || *uses as f64 > busiest {
                break;
            }
            low = *port;
        }
        for (port, uses) in self.singles.range(service.high..).skip_while(|(port, _)| **port == service.high)
        {
            if port - high > reach || *uses as f64 > busiest {
                break;
            }
            high = *port;
        }
        // A grown end goes on a gap further, as the graph's own do, and stops short of other ports.
        if low < service.low {
            let floor = self.singles.range(..low).next_back().map_or(LEAST_PORT, |(port, _)| port + 1);
            low = low.saturating_sub(widen).max(floor).max(LEAST_PORT);
        }
        if high > service.high {
            let after = self.singles.range(high..).find(|(port, _)| **port > high);
            high = high.saturating_add(widen).min(after.map_or(u16::MAX, |(port, _)| port - 1));
        }
        Service { low, high, ..service }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(singles: &[(u16, u64)]) -> Vec<Service> {
        let range = Service::range(Protocol::TCP, 50_100, 50_139);
        Pool { ranges: vec![(range, 20, 30)], singles: singles.iter().copied().collect() }.whole_ranges()
    }

    #[test]
    fn a_range_goes_on_over_neighbours_that_are_used_as_rarely() {
        // Mean gap 2, mean use 1.5, so up to 6 uses and 15 ports away.
        assert_eq!(
            pool(&[(50_090, 4), (50_080, 1), (50_150, 2)]),
            [Service::range(Protocol::TCP, 50_078, 50_152)]
        );
        assert_eq!(
            pool(&[(50_090, 90), (50_080, 1)]),
            [Service::range(Protocol::TCP, 50_100, 50_139)],
            "too busy"
        );
        assert_eq!(
            pool(&[(50_180, 1), (8_080, 1)]),
            [Service::range(Protocol::TCP, 50_100, 50_139)],
            "too far"
        );
    }
}
