//! Captures made for the purpose; real ones are in `tests/conformance`.

use std::io::Cursor;

use model::{Client, Flow, FlowBatch};

use super::*;
use crate::frame::tests::{ether, ipv4, udp};

/// A capture of packets that begin with their IP header, by seconds after 1600000000.
pub(crate) fn capture_of(packets: &[(f64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (at, packet) in packets {
        let micros = (at * 1e6).round() as u64;
        let length = packet.len() as u32;
        for word in [1_600_000_000 + (micros / 1_000_000) as u32, (micros % 1_000_000) as u32, length, length]
        {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A TCP packet without payload between 10.0.0.`from` and 10.0.0.`to`.
fn tcp(from: (u8, u16), to: (u8, u16), flags: u8) -> Vec<u8> {
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    between(from.0, to.0, ipv4(6, &[&ports[..], &[0; 8], &[0x50, flags], &[0; 6]].concat()))
}

fn between(from: u8, to: u8, mut packet: Vec<u8>) -> Vec<u8> {
    packet[12..20].copy_from_slice(&[10, 0, 0, from, 10, 0, 0, to]);
    packet
}

/// One flow, for tests that want any.
pub(crate) fn sample_capture() -> Vec<u8> {
    let (client, server) = ((1, 50_000), (2, 443));
    capture_of(&[
        (0.0, tcp(client, server, SYN)),
        (0.1, tcp(server, client, SYN | ACK)),
        (0.2, tcp(client, server, ACK)),
    ])
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

fn read_with(bytes: Vec<u8>, limit: usize, timeouts: Timeouts) -> (FlowBatch, Summary, Option<IntakeError>) {
    let (reader, ledger) = Input::new("x", Cursor::new(bytes)).into_parts();
    let capture = Capture::new(Window::new(reader), "x".into()).unwrap();
    let mut reader = Reader::new(capture, ledger, Table::new(limit, timeouts));
    let mut batch = FlowBatch::new(SOURCE.name);
    loop {
        match reader.read(&mut batch) {
            Ok(true) => {}
            Ok(false) => return (batch, reader.summary().clone(), None),
            Err(error) => return (batch, reader.summary().clone(), Some(error)),
        }
    }
}

fn flows(packets: &[(f64, Vec<u8>)]) -> Vec<Flow> {
    let (batch, summary, error) = read_with(capture_of(packets), 1_000, Timeouts::default());
    assert!(error.is_none() && summary.dropped.is_empty(), "{error:?} {:?}", summary.dropped);
    (0..batch.len()).map(|row| batch.get(row)).collect()
}

/// Packets there and back of each flow.
fn counts(flows: &[Flow]) -> Vec<(u64, u64)> {
    flows.iter().map(|flow| (flow.packets, flow.reverse_packets)).collect()
}

#[test]
fn both_directions_are_one_flow_and_the_handshake_names_the_client() {
    let (client, server) = ((9, 50_000), (2, 443));
    let found = flows(&[
        (0.0, tcp(client, server, SYN)),
        (0.1, tcp(server, client, SYN | ACK)),
        (0.25, tcp(client, server, ACK)),
    ]);
    let flow = &found[0];
    assert_eq!((found.len(), counts(&found)), (1, vec![(2, 1)]));
    assert_eq!((flow.src.to_string(), flow.src_port, flow.dst_port), ("10.0.0.9".into(), 50_000, 443));
    assert_eq!((flow.start, flow.end), (1_600_000_000_000_000, 1_600_000_000_250_000));
    assert_eq!((flow.bytes, flow.reverse_bytes, flow.tcp_flags), (80, 40, SYN | ACK));
    assert_eq!((flow.client, flow.client_confidence), (Client::Src, 0.99));
    // The answer alone tells who asked; data alone tells nothing; both asking neither.
    let answered = flows(&[(0.0, tcp(server, client, SYN | ACK)), (0.1, tcp(client, server, ACK))]);
    assert_eq!((answered[0].src_port, answered[0].client), (443, Client::Dst));
    let middle = flows(&[(0.0, tcp(server, client, ACK)), (0.1, tcp(client, server, ACK))]);
    assert_eq!((middle[0].client, middle[0].client_confidence), (Client::Unknown, 0.0));
    let both = flows(&[(0.0, tcp(server, client, SYN)), (0.1, tcp(client, server, SYN))]);
    assert_eq!(both[0].client, Client::Unknown);
}

#[test]
fn flows_end_with_their_connection_with_silence_and_every_half_hour() {
    let (client, server) = ((9, 50_000), (2, 443));
    let open = |at| (at, tcp(client, server, SYN));
    let close = [
        (1.0, tcp(client, server, FIN | ACK)),
        (1.1, tcp(server, client, FIN | ACK)),
        (1.2, tcp(client, server, ACK)),
    ];
    let again = flows(&[&[open(0.0)][..], &close, &[open(2.0)]].concat());
    assert_eq!(counts(&again), [(3, 1), (1, 0)]);
    // A SYN sent again does not begin another connection.
    assert_eq!(counts(&flows(&[open(0.0), open(3.0)])), [(2, 0)]);
    assert_eq!(counts(&flows(&[open(0.0), open(299.0), open(600.0)])), [(2, 0), (1, 0)]);
    let dns = |at| (at, between(1, 2, ipv4(17, &udp(5_353, 53, b"?"))));
    assert_eq!(counts(&flows(&[dns(0.0), dns(60.0), dns(121.0)])), [(2, 0), (1, 0)]);
    let long: Vec<_> = (0..=40).map(|minute| (f64::from(minute * 100), tcp(client, server, ACK))).collect();
    let pieces = flows(&[&[open(0.0)][..], &long].concat());
    assert_eq!(counts(&pieces), [(19, 0), (18, 0), (5, 0)]);
    assert!(pieces.iter().all(|piece| piece.client == Client::Src), "all pieces know their client");
    assert_eq!(pieces[1].start - pieces[0].start, 1_800_000_000);
}

#[test]
fn icmp_answers_belong_to_their_questions() {
    let icmp = |from, to, kind: u8| between(from, to, ipv4(1, &[kind, 0, 0, 0, 0, 1, 0, 1]));
    let found = flows(&[(0.0, icmp(1, 2, 8)), (0.1, icmp(2, 1, 0)), (0.2, icmp(2, 1, 3))]);
    assert_eq!(counts(&found), [(1, 1), (1, 0)]);
    assert_eq!((found[0].dst_port, found[1].dst_port), (8 << 8, 3 << 8));
    assert_eq!(found[0].present & FlowBatch::HAS_ICMP, FlowBatch::HAS_ICMP);
}

#[test]
fn fragments_count_in_their_packets_flow() {
    let piece = |id: u8, offset: u8, more: bool, body: &[u8]| {
        let mut packet = between(1, 2, ipv4(17, body));
        (packet[5], packet[6], packet[7]) = (id, if more { 0x20 } else { 0 }, offset);
        packet
    };
    let whole = udp(5_000, 53, &[0; 40]);
    let found = flows(&[
        (0.0, piece(1, 0, true, &whole[..24])),
        (0.1, piece(1, 3, false, &whole[24..])),
        // Its first fragment never comes.
        (0.2, piece(2, 3, false, &whole[24..])),
    ]);
    assert_eq!(counts(&found), [(2, 0), (1, 0)]);
    assert_eq!((found[0].dst_port, found[0].bytes), (53, 44 + 44));
    assert_eq!(found[1].present & FlowBatch::HAS_PORTS, 0);
}

#[test]
fn the_innermost_packet_is_the_flow_and_its_tunnel_is_named() {
    let inner = ether(0x0800, &tcp((9, 50_000), (2, 443), SYN));
    let mut first =
        between(7, 8, ipv4(17, &udp(40_000, 4_789, &[&[8, 0, 0, 0, 0, 0, 9, 0][..], &inner].concat())));
    first[6] = 0x20;
    let mut later = between(7, 8, ipv4(17, &[0; 24]));
    (later[6], later[7]) = (0, 9);
    let (batch, summary, _) = read_with(capture_of(&[(0.0, first), (0.1, later)]), 10, Timeouts::default());
    assert_eq!((batch.len(), batch.dst_port[0], batch.packets[0], batch.bytes[0]), (1, 443, 1, 40));
    assert_eq!(batch.details[&0].tunnel.as_deref(), Some("vxlan 9 10.0.0.7 > 10.0.0.8"));
    assert_eq!(summary.dropped[IN_TUNNEL].count, 1);
}

#[test]
fn a_full_table_hands_flows_out_early_and_loses_none() {
    let packets: Vec<_> =
        (0..100_u16).map(|port| (f64::from(port), tcp((1, 1_000 + port % 20), (2, 80), ACK))).collect();
    let (batch, summary, _) = read_with(capture_of(&packets), 5, Timeouts::default());
    assert_eq!(batch.packets.iter().sum::<u64>(), 100);
    assert_eq!(batch.len() as u64, 100, "a port comes again when its flow has made room");
    assert_eq!(summary.dropped[EARLY].count, 95);
    assert_eq!(summary.coverage().total().lost.count, 0);
}

#[test]
fn damage_comes_after_the_flows_before_it() {
    let mut bytes = sample_capture();
    bytes.extend([1, 2, 3]);
    let (batch, _, error) = read_with(bytes, 10, Timeouts::default());
    assert_eq!(batch.len(), 1);
    let text = error.unwrap().to_string();
    assert!(text.contains("cut off at byte") && text.ends_with("the flow before it was kept"), "{text}");
}

#[test]
fn what_is_no_traffic_between_hosts_is_counted() {
    let mut file = capture_of(&[]);
    file[20] = 1;
    let arp = ether(0x0806, &[0; 28]);
    for frame in [&arp[..], &arp[..10]] {
        for word in [1_600_000_000, 0, frame.len() as u32, 42] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    let (batch, summary, error) = read_with(file, 10, Timeouts::default());
    assert!(batch.is_empty() && error.is_none());
    assert_eq!(summary.dropped["frame is not ip"].count, 1);
    assert_eq!(summary.coverage().total().lost.count, 1);
}
