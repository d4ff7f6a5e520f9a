//! SiLK: the text that `rwcut` prints.

use model::{Client, Direction, Flow, FlowBatch, Micros, Verdict};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::table::Table;
use crate::text::times::{civil, date_time, seconds};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "silk",
    aliases: &["rwcut"],
    title: "SiLK's rwcut text",
    description: "What `rwcut` prints with its line of titles: any `--fields` in any order, padded or `--delimited`, addresses \
                  canonical, zero-padded or decimal, times of every `--timestamp-format`, which are UTC unless SiLK was built \
                  for local times. Flows have one direction; where the sensor kept the first packet's flags, they say who the \
                  client is. Types `innull` and `outnull` were discarded by the router: verdict deny.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    titles(head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end()).is_some()
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "rwcut's text with its titles", Shape::LINES, input, Text { table: None })
}

const SRC: usize = 0;
const DST: usize = 1;
const SRC_PORT: usize = 2;
const DST_PORT: usize = 3;
const PROTOCOL: usize = 4;
const PACKETS: usize = 5;
const BYTES: usize = 6;
const FLAGS: usize = 7;
const START: usize = 8;
const DURATION: usize = 9;
const END: usize = 10;
const SENSOR: usize = 11;
const FIRST_FLAGS: usize = 12;
const ICMP_TYPE: usize = 13;
const ICMP_CODE: usize = 14;
const TYPE: usize = 15;
const FIELDS: usize = 16;

/// The field of a title; padded columns cut titles short.
fn field(title: &[u8]) -> Option<usize> {
    Some(match title {
        b"sIP" => SRC,
        b"dIP" => DST,
        b"sPort" => SRC_PORT,
        b"dPort" => DST_PORT,
        b"pro" | b"protocol" => PROTOCOL,
        b"packets" | b"pkts" => PACKETS,
        b"bytes" => BYTES,
        b"flags" => FLAGS,
        b"sTime" | b"sTime+msec" => START,
        b"dur" | b"duration" | b"dur+msec" => DURATION,
        b"eTime" | b"eTime+msec" => END,
        b"sen" | b"sensor" => SENSOR,
        b"initialF" | b"initialFlags" => FIRST_FLAGS,
        b"iTy" | b"iType" => ICMP_TYPE,
        b"iCo" | b"iCode" => ICMP_CODE,
        b"type" => TYPE,
        _ => return None,
    })
}

fn titles(line: &[u8]) -> Option<Table<FIELDS>> {
    let table = Table::of_names(line, b"|,\t; ", field, &[SRC, DST, PROTOCOL])?;
    (table.has(START) || table.has(END)).then_some(table)
}

struct Text {
    table: Option<Table<FIELDS>>,
}

impl TextFormat for Text {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if let Some(table) = titles(text) {
            self.table = Some(table);
            sink.header();
            return Ok(());
        }
        let table = self.table.as_ref().ok_or(
            "there is no line with sIP, dIP, protocol and sTime before the record; let rwcut print its titles",
        )?;
        let values = table.values(text)?;
        let flow = flow(&values)?;
        let sensor = std::str::from_utf8(values[SENSOR]).ok().filter(|name| !name.is_empty());
        sink.push(sensor.unwrap_or(SOURCE.name), flow);
        Ok(())
    }
}

fn flow(values: &[&[u8]; FIELDS]) -> Result<Flow, String> {
    let number = decimal(values[PROTOCOL]).and_then(|number| u8::try_from(number).ok());
    let protocol = number
        .map(Protocol)
        .ok_or_else(|| format!("`{}` is not a protocol number", shown(values[PROTOCOL])))?;
    let (start, end) = times(values)?;
    let mut flow = Flow {
        start,
        end,
        src: address(values[SRC])?,
        dst: address(values[DST])?,
        protocol: protocol.0,
        sampling: 1,
        ..Flow::default()
    };
    let count = |field: usize| match values[field] {
        b"" => Ok(None),
        text => decimal(text).map(Some).ok_or_else(|| format!("`{}` is not a count", shown(text))),
    };
    let (packets, bytes) = (count(PACKETS)?, count(BYTES)?);
    if packets.is_some() || bytes.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    selectors(values, protocol, &mut flow)?;
    if protocol == Protocol::TCP {
        if let Some(flags) = flags(values[FLAGS]) {
            flow.tcp_flags = flags;
            flow.present |= FlowBatch::HAS_TCP_FLAGS;
        }
        (flow.client, flow.client_confidence) = match flags(values[FIRST_FLAGS]).map(|flags| flags & 0x12) {
            Some(0x02) => (Client::Src, 0.98),
            Some(0x12) => (Client::Dst, 0.98),
            _ => (Client::Unknown, 0.0),
        };
    }
    let kind = values[TYPE];
    flow.direction = match kind {
        kind if kind.starts_with(b"int") || kind.starts_with(b"ext") => Direction::Unknown,
        kind if kind.starts_with(b"in") => Direction::Ingress,
        kind if kind.starts_with(b"out") => Direction::Egress,
        _ => Direction::Unknown,
    };
    if matches!(kind, b"innull" | b"outnull") {
        flow.verdict = Verdict::Deny;
    }
    Ok(flow)
}

