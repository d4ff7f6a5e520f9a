//! What elements and headers mean, beyond their encoding.

use super::*;

/// One IPFIX record whose fields are given with enterprise number, element and bytes.
fn ipfix_fields(fields: &[(u32, u16, &[u8])]) -> Bench {
    let mut definition = [256_u16, fields.len() as u16].map(u16::to_be_bytes).concat();
    for (enterprise, id, bytes) in fields {
        let top = if *enterprise == 0 { 0 } else { 0x8000 };
        definition.extend((id | top).to_be_bytes());
        definition.extend((bytes.len() as u16).to_be_bytes());
        if top != 0 {
            definition.extend(enterprise.to_be_bytes());
        }
    }
    let data: Vec<u8> = fields.iter().flat_map(|(.., bytes)| bytes.to_vec()).collect();
    decoded(&[ipfix(0, 0, &[set(2, &definition), set(256, &data)])])
}

const FROM: (u32, u16, &[u8]) = (0, 8, &[10, 0, 0, 1]);
const TO: (u32, u16, &[u8]) = (0, 12, &[10, 0, 0, 2]);

#[test]
fn totals_are_no_second_chance_for_what_was_added() {
    let counts = |fields: &[(u32, u16, &[u8])]| {
        let flows = ipfix_fields(&[&[FROM, TO], fields].concat()).flows;
        (flows.packets[0], flows.bytes[0], flows.reverse_bytes[0])
    };
    assert_eq!(counts(&[(0, 85, &[9]), (0, 86, &[3])]), (3, 9, 0), "totals alone are what there is");
    assert_eq!(counts(&[(0, 85, &[9]), (0, 1, &[0]), (0, 2, &[0]), (0, 86, &[3])]), (0, 0, 0));
    assert_eq!(counts(&[(0, 85, &[9]), (0, 2, &[4])]), (4, 0, 0), "and of one kind, both");
    let reverse = 29_305;
    assert_eq!(counts(&[(0, 1, &[5]), (reverse, 1, &[0]), (reverse, 85, &[9])]), (0, 5, 0));
}

#[test]
fn client_and_server_are_named_as_such() {
    let cisco = [
        (9, 12_236, &[10, 0, 0, 1][..]),
        (9, 12_237, &[10, 0, 0, 2]),
        (9, 12_240, &[0xc0, 0]),
        (9, 12_241, &[1, 187]),
        (0, 4, &[6]),
        (0, 231, &[100]),
        (0, 232, &[200]),
    ];
    let flow = ipfix_fields(&cisco).flows.get(0);
    assert_eq!((flow.src, flow.dst), (Ip::v4(0x0a00_0001), Ip::v4(0x0a00_0002)));
    assert_eq!((flow.src_port, flow.dst_port), (0xc000, 443));
    assert_eq!((flow.bytes, flow.reverse_bytes, flow.client), (100, 200, Client::Src));
    // Beside source and destination they say nothing new, least of all of those.
    let flows = ipfix_fields(&[&[FROM, TO], &cisco[..2]].concat()).flows;
    assert_eq!(flows.client, [Client::Unknown]);
}

