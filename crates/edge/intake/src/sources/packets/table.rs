//! Packets into flows: one entry for each conversation under way, handed out when it ends, falls silent, or must make room.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Client, Flow, FlowBatch, FlowDetails, Micros};
use netset::{Ip, Protocol};

use super::ages::{Ages, Place};
use crate::frame::{Packet, Selector, Tunnel};

/// When flows end. Silence is that of Zeek, so that what it calls one connection is one flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// A TCP connection that nobody closed.
    pub(super) tcp_us: Micros,
    /// Anything else.
    pub(super) other_us: Micros,
    /// A TCP connection after its end: the last acknowledgements still belong to it.
    pub(super) closed_us: Micros,
    /// A flow that goes on is handed out in pieces of this length, so that each hour has its share.
    pub(super) active_us: Micros,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp_us: 300_000_000, other_us: 60_000_000, closed_us: 5_000_000, active_us: 1_800_000_000 }
    }
}

/// The handshake was seen: as sure as an observer can be, who may still have been shown a forged one.
const HANDSHAKE: f32 = 0.99;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Flows under way.
pub(super) struct Table {
    timeouts: Timeouts,
    limit: usize,
    index: HashMap<Key, u32, FixedState>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    ages: Ages,
    now: Micros,
    /// Entries made so far: the order in which what is left goes out at the end.
    made: u64,
}

/// Both directions of a conversation have the same key: the smaller end comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    low: (Ip, u16),
    high: (Ip, u16),
    protocol: u8,
    /// What distinguishes conversations of protocols without ports: for ICMP the type of the question.
    kind: u32,
}

struct Entry {
    key: Key,
    flow: Flow,
    /// The flow's source is the higher end of the key.
    from_high: bool,
    /// Flags of the source's packets are in the flow; these are those of the destination's.
    reverse_flags: u8,
    /// Sides that sent a SYN without ACK, and that sent a FIN: bit 0 the source, bit 1 the destination.
    opened: u8,
    finished: u8,
    reset: bool,
    tunnel: Option<Box<str>>,
    made: u64,
    place: Place,
}

/// A flow that has ended, with what only some have.
pub(super) struct Ended {
    pub(super) flow: Flow,
    pub(super) tunnel: Option<Box<str>>,
}

impl Ended {
    /// Appends the flow to a batch.
    pub(super) fn push(self, exporter: u32, batch: &mut FlowBatch) {
        if let Some(tunnel) = self.tunnel {
            let details = FlowDetails { tunnel: Some(tunnel.into()), ..FlowDetails::default() };
            batch.details.insert(batch.len() as u32, Box::new(details));
        }
        batch.push(Flow { exporter, ..self.flow });
    }
}

impl Table {
    /// An empty table for at most so many flows, about 250 bytes each.
    pub(super) fn new(limit: usize, timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            limit: limit.max(1),
            index: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            ages: Ages::default(),
            now: Micros::MIN,
            made: 0,
        }
    }

    /// Flows under way.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Counts a packet in its flow. `bytes` is what the packet adds, and `at` when it was seen; time that runs backwards
    /// ends nothing. What ends thereby is given to `out`, oldest first; the answer is how many had to make room.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        tunnels: &[Tunnel],
        at: Micros,
        out: &mut impl FnMut(Ended),
    ) -> usize {
        self.now = self.now.max(at);
        self.expire(out);
        let (key, from_high) = key(packet);
        let known = self.index.get(&key).copied();
        let known = known.filter(|slot| !self.begins_anew(*slot, packet, out));
        let (slot, evicted) = match known {
            Some(slot) => (slot, 0),
            None => {
                let evicted = self.make_room(out);
                (self.add(key, from_high, packet, tunnels, at), evicted)
            }
        };
        self.cut(slot, at, out);
        self.count(slot, from_high, packet, at);
        evicted
    }

    /// Takes out what is left, in the order in which it began.
    pub(super) fn drain(&mut self) -> Vec<Ended> {
        let mut slots: Vec<u32> = self.index.drain().map(|(_, slot)| slot).collect();
        slots.sort_unstable_by_key(|slot| self.entries[*slot as usize].made);
        let ended = slots.into_iter().map(|slot| self.entries[slot as usize].take()).collect();
        (self.entries, self.free, self.ages) = (Vec::new(), Vec::new(), Ages::default());
        ended
    }

    /// Hands out what has been silent for too long.
    fn expire(&mut self, out: &mut impl FnMut(Ended)) {
        while let Some(slot) = self.ages.expired(self.now) {
            self.end(slot, out);
        }
    }

    fn make_room(&mut self, out: &mut impl FnMut(Ended)) -> usize {
        if self.index.len() < self.limit {
            return 0;
        }
        let Some(slot) = self.ages.oldest() else { return 0 };
        self.end(slot, out);
        1
    }

    fn end(&mut self, slot: u32, out: &mut impl FnMut(Ended)) {
        let entry = &mut self.entries[slot as usize];
        self.ages.remove(slot, entry.place);
        self.index.remove(&entry.key);
        self.free.push(slot);
        out(entry.take());
    }

    /// A SYN after the end of a connection on the same ports is the next one.
    fn begins_anew(&mut self, slot: u32, packet: &Packet<'_>, out: &mut impl FnMut(Ended)) -> bool {
        let entry = &self.entries[slot as usize];
        let begins = packet.tcp_flags.is_some_and(|flags| flags & (SYN | ACK) == SYN) && entry.is_closed();
        if begins {
            self.end(slot, out);
        }
        begins
    }

    /// Hands out the piece of a flow that has grown too long; what it is known by stays.
    fn cut(&mut self, slot: u32, at: Micros, out: &mut impl FnMut(Ended)) {
        let entry = &mut self.entries[slot as usize];
        if at.saturating_sub(entry.flow.start) < self.timeouts.active_us {
            return;
        }
        let piece = Ended { flow: entry.flow.clone(), tunnel: entry.tunnel.clone() };
        let flow = &mut entry.flow;
        (flow.start, flow.end, flow.tcp_flags) = (at, at, 0);
        (flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes) = (0, 0, 0, 0);
        out(piece);
    }

    fn add(&mut self, key: Key, from_high: bool, packet: &Packet<'_>, tunnels: &[Tunnel], at: Micros) -> u32 {
        let entry = Entry {
            key,
            flow: opened(packet, at),
            from_high,
            reverse_flags: 0,
            opened: 0,
            finished: 0,
            reset: false,
            tunnel: (!tunnels.is_empty()).then(|| Tunnel::names(tunnels).into()),
            made: self.made,
            place: Place::default(),
        };
        self.made += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.index.insert(key, slot);
        slot
    }

    fn count(&mut self, slot: u32, from_high: bool, packet: &Packet<'_>, at: Micros) {
        let entry = &mut self.entries[slot as usize];
        let forward = entry.is_forward(from_high, packet);
        let (side, flow) = (if forward { 1 } else { 2 }, &mut entry.flow);
        let (packets, bytes) = match forward {
            true => (&mut flow.packets, &mut flow.bytes),
            false => (&mut flow.reverse_packets, &mut flow.reverse_bytes),
        };
        *packets += 1;
        *bytes = bytes.saturating_add(u64::from(packet.length));
        (flow.start, flow.end) = (flow.start.min(at), flow.end.max(at));
        if let Some(flags) = packet.tcp_flags {
            flow.present |= FlowBatch::HAS_TCP_FLAGS;
            if forward {
                flow.tcp_flags |= flags;
            } else {
                entry.reverse_flags |= flags;
            }
            entry.handshake(flags, side);
        }
        let silence = match () {
            () if entry.is_closed() => self.timeouts.closed_us,
            () if packet.protocol == Protocol::TCP.0 => self.timeouts.tcp_us,
            () => self.timeouts.other_us,
        };
        entry.place = self.ages.touch(slot, entry.place, self.now, silence);
    }
}

