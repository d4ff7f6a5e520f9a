//! What every address and port was seen to be to the others.
//!
//! For each (address, protocol, port) two small sketches count the distinct peers and the distinct remote ports, each
//! a bitmap of 64 bits read by linear counting (Whang, Vander-Zanden and Taylor, "A linear-time probabilistic counting
//! algorithm", ACM TODS 1990): exact to a few percent up to some dozens, saturated near 270, which is all the evidence
//! that a direction needs. When the table is full, the entries with least evidence go first, and the bar rises until
//! there is room, after lossy counting (Manku and Motwani, VLDB 2002).

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use model::{FlowBatch, Ip, Protocol, RollupRow, Service};

use crate::ports;

/// First port of the range that Linux takes for clients (32768-60999).
const EPHEMERAL: u16 = 32_768;
/// Entries before the least telling are dropped: the table then holds 40 MB.
const ENTRIES_MAX: usize = 900_000;
/// Bits that an entry must have to survive a pruning, if that makes room enough: one peer on one port sets two.
const BAR_MIN: u32 = 3;
/// Distinct remote ports that one row of sums may stand for.
const PORTS_OF_A_ROW: u64 = 8;
/// Slots for pairs of addresses whose decided conversations are remembered: 2 MB.
const PAIRS: usize = 1 << 18;
/// Beyond so many votes a habit is no surer.
const VOTES_MAX: i16 = 64;

/// Evidence about who serves, gathered from every flow. Bounded: at most 900,000 address-and-port entries and as
/// many address pairs as fit 2 MB, together about 60 MB, whatever the traffic.
#[derive(Clone, Debug)]
pub struct ServiceTable {
    endpoints: HashMap<EndpointKey, Seen, FixedState>,
    pairs: Vec<Pair>,
    hasher: FixedState,
    /// By protocol (TCP, others) and port: 64 bits of the hosts that were asked on it.
    served: Vec<u64>,
    entries_max: usize,
}

/// A pair of addresses, by its hash, and how often the lower asked less how often the higher did.
#[derive(Clone, Copy, Default, Debug)]
struct Pair {
    tag: u32,
    votes: i16,
}

/// What reached one address and port: 0 for nobody.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Breadth {
    /// `ln` of the distinct remote ports.
    pub(crate) ports: f32,
    /// `ln` of the distinct peers.
    pub(crate) peers: f32,
    /// 1 where it asked for services that are known by name, otherwise 0.
    pub(crate) asked: f32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EndpointKey {
    high: u64,
    low: u64,
    service: u32,
}

impl EndpointKey {
    pub(crate) fn new(ip: Ip, protocol: u8, port: u16) -> Self {
        Self {
            high: (ip.0 >> 64) as u64,
            low: ip.0 as u64,
            service: u32::from(protocol) << 16 | u32::from(port),
        }
    }
}

#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    peers: u64,
    ports: u64,
    /// It asked for services that are known by name.
    asked: bool,
}

impl Default for ServiceTable {
    fn default() -> Self {
        Self::new()
    }
}

