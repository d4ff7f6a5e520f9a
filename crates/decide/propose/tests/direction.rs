//! From flows to rules: what is not certain to be asked by one side never becomes a rule that only that side may ask.

use converse::{Rollup, ServiceTable, orient, resolve};
use graph::BuildOptions;
use model::{
    AddressClaim, Exporter, Flow, FlowBatch, Inventory, Ip, Labels, Micros, RollupRow, Segment, SegmentId,
    Segmentation, Service, Workload, WorkloadId,
};
use propose::{Proposal, ProposeOptions, QuarantineReason, propose};

const HOUR_US: Micros = 3_600_000_000;

fn workload(number: u32) -> Workload {
    Workload {
        id: WorkloadId(format!("host-{number}")),
        name: format!("host-{number}"),
        labels: Labels::new(),
        criticality: None,
        addresses: vec![AddressClaim {
            ip: Ip::v4(0x0a00_0000 + number),
            from: Micros::MIN,
            to: Micros::MAX,
        }],
    }
}

/// Both halves of UDP conversations: (a, its port, b, its port).
fn hour(number: i64, ends: &[(u32, u16, u32, u16)]) -> Vec<RollupRow> {
    let mut batch = FlowBatch::new("test");
    batch.exporters.push(Exporter("router".into()));
    for &(a, from, b, to) in ends {
        let there = Flow {
            src: Ip::v4(0x0a00_0000 + a),
            dst: Ip::v4(0x0a00_0000 + b),
            protocol: 17,
            src_port: from,
            dst_port: to,
            start: number * HOUR_US,
            end: number * HOUR_US + 1_000_000,
            packets: 20,
            bytes: 2_000,
            sampling: 1,
            present: FlowBatch::HAS_PORTS | FlowBatch::HAS_COUNTS,
            ..Flow::default()
        };
        let back = Flow { src: there.dst, dst: there.src, src_port: to, dst_port: from, ..there.clone() };
        batch.push(there);
        batch.push(back);
    }
    let mut table = ServiceTable::new();
    table.learn(&batch);
    orient(&mut batch, &table);
    let mut rollup = Rollup::new(HOUR_US);
    rollup.add(&batch);
    rollup.drain()
}

fn proposal(rows: Vec<RollupRow>) -> Proposal {
    let workloads: Vec<Workload> = (1..=40).map(workload).collect();
    let segments = (1..=40).map(|number| Segment {
        id: SegmentId(format!("s{number:02}")),
        name: format!("s{number:02}"),
        members: vec![WorkloadId(format!("host-{number}"))],
        confidence: 1.0,
        reasons: Vec::new(),
    });
    let segmentation = Segmentation { segments: segments.collect(), unassigned: Vec::new() };
    let inventory = Inventory::new(workloads).unwrap_or_default();
    let conversations = resolve(rows, &inventory);
    let graph = graph::build(&conversations, &inventory.as_of(HOUR_US), &BuildOptions::default());
    propose(&graph, &segmentation, &ProposeOptions { as_of: 10 * HOUR_US, ..ProposeOptions::default() })
}

fn allows(proposal: &Proposal, service: Service) -> bool {
    proposal
        .rules
        .iter()
        .any(|rule| rule.services.iter().any(|s| s.low <= service.low && service.high <= s.high))
}

#[test]
fn peers_that_only_hear_each_other_give_no_rule() {
    let sound: Vec<_> = (2..12).map(|n| (n, 40_000 + n as u16, 1, 53)).collect();
    let peers = [(20, 2_152, 21, 2_152), (22, 51_413, 23, 50_321)];
    let rows: Vec<_> = (0..9).flat_map(|n| hour(n, &[&sound[..], &peers[..]].concat())).collect();
    let proposal = proposal(rows);
    assert!(allows(&proposal, Service::udp(53)));
    for port in [2_152, 51_413, 50_321] {
        assert!(!allows(&proposal, Service::udp(port)), "{port}: {:?}", proposal.rules);
    }
    let uncertain = |q: &&propose::Quarantined| q.reason == QuarantineReason::UncertainDirection;
    assert_eq!(proposal.quarantined.iter().filter(uncertain).count(), 2, "{:?}", proposal.quarantined);
}

#[test]
fn later_clients_make_a_rule_of_what_was_uncertain() {
    let first = hour(0, &[(2, 40_000, 1, 41_240)]);
    let mut rows = first.clone();
    assert!(!allows(&proposal(first), Service::udp(41_240)));
    for number in 1..9 {
        let clients: Vec<_> =
            (2..30).map(|n| (n, 42_000 + n as u16 * 100 + number as u16, 1, 41_240)).collect();
        rows.extend(hour(number, &clients));
    }
    let proposal = proposal(rows);
    assert!(allows(&proposal, Service::udp(41_240)));
    assert!(proposal.rules.iter().all(|rule| rule.evidence.confidence > 0.9));
}
