//! The decoder on datagrams made for the purpose; real exporters' are in `tests/conformance`.

use model::{Client, Direction, FlowBatch, Verdict};

use super::*;

mod meaning;
use crate::ledger::Place;

/// When the made datagrams are sent, in seconds since the epoch.
const EXPORT_S: u32 = 1_600_000_000;
/// Milliseconds that their exporter was up.
const UPTIME_MS: u32 = 100_000;

/// Source and destination address, ports, protocol, bytes, packets: what most tests need.
const BASE: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];

pub(crate) fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut set = id.to_be_bytes().to_vec();
    set.extend((body.len() as u16 + 4).to_be_bytes());
    set.extend(body);
    set
}

pub(crate) fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [id, fields.len() as u16] {
        body.extend(word.to_be_bytes());
    }
    for (element, length) in fields {
        body.extend(element.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    body
}

pub(crate) fn v9(domain: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = vec![0, 9, 0, sets.len() as u8];
    for word in [UPTIME_MS, EXPORT_S, sequence, domain] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(sets.concat());
    datagram
}

pub(crate) fn ipfix(domain: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = vec![0, 10];
    datagram.extend((16 + sets.concat().len() as u16).to_be_bytes());
    for word in [EXPORT_S, sequence, domain] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(sets.concat());
    datagram
}

/// A record of [`BASE`].
pub(crate) fn record(source: u32, destination: u32, ports: (u16, u16), protocol: u8, bytes: u32) -> Vec<u8> {
    let mut record = Vec::new();
    record.extend(source.to_be_bytes());
    record.extend(destination.to_be_bytes());
    record.extend(ports.0.to_be_bytes());
    record.extend(ports.1.to_be_bytes());
    record.push(protocol);
    record.extend(bytes.to_be_bytes());
    record.extend(3_u32.to_be_bytes());
    record
}

/// A version 9 datagram with its template and one flow, for tests that want any.
pub(crate) fn sample_v9() -> Vec<u8> {
    v9(
        0,
        1,
        &[set(0, &template(256, &BASE)), set(256, &record(0x0a00_0001, 0x0a00_0002, (50_000, 443), 6, 900))],
    )
}

/// A capture of raw IPv4 packets from 192.0.2.1:40000 to port 2055.
pub(crate) fn capture(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for payload in datagrams {
        let total = 28 + payload.len() as u32;
        for word in [EXPORT_S, 7, total, total] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
        file.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        for port in [40_000_u16, 2_055, 8 + payload.len() as u16, 0] {
            file.extend(port.to_be_bytes());
        }
        file.extend(payload);
    }
    file
}

/// Decodes datagrams one by one; sets that still wait at the end are given up.
struct Bench {
    decoder: Decoder,
    ledger: Ledger,
    flows: FlowBatch,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let flows = FlowBatch::new(SOURCE.name);
        Self { decoder: Decoder::new(limits), ledger: Ledger::new("test".into(), None), flows }
    }

    fn take(&mut self, port: u16, bytes: &[u8]) {
        let sender = Sender { ip: Ip::v4(0xc000_0201), port };
        let datagram = Datagram { sender, received: 0, bytes, framing: Framing::Packet, offset: 0 };
        self.decoder.datagram(datagram, &mut self.flows, &mut self.ledger);
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.ledger.summary.dropped.get(reason).map_or(0, |dropped| dropped.count)
    }
}

fn decoded(datagrams: &[Vec<u8>]) -> Bench {
    let mut bench = Bench::new(Limits::default());
    for datagram in datagrams {
        bench.take(40_000, datagram);
    }
    bench.decoder.give_up_waiting(&mut bench.ledger);
    bench
}

/// One record of [`BASE`] followed by more fields.
fn with_fields(version: fn(u32, u32, &[Vec<u8>]) -> Vec<u8>, fields: &[(u16, u16, u64)]) -> Bench {
    let mut layout = BASE.to_vec();
    let mut data = record(0x0a00_0001, 0x0a00_0002, (50_000, 443), 6, 900);
    for (element, length, value) in fields {
        layout.push((*element, *length));
        data.extend(&value.to_be_bytes()[8 - usize::from(*length)..]);
    }
    let template_set = if version(0, 0, &[])[1] == 9 { 0 } else { 2 };
    decoded(&[version(0, 1, &[set(template_set, &template(256, &layout)), set(256, &data)])])
}