impl Entry {
    /// Whether a packet goes from the flow's source to its destination.
    fn is_forward(&self, from_high: bool, packet: &Packet<'_>) -> bool {
        // Somebody who talks to himself on one port.
        if self.key.low == self.key.high { packet.src == self.flow.src } else { from_high == self.from_high }
    }

    /// Who asked to open the connection is the client, unless both did.
    fn handshake(&mut self, flags: u8, side: u8) {
        match flags & (SYN | ACK) {
            SYN => self.opened |= side,
            // Only who was asked answers so.
            both if both == SYN | ACK => self.opened |= 3 - side,
            _ => {}
        }
        self.finished |= if flags & FIN != 0 { side } else { 0 };
        self.reset |= flags & RST != 0;
        let (client, confidence) = match self.opened {
            1 => (Client::Src, HANDSHAKE),
            2 => (Client::Dst, HANDSHAKE),
            _ => (Client::Unknown, 0.0),
        };
        (self.flow.client, self.flow.client_confidence) = (client, confidence);
    }

    fn is_closed(&self) -> bool {
        self.reset || self.finished == 3
    }

    fn take(&mut self) -> Ended {
        Ended { flow: std::mem::take(&mut self.flow), tunnel: self.tunnel.take() }
    }
}

/// A flow that begins with a packet, which is not counted yet.
fn opened(packet: &Packet<'_>, at: Micros) -> Flow {
    let mut present = FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE;
    let (src_port, dst_port) = match packet.selector {
        Selector::Ports(from, to) => {
            present |= FlowBatch::HAS_PORTS;
            (from, to)
        }
        Selector::Icmp(both) => {
            present |= FlowBatch::HAS_ICMP;
            (0, both)
        }
        Selector::Absent => (0, 0),
    };
    Flow {
        start: at,
        end: at,
        src: packet.src,
        dst: packet.dst,
        protocol: packet.protocol,
        src_port,
        dst_port,
        sampling: 1,
        present,
        ..Flow::default()
    }
}

/// The key of a packet's flow, and whether its sender is the higher end of it.
fn key(packet: &Packet<'_>) -> (Key, bool) {
    let (from, to, kind) = match packet.selector {
        Selector::Ports(from, to) => (from, to, 0),
        Selector::Icmp(both) => (0, 0, 1 << 16 | u32::from(question(packet.protocol, both))),
        Selector::Absent => (0, 0, 2 << 16),
    };
    let (from, to) = ((packet.src, from), (packet.dst, to));
    let from_high = from > to;
    let (low, high) = if from_high { (to, from) } else { (from, to) };
    (Key { low, high, protocol: packet.protocol, kind }, from_high)
}

/// The type and code of the question that an ICMP message answers, or its own.
fn question(protocol: u8, both: u16) -> u16 {
    let kind = match (protocol, both >> 8) {
        (1, 0) => 8,
        (1, 14) => 13,
        (1, 16) => 15,
        (1, 18) => 17,
        (1, 9) => 10,
        (58, 129) => 128,
        (58, 134) => 133,
        (58, 136) => 135,
        (58, 140) => 139,
        (_, other) => other,
    };
    kind << 8 | both & 0xff
}

#[cfg(test)]
mod tests;
