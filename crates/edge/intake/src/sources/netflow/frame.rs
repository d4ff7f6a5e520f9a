//! A captured frame down to its UDP payload.

use netset::Ip;

use super::decoder::Sender;

/// What a captured frame turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Frame<'a> {
    /// A UDP datagram, whole.
    Udp {
        /// Who sent it.
        sender: Sender,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Something else, and why it is not used.
    Other(&'static str),
}

/// IP fragments are not put together: an exporter's datagram fits its network, or the exporter is set up wrongly.
pub(super) const FRAGMENT: &str = "ip fragment";
const NOT_UDP: &str = "packet is not udp";
const NOT_IP: &str = "frame is not ip";
const CUT: &str = "packet cut by the capture's snap length";
const LINK: &str = "link type is not supported";

/// Unwraps a frame of a capture's link type (`LINKTYPE_*` of the pcap format).
pub(super) fn unwrap(link: i32, frame: &[u8]) -> Frame<'_> {
    match link {
        1 => ethernet(frame),
        // RAW in its three numberings, IPV4, IPV6.
        12 | 14 | 101 | 228 | 229 => ip(frame),
        // NULL and LOOP: four bytes of address family, which the IP version repeats.
        0 | 108 => frame.get(4..).map_or(Frame::Other(CUT), ip),
        // SLL and SLL2: Linux "any" captures.
        113 => tagged(frame, 14, 16),
        276 => tagged(frame, 0, 20),
        _ => Frame::Other(LINK),
    }
}

fn ethernet(frame: &[u8]) -> Frame<'_> {
    tagged(frame, 12, 14)
}

/// An Ethernet type at one offset and what it announces at another, VLAN tags between them skipped.
fn tagged(frame: &[u8], type_at: usize, mut payload_at: usize) -> Frame<'_> {
    let Some(mut kind) = u16_at(frame, type_at) else { return Frame::Other(CUT) };
    // 802.1Q, 802.1ad and the older Q-in-Q number; a frame has few of them, so the loop is short.
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        let Some(inner) = u16_at(frame, payload_at + 2) else { return Frame::Other(CUT) };
        kind = inner;
        payload_at += 4;
    }
    match kind {
        0x0800 | 0x86dd => frame.get(payload_at..).map_or(Frame::Other(CUT), ip),
        _ => Frame::Other(NOT_IP),
    }
}

fn ip(packet: &[u8]) -> Frame<'_> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => ipv4(packet),
        Some(6) => ipv6(packet),
        Some(_) => Frame::Other(NOT_IP),
        None => Frame::Other(CUT),
    }
}

fn ipv4(packet: &[u8]) -> Frame<'_> {
    let Some(header) = packet.first_chunk::<20>() else { return Frame::Other(CUT) };
    let length = usize::from(header[0] & 15) * 4;
    if length < 20 {
        return Frame::Other(NOT_IP);
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // More fragments follow, or this is not the first.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Frame::Other(FRAGMENT);
    }
    if header[9] != 17 {
        return Frame::Other(NOT_UDP);
    }
    let ip = Ip::v4(u32::from_be_bytes([header[12], header[13], header[14], header[15]]));
    // A total length of 0 is what segmentation offload leaves: the frame's length counts then.
    let end = if total == 0 { packet.len() } else { total };
    udp(ip, packet.get(length..end))
}

fn ipv6(packet: &[u8]) -> Frame<'_> {
    let Some(header) = packet.first_chunk::<40>() else { return Frame::Other(CUT) };
    let mut from = [0; 16];
    from.copy_from_slice(&header[8..24]);
    let end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (mut next, mut at) = (header[6], 40);
    // Hop-by-hop, routing and destination options; nobody sends more than a few.
    for _ in 0..8 {
        match next {
            17 => return udp(Ip::from_bytes(from), packet.get(at..end)),
            44 => return Frame::Other(FRAGMENT),
            0 | 43 | 60 => {
                let Some([following, length]) = packet.get(at..).and_then(|rest| rest.first_chunk::<2>())
                else {
                    return Frame::Other(CUT);
                };
                next = *following;
                at += (usize::from(*length) + 1) * 8;
            }
            _ => return Frame::Other(NOT_UDP),
        }
    }
    Frame::Other(NOT_UDP)
}

