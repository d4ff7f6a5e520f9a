//! Google Cloud's VPC flow logs and firewall rules logs, as Cloud Logging exports them.

mod entry;

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use self::entry::{Connection, Entry, Payload};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::ip;
use crate::text::times::date_time;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "gcp",
    aliases: &["gcp-vpc", "gcp-firewall"],
    title: "Google Cloud VPC flow logs and firewall rules logs (JSON)",
    description: "Log entries as Cloud Logging exports them (lines, arrays, `entries`, BigQuery's rows as JSON). A flow that both \
                  ends report comes from two observers, named by their project and instance, so that it counts once. Pods, \
                  their workloads and instances are kept as names. Firewall logs give attempts with their verdict and rule; \
                  flow logs say nothing of either, and only what was sampled.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(head, text).is_some();
    let json = head.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
    json && has(b"\"connection\"")
        && has(b"\"dest_ip\"")
        && (has(b"\"jsonPayload\"") || has(b"\"reporter\"") || has(b"\"disposition\""))
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["entries"] };
    open_text(SOURCE.name, "entries of Google Cloud's flow or firewall logs", shape, input, Records)
}

/// How sure a firewall's log is of who opened the connection: it logs the attempt, from whom it came.
const STATED: f32 = 0.95;

const NOT_A_FLOW: &str = "log entry of another kind";

struct Records;

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let entry: Entry<'_> = serde_json::from_slice(text)
            .map_err(|error| format!("the record is not a log entry: {error}"))?;
        let bare;
        let payload = match &entry.payload {
            Some(payload) => payload,
            None => {
                bare = serde_json::from_slice(text)
                    .map_err(|error| format!("the record is not a flow: {error}"))?;
                &bare
            }
        };
        let Some(connection) = &payload.connection else {
            sink.skip(NOT_A_FLOW);
            return Ok(());
        };
        let mut flow = tuple(connection)?;
        let details = if payload.disposition.is_some() {
            attempt(&entry, payload, &mut flow)?
        } else {
            observed(&entry, payload, &mut flow)?
        };
        sink.push_with(&observer(&entry, payload), flow, details);
        Ok(())
    }
}

fn tuple(connection: &Connection<'_>) -> Result<Flow, String> {
    let address = |text: &Option<std::borrow::Cow<'_, str>>, name: &str| -> Result<Ip, String> {
        let text = text.as_deref().ok_or_else(|| format!("the record has no `{name}`"))?;
        ip(text.as_bytes()).ok_or_else(|| format!("`{text}` is not an IPv4 or IPv6 address"))
    };
    let protocol = connection.protocol.ok_or("the record has no `protocol`")?.0;
    let mut flow = Flow {
        src: address(&connection.src_ip, "src_ip")?,
        dst: address(&connection.dest_ip, "dest_ip")?,
        protocol: u8::try_from(protocol).map_err(|_| format!("`{protocol}` is not a protocol number"))?,
        sampling: 1,
        ..Flow::default()
    };
    if Protocol(flow.protocol).has_ports()
        && let (Some(source), Some(destination)) = (connection.src_port, connection.dest_port)
    {
        let narrow = |port: u64| u16::try_from(port).map_err(|_| format!("`{port}` is not a port"));
        (flow.src_port, flow.dst_port) = (narrow(source.0)?, narrow(destination.0)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    Ok(flow)
}

/// A flow log's record: one direction, as one end saw it.
fn observed(entry: &Entry<'_>, payload: &Payload<'_>, flow: &mut Flow) -> Result<FlowDetails, String> {
    let late = || time(entry.timestamp.as_deref());
    (flow.start, flow.end) = (time(payload.start_time.as_deref())?, time(payload.end_time.as_deref())?);
    if flow.start == 0 {
        flow.start = if flow.end == 0 { late()? } else { flow.end };
    }
    flow.end = flow.end.max(flow.start);
    if payload.packets_sent.is_some() || payload.bytes_sent.is_some() {
        flow.packets = payload.packets_sent.map_or(0, |count| count.0);
        flow.bytes = payload.bytes_sent.map_or(0, |count| count.0);
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    flow.direction = match payload.reporter.as_deref() {
        Some(reporter) if reporter.starts_with("SRC") => Direction::Egress,
        Some(reporter) if reporter.starts_with("DEST") => Direction::Ingress,
        _ => Direction::Unknown,
    };
    Ok(FlowDetails {
        src_workload: payload.source_name(),
        dst_workload: payload.destination_name(),
        service_name: payload.service_name(),
        ..FlowDetails::default()
    })
}

/// A firewall log's record: an attempt, and what became of it.
fn attempt(entry: &Entry<'_>, payload: &Payload<'_>, flow: &mut Flow) -> Result<FlowDetails, String> {
    flow.start = time(entry.timestamp.as_deref())?;
    flow.end = flow.start;
    flow.verdict = match payload.disposition.as_deref() {
        Some("ALLOWED") => Verdict::Allow,
        Some("DENIED") => Verdict::Deny,
        _ => Verdict::Unknown,
    };
    (flow.client, flow.client_confidence) = (Client::Src, STATED);
    let rule = payload.rule_details.as_ref();
    let (near, far) = (payload.instance_name(), payload.remote_name());
    let (src_workload, dst_workload) = match rule.and_then(|rule| rule.direction.as_deref()) {
        Some("INGRESS") => {
            flow.direction = Direction::Ingress;
            (far, near)
        }
        Some("EGRESS") => {
            flow.direction = Direction::Egress;
            (near, far)
        }
        _ => (None, None),
    };
    let rule = rule.and_then(|rule| rule.reference.as_deref()).map(str::to_owned);
    Ok(FlowDetails { src_workload, dst_workload, rule, ..FlowDetails::default() })
}

/// 0 where there is none.
fn time(text: Option<&str>) -> Result<Micros, String> {
    let Some(text) = text else { return Ok(0) };
    date_time(text.strip_suffix(" UTC").unwrap_or(text).as_bytes())
        .ok_or_else(|| format!("`{text}` is not a time; expected one like `2026-11-19T08:00:00Z`"))
}

/// Who reports: the instance at this end, with its project; where metadata is left out, the project's end.
fn observer(entry: &Entry<'_>, payload: &Payload<'_>) -> String {
    let destination = payload.reporter.as_deref().is_some_and(|reporter| reporter.starts_with("DEST"));
    let instance = match (&payload.instance, destination) {
        (Some(instance), _) => Some(instance),
        (None, true) => payload.dest_instance.as_ref(),
        (None, false) => payload.src_instance.as_ref(),
    };
    let named = instance.and_then(|instance| Some((instance, instance.vm_name.as_deref()?)));
    if let Some((instance, name)) = named {
        return match instance.project_id.as_deref() {
            Some(project) => format!("{project}/{name}"),
            None => name.to_owned(),
        };
    }
    let project = entry.log_name.as_deref().and_then(|name| name.split('/').nth(1)).unwrap_or("gcp");
    match payload.reporter.as_deref() {
        Some(reporter) => format!("{project}/{reporter}"),
        None => project.to_owned(),
    }
}
