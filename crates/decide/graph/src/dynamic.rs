//! Dynamic ports: one service that answers on a new port each time (passive FTP data, RPC, media streams).
//!
//! Evidence is pooled over all clients of one server and protocol: ports above 1023. Ports that stand out from the
//! pool's median `m` by more than four standard deviations of a Poisson count (`m + 4 sqrt(m) + 3` flows) are
//! well-used services, and so are registered ports (below 32768) that three servers or more answer on; they keep their
//! own edges, and a range stops short of them. Of the ports between them, `D` ports with `F` flows are dynamic in one of
//! two cases:
//!
//! * few flows yet: `D` reaches the options' bar and `D >= F / 2`. A fixed service is used again on its port, so
//!   connections that spread over nearly as many ports speak against one.
//! * many flows: `D` reaches [`EVEN_PORTS_MIN`] and the flows fall on the ports as chance would have it: the index of
//!   dispersion (variance over mean; Fisher, "Statistical methods for research workers", 1925) is near the 1 of a
//!   Poisson count. Fixed services that are polled in turn are far more even, and ordinary ones far less.
//!
//! The range that such ports are drawn from is wider than what was seen. With `D` draws without replacement from a
//! uniform range, the mean gap between neighbours, `(high - low) / (D - 1)`, estimates how far it goes on at each end
//! (the German tank problem; Goodman, "Serial number analysis", JASA 1952). The range is widened by that gap.

use std::collections::{BTreeMap, BTreeSet};

use model::{Protocol, Service};

use crate::assemble::{BuildOptions, Draft, sort_and_merge};

/// Distinct ports from which the evenness of many flows is evidence.
const EVEN_PORTS_MIN: usize = 12;
/// Index of dispersion that chance explains with so many ports; lower and higher ones have a cause.
const DISPERSION: std::ops::RangeInclusive<f64> = 0.3..=2.5;

/// Servers that answer on one registered port before it is a service everywhere: chance draws no port three times.
const COMMON_SERVERS_MIN: usize = 3;
/// First port that systems hand out by themselves.
const HANDED_OUT_MIN: u16 = 32_768;

/// Collapses the dynamic ports of every server to one edge for each client.
pub(crate) fn collapse(drafts: &mut Vec<Draft>, options: &BuildOptions) {
    let ranges = ranges(drafts, options);
    for draft in drafts.iter_mut() {
        let edge = &mut draft.edge;
        if edge.noise.is_some() || edge.service.low != edge.service.high {
            continue;
        }
        let key = (edge.server, edge.service.protocol);
        let Some(pool) = ranges.get(&key) else { continue };
        if pool.ports.binary_search(&edge.service.low).is_ok() {
            edge.service = pool.service;
            edge.dynamic_ports = pool.ports.len() as u32;
        }
    }
    sort_and_merge(drafts);
}

struct Pool {
    service: Service,
    /// Sorted.
    ports: Vec<u16>,
}

fn ranges(drafts: &[Draft], options: &BuildOptions) -> BTreeMap<(u32, Protocol), Pool> {
    let mut servers: BTreeMap<Service, BTreeSet<u32>> = BTreeMap::new();
    for edge in drafts.iter().map(|d| &d.edge).filter(|edge| edge.noise.is_none()) {
        servers.entry(edge.service).or_default().insert(edge.server);
    }
    let common = |service: &Service| {
        service.low < HANDED_OUT_MIN && servers.get(service).is_some_and(|s| s.len() >= COMMON_SERVERS_MIN)
    };
    let mut uses: BTreeMap<(u32, Protocol), BTreeMap<u16, (u64, bool)>> = BTreeMap::new();
    for edge in drafts.iter().map(|d| &d.edge) {
        let Service { protocol, low, high } = edge.service;
        let may_be = edge.noise.is_none() && protocol.has_ports() && low == high && low >= 1_024;
        if may_be {
            let (flows, shared) = uses.entry((edge.server, protocol)).or_default().entry(low).or_default();
            *flows = flows.saturating_add(edge.flows);
            *shared |= edge.shared || common(&edge.service);
        }
    }
    uses.into_iter().filter_map(|(key, ports)| Some((key, pool(key.1, &ports, options)?))).collect()
}

