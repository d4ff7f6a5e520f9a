//! Frames made for the purpose; captured ones are in `tests/conformance`.

use proptest::prelude::*;

use super::*;

pub(crate) fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let total = (20 + body.len()) as u16;
    let mut packet = vec![0x45, 0, (total >> 8) as u8, total as u8, 0, 7, 0, 0, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(body);
    packet
}

fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, (body.len() >> 8) as u8, body.len() as u8, next, 64];
    packet.extend("2001:db8::1".parse::<Ip>().unwrap().to_bytes());
    packet.extend("2001:db8::2".parse::<Ip>().unwrap().to_bytes());
    packet.extend(body);
    packet
}

pub(crate) fn udp(from: u16, to: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    for word in [from, to, 8 + body.len() as u16, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(body);
    packet
}

fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    [&ports[..], &[0; 8], &[0x50, flags], &[0; 6]].concat()
}

pub(crate) fn ether(kind: u16, body: &[u8]) -> Vec<u8> {
    [&[2_u8; 12][..], &kind.to_be_bytes(), body].concat()
}

/// The packet that tunnels carry in these tests.
fn inner() -> Vec<u8> {
    let mut packet = ipv4(6, &tcp(50_000, 443, 0x12));
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    packet
}

#[track_caller]
fn is_inner(frame: &Frame<'_>) {
    let Packet { src, dst, protocol, selector, tcp_flags, length, .. } = frame.packet;
    assert_eq!((src.to_string(), dst.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    assert_eq!((protocol, selector), (6, Selector::Ports(50_000, 443)));
    assert_eq!((tcp_flags, length), (Some(0x12), 40));
}

#[test]
fn every_link_type_gives_the_payload() {
    let packet = ipv4(17, &udp(40_000, 2_055, b"hello"));
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet].concat();
    let behind = |header: &[u8]| [header, &packet].concat();
    let cases: Vec<(i32, Vec<u8>)> = vec![
        (1, ether(0x0800, &packet)),
        (1, ether(0x8100, &behind(&[0, 7, 8, 0]))),
        (1, ether(0x88a8, &behind(&[0, 7, 0x81, 0, 0, 9, 8, 0]))),
        // Ethernet pads short frames; the padding is not payload.
        (1, [ether(0x0800, &packet), vec![0; 13]].concat()),
        (1, ether(snap.len() as u16, &snap)),
        // MPLS with two labels, and as a pseudowire with and without its control word.
        (1, ether(0x8847, &behind(&[0, 1, 0, 64, 0, 2, 1, 64]))),
        (1, ether(0x8847, &[&[0, 1, 1, 64, 0, 0, 0, 9][..], &ether(0x0800, &packet)].concat())),
        (1, ether(0x8847, &[&[0, 1, 1, 64][..], &ether(0x0800, &packet)].concat())),
        (1, ether(0x8864, &behind(&[0x11, 0, 0, 1, 0, 35, 0, 0x21]))),
        (1, ether(0x88e7, &[&[0; 4][..], &ether(0x0800, &packet)].concat())),
        (9, behind(&[0, 0x21])),
        (9, behind(&[0xff, 3, 0x21])),
        (50, behind(&[0xff, 3, 0, 0x21])),
        (104, behind(&[0x0f, 0, 8, 0])),
        (101, packet.clone()),
        (0, behind(&[2, 0, 0, 0])),
        (108, behind(&[0, 0, 0, 2])),
        (113, behind(&[&[0_u8; 14][..], &[8, 0]].concat())),
        (276, behind(&[&[8, 0][..], &[0_u8; 18]].concat())),
        (105, [&[8, 1][..], &[0; 22], &snap].concat()),
        (127, [&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0x88, 1][..], &[0; 24], &snap].concat()),
        (219, behind(&[0, 1, 1, 64])),
    ];
    let sender = Sender { ip: "192.0.2.1".parse().unwrap(), port: 40_000 };
    for (link, frame) in cases {
        let expected = Datagram::Udp { sender, port: 2_055, payload: b"hello" };
        assert_eq!(datagram(link, &frame), expected, "link type {link}: {frame:02x?}");
    }
    assert_eq!(datagram(147, &packet), Datagram::Other(LINK));
    assert_eq!(datagram(1, &ether(0x0806, &[0; 28])), Datagram::Other(NOT_IP));
}

