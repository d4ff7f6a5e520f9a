//! What a message says.

use model::{Client, Flow, FlowBatch, FlowDetails, Ip, Micros, Protocol, Verdict};

use crate::text::times::date_time;
use crate::text::values::protocol;

/// A connection, or a part of what is known about it.
pub(super) struct Event {
    pub(super) flow: Flow,
    pub(super) details: FlowDetails,
    /// The firewall's number of the connection.
    pub(super) id: u64,
    pub(super) stage: Stage,
}

/// How much of a connection a message tells.
pub(super) enum Stage {
    /// All there is to know; `starts` when another message will count it.
    Whole {
        span: Micros,
        starts: bool,
    },
    Built,
    TornDown {
        span: Micros,
        bytes: u64,
    },
}

/// How sure a firewall is of who opened a connection.
const BY_STATE: f32 = 0.98;

/// The event of a message: `None` for numbers that speak of no connection, `Some(None)` for a text that cannot be read.
pub(super) fn event(number: u64, text: &str) -> Option<Option<Event>> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    Some(match number {
        302_013 | 302_015 | 302_303 => built(&words),
        302_014 | 302_016 | 302_304 => torn_down(&words),
        302_020 => built_icmp(&words),
        106_001 | 106_006 | 106_007 | 106_015 | 710_003 => denied_between(number, &words),
        106_010 | 106_014 | 106_023 => denied_src_dst(&words, text),
        106_100 => access_list(&words),
        430_002 | 430_003 => ftd(text, number == 430_002),
        _ => return None,
    })
}

/// An address with a port, with or without the name of an interface before it.
type Side = (Ip, Option<u16>);

fn side(word: &str) -> Option<Side> {
    let word = word.trim_end_matches([',', '.']);
    let plain = |text: &str| -> Option<Side> {
        match text.rsplit_once('/') {
            Some((ip, port)) => Some((ip.parse().ok()?, port.parse().ok())),
            None => Some((text.parse().ok()?, None)),
        }
    };
    plain(word).or_else(|| plain(word.split_once(':')?.1))
}

/// The word behind another.
fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    let at = words.iter().position(|known| *known == word)?;
    words.get(at + 1).copied()
}

/// The address in parentheses behind a side: what the other side sees of it.
fn mapped(words: &[&str], at: usize) -> Option<Side> {
    let own = words.get(at)?.split_once('(').map(|(_, rest)| rest);
    let text = own.or_else(|| words.get(at + 1)?.strip_prefix('('))?;
    side(text.split(')').next()?)
}

