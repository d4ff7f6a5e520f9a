//! Linux connection tracking: `conntrack -E`, `conntrack -L`, and `/proc/net/nf_conntrack`.

use model::{Client, Flow, FlowBatch, FlowDetails, Micros};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes;
use crate::text::values::{address, port, seconds};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text, utf8};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "conntrack",
    aliases: &["nf-conntrack"],
    title: "Linux connection tracking (conntrack -E, -L)",
    description: "Events (`conntrack -E`, best with `-o timestamp`) and dumps (`conntrack -L`, `/proc/net/nf_conntrack`). The \
                  kernel follows connections, so the original direction's source is the client, and the reply's tuple tells \
                  what was translated on the way (NAT). A start is a flow without counts, an end one with those of the whole \
                  connection (where `nf_conntrack_acct` is on), changes in between say nothing new. A dump's counts are \
                  totals so far: import one dump of a host, or events, not both.",
    status: Status::Verified,
    detect,
    open,
};

/// How sure the kernel is of who began: it picks up connections in the middle too (`nf_conntrack_tcp_loose`).
const BY_KERNEL: f32 = 0.97;

const CHANGE: &str = "change of a connection that says nothing new";

fn detect(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.take(3).any(|line| {
        std::str::from_utf8(line).is_ok_and(|line| matches!(parse(line), Ok(Parsed { tuples: 2, .. })))
    })
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "lines of `conntrack -E` or `conntrack -L`", Shape::LINES, input, Entries)
}

struct Entries;

impl TextFormat for Entries {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let text = utf8(text)?;
        // `conntrack v1.4.7 (conntrack-tools): 17 flow entries have been shown.`
        if text.starts_with("conntrack v") {
            sink.skip("line of the program's own");
            return Ok(());
        }
        let parsed = parse(text)?;
        if parsed.event == Event::Update {
            sink.skip(CHANGE);
            return Ok(());
        }
        let (flow, details) = flow(&parsed)?;
        sink.push_with("conntrack", flow, details);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Event {
    /// A line of a dump.
    #[default]
    Entry,
    New,
    Update,
    Destroy,
}

/// One direction, as the line has it.
#[derive(Clone, Copy, Default)]
struct Tuple<'a> {
    src: Option<&'a str>,
    dst: Option<&'a str>,
    sport: Option<&'a str>,
    dport: Option<&'a str>,
    kind: Option<&'a str>,
    code: Option<&'a str>,
    packets: Option<&'a str>,
    bytes: Option<&'a str>,
}

/// A line, taken apart.
#[derive(Default)]
struct Parsed<'a> {
    event: Event,
    at: Micros,
    lasted_s: u64,
    protocol: u8,
    original: Tuple<'a>,
    reply: Tuple<'a>,
    tuples: usize,
    unreplied: bool,
}

