use super::*;
use proptest::prelude::*;

fn flow(src: u32, from: u16, dst: u32, to: u16, start: Micros) -> Flow {
    Flow {
        src: Ip::v4(src),
        dst: Ip::v4(dst),
        protocol: 6,
        src_port: from,
        dst_port: to,
        start,
        end: start + 10,
        packets: 2,
        bytes: 100,
        present: FlowBatch::HAS_PORTS | FlowBatch::HAS_COUNTS,
        ..Flow::default()
    }
}

fn stitched(flows: &[Flow], gap_us: Micros) -> Vec<Flow> {
    let mut batch = FlowBatch::new("test");
    flows.iter().for_each(|flow| batch.push(flow.clone()));
    let result = stitch(&batch, gap_us);
    (0..result.len()).map(|row| result.get(row)).collect()
}

#[test]
fn halves_join_with_the_client_first() {
    let answer = Flow { client: Client::Dst, client_confidence: 0.9, ..flow(2, 443, 1, 40_000, 0) };
    let joined = stitched(&[answer, flow(1, 40_000, 2, 443, 5)], 1_000);
    assert_eq!(joined.len(), 1);
    let one = &joined[0];
    assert_eq!((one.src, one.dst_port, one.client), (Ip::v4(1), 443, Client::Src));
    assert_eq!((one.packets, one.reverse_packets, one.start, one.end), (2, 2, 0, 15));
    assert!(one.present & FlowBatch::HAS_REVERSE != 0);
}

#[test]
fn a_gap_or_another_verdict_parts_them() {
    let there = flow(1, 40_000, 2, 443, 0);
    let late = flow(2, 443, 1, 40_000, 2_000);
    let refused = Flow { verdict: Verdict::Deny, ..flow(2, 443, 1, 40_000, 5) };
    assert_eq!(stitched(&[there.clone(), late], 1_000).len(), 2);
    assert_eq!(stitched(&[there, refused], 1_000).len(), 2);
}

#[test]
fn only_a_clearly_earlier_start_tells_the_client() {
    let there = flow(1, 50_000, 2, 50_001, 0);
    let back = |start| flow(2, 50_001, 1, 50_000, start);
    let client = |start| stitched(&[there.clone(), back(start)], 1_000_000)[0].client;
    assert_eq!((client(0), client(9_999), client(10_001)), (Client::Unknown, Client::Unknown, Client::Src));
    // All starts are whole seconds: one of them is what the clock blurs.
    assert_eq!(client(1_000_000), Client::Unknown);
}

#[test]
fn starts_of_an_exporter_that_gives_both_halves_one_say_nothing() {
    let pair =
        |n: u16, late: Micros| [flow(1, 50_000 + n, 2, 51_000, 7), flow(2, 51_000, 1, 50_000 + n, 7 + late)];
    let mut flows: Vec<Flow> = (0..4).flat_map(|n| pair(n, 0)).collect();
    flows.extend(pair(9, 50_001));
    assert!(stitched(&flows, 1_000_000).iter().all(|flow| flow.client == Client::Unknown));
}

#[test]
fn halves_and_slices_meet_across_batches() {
    let batch = |flows: &[Flow]| {
        let mut batch = FlowBatch::new("test");
        batch.exporters.push(Exporter("router".into()));
        flows.iter().for_each(|flow| batch.push(flow.clone()));
        batch
    };
    let minute = 60_000_000;
    let slice = |n: Micros| Flow { end: (n + 1) * minute, ..flow(1, 40_000, 2, 443, n * minute) };
    let answer = |n: Micros| Flow { end: (n + 1) * minute, ..flow(2, 443, 1, 40_000, n * minute) };
    let mut stitcher = Stitcher::new("test", minute);
    let mut told = stitcher.add(&batch(&[slice(0), answer(1)]));
    told.append(&stitcher.add(&batch(&[slice(1), answer(0), slice(2)])));
    assert_eq!(told.len(), 0);
    told.append(&stitcher.add(&batch(&[flow(8, 1, 9, 2, 200 * minute)])));
    assert_eq!((told.len(), told.packets[0], told.reverse_packets[0]), (1, 6, 4));
    assert_eq!((told.start[0], told.end[0]), (0, 3 * minute));
    assert_eq!(stitcher.finish().len(), 1);
}

#[test]
fn what_waits_is_bounded() {
    let mut stitcher = Stitcher { open_max: 100, ..Stitcher::new("test", 1_000) };
    let mut told = 0;
    for n in 0..50_u32 {
        let mut batch = FlowBatch::new("test");
        (0..20).for_each(|m| batch.push(flow(n, m, 9, 443, Micros::from(n) * 10)));
        told += stitcher.add(&batch).len();
        assert!(stitcher.open.len() <= 100);
    }
    assert_eq!(told + stitcher.finish().len(), 1_000);
}

#[test]
fn an_echo_joins_its_reply() {
    let echo = |src, dst, kind: u16| Flow {
        protocol: 1,
        dst_port: kind << 8,
        src_port: 0,
        present: FlowBatch::HAS_ICMP,
        client: if kind == 8 { Client::Src } else { Client::Dst },
        client_confidence: 0.99,
        ..flow(src, 0, dst, 0, 0)
    };
    let joined = stitched(&[echo(2, 1, 0), echo(1, 2, 8)], 0);
    assert_eq!(joined.len(), 1);
    assert_eq!((joined[0].src, joined[0].dst_port, joined[0].reverse_packets), (Ip::v4(1), 8 << 8, 2));
}

proptest! {
    #[test]
    fn packets_are_kept_and_stitching_again_changes_nothing(
        rows in proptest::collection::vec((0_u32..3, 0_u16..3, 0_u32..3, 0_u16..3, 0_i64..500, 0_u8..3), 0..40)
    ) {
        let flows: Vec<Flow> = rows
            .iter()
            .map(|&(src, from, dst, to, start, client)| Flow {
                client: Client::from_code(client),
                client_confidence: if client == 0 { 0.0 } else { 0.9 },
                ..flow(src, from, dst, to, start)
            })
            .collect();
        let once = stitched(&flows, 100);
        let packets = |flows: &[Flow]| flows.iter().map(|f| f.packets + f.reverse_packets).sum::<u64>();
        prop_assert_eq!(packets(&flows), packets(&once));
        prop_assert_eq!(&stitched(&once, 100), &once);
    }
}
