//! The decoder on datagrams made for the purpose; real agents' are in `tests/conformance`.

use model::{Direction, FlowBatch, Verdict};

use super::*;
use crate::frame::tests::{ether, ipv4, udp};
use crate::ledger::Sequence;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Bytes with what they are and how many before them, padded.
fn framed(format: u32, body: &[u8]) -> Vec<u8> {
    [words(&[format, body.len() as u32]), body.to_vec()].concat()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut out = [words(&[bytes.len() as u32]), bytes.to_vec()].concat();
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// A datagram of agent 192.0.2.9.
fn datagram(sequence: u32, samples: &[Vec<u8>]) -> Vec<u8> {
    let head = words(&[5, 1, 0xc000_0209, 0, sequence, 1_000, samples.len() as u32]);
    [head, samples.concat()].concat()
}

/// A sampled Ethernet frame.
fn raw(frame: &[u8], length: u32) -> Vec<u8> {
    framed(1, &[words(&[1, length, 4]), opaque(frame)].concat())
}

fn segment() -> Vec<u8> {
    let tcp =
        [&50_000_u16.to_be_bytes()[..], &443_u16.to_be_bytes(), &[0; 8], &[0x50, 0x02], &[0; 6]].concat();
    let mut packet = ipv4(6, &tcp);
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    ether(0x0800, &packet)
}

/// A flow sample of interface 7, where packets go in and out of 8.
fn sample(sequence: u32, drops: u32, records: &[Vec<u8>]) -> Vec<u8> {
    sample_at(sequence, 1_000, drops, 8, records)
}

fn sample_at(sequence: u32, rate: u32, drops: u32, output: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let head = words(&[sequence, 7, rate, 90_000, drops, 7, output, records.len() as u32]);
    framed(1, &[head, records.concat()].concat())
}

/// A datagram with one flow, for tests that want any.
pub(crate) fn sample_datagram() -> Vec<u8> {
    datagram(1, &[sample(1, 0, &[raw(&segment(), 64)])])
}

struct Bench {
    decoder: Decoder,
    ledger: Ledger,
    flows: FlowBatch,
}

impl Bench {
    fn of(datagrams: &[Vec<u8>]) -> Self {
        let ledger = Ledger::new("test".into(), None);
        let mut bench = Self { decoder: Decoder::default(), ledger, flows: FlowBatch::new(SOURCE.name) };
        datagrams.iter().for_each(|bytes| bench.take(bytes));
        bench
    }

    fn take(&mut self, bytes: &[u8]) {
        let sender = Sender { ip: Ip::v4(0xc000_0201), port: 6343 };
        let datagram = Datagram { sender, received: 9, bytes, framing: Framing::Packet, offset: 0 };
        assert_eq!(self.decoder.datagram(datagram, &mut self.flows, &mut self.ledger), bytes.len());
    }

    fn dropped(&self, reason: &str) -> (u64, u64) {
        self.ledger.summary.dropped.get(reason).map_or((0, 0), |dropped| (dropped.count, dropped.bytes))
    }

    /// One row as canonical JSON.
    fn json(&self, row: usize) -> serde_json::Value {
        let mut line = Vec::new();
        model::canonical::write_flow(&self.flows, row, &mut line);
        serde_json::from_slice(&line).unwrap()
    }
}

#[test]
fn counts_are_scaled_and_the_agent_is_the_exporter() {
    let bench = Bench::of(&[sample_datagram()]);
    let flow = bench.flows.get(0);
    assert_eq!((flow.packets, flow.bytes, flow.sampling), (1_000, 64_000, 1_000));
    assert_eq!((flow.src_port, flow.dst_port, flow.tcp_flags), (50_000, 443, 2));
    assert_eq!((flow.start, flow.direction, flow.verdict), (9, Direction::Ingress, Verdict::Unknown));
    assert_eq!(&*bench.flows.exporters[0].0, "192.0.2.9");
    assert!(bench.ledger.summary.dropped.is_empty());
}

#[test]
fn a_rate_of_zero_scales_nothing() {
    let samples = [
        sample_at(1, 0, 0, 8, &[raw(&segment(), 64)]),
        sample_at(2, 0, 0, 0x4000_0102, &[raw(&segment(), 64)]),
    ];
    let bench = Bench::of(&[datagram(1, &samples)]);
    assert_eq!(bench.flows.present[0] & FlowBatch::HAS_COUNTS, 0);
    assert_eq!((bench.flows.packets[0], bench.flows.sampling[0]), (0, 1));
    // A discard is worth itself.
    assert_eq!(
        (bench.flows.packets[1], bench.flows.bytes[1], bench.flows.verdict[1]),
        (1, 64, Verdict::Deny)
    );
    assert_eq!(bench.json(1)["rule"], "acl");
}

#[test]
fn discarded_packets_are_denials_with_their_reason() {
    let discard = |reason: u32, more: &[Vec<u8>]| {
        let records = [&[raw(&segment(), 64)], more].concat();
        let head = words(&[1, 0, 7, 0, 7, 8, reason, records.len() as u32]);
        framed(5, &[head, records.concat()].concat())
    };
    let acl = framed(1037, &[words(&[12]), opaque(b"to-databases"), words(&[1])].concat());
    let bench = Bench::of(&[datagram(1, &[discard(279, &[]), discard(258, &[acl])])]);
    assert_eq!(bench.flows.verdict, [Verdict::Deny; 2]);
    assert_eq!((bench.flows.packets[0], bench.flows.sampling[0]), (1, 1));
    assert_eq!(bench.json(0)["rule"], "unresolved_neigh");
    assert_eq!(bench.json(1)["rule"], "acl to-databases");
}

#[test]
fn headers_that_the_agent_decoded() {
    let v4 = framed(3, &words(&[1_400, 6, 0x0a00_0001, 0x0a00_0002, 1_234, 22, 0x18, 0]));
    let mut v6 = words(&[1_400, 58]);
    v6.extend("2001:db8::1".parse::<Ip>().unwrap().to_bytes());
    v6.extend("2001:db8::2".parse::<Ip>().unwrap().to_bytes());
    v6.extend(words(&[128, 0, 0, 0]));
    // Expanded, with interfaces that need all bits.
    let head = words(&[5, 0, 70_000, 256, 0, 0, 0, 1, 0, 70_000, 1]);
    let expanded = framed(3, &[head, framed(4, &v6)].concat());
    let bench = Bench::of(&[datagram(
        1,
        &[sample(1, 0, std::slice::from_ref(&v4)), expanded, sample(2, 0, &[v4, raw(&segment(), 64)])],
    )]);
    let flow = bench.flows.get(0);
    assert_eq!((flow.dst_port, flow.tcp_flags, flow.bytes), (22, 0x18, 1_400_000));
    let flow = bench.json(1);
    assert_eq!((&flow["icmp_type"], &flow["src_ip"]), (&128.into(), &"2001:db8::1".into()));
    assert_eq!((&flow["direction"], &flow["packets"]), (&"egress".into(), &256.into()));
    // The raw header says more.
    assert_eq!(bench.flows.dst_port[2], 443);
}

#[test]
fn translations_users_and_tunnels() {
    let nat = framed(1007, &words(&[1, 0x0a00_0001, 1, 0xc633_6407]));
    let ports = framed(1020, &words(&[50_000, 8_443]));
    let user = framed(1004, &[words(&[3]), opaque(b"alice"), words(&[3]), opaque(b"")].concat());
    let outer = framed(1023, &words(&[1_500, 17, 0xc000_0201, 0xc000_0202, 5_555, 4_789, 0, 0]));
    let network = framed(1029, &words(&[77]));
    let records = [raw(&segment(), 64), nat, ports, user, outer, network];
    let inside = [&[8, 0, 0, 0, 0, 0, 9, 0][..], &segment()].concat();
    let vxlan = ether(0x0800, &ipv4(17, &udp(50_001, 4_789, &inside)));
    let bench = Bench::of(&[datagram(1, &[sample(1, 0, &records), sample(2, 0, &[raw(&vxlan, 130)])])]);
    let flow = bench.json(0);
    assert_eq!((&flow["nat_dst_ip"], &flow["nat_dst_port"]), (&"198.51.100.7".into(), &8_443.into()));
    assert!(flow.get("nat_src_ip").is_none() && flow.get("nat_src_port").is_none());
    assert_eq!(flow["user"], "alice");
    assert_eq!(flow["tunnel"], "vxlan 77 192.0.2.1 > 192.0.2.2");
    let flow = bench.json(1);
    assert_eq!(
        (&flow["src_ip"], &flow["tunnel"]),
        (&"10.0.0.1".into(), &"vxlan 9 192.0.2.1 > 192.0.2.2".into())
    );
}

#[test]
fn losses_show_in_the_numbers() {
    let take = |sequence, number, drops| datagram(sequence, &[sample(number, drops, &[raw(&segment(), 64)])]);
    let bench =
        Bench::of(&[take(1, 10, 0), take(2, 11, 0), take(5, 15, 0), take(6, 17, 30), take(6, 18, 30)]);
    // Two datagrams, whose samples are not counted again; one sample; and a datagram twice.
    let total = bench.ledger.summary.coverage().total();
    assert_eq!((total.missing_datagrams, total.missing_records, total.resets), (2, 1, 1));
    assert_eq!(bench.ledger.summary.sequences["192.0.2.9"], Sequence { gaps: 2, missing: 3, resets: 1 });
    assert_eq!(bench.dropped("sample left out by the agent"), (30, 0));
    assert_eq!(total.lost.count, 30);
}

#[test]
fn counters_and_what_is_no_traffic_are_counted() {
    let arp = sample(2, 0, &[raw(&ether(0x0806, &[0; 28]), 64)]);
    let cut = sample(3, 0, &[raw(&segment()[..20], 64)]);
    let ring = sample(4, 0, &[framed(1, &[words(&[3, 64, 0]), opaque(&[0; 60])].concat())]);
    let other = framed(4_300 << 12 | 1_002, &[0; 12]);
    let bench = Bench::of(&[datagram(1, &[framed(2, &[0; 40]), framed(4, &[0; 40]), arp, cut, ring, other])]);
    assert_eq!((bench.flows.len(), bench.ledger.summary.options_records), (0, 2));
    assert_eq!(bench.dropped("sample without an ip packet").0, 1);
    assert_eq!(bench.dropped("packet cut by the capture's snap length").0, 1);
    assert_eq!(bench.dropped("link type is not supported").0, 1);
    assert_eq!(bench.dropped("sflow sample of another kind"), (1, 20));
    assert_eq!(bench.ledger.summary.coverage().total().lost.count, 2);
}

#[test]
fn damage_keeps_what_is_sound() {
    let good = sample(1, 0, &[raw(&segment(), 64)]);
    // A record that is longer than its sample, a sample that is longer than its datagram, one that is too short.
    let long_record = sample(2, 0, &[raw(&segment(), 64), words(&[1, 500])]);
    let short = framed(1, &[0; 8]);
    let bench = Bench::of(&[datagram(1, &[short, long_record, good.clone(), words(&[1, 900, 0])])]);
    assert_eq!(bench.flows.len(), 2);
    assert_eq!(bench.dropped("sflow record length does not fit").0, 1);
    assert_eq!(bench.dropped("sflow sample length does not fit").0, 2);
    let mut trailing = datagram(2, std::slice::from_ref(&good));
    trailing.extend([1; 7]);
    let bench = Bench::of(&[trailing]);
    assert_eq!((bench.flows.len(), bench.dropped("bytes after the datagram's end")), (1, (1, 7)));
    let bench = Bench::of(&[vec![0, 0, 0, 5, 0, 0, 0, 1, 0], b"GET / HTTP/1.1".to_vec()]);
    assert_eq!(bench.dropped("datagram shorter than its header").0, 1);
    assert_eq!(bench.dropped(NOT_SFLOW).0, 1);
    // A header that was cut off by the end of the datagram still has its addresses.
    let whole = datagram(3, &[good]);
    let mut cut = Bench::of(&[]);
    cut.take(&whole[..whole.len() - 4]);
    assert_eq!(cut.flows.len(), 0);
    assert_eq!(cut.ledger.summary.rejected, 1);
}

#[test]
fn files_of_datagrams_are_read_on_after_damage() {
    let read = |bytes: Vec<u8>| {
        let mut reader = crate::open("auto", Input::new("x", std::io::Cursor::new(bytes))).unwrap();
        assert_eq!(reader.source(), "sflow");
        let mut batch = FlowBatch::new("sflow");
        while reader.read(&mut batch).unwrap() {}
        (batch, reader.summary().clone())
    };
    let one = sample_datagram();
    let bad = datagram(2, &[words(&[1, 900, 0, 0])]);
    let (flows, summary) =
        read([&one[..], &one, &[0, 0, 0, 0, 9, 9, 9, 9], &one, &bad, &one, &[0; 5]].concat());
    assert_eq!((flows.len(), summary.datagrams, summary.untimed), (4, 5, 4));
    assert_eq!(summary.dropped["bytes between datagrams"].count, 2);
    assert_eq!(summary.bytes_read as usize, 4 * one.len() + bad.len() + 13);
}

#[test]
fn agents_are_forgotten_before_they_are_too_many() {
    let mut bench = Bench::of(&[]);
    bench.decoder = Decoder::new(100);
    for agent in 0..150_u32 {
        bench.take(&words(&[5, 1, 0x0a00_0000 + agent, 0, 1, 1, 0]));
    }
    assert_eq!(bench.dropped("limit on sflow data sources reached"), (101, 0));
    assert_eq!(bench.ledger.summary.datagrams, 150);
    assert_eq!(bench.flows.exporters.len(), 150);
}
