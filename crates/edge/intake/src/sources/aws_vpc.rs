//! AWS VPC flow logs as text: one record a line, fields by name.

use std::borrow::Cow;

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};
use serde::Deserialize;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::values::{address, number};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "aws-vpc",
    aliases: &["vpc-flow-logs"],
    title: "AWS VPC flow logs as text",
    description: "Records of AWS VPC flow logs, one a line, unpacked. Fields are found by the header line's names, in any \
                  order and version; without a header the default order of version 2 (and its documented extensions) is \
                  taken. Lines exported from CloudWatch as JSON objects with a `message` are unwrapped. `NODATA` and \
                  `SKIPDATA` records are counted, `REJECT` becomes the verdict deny.",
    status: Status::Verified,
    detect,
    open,
};

/// The order of AWS's documentation: the first 14 are the default format, each later version appended some.
const DOCUMENTED: [&str; 29] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "tcp-flags",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "region",
    "az-id",
    "sublocation-type",
    "sublocation-id",
    "pkt-src-aws-service",
    "pkt-dst-aws-service",
    "flow-direction",
    "traffic-path",
];

/// How many fields the default format has.
const DEFAULT_FIELDS: usize = 14;

/// SYN and ACK as AWS reports them: OR-ed over the window, a lone ACK not shown.
const SYN: u8 = 2;
const ACK: u8 = 16;

/// How sure a SYN is of who opened the connection: the window may hold more than one connection.
const BY_SYN: f32 = 0.97;

/// The longest time that a record may span, generously, in microseconds.
const SPAN_MAX: i64 = 86_400_000_000;

fn detect(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.take(3).any(|line| {
        let Some(text) = message(line) else { return false };
        Layout::of_header(&text).is_some() || Layout::by_default(&text).is_some()
    })
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "lines of an AWS VPC flow log", Shape::JSON, input, Records { layout: None })
}

/// The fields that matter.
#[derive(Clone, Copy)]
enum Field {
    Interface,
    Source,
    Destination,
    PacketSource,
    PacketDestination,
    SourcePort,
    DestinationPort,
    Protocol,
    Packets,
    Bytes,
    Start,
    End,
    Action,
    Status,
    TcpFlags,
    Direction,
    Instance,
    RejectReason,
}

const NAMES: [(Field, &str); 18] = [
    (Field::Interface, "interface-id"),
    (Field::Source, "srcaddr"),
    (Field::Destination, "dstaddr"),
    (Field::PacketSource, "pkt-srcaddr"),
    (Field::PacketDestination, "pkt-dstaddr"),
    (Field::SourcePort, "srcport"),
    (Field::DestinationPort, "dstport"),
    (Field::Protocol, "protocol"),
    (Field::Packets, "packets"),
    (Field::Bytes, "bytes"),
    (Field::Start, "start"),
    (Field::End, "end"),
    (Field::Action, "action"),
    (Field::Status, "log-status"),
    (Field::TcpFlags, "tcp-flags"),
    (Field::Direction, "flow-direction"),
    (Field::Instance, "instance-id"),
    (Field::RejectReason, "reject-reason"),
];

/// Which field each value of a record is, if it is one that matters.
struct Layout {
    fields: Vec<Option<Field>>,
}

