//! Argus: the tables that `ra` prints.

use model::{Client, Flow, FlowBatch, Micros};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::table::Table;
use crate::text::times::{date_time, seconds};
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "argus",
    aliases: &["ra", "binetflow"],
    title: "Argus ra CSV",
    description: "What `ra -c , -n` prints with its line of names (`-L0`), any `-s` fields in any order; also the published \
                  `.binetflow` files. Argus follows transactions: its arrow says who opened them (`->`, `<-`, `<->`), unless \
                  there is a `?` in it. Times without a date are no times; let ra print `-u` (seconds) or a date. Where only \
                  totals are printed, packets and bytes are those of both directions.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    names(head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end()).is_some()
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "a table of Argus's ra", Shape::LINES, input, Records { table: None })
}

const START: usize = 0;
const LAST: usize = 1;
const DURATION: usize = 2;
const PROTOCOL: usize = 3;
const SRC: usize = 4;
const SRC_PORT: usize = 5;
const ARROW: usize = 6;
const DST: usize = 7;
const DST_PORT: usize = 8;
const TOTAL_PACKETS: usize = 9;
const TOTAL_BYTES: usize = 10;
const SRC_PACKETS: usize = 11;
const DST_PACKETS: usize = 12;
const SRC_BYTES: usize = 13;
const DST_BYTES: usize = 14;
const SENSOR: usize = 15;
const FIELDS: usize = 16;

fn field(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"StartTime" => START,
        b"LastTime" => LAST,
        b"Dur" => DURATION,
        b"Proto" => PROTOCOL,
        b"SrcAddr" => SRC,
        b"Sport" => SRC_PORT,
        b"Dir" => ARROW,
        b"DstAddr" => DST,
        b"Dport" => DST_PORT,
        b"TotPkts" => TOTAL_PACKETS,
        b"TotBytes" => TOTAL_BYTES,
        b"SrcPkts" => SRC_PACKETS,
        b"DstPkts" => DST_PACKETS,
        b"SrcBytes" => SRC_BYTES,
        b"DstBytes" => DST_BYTES,
        b"SrcId" => SENSOR,
        _ => return None,
    })
}

fn names(line: &[u8]) -> Option<Table<FIELDS>> {
    Table::of_names(line, b",\t;|", field, &[START, PROTOCOL, SRC, DST])
}

struct Records {
    table: Option<Table<FIELDS>>,
}

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if let Some(table) = names(text) {
            self.table = Some(table);
            sink.header();
            return Ok(());
        }
        let table = self.table.as_ref().ok_or(
            "there is no line with StartTime, Proto, SrcAddr and DstAddr before the record; let ra print it (`-L0 -c ,`)",
        )?;
        let values = table.values(text)?;
        if values[PROTOCOL] == b"man" {
            sink.skip("Argus's own status");
            return Ok(());
        }
        let (Some(src), Some(dst)) = (ip(values[SRC]), ip(values[DST])) else {
            // Ethernet, ARP and the like.
            sink.skip("record without addresses of IP");
            return Ok(());
        };
        if values[PROTOCOL] == b"arp" || values[PROTOCOL] == b"rarp" {
            sink.skip("record without addresses of IP");
            return Ok(());
        }
        let flow = flow(&values, src, dst)?;
        let sensor = std::str::from_utf8(values[SENSOR]).ok().filter(|name| !name.is_empty());
        sink.push(sensor.unwrap_or(SOURCE.name), flow);
        Ok(())
    }
}

fn flow(values: &[&[u8]; FIELDS], src: Ip, dst: Ip) -> Result<Flow, String> {
    let number = number(values[PROTOCOL], src)?;
    let (start, end) = times(values)?;
    let mut flow = Flow { start, end, src, dst, protocol: number, sampling: 1, ..Flow::default() };
    counts(values, &mut flow)?;
    selectors(values, &mut flow)?;
    let arrow = values[ARROW];
    let sure = if number == Protocol::TCP.0 { 0.98 } else { 0.9 };
    (flow.client, flow.client_confidence) = match (arrow.contains(&b'?'), arrow.first(), arrow.last()) {
        (false, _, Some(b'>')) => (Client::Src, sure),
        (false, Some(b'<'), _) => (Client::Dst, sure),
        _ => (Client::Unknown, 0.0),
    };
    Ok(flow)
}

