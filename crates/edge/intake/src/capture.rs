//! Packets out of pcap and pcapng files, with the byte where each begins.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use model::Micros;
use pcap_parser::{Block, parse_block_be, parse_block_le};

use crate::error::IntakeError;

/// The longest packet or block that is accepted: far beyond any datagram, far below what would hurt.
const LONGEST: usize = 16 * 1024 * 1024;

const PCAP_HEADER: usize = 24;

/// Above these bits the link type of a pcap header says how long the frames' check sequences are.
const LINK_BITS: u32 = 0xffff;

/// Stands for an interface that its pcapng section does not describe: its packets are handed out, to be counted.
const UNDESCRIBED: Interface = Interface { link: -1, units_per_s: 1_000_000, offset_s: 0 };

/// A captured packet.
pub(crate) struct Packet<'a> {
    /// Its link type.
    pub(crate) link: i32,
    /// When it was captured.
    pub(crate) at: Micros,
    /// Its bytes, as far as they were captured.
    pub(crate) bytes: &'a [u8],
    /// Its length on the wire.
    pub(crate) wire: usize,
    /// Where its record begins in the file.
    pub(crate) offset: u64,
}

/// A capture being read.
pub(crate) struct Capture {
    window: Window,
    format: Format,
    file: Arc<str>,
}

enum Format {
    Pcap(Pcap),
    Pcapng { interfaces: Vec<Interface>, big_endian: bool },
}

/// What the header of a pcap file says.
#[derive(Clone, Copy)]
struct Pcap {
    link: i32,
    big_endian: bool,
    nanoseconds: bool,
    /// Bytes in front of each packet.
    record_header: usize,
}

#[derive(Clone, Copy)]
struct Interface {
    link: i32,
    units_per_s: u64,
    offset_s: i64,
}

/// Whether the bytes start a pcap or pcapng file.
pub(crate) fn is_capture(head: &[u8]) -> bool {
    is_pcapng(head) || head.first_chunk().is_some_and(|magic| pcap_magic(*magic).is_some())
}

/// The magic number in either order of bytes: in big-endian order, with nanoseconds, of the "modified" variant.
fn pcap_magic(magic: [u8; 4]) -> Option<(bool, bool, bool)> {
    let kind = |number| match number {
        0xa1b2_c3d4_u32 => Some((false, false)),
        0xa1b2_3c4d => Some((true, false)),
        0xa1b2_cd34 => Some((false, true)),
        _ => None,
    };
    let little =
        kind(u32::from_le_bytes(magic)).map(|(nanoseconds, modified)| (false, nanoseconds, modified));
    little.or_else(|| {
        kind(u32::from_be_bytes(magic)).map(|(nanoseconds, modified)| (true, nanoseconds, modified))
    })
}

fn is_pcapng(head: &[u8]) -> bool {
    head.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
}

impl Capture {
    /// Starts reading; the first bytes must satisfy [`is_capture`].
    pub(crate) fn new(mut window: Window, file: Arc<str>) -> Result<Self, IntakeError> {
        let format = if is_pcapng(window.peek(4).map_err(|e| read_error(&file, e))?) {
            Format::Pcapng { interfaces: Vec::new(), big_endian: false }
        } else {
            let head = window.peek(PCAP_HEADER).map_err(|e| read_error(&file, e))?;
            let got = head.len();
            let magic = head
                .first_chunk::<PCAP_HEADER>()
                .and_then(|head| pcap_magic([head[0], head[1], head[2], head[3]]));
            let Some((big_endian, nanoseconds, modified)) = magic else {
                return Err(truncated(&file, 0, "the pcap file header", PCAP_HEADER, got, 0));
            };
            let link = (u32_at(head, 20, big_endian) & LINK_BITS).cast_signed();
            window.consume(PCAP_HEADER);
            // The "modified" variant of pcap has 8 more bytes in front of each packet.
            let record_header = if modified { 24 } else { 16 };
            Format::Pcap(Pcap { link, big_endian, nanoseconds, record_header })
        };
        Ok(Self { window, format, file })
    }

    /// Bytes taken from the input so far.
    pub(crate) fn offset(&self) -> u64 {
        self.window.offset
    }