impl Layout {
    fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let field = |name| NAMES.iter().find(|(_, known)| *known == name).map(|(field, _)| *field);
        Self { fields: names.map(field).collect() }
    }

    /// The layout of a header line; `None` when the line is none. Names may be written as in a format string, `${start}`.
    fn of_header(line: &str) -> Option<Self> {
        // Asked of every line, so the cheap question comes first.
        if !line.contains("srcaddr") {
            return None;
        }
        let names: Vec<String> = line
            .split_ascii_whitespace()
            .map(|name| {
                name.trim_start_matches("${").trim_end_matches('}').replace('_', "-").to_ascii_lowercase()
            })
            .collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let addressed = has("srcaddr") && has("dstaddr") || has("pkt-srcaddr") && has("pkt-dstaddr");
        (addressed && has("start")).then(|| Self::of_names(names.iter().map(String::as_str)))
    }

    /// The layout of a record without a header, if its first fields are those of the default format.
    fn by_default(line: &str) -> Option<Self> {
        let values: Vec<&str> = line.split_ascii_whitespace().collect();
        let version: u32 = values.first()?.parse().ok()?;
        // The versions' own lengths; from 6 on formats are custom, but commonly start as the default.
        let most = match version {
            2 => DEFAULT_FIELDS,
            3 => 21,
            4 => 25,
            5 => DOCUMENTED.len(),
            _ => 64,
        };
        if values.len() < DEFAULT_FIELDS || values.len() > most {
            return None;
        }
        let address = |value: &str| value == "-" || value.parse::<Ip>().is_ok();
        let number = |value: &str| value == "-" || value.parse::<u64>().is_ok();
        let plausible = address(values[3])
            && address(values[4])
            && values[5..12].iter().all(|value| number(value))
            && matches!(values[12], "ACCEPT" | "REJECT" | "-")
            && matches!(values[13], "OK" | "NODATA" | "SKIPDATA");
        let known = if matches!(values.len(), 14 | 21 | 25 | 29) && version <= 5 {
            values.len()
        } else {
            DEFAULT_FIELDS
        };
        plausible.then(|| {
            let mut layout = Self::of_names(DOCUMENTED.into_iter().take(known));
            layout.fields.resize(values.len(), None);
            layout
        })
    }
}

/// A line of a CloudWatch export.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The record in a line, unwrapped from JSON if need be.
fn message(line: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(line).ok()?.trim();
    if text.starts_with('{') {
        return serde_json::from_str::<Wrapped<'_>>(text).ok().map(|wrapped| wrapped.message);
    }
    Some(Cow::Borrowed(text))
}

struct Records {
    layout: Option<Layout>,
}

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let text = message(text).ok_or("expected text, or a JSON object with the record in `message`")?;
        if let Some(layout) = Layout::of_header(&text) {
            self.layout = Some(layout);
            sink.header();
            return Ok(());
        }
        if self.layout.is_none() {
            self.layout = Layout::by_default(&text);
        }
        let layout = self.layout.as_ref().ok_or(
            "there is no header line with the fields' names, and the record is not in the default order; put the flow \
             log's format line in front",
        )?;
        match parse(layout, &text)? {
            Parsed::Flow(found, interface) => {
                let (flow, details) = *found;
                sink.push_with(interface.unwrap_or(NO_INTERFACE), flow, details);
            }
            Parsed::NoData(interval) => sink.silent_interval(interval.exporter, interval.from, interval.to),
            Parsed::SkipData(interval) => sink.lost_interval(interval.exporter, interval.from, interval.to),
        }
        Ok(())
    }
}

/// What a record is.
enum Parsed<'a> {
    Flow(Box<(Flow, FlowDetails)>, Option<&'a str>),
    NoData(Interval<'a>),
    SkipData(Interval<'a>),
}

/// What a record without a flow speaks of.
struct Interval<'a> {
    exporter: &'a str,
    from: Micros,
    to: Micros,
}

impl<'a> Interval<'a> {
    /// A time that makes no sense is none: that the interface was silent, or its records lost, is said all the same.
    fn of(get: impl Fn(Field) -> Option<&'a str> + Copy) -> Self {
        let (from, to) = times(get).unwrap_or_default();
        Self { exporter: get(Field::Interface).unwrap_or(NO_INTERFACE), from, to }
    }
}

/// The observer of records that do not name their interface.
const NO_INTERFACE: &str = "unknown";

fn parse<'a>(layout: &Layout, text: &'a str) -> Result<Parsed<'a>, String> {
    let mut values = [None; NAMES.len()];
    let mut width = 0;
    for value in text.split_ascii_whitespace() {
        if let Some(Some(field)) = layout.fields.get(width) {
            values[*field as usize] = Some(value).filter(|value| *value != "-");
        }
        width += 1;
    }
    if width != layout.fields.len() {
        let expected = layout.fields.len();
        return Err(format!("the record has {width} values; expected {expected} as named by the header"));
    }
    let get = |field: Field| values[field as usize];
    match get(Field::Status) {
        Some("NODATA") => return Ok(Parsed::NoData(Interval::of(get))),
        Some("SKIPDATA") => return Ok(Parsed::SkipData(Interval::of(get))),
        _ => {}
    }
    let flow = flow(get)?;
    let details = details(get, flow.direction);
    Ok(Parsed::Flow(Box::new((flow, details)), get(Field::Interface)))
}

