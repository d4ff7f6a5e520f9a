//! Palo Alto Networks: TRAFFIC logs of PAN-OS, as comma-separated values by syslog or from a file.

use memchr::memmem::find;
use model::{Client, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::syslog::Syslog;
use crate::text::times::date_time;
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "paloalto",
    aliases: &["pan-os", "panos"],
    title: "Palo Alto Networks TRAFFIC logs (PAN-OS CSV)",
    description: "TRAFFIC logs of PAN-OS in the default order, which has only ever grown at its end (6 to 11), by syslog or \
                  bare. Sessions are two-sided, the source is the client; everything but `allow` is the verdict deny; the rule \
                  is the security rule. `start` logs count nothing, their session's end does. Times are UTC, unless the log's \
                  high-resolution timestamp, which has a zone, says how far the device is from it. Other logs are skipped.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').take(16).any(|line| {
        let text = Syslog::default().message(line).text;
        find(text, b",TRAFFIC,").is_some_and(|at| at < 128)
            && text.iter().filter(|byte| **byte == b',').count() > 30
    })
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "lines of PAN-OS's TRAFFIC log", Shape::LINES, input, Logs::default())
}

#[derive(Default)]
struct Logs {
    syslog: Syslog,
}

/// The places of the default order, from 0.
const KIND: usize = 3;
const SUBTYPE: usize = 4;
const GENERATED: usize = 6;
const SRC: usize = 7;
const DST: usize = 8;
const NAT_SRC: usize = 9;
const NAT_DST: usize = 10;
const RULE: usize = 11;
const SRC_USER: usize = 12;
const APP: usize = 14;
const SRC_PORT: usize = 24;
const DST_PORT: usize = 25;
const NAT_SRC_PORT: usize = 26;
const NAT_DST_PORT: usize = 27;
const PROTOCOL: usize = 29;
const ACTION: usize = 30;
const BYTES: usize = 31;
const BYTES_SENT: usize = 32;
const BYTES_RECEIVED: usize = 33;
const PACKETS: usize = 34;
const START: usize = 35;
const ELAPSED: usize = 36;
const PACKETS_SENT: usize = 44;
const PACKETS_RECEIVED: usize = 45;
const DEVICE: usize = 52;
/// Where a high-resolution timestamp may stand.
const TIMED: std::ops::Range<usize> = 54..160;

/// The fewest values that a record has: those up to the elapsed time.
const LEAST: usize = ELAPSED + 1;

impl TextFormat for Logs {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let message = self.syslog.message(text);
        let values = split(message.text);
        match values.get(KIND).copied() {
            Some(b"TRAFFIC") => {}
            Some(
                b"THREAT" | b"SYSTEM" | b"CONFIG" | b"HIPMATCH" | b"HIP-MATCH" | b"USERID" | b"GLOBALPROTECT"
                | b"AUTHENTICATION" | b"DECRYPTION" | b"CORRELATION" | b"IPTAG" | b"TUNNEL" | b"SCTP"
                | b"GTP" | b"AUDIT",
            ) => {
                sink.skip("log of another kind");
                return Ok(());
            }
            _ => return Err("expected a PAN-OS log with TRAFFIC as its fourth value".into()),
        }
        if values.len() < LEAST {
            return Err(format!("the record has {} values; expected {LEAST} or more", values.len()).into());
        }
        let flow = session(&values)?;
        let device = values.get(DEVICE).and_then(|name| std::str::from_utf8(name).ok());
        let name = device.filter(|name| !name.is_empty()).or(message.host).unwrap_or(SOURCE.name);
        sink.push_with(name, flow, details(&values));
        Ok(())
    }
}

/// Comma-separated values; those in quotes may hold commas.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut values = Vec::with_capacity(128);
    let (mut from, mut quoted) = (0, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                values.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    values.push(&text[from..]);
    for value in &mut values {
        let inner = value.trim_ascii();
        *value = inner.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(inner);
    }
    values
}