/// Flows above which a port stands out.
fn well_used(mut flows: Vec<u64>) -> f64 {
    flows.sort_unstable();
    let median = flows.get(flows.len() / 2).copied().unwrap_or_default() as f64;
    median + 4.0 * median.sqrt() + 3.0
}

/// Whether the flows on these ports look drawn by chance.
fn is_dynamic(flows: &[u64], options: &BuildOptions) -> bool {
    let (ports, total) = (flows.len(), flows.iter().sum::<u64>());
    if ports < options.dynamic_ports_min.max(2) {
        return false;
    }
    let mean = total as f64 / ports as f64;
    let variance = flows.iter().map(|f| (*f as f64 - mean).powi(2)).sum::<f64>() / (ports - 1) as f64;
    mean <= 2.0 || (ports >= EVEN_PORTS_MIN && DISPERSION.contains(&(variance / mean)))
}

/// The largest run of ports, between those that are well used, that passes the test.
fn pool(protocol: Protocol, uses: &BTreeMap<u16, (u64, bool)>, options: &BuildOptions) -> Option<Pool> {
    let uses: Vec<(u16, u64, bool)> = uses.iter().map(|(port, (f, shared))| (*port, *f, *shared)).collect();
    let bar = well_used(uses.iter().map(|(_, flows, _)| *flows).collect());
    let fixed = |&(_, flows, shared): &(u16, u64, bool)| flows as f64 > bar || shared;
    let mut best: Option<Pool> = None;
    let mut at = 0;
    while at < uses.len() {
        let length = uses[at..].iter().take_while(|u| !fixed(u)).count();
        if let Some(found) = test(protocol, &uses, at, length, options)
            && best.as_ref().is_none_or(|b| b.ports.len() < found.ports.len())
        {
            best = Some(found);
        }
        at += length + 1;
    }
    best
}

fn test(
    protocol: Protocol,
    uses: &[(u16, u64, bool)],
    at: usize,
    length: usize,
    options: &BuildOptions,
) -> Option<Pool> {
    let run = &uses[at..at + length];
    let flows: Vec<u64> = run.iter().map(|(_, flows, _)| *flows).collect();
    if !is_dynamic(&flows, options) {
        return None;
    }
    let (low, high) = (run[0].0, run[length - 1].0);
    let gap = (f64::from(high - low) / (length - 1) as f64).ceil() as u16;
    let floor = at.checked_sub(1).map_or(1_024, |before| uses[before].0 + 1);
    let ceiling = uses.get(at + length).map_or(u16::MAX, |after| after.0 - 1);
    let service =
        Service::range(protocol, low.saturating_sub(gap).max(floor), high.saturating_add(gap).min(ceiling));
    Some(Pool { service, ports: run.iter().map(|(port, _, _)| *port).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_habit() {
        let options = BuildOptions::default();
        let dynamic = |flows: &[u64]| is_dynamic(flows, &options);
        assert!(dynamic(&[1, 1, 2, 1, 1]));
        assert!(!dynamic(&[1, 1, 1, 1]) && !dynamic(&[9, 4, 3, 8, 2]));
        // A passive FTP range after a month: thirty ports, four uses each on average.
        let month =
            [4, 3, 6, 2, 5, 4, 7, 3, 1, 4, 5, 2, 6, 4, 3, 5, 8, 2, 4, 3, 4, 6, 1, 5, 3, 4, 2, 5, 4, 3];
        assert!(dynamic(&month));
        // As many services polled in turn, and as many of all degrees of use.
        assert!(!dynamic(&[40; 30]));
        assert!(!dynamic(&(1..31).map(|n| n * n).collect::<Vec<u64>>()));
        assert_eq!(well_used(vec![1, 1, 1, 1, 30]), 8.0);
    }
}