impl ServiceTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::with_entries_max(ENTRIES_MAX)
    }

    fn with_entries_max(entries_max: usize) -> Self {
        Self {
            endpoints: HashMap::with_hasher(FixedState::with_seed(0x5265_6e74)),
            pairs: vec![Pair::default(); PAIRS],
            hasher: FixedState::with_seed(0x5061_6972),
            served: vec![0; 2 << 16],
            entries_max,
        }
    }

    /// Address-and-port entries held now.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Learns from every flow of a batch, whatever its direction. Call it before [`crate::orient`] on the same batch.
    pub fn learn(&mut self, batch: &FlowBatch) {
        for row in 0..batch.len() {
            let protocol = batch.protocol[row];
            if batch.present[row] & FlowBatch::HAS_PORTS == 0 || !Protocol(protocol).has_ports() {
                continue;
            }
            let (src, dst) = (batch.src[row], batch.dst[row]);
            let (from, to) = (batch.src_port[row], batch.dst_port[row]);
            // A port that was handed out to ask a known service need not be remembered: it will not be asked.
            match ports::plain(from, to) {
                0 => {
                    self.witness(dst, protocol, to, src, from);
                    self.witness(src, protocol, from, dst, to);
                }
                1 => {
                    self.witness(dst, protocol, to, src, from);
                    self.vote(src, dst, true);
                }
                _ => {
                    self.witness(src, protocol, from, dst, to);
                    self.vote(src, dst, false);
                }
            }
        }
    }

    /// Learns from what earlier flows were summed to. Their remote ports are gone: each flow stands for one, up to a few.
    pub(crate) fn learn_row(&mut self, row: &RollupRow) {
        let Service { protocol, low, .. } = row.service;
        if !protocol.has_ports() {
            return;
        }
        let flows = row.flows.max(row.reverse_flows).clamp(1, PORTS_OF_A_ROW) as u16;
        for flow in 0..flows {
            // Any port that systems hand out to clients, one for each client and flow.
            let port = EPHEMERAL + ((row.client.0 as u16).wrapping_mul(31).wrapping_add(flow) & 0x7fff);
            self.witness(row.server, protocol.0, low, row.client, port);
        }
        if ports::plain(u16::MAX, low) != 0 {
            self.vote(row.client, row.server, true);
        }
    }

    /// Counts one remote side for an address and port. Remote ports below the own port and below the ephemeral range
    /// do not count: a scanner's one source port meets many hosts and ports too, and would look like a busy server.
    fn witness(&mut self, ip: Ip, protocol: u8, port: u16, peer: Ip, peer_port: u16) {
        let asks = ports::asks_by_name(port, peer_port);
        if (peer_port < port && peer_port < EPHEMERAL && !asks) || ip.0 == 0 {
            return;
        }
        if self.endpoints.len() >= self.entries_max {
            self.prune();
        }
        let seen = self.endpoints.entry(EndpointKey::new(ip, protocol, port)).or_default();
        let folded = (peer.0 ^ (peer.0 >> 64)) as u64;
        if asks {
            seen.asked = true;
            return;
        }
        seen.peers |= bit(folded);
        seen.ports |= bit(u64::from(peer_port) | 1 << 32);
        if seen.ports.count_ones() > 1 {
            let host = (ip.0 ^ (ip.0 >> 64)) as u64;
            self.served[served_index(protocol, port)] |= bit(host);
        }
    }

    /// `ln(1 + n)` of the hosts that were asked on a port by several remote ports.
    pub(crate) fn elsewhere(&self, protocol: u8, port: u16) -> f32 {
        (1.0 + self.served[served_index(protocol, port)].count_ones() as f32).ln()
    }

    /// Each slot is the majority vote of Boyer and Moore ("MJRTY", 1991) over the pairs that fall into it: who comes
    /// often stays, and a pair whose slot another holds has no habit.
    fn vote(&mut self, src: Ip, dst: Ip, src_asks: bool) {
        let (at, tag, same) = self.slot(src, dst);
        let step: i16 = if src_asks == same { 1 } else { -1 };
        let slot = &mut self.pairs[at];
        if slot.tag == tag {
            slot.votes = (slot.votes + step).clamp(-VOTES_MAX, VOTES_MAX);
        } else if slot.votes == 0 {
            *slot = Pair { tag, votes: step };
        } else {
            slot.votes -= slot.votes.signum();
        }
    }

    /// Slot and tag of a pair of addresses, the same for both directions, and whether the source is the lower.
    fn slot(&self, src: Ip, dst: Ip) -> (usize, u32, bool) {
        let same = src <= dst;
        let pair = if same { (src.0, dst.0) } else { (dst.0, src.0) };
        let hash = self.hasher.hash_one(pair);
        ((hash >> 32) as usize % PAIRS, hash as u32, same)
    }

    fn prune(&mut self) {
        // Each pruning begins anew: a bar that only rose would in the end stand above what any server can have.
        let mut bar = BAR_MIN;
        while self.endpoints.len() > self.entries_max / 4 * 3 {
            self.endpoints.retain(|_, seen| seen.peers.count_ones() + seen.ports.count_ones() >= bar);
            bar += 1;
        }
    }

    /// What reached one address and port.
    pub(crate) fn fan_in(&self, ip: Ip, protocol: u8, port: u16) -> Breadth {
        match self.endpoints.get(&EndpointKey::new(ip, protocol, port)) {
            Some(seen) => Breadth {
                ports: LOG_COUNT[seen.ports.count_ones() as usize],
                peers: LOG_COUNT[seen.peers.count_ones() as usize],
                asked: f32::from(u8::from(seen.asked)),
            },
            None => Breadth::default(),
        }
    }

    /// From -1 to 1, how the plain conversations of the same two addresses speak for the source asking.
    pub(crate) fn pair_habit(&self, src: Ip, dst: Ip) -> f32 {
        let (at, tag, same) = self.slot(src, dst);
        let slot = self.pairs[at];
        let votes = if slot.tag == tag { f32::from(slot.votes) } else { 0.0 };
        let habit = votes / (votes.abs() + 1.0);
        if same { habit } else { -habit }
    }
}