fn flow(number: u8, src: Side, dst: Side) -> Flow {
    let mut flow = Flow { src: src.0, dst: dst.0, protocol: number, sampling: 1, ..Flow::default() };
    if Protocol(number).has_ports()
        && let (Some(src), Some(dst)) = (src.1, dst.1)
    {
        (flow.src_port, flow.dst_port) = (src, dst);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    flow
}

fn user(words: &[&str]) -> Option<String> {
    let word = words.iter().find(|word| word.contains('\\') && word.contains('('))?;
    let inner = word.rsplit_once('(')?.1.split(')').next()?;
    Some(inner.to_owned())
}

/// `Built inbound TCP connection 7 for outside:A/p (A/p) to inside:B/p (B'/p)`: inbound from A, outbound from B.
fn built(words: &[&str]) -> Option<Event> {
    let kind = words.iter().position(|word| matches!(*word, "TCP" | "UDP" | "SCTP"))?;
    let first = words.iter().position(|word| matches!(*word, "for" | "from"))? + 1;
    let second = words.iter().skip(first).position(|word| *word == "to")? + first + 1;
    let bare = |at: usize| side(words.get(at)?.split('(').next()?);
    let (one, two) = ((bare(first)?, mapped(words, first)), (bare(second)?, mapped(words, second)));
    let (src, dst) = if words.contains(&"outbound") { (two, one) } else { (one, two) };
    let id = words.iter().take(first).rev().find_map(|word| word.parse().ok())?;
    let number = protocol(words.get(kind)?, src.0.0)?;
    let source = if words.contains(&"outbound") { second..words.len() } else { first..second };
    let mut details = FlowDetails { user: user(&words[source]), ..FlowDetails::default() };
    // In parentheses is what the other side sees: of the source, after translation; of the destination, before it.
    if let Some(seen) = src.1.filter(|seen| *seen != src.0) {
        (details.nat_src_ip, details.nat_src_port) = (Some(seen.0), seen.1);
    }
    let mut target = dst.0;
    if let Some(seen) = dst.1.filter(|seen| *seen != dst.0) {
        (details.nat_dst_ip, details.nat_dst_port) = (Some(target.0), target.1);
        target = seen;
    }
    let mut flow = flow(number, src.0, target);
    (flow.client, flow.client_confidence, flow.verdict) = (Client::Src, BY_STATE, Verdict::Allow);
    Some(Event { flow, details, id, stage: Stage::Built })
}

/// `Teardown TCP connection 7 for outside:A/p to inside:B/p duration 0:00:30 bytes 900 TCP FINs`.
fn torn_down(words: &[&str]) -> Option<Event> {
    let kind = words.iter().position(|word| matches!(*word, "TCP" | "UDP" | "SCTP"))?;
    let first = words.iter().position(|word| matches!(*word, "for" | "from"))? + 1;
    let second = words.iter().skip(first).position(|word| *word == "to")? + first + 1;
    let bare = |at: usize| side(words.get(at)?.split('(').next()?);
    let (one, two) = (bare(first)?, bare(second)?);
    let id = words.iter().take(first).rev().find_map(|word| word.parse().ok())?;
    let span = after(words, "duration").and_then(clock)?;
    let bytes = after(words, "bytes")?.trim_end_matches(',').parse().ok()?;
    let mut flow = flow(protocol(words.get(kind)?, one.0)?, one, two);
    flow.verdict = Verdict::Allow;
    Some(Event { flow, details: FlowDetails::default(), id, stage: Stage::TornDown { span, bytes } })
}

/// `h:mm:ss`, in microseconds.
fn clock(text: &str) -> Option<Micros> {
    let mut sum: i64 = 0;
    for part in text.trim_end_matches(',').split(':') {
        sum = sum.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    sum.checked_mul(1_000_000).filter(|span| *span >= 0)
}

/// `Built inbound ICMP connection for faddr A/0 gaddr B'/0 laddr B/0 type 8 code 0`.
fn built_icmp(words: &[&str]) -> Option<Event> {
    let at = |word: &str| side(after(words, word)?.split('(').next()?);
    let (far, global, local) = (at("faddr")?, at("gaddr"), at("laddr")?);
    let outbound = words.contains(&"outbound");
    let global = global.map(|global| global.0).filter(|global| *global != local.0);
    let mut details = FlowDetails::default();
    let (src, dst) = match (outbound, global) {
        (true, global) => {
            details.nat_src_ip = global;
            (local.0, far.0)
        }
        (false, Some(global)) => {
            details.nat_dst_ip = Some(local.0);
            (far.0, global)
        }
        (false, None) => (far.0, local.0),
    };
    let mut flow = flow(protocol("icmp", src)?, (src, None), (dst, None));
    icmp(words, &mut flow);
    (flow.client, flow.client_confidence, flow.verdict) = (Client::Src, BY_STATE, Verdict::Allow);
    Some(whole(flow, details))
}

/// Type and code, where they are said: `type 8 code 0`, `(type 8, code 0)`.
fn icmp(words: &[&str], flow: &mut Flow) {
    let number = |names: [&str; 2]| {
        let text = names.into_iter().find_map(|name| after(words, name))?;
        text.trim_end_matches([',', ')']).parse::<u8>().ok()
    };
    if let Some(kind) = number(["type", "(type"]) {
        flow.dst_port = u16::from(kind) << 8 | u16::from(number(["code", "(code"]).unwrap_or(0));
        flow.present |= FlowBatch::HAS_ICMP;
    }
}

fn whole(flow: Flow, details: FlowDetails) -> Event {
    Event { flow, details, id: 0, stage: Stage::Whole { span: 0, starts: false } }
}

/// `Inbound TCP connection denied from A/p to B/p flags SYN on interface outside` and its relatives.
fn denied_between(number: u64, words: &[&str]) -> Option<Event> {
    let name = words
        .iter()
        .map(|word| word.to_ascii_lowercase())
        .find(|word| matches!(word.as_str(), "tcp" | "udp"))?;
    let (src, dst) = (side(after(words, "from")?)?, side(after(words, "to")?)?);
    let mut flow = flow(protocol(&name, src.0)?, src, dst);
    flow.verdict = Verdict::Deny;
    // Without a connection it is not known who had opened it.
    if number != 106_015 {
        (flow.client, flow.client_confidence) = (Client::Src, 0.95);
    }
    Some(whole(flow, FlowDetails::default()))
}

/// `Deny tcp src outside:A/p dst inside:B/p by access-group "acl" [..]`, `Deny icmp src .. dst .. (type 8, code 0) ..`.
fn denied_src_dst(words: &[&str], text: &str) -> Option<Event> {
    let at = words.iter().position(|word| *word == "src")?;
    let bare = |word: &str| side(after(words, word)?.split('(').next()?);
    let (src, dst) = (bare("src")?, bare("dst")?);
    let number = protocol(words.get(at.checked_sub(1)?)?, src.0)?;
    let mut flow = flow(number, src, dst);
    if Protocol(number).is_icmp() {
        icmp(words, &mut flow);
    }
    (flow.client, flow.client_confidence, flow.verdict) = (Client::Src, 0.95, Verdict::Deny);
    let rule = text.split_once("access-group \"").and_then(|(_, rest)| rest.split('"').next());
    let details = FlowDetails { rule: rule.map(str::to_owned), user: user(words), ..FlowDetails::default() };
    Some(whole(flow, details))
}

/// `access-list NAME denied tcp inside/A(p) -> outside/B(p) hit-cnt 1 ..`; of ICMP the ports are type and code.
fn access_list(words: &[&str]) -> Option<Event> {
    let arrow = words.iter().position(|word| *word == "->")?;
    let side = |word: &str| -> Option<Side> {
        let (ip, rest) = word.split_once('/')?.1.split_once('(')?;
        Some((ip.parse().ok()?, rest.split(')').next()?.parse().ok()))
    };
    let (src, dst) = (side(words.get(arrow.checked_sub(1)?)?)?, side(words.get(arrow + 1)?)?);
    let name = words.get(1)?;
    let number = protocol(words.get(3)?, src.0)?;
    let mut flow = flow(number, src, dst);
    if Protocol(number).is_icmp()
        && let (Some(kind), Some(code)) = (src.1, dst.1)
    {
        flow.dst_port = (kind & 0xff) << 8 | code & 0xff;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    flow.verdict = if *words.get(2)? == "denied" { Verdict::Deny } else { Verdict::Allow };
    (flow.client, flow.client_confidence) = (Client::Src, 0.95);
    Some(whole(
        flow,
        FlowDetails { rule: Some((*name).to_owned()), user: user(words), ..FlowDetails::default() },
    ))
}

/// `AccessControlRuleAction: Allow, SrcIP: A, DstIP: B, ..`: a connection's start or its end.
fn ftd(text: &str, starts: bool) -> Option<Event> {
    let get = |name: &str| {
        let pairs = text.split(", ").filter_map(|pair| pair.split_once(": "));
        pairs.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let number = |name: &str| get(name).and_then(|text| text.parse::<u64>().ok());
    let port = |name: &str| number(name).and_then(|port| u16::try_from(port).ok());
    let (src, dst): (Ip, Ip) = (get("SrcIP")?.parse().ok()?, get("DstIP")?.parse().ok()?);
    let mut flow = flow(protocol(get("Protocol")?, src)?, (src, port("SrcPort")), (dst, port("DstPort")));
    if Protocol(flow.protocol).is_icmp()
        && let Some(kind) = port("ICMPType").or(port("SrcPort"))
    {
        flow.dst_port = (kind & 0xff) << 8 | port("ICMPCode").or(port("DstPort")).unwrap_or(0) & 0xff;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    let counts = ["InitiatorPackets", "InitiatorBytes", "ResponderPackets", "ResponderBytes"].map(number);
    if counts[0].is_some() || counts[1].is_some() {
        (flow.packets, flow.bytes) = (counts[0].unwrap_or(0), counts[1].unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    if counts[2].is_some() || counts[3].is_some() {
        (flow.reverse_packets, flow.reverse_bytes) = (counts[2].unwrap_or(0), counts[3].unwrap_or(0));
        flow.present |= FlowBatch::HAS_REVERSE;
    }
    (flow.client, flow.client_confidence) = (Client::Src, BY_STATE);
    flow.verdict = match get("AccessControlRuleAction") {
        Some(action) if action.contains("Block") => Verdict::Deny,
        Some("Allow" | "Trust" | "Monitor" | "Fastpath" | "Interactive Allow") => Verdict::Allow,
        _ => Verdict::Unknown,
    };
    flow.start = get("FirstPacketSecond").and_then(|time| date_time(time.as_bytes())).unwrap_or(0);
    let text =
        |name: &str| get(name).filter(|value| !value.is_empty() && *value != "Unknown").map(str::to_owned);
    let details = FlowDetails {
        rule: text("AccessControlRuleName"),
        service_name: text("ApplicationProtocol"),
        user: text("User").filter(|user| user != "No Authentication Required"),
        ..FlowDetails::default()
    };
    let span = number("ConnectionDuration").unwrap_or(0).min(u64::from(u32::MAX)) as i64 * 1_000_000;
    Some(Event { flow, details, id: 0, stage: Stage::Whole { span, starts } })
}
