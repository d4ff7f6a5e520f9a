//! What `nfdump` prints: CSV of all its releases, JSON, one object a line or an array of them.

use memchr::memmem::find;
use model::{Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};
use serde::Deserialize;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::json::{self, Address, Count, Moment, Text};
use crate::text::table::Table;
use crate::text::times::{date_time, seconds};
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "nfdump",
    aliases: &["nfdump-csv", "nfdump-json"],
    title: "nfdump's output (CSV or JSON)",
    description: "What `nfdump -o csv`, `csv-fast`, `csv:FORMAT`, `json` or `ndjson` prints, with the names of releases 1.6 and \
                  1.7, in any order. nfdump prints local times without a zone; they are taken as UTC, so let it print with \
                  `TZ=UTC` (`%tsr` and `csv-fast` print the time itself). Flows have one direction, as their exporter sent \
                  them; `out` counters are those of the answers. Denied events of firewalls have the verdict deny.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    match head.first() {
        Some(b'{' | b'[') => {
            let has = |text: &str| find(head, text.as_bytes()).is_some();
            (has("\"src4_addr\"") || has("\"src6_addr\"")) && has("\"first\"")
        }
        _ => names(head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end()).is_some(),
    }
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let format = Output { table: None, summary: 0 };
    open_text(SOURCE.name, "nfdump's output as CSV or JSON", Shape::JSON, input, format)
}

const FIRST: usize = 0;
const LAST: usize = 1;
const DURATION: usize = 2;
const SRC: usize = 3;
const DST: usize = 4;
const SRC_PORT: usize = 5;
const DST_PORT: usize = 6;
const PROTOCOL: usize = 7;
const FLAGS: usize = 8;
const PACKETS: usize = 9;
const BYTES: usize = 10;
const OUT_PACKETS: usize = 11;
const OUT_BYTES: usize = 12;
const ROUTER: usize = 13;
const ICMP_TYPE: usize = 14;
const ICMP_CODE: usize = 15;
const EVENT: usize = 16;
const SRC_XLATE: usize = 17;
const DST_XLATE: usize = 18;
const SRC_XLATE_PORT: usize = 19;
const DST_XLATE_PORT: usize = 20;
const USER: usize = 21;
const APPLICATION: usize = 22;
const RULE: usize = 23;
const FIELDS: usize = 24;

/// The field of a column: the names of release 1.6 first, then those of 1.7.
fn field(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"ts" | b"firstSeen" => FIRST,
        b"te" | b"lastSeen" => LAST,
        b"td" | b"duration" => DURATION,
        b"sa" | b"srcAddr" => SRC,
        b"da" | b"dstAddr" => DST,
        b"sp" | b"srcPort" => SRC_PORT,
        b"dp" | b"dstPort" => DST_PORT,
        b"pr" | b"proto" => PROTOCOL,
        b"flg" | b"flags" => FLAGS,
        b"ipkt" | b"packets" | b"inPackets" => PACKETS,
        b"ibyt" | b"bytes" | b"inBytes" => BYTES,
        b"opkt" | b"outPackets" => OUT_PACKETS,
        b"obyt" | b"outBytes" => OUT_BYTES,
        b"ra" | b"routerIP" => ROUTER,
        b"icmpType" | b"icmpTYpe" => ICMP_TYPE,
        b"icmpCode" => ICMP_CODE,
        b"evt" | b"event" => EVENT,
        b"srcXIP" => SRC_XLATE,
        b"dstXIP" => DST_XLATE,
        b"srcXPort" => SRC_XLATE_PORT,
        b"dstXPort" => DST_XLATE_PORT,
        b"nselUser" => USER,
        b"nbarName" => APPLICATION,
        b"ingressACL" => RULE,
        _ => return None,
    })
}

fn names(line: &[u8]) -> Option<Table<FIELDS>> {
    let table = Table::of_names(line, b",", field, &[FIRST, SRC, DST, PROTOCOL])?;
    table.has(BYTES).then_some(table).filter(|table| table.has(PACKETS))
}

struct Output {
    table: Option<Table<FIELDS>>,
    /// Lines of the summary at the end that are still to come.
    summary: u8,
}

impl TextFormat for Output {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if text.first() == Some(&b'{') {
            return object(text, sink);
        }
        if let Some(table) = names(text) {
            // Outputs that were joined to one file each bring their own names.
            self.table = Some(table);
            self.summary = 0;
            sink.header();
            return Ok(());
        }
        if text == b"Summary" || text == b"No matching flows" || text == b"No matched flows" {
            self.summary = 2;
            sink.skip("nfdump's summary");
            return Ok(());
        }
        if self.summary > 0 && (text.starts_with(b"flows,") || decimal(&text[..1]).is_some()) {
            self.summary -= 1;
            sink.skip("nfdump's summary");
            return Ok(());
        }
        let table = self.table.as_ref().ok_or(
            "there is no line with the columns' names before the record; let nfdump print it (without `-q`)",
        )?;
        row(&table.values(text)?, sink)
    }
}

type Values<'a> = [&'a [u8]; FIELDS];

