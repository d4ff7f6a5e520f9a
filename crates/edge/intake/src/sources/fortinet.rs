//! FortiGate traffic logs: pairs of keys and values, with or without a syslog header.

use memchr::memmem::find;
use model::{Client, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, ip, shown};
use crate::text::pairs::Pairs;
use crate::text::syslog::Syslog;
use crate::text::times::date_time;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "fortinet",
    aliases: &["fortigate", "fortios"],
    title: "FortiGate traffic logs (key=value)",
    description: "FortiOS logs of type `traffic`, as files or by syslog. Sessions are two-sided, the source is the client, \
                  `deny` is the verdict deny, `transip` and `tranip` are the translated addresses, the policy is the rule. A \
                  session that is logged while it goes on counts by its deltas, and its start without counts. `eventtime` is \
                  taken before `date` and `time`, which are UTC unless `tz` says otherwise. Other logs are skipped.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    (has("type=\"traffic\"") || has("type=traffic ")) && has("srcip=") && has("dstip=") && has("logid=")
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "lines of FortiGate's traffic log", Shape::LINES, input, Logs::default())
}

#[derive(Default)]
struct Logs {
    syslog: Syslog,
}

macro_rules! keys {
    ($($field:ident = $name:literal),* $(,)?) => {
        #[derive(Clone, Copy)]
        enum Key { $($field),* }

        fn key(name: &[u8]) -> Option<Key> {
            Some(match name { $($name => Key::$field,)* _ => return None })
        }

        const KEYS: usize = [$($name as &[u8]),*].len();
    };
}
keys! {
    Kind = b"type",
    Subtype = b"subtype",
    LogId = b"logid",
    Date = b"date",
    Time = b"time",
    Zone = b"tz",
    EventTime = b"eventtime",
    Device = b"devname",
    DeviceId = b"devid",
    Src = b"srcip",
    Dst = b"dstip",
    SrcPort = b"srcport",
    DstPort = b"dstport",
    Proto = b"proto",
    Action = b"action",
    Policy = b"policyid",
    PolicyName = b"policyname",
    Duration = b"duration",
    Sent = b"sentbyte",
    Received = b"rcvdbyte",
    SentPackets = b"sentpkt",
    ReceivedPackets = b"rcvdpkt",
    SentDelta = b"sentdelta",
    ReceivedDelta = b"rcvddelta",
    Translation = b"trandisp",
    SrcTranslated = b"transip",
    SrcPortTranslated = b"transport",
    DstTranslated = b"tranip",
    DstPortTranslated = b"tranport",
    SrcName = b"srcname",
    DstName = b"dstname",
    User = b"user",
    App = b"app",
    Service = b"service",
}

struct Values<'a>([&'a [u8]; KEYS]);

impl<'a> Values<'a> {
    /// A value that is there and says something.
    fn get(&self, key: Key) -> Option<&'a [u8]> {
        let value = self.0[key as usize];
        (!value.is_empty() && value != b"N/A").then_some(value)
    }

    fn number(&self, key: Key) -> Result<Option<u64>, String> {
        self.get(key)
            .map(|text| decimal(text).ok_or_else(|| format!("`{}` is not a number", shown(text))))
            .transpose()
    }

    fn port(&self, key: Key) -> Result<Option<u16>, String> {
        let narrow = |port: u64| u16::try_from(port).map_err(|_| format!("`{port}` is not a port"));
        self.number(key)?.map(narrow).transpose()
    }

    fn address(&self, key: Key, name: &str) -> Result<Ip, String> {
        let text = self.get(key).ok_or_else(|| format!("the record has no `{name}`"))?;
        ip(text).ok_or_else(|| format!("`{}` is not an IPv4 or IPv6 address", shown(text)))
    }
}

impl TextFormat for Logs {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let message = self.syslog.message(text);
        let mut values = Values([b""; KEYS]);
        for (name, value) in Pairs(message.text) {
            if let Some(key) = key(name) {
                values.0[key as usize] = value;
            }
        }
        match values.get(Key::Kind) {
            None => {
                return Err("the line has no `type`; expected FortiGate's pairs of keys and values".into());
            }
            Some(b"traffic") => {}
            Some(_) => {
                sink.skip("log of another kind");
                return Ok(());
            }
        }
        let flow = session(&values, message.at)?;
        let name = values.get(Key::Device).and_then(|name| std::str::from_utf8(name).ok());
        let id = values.get(Key::DeviceId).and_then(|id| std::str::from_utf8(id).ok());
        sink.push_with(name.or(id).or(message.host).unwrap_or(SOURCE.name), flow, details(&values)?);
        Ok(())
    }
}

