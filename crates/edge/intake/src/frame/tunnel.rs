//! Tunnels that are looked into.

use std::fmt;

use netset::Ip;

use super::{CUT, NOT_IP, Packet, Part, Selector, Walk};

/// A tunnel that carried a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// Its protocol, in small letters.
    pub(crate) kind: &'static str,
    /// The network identifier, key, session or tunnel endpoint identifier, where the protocol has one.
    pub(crate) id: Option<u32>,
    /// Who sent the carrying packet.
    pub(crate) src: Ip,
    /// To whom.
    pub(crate) dst: Ip,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        write!(f, " {} > {}", self.src, self.dst)
    }
}

impl Tunnel {
    /// Several tunnels inside each other, outermost first, in one text.
    pub(crate) fn names(tunnels: &[Self]) -> String {
        tunnels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

type Found<'a> = Result<Packet<'a>, &'static str>;

impl Walk {
    /// The packet inside a tunnel's packet, if it is one.
    pub(super) fn tunnel<'a>(&mut self, outer: &Packet<'a>) -> Option<Packet<'a>> {
        let part = outer.payload;
        match (outer.protocol, outer.selector) {
            (4 | 41, _) => {
                let kind = if outer.protocol == 41 && outer.src.is_v4() { "6in4" } else { "ip-in-ip" };
                self.enter(outer, kind, None, |walk| walk.ip(part))
            }
            (47, _) => self.gre(outer, part),
            // EtherIP: two bytes of version.
            (97, _) => {
                part.skip(2).and_then(|frame| self.enter(outer, "etherip", None, |w| w.ethernet(frame)))
            }
            (137, _) => self.enter(outer, "mpls-in-ip", None, |walk| walk.mpls(part)),
            (17, Selector::Ports(from, to)) => self.datagram(outer, part, from, to),
            _ => None,
        }
    }