fn served_index(protocol: u8, port: u16) -> usize {
    usize::from(protocol != Protocol::TCP.0) << 16 | usize::from(port)
}

/// One of 64 bits by a multiplicative hash (Fibonacci hashing, Knuth TAOCP 3, 6.4).
fn bit(value: u64) -> u64 {
    let mixed = (value ^ (value >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 << (mixed >> 58)
}

/// `ln` of the linear-counting estimate for a bitmap with so many bits set; at least 0, and capped where it saturates.
static LOG_COUNT: [f32; 65] = [
    0.0, 0.008, 0.709, 1.123, 1.418, 1.65, 1.841, 2.003, 2.145, 2.272, 2.386, 2.491, 2.587, 2.676, 2.76,
    2.839, 2.913, 2.984, 3.051, 3.115, 3.177, 3.237, 3.294, 3.35, 3.404, 3.456, 3.507, 3.557, 3.606, 3.654,
    3.701, 3.747, 3.792, 3.837, 3.881, 3.925, 3.969, 4.012, 4.054, 4.097, 4.14, 4.182, 4.225, 4.267, 4.31,
    4.353, 4.397, 4.441, 4.486, 4.531, 4.577, 4.625, 4.674, 4.725, 4.777, 4.833, 4.891, 4.953, 5.021, 5.095,
    5.179, 5.277, 5.402, 5.584, 5.9,
];

#[cfg(test)]
mod tests {
    use super::*;
    use model::Flow;

    fn flow(src: u32, from: u16, dst: u32, to: u16) -> Flow {
        Flow {
            src: Ip::v4(src),
            dst: Ip::v4(dst),
            protocol: 6,
            src_port: from,
            dst_port: to,
            present: FlowBatch::HAS_PORTS,
            ..Flow::default()
        }
    }

    #[test]
    fn the_table_of_logarithms_is_linear_counting() {
        for (bits, log) in LOG_COUNT.iter().enumerate().take(64).skip(1) {
            let estimate = -64.0 * (1.0 - bits as f64 / 64.0).ln();
            assert!((estimate.ln() - f64::from(*log)).abs() < 0.001, "{bits}: {} {log}", estimate.ln());
        }
    }

    #[test]
    fn a_server_gathers_evidence_and_a_scanner_does_not() {
        let mut table = ServiceTable::new();
        let mut batch = FlowBatch::new("test");
        for n in 0..50 {
            batch.push(flow(n, 40_000 + n as u16, 1_000, 8_240));
            batch.push(flow(2_000, 54_321, 3_000 + n, 1 + n as u16));
        }
        table.learn(&batch);
        assert!(table.fan_in(Ip::v4(1_000), 6, 8_240).ports > 3.0);
        assert_eq!(table.fan_in(Ip::v4(2_000), 6, 54_321).ports, 0.0);
        assert!(table.pair_habit(Ip::v4(2_000), Ip::v4(3_000)) > 0.0);
        assert!(table.pair_habit(Ip::v4(3_000), Ip::v4(2_000)) < 0.0);
    }

    #[test]
    fn memory_stays_bounded_and_busy_services_survive() {
        let mut table = ServiceTable::with_entries_max(1_000);
        let mut batch = FlowBatch::new("test");
        for n in 0..20_000_u32 {
            batch.push(flow(n, 40_000, n ^ 0xffff, 50_000));
            batch.push(flow(n % 90, 40_000 + (n % 9_000) as u16, 7, 8_240));
        }
        table.learn(&batch);
        assert!(table.len() <= 1_000);
        assert!(table.fan_in(Ip::v4(7), 6, 8_240).ports > 3.0);
    }

    #[test]
    fn a_busy_service_survives_however_often_the_table_fills() {
        let mut table = ServiceTable::with_entries_max(100);
        let mut server = FlowBatch::new("test");
        (0..90).for_each(|n| server.push(flow(n, 40_000 + n as u16, 7, 8_240)));
        table.learn(&server);
        for round in 0..300_u32 {
            let mut noise = FlowBatch::new("test");
            (0..100).for_each(|n| {
                noise.push(flow(round * 1_000 + n, 40_000, 0x0a00_0000 + round * 1_000 + n, 50_000))
            });
            table.learn(&noise);
            assert!(table.fan_in(Ip::v4(7), 6, 8_240).ports > 3.0, "round {round}");
        }
    }
}
