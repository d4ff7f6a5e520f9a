//! One sample: where and how it was taken, and the records that describe its packet.

use model::{Direction, Flow, FlowBatch, FlowDetails, Verdict};
use netset::{Ip, Protocol};

use super::reason;
use super::words::Words;
use crate::frame::{self, CUT, Frame, LINK, Link, Packet, Part, Selector, Tunnel};

/// What kind of sample it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A flow sample with interfaces of 24 bits.
    Flow,
    /// A flow sample with interfaces of 32 bits.
    Expanded,
    /// A packet that was discarded.
    Discarded,
}

/// The header of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) sequence: u32,
    /// Class and index of the data source; class 0 is an interface.
    pub(super) source: (u32, u32),
    /// One packet in so many was taken; 0 when only discards are reported.
    rate: u32,
    /// Samples, or discards, that the agent had to leave out since it started.
    pub(super) drops: u32,
    input: Option<u32>,
    output: Option<u32>,
    /// Why the packet was discarded, if it was.
    discarded: Option<u32>,
    records: u32,
}

impl Header {
    /// Takes the header from the front of a sample.
    pub(super) fn read(kind: Kind, words: &mut Words<'_>) -> Option<Self> {
        // The two upper bits of an interface say that it is one, or why there is none, or that there are several.
        let interface = |format: u32, value: u32| (format == 0).then_some(value);
        let discarded = |format: u32, value: u32| (format == 1).then_some(value);
        Some(match kind {
            Kind::Flow => {
                let [sequence, source, rate, _, drops, input, output, records] = words.words()?;
                Self {
                    sequence,
                    source: (source >> 24, source & 0x00ff_ffff),
                    rate,
                    drops,
                    input: interface(input >> 30, input & 0x3fff_ffff),
                    output: interface(output >> 30, output & 0x3fff_ffff),
                    discarded: discarded(output >> 30, output & 0x3fff_ffff),
                    records,
                }
            }
            Kind::Expanded => {
                let [sequence, class, index, rate, _, drops, input_is, input, output_is, output, records] =
                    words.words()?;
                Self {
                    sequence,
                    source: (class, index),
                    rate,
                    drops,
                    input: interface(input_is, input),
                    output: interface(output_is, output),
                    discarded: discarded(output_is, output),
                    records,
                }
            }
            Kind::Discarded => {
                let [sequence, class, index, drops, input, output, reason, records] = words.words()?;
                let (input, output) = (Some(input), Some(output));
                Self {
                    sequence,
                    source: (class, index),
                    // Every discard is reported, up to a limit of the agent's.
                    rate: 1,
                    drops,
                    input,
                    output,
                    discarded: Some(reason),
                    records,
                }
            }
        })
    }

    /// Where the observer stood, when the data source is one of the packet's two interfaces.
    fn direction(&self) -> Direction {
        let (0, index) = self.source else { return Direction::Unknown };
        match (self.input == Some(index), self.output == Some(index)) {
            (true, false) => Direction::Ingress,
            (false, true) => Direction::Egress,
            _ => Direction::Unknown,
        }
    }
}

/// The packet of a sample, by the best of its records.
struct Sampled<'a> {
    packet: Packet<'a>,
    tunnels: Vec<Tunnel>,
    /// Its length on the wire in bytes, link header included where the agent counts it.
    length: u32,
}

/// What the records of a sample say.
#[derive(Default)]
struct Records<'a> {
    /// From the raw header.
    sampled: Option<Sampled<'a>>,
    /// From records of decoded IP headers, for agents that have no raw one.
    decoded: Option<Sampled<'a>>,
    /// Why the raw header could not be used.
    unusable: Option<&'static str>,
    nat: (Option<Ip>, Option<Ip>),
    nat_ports: Option<(u16, u16)>,
    user: Option<String>,
    acl: Option<String>,
    outer: Option<(Packet<'a>, &'static str)>,
    network: Option<u32>,
}

/// A sample without a packet that could be used: ARP, LLDP, or a record of an application.
pub(super) const NO_PACKET: &str = "sample without an ip packet";
/// The records do not fit their lengths.
pub(super) const BAD_RECORD: &str = "sflow record length does not fit";