fn session(values: &Values<'_>, received: Option<Micros>) -> Result<Flow, Fault> {
    let number = values.number(Key::Proto)?.and_then(|number| u8::try_from(number).ok());
    let protocol = Protocol(number.ok_or("the record has no protocol number in `proto`")?);
    let end = time(values)?.or(received).ok_or("the record has no `eventtime`, nor `date` and `time`")?;
    let span = values.number(Key::Duration)?.unwrap_or(0).min(u64::from(u32::MAX)) as i64 * 1_000_000;
    let mut flow = Flow {
        start: end.saturating_sub(span),
        end,
        src: values.address(Key::Src, "srcip")?,
        dst: values.address(Key::Dst, "dstip")?,
        protocol: protocol.0,
        sampling: 1,
        client: Client::Src,
        client_confidence: 0.97,
        verdict: verdict(values),
        ..Flow::default()
    };
    if protocol.has_ports() {
        if let (Some(src), Some(dst)) = (values.port(Key::SrcPort)?, values.port(Key::DstPort)?) {
            (flow.src_port, flow.dst_port) = (src, dst);
            flow.present |= FlowBatch::HAS_PORTS;
        }
    } else if protocol.is_icmp()
        && let Some(both) = values.get(Key::Service).and_then(icmp)
    {
        flow.dst_port = both;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    counts(values, &mut flow)?;
    Ok(flow)
}

/// When the log was written: the end of the session. `eventtime` is in seconds, or nanoseconds since FortiOS 6.2.
fn time(values: &Values<'_>) -> Result<Option<Micros>, String> {
    if let Some(time) = values.number(Key::EventTime)?.filter(|time| *time > 0) {
        let micros = match time {
            0..100_000_000_000 => time.checked_mul(1_000_000),
            100_000_000_000..100_000_000_000_000 => time.checked_mul(1_000),
            100_000_000_000_000..100_000_000_000_000_000 => Some(time),
            _ => Some(time / 1_000),
        };
        return Ok(micros.and_then(|micros| i64::try_from(micros).ok()));
    }
    let (Some(date), Some(clock)) = (values.get(Key::Date), values.get(Key::Time)) else { return Ok(None) };
    let text = [date, b"T", clock, values.get(Key::Zone).unwrap_or_default()].concat();
    date_time(&text).map(Some).ok_or_else(|| format!("`{}` is not a time", shown(&text)))
}

fn verdict(values: &Values<'_>) -> Verdict {
    // A sniffer looks on and decides nothing.
    match values.get(Key::Action) {
        _ if values.get(Key::Subtype) == Some(b"sniffer") => Verdict::Unknown,
        Some(b"deny" | b"block" | b"blocked" | b"drop") => Verdict::Deny,
        // No answer came, but the firewall let it through.
        Some(
            b"accept" | b"close" | b"client-rst" | b"server-rst" | b"timeout" | b"start" | b"ip-conn"
            | b"dns" | b"pass",
        ) => Verdict::Allow,
        _ => Verdict::Unknown,
    }
}

/// The number of a log on a session that goes on: the last six digits of its id.
const INTERIM: &[u8] = b"000020";

fn counts(values: &Values<'_>, flow: &mut Flow) -> Result<(), String> {
    if values.get(Key::Action) == Some(b"start") {
        return Ok(());
    }
    let interim = values.get(Key::LogId).is_some_and(|id| id.ends_with(INTERIM));
    // Totals grow from log to log of a session; the deltas do not. Packets have no deltas: they count at the end.
    let either = |delta: Key, total: Key| match values.number(delta)? {
        Some(delta) => Ok::<_, String>(Some(delta)),
        None => values.number(total),
    };
    let (sent, received) = (either(Key::SentDelta, Key::Sent)?, either(Key::ReceivedDelta, Key::Received)?);
    let packets = |key: Key| if interim { Ok(None) } else { values.number(key) };
    let (sent_packets, received_packets) = (packets(Key::SentPackets)?, packets(Key::ReceivedPackets)?);
    if sent.is_some() || sent_packets.is_some() {
        (flow.packets, flow.bytes) = (sent_packets.unwrap_or(0), sent.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    if received.is_some() || received_packets.is_some() {
        (flow.reverse_packets, flow.reverse_bytes) = (received_packets.unwrap_or(0), received.unwrap_or(0));
        flow.present |= FlowBatch::HAS_REVERSE;
    }
    Ok(())
}

/// Type and code of `icmp/8/0`.
fn icmp(service: &[u8]) -> Option<u16> {
    let mut parts = service.split(|byte| *byte == b'/');
    if !parts.next()?.to_ascii_lowercase().starts_with(b"icmp") {
        return None;
    }
    let mut byte = || u8::try_from(decimal(parts.next()?)?).ok().map(u16::from);
    let kind = byte()?;
    Some(kind << 8 | byte().unwrap_or(0))
}

fn details(values: &Values<'_>) -> Result<FlowDetails, String> {
    let text = |key: Key| values.get(key).map(|text| String::from_utf8_lossy(text).into_owned());
    let translation = values.get(Key::Translation).unwrap_or_default();
    let (source, destination) = (find(translation, b"snat").is_some(), find(translation, b"dnat").is_some());
    let address = |key: Key| values.get(key).and_then(ip).filter(|ip| *ip != Ip::v4(0) && ip.0 != 0);
    let mut details = FlowDetails {
        src_workload: text(Key::SrcName),
        dst_workload: text(Key::DstName),
        user: text(Key::User),
        service_name: text(Key::App).or_else(|| text(Key::Service)),
        rule: text(Key::PolicyName).or_else(|| text(Key::Policy)),
        ..FlowDetails::default()
    };
    if source {
        details.nat_src_ip = address(Key::SrcTranslated);
        details.nat_src_port = values.port(Key::SrcPortTranslated)?.filter(|port| *port != 0);
    }
    if destination {
        details.nat_dst_ip = address(Key::DstTranslated);
        details.nat_dst_port = values.port(Key::DstPortTranslated)?.filter(|port| *port != 0);
    }
    Ok(details)
}
