//! One record as a flow.

use model::{Client, Flow, FlowBatch, Micros};
use netset::{Ip, Protocol};

use super::columns::{FIELDS, Field};
use crate::text::{bytes, times};

/// A value as the log has it.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    /// A number of JSON.
    Whole(u64),
    /// A number of JSON with a fraction or a sign.
    Fraction(f64),
}

/// The values of one record, those that are set.
#[derive(Default)]
pub(super) struct Row<'a> {
    pub(super) values: [Option<Value<'a>>; FIELDS],
}

impl<'a> Row<'a> {
    pub(super) fn text(&self, field: Field) -> Option<&'a [u8]> {
        match self.values[field as usize] {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, field: Field) -> Result<Option<u64>, String> {
        match self.values[field as usize] {
            None => Ok(None),
            Some(Value::Whole(number)) => Ok(Some(number)),
            Some(Value::Text(text)) => match bytes::decimal(text) {
                Some(number) => Ok(Some(number)),
                None => Err(format!("`{}` is not a count", String::from_utf8_lossy(text))),
            },
            // Some JSON writers give every number a fraction.
            Some(Value::Fraction(number)) if (0.0..1e18).contains(&number) => Ok(Some(number as u64)),
            Some(Value::Fraction(number)) => Err(format!("`{number}` is not a count")),
        }
    }

    /// Seconds, as microseconds.
    pub(super) fn seconds(&self, field: Field) -> Option<Option<Micros>> {
        Some(match self.values[field as usize]? {
            Value::Text(text) => times::seconds(text).or_else(|| fraction(text).and_then(micros)),
            Value::Whole(number) => {
                i64::try_from(number).ok().and_then(|number| number.checked_mul(1_000_000))
            }
            Value::Fraction(number) => micros(number),
        })
    }

    pub(super) fn fraction(&self, field: Field) -> Option<f64> {
        match self.values[field as usize]? {
            Value::Text(text) => fraction(text),
            Value::Whole(number) => Some(number as f64),
            Value::Fraction(number) => Some(number),
        }
    }

    /// Since the epoch. A time that is unset, or masked with `X` as in published logs, is 0.
    pub(super) fn time(&self) -> Result<Micros, String> {
        let seconds = self.seconds(Field::Time);
        let text = self.text(Field::Time);
        match (seconds, text) {
            (None, _) => Ok(0),
            (Some(Some(time)), _) => Ok(time),
            (Some(None), Some(text)) if text.iter().all(|byte| matches!(byte, b'X' | b'.')) => Ok(0),
            (Some(None), text) => text.and_then(times::date_time).ok_or_else(|| {
                let text = String::from_utf8_lossy(text.unwrap_or_default());
                format!("`{text}` is not a time in seconds or RFC 3339")
            }),
        }
    }

    fn address(&self, field: Field, name: &str) -> Result<Ip, String> {
        let text = self.text(field).ok_or_else(|| format!("the record has no `{name}`"))?;
        bytes::ip(text)
            .ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", String::from_utf8_lossy(text)))
    }
}

fn fraction(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn micros(seconds: f64) -> Option<Micros> {
    (seconds.abs() < 1e12).then_some((seconds * 1e6).round() as Micros)
}

pub(super) fn connection(row: &Row<'_>) -> Result<Flow, String> {
    let (src, dst) =
        (row.address(Field::Source, "id.orig_h")?, row.address(Field::Destination, "id.resp_h")?);
    let start = row.time()?;
    let duration =
        row.seconds(Field::Duration).unwrap_or(Some(0)).ok_or("`duration` is not a number of seconds")?;
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
        if !matches!(row.text(Field::State), Some(b"S0" | b"REJ" | b"RSTOS0" | b"SH")) {
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
    match row.text(Field::Protocol) {
        Some(b"tcp") => Ok(Protocol(6)),
        Some(b"udp") => Ok(Protocol(17)),
        Some(b"sctp") => Ok(Protocol(132)),
        Some(b"icmp") => Ok(Protocol(if src.is_v4() { 1 } else { 58 })),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(format!("the protocol is `{other}`, and there is no `ip_proto`"))
        }
        None => Err("the record has no `proto`".to_owned()),
    }
}

/// How sure Zeek is of the originator. It follows connections, and says itself where it guessed or came late.
fn confidence(row: &Row<'_>, protocol: Protocol) -> f32 {
    let history = row.text(Field::History).unwrap_or_default();
    if history.contains(&b'^') {
        // Zeek saw the answer first and turned the connection round by its list of likely server ports.
        0.7
    } else if row.text(Field::State) == Some(b"OTH") || protocol == Protocol::TCP && !history.contains(&b'S')
    {
        // Midstream: whoever sent the first packet that was seen.
        0.6
    } else if protocol == Protocol::TCP {
        0.99
    } else {
        0.95
    }
}