#[test]
fn a_set_before_its_template_waits_for_it() {
    let data = set(256, &record(1, 2, (3, 4), 6, 5));
    let bench = decoded(&[v9(7, 1, std::slice::from_ref(&data)), v9(7, 2, &[set(0, &template(256, &BASE))])]);
    assert_eq!(bench.flows.bytes, [5]);
    assert_eq!(bench.dropped(crate::ledger::NO_TEMPLATE), 0);
    // Another observation domain has other templates.
    let bench = decoded(&[v9(7, 1, std::slice::from_ref(&data)), v9(8, 2, &[set(0, &template(256, &BASE))])]);
    assert_eq!(bench.flows.len(), 0);
    assert_eq!(bench.ledger.summary.dropped[crate::ledger::NO_TEMPLATE].bytes as usize, data.len());
    assert!(bench.ledger.summary.rejects[0].reason.contains("no template 256 from 192.0.2.1 (domain 7)"));
}

#[test]
fn templates_are_found_from_another_port() {
    let mut bench = Bench::new(Limits::default());
    bench.take(1, &v9(0, 1, &[set(0, &template(256, &BASE))]));
    bench.take(2, &v9(0, 2, &[set(256, &record(1, 2, (3, 4), 6, 5))]));
    assert_eq!(bench.flows.len(), 1);
    // A process of its own on the same host, with its own meaning of the number.
    let other = [(8, 4), (12, 4), (1, 2)];
    bench.take(2, &v9(0, 3, &[set(0, &template(256, &other)), set(256, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 9])]));
    bench.take(1, &v9(0, 4, &[set(256, &record(1, 2, (3, 4), 6, 5))]));
    assert_eq!(bench.flows.bytes, [5, 9, 5]);
}

#[test]
fn what_cannot_be_read_does_not_take_the_rest_with_it() {
    let good = set(256, &record(1, 2, (3, 4), 6, 5));
    let datagram = v9(
        0,
        1,
        &[
            set(0, &template(256, &BASE)),
            set(17, &[1, 2, 3, 4]),
            set(300, &[9; 20]),
            set(0, &[1, 44, 0, 9, 0, 8]),
            good.clone(),
            vec![1, 0, 0xff, 0xff, 1],
        ],
    );
    let length = datagram.len();
    let bench = decoded(&[datagram]);
    assert_eq!(bench.flows.len(), 1);
    let summary = &bench.ledger.summary;
    let reasons: Vec<_> = summary.dropped.iter().map(|(reason, dropped)| (*reason, dropped.bytes)).collect();
    let expected = [
        ("corrupt template", 6),
        ("set length does not fit", 5),
        ("set with a reserved id", 8),
        ("set without a template", 24),
    ];
    assert_eq!(reasons, expected);
    assert!(summary.dropped_bytes() < length as u64);
}

#[test]
fn counts_are_scaled_by_the_announced_rate() {
    // Options template 257: scope system (4 bytes), sampling interval (4 bytes).
    let options = [1, 1, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0];
    let rate = |rate: u32| [vec![0; 4], rate.to_be_bytes().to_vec()].concat();
    let flow = set(256, &record(1, 2, (3, 4), 6, 5));
    let bench = decoded(&[v9(
        0,
        1,
        &[
            set(0, &template(256, &BASE)),
            set(1, &options),
            flow.clone(),
            set(257, &rate(100)),
            flow.clone(),
            set(257, &rate(0)),
            set(257, &rate(2_000_000)),
            flow,
        ],
    )]);
    assert_eq!(bench.flows.sampling, [1, 100, 100]);
    assert_eq!(bench.flows.bytes, [5, 500, 500]);
    assert_eq!(bench.flows.packets, [3, 300, 300]);
    assert_eq!(bench.ledger.summary.options_records, 3);
    assert_eq!(bench.dropped("sampling rate refused"), 1);
}