/// What came of a sample.
pub(super) struct Outcome {
    /// The flow, or why there is none.
    pub(super) flow: Result<(Flow, Option<Box<FlowDetails>>), &'static str>,
    /// A record that does not fit, after which the rest of the sample was left.
    pub(super) damage: Option<String>,
}

/// Reads the records of a sample whose header was taken.
pub(super) fn read(header: &Header, mut words: Words<'_>) -> Outcome {
    let mut records = Records::default();
    let mut damage = None;
    for _ in 0..header.records {
        let (Some(format), Some(length)) = (words.word(), words.word()) else {
            damage = Some(format!("the sample ends before its {} records", header.records));
            break;
        };
        let left = words.rest().len();
        let Some(record) = usize::try_from(length).ok().and_then(|length| words.take(length)) else {
            damage = Some(format!(
                "a record of format {format} says that it has {length} bytes; {left} are left in the sample"
            ));
            // A header that was cut off still tells whose packet it was.
            records.take(format, Words::new(words.rest()));
            break;
        };
        records.take(format, Words::new(record));
    }
    Outcome { flow: records.into_flow(header), damage }
}

impl<'a> Records<'a> {
    /// Takes what a record says, `None` when it says less than its format asks for. Formats of other enterprises, and those
    /// that say nothing about who talks to whom, are passed over.
    fn take(&mut self, format: u32, mut words: Words<'a>) -> Option<()> {
        match format {
            1 => self.raw(words)?,
            3 => self.keep_decoded(decoded(&mut words, false)?),
            4 => self.keep_decoded(decoded(&mut words, true)?),
            1004 => {
                let (_, source) = (words.word()?, words.opaque()?);
                let (_, destination) = (words.word()?, words.opaque().unwrap_or_default());
                self.user = text(source).or_else(|| text(destination));
            }
            1007 => self.nat = (words.address()?, words.address()?),
            1020 => {
                let [source, destination] = words.words()?;
                self.nat_ports = u16::try_from(source).ok().zip(u16::try_from(destination).ok());
            }
            // The header that a tunnel adds or added; what is being sampled is the inside.
            1023 | 1024 => self.outer = decoded(&mut words, false).map(carrier),
            1025 | 1026 => self.outer = decoded(&mut words, true).map(carrier),
            1029 | 1030 => self.network = words.word(),
            1037 => {
                let (number, name) = (words.word()?, words.opaque()?);
                self.acl = text(name).or_else(|| Some(number.to_string()));
            }
            _ => {}
        }
        Some(())
    }

    fn keep_decoded(&mut self, packet: Packet<'a>) {
        let length = packet.length;
        self.decoded.get_or_insert(Sampled { packet, tunnels: Vec::new(), length });
    }

    fn raw(&mut self, mut words: Words<'a>) -> Option<()> {
        let [protocol, length, _, count] = words.words()?;
        if self.sampled.is_some() {
            return Some(());
        }
        // Some agents state more than they send.
        let rest = words.rest();
        let header = usize::try_from(count).ok().and_then(|count| rest.get(..count)).unwrap_or(rest);
        let Some(link) = Link::of_sflow(protocol) else {
            self.unusable = Some(LINK);
            return Some(());
        };
        match frame::dissect(link, header, length as usize) {
            Ok(Frame { packet, tunnels, .. }) => {
                let length = if length == 0 { packet.length } else { length };
                self.sampled = Some(Sampled { packet, tunnels, length });
            }
            Err(reason) => self.unusable = Some(reason),
        }
        Some(())
    }

