//! Versions 1, 5 and 7: one fixed layout each, and nearly the same.

use model::{FlowBatch, Micros};
use netset::{Ip, Protocol};

pub(super) const BAD_COUNT: &str = "count of a v1, v5 or v7 header does not fit the datagram";

/// What a datagram of any of them can carry at most.
const RECORDS_MAX: u16 = 30;

/// How many bytes what has.
#[derive(Clone, Copy)]
struct Layout {
    header: usize,
    record: usize,
}

impl Layout {
    const fn of(version: u16) -> Option<Self> {
        match version {
            1 => Some(Self { header: 16, record: 48 }),
            5 => Some(Self { header: 24, record: 48 }),
            // A record of version 5 with the router that the switch spared the packets at its end: whoever forwarded, the
            // switch observed.
            7 => Some(Self { header: 24, record: 52 }),
            _ => None,
        }
    }
}

/// A datagram's header.
pub(super) struct Header {
    version: u16,
    layout: Layout,
    pub(super) count: u16,
    uptime: u32,
    /// When the datagram left the exporter, by its clock.
    pub(super) export: Micros,
    /// Flows sent before, which version 1 does not say.
    pub(super) sequence: Option<u32>,
    /// Engine type and number: version 5's observation domain.
    pub(super) engine: u32,
    sampling: u32,
}

impl Header {
    /// The header of a version 1, 5 or 7 datagram, if it is whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let version = u16::from_be_bytes(*bytes.first_chunk()?);
        let layout = Layout::of(version)?;
        let mut header = [0; 24];
        header[..layout.header].copy_from_slice(bytes.get(..layout.header)?);
        Some(Self {
            version,
            layout,
            count: short(&header, 2),
            uptime: word(&header, 4),
            export: i64::from(word(&header, 8)) * 1_000_000
                + i64::from(word(&header, 12).min(999_999_999)) / 1_000,
            sequence: (version != 1).then(|| word(&header, 16)),
            engine: if version == 5 { u32::from(short(&header, 20)) } else { 0 },
            // Two bits of mode and 14 of interval. Exporters leave the mode at zero and sample all the same.
            sampling: if version == 5 { u32::from(short(&header, 22) & 0x3fff) } else { 0 },
        })
    }

    /// The datagram's length. The count is not believed beyond what is there.
    pub(super) fn check(&self, available: usize) -> Result<usize, String> {
        let Layout { header, record } = self.layout;
        let length = header + usize::from(self.count) * record;
        if self.count == 0 || self.count > RECORDS_MAX || length > available {
            return Err(format!(
                "the header counts {} records; expected 1 to {RECORDS_MAX}, and {} fit the {available} bytes",
                self.count,
                (available - header) / record
            ));
        }
        Ok(length)
    }

    /// Appends the records of a datagram of the length that [`Header::check`] gave.
    pub(super) fn records(&self, datagram: &[u8], exporter: u32, batch: &mut FlowBatch) {
        let records = datagram.get(self.layout.header..).unwrap_or_default();
        match self.version {
            1 => self.each::<48, 40>(records, batch),
            7 => self.each::<52, 37>(records, batch),
            _ => self.each::<48, 37>(records, batch),
        }
        let base = batch.len() - records.len() / self.layout.record;
        batch.exporter[base..].fill(exporter);
    }

    fn each<const RECORD: usize, const FLAGS: usize>(&self, records: &[u8], batch: &mut FlowBatch) {
        let base = batch.len();
        batch.fill(base + records.len() / RECORD);
        let moment =
            |uptime: u32| self.export - i64::from(self.uptime.wrapping_sub(uptime).cast_signed()) * 1_000;
        let rate = u64::from(self.sampling.max(1));
        for (row, record) in (base..).zip(records.chunks_exact(RECORD)) {
            let Some(record) = record.first_chunk::<RECORD>() else { continue };
            let (protocol, flags) = (record[38], record[FLAGS]);
            batch.src[row] = Ip::v4(word(record, 0));
            batch.dst[row] = Ip::v4(word(record, 4));
            batch.packets[row] = u64::from(word(record, 16)) * rate;
            batch.bytes[row] = u64::from(word(record, 20)) * rate;
            batch.start[row] = moment(word(record, 24));
            batch.end[row] = moment(word(record, 28));
            batch.protocol[row] = protocol;
            // Switches that send version 7 do not see flags and leave the field zero, which is not "no flags".
            let present = present(protocol, self.version != 7 || flags != 0);
            if present & FlowBatch::HAS_PORTS != 0 {
                batch.src_port[row] = short(record, 32);
            }
            if present & (FlowBatch::HAS_PORTS | FlowBatch::HAS_ICMP) != 0 {
                batch.dst_port[row] = short(record, 34);
            }
            batch.tcp_flags[row] = flags;
            batch.present[row] = present;
        }
        batch.sampling[base..].fill(self.sampling.max(1));
    }
}

/// Whether bytes start with a version 5 or 7 datagram whose header fits them.
pub(super) fn starts(bytes: &[u8]) -> bool {
    (bytes.starts_with(&[0, 5]) || bytes.starts_with(&[0, 7]))
        && Header::read(bytes).is_some_and(|header| header.check(bytes.len()).is_ok())
}

/// Whether bytes are version 1 datagrams, one after the other and nothing else, as far as they are here. The first bytes
/// of one are too common for anything less.
pub(super) fn are_version_1(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(header) = Header::read(rest).filter(|header| header.version == 1 && header.uptime > 0) {
        match header.check(rest.len()) {
            Ok(length) => rest = &rest[length..],
            Err(_) => break,
        }
    }
    rest.is_empty() && !bytes.is_empty() || rest.len() < bytes.len() && bytes.len() >= super::HEAD
}

fn present(protocol: u8, flags: bool) -> u8 {
    let protocol = Protocol(protocol);
    let mut present = FlowBatch::HAS_COUNTS;
    if protocol == Protocol::TCP && flags {
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