fn parse(line: &str) -> Result<Parsed<'_>, String> {
    let mut parsed = Parsed::default();
    let mut protocol = None;
    let mut rest = line.trim_start();
    if let Some((time, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'))
        && time.starts_with(|c: char| c.is_ascii_digit())
    {
        parsed.at =
            seconds(time.trim()).ok_or_else(|| format!("`{}` is not a time in seconds", time.trim()))?;
        rest = behind;
    }
    for word in rest.split_ascii_whitespace() {
        match word {
            "[NEW]" => parsed.event = Event::New,
            "[UPDATE]" => parsed.event = Event::Update,
            "[DESTROY]" => parsed.event = Event::Destroy,
            "[UNREPLIED]" => parsed.unreplied = true,
            _ => match word.split_once('=') {
                Some((key, value)) => parsed.member(key, value),
                // `tcp 6 431999 ESTABLISHED`, in `/proc` and with `-o extended` behind `ipv4 2`.
                None if protocol.is_none() && !matches!(word, "ipv4" | "ipv6" | "2" | "10") => {
                    protocol = protocol_of(word);
                }
                None => {}
            },
        }
    }
    parsed.protocol =
        protocol.ok_or("expected a line of `conntrack`: a protocol, then `src=` and `dst=` both ways")?;
    if parsed.tuples == 0 {
        return Err("expected a line of `conntrack`: a protocol, then `src=` and `dst=` both ways".to_owned());
    }
    Ok(parsed)
}

impl<'a> Parsed<'a> {
    fn member(&mut self, key: &str, value: &'a str) {
        if key == "src" {
            self.tuples += 1;
        }
        let tuple = if self.tuples < 2 { &mut self.original } else { &mut self.reply };
        match key {
            "src" => tuple.src = Some(value),
            "dst" => tuple.dst = Some(value),
            "sport" => tuple.sport = Some(value),
            "dport" => tuple.dport = Some(value),
            "type" => tuple.kind = Some(value),
            "code" => tuple.code = Some(value),
            "packets" => tuple.packets = Some(value),
            "bytes" => tuple.bytes = Some(value),
            "delta-time" => self.lasted_s = value.parse().unwrap_or(0),
            _ => {}
        }
    }
}

/// The protocol of a name; `unknown` has its number behind it.
fn protocol_of(word: &str) -> Option<u8> {
    match word {
        "icmpv6" => Some(58),
        "unknown" => None,
        _ => crate::text::values::protocol(word, Ip::v4(0)),
    }
}

fn flow(parsed: &Parsed<'_>) -> Result<(Flow, FlowDetails), String> {
    let original = &parsed.original;
    let lasted = i64::try_from(parsed.lasted_s).unwrap_or(0).saturating_mul(1_000_000);
    let mut flow = Flow {
        start: if parsed.at > lasted { parsed.at - lasted } else { parsed.at },
        end: parsed.at,
        src: address(original.src, "src")?,
        dst: address(original.dst, "dst")?,
        protocol: parsed.protocol,
        sampling: 1,
        client: Client::Src,
        client_confidence: BY_KERNEL,
        ..Flow::default()
    };
    if let (Some(source), Some(destination)) = (original.sport, original.dport) {
        (flow.src_port, flow.dst_port) = (port(source)?, port(destination)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    if let (Some(kind), Some(code)) = (original.kind, original.code)
        && Protocol(flow.protocol).is_icmp()
    {
        let small =
            |text: &str| text.parse::<u8>().map_err(|_| format!("`{text}` is not an ICMP type or code"));
        flow.dst_port = u16::from(small(kind)?) << 8 | u16::from(small(code)?);
        flow.present |= FlowBatch::HAS_ICMP;
    }
    counts(parsed, &mut flow)?;
    let details = translation(parsed, &flow)?;
    Ok((flow, details))
}

fn counts(parsed: &Parsed<'_>, flow: &mut Flow) -> Result<(), String> {
    let of = |tuple: &Tuple<'_>| {
        let number =
            |text: &str| bytes::decimal(text.as_bytes()).ok_or_else(|| format!("`{text}` is not a count"));
        match (tuple.packets, tuple.bytes) {
            (Some(packets), Some(bytes)) => Ok(Some((number(packets)?, number(bytes)?))),
            _ => Ok::<_, String>(None),
        }
    };
    if let Some((packets, bytes)) = of(&parsed.original)? {
        (flow.packets, flow.bytes) = (packets, bytes);
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    match of(&parsed.reply)? {
        Some((packets, bytes)) => {
            (flow.reverse_packets, flow.reverse_bytes) = (packets, bytes);
            flow.present |= FlowBatch::HAS_REVERSE;
        }
        // That nothing came back is known without counting it; of a start it only says that it is one.
        None if parsed.unreplied && parsed.event != Event::New => flow.present |= FlowBatch::HAS_REVERSE,
        None => {}
    }
    Ok(())
}

/// What the reply's tuple has otherwise than the original one turned round: source or destination was translated.
fn translation(parsed: &Parsed<'_>, flow: &Flow) -> Result<FlowDetails, String> {
    let reply = &parsed.reply;
    let mut details = FlowDetails::default();
    if parsed.tuples < 2 {
        return Ok(details);
    }
    let (from, to) = (address(reply.src, "src")?, address(reply.dst, "dst")?);
    details.nat_dst_ip = Some(from).filter(|ip| *ip != flow.dst);
    details.nat_src_ip = Some(to).filter(|ip| *ip != flow.src);
    if let (Some(source), Some(destination)) = (reply.sport, reply.dport) {
        details.nat_dst_port = Some(port(source)?).filter(|port| *port != flow.dst_port);
        details.nat_src_port = Some(port(destination)?).filter(|port| *port != flow.src_port);
    }
    Ok(details)
}

#[cfg(test)]
mod tests;
