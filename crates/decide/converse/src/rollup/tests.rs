use super::*;
use model::Flow;
use proptest::prelude::*;

const HOUR: Micros = 3_600_000_000;

fn flow(src: u32, from: u16, dst: u32, to: u16, client: Client) -> Flow {
    Flow {
        src: Ip::v4(src),
        dst: Ip::v4(dst),
        protocol: 6,
        src_port: from,
        dst_port: to,
        packets: 3,
        bytes: 300,
        present: FlowBatch::HAS_PORTS | FlowBatch::HAS_COUNTS,
        client,
        client_confidence: 0.9,
        ..Flow::default()
    }
}

fn batch(flows: impl IntoIterator<Item = Flow>) -> FlowBatch {
    let mut batch = FlowBatch::new("test");
    batch.exporters.push(Exporter("router".into()));
    flows.into_iter().for_each(|flow| batch.push(flow));
    batch
}

#[test]
fn both_halves_meet_in_one_row() {
    let mut rollup = Rollup::new(HOUR);
    rollup.add(&batch([
        flow(1, 40_000, 2, 443, Client::Src),
        flow(2, 443, 1, 40_000, Client::Dst),
        flow(1, 40_001, 2, 443, Client::Src),
    ]));
    let rows = rollup.drain();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.client, row.server, row.service), (Ip::v4(1), Ip::v4(2), Service::tcp(443)));
    assert_eq!((row.flows, row.reverse_flows, row.packets, row.reverse_packets), (2, 1, 6, 3));
    assert!((row.confidence_sum - 2.7).abs() < 1e-6);
    assert!(rollup.is_empty());
}

#[test]
fn unknown_direction_is_kept_with_half_a_confidence() {
    let mut rollup = Rollup::new(HOUR);
    rollup.add(&batch([
        flow(1, 50_001, 2, 50_000, Client::Unknown),
        flow(2, 50_000, 1, 50_001, Client::Unknown),
        flow(9, 123, 3, 123, Client::Unknown),
        flow(3, 123, 9, 123, Client::Unknown),
    ]));
    let rows = rollup.drain();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.flows == 1 && row.reverse_flows == 1 && row.confidence_sum == 1.0));
    assert_eq!(rows.iter().map(|row| row.client_port).collect::<Vec<_>>(), [Some(50_001), Some(123)]);
}

#[test]
fn rows_of_uncertain_direction_are_bounded() {
    let mut rollup = Rollup::new(HOUR);
    for port in 0..3_u32 {
        let flows = (1..=30_000).map(|from| flow(port, from, 9, 40_000, Client::Unknown));
        rollup.add(&batch(flows));
    }
    let rows = rollup.drain();
    let open = rows.iter().filter(|row| row.client_port.is_some()).count();
    assert!((OPEN_MAX..OPEN_MAX + BLOCK_ROWS).contains(&open), "{open}");
    assert_eq!(rows.iter().map(|row| row.flows + row.reverse_flows).sum::<u64>(), 90_000);
}

#[test]
fn an_echo_and_its_reply_are_one_service() {
    let echo = |src, dst, kind: u16, client| Flow {
        protocol: 1,
        dst_port: kind << 8,
        present: FlowBatch::HAS_ICMP,
        ..flow(src, 0, dst, 0, client)
    };
    let mut rollup = Rollup::new(HOUR);
    rollup.add(&batch([echo(1, 2, 8, Client::Src), echo(2, 1, 0, Client::Dst)]));
    let rows = rollup.drain();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].service, Service::new(Protocol::ICMP, 8 << 8));
}

proptest! {
    #[test]
    fn nothing_is_lost(
        flows in proptest::collection::vec(
            (0_u32..5, 0_u32..5, 0_u16..4, 0_u16..4, -2_i64..3, 0_u8..3, 0_u32..3), 0..60)
    ) {
        let rows = flows.iter().map(|&(src, dst, from, to, hour, client, exporter)| Flow {
            start: hour * HOUR + 5,
            end: hour * HOUR + 9,
            exporter,
            ..flow(src, from, dst, to, Client::from_code(client))
        });
        let batch = batch(rows);
        let mut rollup = Rollup::new(HOUR);
        rollup.add(&batch);
        let rows = rollup.drain();
        let records: u64 = rows.iter().map(|row| row.flows + row.reverse_flows).sum();
        let packets: u64 = rows.iter().map(|row| row.packets + row.reverse_packets).sum();
        prop_assert_eq!(records, batch.len() as u64);
        prop_assert_eq!(packets, 3 * batch.len() as u64);
        prop_assert!(rows.iter().all(|row| row.hour <= row.first && row.first < row.hour + HOUR));
        prop_assert!(rows.is_sorted_by(|a, b| (a.hour, &a.exporter, a.client, a.server, a.service, a.client_port)
            < (b.hour, &b.exporter, b.client, b.server, b.service, b.client_port)));
    }
}