    /// The next packet. `flows` is what an error says was kept.
    pub(crate) fn next(&mut self, flows: u64) -> Result<Option<Packet<'_>>, IntakeError> {
        match &mut self.format {
            Format::Pcap(pcap) => next_pcap(&mut self.window, &self.file, *pcap, flows),
            Format::Pcapng { interfaces, big_endian } => {
                next_pcapng(&mut self.window, &self.file, interfaces, big_endian, flows)
            }
        }
    }
}

fn next_pcap<'a>(
    window: &'a mut Window,
    file: &str,
    Pcap { link, big_endian, nanoseconds, record_header }: Pcap,
    flows: u64,
) -> Result<Option<Packet<'a>>, IntakeError> {
    let offset = window.offset;
    let head = window.peek(record_header).map_err(|e| read_error(file, e))?;
    if head.is_empty() {
        return Ok(None);
    }
    if head.len() < record_header {
        return Err(truncated(file, offset, "a packet's header", record_header, head.len(), flows));
    }
    let word = |at| u32_at(head, at, big_endian);
    let (seconds, fraction, captured, wire) = (word(0), word(4), word(8) as usize, word(12) as usize);
    if captured > LONGEST {
        let reason = format!("a packet says that it has {captured} bytes; expected at most {LONGEST}");
        return Err(IntakeError::Damaged { file: file.to_owned(), offset, reason, flows });
    }
    let whole = record_header + captured;
    let got = window.peek(whole).map_err(|e| read_error(file, e))?.len();
    if got < whole {
        return Err(truncated(file, offset, "a packet", whole, got, flows));
    }
    let micros = if nanoseconds { fraction / 1_000 } else { fraction };
    let at = i64::from(seconds) * 1_000_000 + i64::from(micros);
    let bytes = &window.take(whole)[record_header..];
    Ok(Some(Packet { link, at, bytes, wire, offset }))
}

fn next_pcapng<'a>(
    window: &'a mut Window,
    file: &str,
    interfaces: &mut Vec<Interface>,
    big_endian: &mut bool,
    flows: u64,
) -> Result<Option<Packet<'a>>, IntakeError> {
    // Ranges, not slices, leave the loop: what is not a packet must not hold on to the window.
    let (offset, Found { link, at, wire, range }) = loop {
        let offset = window.offset;
        let Some(length) = block_length(window, file, big_endian, flows)? else { return Ok(None) };
        let block = window.take(length);
        let parsed = if *big_endian { parse_block_be(block) } else { parse_block_le(block) };
        let Ok((_, block)) = parsed else {
            let reason = "a pcapng block does not follow the format".to_owned();
            return Err(IntakeError::Damaged { file: file.to_owned(), offset, reason, flows });
        };
        if let Some(found) = packet_of(&block, interfaces) {
            break (offset, found);
        }
    };
    let bytes = window.taken().get(range).unwrap_or_default();
    Ok(Some(Packet { link, at, bytes, wire, offset }))
}

/// A packet of a pcapng block, with its place in the block.
struct Found {
    link: i32,
    at: Micros,
    wire: usize,
    range: Range<usize>,
}

/// The packet in a block, if it is one; learns interfaces on the way.
fn packet_of(block: &Block<'_>, interfaces: &mut Vec<Interface>) -> Option<Found> {
    match block {
        Block::SectionHeader(_) => interfaces.clear(),
        // Bounded: a section with thousands of interfaces is no capture of an exporter.
        Block::InterfaceDescription(interface) if interfaces.len() < 4_096 => interfaces.push(Interface {
            link: interface.linktype.0,
            units_per_s: resolution(interface.if_tsresol),
            offset_s: interface.if_tsoffset,
        }),
        Block::EnhancedPacket(packet) => {
            let captured = (packet.caplen as usize).min(packet.data.len());
            let ticks = (u64::from(packet.ts_high) << 32) | u64::from(packet.ts_low);
            let interface = interfaces.get(packet.if_id as usize).copied().unwrap_or(UNDESCRIBED);
            return Some(Found {
                link: interface.link,
                at: time(interface, ticks),
                wire: packet.origlen as usize,
                range: 28..28 + captured,
            });
        }
        Block::SimplePacket(packet) => {
            let captured = (packet.origlen as usize).min(packet.data.len());
            let wire = packet.origlen as usize;
            return Some(Found {
                link: interfaces.first().unwrap_or(&UNDESCRIBED).link,
                at: 0,
                wire,
                range: 12..12 + captured,
            });
        }
        // Statistics, names, custom blocks: nothing to see.
        _ => {}
    }
    None
}

