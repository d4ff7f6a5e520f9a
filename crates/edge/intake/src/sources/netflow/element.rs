//! Which information elements matter, and what they are for.
//!
//! Numbers are those of the IANA registry "IP Flow Information Export (IPFIX) Entities", which version 9 shares below
//! 128, with the few elements of Cisco ASA (NSEL) that version 9 uses above.

use crate::frame::Link;

/// How an absolute or relative time is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clock {
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Millis,
    /// 32 bits of seconds since 1900 and 32 bits of fraction (RFC 7011, 6.1.9 and 6.1.10).
    Ntp,
    /// Microseconds before the export time.
    MicrosBefore,
    /// Milliseconds since the exporter started, modulo 2^32.
    Uptime,
}

/// What a field of a record is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    Source,
    Destination,
    Protocol,
    SourcePort,
    DestinationPort,
    TcpFlags,
    Packets,
    Bytes,
    ReversePackets,
    ReverseBytes,
    Start(Clock),
    End(Clock),
    /// When the exporter noticed (NSEL events): stands in for a missing end.
    Observed(Clock),
    DurationMillis,
    DurationMicros,
    Direction,
    FirewallEvent,
    ForwardingStatus,
    BiflowDirection,
    /// `type * 256 + code`.
    IcmpTypeCode,
    IcmpType,
    IcmpCode,
    /// Which of the exporter's samplers took the packets.
    SamplerId,
    /// The interface that samplers are scoped by.
    Interface,
    /// One in so many, as such.
    SamplingRate,
    /// Packets taken ...
    SamplingTaken,
    /// ... and then left out.
    SamplingSkipped,
    /// Packets chosen ...
    SamplingSize,
    /// ... out of so many.
    SamplingPopulation,
    /// The probability that a packet is taken, a float.
    SamplingProbability,
    /// When the exporter started, in milliseconds since the epoch.
    SystemInit,
    NatSource,
    NatDestination,
    NatSourcePort,
    NatDestinationPort,
    User,
    /// The name of an application ...
    Application,
    /// ... and its number, by which options name it.
    ApplicationId,
    /// The entry of an access list that decided (Cisco ASA): three hashes, of the list, of the entry, and of what made it.
    AccessList,
    /// The beginning of a packet as it was on the wire, and where it begins.
    Section(Link),
    /// The record has Cisco ASA's extended event: its source is who opened the connection.
    NselEvent,
}

/// The enterprise number of the reverse direction (RFC 5103).
const REVERSE: u32 = 29_305;
/// Cisco: application visibility, whose records speak of client and server rather than source and destination.
const CISCO: u32 = 9;
/// Palo Alto Networks.
const PALO_ALTO: u32 = 25_461;

/// The rank of counters of what was added since the flow's last record ...
pub(super) const DELTA: u8 = 0;
/// ... and of those of all since it began.
pub(super) const TOTAL: u8 = 1;
/// The rank of addresses and ports that are said to be the client's and the server's.
pub(super) const CLIENT: u8 = 7;

/// What an element is for, and its rank among the elements of the same slot: of several that a record has, the one of the
/// lowest rank that is not zero counts.
pub(super) fn slot(enterprise: u32, id: u16) -> Option<(Slot, u8)> {
    match enterprise {
        0 => standard(id),
        REVERSE => match id {
            2 => Some((Slot::ReversePackets, DELTA)),
            86 => Some((Slot::ReversePackets, TOTAL)),
            1 => Some((Slot::ReverseBytes, DELTA)),
            85 => Some((Slot::ReverseBytes, TOTAL)),
            _ => None,
        },
        CISCO => match id {
            12_236 | 12_238 => Some((Slot::Source, CLIENT)),
            12_237 | 12_239 => Some((Slot::Destination, CLIENT)),
            12_240 => Some((Slot::SourcePort, CLIENT)),
            12_241 => Some((Slot::DestinationPort, CLIENT)),
            _ => None,
        },
        PALO_ALTO => match id {
            56_701 => Some((Slot::Application, 0)),
            56_702 => Some((Slot::User, 0)),
            _ => None,
        },
        _ => None,
    }
}