#[test]
fn times_of_every_kind() {
    let at = i64::from(EXPORT_S) * 1_000_000;
    let times = |bench: Bench| (bench.flows.start[0] - at, bench.flows.end[0] - at);
    let ms = u64::from(EXPORT_S) * 1_000;
    let uptimes = [(22, 4, u64::from(UPTIME_MS) - 2_000), (21, 4, u64::from(UPTIME_MS) - 1_000)];
    assert_eq!(times(with_fields(v9, &uptimes)), (-2_000_000, -1_000_000));
    assert_eq!(times(with_fields(ipfix, &[(152, 8, ms - 3), (153, 8, ms - 1)])), (-3_000, -1_000));
    assert_eq!(times(with_fields(ipfix, &[(150, 4, ms / 1_000 - 3), (151, 4, ms / 1_000)])), (-3_000_000, 0));
    let ntp = (u64::from(EXPORT_S) + 2_208_988_800) << 32 | 0x8000_0000;
    assert_eq!(times(with_fields(ipfix, &[(154, 8, ntp), (155, 8, ntp)])), (500_000, 500_000));
    assert_eq!(times(with_fields(ipfix, &[(158, 4, 900), (159, 4, 100)])), (-900, -100));
    // Uptimes without the moment they count from: the duration stands, the end is the export.
    assert_eq!(times(with_fields(ipfix, &[(22, 4, 7_000), (21, 4, 9_000)])), (-2_000_000, 0));
    // With it in the record.
    let init = [(160, 8, ms - 10_000), (22, 4, 7_000), (21, 4, 9_000)];
    assert_eq!(times(with_fields(ipfix, &init)), (-3_000_000, -1_000_000));
    assert_eq!(times(with_fields(ipfix, &[(153, 8, ms), (161, 4, 250)])), (-250_000, 0));
    assert_eq!(times(with_fields(ipfix, &[])), (0, 0));
    // Real times win over uptimes.
    assert_eq!(times(with_fields(ipfix, &[(22, 4, 1), (21, 4, 2), (152, 8, ms), (153, 8, ms)])), (0, 0));
}

#[test]
fn stateful_exporters_name_the_client() {
    let client = |fields: &[(u16, u16, u64)]| {
        let flows = with_fields(ipfix, fields).flows;
        (flows.client[0], flows.reverse_bytes[0])
    };
    assert_eq!(client(&[(231, 4, 100), (232, 4, 50)]), (Client::Src, 50));
    assert_eq!(client(&[(239, 1, 1)]), (Client::Src, 0));
    assert_eq!(client(&[(239, 1, 2)]), (Client::Dst, 0));
    assert_eq!(client(&[(239, 1, 3)]), (Client::Unknown, 0));
    assert_eq!(client(&[]), (Client::Unknown, 0));
}

#[test]
fn a_reverse_direction_alone_is_no_evidence_of_the_client() {
    let mut body = template(256, &BASE);
    body[3] += 1;
    body.extend([0x80, 1, 0, 4]);
    body.extend(29_305_u32.to_be_bytes());
    let data = [record(1, 2, (3, 4), 6, 5), vec![0, 0, 0, 77]].concat();
    let bench = decoded(&[ipfix(0, 0, &[set(2, &body), set(256, &data)])]);
    assert_eq!((bench.flows.reverse_bytes[0], bench.flows.client[0]), (77, Client::Unknown));
    assert_ne!(bench.flows.present[0] & FlowBatch::HAS_REVERSE, 0);
}