#[test]
fn ipv6_extension_headers_are_skipped() {
    let behind = [&[17, 0, 0, 0, 0, 0, 0, 0][..], &udp(40_000, 2_055, b"six")].concat();
    let mut packet = ipv6(0, &behind);
    let sender = Sender { ip: "2001:db8::1".parse().unwrap(), port: 40_000 };
    assert_eq!(datagram(229, &packet), Datagram::Udp { sender, port: 2_055, payload: b"six" });
    packet[6] = 44;
    // A fragment header that announces the only fragment there is (RFC 6946).
    assert_eq!(datagram(229, &packet), Datagram::Udp { sender, port: 2_055, payload: b"six" });
    packet[43] = 1;
    assert_eq!(datagram(229, &packet), Datagram::Other(FRAGMENT));
    packet[6] = 51;
    packet[41] = 0;
    assert_eq!(datagram(229, &packet), Datagram::Udp { sender, port: 2_055, payload: b"six" });
}

#[test]
fn what_is_not_a_datagram_says_why() {
    let whole = ipv4(17, &udp(40_000, 2_055, b"hello"));
    let mut fragment = whole.clone();
    fragment[6] = 0x20;
    assert_eq!(datagram(101, &fragment), Datagram::Other(FRAGMENT));
    let mut tcp = whole.clone();
    tcp[9] = 6;
    assert_eq!(datagram(101, &tcp), Datagram::Other(NOT_UDP));
    for length in 0..whole.len() {
        assert_eq!(datagram(101, &whole[..length]), Datagram::Other(CUT), "{length} bytes");
    }
}

#[test]
fn fragments_have_ports_in_the_first_alone() {
    let mut packet = ipv4(17, &udp(40_000, 53, &[0; 100]));
    packet[6] = 0x20;
    let first = dissect(Link::Ip, &packet, packet.len()).unwrap();
    assert_eq!(first.packet.selector, Selector::Ports(40_000, 53));
    let key = first.fragment.unwrap();
    assert!(key.first && key.key.id == 7);
    packet[7] = 1;
    let later = dissect(Link::Ip, &packet, packet.len()).unwrap();
    assert_eq!(later.packet.selector, Selector::Absent);
    assert_eq!(later.fragment, Some(Fragment { first: false, ..key }));
    let packet = ipv6(44, &[&[17, 0, 0, 9, 0, 0, 0, 5][..], &[0; 32]].concat());
    let later = dissect(Link::Ip, &packet, packet.len()).unwrap();
    assert_eq!((later.packet.protocol, later.packet.selector), (17, Selector::Absent));
    assert_eq!(later.fragment.map(|fragment| (fragment.first, fragment.key.id)), Some((false, 5)));
}

/// Every tunnel around [`inner`], and what it is called.
fn tunnelled() -> Vec<(&'static str, Vec<u8>)> {
    let frame = ether(0x0800, &inner());
    let over = |to: u16, header: &[u8], body: &[u8]| ipv4(17, &udp(50_001, to, &[header, body].concat()));
    let gre = |header: &[u8], body: &[u8]| ipv4(47, &[header, body].concat());
    vec![
        ("vxlan 9", over(4789, &[8, 0, 0, 0, 0, 0, 9, 0], &frame)),
        (
            "vxlan 9",
            over(8472, &[8, 0, 0, 0, 0, 0, 9, 0], &ether(0x8100, &[&[0, 5, 8, 0][..], &inner()].concat())),
        ),
        ("vxlan 9", over(4790, &[12, 0, 0, 1, 0, 0, 9, 0], &inner())),
        ("geneve 9", over(6081, &[1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 0], &frame)),
        ("geneve 9", over(6081, &[0, 0, 8, 0, 0, 0, 9, 0], &inner())),
        ("gre", gre(&[0, 0, 8, 0], &inner())),
        ("gre 7", gre(&[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], &frame)),
        ("gre", over(4754, &[0, 0, 8, 0], &inner())),
        ("gre 3", gre(&[0x30, 0x81, 0x88, 0x0b, 0, 42, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x21], &inner())),
        ("erspan", gre(&[0, 0, 0x88, 0xbe], &frame)),
        ("erspan 5", gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 5, 0, 0, 0, 0], &frame)),
        ("erspan 5", gre(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 5][..], &[0; 8]].concat(), &frame)),
        ("ip-in-ip", ipv4(4, &inner())),
        ("etherip", ipv4(97, &[&[0x30, 0][..], &frame].concat())),
        ("mpls-in-ip", ipv4(137, &[&[0, 1, 1, 64][..], &inner()].concat())),
        ("mpls-in-udp", over(6635, &[0, 1, 1, 64], &inner())),
        ("gtp-u 6", over(2152, &[0x30, 255, 0, 40, 0, 0, 0, 6], &inner())),
        ("gtp-u 6", over(2152, &[0x34, 255, 0, 48, 0, 0, 0, 6, 0, 0, 0, 0x85, 1, 0, 0, 0], &inner())),
        ("ayiya", over(5072, &[&[0x40, 0x50, 0x01, 4][..], &[0; 40]].concat(), &inner())),
    ]
}

