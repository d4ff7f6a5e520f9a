//! AWS Network Firewall's alert and flow logs: Suricata's events in an envelope.

use std::borrow::Cow;

use model::{Client, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::Protocol;
use serde::Deserialize;

use super::aws_vpc::wrapped;
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::ip;
use crate::text::times::date_time;
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "aws-network-firewall",
    aliases: &[],
    title: "AWS Network Firewall flow and alert logs (JSON)",
    description: "Events as the firewall writes them to S3 or CloudWatch. Flow events are one direction each, with counts and no \
                  verdict; alert events are attempts with their verdict and the rule's number and text, without counts. Other \
                  events (TLS, DNS) are counted and left. The firewall and its availability zone are the observer.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let ours = |text: &[u8]| {
        memchr::memmem::find(text, b"\"firewall_name\"").is_some()
            && memchr::memmem::find(text, b"\"event\"").is_some()
    };
    head.first().is_some_and(|byte| matches!(byte, b'{' | b'['))
        && (ours(head) || wrapped::first_message(head).is_some_and(|message| ours(&message)))
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["events", "logEvents"] };
    open_text(SOURCE.name, "events of an AWS Network Firewall", shape, input, Records)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    firewall_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    availability_zone: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

/// An event in Suricata's form.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    src_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    dest_ip: Option<Cow<'a, str>>,
    src_port: Option<u16>,
    dest_port: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    #[serde(borrow)]
    proto: Option<Cow<'a, str>>,
    #[serde(borrow)]
    app_proto: Option<Cow<'a, str>>,
    #[serde(borrow)]
    direction: Option<Cow<'a, str>>,
    #[serde(borrow)]
    netflow: Option<Netflow<'a>>,
    #[serde(borrow)]
    tcp: Option<Tcp<'a>>,
    #[serde(borrow)]
    alert: Option<Alert<'a>>,
    #[serde(borrow)]
    verdict: Option<Action<'a>>,
}

#[derive(Deserialize)]
struct Netflow<'a> {
    pkts: u64,
    bytes: u64,
    #[serde(borrow)]
    start: Option<Cow<'a, str>>,
    #[serde(borrow)]
    end: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tcp<'a> {
    #[serde(borrow)]
    tcp_flags: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    signature_id: Option<u64>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

/// SYN and ACK.
const OPENING: u8 = 0x12;
const SYN: u8 = 0x02;

/// How sure a SYN without an ACK in a whole flow, or the engine's own word, is of who opened the connection.
const STATED: f32 = 0.97;

const OTHER_EVENT: &str = "event that is no flow";

struct Records;

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let envelope: Envelope<'_> = serde_json::from_slice(text)
            .map_err(|error| format!("the record is not a firewall's event: {error}"))?;
        match &envelope.event {
            Some(event) => take(&envelope, event, sink),
            None => wrapped::each_message(text, sink, |message, sink| {
                let envelope: Envelope<'_> = serde_json::from_slice(message)
                    .map_err(|error| format!("the message is not a firewall's event: {error}"))?;
                take(&envelope, envelope.event.as_ref().ok_or("the message has no `event`")?, sink)
            }),
        }
    }
}

fn take(envelope: &Envelope<'_>, event: &Event<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let (mut flow, mut details) = (Flow { sampling: 1, ..Flow::default() }, FlowDetails::default());
    match (&*event.event_type, &event.netflow, &event.alert) {
        ("netflow", Some(netflow), _) => {
            tuple(event, &mut flow)?;
            counted(event, netflow, &mut flow)?;
            details.service_name =
                event.app_proto.as_deref().filter(|name| *name != "failed").map(str::to_owned);
        }
        ("alert", _, Some(alert)) => {
            tuple(event, &mut flow)?;
            flow.start = time(event.timestamp.as_deref())?;
            flow.end = flow.start;
            flow.verdict = verdict(event, alert);
            (flow.client, flow.client_confidence) = match event.direction.as_deref() {
                Some("to_server") => (Client::Src, STATED),
                Some("to_client") => (Client::Dst, STATED),
                _ => (Client::Unknown, 0.0),
            };
            details.rule = rule(alert);
        }
        _ => {
            sink.skip(OTHER_EVENT);
            return Ok(());
        }
    }
    sink.push_with(&observer(envelope), flow, details);
    Ok(())
}

