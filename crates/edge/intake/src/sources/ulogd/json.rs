//! ulogd2's JSON: its keys are those of its plugins, or the names of Splunk's common information model where a key has one
//! (`src_ip`, `dest_ip`, `src_port`, `dest_port`).

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Verdict};
use netset::Protocol;
use serde::Deserialize;

use super::{rule, verdict};
use crate::text::json::{Address, Count, Text, parse};
use crate::text::times::date_time;
use crate::text::{Fault, Sink};

/// How sure the kernel is of who began: it picks up connections in the middle too (`nf_conntrack_tcp_loose`).
const BY_KERNEL: f32 = 0.97;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "@timestamp")]
    timestamp_of_logstash: Option<Text<'a>>,
    #[serde(borrow)]
    dvc: Option<Text<'a>>,
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow, rename = "oob.prefix")]
    prefix: Option<Text<'a>>,
    #[serde(borrow, rename = "oob.in")]
    input: Option<Text<'a>>,
    #[serde(borrow, rename = "oob.out")]
    output: Option<Text<'a>>,
    #[serde(rename = "oob.uid")]
    uid: Count,
    #[serde(rename = "oob.time.sec")]
    seconds: Count,
    #[serde(rename = "oob.time.usec")]
    micros: Count,
    src_ip: Address,
    #[serde(rename = "ip.saddr.str")]
    src_ip_plain: Address,
    #[serde(rename = "orig.ip.saddr.str")]
    original_src_ip: Address,
    dest_ip: Address,
    #[serde(rename = "ip.daddr.str")]
    dest_ip_plain: Address,
    #[serde(rename = "orig.ip.daddr.str")]
    original_dest_ip: Address,
    src_port: Count,
    #[serde(rename = "tcp.sport")]
    tcp_src_port: Count,
    #[serde(rename = "udp.sport")]
    udp_src_port: Count,
    #[serde(rename = "sctp.sport")]
    sctp_src_port: Count,
    #[serde(rename = "orig.l4.sport")]
    original_src_port: Count,
    dest_port: Count,
    #[serde(rename = "tcp.dport")]
    tcp_dest_port: Count,
    #[serde(rename = "udp.dport")]
    udp_dest_port: Count,
    #[serde(rename = "sctp.dport")]
    sctp_dest_port: Count,
    #[serde(rename = "orig.l4.dport")]
    original_dest_port: Count,
    #[serde(rename = "ip.protocol")]
    protocol: Count,
    #[serde(rename = "ip6.nexthdr")]
    protocol_v6: Count,
    #[serde(rename = "orig.ip.protocol")]
    original_protocol: Count,
    #[serde(rename = "icmp.type")]
    icmp_type: Count,
    #[serde(rename = "icmp.code")]
    icmp_code: Count,
    #[serde(rename = "icmpv6.type")]
    icmp6_type: Count,
    #[serde(rename = "icmpv6.code")]
    icmp6_code: Count,
    #[serde(rename = "tcp.fin")]
    fin: Count,
    #[serde(rename = "tcp.syn")]
    syn: Count,
    #[serde(rename = "tcp.rst")]
    rst: Count,
    #[serde(rename = "tcp.psh")]
    psh: Count,
    #[serde(rename = "tcp.ack")]
    ack: Count,
    #[serde(rename = "tcp.urg")]
    urg: Count,
    #[serde(rename = "reply.ip.saddr.str")]
    reply_src_ip: Address,
    #[serde(rename = "reply.ip.daddr.str")]
    reply_dest_ip: Address,
    #[serde(rename = "reply.l4.sport")]
    reply_src_port: Count,
    #[serde(rename = "reply.l4.dport")]
    reply_dest_port: Count,
    #[serde(rename = "orig.raw.pktcount")]
    packets: Count,
    #[serde(rename = "orig.raw.pktlen")]
    bytes: Count,
    #[serde(rename = "reply.raw.pktcount")]
    reply_packets: Count,
    #[serde(rename = "reply.raw.pktlen")]
    reply_bytes: Count,
    #[serde(rename = "ct.event")]
    event: Count,
    #[serde(rename = "flow.start.sec")]
    start_seconds: Count,
    #[serde(rename = "flow.start.usec")]
    start_micros: Count,
    #[serde(rename = "flow.end.sec")]
    end_seconds: Count,
    #[serde(rename = "flow.end.usec")]
    end_micros: Count,
}

