//! The two halves of a conversation, and its slices over time, joined into one flow.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Client, Direction, Flow, FlowBatch, Ip, Micros, Protocol, Verdict};

use crate::rollup::request_selector;

/// An earlier start tells the client only beyond what exporters' clocks resolve.
const START_GRANULARITY_US: Micros = 10_000;
/// How often an earlier start is right where nothing else is known.
const EARLIER_STARTS: f32 = 0.75;

/// One flow for each connection: rows of one exporter, verdict and 5-tuple (either way round) that begin within
/// `gap_us` of what is already joined become one, the client first where it is known, with the other half's counts
/// as reverse counts. Rows come out sorted by start. Details are kept of the first row.
///
/// Where neither half knows its client and the halves start at clearly different times, the earlier asks; many
/// exporters give both halves one start, and then it stays unknown.
pub fn stitch(batch: &FlowBatch, gap_us: Micros) -> FlowBatch {
    let mut order: Vec<u32> = (0..batch.len() as u32).collect();
    order.sort_by_key(|row| batch.start[*row as usize]);
    let mut open: HashMap<Key, usize, FixedState> = HashMap::with_hasher(FixedState::with_seed(0x5374_6974));
    let mut joined: Vec<Joined> = Vec::new();
    for row in order {
        let flow = batch.get(row as usize);
        let key = Key::of(&flow);
        match open.get(&key) {
            Some(&at) if flow.start <= joined[at].flow.end.saturating_add(gap_us) => joined[at].join(&flow),
            _ => {
                open.insert(key, joined.len());
                joined.push(Joined::new(row, flow));
            }
        }
    }
    let mut result = FlowBatch::new(batch.source);
    result.exporters.clone_from(&batch.exporters);
    for (at, one) in joined.into_iter().enumerate() {
        let (first_row, turned) = (one.row, one.client_is_dst());
        result.push(one.finish());
        if let Some(details) = batch.details.get(&first_row) {
            let mut details = details.clone();
            if turned {
                std::mem::swap(&mut details.src_workload, &mut details.dst_workload);
                std::mem::swap(&mut details.nat_src_ip, &mut details.nat_dst_ip);
                std::mem::swap(&mut details.nat_src_port, &mut details.nat_dst_port);
            }
            result.details.insert(at as u32, details);
        }
    }
    result
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    low: (Ip, u16),
    high: (Ip, u16),
    protocol: u8,
    verdict: Verdict,
    exporter: u32,
}

impl Key {
    fn of(flow: &Flow) -> Self {
        let icmp = Protocol(flow.protocol).is_icmp();
        let selector = request_selector(flow.protocol, flow.dst_port);
        let ports = if icmp { (selector, selector) } else { (flow.src_port, flow.dst_port) };
        let (a, b) = ((flow.src, ports.0), (flow.dst, ports.1));
        let (protocol, verdict, exporter) = (flow.protocol, flow.verdict, flow.exporter);
        Self { low: a.min(b), high: a.max(b), protocol, verdict, exporter }
    }
}

/// A flow under way, in the direction of its first row.
struct Joined {
    row: u32,
    flow: Flow,
    reverse_start: Option<Micros>,
}

impl Joined {
    fn new(row: u32, mut flow: Flow) -> Self {
        if flow.present & FlowBatch::HAS_REVERSE == 0 {
            (flow.reverse_packets, flow.reverse_bytes) = (0, 0);
        }
        Self { row, flow, reverse_start: None }
    }

    fn join(&mut self, other: &Flow) {
        let flow = &mut self.flow;
        let turned = (other.src, other.src_port) != (flow.src, flow.src_port)
            || (Protocol(flow.protocol).is_icmp() && other.dst_port != flow.dst_port);
        let (mut there, mut back) = ((other.packets, other.bytes), (0, 0));
        if other.present & FlowBatch::HAS_REVERSE != 0 {
            back = (other.reverse_packets, other.reverse_bytes);
        }
        if turned {
            std::mem::swap(&mut there, &mut back);
            self.reverse_start.get_or_insert(other.start);
            flow.present |= FlowBatch::HAS_REVERSE;
            flow.direction = Direction::Unknown;
        }
        flow.packets = flow.packets.saturating_add(there.0);
        flow.bytes = flow.bytes.saturating_add(there.1);
        flow.reverse_packets = flow.reverse_packets.saturating_add(back.0);
        flow.reverse_bytes = flow.reverse_bytes.saturating_add(back.1);
        flow.end = flow.end.max(other.end);
        flow.tcp_flags |= other.tcp_flags;
        flow.present |= other.present;
        flow.sampling = flow.sampling.max(other.sampling);
        let client = if turned { swapped(other.client) } else { other.client };
        if other.client_confidence > flow.client_confidence || flow.client == Client::Unknown {
            flow.client = client;
            flow.client_confidence = other.client_confidence;
        }
    }

    fn client_is_dst(&self) -> bool {
        self.flow.client == Client::Dst
    }

    fn finish(self) -> Flow {
        let mut flow = self.flow;
        match (flow.client, self.reverse_start) {
            (Client::Dst, _) => turn(&mut flow),
            (Client::Unknown, Some(answer)) if answer - flow.start >= START_GRANULARITY_US => {
                (flow.client, flow.client_confidence) = (Client::Src, EARLIER_STARTS);
            }
            _ => {}
        }
        flow
    }
}

fn turn(flow: &mut Flow) {
    std::mem::swap(&mut flow.src, &mut flow.dst);
    if Protocol(flow.protocol).is_icmp() {
        flow.dst_port = request_selector(flow.protocol, flow.dst_port);
    } else {
        std::mem::swap(&mut flow.src_port, &mut flow.dst_port);
    }
    std::mem::swap(&mut flow.packets, &mut flow.reverse_packets);
    std::mem::swap(&mut flow.bytes, &mut flow.reverse_bytes);
    flow.present |= FlowBatch::HAS_REVERSE;
    flow.client = Client::Src;
    flow.direction = match flow.direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
        Direction::Unknown => Direction::Unknown,
    };
}

const fn swapped(client: Client) -> Client {
    match client {
        Client::Src => Client::Dst,
        Client::Dst => Client::Src,
        Client::Unknown => Client::Unknown,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            (client(0), client(9_999), client(10_000)),
            (Client::Unknown, Client::Unknown, Client::Src)
        );
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
}
