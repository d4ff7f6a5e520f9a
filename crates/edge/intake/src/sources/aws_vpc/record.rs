//! What a record means, whether its values came as text or in columns.

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use super::layout::Field;
use crate::text::bytes::{ip, shown};
use crate::text::{Fault, Sink};

/// SYN and ACK as AWS reports them: OR-ed over the window, a lone ACK not shown.
const SYN: u8 = 2;
const ACK: u8 = 16;

/// How sure a SYN is of who opened the connection: the window may hold more than one connection.
const BY_SYN: f32 = 0.97;

/// The longest time that a record may span, generously, in microseconds.
const SPAN_MAX: i64 = 86_400_000_000;

/// The observer of records that do not name their interface.
const NO_INTERFACE: &str = "unknown";

/// The values of one record.
pub(crate) trait Values {
    /// A value; `None` where the record has none.
    fn text(&self, field: Field) -> Option<&[u8]>;

    /// A number; an error says that it is none.
    fn number(&self, field: Field) -> Result<Option<u64>, String>;

    /// Whether no record of this layout has details, so that nobody needs to look.
    fn plain(&self) -> bool {
        false
    }
}

/// Gives the record to the sink: a flow, or an interval of silence or loss.
pub(crate) fn take(values: &impl Values, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let exporter = observer(values);
    match values.text(Field::Status) {
        Some(b"NODATA") => {
            let (from, to) = times(values).unwrap_or_default();
            sink.silent_interval(exporter, from, to);
        }
        Some(b"SKIPDATA") => {
            let (from, to) = times(values).unwrap_or_default();
            sink.lost_interval(exporter, from, to);
        }
        _ => {
            let mut flow = flow(values)?;
            if values.plain() {
                sink.push(exporter, flow);
                return Ok(());
            }
            match details(values, &mut flow)? {
                Some(details) => sink.push_with(exporter, flow, details),
                None => sink.push(exporter, flow),
            }
        }
    }
    Ok(())
}

/// The interface; a regional NAT gateway has none and is named as the resource, a transit gateway by its attachment.
fn observer(values: &impl Values) -> &str {
    [Field::Interface, Field::Attachment, Field::Resource, Field::Gateway]
        .into_iter()
        .find_map(|field| values.text(field))
        .and_then(|name| std::str::from_utf8(name).ok())
        .unwrap_or(NO_INTERFACE)
}

fn flow(values: &impl Values) -> Result<Flow, String> {
    let protocol = needed(values, Field::Protocol)?;
    let (start, end) = times(values)?;
    let mut flow = Flow {
        start,
        end,
        src: address(values, Field::PacketSource, Field::Source)?,
        dst: address(values, Field::PacketDestination, Field::Destination)?,
        protocol: u8::try_from(protocol).map_err(|_| format!("`{protocol}` is not a protocol number"))?,
        sampling: 1,
        verdict: match values.text(Field::Action) {
            Some(b"ACCEPT") => Verdict::Allow,
            Some(b"REJECT") => Verdict::Deny,
            _ => Verdict::Unknown,
        },
        direction: match values.text(Field::Direction) {
            Some(b"ingress") => Direction::Ingress,
            Some(b"egress") => Direction::Egress,
            _ => Direction::Unknown,
        },
        ..Flow::default()
    };
    let (packets, bytes) = (values.number(Field::Packets)?, values.number(Field::Bytes)?);
    if packets.is_some() || bytes.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    transport(values, &mut flow)?;
    Ok(flow)
}

fn needed(values: &impl Values, field: Field) -> Result<u64, String> {
    values.number(field)?.ok_or_else(|| format!("the record has no `{}`", field.name()))
}

/// The packet's own address, else the interface's: behind a NAT gateway, a load balancer or a container's host only the
/// packet's say who talks to whom.
fn address(values: &impl Values, packet: Field, interface: Field) -> Result<Ip, String> {
    let text = values.text(packet).or_else(|| values.text(interface));
    let text = text.ok_or_else(|| format!("the record has no `{}`", interface.name()))?;
    ip(text).ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)))
}