#[test]
fn packets_shown_as_they_were_are_flows() {
    let udp = [&[0xc0, 0, 0, 53, 0, 40, 0, 0][..], &[7; 8]].concat();
    let mut packet = vec![0x45, 0, 0, 60, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend(udp);
    let ethernet = [&[2; 12][..], &[8, 0], &packet].concat();
    for (element, section) in [(315, &ethernet), (313, &packet), (104, &ethernet)] {
        let bench = ipfix_fields(&[(0, 61, &[1]), (0, element, section), (0, 34, &[100])]);
        let flow = bench.flows.get(0);
        assert_eq!((flow.src, flow.dst), (Ip::v4(0x0a00_0001), Ip::v4(0x0a00_0002)));
        assert_eq!((flow.src_port, flow.dst_port, flow.protocol), (0xc000, 53, 17));
        assert_eq!((flow.packets, flow.bytes, flow.sampling), (100, 6_000, 100));
        assert_eq!(flow.present, FlowBatch::HAS_COUNTS | FlowBatch::HAS_PORTS);
        assert_eq!(flow.start, i64::from(EXPORT_S) * 1_000_000);
        assert_eq!(flow.direction, Direction::Egress);
    }
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    let bench = ipfix_fields(&[(0, 315, &arp)]);
    assert_eq!((bench.flows.len(), bench.dropped("frame is not ip")), (0, 1));
}

#[test]
fn the_entry_of_an_access_list_is_the_rule() {
    let layout = [(8, 4), (12, 4), (33_000, 12), (233, 1)];
    let rule = |hashes: &[u8]| {
        let data = [&[10, 0, 0, 1, 10, 0, 0, 2][..], hashes, &[3]].concat();
        let flows = decoded(&[v9(0, 1, &[set(0, &template(256, &layout)), set(256, &data)])]).flows;
        assert_eq!(flows.verdict, [Verdict::Deny]);
        flows.details.get(&0).and_then(|details| details.rule.clone())
    };
    assert_eq!(rule(&[0x0f, 0x8e, 0x7f, 0xf3, 0xfc, 0x1a, 3, 0, 0, 0, 0, 0]).as_deref(), Some("0xfc1a0300"));
    assert_eq!(rule(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).as_deref(), Some("0x00000001"));
    assert_eq!(rule(&[0; 12]), None);
}

#[test]
fn probabilities_are_rates() {
    let rate = |bytes: &[u8]| {
        let flows = ipfix_fields(&[FROM, TO, (0, 2, &[1]), (0, 311, bytes)]).flows;
        (flows.sampling[0], flows.packets[0])
    };
    assert_eq!(rate(&0.01_f64.to_be_bytes()), (100, 100));
    assert_eq!(rate(&0.25_f32.to_be_bytes()), (4, 4));
    for nonsense in [0.0, -1.0, 2.0, f64::NAN, f64::INFINITY, 1e-300] {
        assert_eq!(rate(&nonsense.to_be_bytes()), (1, 1), "{nonsense}");
    }
}

/// A version 9 datagram sent a while after the others.
fn later(seconds: u32, uptime_ms: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = v9(0, sequence, sets);
    datagram[4..8].copy_from_slice(&uptime_ms.to_be_bytes());
    datagram[8..12].copy_from_slice(&(EXPORT_S + seconds).to_be_bytes());
    datagram
}

#[test]
fn an_exporter_that_started_anew_has_new_templates() {
    let options = [1, 1, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0];
    let flow = set(256, &record(1, 2, (3, 4), 6, 5));
    // The addresses have changed places, and nothing is sampled any more.
    let turned = [(12, 4), (8, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];
    let bench = decoded(&[
        later(0, 900_000, 70, &[set(0, &template(256, &BASE)), set(1, &options)]),
        later(1, 901_000, 71, &[set(257, &[0, 0, 0, 0, 0, 0, 0, 9]), flow.clone()]),
        later(100, 1_000, 0, std::slice::from_ref(&flow)),
        later(101, 2_000, 1, &[set(0, &template(256, &turned))]),
    ]);
    assert_eq!(bench.flows.bytes, [45, 5]);
    assert_eq!(bench.flows.src, [Ip::v4(1), Ip::v4(2)]);
    let notes = bench.ledger.summary.exporters["192.0.2.1"];
    assert_eq!((notes.restarts, notes.shifted_datagrams), (1, 0));
    assert!(bench.ledger.summary.dropped.is_empty());
    let templates = bench.decoder.held();
    assert_eq!(templates, (2, 14, 0), "what was freed is off the books");
}

#[test]
fn clocks_that_are_wrong_are_mended_by_those_who_receive() {
    let hour = 3_600_000_000;
    let sent = i64::from(EXPORT_S) * 1_000_000;
    let times = |decoder: Decoder, received: i64, bytes: &[u8]| {
        let mut bench = Bench { decoder, ..Bench::new(Limits::default()) };
        let sender = Sender { ip: Ip::v4(0xc000_0201), port: 1 };
        let datagram = Datagram { sender, received, bytes, framing: Framing::Packet, offset: 0 };
        bench.decoder.datagram(datagram, &mut bench.flows, &mut bench.ledger);
        (bench.flows.start[0] - sent, bench.ledger.summary.exporters.values().next().copied())
    };
    let uptimes = [&BASE[..], &[(22, 4), (21, 4)]].concat();
    let data = [record(1, 2, (3, 4), 6, 5), UPTIME_MS.to_be_bytes().repeat(2)].concat();
    let nine = v9(0, 1, &[set(0, &template(256, &uptimes)), set(256, &data)]);
    let absolute = [&BASE[..], &[(150, 4), (151, 4)]].concat();
    let data = [record(1, 2, (3, 4), 6, 5), EXPORT_S.to_be_bytes().repeat(2)].concat();
    let ten = ipfix(0, 0, &[set(2, &template(256, &absolute)), set(256, &data)]);
    let mut five = fixed(5, 1, &[0; 48]);
    five[12..16].fill(0);
    five[24 + 24..24 + 28].copy_from_slice(&UPTIME_MS.to_be_bytes());
    for bytes in [&nine, &ten, &five] {
        let (moved, notes) = times(Decoder::default().mending_clocks(), sent + hour, bytes);
        let expected =
            crate::ExporterNotes { clock_shift_us: hour, shifted_datagrams: 1, ..Default::default() };
        assert_eq!((moved, notes), (hour, Some(expected)));
        // Not far enough, not known, or not ours to mend.
        assert_eq!(times(Decoder::default().mending_clocks(), sent + 60_000_000, bytes), (0, None));
        assert_eq!(times(Decoder::default().mending_clocks(), 0, bytes), (0, None));
        assert_eq!(times(Decoder::default(), sent + hour, bytes), (0, None));
    }
}

#[test]
fn records_read_by_the_wrong_template_are_doubted() {
    let layout = [&BASE[..], &[(150, 4), (151, 4)]].concat();
    let unlikely = |start: u32, padding: &[u8]| {
        let times = [start, EXPORT_S].map(u32::to_be_bytes).concat();
        let data = [&record(1, 2, (3, 4), 6, 5)[..], &times, padding].concat();
        let bench = decoded(&[ipfix(0, 0, &[set(2, &template(256, &layout)), set(256, &data)])]);
        assert_eq!(bench.flows.len(), 1, "they are handed out all the same");
        bench.ledger.summary.exporters.get("192.0.2.1").map(|notes| notes.unlikely_records)
    };
    assert_eq!(unlikely(EXPORT_S + 1, &[1, 2]), Some(1));
    assert_eq!(unlikely(EXPORT_S + 1, &[0, 0]), None);
    assert_eq!(unlikely(EXPORT_S - 1, &[1, 2]), None);
}

#[test]
fn without_any_time_the_receipt_is_the_time() {
    let mut message = ipfix(0, 0, &[set(2, &template(256, &BASE)), set(256, &record(1, 2, (3, 4), 6, 5))]);
    message[4..8].fill(0);
    let mut bench = Bench::new(Limits::default());
    let sender = Sender { ip: Ip::v4(1), port: 1 };
    let datagram = Datagram { sender, received: 77, bytes: &message, framing: Framing::Packet, offset: 0 };
    bench.decoder.datagram(datagram, &mut bench.flows, &mut bench.ledger);
    assert_eq!((bench.flows.start[0], bench.flows.end[0]), (77, 77));
}