#[test]
fn tunnels_are_looked_into_and_named() {
    for (name, packet) in tunnelled() {
        let frame = dissect(Link::Ip, &packet, packet.len()).unwrap();
        is_inner(&frame);
        let names: Vec<String> = frame.tunnels.iter().map(ToString::to_string).collect();
        assert_eq!(names, [format!("{name} 192.0.2.1 > 192.0.2.2")]);
    }
    let six = ipv6(17, &udp(1, 2, b"x"));
    let teredo = ipv4(17, &udp(3544, 40_000, &[&[0, 0, 1, 2, 3, 4, 5, 6][..], &six].concat()));
    let mut peers = six.clone();
    peers[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    let direct = ipv4(17, &udp(40_001, 40_000, &peers));
    let frame = dissect(Link::Ip, &direct, direct.len()).unwrap();
    assert_eq!((frame.packet.src.to_string(), frame.tunnels[0].kind), ("2001::1".to_owned(), "teredo"));
    for (name, packet) in [("6in4", ipv4(41, &six)), ("teredo", teredo)] {
        let frame = dissect(Link::Ip, &packet, packet.len()).unwrap();
        assert_eq!(frame.packet.src.to_string(), "2001:db8::1");
        assert_eq!(frame.tunnels[0].kind, name);
    }
}

#[test]
fn what_is_no_tunnel_is_an_ordinary_packet() {
    for (_, mut packet) in tunnelled() {
        // The last header inside no longer announces or is IP.
        let at = packet.len() - 40;
        packet[at] = 0x15;
        let frame = dissect(Link::Ip, &packet, packet.len()).unwrap();
        assert_eq!(frame.packet.src.to_string(), "192.0.2.1", "{packet:02x?}");
        assert_eq!((frame.tunnels, frame.vlan), (vec![], None));
    }
    let dns = ipv4(17, &udp(53, 4789, b"\x12\x34\x81\x80 an answer to the port of VXLAN"));
    assert!(dissect(Link::Ip, &dns, dns.len()).unwrap().tunnels.is_empty());
}

#[test]
fn vlans_and_stated_lengths() {
    let tagged = ether(0x88a8, &[&[0xe0, 7, 0x81, 0, 0, 9, 8, 0][..], &inner()].concat());
    let frame = dissect(Link::Ethernet, &tagged[..22 + 24], 1_500).unwrap();
    assert_eq!(frame.vlan, Some(9));
    assert_eq!((frame.packet.selector, frame.packet.tcp_flags), (Selector::Ports(50_000, 443), None));
    // Segmentation offload leaves a length of 0: the frame's own counts.
    let mut packet = inner();
    packet[2..4].fill(0);
    assert_eq!(dissect(Link::Ip, &packet, 9_000).unwrap().packet.length, 9_000);
}

#[test]
fn nesting_is_bounded() {
    let mut packet = inner();
    for _ in 0..5 {
        packet = ipv4(4, &packet);
    }
    assert_eq!(dissect(Link::Ip, &packet, packet.len()).unwrap().tunnels.len(), 5);
    for _ in 0..100 {
        packet = ipv4(4, &packet);
    }
    assert!(dissect(Link::Ip, &packet, packet.len()).unwrap().tunnels.len() < usize::from(STEPS));
    let tags = [0x81, 0, 0, 1].repeat(200);
    assert_eq!(dissect(Link::Ethernet, &[&[0; 12][..], &tags].concat(), 0), Err(NESTED));
}

const LINKS: [Link; 10] = [
    Link::Ethernet,
    Link::Ip,
    Link::Loopback,
    Link::Cooked,
    Link::Cooked2,
    Link::Ppp,
    Link::CiscoHdlc,
    Link::Wifi,
    Link::Radiotap,
    Link::Mpls,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), wire in 0_usize..3_000) {
        for link in LINKS {
            let _ = dissect(link, &bytes, wire);
        }
    }

    #[test]
    fn damaged_tunnels_are_taken_without_panic(
        which in 0_usize..19,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        wire in 0_usize..3_000,
    ) {
        let mut bytes = tunnelled()[which].1.clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = &bytes[..=cut.index(bytes.len())];
        if let Ok(frame) = dissect(Link::Ip, bytes, wire) {
            assert!(frame.tunnels.len() < usize::from(STEPS));
        }
    }
}
