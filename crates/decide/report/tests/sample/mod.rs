//! Invented stories: one like the demo's, and one that is as large as wanted.

mod attack;
mod crowd;
mod network;
mod rules;

use model::{Micros, SourceLocation};
use report::*;

pub(crate) use crowd::crowd;

/// 2026-11-20 08:00:00 UTC.
const START: Micros = 1_795_161_600_000_000;

fn minute(n: i64) -> Micros {
    START + n * 60_000_000
}

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn at(file: &str, line: u32) -> Option<SourceLocation> {
    Some(SourceLocation { file: file.into(), line, column: 5 })
}

/// A story like the demo's: 30 workloads in 14 segments.
pub(crate) fn story() -> Story {
    let assertion = |sentence: &str, line, result, witness: Option<&str>| StoryAssertion {
        sentence: sentence.into(),
        location: at("policies/00-guardrails.yaml", line),
        result,
        witness: witness.map(Into::into),
    };
    let point = |name: &str, rules, over_permission, coverage, chosen| StoryFrontierPoint {
        name: name.into(),
        rules,
        over_permission,
        coverage,
        chosen,
    };
    let blocked = |client: &str, server: &str, service: &str, flows, why: &str, legitimate| StoryBlocked {
        client: client.into(),
        server: server.into(),
        service: service.into(),
        flows,
        first: minute(9),
        last: minute(12),
        why: why.into(),
        legitimate: Some(legitimate),
    };
    let quarantined = |client: &str, server: &str, service: &str, flows, reason: &str| StoryQuarantined {
        client: client.into(),
        server: server.into(),
        service: service.into(),
        flows,
        reason: reason.into(),
    };
    Story {
        map: network::map(),
        headline: None,
        numbers: StoryNumbers {
            flows_read: 104_976,
            conversations: 612,
            workloads: 30,
            ari: Some(0.93),
            learnt_within: 0,
            holdout_flows: 18_204,
            holdout_allowed: 18_167,
            holdout_would_block: 21,
            holdout_unknown: 16,
            coverage: Some(0.9989),
            over_permission: Some(0.184),
            false_block: Some(StoryEstimate { low: 0.000_04, mid: 0.000_11, high: 0.000_4 }),
        },
        unassigned: vec![StoryUnassigned {
            workload: "printer-1".into(),
            reason: "2 flows in the learning window, none answered".into(),
            nearest: vec![("sensors".into(), 0.41), ("workstations".into(), 0.22)],
        }],
        rules: rules::rules(),
        frontier: vec![
            point("environment", 4, 0.81, 1.0, false),
            point("segment, any service", 14, 0.46, 0.9995, false),
            point("segment and service", 18, 0.184, 0.9989, true),
            point("segment, service, seen clients", 41, 0.09, 0.981, false),
            point("workload and service", 143, 0.0, 0.934, false),
        ],
        blocked: vec![
            blocked(
                "dev-1",
                "db-1",
                "tcp/5432",
                14,
                "default deny: no rule lets development reach orders database",
                false,
            ),
            blocked(
                "app-2",
                "db-2",
                "tcp/5433",
                1,
                "default deny: tcp/5433 was not seen while learning; nearest rule application-to-orders-database",
                true,
            ),
            blocked(
                "web-3",
                "mail-1",
                "tcp/587",
                1,
                "default deny: one-off, quarantined while learning",
                true,
            ),
        ],
        quarantined: vec![
            quarantined("ws-04", "30 hosts", "412 ports", 1_204, "scan: 398 of 412 ports never answered"),
            quarantined("dev-1", "db-1", "tcp/5432", 6, "crosses env: dev asks prod; needs a person's word"),
            quarantined("web-3", "mail-1", "tcp/587", 1, "one-off: 1 flow in 8 min"),
            quarantined("10.20.0.255", "sensors", "udp/137", 18, "broadcast"),
        ],
        attack: Some(attack::attack()),
        assertions: vec![
            assertion("env=dev cannot reach segment:orders-database", 31, Proof::Holds, None),
            assertion("segment:web can reach segment:application on tcp/9000", 32, Proof::Holds, None),
            assertion(
                "segment:workstations cannot reach env=prod on tcp/22",
                33,
                Proof::Violated,
                Some("10.20.0.10 to 10.20.7.10 on tcp/22: workstations-to-bastion allows it"),
            ),
            assertion(
                "group:contractors cannot reach segment:orders-database",
                34,
                Proof::CannotTell,
                Some("no identity source says who is in group:contractors"),
            ),
        ],
        notes: vec![StoryNote {
            title: "Lab".into(),
            text: "Recorded with seed 7; the truth was written by the hosts that made the traffic.".into(),
        }],
    }
}
