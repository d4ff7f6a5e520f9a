//! Flows summed by (exporter, client, server, service, hour).
//!
//! The key is what a query costs: oriented flows have some tens of times fewer keys than flows as reported, because
//! the client's port drops out. What adding costs is cache misses, so a row is 128 bytes, two lines, with its key in
//! it; an open-addressed index of 8 bytes a slot points to the rows, which lie in order of arrival.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use model::{Client, Exporter, FlowBatch, Ip, Micros, Protocol, RollupRow, Service, Verdict};

/// Sums of oriented flows, one row for each (exporter, client, server, service, bucket of time). Memory grows with the
/// distinct keys, about 200 bytes each; [`Rollup::drain`] empties it.
#[derive(Clone, Debug)]
pub struct Rollup {
    bucket_us: Micros,
    exporters: Vec<Exporter>,
    index: Index,
    rows: Vec<(Key, Sums)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    client: (u64, u64),
    server: (u64, u64),
    /// Protocol and selector, then the exporter's index.
    service: (u32, u32),
    bucket: Micros,
}

/// Records are counted in 32 bits: four thousand million in one bucket of one key, where they stop.
#[derive(Clone, Copy, Debug)]
struct Sums {
    flows: u32,
    reverse_flows: u32,
    packets: u64,
    bytes: u64,
    reverse_packets: u64,
    reverse_bytes: u64,
    first: Micros,
    last: Micros,
    allowed: u32,
    denied: u32,
    confidence: f64,
    tcp_flags: u8,
}

const _: () = assert!(size_of::<(Key, Sums)>() == 128);

impl Rollup {
    /// An empty rollup with buckets of so many microseconds, aligned to the epoch; below 1 counts as 1.
    pub fn new(bucket_us: Micros) -> Self {
        Self { bucket_us: bucket_us.max(1), exporters: Vec::new(), index: Index::new(), rows: Vec::new() }
    }

    /// Adds every flow of an oriented batch to the bucket in which it started. A flow of unknown direction is kept
    /// too: the lower port is taken for the server's, with confidence one half.
    pub fn add(&mut self, batch: &FlowBatch) {
        let exporters: Vec<u32> = batch.exporters.iter().map(|exporter| self.intern(exporter)).collect();
        for row in 0..batch.len() {
            let exporter = match exporters.get(batch.exporter[row] as usize) {
                Some(index) => *index,
                None => self.intern(&Exporter("unknown".into())),
            };
            let (client, confidence) = direction(batch, row);
            let key = key(batch, row, client, exporter, self.bucket_us);
            let rows = &mut self.rows;
            let (at, new) = self.index.find_or_add(&key, |row| rows[row as usize].0 == key);
            if new {
                rows.push((key, Sums::starting(batch.start[row])));
            }
            let at = at as usize;
            self.rows[at].1.add(batch, row, client, confidence);
        }
    }

    fn intern(&mut self, exporter: &Exporter) -> u32 {
        match self.exporters.iter().position(|known| known == exporter) {
            Some(index) => index as u32,
            None => {
                self.exporters.push(exporter.clone());
                (self.exporters.len() - 1) as u32
            }
        }
    }

    /// Rows held now.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows sorted by (hour, exporter, client, server, service), leaving the rollup empty.
    pub fn drain(&mut self) -> Vec<RollupRow> {
        self.index.clear();
        let (bucket_us, exporters) = (self.bucket_us, &self.exporters);
        let mut rows: Vec<RollupRow> =
            self.rows.drain(..).map(|(key, sums)| row(&key, &sums, bucket_us, exporters)).collect();
        rows.sort_unstable_by(|a, b| {
            (a.hour, &a.exporter, a.client, a.server, a.service).cmp(&(
                b.hour,
                &b.exporter,
                b.client,
                b.server,
                b.service,
            ))
        });
        rows
    }
}

/// Slot of a hash table: a part of the key's hash, and the row's number plus one; 0 is empty.
type Slot = (u32, u32);

/// From hash to row, open addressing with linear probing, at most half full.
#[derive(Clone, Debug)]
struct Index {
    slots: Vec<Slot>,
    used: usize,
    hasher: FixedState,
}

impl Index {
    fn new() -> Self {
        Self { slots: vec![(0, 0); 1 << 10], used: 0, hasher: FixedState::with_seed(0x526f_6c6c) }
    }

    fn clear(&mut self) {
        self.slots.fill((0, 0));
        self.used = 0;
    }

