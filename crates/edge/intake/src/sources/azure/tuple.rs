//! The tuples: a flow in a line with commas.

use model::{Client, Direction, Flow, FlowBatch, Micros, Verdict};
use netset::Protocol;

use crate::text::bytes::{decimal, ip, shown};

/// Whose log a tuple is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A network security group's: `s,src,dst,sport,dport,T|U,I|O,A|D`, and from version 2 `,B|C|E,pkts,bytes,pkts,bytes`.
    Group,
    /// A virtual network's: `ms,src,dst,sport,dport,protocol,I|O,B|C|E|D,encryption,pkts,bytes,pkts,bytes`.
    Network,
}

/// How sure Azure's order is of who opened the connection: it follows connections, but may come late to one.
const STATED: f32 = 0.95;

/// Times from here on are in milliseconds: as seconds they would be in the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// Reads a tuple.
pub(super) fn tuple(kind: Kind, text: &[u8]) -> Result<Flow, String> {
    let mut values: [&[u8]; 13] = [&[]; 13];
    let mut width = 0;
    for value in text.split(|byte| *byte == b',') {
        if let Some(place) = values.get_mut(width) {
            *place = value.trim_ascii();
        }
        width += 1;
    }
    let expected = match kind {
        Kind::Group => width == 8 || width == 13,
        Kind::Network => width == 13,
    };
    if !expected {
        return Err(format!("the tuple has {width} values; expected {}", kind.widths()));
    }
    let [time, src, dst, src_port, dst_port, protocol, direction, seventh, eighth, counts @ ..] = values;
    let (denied, state) = match (kind, seventh) {
        (Kind::Group, b"A") => (false, eighth),
        (Kind::Group, b"D") | (Kind::Network, b"D") => (true, eighth),
        (Kind::Network, b"B" | b"C" | b"E") => (false, seventh),
        _ => return Err(format!("`{}` is not a decision or state of a flow", shown(seventh))),
    };
    let at = time_of(time)?;
    let address =
        |text: &[u8]| ip(text).ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)));
    let mut flow = Flow {
        start: at,
        end: at,
        src: address(src)?,
        dst: address(dst)?,
        protocol: protocol_of(protocol)?,
        sampling: 1,
        verdict: if denied { Verdict::Deny } else { Verdict::Allow },
        direction: match direction {
            b"I" => Direction::Ingress,
            b"O" => Direction::Egress,
            _ => return Err(format!("`{}` is not a direction; expected `I` or `O`", shown(direction))),
        },
        client: Client::Src,
        client_confidence: STATED,
        ..Flow::default()
    };
    if Protocol(flow.protocol).has_ports() {
        (flow.src_port, flow.dst_port) = (port(src_port)?, port(dst_port)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    // At its beginning, or when it is denied, nothing is counted yet: Azure writes nothing, or zeros.
    if !denied && state != b"B" {
        count(counts, &mut flow)?;
    }
    Ok(flow)
}

impl Kind {
    fn widths(self) -> &'static str {
        match self {
            Self::Group => "8 (version 1) or 13 (version 2)",
            Self::Network => "13",
        }
    }
}

/// Packets and bytes there and back since the tuple before; version 1 has none.
fn count(counts: [&[u8]; 4], flow: &mut Flow) -> Result<(), String> {
    if counts.iter().all(|count| count.is_empty()) {
        return Ok(());
    }
    let mut numbers = [0; 4];
    for (number, text) in numbers.iter_mut().zip(counts) {
        if !text.is_empty() {
            *number = decimal(text).ok_or_else(|| format!("`{}` is not a number", shown(text)))?;
        }
    }
    [flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes] = numbers;
    flow.present |= FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE;
    Ok(())
}

fn time_of(text: &[u8]) -> Result<Micros, String> {
    let number =
        decimal(text).ok_or_else(|| format!("`{}` is not a time in seconds or milliseconds", shown(text)))?;
    let unit = if number < MILLISECONDS { 1_000_000 } else { 1_000 };
    Ok(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(unit))
}

fn protocol_of(text: &[u8]) -> Result<u8, String> {
    match text {
        b"T" => Ok(6),
        b"U" => Ok(17),
        _ => decimal(text)
            .and_then(|number| u8::try_from(number).ok())
            .ok_or_else(|| format!("`{}` is not a protocol; expected `T`, `U` or a number", shown(text))),
    }
}

fn port(text: &[u8]) -> Result<u16, String> {
    decimal(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("`{}` is not a port", shown(text)))
}
