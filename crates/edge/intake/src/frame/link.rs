//! Link headers: what announces an IP packet.

use super::{CUT, NOT_IP, Packet, Part, Walk};

/// How a frame begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    /// Ethernet II or 802.3.
    Ethernet,
    /// IPv4 or IPv6 without a link header.
    Ip,
    /// BSD loopback: four bytes of address family, which the IP version repeats.
    Loopback,
    /// Linux "any" captures, version 1.
    Cooked,
    /// Linux "any" captures, version 2.
    Cooked2,
    /// PPP, with or without HDLC framing.
    Ppp,
    /// Cisco HDLC.
    CiscoHdlc,
    /// 802.11.
    Wifi,
    /// 802.11 behind a radiotap header.
    Radiotap,
    /// An MPLS label stack.
    Mpls,
}

impl Link {
    /// The link type of a capture: `LINKTYPE_*` of the pcap format.
    pub(crate) fn of_capture(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            // RAW in its three numberings, IPV4, IPV6.
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            // NULL and LOOP.
            0 | 108 => Self::Loopback,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            9 | 50 => Self::Ppp,
            104 => Self::CiscoHdlc,
            105 => Self::Wifi,
            127 => Self::Radiotap,
            219 => Self::Mpls,
            _ => return None,
        })
    }

    /// The `header_protocol` of sFlow version 5.
    pub(crate) fn of_sflow(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Ethernet,
            7 | 14 => Self::Ppp,
            11 | 12 => Self::Ip,
            13 => Self::Mpls,
            15 => Self::Wifi,
            _ => return None,
        })
    }
}

/// Ethernet types.
mod kind {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
    pub(super) const MPLS: [u16; 2] = [0x8847, 0x8848];
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const BRIDGED: u16 = 0x6558;
    /// 802.1ah, provider backbone bridging.
    pub(super) const BACKBONE: u16 = 0x88e7;
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    /// Below this it is the length of an 802.3 frame.
    pub(super) const SMALLEST: u16 = 0x0600;
    /// "802.3" and "802.2" where Linux cooked captures put a type.
    pub(super) const COOKED_802: [u16; 2] = [1, 4];
}

type Found<'a> = Result<Packet<'a>, &'static str>;

