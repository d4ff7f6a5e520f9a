//! IPv4, IPv6 and what they carry.

use netset::{Ip, Protocol};

use super::{CUT, Fragment, FragmentKey, NOT_IP, Packet, Part, Selector, Walk};

/// IPv6 extension headers and other protocol numbers that are looked at.
mod number {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HOST_IDENTITY: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Extension headers of one packet; nobody sends more than a few.
const EXTENSIONS: usize = 16;

type Found<'a> = Result<Packet<'a>, &'static str>;

impl Walk {
    /// An IP packet by its version. Its stated length is believed even beyond the end of the frame: exporters cut.
    pub(super) fn ip<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        self.step()?;
        match part.byte(0).map(|first| first >> 4) {
            Some(4) => self.ipv4(part),
            Some(6) => self.ipv6(part),
            Some(_) => Err(NOT_IP),
            None => Err(CUT),
        }
    }

    /// An IP packet where something else could stand as well: its length must fit what carries it.
    pub(super) fn strict_ip<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        let length = match part.byte(0).ok_or(CUT)? >> 4 {
            4 => usize::from(part.u16(2).ok_or(CUT)?),
            6 => 40 + usize::from(part.u16(4).ok_or(CUT)?),
            _ => return Err(NOT_IP),
        };
        if length < 20 || length > part.wire() {
            return Err(NOT_IP);
        }
        self.ip(part)
    }

    fn ipv4<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        let header = part.head::<20>().ok_or(CUT)?;
        let length = usize::from(header[0] & 15) * 4;
        let stated = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // A total length of 0 is what segmentation offload leaves: the frame's length counts then.
        let total = if stated == 0 { part.wire() } else { stated };
        if length < 20 || total < length {
            return Err(NOT_IP);
        }
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let outline = Outline { src: Ip::v4(word(12)), dst: Ip::v4(word(16)), length: total };
        let place = u16::from_be_bytes([header[6], header[7]]);
        let id = u32::from(u16::from_be_bytes([header[4], header[5]]));
        let body = part.limit(total).skip(length).ok_or(CUT);
        let first = self.note_fragment(outline, header[9], id, place & 0x1fff, place & 0x2000 != 0);
        // Options that were not captured hide the ports, not the addresses.
        Ok(self.carried(outline, header[9], body.unwrap_or_default(), first && body.is_ok()))
    }

    fn ipv6<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        let header = part.head::<40>().ok_or(CUT)?;
        let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
        // 0 is a jumbogram or segmentation offload, unless the packet is really empty.
        let total = if stated == 0 { part.wire() } else { 40 + stated };
        let address = |at: usize| {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&header[at..at + 16]);
            Ip::from_bytes(bytes)
        };
        let outline = Outline { src: address(8), dst: address(24), length: total };
        let (mut next, mut rest) = (header[6], part.limit(total).skip(40).unwrap_or_default());
        for _ in 0..EXTENSIONS {
            let (Some(following), Some(length)) = (rest.byte(0), rest.byte(1)) else { break };
            let size = match next {
                number::HOP_BY_HOP
                | number::ROUTING
                | number::DESTINATION
                | number::MOBILITY
                | number::HOST_IDENTITY
                | number::SHIM6 => (usize::from(length) + 1) * 8,
                number::AUTHENTICATION => (usize::from(length) + 2) * 4,
                number::FRAGMENT => 8,
                _ => return Ok(self.carried(outline, next, rest, true)),
            };
            if next == number::FRAGMENT {
                let (Some(place), Some(id)) = (rest.u16(2), rest.u32(4)) else { break };
                if !self.note_fragment(outline, following, id, place >> 3, place & 1 != 0) {
                    return Ok(self.carried(outline, following, Part::default(), false));
                }
            }
            // Without a payload these three end the packet; otherwise the chain goes on.
            let Some(behind) = rest.skip(size) else { break };
            (next, rest) = (following, behind);
        }
        Ok(self.carried(outline, next, rest, true))
    }

    /// Notes a packet that is a fragment; whether its transport header is in it.
    fn note_fragment(&mut self, outline: Outline, protocol: u8, id: u32, offset: u16, more: bool) -> bool {
        if (offset != 0 || more) && self.fragment.is_none() {
            let key = FragmentKey { src: outline.src, dst: outline.dst, protocol, id };
            self.fragment = Some(Fragment { key, first: offset == 0 });
        }
        offset == 0
    }

    /// The packet with its transport header, or the packet inside it when it is a tunnel's.
    fn carried<'a>(&mut self, outline: Outline, protocol: u8, part: Part<'a>, headed: bool) -> Packet<'a> {
        let Outline { src, dst, length } = outline;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut packet =
            Packet { src, dst, protocol, selector: Selector::Absent, tcp_flags: None, length, payload: part };
        if !headed {
            return packet;
        }
        // An IPv4 authentication header hides what is behind it from the protocol field.
        if let (number::AUTHENTICATION, Some([next, words])) = (protocol, part.head())
            && let Some(behind) = part.skip((usize::from(*words) + 2) * 4)
            && self.step().is_ok()
        {
            return self.carried(outline, *next, behind, true);
        }
        let kind = Protocol(protocol);
        if let (true, Some(from), Some(to)) = (kind.has_ports(), part.u16(0), part.u16(2)) {
            packet.selector = Selector::Ports(from, to);
        }
        if let (true, Some(both)) = (kind.is_icmp(), part.u16(0)) {
            packet.selector = Selector::Icmp(both);
        }
        if kind == Protocol::TCP {
            packet.tcp_flags = part.byte(13);
        }
        if kind == Protocol::UDP {
            packet.payload = datagram(part);
        }
        self.tunnel(&packet).unwrap_or(packet)
    }
}

/// Addresses and length: what is known of a packet before its transport header.
#[derive(Clone, Copy)]
struct Outline {
    src: Ip,
    dst: Ip,
    length: usize,
}

/// What follows a UDP header. A length of 0 is left by segmentation offload.
fn datagram(part: Part<'_>) -> Part<'_> {
    let length = part.u16(4).map_or(0, usize::from);
    let whole = if length < 8 { part } else { part.limit(length) };
    // A header that was not captured whole has a payload that was not either.
    whole.skip(8).unwrap_or_else(|| Part::default().limit(1))
}
