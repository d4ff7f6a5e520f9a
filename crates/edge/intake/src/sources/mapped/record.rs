//! A flow from the values of its fields.

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use super::field::{FIELDS, Field};
use super::mapping::{Mapping, Writing};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::values::protocol;
use crate::text::{Fault, Sink};

/// The values of one record, by field; empty where there is none.
pub(super) type Values<'a> = [&'a [u8]; FIELDS];

/// A record without values.
pub(super) const NONE: Values<'static> = [&[]; FIELDS];

/// The longest time that a flow may last, in microseconds: more is a misreading of units.
const SPAN_MAX: i64 = 3_660 * 86_400_000_000;

/// Gives the flow of the values to the sink.
pub(super) fn take(
    mapping: &Mapping,
    source: &'static str,
    values: Values<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let values = stated(mapping, values);
    let reader = Reader { mapping, values: &values };
    let flow = reader.flow()?;
    let details = reader.details()?;
    let exporter =
        reader.text(Field::Exporter).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or(source);
    if details == FlowDetails::default() {
        sink.push(exporter, flow);
    } else {
        sink.push_with(exporter, flow, details);
    }
    Ok(())
}

/// The values with words translated, what means nothing left out, and constants where there is nothing.
fn stated<'a>(mapping: &'a Mapping, mut values: Values<'a>) -> Values<'a> {
    for (value, writing) in values.iter_mut().zip(&mapping.writing) {
        if value.is_empty() {
            continue;
        }
        *value = value.trim_ascii();
        if mapping.nothing.iter().any(|nothing| nothing.as_bytes() == *value) {
            *value = &[];
        } else if let Some((_, meaning)) = writing.words.iter().find(|(word, _)| word.as_bytes() == *value) {
            *value = meaning.as_bytes();
        }
    }
    for (field, constant) in &mapping.constants {
        let value = &mut values[*field as usize];
        if value.is_empty() {
            *value = constant.as_bytes();
        }
    }
    values
}

struct Reader<'a> {
    mapping: &'a Mapping,
    values: &'a Values<'a>,
}