/// The length of the next pcapng block, all of which is then in the window; `None` at the end of the file.
fn block_length(
    window: &mut Window,
    file: &str,
    big_endian: &mut bool,
    flows: u64,
) -> Result<Option<usize>, IntakeError> {
    let offset = window.offset;
    let head = window.peek(12).map_err(|e| read_error(file, e))?;
    if head.is_empty() {
        return Ok(None);
    }
    if head.len() < 12 {
        return Err(truncated(file, offset, "a pcapng block", 12, head.len(), flows));
    }
    if is_pcapng(head) {
        *big_endian = head[8..12] == [0x1a, 0x2b, 0x3c, 0x4d];
    }
    let length = u32_at(head, 4, *big_endian) as usize;
    if !(12..=LONGEST).contains(&length) || !length.is_multiple_of(4) {
        let reason = format!(
            "a pcapng block says that it has {length} bytes; expected a multiple of 4 from 12 to {LONGEST}"
        );
        return Err(IntakeError::Damaged { file: file.to_owned(), offset, reason, flows });
    }
    let got = window.peek(length).map_err(|e| read_error(file, e))?.len();
    if got < length {
        return Err(truncated(file, offset, "a pcapng block", length, got, flows));
    }
    Ok(Some(length))
}

/// Ticks per second of `if_tsresol`: a power of ten, or of two when the top bit is set.
fn resolution(code: u8) -> u64 {
    let exponent = u32::from(code & 0x7f);
    let units = if code & 0x80 == 0 { 10_u64.checked_pow(exponent) } else { 1_u64.checked_shl(exponent) };
    units.filter(|units| *units > 0).unwrap_or(1_000_000)
}

fn time(interface: Interface, ticks: u64) -> Micros {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(interface.units_per_s);
    i64::try_from(micros).unwrap_or(i64::MAX).saturating_add(interface.offset_s.saturating_mul(1_000_000))
}

fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

fn read_error(file: &str, source: std::io::Error) -> IntakeError {
    IntakeError::Io { action: "read", file: file.to_owned(), source }
}

fn truncated(
    file: &str,
    offset: u64,
    what: &'static str,
    expected: usize,
    got: usize,
    flows: u64,
) -> IntakeError {
    let (expected, got) = (expected as u64, got as u64);
    IntakeError::Truncated { file: file.to_owned(), offset, what, expected, got, flows }
}

/// A sliding window over an input: as much as was asked for is contiguous in memory, and not more than that is kept.
pub(crate) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of what was last taken; it lies before `start`.
    taken: usize,
    /// Bytes consumed since the start of the input.
    pub(crate) offset: u64,
}

impl Window {
    pub(crate) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; 256 * 1024], start: 0, end: 0, taken: 0, offset: 0 }
    }

    /// The next `length` bytes, or fewer at the end of the input.
    pub(crate) fn peek(&mut self, length: usize) -> std::io::Result<&[u8]> {
        if self.end - self.start < length {
            self.fill(length)?;
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + length)])
    }

    fn fill(&mut self, length: usize) -> std::io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < length {
            // Grow with what really arrives, not with what a header claims.
            self.buffer.resize(length.min(self.end + 1024 * 1024).max(self.buffer.len()), 0);
        }
        while self.end < length {
            if self.end == self.buffer.len() {
                let more = (self.end + 1024 * 1024).min(length);
                self.buffer.resize(more, 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves on by bytes that were peeked.
    pub(crate) fn consume(&mut self, length: usize) {
        self.taken = length.min(self.end - self.start);
        self.start += self.taken;
        self.offset += self.taken as u64;
    }

    /// Moves on by bytes that were peeked, and gives them.
    fn take(&mut self, length: usize) -> &[u8] {
        self.consume(length);
        self.taken()
    }

    /// What was last taken.
    fn taken(&self) -> &[u8] {
        &self.buffer[self.start - self.taken..self.start]
    }
}

#[cfg(test)]
mod tests;
