use std::fmt::Write as _;

use model::{
    AddressClaim, Conversation, Endpoint, Inventory, Ip, IpSet, Labels, Micros, Packet, Protocol, Service,
    Workload, WorkloadId,
};
use policy::{Resolved, Verdict, resolve};
use proptest::prelude::*;

use super::*;

const HOUR_US: Micros = 3_600_000_000;

fn ip(last: u32) -> Ip {
    Ip::v4(0x0a00_0000 + last)
}

/// Hosts `h0`.. at 10.0.0.0..; the first half is labelled `env=a`, the others `env=b`.
fn inventory(hosts: u32) -> Inventory {
    let workload = |n: u32| Workload {
        id: WorkloadId(format!("h{n}")),
        name: format!("h{n}"),
        labels: Labels::from([(String::from("env"), String::from(if n < hosts / 2 { "a" } else { "b" }))]),
        criticality: None,
        addresses: vec![AddressClaim { ip: ip(n), from: 0, to: Micros::MAX }],
    };
    Inventory::new((0..hosts).map(workload).collect()).unwrap()
}

fn resolved(text: &str, hosts: u32) -> Resolved {
    let set = policy::parse(&[(String::from("p.yaml"), text.to_owned())])
        .unwrap_or_else(|e| panic!("{text}\n{e:?}"));
    resolve(&set, &inventory(hosts).as_of(1))
}

fn talk(client: u32, server: u32, service: &str, flows: u64) -> Conversation {
    let endpoint = |n: u32| Endpoint { ip: ip(n), workload: (n < 8).then(|| WorkloadId(format!("h{n}"))) };
    Conversation {
        client: endpoint(client),
        server: endpoint(server),
        service: service.parse().unwrap(),
        confidence: 0.95,
        flows,
        packets: flows * 3,
        bytes: flows * 100,
        reverse_packets: flows * 2,
        reverse_bytes: flows * 900,
        first: 0,
        last: 5 * HOUR_US,
        hours: 4,
        allowed: 0,
        denied: 0,
        tcp_flags: 0,
    }
}

const POLICY: &str = "
kind: Guardrail
owner: secops
deny:
  - {id: no-ssh, from: env=a, to: env=a, ports: [tcp/22], why: lateral movement}
allow:
  - {id: dns, from: any, to: cidr:10.0.0.1/32, ports: [udp/53], why: names}
---
kind: SegmentPolicy
scope: env=a
owner: team-a
mode: test
allow:
  - {id: web, from: cidr:10.0.0.0/30, to: cidr:10.0.0.2/32, ports: [tcp/443], why: web}
  - {id: idle, from: cidr:10.0.0.3/32, to: cidr:10.0.0.0/32, ports: [tcp/1], why: idle}
";

#[test]
fn a_replay_says_what_became_of_everything() {
    let mut uncertain = talk(0, 2, "tcp/443", 2);
    uncertain.confidence = 0.5;
    let mut unanswered = talk(0, 3, "tcp/9", 1);
    (unanswered.reverse_packets, unanswered.reverse_bytes) = (0, 0);
    let history = [
        talk(0, 2, "tcp/443", 100),
        talk(0, 1, "udp/53", 50),
        talk(0, 3, "tcp/22", 5),
        talk(1, 3, "tcp/80", 20),
        talk(5, 6, "tcp/80", 7),
        talk(20, 2, "tcp/80", 3),
        uncertain,
        unanswered,
    ];
    let replay = simulate(&resolved(POLICY, 8), &history, &SimulateOptions::default());
    assert_eq!(
        replay.conversations,
        Tally { total: 8, allowed: 2, would_block: 3, unknown: 2, unmanaged: 1 }
    );
    assert_eq!(replay.unknown_reasons, Unknown { direction: 1, identity: 1, gone: 0 });
    assert_eq!((replay.flows_total, replay.allowed, replay.would_block), (188, 150, 26));
    assert_eq!((replay.unknown, replay.unmanaged), (5, 7));
    assert!((replay.coverage - 2.0 / 7.0).abs() < 1e-6);
    assert!((replay.coverage_legitimate - 2.0 / 6.0).abs() < 1e-6, "the unanswered one is left out");
    let rules: Vec<_> = replay.by_rule.iter().map(|rule| (rule.rule.as_str(), rule.flows)).collect();
    assert_eq!(rules, [("dns", 50), ("no-ssh", 5), ("web", 100)]);
    assert_eq!(replay.unused_rules, ["idle"]);
    let owners: Vec<_> =
        replay.by_owner.iter().map(|o| (o.owner.as_str(), o.allowed, o.would_block)).collect();
    assert_eq!(owners, [("secops", 1, 1), ("team-a", 1, 2)]);
}