/// Start and end, in microseconds.
fn times(values: &impl Values) -> Result<(Micros, Micros), String> {
    let micros = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let (start, end) = (micros(needed(values, Field::Start)?), micros(needed(values, Field::End)?));
    if start > end {
        return Err("the record starts after it ends".to_owned());
    }
    if end - start > SPAN_MAX {
        return Err("the record spans more than a day; AWS aggregates over at most ten minutes".to_owned());
    }
    Ok((start, end))
}

/// Ports and TCP flags, where the protocol has them. ICMP has the ports 0 and 0, and no type: neither is there.
fn transport(values: &impl Values, flow: &mut Flow) -> Result<(), String> {
    let narrow = |value: u64| u16::try_from(value).map_err(|_| format!("`{value}` is not a port"));
    if Protocol(flow.protocol).has_ports()
        && let (Some(source), Some(destination)) =
            (values.number(Field::SourcePort)?, values.number(Field::DestinationPort)?)
    {
        (flow.src_port, flow.dst_port) = (narrow(source)?, narrow(destination)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    if flow.protocol == Protocol::TCP.0
        && let Some(flags) = values.number(Field::TcpFlags)?
    {
        flow.tcp_flags = flags as u8;
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
        // Transit gateways show every ACK, so that a client's window has SYN and ACK too.
        let every_ack = values.text(Field::Attachment).is_some() || values.text(Field::Gateway).is_some();
        (flow.client, flow.client_confidence) = client(flow.tcp_flags, every_ack);
    }
    Ok(())
}

/// A SYN alone is sent by the client, a SYN with an ACK by the server.
fn client(flags: u8, every_ack: bool) -> (Client, f32) {
    match (flags & SYN != 0, flags & ACK != 0) {
        (true, false) => (Client::Src, BY_SYN),
        (true, true) if !every_ack => (Client::Dst, BY_SYN),
        _ => (Client::Unknown, 0.0),
    }
}

/// What only some formats have; `None`, and nothing allocated, where there is nothing.
fn details(values: &impl Values, flow: &mut Flow) -> Result<Option<FlowDetails>, String> {
    let mut details = FlowDetails::default();
    let owned = |field: Field| values.text(field).map(|text| String::from_utf8_lossy(text).into_owned());
    details.rule = owned(Field::RejectReason);
    // The instance or container is the interface's owner: which side that is, only the direction tells.
    match flow.direction {
        Direction::Ingress => details.dst_workload = workload(values),
        Direction::Egress => details.src_workload = workload(values),
        Direction::Unknown => {}
    }
    details.service_name = owned(Field::DestinationService).or_else(|| owned(Field::SourceService));
    details.nat_src_ip = other_side(values, Field::PacketSource, Field::Source, flow.src);
    details.nat_dst_ip = other_side(values, Field::PacketDestination, Field::Destination, flow.dst);
    for field in [Field::LostBlackhole, Field::LostNoRoute] {
        let lost = values.number(field)?.unwrap_or(0);
        if lost > 0 && lost >= flow.packets {
            // The gateway's routes let nothing of it through.
            flow.verdict = Verdict::Deny;
            details.rule = Some(field.name().to_owned());
        }
    }
    Ok((details != FlowDetails::default()).then_some(details))
}

/// The container's service (or task) with its cluster, else the instance.
fn workload(values: &impl Values) -> Option<String> {
    let text = |field: Field| values.text(field).map(String::from_utf8_lossy);
    let Some(name) = text(Field::EcsService).or_else(|| text(Field::EcsTask)) else {
        return text(Field::Instance).map(|id| id.into_owned());
    };
    Some(match text(Field::EcsCluster) {
        Some(cluster) => format!("{cluster}/{name}"),
        None => name.into_owned(),
    })
}

/// The interface's own address where the packet's is another one: what the two sides of a translation are joined by.
fn other_side(values: &impl Values, packet: Field, interface: Field, used: Ip) -> Option<Ip> {
    values.text(packet)?;
    values.text(interface).and_then(ip).filter(|ip| *ip != used)
}