fn row(values: &Values<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let (src, dst) = (address(values[SRC])?, address(values[DST])?);
    let name = std::str::from_utf8(values[PROTOCOL]).unwrap_or_default();
    let number = protocol(name, src).ok_or_else(|| format!("`{name}` is no protocol that is known"))?;
    let start = time(values[FIRST])?;
    let end = match (values[DURATION], values[LAST]) {
        (b"", b"") => start,
        (b"", last) => time(last)?,
        // The end has no fraction in old releases; the duration has.
        (duration, last) => match span(duration) {
            Some(span) => start.saturating_add(span),
            None => time(last).unwrap_or(start),
        },
    };
    let count = |field: usize| match values[field] {
        b"" => Ok(0),
        text => decimal(text).ok_or_else(|| format!("`{}` is not a count", shown(text))),
    };
    let mut flow =
        Flow { start, end: end.max(start), src, dst, protocol: number, sampling: 1, ..Flow::default() };
    counts(&mut flow, [count(PACKETS)?, count(BYTES)?, count(OUT_PACKETS)?, count(OUT_BYTES)?]);
    let icmp = (decimal(values[ICMP_TYPE]), decimal(values[ICMP_CODE]));
    selectors(&mut flow, [values[SRC_PORT], values[DST_PORT]], icmp)?;
    if number == Protocol::TCP.0
        && let Some(flags) = tcp_flags(values[FLAGS])
    {
        flow.tcp_flags = flags;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
    }
    flow.verdict = verdict(values[EVENT]);
    let router = ip(values[ROUTER]).filter(|router| router.0 != 0 && *router != Ip::v4(0));
    let details = details(values);
    match router {
        Some(_) => sink.push_with(std::str::from_utf8(values[ROUTER]).unwrap_or(SOURCE.name), flow, details),
        None => sink.push_with(SOURCE.name, flow, details),
    }
    Ok(())
}

fn address(text: &[u8]) -> Result<Ip, String> {
    ip(text).ok_or_else(|| {
        format!(
            "`{}` is not an IPv4 or IPv6 address; let nfdump print whole addresses (`-6` or `long6`)",
            shown(text)
        )
    })
}

/// A date and time, or the time itself in seconds with a fraction or in milliseconds.
fn time(text: &[u8]) -> Result<Micros, String> {
    let found = match (decimal(text), text.contains(&b'-')) {
        (Some(0), _) => Some(0),
        // Milliseconds since 1973 have twelve digits; seconds will not for 30,000 years.
        (Some(number), _) if number >= 100_000_000_000 => {
            i64::try_from(number).ok().and_then(|ms| ms.checked_mul(1_000))
        }
        (_, true) => date_time(text),
        _ => seconds(text),
    };
    found.ok_or_else(|| format!("`{}` is not a time", shown(text)))
}

/// A duration in seconds, or as `HH:MM:SS.mmm`, with days before it.
fn span(text: &[u8]) -> Option<Micros> {
    let (days, rest) = match text.iter().position(|byte| *byte == b'd') {
        Some(at) => (i64::try_from(decimal(text[..at].trim_ascii())?).ok()?, text[at + 1..].trim_ascii()),
        None => (0, text),
    };
    let mut sum = days.checked_mul(24)?;
    let mut parts = rest.split(|byte| *byte == b':').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return sum
                .checked_mul(1_000_000)?
                .checked_add(seconds(part)?)
                .filter(|_| days == 0 || rest.len() > 2);
        }
        sum = sum.checked_add(i64::try_from(decimal(part)?).ok()?)?.checked_mul(60)?;
    }
    None
}

fn counts(flow: &mut Flow, [packets, bytes, out_packets, out_bytes]: [u64; 4]) {
    flow.present |= FlowBatch::HAS_COUNTS;
    (flow.packets, flow.bytes) = (packets, bytes);
    if out_packets == 0 && out_bytes == 0 {
        return;
    }
    if packets == 0 && bytes == 0 {
        // The exporter counted on the way out.
        (flow.packets, flow.bytes) = (out_packets, out_bytes);
    } else {
        (flow.reverse_packets, flow.reverse_bytes) = (out_packets, out_bytes);
        flow.present |= FlowBatch::HAS_REVERSE;
    }
}