/// Argus names some protocols by what they carry.
fn number(text: &[u8], src: Ip) -> Result<u8, String> {
    let name = std::str::from_utf8(text).unwrap_or_default();
    match name {
        "rtp" | "rtcp" | "udt" => Ok(17),
        "ipv6-icmp" => Ok(58),
        name => protocol(name, src).ok_or_else(|| format!("`{name}` is no protocol that is known")),
    }
}

fn times(values: &[&[u8]; FIELDS]) -> Result<(Micros, Micros), String> {
    let start = time(values[START])?;
    let span = match values[DURATION] {
        b"" => None,
        text => Some(seconds(text).ok_or_else(|| format!("`{}` is not a duration", shown(text)))?),
    };
    let end = match (span, values[LAST]) {
        _ if start == 0 => 0,
        (Some(span), _) => start.saturating_add(span),
        (None, b"") => start,
        (None, last) => time(last)?.max(start),
    };
    Ok((start, end))
}

/// Seconds since the epoch, or a date and time. A time of day alone says of no day, and is 0.
fn time(text: &[u8]) -> Result<Micros, String> {
    let day_only = text.len() >= 8 && text[2] == b':' && text[5] == b':';
    match seconds(text).or_else(|| date_time(text)) {
        Some(time) => Ok(time),
        None if day_only => Ok(0),
        None => Err(format!("`{}` is not a time; let ra print seconds (`-u`)", shown(text))),
    }
}

fn counts(values: &[&[u8]; FIELDS], flow: &mut Flow) -> Result<(), String> {
    let count = |field: usize| match values[field] {
        b"" => Ok(None),
        text => decimal(text).map(Some).ok_or_else(|| format!("`{}` is not a count", shown(text))),
    };
    let (packets, bytes) = (count(TOTAL_PACKETS)?, count(TOTAL_BYTES)?);
    let (src_packets, src_bytes) = (count(SRC_PACKETS)?, count(SRC_BYTES)?);
    let rest = |total: Option<u64>, part: Option<u64>| Some(total?.saturating_sub(part?));
    let dst_bytes = count(DST_BYTES)?.or(rest(bytes, src_bytes));
    // Of totals and the bytes of one side: whoever sent bytes sent a packet at least.
    let at_least = || dst_bytes.map(|bytes| u64::from(bytes > 0)).filter(|_| packets.is_some());
    let dst_packets = count(DST_PACKETS)?.or(rest(packets, src_packets)).or_else(at_least);
    let src_packets = src_packets.or(rest(packets, dst_packets)).or(packets);
    let src_bytes = src_bytes.or(rest(bytes, dst_bytes)).or(bytes);
    if src_packets.is_some() || src_bytes.is_some() {
        (flow.packets, flow.bytes) = (src_packets.unwrap_or(0), src_bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    if dst_packets.is_some() || dst_bytes.is_some() {
        (flow.reverse_packets, flow.reverse_bytes) = (dst_packets.unwrap_or(0), dst_bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_REVERSE;
    }
    Ok(())
}

/// Ports; of ICMP the first of them holds the type and, above it, the code.
fn selectors(values: &[&[u8]; FIELDS], flow: &mut Flow) -> Result<(), String> {
    let protocol = Protocol(flow.protocol);
    let (src, dst) = (values[SRC_PORT], values[DST_PORT]);
    if src.is_empty() && dst.is_empty() {
        return Ok(());
    }
    if protocol.is_icmp() {
        let both = port(src)?;
        flow.dst_port = (both & 0xff) << 8 | both >> 8;
        flow.present |= FlowBatch::HAS_ICMP;
    } else if protocol.has_ports() && !src.is_empty() && !dst.is_empty() {
        (flow.src_port, flow.dst_port) = (port(src)?, port(dst)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    Ok(())
}

fn port(text: &[u8]) -> Result<u16, String> {
    let number = match text.strip_prefix(b"0x") {
        Some(hex) => std::str::from_utf8(hex).ok().and_then(|hex| u16::from_str_radix(hex, 16).ok()),
        None => decimal(text).and_then(|port| u16::try_from(port).ok()),
    };
    number.ok_or_else(|| format!("`{}` is not a port; let ra print numbers (`-n`)", shown(text)))
}