fn standard(id: u16) -> Option<(Slot, u8)> {
    use Slot::*;
    Some(match id {
        // Of both families the first in the record that is not zero: of a tunnel that is the outer pair, and the protocol
        // and ports that come with it.
        8 | 27 => (Source, 0),
        12 | 28 => (Destination, 0),
        4 => (Protocol, 0),
        7 => (SourcePort, 0),
        180 | 182 => (SourcePort, 1),
        11 => (DestinationPort, 0),
        181 | 183 => (DestinationPort, 1),
        6 => (TcpFlags, 0),
        2 => (Packets, DELTA),
        86 => (Packets, TOTAL),
        298 => (Packets, 2),
        // What left the box after it worked on the packets: only when nothing else was counted.
        24 => (Packets, 9),
        1 => (Bytes, DELTA),
        85 => (Bytes, TOTAL),
        231 => (Bytes, 2),
        352 => (Bytes, 8),
        23 => (Bytes, 9),
        299 => (ReversePackets, 2),
        232 => (ReverseBytes, 2),
        61 => (Direction, 0),
        89 => (ForwardingStatus, 0),
        233 => (FirewallEvent, 0),
        40_005 => (FirewallEvent, 1),
        33_002 => (NselEvent, 0),
        239 => (BiflowDirection, 0),
        32 | 139 => (IcmpTypeCode, 0),
        176 | 178 => (IcmpType, 0),
        177 | 179 => (IcmpCode, 0),
        10 => (Interface, 0),
        371 | 40_000 => (User, 1),
        33_000 => (AccessList, 0),
        33_001 => (AccessList, 1),
        315 => (Section(Link::Ethernet), 0),
        313 => (Section(Link::Ip), 1),
        // What NetFlow-Lite called it before there was a number for it.
        104 => (Section(Link::Ethernet), 2),
        96 => (Application, 1),
        95 => (ApplicationId, 0),
        _ => return time(id).or_else(|| sampling(id)).or_else(|| translation(id)),
    })
}

fn time(id: u16) -> Option<(Slot, u8)> {
    use Clock::*;
    use Slot::*;
    Some(match id {
        152 => (Start(Millis), 0),
        153 => (End(Millis), 0),
        154 | 156 => (Start(Ntp), 1),
        155 | 157 => (End(Ntp), 1),
        150 => (Start(Seconds), 2),
        151 => (End(Seconds), 2),
        158 => (Start(MicrosBefore), 3),
        159 => (End(MicrosBefore), 3),
        22 => (Start(Uptime), 4),
        21 => (End(Uptime), 4),
        323 => (Observed(Millis), 0),
        324 | 325 => (Observed(Ntp), 1),
        322 => (Observed(Seconds), 2),
        161 => (DurationMillis, 0),
        162 => (DurationMicros, 0),
        160 => (SystemInit, 0),
        _ => return None,
    })
}

fn sampling(id: u16) -> Option<(Slot, u8)> {
    use Slot::*;
    Some(match id {
        302 => (SamplerId, 0),
        48 => (SamplerId, 1),
        34 => (SamplingRate, 0),
        50 => (SamplingRate, 1),
        305 => (SamplingTaken, 0),
        306 => (SamplingSkipped, 0),
        // The same in microseconds: all packets of some of the time.
        307 => (SamplingTaken, 1),
        308 => (SamplingSkipped, 1),
        311 => (SamplingProbability, 0),
        309 => (SamplingSize, 0),
        310 => (SamplingPopulation, 0),
        _ => return None,
    })
}

fn translation(id: u16) -> Option<(Slot, u8)> {
    use Slot::*;
    Some(match id {
        225 | 40_001 => (NatSource, 0),
        281 => (NatSource, 1),
        226 | 40_002 => (NatDestination, 0),
        282 => (NatDestination, 1),
        227 | 40_003 => (NatSourcePort, 0),
        228 | 40_004 => (NatDestinationPort, 0),
        _ => return None,
    })
}