impl Walk {
    pub(super) fn link<'a>(&mut self, link: Link, part: Part<'a>) -> Found<'a> {
        let behind = |count| part.skip(count).ok_or(CUT);
        match link {
            Link::Ethernet => self.ethernet(part),
            Link::Ip => self.ip(part),
            Link::Loopback => self.ip(behind(4)?),
            Link::Cooked => self.typed(part.u16(14).ok_or(CUT)?, behind(16)?),
            Link::Cooked2 => self.typed(part.u16(0).ok_or(CUT)?, behind(20)?),
            Link::Ppp => self.ppp(part),
            Link::CiscoHdlc => self.typed(part.u16(2).ok_or(CUT)?, behind(4)?),
            Link::Wifi => self.wifi(part),
            Link::Radiotap => {
                let [_, _, low, high] = part.head().ok_or(CUT)?;
                self.wifi(behind(usize::from(u16::from_le_bytes([*low, *high])))?)
            }
            Link::Mpls => self.mpls(part),
        }
    }

    pub(super) fn ethernet<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        self.typed(part.u16(12).ok_or(CUT)?, part.skip(14).ok_or(CUT)?)
    }

    /// What an Ethernet type announces.
    pub(super) fn typed<'a>(&mut self, announced: u16, part: Part<'a>) -> Found<'a> {
        self.step()?;
        match announced {
            kind::IPV4 | kind::IPV6 => self.ip(part),
            _ if kind::VLAN.contains(&announced) => {
                let tag = part.u16(0).ok_or(CUT)? & 0x0fff;
                if self.tunnels.is_empty() {
                    self.vlan = Some(tag);
                }
                self.typed(part.u16(2).ok_or(CUT)?, part.skip(4).ok_or(CUT)?)
            }
            _ if kind::MPLS.contains(&announced) => self.mpls(part),
            // Version, type, code, session, length.
            kind::PPPOE_SESSION => self.ppp(part.skip(6).ok_or(CUT)?),
            kind::PPP => self.ppp(part),
            kind::BRIDGED => self.ethernet(part),
            kind::BACKBONE => self.ethernet(part.skip(4).ok_or(CUT)?),
            kind::FABRIC_PATH => self.ethernet(part.skip(2).ok_or(CUT)?),
            _ if announced < kind::SMALLEST => {
                // 802.3 pads like Ethernet II does, and its type field is the length.
                let raw = kind::COOKED_802.contains(&announced);
                self.logical(if raw { part } else { part.limit(usize::from(announced)) })
            }
            _ => Err(NOT_IP),
        }
    }

    /// LLC, of which only SNAP carries IP today.
    pub(super) fn logical<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        self.step()?;
        match part.head::<8>() {
            Some([0xaa, 0xaa, 3, _, _, _, high, low]) => {
                self.typed(u16::from_be_bytes([*high, *low]), part.skip(8).ok_or(CUT)?)
            }
            // IP's own service access point.
            Some([6, 6, 3, ..]) => self.ip(part.skip(3).ok_or(CUT)?),
            Some(_) => Err(NOT_IP),
            None => Err(CUT),
        }
    }

    /// A label stack. What it carries is not announced: by the first nibble an IP packet, or Ethernet behind a control
    /// word of zeroes, or Ethernet at once (RFC 4928 on why the nibble can be looked at).
    pub(super) fn mpls<'a>(&mut self, mut part: Part<'a>) -> Found<'a> {
        self.step()?;
        for _ in 0..16 {
            let label = part.u32(0).ok_or(CUT)?;
            part = part.skip(4).ok_or(CUT)?;
            if label & 0x100 == 0 {
                continue;
            }
            let first = part.byte(0).ok_or(CUT)? >> 4;
            let direct = if first == 0 {
                part.skip(4).and_then(|frame| self.attempt(|walk| walk.ethernet(frame)))
            } else {
                self.attempt(|walk| walk.strict_ip(part))
            };
            return direct.map_or_else(|| self.ethernet(part), Ok);
        }
        Err(NOT_IP)
    }

    pub(super) fn ppp<'a>(&mut self, mut part: Part<'a>) -> Found<'a> {
        self.step()?;
        if part.head() == Some(&[0xff, 3]) {
            part = part.skip(2).ok_or(CUT)?;
        }
        // The protocol field may be compressed to its odd second byte.
        let (protocol, length) = match part.byte(0).ok_or(CUT)? {
            odd if odd & 1 == 1 => (u16::from(odd), 1),
            _ => (part.u16(0).ok_or(CUT)?, 2),
        };
        let rest = part.skip(length).ok_or(CUT)?;
        match protocol {
            0x21 | 0x57 => self.ip(rest),
            0x281 | 0x283 => self.mpls(rest),
            _ => Err(NOT_IP),
        }
    }

    /// A data frame of 802.11 that is not encrypted.
    pub(super) fn wifi<'a>(&mut self, part: Part<'a>) -> Found<'a> {
        self.step()?;
        let [control, flags] = *part.head().ok_or(CUT)?;
        let (data, subtype) = (control & 0x0c == 0x08, control >> 4);
        // Subtypes with bit 2 carry no data; the protected flag means that it cannot be read.
        if control & 3 != 0 || !data || subtype & 4 != 0 || flags & 0x40 != 0 {
            return Err(NOT_IP);
        }
        let mut header = if flags & 3 == 3 { 30 } else { 24 };
        let mut aggregate = false;
        if subtype & 8 != 0 {
            aggregate = part.byte(header).ok_or(CUT)? & 0x80 != 0;
            // The order bit of a frame with quality of service announces four more bytes.
            header += if flags & 0x80 != 0 { 6 } else { 2 };
        }
        // Of an aggregate the first frame is looked at: two addresses and a length stand before it.
        header += if aggregate { 14 } else { 0 };
        self.logical(part.skip(header).ok_or(CUT)?)
    }
}
