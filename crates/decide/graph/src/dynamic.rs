//! Dynamic ports: one service that answers on a new port each time (passive FTP data, RPC, media streams).
//!
//! Evidence is pooled over all clients of one server and protocol: distinct ports above 1023, each used only once or a
//! few times. A fixed service is used again on its port, so `n` connections spread over nearly `n` ports speak against
//! it: with `D` distinct ports in `F` flows, the ports are dynamic when `D` reaches the options' bar and `D >= F / 2`.
//! Well-used ports are not part of the pool and keep their own edges; the range stops short of them.
//!
//! The range that such ports are drawn from is wider than what was seen. With `D` draws without replacement from a
//! uniform range, the mean gap between neighbours, `(high - low) / (D - 1)`, estimates how far it goes on at each end
//! (the German tank problem; Goodman, "Serial number analysis", JASA 1952). The range is widened by that gap.

use std::collections::BTreeMap;

use model::{Protocol, Service};

use crate::assemble::{BuildOptions, Draft, sort_and_merge};

/// Flows on one port of one server, over all clients, up to which it may be dynamic.
const FLOWS_A_PORT_MAX: u64 = 3;

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
    let mut uses: BTreeMap<(u32, Protocol), BTreeMap<u16, (u64, bool)>> = BTreeMap::new();
    for edge in drafts.iter().map(|d| &d.edge) {
        let Service { protocol, low, high } = edge.service;
        let may_be = edge.noise.is_none() && protocol.has_ports() && low == high && low >= 1_024;
        if may_be {
            let (flows, shared) = uses.entry((edge.server, protocol)).or_default().entry(low).or_default();
            *flows = flows.saturating_add(edge.flows);
            *shared |= edge.shared;
        }
    }
    uses.into_iter().filter_map(|(key, ports)| Some((key, pool(key.1, &ports, options)?))).collect()
}

/// The largest run of ports, between those that are well used, that passes the test.
fn pool(protocol: Protocol, uses: &BTreeMap<u16, (u64, bool)>, options: &BuildOptions) -> Option<Pool> {
    let uses: Vec<(u16, u64, bool)> = uses.iter().map(|(port, (f, shared))| (*port, *f, *shared)).collect();
    let fixed = |&(_, flows, shared): &(u16, u64, bool)| flows > FLOWS_A_PORT_MAX || shared;
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
    let flows: u64 = run.iter().map(|(_, flows, _)| flows).sum();
    if length < options.dynamic_ports_min.max(2) || 2 * (length as u64) < flows {
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
