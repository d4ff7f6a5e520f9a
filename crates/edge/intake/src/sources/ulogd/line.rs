//! The kernel's lines: `PREFIX IN=eth0 OUT= MAC=.. SRC=.. DST=.. LEN=.. PROTO=TCP SPT=.. DPT=.. SYN`.

use memchr::memmem;
use model::{Direction, Flow, FlowBatch, FlowDetails};
use netset::Protocol;

use super::{rule, verdict};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::syslog::{Message, Syslog};
use crate::text::times::date_time;
use crate::text::values::protocol;
use crate::text::{Fault, Sink};

pub(super) fn record(
    line: &[u8],
    syslog: &mut Syslog,
    offset: i64,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let Some(at) = memmem::find_iter(line, b"IN=")
        .find(|at| at.checked_sub(1).is_none_or(|before| !line[before].is_ascii_alphanumeric()))
    else {
        sink.skip("line of another program");
        return Ok(());
    };
    let message = syslog.message(line);
    let header = line.len() - message.text.len();
    let prefix = prefix(line.get(header..at).unwrap_or_default());
    let packet = Packet::read(&line[at..])?;
    let (Some(_), Some(_)) = (packet.src, packet.dst) else {
        sink.skip("frame that is no IP packet");
        return Ok(());
    };
    let prefix = String::from_utf8_lossy(prefix);
    let mut flow = packet.flow()?;
    flow.start = sent(&message, line, header, offset);
    flow.end = flow.start;
    flow.verdict = verdict(&prefix);
    let details = FlowDetails { rule: rule(&prefix), user: packet.uid, ..FlowDetails::default() };
    sink.push_with(message.host.unwrap_or("netfilter"), flow, details);
    Ok(())
}

/// When it was sent; 0 where nothing says it (`dmesg` counts from the start of the system).
fn sent(message: &Message<'_>, line: &[u8], header: usize, offset: i64) -> i64 {
    let Some(at) = message.at else { return 0 };
    // A time that says its zone needs no offset.
    let said = line[..header].split(u8::is_ascii_whitespace).any(|word| {
        let zone = word.len() > 19
            && (word.ends_with(b"Z") || word[19..].iter().any(|byte| matches!(byte, b'+' | b'-')));
        zone && date_time(word).is_some()
    });
    if said { at } else { at - offset }
}

/// What the rule put in front: behind the program's name and the kernel's own clock.
fn prefix(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii();
    let program = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let named = [&b"kernel"[..], b"ulogd", b"ufw"].iter().any(|name| text.starts_with(name));
    if named && text[..program].ends_with(b":") {
        text = text[program..].trim_ascii_start();
    }
    if let Some(rest) = text.strip_prefix(b"[")
        && let Some(end) = rest.iter().position(|byte| *byte == b']')
        && rest[..end].iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' '))
    {
        text = rest[end + 1..].trim_ascii_start();
    }
    text
}

/// What a line says of its packet.
#[derive(Default)]
struct Packet<'a> {
    input: &'a [u8],
    output: &'a [u8],
    src: Option<&'a [u8]>,
    dst: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    sport: Option<&'a [u8]>,
    dport: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    code: Option<&'a [u8]>,
    uid: Option<String>,
    flags: u8,
}

impl<'a> Packet<'a> {
    fn read(text: &'a [u8]) -> Result<Self, String> {
        let mut packet = Self::default();
        for word in text.split(u8::is_ascii_whitespace) {
            // What an ICMP message complains of comes in brackets: another packet.
            if word.first() == Some(&b'[') {
                break;
            }
            let Some(equals) = word.iter().position(|byte| *byte == b'=') else {
                packet.flags |= flag(word);
                continue;
            };
            let value = &word[equals + 1..];
            match &word[..equals] {
                b"IN" => packet.input = value,
                b"OUT" => packet.output = value,
                b"SRC" => packet.src = Some(value),
                b"DST" => packet.dst = Some(value),
                b"PROTO" => packet.protocol = Some(value),
                b"SPT" => packet.sport = Some(value),
                b"DPT" => packet.dport = Some(value),
                b"TYPE" => packet.kind = packet.kind.or(Some(value)),
                b"CODE" => packet.code = packet.code.or(Some(value)),
                b"UID" => packet.uid = Some(shown(value)),
                _ => {}
            }
        }
        if packet.src.is_some() != packet.dst.is_some() {
            return Err("the line is cut off: expected `SRC=`, `DST=` and `PROTO=`".to_owned());
        }
        Ok(packet)
    }

    fn flow(&self) -> Result<Flow, String> {
        let address = |text: Option<&[u8]>| {
            let text = text.unwrap_or_default();
            ip(text).ok_or_else(|| format!("`{}` is not an address", shown(text)))
        };
        let (src, dst) = (address(self.src)?, address(self.dst)?);
        let name = self.protocol.map(shown).ok_or("the line is cut off: expected `PROTO=`")?;
        let number = protocol(&name, src).ok_or_else(|| format!("`{name}` is not a protocol"))?;
        let mut flow = Flow { src, dst, protocol: number, sampling: 1, ..Flow::default() };
        flow.direction = match (self.input.is_empty(), self.output.is_empty()) {
            (false, true) => Direction::Ingress,
            (true, false) => Direction::Egress,
            // It was forwarded: neither.
            _ => Direction::Unknown,
        };
        if let (Some(source), Some(destination)) = (self.sport, self.dport) {
            (flow.src_port, flow.dst_port) = (small(source, "port")?, small(destination, "port")?);
            flow.present |= FlowBatch::HAS_PORTS;
            if number == 6 {
                flow.tcp_flags = self.flags;
                flow.present |= FlowBatch::HAS_TCP_FLAGS;
            }
        }
        if let (Some(kind), Some(code)) = (self.kind, self.code)
            && Protocol(number).is_icmp()
        {
            flow.dst_port = (small(kind, "type")? & 0xff) << 8 | small(code, "code")? & 0xff;
            flow.present |= FlowBatch::HAS_ICMP;
        }
        Ok(flow)
    }
}

fn small(text: &[u8], what: &str) -> Result<u16, String> {
    decimal(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("`{}` is not a {what}", shown(text)))
}

fn flag(word: &[u8]) -> u8 {
    match word {
        b"FIN" => 1,
        b"SYN" => 2,
        b"RST" => 4,
        b"PSH" => 8,
        b"ACK" => 16,
        b"URG" => 32,
        b"ECE" => 64,
        b"CWR" => 128,
        _ => 0,
    }
}