/// `NFCT_T_UPDATE` of `ct.event`.
const UPDATE: u64 = 2;

pub(super) fn record(text: &[u8], offset: i64, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let record: Record<'_> = parse(text)?;
    let said = record.dvc.as_ref().map_or("", |name| &name.0);
    // What a build has as its default says nothing of who it was.
    let exporter = if said.is_empty() || said == "Netfilter" { "netfilter" } else { said };
    if record.original_protocol.0.is_some() {
        if record.event.0 == Some(UPDATE) {
            sink.skip("change of a connection that says nothing new");
            return Ok(());
        }
        let flow = connection(&record, offset)?;
        let details = translation(&record, &flow);
        sink.push_with(exporter, flow, details);
        return Ok(());
    }
    if first([record.src_ip.0, record.src_ip_plain.0]).is_none() {
        sink.skip("frame that is no IP packet");
        return Ok(());
    }
    let (flow, details) = packet(&record, offset)?;
    sink.push_with(exporter, flow, details);
    Ok(())
}

fn first<T: Copy, const N: usize>(values: [Option<T>; N]) -> Option<T> {
    values.into_iter().flatten().next()
}

fn port(count: u64) -> Result<u16, String> {
    u16::try_from(count).map_err(|_| format!("`{count}` is not a port"))
}

fn micros(seconds: Count, micros: Count) -> Option<i64> {
    let seconds = i64::try_from(seconds.0.filter(|seconds| *seconds > 0)?).ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(i64::try_from(micros.0.unwrap_or(0).min(999_999)).ok()?)
}

impl Record<'_> {
    /// The time that ulogd wrote; without a zone in releases before 2.0.6.
    fn written(&self, offset: i64) -> Option<i64> {
        let text = self.timestamp.as_ref().or(self.timestamp_of_logstash.as_ref())?.0.as_bytes();
        let zoned = text.ends_with(b"Z") || text.get(19..)?.iter().any(|byte| matches!(byte, b'+' | b'-'));
        date_time(text).map(|at| if zoned { at } else { at - offset })
    }

    /// Addresses, protocol, ports, and type and code of ICMP.
    fn tuple(&self) -> Result<Flow, String> {
        let src = first([self.src_ip.0, self.src_ip_plain.0, self.original_src_ip.0]);
        let dst = first([self.dest_ip.0, self.dest_ip_plain.0, self.original_dest_ip.0]);
        let src = src.ok_or("the record has no address in `src_ip`; let ulogd use its filter IP2STR")?;
        let dst = dst.ok_or("the record has no address in `dest_ip`; let ulogd use its filter IP2STR")?;
        let number = first([self.original_protocol.0, self.protocol.0, self.protocol_v6.0]);
        let number =
            number.and_then(|number| u8::try_from(number).ok()).ok_or("the record has no `ip.protocol`")?;
        let mut flow = Flow { src, dst, protocol: number, sampling: 1, ..Flow::default() };
        let source = first([
            self.src_port.0,
            self.original_src_port.0,
            self.tcp_src_port.0,
            self.udp_src_port.0,
            self.sctp_src_port.0,
        ]);
        let destination = first([
            self.dest_port.0,
            self.original_dest_port.0,
            self.tcp_dest_port.0,
            self.udp_dest_port.0,
            self.sctp_dest_port.0,
        ]);
        let kind = first([self.icmp_type.0, self.icmp6_type.0]);
        let code = first([self.icmp_code.0, self.icmp6_code.0]);
        if Protocol(number).is_icmp() {
            if let (Some(kind), Some(code)) = (kind, code) {
                flow.dst_port = (kind as u16 & 0xff) << 8 | code as u16 & 0xff;
                flow.present |= FlowBatch::HAS_ICMP;
            }
        } else if let (Some(source), Some(destination)) = (source, destination) {
            (flow.src_port, flow.dst_port) = (port(source)?, port(destination)?);
            flow.present |= FlowBatch::HAS_PORTS;
        }
        Ok(flow)
    }
}