#[test]
fn verdicts_directions_and_translations() {
    let flows = with_fields(
        v9,
        &[(233, 1, 3), (61, 1, 1), (225, 4, 0x0102_0304), (227, 2, 9), (226, 4, 0x0a00_0002)],
    )
    .flows;
    assert_eq!((flows.verdict[0], flows.direction[0]), (Verdict::Deny, Direction::Egress));
    let details = &flows.details[&0];
    assert_eq!((details.nat_src_ip, details.nat_src_port), (Some(Ip::v4(0x0102_0304)), Some(9)));
    assert_eq!(details.nat_dst_ip, None, "the same address is no translation");
    assert_eq!(with_fields(v9, &[(233, 1, 1)]).flows.verdict, [Verdict::Allow]);
    assert_eq!(with_fields(v9, &[(89, 1, 64)]).flows.verdict, [Verdict::Unknown]);
    assert_eq!(with_fields(v9, &[(61, 1, 255)]).flows.direction, [Direction::Unknown]);
}

#[test]
fn icmp_types_from_wherever_they_are() {
    let icmp = |port: u16, fields: &[(u16, u16)], more: &[u8]| {
        let layout = [&BASE[..], fields].concat();
        let data = [record(1, 2, (99, port), 1, 5), more.to_vec()].concat();
        let flows = decoded(&[v9(0, 1, &[set(0, &template(256, &layout)), set(256, &data)])]).flows;
        assert_eq!(flows.present[0] & FlowBatch::HAS_PORTS, 0);
        (flows.src_port[0], flows.dst_port[0])
    };
    assert_eq!(icmp(0x0800, &[], &[]), (0, 0x0800));
    assert_eq!(icmp(0, &[(32, 2)], &[3, 1]), (0, 0x0301));
    assert_eq!(icmp(0x0800, &[(32, 2)], &[0, 0]), (0, 0x0800));
    assert_eq!(icmp(54_321, &[(176, 1), (177, 1)], &[0, 0]), (0, 0));
}

#[test]
fn odd_encodings() {
    // Empty fields, a counter of three bytes, the counter twice with the first zero, padding longer than a record's rest.
    let layout = [(8, 4), (96, 0), (12, 4), (1, 3), (1, 8), (4, 1)];
    let data = [&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0][..], &77_u64.to_be_bytes(), &[17], &[0; 7]].concat();
    let bench = decoded(&[v9(0, 1, &[set(0, &template(256, &layout)), set(256, &data)])]);
    assert_eq!((bench.flows.bytes[0], bench.flows.protocol[0]), (77, 17));
    assert_eq!(bench.flows.present[0] & FlowBatch::HAS_PORTS, 0);
    assert!(bench.ledger.summary.dropped.is_empty());
    // Variable length in version 9, with an application's name in it.
    let layout = [(96, 65_535), (8, 4), (12, 4), (4, 1)];
    let data =
        [&[3, b'w', b'e', b'b'][..], &[10, 0, 0, 1, 10, 0, 0, 2, 6], &[0, 10, 0, 0, 3, 10, 0, 0, 4, 6]]
            .concat();
    let flows = decoded(&[v9(0, 1, &[set(0, &template(256, &layout)), set(256, &data)])]).flows;
    assert_eq!(flows.src, [Ip::v4(0x0a00_0001), Ip::v4(0x0a00_0003)]);
    assert_eq!(flows.details[&0].service_name.as_deref(), Some("web"));
    assert!(!flows.details.contains_key(&1));
    // Both families in one template.
    let layout = [(27, 16), (28, 16), (8, 4), (12, 4)];
    let data = [&[0; 32][..], &[10, 0, 0, 1, 10, 0, 0, 2]].concat();
    let flows = decoded(&[v9(0, 1, &[set(0, &template(256, &layout)), set(256, &data)])]).flows;
    assert_eq!(flows.src, [Ip::v4(0x0a00_0001)]);
}

#[test]
fn withdrawn_templates_are_gone() {
    let flow = set(256, &record(1, 2, (3, 4), 6, 5));
    let bench = decoded(&[
        ipfix(0, 0, &[set(2, &template(256, &BASE)), flow.clone()]),
        ipfix(0, 1, &[set(2, &[1, 0, 0, 0]), flow.clone()]),
    ]);
    assert_eq!(bench.flows.len(), 1);
    assert_eq!(bench.dropped(crate::ledger::NO_TEMPLATE), 1);
    let all = ipfix(0, 1, &[set(2, &[0, 2, 0, 0]), flow.clone()]);
    let bench = decoded(&[ipfix(0, 0, &[set(2, &template(256, &BASE)), flow]), all]);
    assert_eq!(bench.flows.len(), 1);
}