impl Reader<'_> {
    fn text(&self, field: Field) -> Option<&[u8]> {
        let value = self.values[field as usize];
        (!value.is_empty()).then_some(value)
    }

    fn flow(&self) -> Result<Flow, String> {
        let (src, dst) = (self.address(Field::Source)?, self.address(Field::Destination)?);
        let missing = "the record has no `protocol`; where all flows have the same, say it under `[constants]` of a mapping";
        let name = shown(self.text(Field::Protocol).ok_or(missing)?);
        let mut flow = Flow {
            src: src.ok_or("the record has no `src_ip`")?,
            dst: dst.ok_or("the record has no `dst_ip`")?,
            sampling: 1,
            verdict: self.text(Field::Verdict).map_or(Verdict::Unknown, verdict),
            direction: self.text(Field::Direction).map_or(Direction::Unknown, direction),
            ..Flow::default()
        };
        flow.protocol = protocol(&name, flow.src).ok_or_else(|| format!("`{name}` is not a protocol"))?;
        (flow.start, flow.end) = self.times()?;
        self.transport(&mut flow)?;
        self.counts(&mut flow)?;
        self.client(&mut flow)?;
        Ok(flow)
    }

    fn address(&self, field: Field) -> Result<Option<Ip>, String> {
        let Some(text) = self.text(field) else { return Ok(None) };
        ip(text).map(Some).ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)))
    }

    fn number(&self, field: Field) -> Result<Option<u64>, String> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let Writing { times, .. } = self.mapping.writing[field as usize];
        match (decimal(text), times) {
            (Some(number), None) => Ok(Some(number)),
            _ => {
                let number = real(text).map(|number| number * times.unwrap_or(1.0));
                let number = number.filter(|number| (0.0..1.8e19).contains(number));
                number
                    .map(|number| Some(number.round() as u64))
                    .ok_or_else(|| format!("`{}` is not a number", shown(text)))
            }
        }
    }

    fn port(&self, field: Field) -> Result<Option<u16>, String> {
        let Some(number) = self.number(field)? else { return Ok(None) };
        u16::try_from(number).map(Some).map_err(|_| format!("`{number}` is not a port"))
    }

    fn times(&self) -> Result<(Micros, Micros), String> {
        let time = |field| self.text(field).map(|text| self.mapping.clock.read(text)).transpose();
        let (start, end) = (time(Field::Start)?, time(Field::End)?);
        let unit = self.mapping.writing[Field::Duration as usize].times.unwrap_or(1.0);
        let duration = match self.text(Field::Duration) {
            Some(text) => {
                let seconds = real(text)
                    .map(|number| number * unit * 1e6)
                    .filter(|micros| (0.0..1e16).contains(micros));
                Some(seconds.ok_or_else(|| format!("`{}` is not a duration", shown(text)))?.round() as i64)
            }
            None => None,
        };
        let (start, end) = match (start, end, duration) {
            (Some(start), Some(end), _) => (start, end),
            (Some(start), None, duration) => (start, start.saturating_add(duration.unwrap_or(0))),
            (None, Some(end), duration) => (end.saturating_sub(duration.unwrap_or(0)), end),
            (None, None, _) => (0, 0),
        };
        if start > end {
            return Err("the flow starts after it ends".to_owned());
        }
        if end.saturating_sub(start) > SPAN_MAX {
            return Err("the flow lasts longer than ten years; are the units of its times right?".to_owned());
        }
        Ok((start, end))
    }

    fn transport(&self, flow: &mut Flow) -> Result<(), String> {
        if Protocol(flow.protocol).has_ports()
            && let (Some(source), Some(destination)) =
                (self.port(Field::SourcePort)?, self.port(Field::DestinationPort)?)
        {
            (flow.src_port, flow.dst_port) = (source, destination);
            flow.present |= FlowBatch::HAS_PORTS;
        }
        if Protocol(flow.protocol).is_icmp()
            && let Some(kind) = self.number(Field::IcmpType)?
        {
            let code = self.number(Field::IcmpCode)?.unwrap_or(0);
            let (kind, code) = (u8::try_from(kind), u8::try_from(code));
            let (Ok(kind), Ok(code)) = (kind, code) else {
                return Err("an ICMP type or code is above 255".to_owned());
            };
            flow.dst_port = u16::from(kind) << 8 | u16::from(code);
            flow.present |= FlowBatch::HAS_ICMP;
        }
        if flow.protocol == Protocol::TCP.0
            && let Some(text) = self.text(Field::TcpFlags)
        {
            flow.tcp_flags = flags(text).ok_or_else(|| format!("`{}` are not TCP flags", shown(text)))?;
            flow.present |= FlowBatch::HAS_TCP_FLAGS;
        }
        Ok(())
    }

    fn counts(&self, flow: &mut Flow) -> Result<(), String> {
        let (packets, bytes) = (self.number(Field::Packets)?, self.number(Field::Bytes)?);
        if packets.is_some() || bytes.is_some() {
            (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
            flow.present |= FlowBatch::HAS_COUNTS;
        }
        let (packets, bytes) = (self.number(Field::ReversePackets)?, self.number(Field::ReverseBytes)?);
        if packets.is_some() || bytes.is_some() {
            (flow.reverse_packets, flow.reverse_bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
            flow.present |= FlowBatch::HAS_REVERSE;
        }
        let Some(sampling) = self.number(Field::Sampling)?.filter(|sampling| *sampling > 1) else {
            return Ok(());
        };
        flow.sampling = u32::try_from(sampling)
            .ok()
            .filter(|sampling| *sampling <= 1_000_000)
            .ok_or_else(|| format!("a sampling of one in {sampling} is not plausible"))?;
        if self.mapping.unscaled {
            for count in
                [&mut flow.packets, &mut flow.bytes, &mut flow.reverse_packets, &mut flow.reverse_bytes]
            {
                *count = count.saturating_mul(sampling);
            }
        }
        Ok(())
    }

    /// Who opened it, where the source says so in the canonical words; its confidence, or certainty.
    fn client(&self, flow: &mut Flow) -> Result<(), String> {
        flow.client = match self.text(Field::Client) {
            Some(b"src") => Client::Src,
            Some(b"dst") => Client::Dst,
            _ => return Ok(()),
        };
        flow.client_confidence = 1.0;
        if let Some(text) = self.text(Field::ClientConfidence) {
            let confidence = real(text).filter(|confidence| (0.0..=1.0).contains(confidence));
            flow.client_confidence = confidence
                .ok_or_else(|| format!("`{}` is not a confidence from 0 to 1", shown(text)))?
                as f32;
        }
        Ok(())
    }

    fn details(&self) -> Result<FlowDetails, String> {
        let text = |field| self.text(field).map(|text| String::from_utf8_lossy(text).into_owned());
        Ok(FlowDetails {
            src_workload: text(Field::SourceWorkload),
            dst_workload: text(Field::DestinationWorkload),
            process: text(Field::Process),
            user: text(Field::User),
            service_name: text(Field::ServiceName),
            nat_src_ip: self.address(Field::NatSource)?,
            nat_dst_ip: self.address(Field::NatDestination)?,
            nat_src_port: self.port(Field::NatSourcePort)?,
            nat_dst_port: self.port(Field::NatDestinationPort)?,
            rule: text(Field::Rule),
            tunnel: text(Field::Tunnel),
        })
    }
}

fn real(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The words that firewalls use, whatever their case.
fn verdict(text: &[u8]) -> Verdict {
    let is = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text));
    if is(&[
        "allow",
        "allowed",
        "accept",
        "accepted",
        "permit",
        "permitted",
        "pass",
        "passed",
        "forward",
        "forwarded",
    ]) {
        Verdict::Allow
    } else if is(&[
        "deny",
        "denied",
        "drop",
        "dropped",
        "reject",
        "rejected",
        "block",
        "blocked",
        "discard",
        "discarded",
        "refused",
    ]) {
        Verdict::Deny
    } else {
        Verdict::Unknown
    }
}

/// The words for where the observer stood; IPFIX has 0 and 1.
fn direction(text: &[u8]) -> Direction {
    let is = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text));
    if is(&["ingress", "inbound", "in", "incoming", "0"]) {
        Direction::Ingress
    } else if is(&["egress", "outbound", "out", "outgoing", "1"]) {
        Direction::Egress
    } else {
        Direction::Unknown
    }
}

/// Flags as a number, as hexadecimal behind `0x`, or as letters (`SA`, `.AP.SF`).
fn flags(text: &[u8]) -> Option<u8> {
    if let Some(hex) = text.strip_prefix(b"0x") {
        return u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok();
    }
    if let Some(number) = decimal(text) {
        // Nine bits and more are the flags of later standards.
        return u16::try_from(number).ok().map(|number| number as u8);
    }
    text.iter().try_fold(0, |flags, letter| {
        Some(match letter.to_ascii_uppercase() {
            b'F' => flags | 1,
            b'S' => flags | 2,
            b'R' => flags | 4,
            b'P' => flags | 8,
            b'A' => flags | 16,
            b'U' => flags | 32,
            b'E' => flags | 64,
            b'C' | b'W' => flags | 128,
            b'.' | b'-' => flags,
            _ => return None,
        })
    })
}
