//! Flows summed by (exporter, client, server, service, hour).
//!
//! Where the direction is not certain, both ports stay in the key, within a bound, so that a reader with more evidence
//! may still turn the row round ([`crate::resolve`]).
//!
//! The key is what a query costs: oriented flows have some tens of times fewer keys than flows as reported, because
//! the client's port drops out. What adding costs is cache misses, so a row is 128 bytes, two lines, with its key in
//! it; an open-addressed index of 8 bytes a slot points to the rows, which lie in order of arrival.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use model::{Client, Exporter, FlowBatch, Ip, Micros, Protocol, RollupRow, Service, Verdict};

/// Confidence from which a direction is taken for good, and the client's port dropped.
pub(crate) const CERTAIN: f64 = 0.9_f32 as f64;
/// Rows of uncertain direction in one bucket or several, until they are drained: some 8 MB. What comes beyond is taken
/// as it was judged.
const OPEN_MAX: usize = 1 << 16;

/// Sums of oriented flows, one row for each (exporter, client, server, service, bucket of time). Memory grows with the
/// distinct keys, about 200 bytes each; [`Rollup::drain`] empties it.
#[derive(Clone, Debug)]
pub struct Rollup {
    bucket_us: Micros,
    exporters: Vec<Exporter>,
    index: Index,
    rows: Vec<Row>,
    /// Rows of uncertain direction.
    open: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    client: (u64, u64),
    server: (u64, u64),
    /// From the highest bit: 23 of the exporter's index, one that says whether the direction is open, 16 of the client's
    /// port then, 8 of the protocol, 16 of the selector.
    service: u64,
    bucket: Micros,
}

/// Bit of [`Key::service`] that says that the direction is open.
const OPEN: u64 = 1 << 40;
/// Exporters beyond so many are summed as one; their index must fit the key.
const EXPORTERS_MAX: usize = 1 << 22;

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

/// Two lines of a cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Row {
    key: Key,
    sums: Sums,
}

const _: () = assert!(size_of::<Row>() == 128);

/// Rows whose place is looked up together.
const BLOCK_ROWS: usize = 32;

/// A row of a batch on its way in.
struct Next {
    tag: u32,
    key: Key,
    client: Client,
    confidence: f64,
}

impl Rollup {
    /// An empty rollup with buckets of so many microseconds, aligned to the epoch; below 1 counts as 1.
    pub fn new(bucket_us: Micros) -> Self {
        Self {
            bucket_us: bucket_us.max(1),
            exporters: Vec::new(),
            index: Index::new(),
            rows: Vec::new(),
            open: 0,
        }
    }

    /// Adds every flow of an oriented batch to the bucket in which it started. A flow of unknown direction is kept
    /// too: the lower port is taken for the server's, with confidence one half.
    pub fn add(&mut self, batch: &FlowBatch) {
        let exporters: Vec<u32> = batch.exporters.iter().map(|exporter| self.intern(exporter)).collect();
        let mut next: Vec<Next> = Vec::with_capacity(BLOCK_ROWS);
        let mut row = 0;
        while row < batch.len() {
            next.clear();
            for row in row..batch.len().min(row + BLOCK_ROWS) {
                let exporter = match exporters.get(batch.exporter[row] as usize) {
                    Some(index) => *index,
                    None => self.intern(&Exporter("unknown".into())),
                };
                let (client, confidence) = direction(batch, row);
                let mut key = key(batch, row, client, exporter, self.bucket_us);
                if confidence < CERTAIN && self.open < OPEN_MAX {
                    key.service |= open_bits(batch, row, client);
                }
                next.push(Next { tag: self.index.tag(&key), key, client, confidence });
            }
            self.fetch(&next);
            for (offset, next) in next.iter().enumerate() {
                self.add_row(batch, row + offset, next);
            }
            row += BLOCK_ROWS;
        }
    }

    /// Looks at what a block of rows will add to, so that the memory's answers come together and not one by one.
    fn fetch(&self, next: &[Next]) {
        let mut seen = 0;
        for next in next {
            let at = self.index.likely(next.tag);
            if let Some(row) = self.rows.get(at as usize) {
                seen ^= row.key.service
                    ^ row.sums.bytes
                    ^ row.sums.confidence.to_bits()
                    ^ u64::from(row.sums.denied);
            }
        }
        std::hint::black_box(seen);
    }

    fn add_row(&mut self, batch: &FlowBatch, row: usize, next: &Next) {
        let rows = &mut self.rows;
        let (at, new) = self.index.find_or_add(next.tag, |row| rows[row as usize].key == next.key);
        if new {
            rows.push(Row { key: next.key, sums: Sums::starting(batch.start[row]) });
            self.open += usize::from(next.key.service & OPEN != 0);
        }
        self.rows[at as usize].sums.add(batch, row, next.client, next.confidence);
    }

    fn intern(&mut self, exporter: &Exporter) -> u32 {
        match self.exporters.iter().position(|known| known == exporter) {
            Some(index) => index as u32,
            None if self.exporters.len() >= EXPORTERS_MAX => (self.exporters.len() - 1) as u32,
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

    /// All rows sorted by (hour, exporter, client, server, service, client's port), leaving the rollup empty.
    pub fn drain(&mut self) -> Vec<RollupRow> {
        self.index.clear();
        self.open = 0;
        let (bucket_us, exporters) = (self.bucket_us, &self.exporters);
        let mut rows: Vec<RollupRow> =
            self.rows.drain(..).map(|one| row(&one.key, &one.sums, bucket_us, exporters)).collect();
        rows.sort_unstable_by(|a, b| {
            (a.hour, &a.exporter, a.client, a.server, a.service, a.client_port).cmp(&(
                b.hour,
                &b.exporter,
                b.client,
                b.server,
                b.service,
                b.client_port,
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

    fn tag(&self, key: &Key) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// The row that most probably has the tag; past the end when there is none.
    fn likely(&self, tag: u32) -> u32 {
        let (_, row) = self.slots[tag as usize & (self.slots.len() - 1)];
        row.wrapping_sub(1)
    }

    /// The row of a key, or the next free number for a new row, which the caller must add.
    fn find_or_add(&mut self, tag: u32, is_here: impl Fn(u32) -> bool) -> (u32, bool) {
        if 2 * self.used >= self.slots.len() {
            self.grow();
        }
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
        service: u64::from(exporter) << 41 | u64::from(protocol) << 16 | u64::from(selector),
        bucket: batch.start[row].div_euclid(bucket_us),
    }
}

/// What keeps the client's port in the key; nothing for protocols without ports.
fn open_bits(batch: &FlowBatch, row: usize, client: Client) -> u64 {
    if !Protocol(batch.protocol[row]).has_ports() || batch.present[row] & FlowBatch::HAS_PORTS == 0 {
        return 0;
    }
    let port = if client == Client::Dst { batch.dst_port[row] } else { batch.src_port[row] };
    OPEN | u64::from(port) << 24
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
        exporter: exporters[(key.service >> 41) as usize].clone(),
        client: whole(key.client),
        server: whole(key.server),
        service: service((key.service >> 16) as u8, key.service as u16),
        client_port: (key.service & OPEN != 0).then_some((key.service >> 24) as u16),
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
