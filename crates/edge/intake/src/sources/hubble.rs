//! Cilium's Hubble: flows as its exporter and `hubble observe` write them.

mod event;

use memchr::memmem::find;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Verdict};
use netset::Protocol;

use self::event::{Endpoint, Event, Line, Policy, Ports, Transport};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::json::{self, Text};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "hubble",
    aliases: &["cilium", "cilium-hubble"],
    title: "Cilium Hubble flows (JSON)",
    description: "Events of Cilium's Hubble, from its exporter or `hubble observe -o json|jsonpb`. An event is a packet or a \
                  request that was seen at some point of its way, so the flows have no counts and nothing is counted twice. \
                  Workloads are `namespace/name[Kind]`; the policies that decided are the rule; `is_reply` says who the \
                  client is, and where it is null nobody is. A packet that is only traced on its way in has no verdict yet.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    let flow = has("\"verdict\"") && has("\"IP\"") && has("\"ipVersion\"");
    head.trim_ascii_start().starts_with(b"{") && (flow || has("\"lost_events\"") && has("\"node_name\""))
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "events of Cilium's Hubble", Shape::JSON, input, Events)
}

/// How sure the connection table of Cilium is of who opened a connection.
const BY_STATE: f32 = 0.98;

/// How sure a packet is that has SYN alone.
const BY_SYN: f32 = 0.97;

struct Events;

impl TextFormat for Events {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let Line { flow, node_name, time, lost_events } = json::parse(text)?;
        let event: Event<'_> = match flow {
            Some(event) => event,
            // Older releases print the event without its wrapping.
            None => json::parse(text)?,
        };
        let named = node_name.as_ref().or(event.node_name.as_ref()).filter(|name| !name.0.is_empty());
        let node = named.map_or("hubble", |name| &name.0);
        let kind = event.kind.as_ref().map_or("", |kind| &kind.0);
        if lost_events.is_some() {
            let at = time.0.unwrap_or(0);
            sink.lost_interval(node, at, at);
        } else if event.verdict.is_none() {
            // Agents' own events, and what they say of themselves.
            sink.skip("event of another kind");
        } else if kind == "SOCK" {
            sink.skip("translation of a socket's address");
        } else if event.ip.is_none() {
            sink.skip("event without addresses");
        } else if let Some(flow) = packet(&event)? {
            let details = details(&event, flow.verdict == Verdict::Deny);
            sink.push_with(node, flow, details);
        } else {
            sink.skip("event without a protocol");
        }
        Ok(())
    }
}

/// The event as a flow; `None` when it does not say of which protocol.
fn packet(event: &Event<'_>) -> Result<Option<Flow>, Fault> {
    let ip = event.ip.as_ref().ok_or("the record has no `IP`")?;
    let (src, dst) = (ip.source.needed("source")?, ip.destination.needed("destination")?);
    let at = event.time.0.ok_or("the record has no `time`")?;
    let mut flow = Flow { start: at, end: at, src, dst, sampling: 1, ..Flow::default() };
    let Some(l4) = &event.l4 else { return Ok(None) };
    if !transport(l4, &mut flow)? {
        return Ok(None);
    }
    flow.verdict = verdict(event);
    flow.direction = match event.traffic_direction.as_ref().map_or("", |direction| &direction.0) {
        "INGRESS" => Direction::Ingress,
        "EGRESS" => Direction::Egress,
        _ => Direction::Unknown,
    };
    let syn = flow.present & FlowBatch::HAS_TCP_FLAGS != 0 && flow.tcp_flags & 0x12 == 0x02;
    (flow.client, flow.client_confidence) = match (event.is_reply, event.reply) {
        (Some(true), _) | (None, Some(true)) => (Client::Dst, BY_STATE),
        (Some(false), _) => (Client::Src, BY_STATE),
        // Dropped packets are in no connection table: the reply is null. The old `reply` is false there too, and says nothing.
        (None, _) if syn => (Client::Src, BY_SYN),
        (None, _) => (Client::Unknown, 0.0),
    };
    Ok(Some(flow))
}