#[test]
fn sequence_numbers_tell_of_losses() {
    let flow = |number| v9(0, number, &[set(0, &template(256, &BASE))]);
    let bench = decoded(&[flow(1), flow(2), flow(5), flow(6), flow(1)]);
    let sequence = bench.ledger.summary.sequences["192.0.2.1"];
    assert_eq!((sequence.gaps, sequence.missing, sequence.resets), (1, 2, 1));
    // IPFIX counts records.
    let data =
        |number, count: usize| ipfix(3, number, &[set(256, &record(1, 2, (3, 4), 6, 5).repeat(count))]);
    let bench =
        decoded(&[ipfix(3, 0, &[set(2, &template(256, &BASE))]), data(0, 2), data(2, 1), data(10, 1)]);
    assert_eq!(bench.ledger.summary.sequences["192.0.2.1/3"].missing, 7);
    // Some exporters count the message itself.
    let bench = decoded(&[ipfix(3, 0, &[set(2, &template(256, &BASE))]), data(2, 2), data(3, 1), data(8, 5)]);
    assert!(bench.ledger.summary.sequences.is_empty());
}

#[test]
fn version_5_counts_are_not_believed() {
    let mut datagram = vec![0, 5, 0, 2];
    for word in [UPTIME_MS, EXPORT_S, 500_000_000, 9, 0x0001_0000 | 0x4000 | 10] {
        datagram.extend(word.to_be_bytes());
    }
    let mut record = [0_u8; 48];
    record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    record[19] = 3;
    record[23] = 200;
    record[32..36].copy_from_slice(&[0, 80, 0xc0, 0]);
    record[38] = 6;
    datagram.extend(record);
    let bench = decoded(&[datagram.clone()]);
    assert_eq!((bench.flows.len(), bench.dropped(fixed_layout::BAD_COUNT)), (0, 1));
    assert!(
        bench.ledger.summary.rejects[0].reason.contains("counts 2 records"),
        "{:?}",
        bench.ledger.summary.rejects
    );
    assert_eq!(bench.ledger.summary.rejects[0].place, Place::Offset(0));
    datagram.extend(record);
    let bench = decoded(&[datagram.clone()]);
    assert_eq!(bench.flows.bytes, [2_000, 2_000]);
    assert_eq!(bench.flows.sampling, [10, 10]);
    assert_eq!(
        bench.flows.start[0],
        i64::from(EXPORT_S) * 1_000_000 + 500_000 - i64::from(UPTIME_MS) * 1_000
    );
    assert_eq!(&*bench.flows.exporters[0].0, "192.0.2.1/1");
    // Two in one packet; then one with rubbish behind it.
    let bench = decoded(&[[&datagram[..], &datagram].concat(), [&datagram[..], &[0, 5, 0, 9, 1]].concat()]);
    assert_eq!((bench.flows.len(), bench.ledger.summary.dropped_bytes()), (6, 5));
}

/// A datagram of a version with one layout: its header's count, and as many records as that says.
fn fixed(version: u8, count: u8, record: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0, version, 0, count];
    for word in [UPTIME_MS, EXPORT_S, 500_000_000] {
        datagram.extend(word.to_be_bytes());
    }
    if version != 1 {
        datagram.extend([0; 8]);
    }
    datagram.extend(record.repeat(usize::from(count)));
    datagram
}

