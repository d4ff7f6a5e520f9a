//! One record as a flow.

use model::{Client, Flow, FlowBatch, Micros, parse_time};
use netset::{Ip, Protocol};

use super::columns::{FIELDS, Field};
use crate::text::values::seconds;

/// The values of one record, those that are set.
#[derive(Default)]
pub(super) struct Row<'a> {
    pub(super) values: [Option<&'a str>; FIELDS],
}

impl<'a> Row<'a> {
    pub(super) fn get(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    pub(super) fn number(&self, field: Field) -> Result<Option<u64>, String> {
        match self.get(field) {
            Some(text) => text.parse().map(Some).map_err(|_| format!("`{text}` is not a count")),
            None => Ok(None),
        }
    }
}

pub(super) fn connection(row: &Row<'_>) -> Result<Flow, String> {
    let address = |field: Field, name: &str| {
        let text = row.get(field).ok_or_else(|| format!("the record has no `{name}`"))?;
        text.parse::<Ip>().map_err(|error| error.to_string())
    };
    let (src, dst) = (address(Field::Source, "id.orig_h")?, address(Field::Destination, "id.resp_h")?);
    let start = time(row.get(Field::Time))?;
    let duration =
        row.get(Field::Duration).map_or(Some(0), seconds).ok_or("`duration` is not a number of seconds")?;
    let protocol = protocol(row, src)?;
    let mut flow = Flow {
        start,
        end: start.saturating_add(duration.max(0)),
        src,
        dst,
        protocol: protocol.0,
        sampling: 1,
        client: Client::Src,
        client_confidence: confidence(row, protocol),
        ..Flow::default()
    };
    let port = |field: Field| match row.number(field)? {
        Some(port) => u16::try_from(port).map_err(|_| format!("`{port}` is not a port")),
        None => Ok(0),
    };
    let (source, destination) = (port(Field::SourcePort)?, port(Field::DestinationPort)?);
    if protocol.has_ports() {
        (flow.src_port, flow.dst_port) = (source, destination);
        flow.present |= FlowBatch::HAS_PORTS;
    } else if protocol.is_icmp() {
        // Zeek puts the type into one port and the code into the other.
        flow.dst_port = (source & 0xff) << 8 | destination & 0xff;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    counts(row, &mut flow)?;
    Ok(flow)
}

fn counts(row: &Row<'_>, flow: &mut Flow) -> Result<(), String> {
    // Bytes of IP where Zeek counted them, as every other source counts; else those of the payload.
    let bytes = |ip: Field, payload: Field| Ok::<_, String>(row.number(ip)?.or(row.number(payload)?));
    let (packets, forward) = (row.number(Field::Packets)?, bytes(Field::IpBytes, Field::Bytes)?);
    if packets.is_some() || forward.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), forward.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    let (packets, backward) =
        (row.number(Field::ReversePackets)?, bytes(Field::ReverseIpBytes, Field::ReverseBytes)?);
    if packets.is_some() || backward.is_some() {
        flow.present |= FlowBatch::HAS_REVERSE;
        // A refusal is no answer: nobody offered the service.
        if !matches!(row.get(Field::State), Some("S0" | "REJ" | "RSTOS0" | "SH")) {
            (flow.reverse_packets, flow.reverse_bytes) = (packets.unwrap_or(0), backward.unwrap_or(0));
        }
    }
    Ok(())
}

fn protocol(row: &Row<'_>, src: Ip) -> Result<Protocol, String> {
    if let Some(number) = row.number(Field::ProtocolNumber)? {
        return u8::try_from(number)
            .map(Protocol)
            .map_err(|_| format!("`{number}` is not a protocol number"));
    }
    match row.get(Field::Protocol) {
        Some("tcp") => Ok(Protocol(6)),
        Some("udp") => Ok(Protocol(17)),
        Some("sctp") => Ok(Protocol(132)),
        Some("icmp") => Ok(Protocol(if src.is_v4() { 1 } else { 58 })),
        Some(other) => Err(format!("the protocol is `{other}`, and there is no `ip_proto`")),
        None => Err("the record has no `proto`".to_owned()),
    }
}

/// How sure Zeek is of the originator. It follows connections, and says itself where it guessed or came late.
fn confidence(row: &Row<'_>, protocol: Protocol) -> f32 {
    let history = row.get(Field::History).unwrap_or("");
    if history.contains('^') {
        // Zeek saw the answer first and turned the connection round by its list of likely server ports.
        0.7
    } else if row.get(Field::State) == Some("OTH") || protocol == Protocol::TCP && !history.contains('S') {
        // Midstream: whoever sent the first packet that was seen.
        0.6
    } else if protocol == Protocol::TCP {
        0.99
    } else {
        0.95
    }
}

/// Seconds since the epoch with a fraction, or RFC 3339. A time that is unset, or masked with `X` as in published logs,
/// is 0.
fn time(text: Option<&str>) -> Result<Micros, String> {
    let Some(text) = text else { return Ok(0) };
    if text.bytes().all(|byte| matches!(byte, b'X' | b'.')) {
        return Ok(0);
    }
    match seconds(text) {
        Some(time) => Ok(time),
        None if text.contains('T') => parse_time(text, 0).map_err(|_| format!("`{text}` is not a time")),
        None => Err(format!("`{text}` is not a time in seconds or RFC 3339")),
    }
}