/// Whether a protocol is said.
fn transport(l4: &Transport, flow: &mut Flow) -> Result<bool, Fault> {
    let icmp = l4.icmp_v4.as_ref().map(|icmp| (1, icmp)).or(l4.icmp_v6.as_ref().map(|icmp| (58, icmp)));
    if let Some((protocol, icmp)) = icmp {
        let byte = |count: Option<u64>| count.unwrap_or(0) as u16 & 0xff;
        (flow.protocol, flow.dst_port) = (protocol, byte(icmp.kind.0) << 8 | byte(icmp.code.0));
        flow.present |= FlowBatch::HAS_ICMP;
        return Ok(true);
    }
    if l4.vrrp.is_some() || l4.igmp.is_some() {
        flow.protocol = if l4.vrrp.is_some() { 112 } else { 2 };
        return Ok(true);
    }
    let numbered = [(Protocol::TCP.0, &l4.tcp), (17, &l4.udp), (132, &l4.sctp)];
    let found = numbered.into_iter().find_map(|(number, ports)| Some((number, ports.as_ref()?)));
    let Some((number, ports)) = found else { return Ok(false) };
    flow.protocol = number;
    (flow.src_port, flow.dst_port) = ports.both().ok_or("a port of the record is no port")?;
    flow.present |= FlowBatch::HAS_PORTS;
    if let Some(flags) = ports.flags.as_ref() {
        flow.tcp_flags = flags.bits();
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
    }
    Ok(true)
}

fn verdict(event: &Event<'_>) -> Verdict {
    let point = event.trace_observation_point.as_ref().map_or("", |point| &point.0);
    match event.verdict.as_ref().map_or("", |verdict| &verdict.0) {
        // Policy is asked between the points that packets come from and those that they go to.
        "FORWARDED" if point.starts_with("FROM_") => Verdict::Unknown,
        // What a policy in audit mode would have refused has passed.
        "FORWARDED" | "REDIRECTED" | "AUDIT" => Verdict::Allow,
        "DROPPED" => Verdict::Deny,
        _ => Verdict::Unknown,
    }
}

fn details(event: &Event<'_>, denied: bool) -> FlowDetails {
    FlowDetails {
        src_workload: event.source.as_ref().and_then(workload),
        dst_workload: event.destination.as_ref().and_then(workload),
        service_name: service(event),
        nat_src_ip: event.ip.as_ref().and_then(|ip| ip.source_xlated.0),
        rule: rule(event, denied),
        ..FlowDetails::default()
    }
}

/// `namespace/name[Kind]` of the owning workload, of the pod where its owner is not known, or the reserved identity.
fn workload(endpoint: &Endpoint<'_>) -> Option<String> {
    let namespace = endpoint.namespace.as_ref().map_or("", |name| &name.0);
    let (name, kind) = match (&endpoint.workloads.0, &endpoint.pod_name) {
        (Some((name, kind)), _) => (&name.0, &*kind.0),
        (None, Some(pod)) if !pod.0.is_empty() => (&pod.0, "Pod"),
        _ => return endpoint.labels.reserved().map(str::to_owned),
    };
    let mut text = String::with_capacity(namespace.len() + name.len() + kind.len() + 3);
    if !namespace.is_empty() {
        text.push_str(namespace);
        text.push('/');
    }
    text.push_str(name);
    if !kind.is_empty() {
        text.push('[');
        text.push_str(kind);
        text.push(']');
    }
    Some(text)
}

fn service(event: &Event<'_>) -> Option<String> {
    let named = event.destination_service.as_ref().and_then(|service| {
        let name = Text::owned(service.name.as_ref())?;
        Some(match Text::owned(service.namespace.as_ref()) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        })
    });
    named.or_else(|| event.l7.as_ref()?.name().map(str::to_owned))
}

/// The policies that decided; of a refusal without one, its reason.
fn rule(event: &Event<'_>, denied: bool) -> Option<String> {
    let lists = if denied {
        [&event.egress_denied_by, &event.ingress_denied_by]
    } else {
        [&event.egress_allowed_by, &event.ingress_allowed_by]
    };
    let names: Vec<String> = lists.into_iter().flatten().flatten().filter_map(Policy::full_name).collect();
    if names.is_empty() {
        return denied.then(|| Text::owned(event.drop_reason_desc.as_ref())).flatten();
    }
    Some(names.join(", "))
}

impl Ports {
    fn both(&self) -> Option<(u16, u16)> {
        let port = |count: Option<u64>| u16::try_from(count.unwrap_or(0)).ok();
        Some((port(self.source_port.0)?, port(self.destination_port.0)?))
    }
}