/// Ports; ICMP's type and code from columns of their own, or from the destination port that holds both.
fn selectors(values: &[&[u8]; FIELDS], protocol: Protocol, flow: &mut Flow) -> Result<(), String> {
    let port = |field: usize| match values[field] {
        b"" => Ok(None),
        text => {
            let port = decimal(text).and_then(|port| u16::try_from(port).ok());
            port.map(Some).ok_or_else(|| format!("`{}` is not a port", shown(text)))
        }
    };
    if protocol.is_icmp() {
        let columns = decimal(values[ICMP_TYPE]).zip(decimal(values[ICMP_CODE]));
        let both = columns.map(|(kind, code)| (kind as u16 & 0xff) << 8 | code as u16 & 0xff);
        if let Some(both) = both.or(port(DST_PORT)?) {
            flow.dst_port = both;
            flow.present |= FlowBatch::HAS_ICMP;
        }
    } else if protocol.has_ports()
        && let (Some(src), Some(dst)) = (port(SRC_PORT)?, port(DST_PORT)?)
    {
        (flow.src_port, flow.dst_port) = (src, dst);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    Ok(())
}

fn times(values: &[&[u8]; FIELDS]) -> Result<(Micros, Micros), String> {
    let at = |field: usize| match values[field] {
        b"" => Ok(None),
        text => time(text).map(Some).ok_or_else(|| format!("`{}` is not a time of rwcut", shown(text))),
    };
    let span = match values[DURATION] {
        b"" => None,
        text => Some(seconds(text).ok_or_else(|| format!("`{}` is not a duration", shown(text)))?),
    };
    Ok(match (at(START)?, at(END)?, span) {
        (Some(start), Some(end), _) => (start, end.max(start)),
        (Some(start), None, span) => (start, start.saturating_add(span.unwrap_or(0))),
        (None, Some(end), span) => (end.saturating_sub(span.unwrap_or(0)), end),
        (None, None, _) => return Err("the record has no time".to_owned()),
    })
}

/// `2009/02/12T00:00:00.000`, ISO, `02/12/2009 00:00:00`, or seconds since the epoch.
fn time(text: &[u8]) -> Option<Micros> {
    if text.get(2) == Some(&b'/') && text.get(5) == Some(&b'/') {
        let part = |from: usize, to: usize| i64::try_from(decimal(text.get(from..to)?)?).ok();
        let clock = [part(11, 13)?, part(14, 16)?, part(17, 19)?];
        let at = civil([part(6, 10)?, part(0, 2)?, part(3, 5)?, clock[0], clock[1], clock[2]])?;
        let fraction = text.get(19..).filter(|rest| !rest.is_empty());
        return match fraction {
            Some(rest) => Some(at + seconds(&[b"0", rest].concat())?),
            None => Some(at),
        };
    }
    date_time(text).or_else(|| seconds(text))
}

/// An address as text, with zeros before its parts, or as a whole number.
fn address(text: &[u8]) -> Result<Ip, String> {
    let padded = || {
        let parts: Vec<Option<u64>> = text.split(|byte| *byte == b'.').map(decimal).collect();
        let [Some(a), Some(b), Some(c), Some(d)] = parts[..] else { return None };
        let sound = [a, b, c, d].iter().all(|part| *part < 256);
        sound.then_some(Ip::v4((a << 24 | b << 16 | c << 8 | d) as u32))
    };
    let number = || {
        let number: u128 = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(u32::try_from(number).map_or(Ip(number), Ip::v4))
    };
    let found = ip(text).or_else(padded).or_else(number);
    found.ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)))
}

/// Flags as letters in any order, or `--integer-tcp-flags`.
fn flags(text: &[u8]) -> Option<u8> {
    if let Some(number) = decimal(text) {
        return u8::try_from(number).ok();
    }
    let bit = |letter: &u8| b"FSRPAUEC".iter().position(|known| known == letter).map(|place| 1_u8 << place);
    (!text.is_empty()).then(|| text.iter().filter_map(bit).fold(0, |bits, bit| bits | bit))
}