/// Ports, or ICMP type and code: as one number, as `type.code`, or in columns of their own.
fn selectors(flow: &mut Flow, [src, dst]: [&[u8]; 2], icmp: (Option<u64>, Option<u64>)) -> Result<(), Fault> {
    let narrow = |text: &[u8]| {
        let port = decimal(text).and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| format!("`{}` is not a port", shown(text)))
    };
    let protocol = Protocol(flow.protocol);
    if protocol.is_icmp() {
        flow.dst_port = match (icmp, dst.iter().position(|byte| *byte == b'.')) {
            ((Some(kind), code), _) => (kind as u16 & 0xff) << 8 | code.unwrap_or(0) as u16 & 0xff,
            (_, Some(at)) => (narrow(&dst[..at])? & 0xff) << 8 | narrow(&dst[at + 1..])? & 0xff,
            (_, None) if dst.is_empty() => return Ok(()),
            (_, None) => narrow(dst)?,
        };
        flow.present |= FlowBatch::HAS_ICMP;
    } else if protocol.has_ports() && !src.is_empty() && !dst.is_empty() {
        (flow.src_port, flow.dst_port) = (narrow(src)?, narrow(dst)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    Ok(())
}

/// Flags as nfdump draws them, `...AP.SF`, or as a number.
fn tcp_flags(text: &[u8]) -> Option<u8> {
    if let Some(hex) = text.strip_prefix(b"0x") {
        return u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok();
    }
    if let Some(number) = decimal(text) {
        return u8::try_from(number).ok();
    }
    let bit = |letter: &u8| b"FSRPAUEC".iter().position(|known| known == letter).map(|place| 1_u8 << place);
    (!text.is_empty()).then(|| text.iter().filter_map(bit).fold(0, |bits, bit| bits | bit))
}

fn verdict(event: &[u8]) -> Verdict {
    match event {
        b"DENIED" | b"DENY" => Verdict::Deny,
        b"CREATE" | b"DELETE" | b"UPDATE" => Verdict::Allow,
        _ => Verdict::Unknown,
    }
}

fn details(values: &Values<'_>) -> FlowDetails {
    let text = |field: usize| {
        let text = values[field];
        let said = !matches!(text, b"" | b"<empty>" | b"<none>" | b"<no user name>" | b"no");
        (said && !text.starts_with(b"0x0-0x0")).then(|| shown(text))
    };
    let translated = |field: usize| ip(values[field]).filter(|ip| ip.0 != 0 && *ip != Ip::v4(0));
    let port = |field: usize| {
        decimal(values[field]).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
    };
    FlowDetails {
        user: text(USER),
        service_name: text(APPLICATION),
        rule: text(RULE),
        nat_src_ip: translated(SRC_XLATE),
        nat_dst_ip: translated(DST_XLATE),
        nat_src_port: port(SRC_XLATE_PORT),
        nat_dst_port: port(DST_XLATE_PORT),
        ..FlowDetails::default()
    }
}

/// A record as JSON, with the members that matter.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(default)]
    first: Moment,
    #[serde(default)]
    last: Moment,
    #[serde(default)]
    in_packets: Count,
    #[serde(default)]
    in_bytes: Count,
    #[serde(default)]
    out_packets: Count,
    #[serde(default)]
    out_bytes: Count,
    #[serde(default)]
    proto: Count,
    #[serde(borrow, default)]
    tcp_flags: Text<'a>,
    #[serde(borrow, default)]
    src_port: Text<'a>,
    #[serde(borrow, default)]
    dst_port: Text<'a>,
    #[serde(default)]
    icmp_type: Count,
    #[serde(default)]
    icmp_code: Count,
    #[serde(default)]
    src4_addr: Address,
    #[serde(default)]
    dst4_addr: Address,
    #[serde(default)]
    src6_addr: Address,
    #[serde(default)]
    dst6_addr: Address,
    #[serde(borrow, alias = "ip6_router")]
    ip4_router: Option<Text<'a>>,
    #[serde(borrow, default, alias = "nat_event")]
    event: Text<'a>,
}

/// The fewest bytes that a packet has.
const HEADER_BYTES: u64 = 20;

fn object(text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
    let object: Object<'_> = json::parse(text)?;
    let either = |a: Address, b: Address| Address(a.0.or(b.0));
    let src = either(object.src4_addr, object.src6_addr).needed("src4_addr` or `src6_addr")?;
    let dst = either(object.dst4_addr, object.dst6_addr).needed("dst4_addr` or `dst6_addr")?;
    let number =
        object.proto.0.and_then(|number| u8::try_from(number).ok()).ok_or("the record has no `proto`")?;
    let start = object.first.0.ok_or("the record has no time in `first`")?;
    let end = object.last.0.unwrap_or(start).max(start);
    let mut flow = Flow { start, end, src, dst, protocol: number, sampling: 1, ..Flow::default() };
    let (packets, mut bytes) = (object.in_packets.0.unwrap_or(0), object.in_bytes.0.unwrap_or(0));
    if bytes < packets.saturating_mul(HEADER_BYTES) {
        // Some releases print the packets once more in place of the bytes.
        bytes = 0;
    }
    counts(&mut flow, [packets, bytes, object.out_packets.0.unwrap_or(0), object.out_bytes.0.unwrap_or(0)]);
    let ports = [object.src_port.0.as_bytes(), object.dst_port.0.as_bytes()];
    selectors(&mut flow, ports, (object.icmp_type.0, object.icmp_code.0))?;
    if number == Protocol::TCP.0
        && let Some(flags) = tcp_flags(object.tcp_flags.0.as_bytes())
    {
        flow.tcp_flags = flags;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
    }
    flow.verdict = verdict(object.event.0.as_bytes());
    let router = object.ip4_router.as_ref().filter(|router| !matches!(&*router.0, "" | "0.0.0.0" | "::"));
    sink.push(router.map_or(SOURCE.name, |router| &router.0), flow);
    Ok(())
}