/// A packet of NFLOG.
fn packet(record: &Record<'_>, offset: i64) -> Result<(Flow, FlowDetails), String> {
    let mut flow = record.tuple()?;
    let at = micros(record.seconds, record.micros).or_else(|| record.written(offset));
    flow.start = at.unwrap_or(0);
    flow.end = flow.start;
    let flags = [record.fin, record.syn, record.rst, record.psh, record.ack, record.urg];
    if flow.protocol == 6 && flags.iter().any(|flag| flag.0.is_some()) {
        let set = |(place, flag): (usize, &Count)| u8::from(flag.0.is_some_and(|flag| flag > 0)) << place;
        flow.tcp_flags = flags.iter().enumerate().map(set).sum();
        flow.present |= FlowBatch::HAS_TCP_FLAGS;
    }
    let named = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.0.is_empty());
    flow.direction = match (named(&record.input), named(&record.output)) {
        (true, false) => Direction::Ingress,
        (false, true) => Direction::Egress,
        _ => Direction::Unknown,
    };
    let prefix = record.prefix.as_ref().map_or("", |prefix| &prefix.0);
    flow.verdict = match record.action.as_ref().map_or("", |action| &action.0) {
        "allowed" => Verdict::Allow,
        "blocked" => Verdict::Deny,
        _ => verdict(prefix),
    };
    let user = record.uid.0.map(|uid| uid.to_string());
    Ok((flow, FlowDetails { rule: rule(prefix), user, ..FlowDetails::default() }))
}

/// A connection of NFCT: as it begins, as it ends, or (with ulogd's own table) once, both.
fn connection(record: &Record<'_>, offset: i64) -> Result<Flow, String> {
    let mut flow = record.tuple()?;
    let start = micros(record.start_seconds, record.start_micros);
    let end = micros(record.end_seconds, record.end_micros);
    let written = record.written(offset);
    flow.end = first([end, start, written]).unwrap_or(0);
    flow.start = first([start, end, written]).unwrap_or(0).min(flow.end);
    (flow.client, flow.client_confidence) = (Client::Src, BY_KERNEL);
    let (packets, bytes) = (record.packets.0, record.bytes.0);
    let (reply_packets, reply_bytes) = (record.reply_packets.0, record.reply_bytes.0);
    // Without accounting all four are 0; no connection ends without having had a packet.
    if packets.is_some_and(|packets| packets > 0) || reply_packets.is_some_and(|packets| packets > 0) {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), bytes.unwrap_or(0));
        (flow.reverse_packets, flow.reverse_bytes) = (reply_packets.unwrap_or(0), reply_bytes.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE;
    }
    Ok(flow)
}

/// What the reply has otherwise than the original direction turned round.
fn translation(record: &Record<'_>, flow: &Flow) -> FlowDetails {
    let port = |count: Count, other: u16| {
        let ported = flow.present & FlowBatch::HAS_PORTS != 0;
        count.0.and_then(|port| u16::try_from(port).ok()).filter(|port| ported && *port != other)
    };
    FlowDetails {
        nat_dst_ip: record.reply_src_ip.0.filter(|ip| *ip != flow.dst),
        nat_src_ip: record.reply_dest_ip.0.filter(|ip| *ip != flow.src),
        nat_dst_port: port(record.reply_src_port, flow.dst_port),
        nat_src_port: port(record.reply_dest_port, flow.src_port),
        ..FlowDetails::default()
    }
}