fn udp(ip: Ip, segment: Option<&[u8]>) -> Frame<'_> {
    let Some(segment) = segment else { return Frame::Other(CUT) };
    let (Some(port), Some(length)) = (u16_at(segment, 0), u16_at(segment, 4)) else {
        return Frame::Other(CUT);
    };
    let end = if length == 0 { segment.len() } else { usize::from(length) };
    match segment.get(8..end) {
        Some(payload) => Frame::Udp { sender: Sender { ip, port }, payload },
        None => Frame::Other(CUT),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(payload: &[u8]) -> Vec<u8> {
        let total = (28 + payload.len()) as u16;
        let mut packet = vec![
            0x45,
            0,
            (total >> 8) as u8,
            total as u8,
            0,
            0,
            0,
            0,
            64,
            17,
            0,
            0,
            192,
            0,
            2,
            1,
            192,
            0,
            2,
            2,
        ];
        packet.extend(40_000_u16.to_be_bytes());
        packet.extend(2_055_u16.to_be_bytes());
        packet.extend((8 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        packet
    }

    fn wrapped(header: &[u8], packet: &[u8]) -> Vec<u8> {
        [header, packet].concat()
    }

    #[test]
    fn every_link_type_gives_the_payload() {
        let packet = datagram(b"hello");
        let ether = [0_u8; 12];
        let cases: Vec<(i32, Vec<u8>)> = vec![
            (1, wrapped(&[&ether[..], &[8, 0]].concat(), &packet)),
            (1, wrapped(&[&ether[..], &[0x81, 0, 0, 7, 8, 0]].concat(), &packet)),
            (1, wrapped(&[&ether[..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 8, 0]].concat(), &packet)),
            (101, packet.clone()),
            (0, wrapped(&[2, 0, 0, 0], &packet)),
            (108, wrapped(&[0, 0, 0, 2], &packet)),
            (113, wrapped(&[&[0_u8; 14][..], &[8, 0]].concat(), &packet)),
            (276, wrapped(&[&[8, 0][..], &[0_u8; 18]].concat(), &packet)),
            // Ethernet pads short frames; the padding is not payload.
            (1, [&ether[..], &[8, 0], &packet, &[0; 13]].concat()),
        ];
        let sender = Sender { ip: "192.0.2.1".parse().unwrap(), port: 40_000 };
        for (link, frame) in cases {
            assert_eq!(unwrap(link, &frame), Frame::Udp { sender, payload: b"hello" }, "link type {link}");
        }
        assert_eq!(unwrap(147, &packet), Frame::Other(LINK));
    }

    #[test]
    fn ipv6_extension_headers_are_skipped() {
        let udp = &datagram(b"six")[20..];
        let mut packet = vec![0x60, 0, 0, 0, 0, (8 + udp.len()) as u8, 0, 64];
        packet.extend("2001:db8::1".parse::<Ip>().unwrap().to_bytes());
        packet.extend("2001:db8::2".parse::<Ip>().unwrap().to_bytes());
        packet.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(udp);
        let sender = Sender { ip: "2001:db8::1".parse().unwrap(), port: 40_000 };
        assert_eq!(unwrap(229, &packet), Frame::Udp { sender, payload: b"six" });
        packet[6] = 44;
        assert_eq!(unwrap(229, &packet), Frame::Other(FRAGMENT));
    }

    #[test]
    fn what_is_not_a_datagram_says_why() {
        let whole = datagram(b"hello");
        let mut fragment = whole.clone();
        fragment[6] = 0x20;
        assert_eq!(unwrap(101, &fragment), Frame::Other(FRAGMENT));
        let mut tcp = whole.clone();
        tcp[9] = 6;
        assert_eq!(unwrap(101, &tcp), Frame::Other(NOT_UDP));
        for length in 0..whole.len() {
            assert_eq!(unwrap(101, &whole[..length]), Frame::Other(CUT), "{length} bytes");
        }
    }
}
