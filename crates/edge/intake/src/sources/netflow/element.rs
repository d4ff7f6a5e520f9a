//! Which information elements matter, and what they are for.
//!
//! Numbers are those of the IANA registry "IP Flow Information Export (IPFIX) Entities", which version 9 shares below
//! 128, with the few elements of Cisco ASA (NSEL) that version 9 uses above.

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
    /// The record has Cisco ASA's extended event: its source is who opened the connection.
    NselEvent,
}

/// The enterprise number of the reverse direction (RFC 5103).
const REVERSE: u32 = 29_305;
/// Palo Alto Networks.
const PALO_ALTO: u32 = 25_461;

/// What an element is for, and its rank among the elements of the same slot: of several that a record has, the one of the
/// lowest rank that is not zero counts.
pub(super) fn slot(enterprise: u32, id: u16) -> Option<(Slot, u8)> {
    match enterprise {
        0 => standard(id),
        REVERSE => match id {
            2 => Some((Slot::ReversePackets, 0)),
            86 => Some((Slot::ReversePackets, 1)),
            1 => Some((Slot::ReverseBytes, 0)),
            85 => Some((Slot::ReverseBytes, 1)),
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
        2 => (Packets, 0),
        86 => (Packets, 1),
        298 => (Packets, 2),
        // What left the box after it worked on the packets: only when nothing else was counted.
        24 => (Packets, 9),
        1 => (Bytes, 0),
        85 => (Bytes, 1),
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