fn session(values: &[&[u8]]) -> Result<Flow, Fault> {
    let get = |place: usize| values.get(place).copied().unwrap_or_default();
    let (src, dst) = (address(get(SRC))?, address(get(DST))?);
    let name = shown(get(PROTOCOL));
    let number = protocol(&name, src).ok_or_else(|| format!("`{name}` is no protocol that is known"))?;
    let (start, end) = times(values)?;
    let mut flow = Flow {
        start,
        end,
        src,
        dst,
        protocol: number,
        sampling: 1,
        client: Client::Src,
        client_confidence: 0.97,
        verdict: match get(ACTION) {
            b"allow" => Verdict::Allow,
            b"" => Verdict::Unknown,
            _ => Verdict::Deny,
        },
        ..Flow::default()
    };
    if Protocol(number).has_ports() {
        (flow.src_port, flow.dst_port) = (port(get(SRC_PORT))?, port(get(DST_PORT))?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    if get(SUBTYPE) != b"start" {
        counts(get, &mut flow)?;
    }
    Ok(flow)
}

fn counts<'a>(get: impl Fn(usize) -> &'a [u8], flow: &mut Flow) -> Result<(), Fault> {
    let count = |place: usize| match get(place) {
        b"" => Ok(None),
        text => decimal(text).map(Some).ok_or_else(|| format!("`{}` is not a count", shown(text))),
    };
    let (sent, received) = (count(BYTES_SENT)?, count(BYTES_RECEIVED)?);
    let (packets_sent, packets_received) = (count(PACKETS_SENT)?, count(PACKETS_RECEIVED)?);
    // Of old releases only the totals of both directions are known.
    let (packets, bytes) = (packets_sent.or(count(PACKETS)?), sent.or(count(BYTES)?));
    if packets.is_some() || bytes.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    if received.is_some() || packets_received.is_some() {
        (flow.reverse_packets, flow.reverse_bytes) = (packets_received.unwrap_or(0), received.unwrap_or(0));
        flow.present |= FlowBatch::HAS_REVERSE;
    }
    Ok(())
}

/// The session's start, and its end by the seconds that it took.
fn times(values: &[&[u8]]) -> Result<(Micros, Micros), String> {
    let generated = date_time(values[GENERATED]);
    let start = date_time(values[START]).or(generated).ok_or_else(|| {
        format!("neither `{}` nor `{}` is a time", shown(values[START]), shown(values[GENERATED]))
    })?;
    let offset = values
        .get(TIMED)
        .or(values.get(TIMED.start..))
        .unwrap_or_default()
        .iter()
        .find_map(|text| offset(text));
    let start = start.saturating_sub(offset.unwrap_or(0));
    let span = decimal(values[ELAPSED]).unwrap_or(0).min(u64::from(u32::MAX)) as i64 * 1_000_000;
    Ok((start, start.saturating_add(span)))
}

/// How far the device's own time is from UTC, by a time that says it.
fn offset(text: &[u8]) -> Option<Micros> {
    let zoned = text.len() >= 25 && text[10] == b'T' && matches!(text[text.len() - 6], b'+' | b'-');
    let local = zoned.then(|| date_time(&text[..text.len() - 6]))??;
    Some(local - date_time(text)?)
}

fn address(text: &[u8]) -> Result<Ip, String> {
    ip(text).ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)))
}

fn port(text: &[u8]) -> Result<u16, String> {
    let port = decimal(text).and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| format!("`{}` is not a port", shown(text)))
}

fn details(values: &[&[u8]]) -> FlowDetails {
    let get = |place: usize| values.get(place).copied().unwrap_or_default();
    let text = |place: usize| {
        Some(get(place))
            .filter(|text| !text.is_empty())
            .map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let address = |place: usize| ip(get(place)).filter(|ip| *ip != Ip::v4(0) && ip.0 != 0);
    let port = |place: usize| {
        decimal(get(place)).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
    };
    let (nat_src_ip, nat_dst_ip) = (address(NAT_SRC), address(NAT_DST));
    FlowDetails {
        user: text(SRC_USER),
        service_name: text(APP)
            .filter(|app| !matches!(app.as_str(), "incomplete" | "insufficient-data" | "not-applicable")),
        rule: text(RULE),
        nat_src_port: port(NAT_SRC_PORT).filter(|_| nat_src_ip.is_some()),
        nat_dst_port: port(NAT_DST_PORT).filter(|_| nat_dst_ip.is_some()),
        nat_src_ip,
        nat_dst_ip,
        ..FlowDetails::default()
    }
}