    /// The row of a key, or the next free number for a new row, which the caller must add.
    fn find_or_add(&mut self, key: &Key, is_here: impl Fn(u32) -> bool) -> (u32, bool) {
        if 2 * self.used >= self.slots.len() {
            self.grow();
        }
        let tag = self.hasher.hash_one(key) as u32;
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            match self.slots[at] {
                (_, 0) => {
                    let row = self.used as u32;
                    self.slots[at] = (tag, row + 1);
                    self.used += 1;
                    return (row, true);
                }
                (known, row) if known == tag && is_here(row - 1) => return (row - 1, false),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let mask = 2 * self.slots.len() - 1;
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); mask + 1]);
        for slot in old.into_iter().filter(|slot| slot.1 != 0) {
            let mut at = slot.0 as usize & mask;
            while self.slots[at].1 != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

/// The direction to count by, and its confidence.
fn direction(batch: &FlowBatch, row: usize) -> (Client, f64) {
    let client = batch.client[row];
    if client != Client::Unknown {
        return (client, f64::from(batch.client_confidence[row]));
    }
    let ports = (batch.src_port[row], batch.dst_port[row]);
    let source_asks = if Protocol(batch.protocol[row]).has_ports() && ports.0 != ports.1 {
        ports.1 < ports.0
    } else if Protocol(batch.protocol[row]).is_icmp() {
        // An error's sender speaks first, unasked.
        true
    } else {
        batch.dst[row] < batch.src[row]
    };
    (if source_asks { Client::Src } else { Client::Dst }, 0.5)
}

fn key(batch: &FlowBatch, row: usize, client: Client, exporter: u32, bucket_us: Micros) -> Key {
    let (src, dst) = (halves(batch.src[row]), halves(batch.dst[row]));
    let (client_ip, server_ip) = if client == Client::Dst { (dst, src) } else { (src, dst) };
    let protocol = batch.protocol[row];
    let selector = request_selector(protocol, batch.server_selector(row, client));
    Key {
        client: client_ip,
        server: server_ip,
        service: (u32::from(protocol) << 16 | u32::from(selector), exporter),
        bucket: batch.start[row].div_euclid(bucket_us),
    }
}

/// ICMP answers are counted under the request that they answer.
pub(crate) const fn request_selector(protocol: u8, selector: u16) -> u16 {
    let kind = (selector >> 8) as u8;
    let request = match (protocol, kind) {
        (1, 0) => 8,
        (1, 9) => 10,
        (1, 14 | 16 | 18) => kind - 1,
        (58, 129) => 128,
        (58, 134) => 133,
        (58, 136) => 135,
        (58, 140) => 139,
        _ => return selector,
    };
    (request as u16) << 8
}

impl Sums {
    const fn starting(at: Micros) -> Self {
        Self {
            flows: 0,
            reverse_flows: 0,
            packets: 0,
            bytes: 0,
            reverse_packets: 0,
            reverse_bytes: 0,
            first: at,
            last: at,
            allowed: 0,
            denied: 0,
            confidence: 0.0,
            tcp_flags: 0,
        }
    }

    fn add(&mut self, batch: &FlowBatch, row: usize, client: Client, confidence: f64) {
        let present = batch.present[row];
        let (mut there, mut back) = ((batch.packets[row], batch.bytes[row]), (0, 0));
        if present & FlowBatch::HAS_REVERSE != 0 {
            back = (batch.reverse_packets[row], batch.reverse_bytes[row]);
        }
        if client == Client::Dst {
            std::mem::swap(&mut there, &mut back);
            self.reverse_flows = self.reverse_flows.saturating_add(1);
        } else {
            self.flows = self.flows.saturating_add(1);
        }
        self.packets = self.packets.saturating_add(there.0);
        self.bytes = self.bytes.saturating_add(there.1);
        self.reverse_packets = self.reverse_packets.saturating_add(back.0);
        self.reverse_bytes = self.reverse_bytes.saturating_add(back.1);
        self.first = self.first.min(batch.start[row]);
        self.last = self.last.max(batch.end[row]);
        match batch.verdict[row] {
            Verdict::Allow => self.allowed = self.allowed.saturating_add(1),
            Verdict::Deny => self.denied = self.denied.saturating_add(1),
            Verdict::Unknown => {}
        }
        self.confidence += confidence;
        if present & FlowBatch::HAS_TCP_FLAGS != 0 {
            self.tcp_flags |= batch.tcp_flags[row];
        }
    }
}

fn row(key: &Key, sums: &Sums, bucket_us: Micros, exporters: &[Exporter]) -> RollupRow {
    RollupRow {
        hour: key.bucket.saturating_mul(bucket_us),
        hours: 1,
        exporter: exporters[key.service.1 as usize].clone(),
        client: whole(key.client),
        server: whole(key.server),
        service: service((key.service.0 >> 16) as u8, key.service.0 as u16),
        flows: sums.flows.into(),
        reverse_flows: sums.reverse_flows.into(),
        packets: sums.packets,
        bytes: sums.bytes,
        reverse_packets: sums.reverse_packets,
        reverse_bytes: sums.reverse_bytes,
        first: sums.first,
        last: sums.last,
        allowed: sums.allowed.into(),
        denied: sums.denied.into(),
        confidence_sum: sums.confidence,
        tcp_flags: sums.tcp_flags,
    }
}

/// Protocols without a selector are counted whole.
const fn service(protocol: u8, selector: u16) -> Service {
    let protocol = Protocol(protocol);
    if protocol.has_ports() || protocol.is_icmp() {
        Service::new(protocol, selector)
    } else {
        Service::all(protocol)
    }
}

const fn halves(ip: Ip) -> (u64, u64) {
    ((ip.0 >> 64) as u64, ip.0 as u64)
}

const fn whole((high, low): (u64, u64)) -> Ip {
    Ip((high as u128) << 64 | low as u128)
}

#[cfg(test)]
mod tests;
