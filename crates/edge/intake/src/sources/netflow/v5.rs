//! Version 5: one fixed layout.

use model::{FlowBatch, Micros};
use netset::{Ip, Protocol};

pub(super) const HEADER: usize = 24;
pub(super) const RECORD: usize = 48;
/// What a datagram can carry at most.
const RECORDS_MAX: u16 = 30;

pub(super) const BAD_COUNT: &str = "v5 count does not fit the datagram";

/// A datagram's header.
pub(super) struct Header {
    pub(super) count: u16,
    uptime: u32,
    pub(super) export: Micros,
    pub(super) sequence: u32,
    /// Engine type and number: version 5's observation domain.
    pub(super) engine: u32,
    sampling: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER>()?;
        Some(Self {
            count: short(header, 2),
            uptime: word(header, 4),
            export: i64::from(word(header, 8)) * 1_000_000
                + i64::from(word(header, 12).min(999_999_999)) / 1_000,
            sequence: word(header, 16),
            engine: u32::from(short(header, 20)),
            // Two bits of mode and 14 of interval. Exporters leave the mode at zero and sample all the same.
            sampling: u32::from(short(header, 22) & 0x3fff),
        })
    }

    /// The datagram's length. The count is not believed beyond what is there.
    pub(super) fn check(&self, available: usize) -> Result<usize, String> {
        let length = HEADER + usize::from(self.count) * RECORD;
        if self.count == 0 || self.count > RECORDS_MAX || length > available {
            return Err(format!(
                "the header counts {} records; expected 1 to {RECORDS_MAX}, and {} fit the {available} bytes",
                self.count,
                (available - HEADER) / RECORD
            ));
        }
        Ok(length)
    }
}

/// Whether bytes start with a datagram whose header fits them.
pub(super) fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 5]) && Header::read(bytes).is_some_and(|header| header.check(bytes.len()).is_ok())
}

/// Appends the records of a datagram.
pub(super) fn records(header: &Header, records: &[u8], exporter: u32, batch: &mut FlowBatch) {
    let base = batch.len();
    let count = records.len() / RECORD;
    batch.fill(base + count);
    let moment =
        |uptime: u32| header.export - i64::from(header.uptime.wrapping_sub(uptime).cast_signed()) * 1_000;
    let rate = u64::from(header.sampling.max(1));
    for (row, record) in (base..).zip(records.chunks_exact(RECORD)) {
        let Some(record) = record.first_chunk::<RECORD>() else { continue };
        let protocol = record[38];
        batch.src[row] = Ip::v4(word(record, 0));
        batch.dst[row] = Ip::v4(word(record, 4));
        batch.packets[row] = u64::from(word(record, 16)) * rate;
        batch.bytes[row] = u64::from(word(record, 20)) * rate;
        batch.start[row] = moment(word(record, 24));
        batch.end[row] = moment(word(record, 28));
        batch.protocol[row] = protocol;
        let present = present(protocol);
        if present & FlowBatch::HAS_PORTS != 0 {
            batch.src_port[row] = short(record, 32);
        }
        if present & (FlowBatch::HAS_PORTS | FlowBatch::HAS_ICMP) != 0 {
            batch.dst_port[row] = short(record, 34);
        }
        batch.tcp_flags[row] = record[37];
        batch.present[row] = present;
    }
    batch.sampling[base..].fill(header.sampling.max(1));
    batch.exporter[base..].fill(exporter);
}

fn present(protocol: u8) -> u8 {
    let protocol = Protocol(protocol);
    let mut present = FlowBatch::HAS_COUNTS;
    if protocol == Protocol::TCP {
        present |= FlowBatch::HAS_TCP_FLAGS;
    }
    if protocol.has_ports() {
        present |= FlowBatch::HAS_PORTS;
    }
    if protocol.is_icmp() {
        present |= FlowBatch::HAS_ICMP;
    }
    present
}

fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn short<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