    fn datagram<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>, from: u16, to: u16) -> Option<Packet<'a>> {
        match (from, to) {
            // The registered port, and the one that Linux used before there was one.
            (_, 4789 | 8472) => self.vxlan(outer, part, false),
            (_, 4790) => self.vxlan(outer, part, true),
            (_, 6081) => self.geneve(outer, part),
            (_, 4754) => self.gre(outer, part),
            (_, 6635) => self.enter(outer, "mpls-in-udp", None, |walk| walk.mpls(part)),
            (2152, _) | (_, 2152) => self.gtp(outer, part),
            (3544, _) | (_, 3544) => self.teredo(outer, part),
            (5072, _) | (_, 5072) => self.ayiya(outer, part),
            // Teredo's peers talk to each other from any port, once they have met.
            _ if is_teredo(part) => self.enter(outer, "teredo", None, |walk| walk.strict_ip(part)),
            _ => None,
        }
    }

    /// Reads on inside a tunnel, whose name stays only if there is a packet inside.
    fn enter<'a>(
        &mut self,
        outer: &Packet<'a>,
        kind: &'static str,
        id: Option<u32>,
        inwards: impl FnOnce(&mut Self) -> Found<'a>,
    ) -> Option<Packet<'a>> {
        self.attempt(|walk| {
            walk.step()?;
            walk.tunnels.push(Tunnel { kind, id, src: outer.src, dst: outer.dst });
            inwards(walk)
        })
    }

    /// VXLAN (RFC 7348) and its generic protocol extension.
    fn vxlan<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>, generic: bool) -> Option<Packet<'a>> {
        let [flags, _, _, next, a, b, c, _] = *part.head::<8>()?;
        if flags & 0x08 == 0 {
            return None;
        }
        let (id, inner) = (u32::from_be_bytes([0, a, b, c]), part.skip(8)?);
        self.enter(outer, "vxlan", Some(id), |walk| match next {
            1 | 2 if generic => walk.strict_ip(inner),
            3 if generic => walk.ethernet(inner),
            _ if generic => Err(NOT_IP),
            _ => walk.ethernet(inner),
        })
    }

    /// GENEVE (RFC 8926).
    fn geneve<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>) -> Option<Packet<'a>> {
        let [first, _, high, low, a, b, c, _] = *part.head::<8>()?;
        // Version 0, and options counted in words.
        let inner = part.skip(8 + usize::from(first & 0x3f) * 4).filter(|_| first >> 6 == 0)?;
        let id = u32::from_be_bytes([0, a, b, c]);
        self.enter(outer, "geneve", Some(id), |walk| walk.typed(u16::from_be_bytes([high, low]), inner))
    }

    /// GRE (RFC 2784, 2890), its variant for PPTP (RFC 2637), and mirrored frames in it (ERSPAN).
    fn gre<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>) -> Option<Packet<'a>> {
        let (flags, protocol) = (part.u16(0)?, part.u16(2)?);
        let (checksum, routing) = (flags & 0x8000 != 0, flags & 0x4000 != 0);
        let (keyed, numbered, version) = (flags & 0x2000 != 0, flags & 0x1000 != 0, flags & 7);
        if routing || version > 1 {
            return None;
        }
        let mut at = if checksum { 8 } else { 4 };
        let mut id = None;
        if keyed {
            // The upper half of PPTP's key is the payload's length.
            id = Some(if version == 1 { part.u32(at)? & 0xffff } else { part.u32(at)? });
            at += 4;
        }
        at += if numbered { 4 } else { 0 };
        at += if version == 1 && flags & 0x80 != 0 { 4 } else { 0 };
        let inner = part.skip(at)?;
        match protocol {
            // Version 2 of ERSPAN has 8 bytes of its own and numbers its packets, version 1 has neither.
            0x88be if numbered => {
                let session = inner.u16(2).map(|word| u32::from(word & 0x3ff));
                let inner = inner.skip(8)?;
                self.enter(outer, "erspan", session, |walk| walk.ethernet(inner))
            }
            0x88be => self.enter(outer, "erspan", id, |walk| walk.ethernet(inner)),
            // Version 3: 12 bytes, and 8 more when the last bit of them says so.
            0x22eb => {
                let session = inner.u16(2).map(|word| u32::from(word & 0x3ff));
                let inner = inner.skip(if inner.byte(11)? & 1 == 1 { 20 } else { 12 })?;
                self.enter(outer, "erspan", session, |walk| walk.ethernet(inner))
            }
            // Access points of Aruba wrap 802.11 frames, and say so with numbers of their own.
            0x8200..=0x82ff | 0x9000 => self.enter(outer, "gre", id, |walk| walk.wifi(inner)),
            _ => self.enter(outer, "gre", id, |walk| walk.typed(protocol, inner)),
        }
    }

    /// GTP-U version 1 (3GPP TS 29.281): only user data, and extension headers skipped.
    fn gtp<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>) -> Option<Packet<'a>> {
        let [flags, kind, _, _, a, b, c, d] = *part.head::<8>()?;
        // Version 1, not GTP', a G-PDU.
        if flags & 0xf0 != 0x30 || kind != 255 {
            return None;
        }
        let mut inner = part.skip(8)?;
        if flags & 7 != 0 {
            let mut next = if flags & 4 != 0 { inner.byte(3)? } else { 0 };
            inner = inner.skip(4)?;
            // A handful of extension types exist; each has its length in words first and the next type last.
            for _ in 0..8 {
                if next == 0 {
                    break;
                }
                let size = usize::from(inner.byte(0)?).max(1) * 4;
                next = inner.byte(size - 1)?;
                inner = inner.skip(size)?;
            }
        }
        let id = u32::from_be_bytes([a, b, c, d]);
        self.enter(outer, "gtp-u", Some(id), |walk| walk.strict_ip(inner))
    }

    /// Teredo (RFC 4380): authentication and origin indication, both optional, then an IPv6 packet.
    fn teredo<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>) -> Option<Packet<'a>> {
        let mut inner = part;
        if let Some([0, 1, client, secret]) = inner.head() {
            // Nonce and confirmation byte.
            inner = inner.skip(13 + usize::from(*client) + usize::from(*secret))?;
        }
        if let Some([0, 0]) = inner.head() {
            inner = inner.skip(8)?;
        }
        let inner = inner.byte(0).filter(|first| first >> 4 == 6).map(|_| inner)?;
        self.enter(outer, "teredo", None, |walk| walk.strict_ip(inner))
    }

    /// AYIYA, of the tunnel broker that was: identity and signature have stated lengths, then a protocol's packet.
    fn ayiya<'a>(&mut self, outer: &Packet<'a>, part: Part<'a>) -> Option<Packet<'a>> {
        let [identity, signature, _, next] = *part.head::<4>()?;
        let header = 8 + (1_usize << (identity >> 4).min(8)) + usize::from(signature >> 4) * 4;
        let inner = part.skip(header).filter(|_| matches!(next, 4 | 41))?;
        self.enter(outer, "ayiya", None, |walk| {
            if inner.bytes().is_empty() { Err(CUT) } else { walk.strict_ip(inner) }
        })
    }
}

/// Whether a datagram is an IPv6 packet of its very length from or to a Teredo address, 2001::/32.
fn is_teredo(part: Part<'_>) -> bool {
    let Some(header) = part.head::<40>().filter(|header| header[0] >> 4 == 6) else { return false };
    let length = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let prefix = [0x20, 1, 0, 0];
    length == part.wire() && (header[8..12] == prefix || header[24..28] == prefix)
}