#[test]
fn blocked_conversations_come_with_why_and_what_to_think() {
    let mut probe = talk(1, 3, "tcp/9", 500);
    (probe.reverse_packets, probe.reverse_bytes) = (0, 0);
    let mut rare = talk(5, 2, "tcp/443", 1);
    rare.hours = 1;
    let history = [probe, rare, talk(0, 2, "tcp/443", 9), talk(0, 3, "tcp/22", 60)];
    let replay = simulate(&resolved(POLICY, 8), &history, &SimulateOptions::default());
    let told: Vec<_> = replay
        .blocked
        .iter()
        .map(|b| (b.client.as_str(), b.rule.as_deref(), b.plausibility, b.note.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "h0",
                Some("no-ssh"),
                Plausibility::LikelyLegitimate,
                "answered, 60 connections in 4 hours; no rule lets anybody else ask for this"
            ),
            (
                "h5",
                None,
                Plausibility::Unclear,
                "answered, 1 connection in 1 hour; the server gives this to others by rule"
            ),
            ("h1", None, Plausibility::LikelyNoise, "never answered"),
        ]
    );
    assert_eq!(replay.blocked[1].owner, "team-a");
    let cut = SimulateOptions { blocked_limit: 1, ..SimulateOptions::default() };
    let replay = simulate(&resolved(POLICY, 8), &history, &cut);
    assert_eq!((replay.blocked.len(), replay.blocked_total), (1, 3));
}

#[test]
fn false_blocks_leave_out_scans_refusals_and_suspects() {
    let mut history: Vec<Conversation> =
        (0..30).map(|port| talk(3, 0, &format!("tcp/{}", 100 + port), 1)).collect();
    for probe in &mut history[..25] {
        (probe.reverse_packets, probe.reverse_bytes) = (0, 0);
    }
    let mut refused = talk(0, 3, "tcp/7", 1);
    refused.denied = 1;
    history.extend([refused, talk(0, 2, "tcp/443", 9), talk(1, 2, "tcp/443", 1), talk(2, 3, "tcp/80", 10)]);
    let policy = resolved(POLICY, 8);
    let estimate = simulate(&policy, &history, &SimulateOptions::default()).false_block_estimate;
    assert_eq!((estimate.legitimate, estimate.pairs), (3, 3));
    assert!((estimate.mid - 1.0 / 3.0).abs() < 1e-6 && (estimate.connections.mid - 0.5).abs() < 1e-6);
    assert!(estimate.low < estimate.mid && estimate.mid < estimate.high && estimate.high > 0.7);
    let suspects = SimulateOptions { suspects: IpSet::single(ip(2)), ..SimulateOptions::default() };
    assert_eq!(simulate(&policy, &history, &suspects).false_block_estimate.mid, 0.0);
    let nothing = simulate(&policy, &[], &SimulateOptions::default());
    assert_eq!(
        (nothing.coverage, nothing.false_block_estimate.high),
        (1.0, 1.0),
        "nothing seen, nothing known"
    );
}

#[test]
fn a_workload_that_moved_is_replayed_where_it_is_now() {
    let inventory = inventory(8);
    let view = inventory.as_of(1);
    let options = SimulateOptions::at(&view);
    let policy = resolved(POLICY, 8);
    let mut moved = talk(0, 2, "tcp/443", 1);
    moved.client.ip = ip(77);
    let mut gone = talk(0, 2, "tcp/443", 1);
    gone.client.workload = Some(WorkloadId("retired".into()));
    let replay = simulate(&policy, &[moved, gone], &options);
    assert_eq!((replay.conversations.allowed, replay.unknown_reasons.gone), (1, 1));
}

#[test]
fn over_permission_counts_triples_over_the_hosts_and_services_seen() {
    // Hosts 0 to 3 and two services are seen. `web` allows 0, 1 and 3 to ask 2; `dns` allows 0, 2 and 3 to ask 1.
    let history = [talk(0, 2, "tcp/443", 1), talk(3, 1, "udp/53", 1), talk(0, 2, "tcp/443", 1)];
    let replay = simulate(&resolved(POLICY, 8), &history, &SimulateOptions::default());
    assert_eq!((replay.over_permission, replay.over_permission_is_bound), (f64::from(3 + 3) / 2.0, false));
}

