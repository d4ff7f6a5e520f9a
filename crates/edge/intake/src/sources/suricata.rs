//! Suricata's eve.json: flows, netflow halves, alerts and drops.

mod event;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use memchr::memmem::find;
use model::{Client, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::Protocol;

pub(crate) use self::event::Event;
use self::event::{Embedded, Flags};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::json::{self, Text};
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "suricata",
    aliases: &["eve", "suricata-eve"],
    title: "Suricata eve.json (flow, netflow, alert, drop)",
    description: "Events of Suricata, one JSON object each. `flow` events are connections with both directions; the side \
                  that Suricata calls client is, with less confidence where no handshake was seen. `netflow` events are \
                  halves, and are not used where `flow` events tell the same. `alert` and `drop` events become flows \
                  without counts, once for each connection, with the verdict: what they carry was counted by the \
                  connection's own event. `stats` events in which the capture lost one packet in a hundred or more are \
                  lost intervals. Other events are skipped.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    let event = has("\"event_type\"") && has("\"timestamp\"");
    // A firewall service that wraps these events is another format.
    event && (has("\"flow_id\"") || has("\"dest_ip\"") || has("\"stats\"")) && !has("\"firewall_name\"")
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "events of Suricata's eve.json", Shape::JSON, input, Format(Eve::default()))
}

struct Format(Eve);

impl TextFormat for Format {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let event: Event<'_> = json::parse(text)?;
        let exporter = event.host.as_ref().map_or("suricata", |host| &host.0).to_owned();
        self.0.event(&event, &exporter, sink)
    }
}

/// How many connections are remembered for what was decided about them.
const DECIDED_KEPT: usize = 65_536;

/// From what part of its packets on a capture counts as having lost an interval.
const LOST_PART: u64 = 100;

/// What has to be remembered of a stream of events.
#[derive(Default)]
pub(crate) struct Eve {
    /// Connections of which an alert or a drop was handed out, and whether it was refused.
    decided: HashMap<u64, bool, FixedState>,
    order: VecDeque<u64>,
    /// There are `flow` events: `netflow` events say the same again.
    has_flows: bool,
    /// The last `stats`: when, packets, drops.
    capture: Option<(Micros, u64, u64)>,
}

impl Eve {
    /// One event, as the named observer saw it.
    pub(crate) fn event(
        &mut self,
        event: &Event<'_>,
        exporter: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Fault> {
        match event.kind() {
            "flow" => {
                self.has_flows = true;
                let flow = self.connection(event)?;
                give(event, exporter, flow, None, sink);
            }
            "netflow" if self.has_flows => sink.skip("netflow event beside flow events"),
            "netflow" => give(event, exporter, half(event)?, None, sink),
            "alert" | "drop" => return self.decision(event, exporter, sink),
            "stats" => self.stats(event, exporter, sink),
            "" => return Err("the record has no `event_type`; expected an event of Suricata".into()),
            _ => sink.skip("event of another kind"),
        }
        Ok(())
    }

    /// A connection that ended, or that Suricata forgets.
    fn connection(&self, event: &Event<'_>) -> Result<Flow, Fault> {
        let part = event.flow.as_ref().ok_or("the `flow` event has no `flow`")?;
        let mut flow = tuple(event)?;
        times(&mut flow, part, event);
        flow.verdict = match part.action.as_ref().map_or("", |action| &action.0) {
            "drop" | "reject" => Verdict::Deny,
            "accept" | "pass" => Verdict::Allow,
            _ if event.id().is_some_and(|id| self.decided.get(&id) == Some(&true)) => Verdict::Deny,
            _ => Verdict::Unknown,
        };
        counts(&mut flow, part.pkts_toserver.0, part.bytes_toserver.0);
        let flags = event.tcp.as_ref();
        let forward = flags.and_then(|tcp| tcp.toserver());
        if let Some(forward) = forward.filter(|_| flow.protocol == Protocol::TCP.0) {
            flow.tcp_flags = forward;
            flow.present |= FlowBatch::HAS_TCP_FLAGS;
        }
        if part.pkts_toclient.0.is_some() || part.bytes_toclient.0.is_some() {
            flow.present |= FlowBatch::HAS_REVERSE;
            // A refusal is no answer: nobody offered the service.
            if !flags.is_some_and(Flags::refused) {
                flow.reverse_packets = part.pkts_toclient.0.unwrap_or(0);
                flow.reverse_bytes = part.bytes_toclient.0.unwrap_or(0);
            }
        }
        flow.client = Client::Src;
        flow.client_confidence = match (flow.protocol, forward) {
            (6, Some(flags)) if flags & Flags::SYN != 0 => 0.99,
            // Suricata came late: whoever sent the first packet that was seen.
            (6, _) => 0.6,
            _ => 0.95,
        };
        Ok(flow)
    }

    /// An alert or a dropped packet: what was decided, once for each connection, without counts.
    fn decision(&mut self, event: &Event<'_>, exporter: &str, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let refused = event.refused();
        if event.src_ip.0.is_none() {
            sink.skip("alert without addresses");
            return Ok(());
        }
        let mut flow = tuple(event)?;
        let initiator = event.flow.as_ref().and_then(Embedded::initiator);
        let answers = match initiator {
            Some((ip, port)) => ip != flow.src || port.is_some_and(|port| port != flow.src_port),
            None => event.to_client(),
        };
        if answers {
            std::mem::swap(&mut flow.src, &mut flow.dst);
            if flow.present & FlowBatch::HAS_PORTS != 0 {
                std::mem::swap(&mut flow.src_port, &mut flow.dst_port);
            }
        }
        if initiator.is_some() || event.direction.is_some() {
            (flow.client, flow.client_confidence) = (Client::Src, 0.9);
        }
        if let Some(part) = &event.flow {
            times(&mut flow, part, event);
        }
        flow.verdict = if refused { Verdict::Deny } else { Verdict::Allow };
        if let Some(id) = event.id()
            && !self.first(id, refused)
        {
            sink.skip("repeated alert of a connection");
            return Ok(());
        }
        let rule = event.alert.as_ref().and_then(event::Alert::rule);
        give(event, exporter, flow, rule, sink);
        Ok(())
    }

    /// Whether this is the first that is decided of a connection, or the first refusal.
    fn first(&mut self, id: u64, refused: bool) -> bool {
        match self.decided.get_mut(&id) {
            Some(known) if *known || !refused => false,
            Some(known) => {
                *known = true;
                true
            }
            None => {
                if self.order.len() >= DECIDED_KEPT
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.decided.remove(&oldest);
                }
                self.decided.insert(id, refused);
                self.order.push_back(id);
                true
            }
        }
    }

