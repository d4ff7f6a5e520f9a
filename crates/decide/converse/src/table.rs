//! What every address and port was seen to be to the others.
//!
//! For each (address, protocol, port) two small sketches count the distinct peers and the distinct remote ports, each
//! a bitmap of 64 bits read by linear counting (Whang, Vander-Zanden and Taylor, "A linear-time probabilistic counting
//! algorithm", ACM TODS 1990): exact to a few percent up to some dozens, saturated near 270, which is all the evidence
//! that a direction needs. When the table is full, the entries with least evidence go first, and the bar rises until
//! there is room, after lossy counting (Manku and Motwani, VLDB 2002).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{FlowBatch, Ip, Protocol};

use crate::ports::{self, EPHEMERAL};

/// Entries before the least telling are dropped: the table then holds 40 MB.
const ENTRIES_MAX: usize = 900_000;
/// Bits that an entry must have to survive a pruning, if that makes room enough: one peer on one port sets two.
const BAR_MIN: u32 = 3;
/// Pairs of addresses whose decided conversations are remembered: 12 MB.
const PAIRS_MAX: usize = 220_000;
/// Difference in the ports' scores from which a flow alone decides, and may witness for its pair of addresses.
const DECISIVE: f32 = 3.0;

/// Evidence about who serves, gathered from every flow. Bounded: at most 900,000 address-and-port entries and 220,000
/// address pairs, together about 60 MB, whatever the traffic.
#[derive(Clone, Debug)]
pub struct ServiceTable {
    endpoints: HashMap<EndpointKey, Seen, FixedState>,
    pairs: HashMap<(u128, u128), i32, FixedState>,
    entries_max: usize,
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
            pairs: HashMap::with_hasher(FixedState::with_seed(0x5061_6972)),
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
            self.witness(dst, protocol, to, src, from);
            self.witness(src, protocol, from, dst, to);
            let margin = ports::score(to) - ports::score(from);
            if margin.abs() >= DECISIVE {
                self.vote(src, dst, margin > 0.0);
            }
        }
    }

    /// Counts one remote side for an address and port. Remote ports below the own port and below the ephemeral range
    /// do not count: a scanner's one source port meets many hosts and ports too, and would look like a busy server.
    fn witness(&mut self, ip: Ip, protocol: u8, port: u16, peer: Ip, peer_port: u16) {
        if (peer_port < port && peer_port < EPHEMERAL) || ip.0 == 0 {
            return;
        }
        if self.endpoints.len() >= self.entries_max {
            self.prune();
        }
        let seen = self.endpoints.entry(EndpointKey::new(ip, protocol, port)).or_default();
        let folded = (peer.0 ^ (peer.0 >> 64)) as u64;
        seen.peers |= bit(folded);
        seen.ports |= bit(u64::from(peer_port) | 1 << 32);
    }

    fn vote(&mut self, src: Ip, dst: Ip, src_asks: bool) {
        let (key, asks) = pair(src, dst, src_asks);
        let step = if asks { 1 } else { -1 };
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            return;
        }
        let votes = self.pairs.entry(key).or_default();
        *votes = (*votes + step).clamp(-64, 64);
    }

    fn prune(&mut self) {
        // Each pruning begins anew: a bar that only rose would in the end stand above what any server can have.
        let mut bar = BAR_MIN;
        while self.endpoints.len() > self.entries_max / 4 * 3 {
            self.endpoints.retain(|_, seen| seen.peers.count_ones() + seen.ports.count_ones() >= bar);
            bar += 1;
        }
    }

    /// Log odds for "this side serves" from the breadth of what reached it: 0 for nobody or one remote port.
    pub(crate) fn fan_in(&self, ip: Ip, protocol: u8, port: u16) -> f32 {
        match self.endpoints.get(&EndpointKey::new(ip, protocol, port)) {
            Some(seen) => {
                1.2 * LOG_COUNT[seen.ports.count_ones() as usize]
                    + 0.8 * LOG_COUNT[seen.peers.count_ones() as usize]
            }
            None => 0.0,
        }
    }

    /// Log odds for "the source asks", from the decided conversations of the same two addresses.
    pub(crate) fn pair_habit(&self, src: Ip, dst: Ip) -> f32 {
        let (key, same) = pair(src, dst, true);
        let votes = self.pairs.get(&key).copied().unwrap_or(0) as f32;
        let habit = 3.0 * votes / (votes.abs() + 1.0);
        if same { habit } else { -habit }
    }
}

/// The pair in one order for both directions, and the statement turned to fit it.
fn pair(src: Ip, dst: Ip, src_asks: bool) -> ((u128, u128), bool) {
    if src <= dst { ((src.0, dst.0), src_asks) } else { ((dst.0, src.0), !src_asks) }
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
        assert!(table.fan_in(Ip::v4(1_000), 6, 8_240) > 5.0);
        assert_eq!(table.fan_in(Ip::v4(2_000), 6, 54_321), 0.0);
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
        assert!(table.fan_in(Ip::v4(7), 6, 8_240) > 5.0);
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
            assert!(table.fan_in(Ip::v4(7), 6, 8_240) > 5.0, "round {round}");
        }
    }
}