#[test]
fn the_unseen_mass_is_what_was_seen_once() {
    let history = [talk(0, 2, "tcp/443", 1), talk(1, 2, "tcp/443", 99)];
    let replay = simulate(&resolved(POLICY, 8), &history, &SimulateOptions::default());
    assert_eq!((replay.unseen_mass, replay.unseen_mass_by_hour), (0.01, Some(0.0)));
}

#[test]
fn the_json_form_has_the_names_that_scripts_read() {
    let replay = simulate(&resolved(POLICY, 8), &[talk(1, 3, "tcp/80", 20)], &SimulateOptions::default());
    let json = serde_json::to_value(&replay).unwrap();
    for name in [
        "format_version",
        "flows_total",
        "allowed",
        "would_block",
        "unknown",
        "coverage",
        "over_permission",
        "by_rule",
    ] {
        assert!(!json[name].is_null(), "{name}");
    }
    assert!(json["false_block_estimate"]["low"].is_f64() && json["false_block_estimate"]["high"].is_f64());
    assert_eq!(json["blocked"][0]["last"], "1970-01-01T05:00:00.000Z");
}

/// Policies over 10.0.0.0/26 with overlapping blocks, ranges of ports and every kind of rule.
fn any_policy() -> impl Strategy<Value = String> {
    let peer = prop_oneof![
        1 => Just(String::from("any")),
        1 => Just(String::from("env=a")),
        1 => Just(String::from("env=b")),
        6 => (0..64_u32, 26..33_u32).prop_map(|(base, length)| format!("cidr:10.0.0.{base}/{length}")),
    ];
    let ports = prop_oneof![
        Just(String::from("")),
        Just(String::from(", ports: [icmp/8, gre]")),
        (0..6_u16, 0..4_u16)
            .prop_map(|(low, more)| format!(", ports: [tcp/{low}-{}, udp/{low}]", low + more)),
        Just(String::from(", ports: [tcp]")),
    ];
    let rule = (0..3_usize, peer.clone(), peer, ports);
    (proptest::collection::vec(rule, 0..150), any::<bool>()).prop_map(|(rules, governed)| {
        let mut parts = [String::new(), String::new(), String::new()];
        for (number, (kind, from, to, ports)) in rules.iter().enumerate() {
            writeln!(parts[*kind], "  - {{id: r{number}, from: \"{from}\", to: \"{to}\"{ports}, why: x}}")
                .unwrap();
        }
        let [guard_allow, guard_deny, allow] =
            parts.map(|rules| if rules.is_empty() { String::from(" []\n") } else { format!("\n{rules}") });
        let scope = if governed { "env=a" } else { "env=none" };
        format!(
            "kind: Guardrail\nowner: o\nallow:{guard_allow}deny:{guard_deny}---\n\
             kind: SegmentPolicy\nscope: {scope}\nowner: o\nmode: test\nallow:{allow}"
        )
    })
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let protocol = prop_oneof![4 => Just(6_u8), 2 => Just(17), 1 => Just(1), 1 => Just(47), 1 => Just(255)];
    let selector = prop_oneof![4 => 0..12_u16, 1 => Just(2048), 1 => any::<u16>()];
    (0..70_u32, 0..70_u32, protocol, selector).prop_map(|(from, to, protocol, selector)| Packet {
        source: ip(from),
        destination: ip(to),
        protocol: Protocol(protocol),
        selector,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_fast_evaluator_agrees_with_the_naive_one(
        text in any_policy(),
        packets in proptest::collection::vec(any_packet(), 200),
    ) {
        let resolved = resolved(&text, 64);
        let evaluator = Evaluator::new(&resolved);
        for packet in packets {
            prop_assert_eq!(evaluator.decide(&packet), resolved.decide(&packet), "{}", packet);
        }
    }

    #[test]
    fn a_range_is_allowed_when_every_port_is(text in any_policy(), low in 0..8_u16, more in 0..4_u16) {
        let resolved = resolved(&text, 64);
        let evaluator = Evaluator::new(&resolved);
        let service = Service::range(Protocol::TCP, low, low + more);
        let each = |selector| {
            let packet = Packet { source: ip(3), destination: ip(40), protocol: Protocol::TCP, selector };
            resolved.decide(&packet).verdict == Verdict::Allow
        };
        let whole = evaluator.decide_service(ip(3), ip(40), service).verdict == Verdict::Allow;
        prop_assert_eq!(whole, (low..=low + more).all(each));
    }
}
