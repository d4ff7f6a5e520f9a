//! The invented intruder.

use model::SourceLocation;
use report::*;

use super::{at, minute, text};

pub(super) fn attack() -> StoryAttack {
    use StepOutcome::{Contained, Cut, Reached, Stopped};
    let step = |second: i64,
                sides: (&str, &str),
                service: &str,
                technique: (&str, &str),
                action: &str,
                outcome,
                by: &str,
                place: Option<SourceLocation>| StoryAttackStep {
        time: minute(13) + second * 1_000_000,
        from: sides.0.into(),
        to: sides.1.into(),
        service: service.into(),
        technique: technique.0.into(),
        technique_name: technique.1.into(),
        action: action.into(),
        outcome,
        decided_by: by.into(),
        location: place,
    };
    let guard = |line| at("policies/00-guardrails.yaml", line);
    StoryAttack {
        foothold: "ws-04".into(),
        steps: vec![
            step(
                4,
                ("ws-04", "30 hosts"),
                "",
                ("T1046", "Network Service Discovery"),
                "Scans every subnet for open ports",
                Stopped,
                "default deny",
                None,
            ),
            step(
                31,
                ("ws-04", "load-balancer"),
                "tcp/443",
                ("T1595.002", "Vulnerability Scanning"),
                "Probes the shop as staff may",
                Reached,
                "workstations-to-load-balancer",
                at("policies/load-balancer.yaml", 12),
            ),
            step(
                44,
                ("ws-04", "ws-02"),
                "tcp/22",
                ("T1021.004", "Remote Services: SSH"),
                "Logs in to a colleague's workstation with a stolen key",
                Contained,
                "same segment",
                None,
            ),
            step(
                58,
                ("ws-02", "web-1"),
                "tcp/22",
                ("T1021.004", "Remote Services: SSH"),
                "Hops to the web tier",
                Stopped,
                "bastion-only",
                guard(9),
            ),
            step(
                71,
                ("web-1", "db-1"),
                "tcp/5432",
                ("T1213.006", "Data from Information Repositories: Databases"),
                "Reads the orders table with the application's password",
                Cut,
                "stands on the hop to web-1",
                None,
            ),
            step(
                83,
                ("ws-04", "db-1"),
                "tcp/5432",
                ("T1213.006", "Data from Information Repositories: Databases"),
                "Tries the database directly",
                Stopped,
                "no-workstation-to-database",
                guard(4),
            ),
            step(
                97,
                ("db-1", "203.0.113.66"),
                "tcp/4444",
                ("T1048.003", "Exfiltration Over Unencrypted Protocol"),
                "Copies 41 MB out with nc",
                Stopped,
                "default deny",
                None,
            ),
        ],
        reach_before: Some(30),
        reach_after: Some(9),
        reachable: vec![
            StoryReachable {
                to: "load balancer".into(),
                services: text(&["tcp/443"]),
                why: "workstations-to-load-balancer".into(),
            },
            StoryReachable {
                to: "mail submission".into(),
                services: text(&["tcp/587"]),
                why: "to-mail".into(),
            },
            StoryReachable {
                to: "bastion".into(),
                services: text(&["tcp/22"]),
                why: "workstations-to-bastion; needs its own login".into(),
            },
            StoryReachable {
                to: "name and time".into(),
                services: text(&["udp/53", "udp/123"]),
                why: "guardrail".into(),
            },
        ],
        kernel: kernel(),
    }
}

fn kernel() -> Vec<StoryKernelCheck> {
    let check = |check: &str, from: &str, to: &str, service: &str, verdict: &str, log: Option<&str>| {
        StoryKernelCheck {
            check: check.into(),
            from: from.into(),
            to: to.into(),
            service: service.into(),
            expected: verdict.into(),
            observed: verdict.into(),
            log: log.map(Into::into),
            passed: true,
        }
    };
    vec![
        check("page through the load balancer", "ws-01", "lb-1", "tcp/443", "allow", None),
        check("order written", "app-2", "db-1", "tcp/5432", "allow", None),
        check("scan", "ws-04", "web-1", "tcp/8080", "deny", Some("default deny")),
        check("hop by ssh", "ws-04", "web-1", "tcp/22", "deny", Some("bastion-only")),
        check("database directly", "ws-04", "db-1", "tcp/5432", "deny", Some("no-workstation-to-database")),
        check("data out", "db-1", "203.0.113.66", "tcp/4444", "deny", Some("default deny")),
        check("administration", "bastion-1", "db-1", "tcp/22", "allow", None),
    ]
}