    fn stats(&mut self, event: &Event<'_>, exporter: &str, sink: &mut Sink<'_>) {
        let capture = event.stats.as_ref().and_then(|stats| stats.capture.as_ref());
        let numbers = capture.and_then(|capture| Some((capture.kernel_packets.0?, capture.kernel_drops.0?)));
        let (Some(at), Some((packets, drops))) = (event.timestamp.0, numbers) else {
            sink.skip("event of another kind");
            return;
        };
        // The counters run from Suricata's start; after a restart they are small again.
        let (from, packets_before, drops_before) =
            self.capture.filter(|before| before.1 <= packets && before.2 <= drops).unwrap_or((at, 0, 0));
        self.capture = Some((at, packets, drops));
        let (packets, drops) = (packets - packets_before, drops - drops_before);
        if drops > 0 && drops >= packets / LOST_PART {
            sink.lost_interval(exporter, from, at);
        } else {
            sink.skip("statistics without loss");
        }
    }
}

/// Hands out a flow with what is known beside it.
fn give(event: &Event<'_>, exporter: &str, flow: Flow, rule: Option<String>, sink: &mut Sink<'_>) {
    let known = event.app_proto.as_ref().filter(|name| !matches!(&*name.0, "failed" | "unknown"));
    if rule.is_none() && known.is_none() {
        return sink.push(exporter, flow);
    }
    let details = FlowDetails { rule, service_name: Text::owned(known), ..FlowDetails::default() };
    sink.push_with(exporter, flow, details);
}

/// One direction of a connection.
fn half(event: &Event<'_>) -> Result<Flow, Fault> {
    let part = event.netflow.as_ref().ok_or("the `netflow` event has no `netflow`")?;
    let mut flow = tuple(event)?;
    times(&mut flow, part, event);
    counts(&mut flow, part.pkts.0, part.bytes.0);
    if let Some(flags) = event.tcp.as_ref().and_then(Flags::all).filter(|_| flow.protocol == Protocol::TCP.0)
    {
        flow.tcp_flags = flags;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
    }
    Ok(flow)
}

/// Who and what, at the event's own time.
fn tuple(event: &Event<'_>) -> Result<Flow, Fault> {
    let (src, dst) = (event.src_ip.needed("src_ip")?, event.dest_ip.needed("dest_ip")?);
    let name = event.proto.as_ref().map_or("", |proto| &proto.0);
    let number = match name {
        "TCP" => 6,
        "UDP" => 17,
        name => protocol(name, src).ok_or_else(|| format!("`{name}` is no protocol that is known"))?,
    };
    let at = event.timestamp.0.ok_or("the record has no time in `timestamp`")?;
    let mut flow = Flow { start: at, end: at, src, dst, protocol: number, sampling: 1, ..Flow::default() };
    let narrow = |value: u64| u16::try_from(value).map_err(|_| format!("`{value}` is not a port"));
    let protocol = Protocol(number);
    if protocol.has_ports() {
        if let (Some(src_port), Some(dst_port)) = (event.src_port.0, event.dest_port.0) {
            (flow.src_port, flow.dst_port) = (narrow(src_port)?, narrow(dst_port)?);
            flow.present |= FlowBatch::HAS_PORTS;
        }
    } else if protocol.is_icmp()
        && let Some(kind) = event.icmp_type.0
    {
        let code = event.icmp_code.0.unwrap_or(0);
        flow.dst_port = narrow((kind & 0xff) << 8 | code & 0xff)?;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    Ok(flow)
}

/// The connection's own times, where they are said.
fn times(flow: &mut Flow, part: &Embedded<'_>, event: &Event<'_>) {
    if let Some(start) = part.start.0 {
        flow.start = start;
        flow.end = part.end.0.or(event.timestamp.0).unwrap_or(start).max(start);
    }
}

fn counts(flow: &mut Flow, packets: Option<u64>, bytes: Option<u64>) {
    if packets.is_some() || bytes.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
}