fn flow<'a>(get: impl Fn(Field) -> Option<&'a str> + Copy) -> Result<Flow, String> {
    let protocol = needed(get, Field::Protocol, "protocol")?;
    let (start, end) = times(get)?;
    // `srcaddr` and `dstaddr` are those of the network interface; behind a NAT gateway or a load balancer only the packet's
    // own addresses, asked first, say who talks to whom.
    let mut flow = Flow {
        start,
        end,
        src: address(get(Field::PacketSource).or(get(Field::Source)), "srcaddr")?,
        dst: address(get(Field::PacketDestination).or(get(Field::Destination)), "dstaddr")?,
        protocol: u8::try_from(protocol).map_err(|_| format!("`{protocol}` is not a protocol number"))?,
        sampling: 1,
        verdict: match get(Field::Action) {
            Some("ACCEPT") => Verdict::Allow,
            Some("REJECT") => Verdict::Deny,
            _ => Verdict::Unknown,
        },
        direction: match get(Field::Direction) {
            Some("ingress") => Direction::Ingress,
            Some("egress") => Direction::Egress,
            _ => Direction::Unknown,
        },
        ..Flow::default()
    };
    let (packets, bytes) = (number(get(Field::Packets))?, number(get(Field::Bytes))?);
    if packets.is_some() || bytes.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    transport(get, &mut flow)?;
    Ok(flow)
}

fn needed<'a>(get: impl Fn(Field) -> Option<&'a str>, field: Field, name: &str) -> Result<u64, String> {
    number(get(field))?.ok_or_else(|| format!("the record has no `{name}`"))
}

/// Start and end, in microseconds.
fn times<'a>(get: impl Fn(Field) -> Option<&'a str> + Copy) -> Result<(i64, i64), String> {
    let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let (start, end) = (micros(needed(get, Field::Start, "start")?), micros(needed(get, Field::End, "end")?));
    if start > end {
        return Err("the record starts after it ends".to_owned());
    }
    if end - start > SPAN_MAX {
        return Err("the record spans more than a day; AWS aggregates over at most ten minutes".to_owned());
    }
    Ok((start, end))
}

/// Ports and TCP flags, where the protocol has them. ICMP has the ports 0 and 0, and no type: neither is there.
fn transport<'a>(get: impl Fn(Field) -> Option<&'a str>, flow: &mut Flow) -> Result<(), String> {
    let narrow = |value: u64| u16::try_from(value).map_err(|_| format!("`{value}` is not a port"));
    if Protocol(flow.protocol).has_ports()
        && let (Some(source), Some(destination)) =
            (number(get(Field::SourcePort))?, number(get(Field::DestinationPort))?)
    {
        (flow.src_port, flow.dst_port) = (narrow(source)?, narrow(destination)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    if let Some(flags) = number(get(Field::TcpFlags))?.filter(|_| flow.protocol == Protocol::TCP.0) {
        flow.tcp_flags = flags as u8;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
        (flow.client, flow.client_confidence) = client(flow.tcp_flags);
    }
    Ok(())
}

/// A SYN alone is sent by the client, a SYN with an ACK by the server.
fn client(flags: u8) -> (Client, f32) {
    match (flags & SYN != 0, flags & ACK != 0) {
        (true, false) => (Client::Src, BY_SYN),
        (true, true) => (Client::Dst, BY_SYN),
        (false, _) => (Client::Unknown, 0.0),
    }
}

fn details<'a>(get: impl Fn(Field) -> Option<&'a str>, direction: Direction) -> FlowDetails {
    let instance = get(Field::Instance).map(str::to_owned);
    let rule = get(Field::RejectReason).map(str::to_owned);
    // The instance is the interface's owner: which side that is, only the direction tells.
    match direction {
        Direction::Ingress => FlowDetails { dst_workload: instance, rule, ..FlowDetails::default() },
        Direction::Egress => FlowDetails { src_workload: instance, rule, ..FlowDetails::default() },
        Direction::Unknown => FlowDetails { rule, ..FlowDetails::default() },
    }
}