fn observer(envelope: &Envelope<'_>) -> String {
    match (envelope.firewall_name.as_deref(), envelope.availability_zone.as_deref()) {
        (Some(firewall), Some(zone)) => format!("{firewall}/{zone}"),
        (Some(firewall), None) => firewall.to_owned(),
        _ => SOURCE.name.to_owned(),
    }
}

fn tuple(event: &Event<'_>, flow: &mut Flow) -> Result<(), String> {
    let address = |text: &Option<Cow<'_, str>>, name: &str| {
        let text = text.as_deref().ok_or_else(|| format!("the event has no `{name}`"))?;
        ip(text.as_bytes()).ok_or_else(|| format!("`{text}` is not an IPv4 or IPv6 address"))
    };
    (flow.src, flow.dst) = (address(&event.src_ip, "src_ip")?, address(&event.dest_ip, "dest_ip")?);
    let name = event.proto.as_deref().ok_or("the event has no `proto`")?;
    flow.protocol = protocol(name, flow.src).ok_or_else(|| format!("`{name}` is not a protocol"))?;
    match (event.src_port, event.dest_port) {
        (Some(source), Some(destination)) if Protocol(flow.protocol).has_ports() => {
            (flow.src_port, flow.dst_port) = (source, destination);
            flow.present |= FlowBatch::HAS_PORTS;
        }
        _ => {}
    }
    if let (Some(kind), true) = (event.icmp_type, Protocol(flow.protocol).is_icmp()) {
        flow.dst_port = u16::from(kind) << 8 | u16::from(event.icmp_code.unwrap_or(0));
        flow.present |= FlowBatch::HAS_ICMP;
    }
    Ok(())
}

fn counted(event: &Event<'_>, netflow: &Netflow<'_>, flow: &mut Flow) -> Result<(), String> {
    let logged = event.timestamp.as_deref();
    flow.start = time(netflow.start.as_deref().or(logged))?;
    flow.end = time(netflow.end.as_deref().or(logged))?.max(flow.start);
    (flow.packets, flow.bytes) = (netflow.pkts, netflow.bytes);
    flow.present |= FlowBatch::HAS_COUNTS;
    let flags = event.tcp.as_ref().and_then(|tcp| tcp.tcp_flags.as_deref());
    if let Some(flags) = flags.and_then(|flags| u8::from_str_radix(flags, 16).ok()) {
        flow.tcp_flags = flags;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
        if flags & OPENING == SYN {
            (flow.client, flow.client_confidence) = (Client::Src, STATED);
        }
    }
    Ok(())
}

/// The verdict on the packet, where the engine says it; else what the rule did.
fn verdict(event: &Event<'_>, alert: &Alert<'_>) -> Verdict {
    match event.verdict.as_ref().and_then(|verdict| verdict.action.as_deref()).or(alert.action.as_deref()) {
        Some("allowed" | "alert" | "pass") => Verdict::Allow,
        Some("blocked" | "drop" | "reject") => Verdict::Deny,
        _ => Verdict::Unknown,
    }
}

fn rule(alert: &Alert<'_>) -> Option<String> {
    match (alert.signature_id, alert.signature.as_deref()) {
        (Some(id), Some(text)) => Some(format!("{id} {text}")),
        (Some(id), None) => Some(id.to_string()),
        (None, text) => text.map(str::to_owned),
    }
}

/// 0 where there is none.
fn time(text: Option<&str>) -> Result<Micros, String> {
    let Some(text) = text else { return Ok(0) };
    date_time(text.as_bytes()).ok_or_else(|| format!("`{text}` is not a time"))
}