#[test]
fn versions_1_and_7_are_like_version_5() {
    let mut record = [0_u8; 52];
    record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    record[19] = 3;
    record[23] = 200;
    record[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    record[32..36].copy_from_slice(&[0xc0, 0, 0, 80]);
    record[38] = 6;
    let mut first = record;
    first[40] = 0x12;
    let start = i64::from(EXPORT_S) * 1_000_000 + 500_000 - (i64::from(UPTIME_MS) - 1) * 1_000;
    for (version, record, present) in [(1, &first[..48], FlowBatch::HAS_TCP_FLAGS), (7, &record[..], 0)] {
        let datagram = fixed(version, 2, record);
        assert!(is_datagram(&datagram));
        let bench = decoded(std::slice::from_ref(&datagram));
        let flow = bench.flows.get(1);
        assert_eq!((flow.src, flow.dst), (Ip::v4(0x0a00_0001), Ip::v4(0x0a00_0002)));
        assert_eq!((flow.src_port, flow.dst_port, flow.protocol), (0xc000, 80, 6));
        assert_eq!((flow.packets, flow.bytes), (3, 200));
        assert_eq!((flow.start, flow.end), (start, start + 1_000));
        assert_eq!(flow.present & FlowBatch::HAS_TCP_FLAGS, present);
        assert!(bench.ledger.summary.sequences.is_empty() && bench.ledger.summary.dropped.is_empty());
        // One byte short of what is counted: nothing of it is believed.
        let bench = decoded(&[datagram[..datagram.len() - 1].to_vec()]);
        assert_eq!((bench.flows.len(), bench.dropped(fixed_layout::BAD_COUNT)), (0, 1));
        // As a file, and several after one another.
        let both = [&datagram[..], &datagram].concat();
        let mut reader = crate::open("auto", crate::Input::new("f", std::io::Cursor::new(both))).unwrap();
        let mut batch = FlowBatch::default();
        while reader.read(&mut batch).unwrap() {}
        assert_eq!(batch.len(), 4);
    }
    assert!(
        !is_datagram(&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
        "that is STUN"
    );
}

#[test]
fn exporters_that_are_made_up_do_not_push_out_those_that_export() {
    let mut bench = Bench::new(Limits { exporters: 10, ..Limits::default() });
    let flow = set(256, &record(1, 2, (3, 4), 6, 5));
    bench.take(1, &v9(7, 0, &[set(0, &template(256, &BASE))]));
    for domain in 1_000..3_000 {
        bench.take(1, &v9(domain, 0, &[set(0, &template(256, &BASE))]));
        if domain % 5 == 0 {
            bench.take(1, &v9(7, 0, std::slice::from_ref(&flow)));
        }
    }
    assert_eq!((bench.flows.len(), bench.decoder.held().0), (400, 20));
}

#[test]
fn memory_stays_within_the_limits() {
    let limits = Limits {
        exporters: 3,
        templates_per_exporter: 4,
        fields_per_template: 10,
        fields: 60,
        pending_bytes: 1_000,
    };
    let mut bench = Bench::new(limits);
    let flow = record(1, 2, (3, 4), 6, 5);
    for number in 0..200_u16 {
        let domain = u32::from(number % 5);
        let id = 256 + number % 9;
        bench.take(
            number,
            &v9(domain, 1, &[set(0, &template(id, &BASE)), set(id, &flow), set(999, &[1; 200])]),
        );
    }
    bench.take(1, &v9(0, 1, &[set(0, &template(300, &[(1, 4); 11]))]));
    let (templates, fields, pending) = bench.decoder.held();
    assert!(fields <= 60, "{fields} fields");
    assert!(templates <= 3 * 4 * 2, "{templates} templates");
    assert!(pending <= 1_000, "{pending} bytes wait");
    for reason in [
        "limit on templates reached",
        "exporter forgotten, limit on exporters reached",
        crate::ledger::NO_TEMPLATE,
    ] {
        assert!(bench.dropped(reason) > 0, "{reason}");
    }
}

#[test]
fn what_the_limits_hold_is_what_is_counted() {
    // After everything was withdrawn nothing is left on the books.
    let mut bench = Bench::new(Limits::default());
    for port in 0..50 {
        for id in 256..262 {
            bench.take(port, &ipfix(0, 0, &[set(2, &template(id, &BASE[..usize::from(id - 255)]))]));
        }
    }
    for port in 0..50 {
        bench.take(port, &ipfix(0, 0, &[set(2, &[0, 2, 0, 0])]));
    }
    assert_eq!(bench.decoder.held(), (0, 0, 0));
}