    fn into_flow(mut self, header: &Header) -> Result<(Flow, Option<Box<FlowDetails>>), &'static str> {
        let Some(sampled) = self.sampled.take().or(self.decoded.take()) else {
            return Err(match self.unusable {
                Some(reason @ (CUT | LINK)) => reason,
                _ => NO_PACKET,
            });
        };
        let mut flow = flow_of(&sampled, header);
        let mut details = FlowDetails { user: self.user.take(), ..FlowDetails::default() };
        self.translations(&flow, &mut details);
        details.tunnel = self.tunnel(&sampled.tunnels);
        if let Some(discarded) = header.discarded {
            flow.verdict = Verdict::Deny;
            details.rule = Some(match &self.acl {
                Some(acl) => format!("acl {acl}"),
                None => reason::name(discarded),
            });
        }
        let details = (details != FlowDetails::default()).then(|| Box::new(details));
        Ok((flow, details))
    }

    /// Agents repeat the address or port of the header where nothing was translated: that is no translation.
    fn translations(&self, flow: &Flow, details: &mut FlowDetails) {
        details.nat_src_ip = self.nat.0.filter(|ip| *ip != flow.src);
        details.nat_dst_ip = self.nat.1.filter(|ip| *ip != flow.dst);
        if let Some((source, destination)) = self.nat_ports {
            details.nat_src_port = (source != flow.src_port).then_some(source);
            details.nat_dst_port = (destination != flow.dst_port).then_some(destination);
        }
    }

    /// The tunnels seen in the packet itself, or the one that its switch knows of.
    fn tunnel(&self, seen: &[Tunnel]) -> Option<String> {
        if !seen.is_empty() {
            return Some(Tunnel::names(seen));
        }
        let (outer, kind) = self.outer?;
        Some(Tunnel { kind, id: self.network, src: outer.src, dst: outer.dst }.to_string())
    }
}

/// One packet as a flow, scaled by its sampling rate. The times are set by the caller.
fn flow_of(sampled: &Sampled<'_>, header: &Header) -> Flow {
    let packet = &sampled.packet;
    let mut present = 0;
    let (src_port, dst_port) = match packet.selector {
        Selector::Ports(from, to) => {
            present |= FlowBatch::HAS_PORTS;
            (from, to)
        }
        Selector::Icmp(both) => {
            present |= FlowBatch::HAS_ICMP;
            (0, both)
        }
        Selector::Absent => (0, 0),
    };
    if packet.tcp_flags.is_some() {
        present |= FlowBatch::HAS_TCP_FLAGS;
    }
    // Without a rate one packet was seen, and nobody knows of how many; a discard stands for itself.
    if header.rate > 0 || header.discarded.is_some() {
        present |= FlowBatch::HAS_COUNTS;
    }
    let rate = header.rate.max(1);
    let counted = u64::from(present & FlowBatch::HAS_COUNTS != 0);
    Flow {
        src: packet.src,
        dst: packet.dst,
        protocol: packet.protocol,
        src_port,
        dst_port,
        tcp_flags: packet.tcp_flags.unwrap_or(0),
        packets: u64::from(rate) * counted,
        bytes: u64::from(rate) * u64::from(sampled.length) * counted,
        sampling: rate,
        direction: header.direction(),
        present,
        ..Flow::default()
    }
}

/// An IP header that the agent decoded itself: `sampled_ipv4` or `sampled_ipv6`.
fn decoded<'a>(words: &mut Words<'a>, version_6: bool) -> Option<Packet<'a>> {
    let [length, protocol] = words.words()?;
    let protocol = u8::try_from(protocol).ok()?;
    let mut address = || if version_6 { words.ipv6() } else { words.word().map(Ip::v4) };
    let (src, dst) = (address()?, address()?);
    let [from, to, flags, _] = words.words()?;
    let kind = Protocol(protocol);
    let (from, to) = (from as u16, to as u16);
    let selector = if kind.has_ports() {
        Selector::Ports(from, to)
    } else if kind.is_icmp() {
        // Agents put type and code where the ports are, as the standard has no other place for them.
        Selector::Icmp(from << 8 | to & 0xff)
    } else {
        Selector::Absent
    };
    let tcp_flags = (kind == Protocol::TCP).then_some(flags as u8);
    Some(Packet { src, dst, protocol, selector, tcp_flags, length, payload: Part::default() })
}

/// A tunnel's outer header, with a name for the tunnel.
fn carrier(outer: Packet<'_>) -> (Packet<'_>, &'static str) {
    let kind = match (outer.protocol, outer.selector) {
        (4, _) => "ip-in-ip",
        (41, _) if outer.src.is_v4() => "6in4",
        (41, _) => "ip-in-ip",
        (47, _) => "gre",
        (17, Selector::Ports(_, 4789)) => "vxlan",
        (17, Selector::Ports(_, 6081)) => "geneve",
        _ => "tunnel",
    };
    (outer, kind)
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}
