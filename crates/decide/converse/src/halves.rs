//! Which conversations were seen from one side only.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use model::FlowBatch;

use crate::ports;

const SYN_ACK: u8 = 0x12;
const BOTH: u8 = 3;
/// An exporter shows both directions when the rarer of them makes up so much of what speaks for itself.
const BOTH_DIRECTIONS_MIN: f32 = 0.1;
/// Fewer plain flows than this tell nothing about the exporter; most show both directions.
const PLAIN_MIN: u32 = 8;

/// The sides that spoke in a batch's flows whose ports do not speak for themselves.
pub(crate) struct Halves {
    hasher: FixedState,
    /// By hash of the connection: bit 0, the lower end spoke; bit 1, the higher; bits 2 and 3, with SYN and ACK.
    spoke: HashMap<u64, u8, FixedState>,
    /// By exporter: plain flows from clients, and from servers.
    plain: Vec<(u32, u32)>,
}

impl Halves {
    pub(crate) fn of(batch: &FlowBatch) -> Self {
        let mut halves = Self {
            hasher: FixedState::with_seed(0x4861_6c76),
            spoke: HashMap::with_hasher(FixedState::with_seed(1)),
            plain: vec![(0, 0); batch.exporters.len() + 1],
        };
        for row in 0..batch.len() {
            if batch.present[row] & FlowBatch::HAS_PORTS == 0 {
                continue;
            }
            let exporter = halves.exporter(batch, row);
            match ports::plain(batch.src_port[row], batch.dst_port[row]) {
                0 => {
                    let (key, side) = halves.key(batch, row);
                    let syn = batch.tcp_flags[row] & SYN_ACK == SYN_ACK;
                    *halves.spoke.entry(key).or_default() |= if syn { side | side << 2 } else { side };
                }
                1 => halves.plain[exporter].0 += 1,
                _ => halves.plain[exporter].1 += 1,
            }
        }
        halves
    }

    /// 1 when the other side was not heard though it could have been, 0 otherwise.
    pub(crate) fn one_sided(&self, batch: &FlowBatch, row: usize) -> f32 {
        if batch.present[row] & FlowBatch::HAS_REVERSE != 0 {
            return f32::from(u8::from(batch.reverse_packets[row] == 0 && batch.reverse_bytes[row] == 0));
        }
        let (asked, answered) = self.plain[self.exporter(batch, row)];
        let rarer = asked.min(answered) as f32;
        if asked + answered >= PLAIN_MIN && rarer < BOTH_DIRECTIONS_MIN * (asked + answered) as f32 {
            return 0.0;
        }
        let (key, _) = self.key(batch, row);
        f32::from(u8::from(self.spoke.get(&key).is_some_and(|sides| *sides & BOTH != BOTH)))
    }

    /// 1 when both sides spoke and only the destination's flows carry SYN, -1 when only the source's do: the answer to
    /// a SYN that came before the exporter looked. The other way round there would be no connection.
    pub(crate) fn late(&self, batch: &FlowBatch, row: usize) -> f32 {
        let (key, side) = self.key(batch, row);
        match self.spoke.get(&key) {
            Some(sides) if sides & BOTH == BOTH => match (sides >> 2, side) {
                (1, 1) | (2, 2) => -1.0,
                (1, _) | (2, _) => 1.0,
                _ => 0.0,
            },
            _ => 0.0,
        }
    }

    fn exporter(&self, batch: &FlowBatch, row: usize) -> usize {
        (batch.exporter[row] as usize).min(batch.exporters.len())
    }

    fn key(&self, batch: &FlowBatch, row: usize) -> (u64, u8) {
        let a = (batch.src[row].0, batch.src_port[row]);
        let b = (batch.dst[row].0, batch.dst_port[row]);
        let (low, high, side) = if a <= b { (a, b, 1) } else { (b, a, 2) };
        (self.hasher.hash_one((low, high, batch.protocol[row], batch.exporter[row])), side)
    }
}
