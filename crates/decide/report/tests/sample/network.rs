//! Groups, nodes and edges of the invented network.

use report::*;

use super::{minute, text};

/// (id, shared, members, confidence, reasons)
type GroupRow = (&'static str, bool, &'static [&'static str], f64, &'static [&'static str]);

const GROUPS: [GroupRow; 14] = [
    (
        "workstations",
        false,
        &["ws-01", "ws-02", "ws-03", "ws-04", "ws-05"],
        0.97,
        &[
            "ask tcp/443 of load-balancer and tcp/587 of mail: 5 of 5 members, 0 of 25 others",
            "offer nothing to anyone",
        ],
    ),
    ("load-balancer", false, &["lb-1"], 0.91, &["the only one that offers tcp/443 to the internet"]),
    (
        "web",
        false,
        &["web-1", "web-2", "web-3"],
        0.98,
        &[
            "offer tcp/8080 to load-balancer: 3 of 3 members",
            "ask tcp/9000 of application: 3 of 3, 0 of 27 others",
        ],
    ),
    (
        "application",
        false,
        &["app-1", "app-2", "app-3"],
        0.96,
        &["offer tcp/9000 to web", "ask tcp/5432 and tcp/6379 together: 3 of 3, 0 of 27 others"],
    ),
    (
        "orders-database",
        false,
        &["db-1", "db-2"],
        0.94,
        &["offer tcp/5432 to application", "replicate tcp/5432 between each other"],
    ),
    ("session-cache", false, &["redis-1"], 0.88, &["offers tcp/6379 to application"]),
    (
        "name-and-time",
        true,
        &["dns-1", "dns-2", "ntp-1"],
        0.99,
        &["offer udp/53 or udp/123 to 13 of 13 other segments"],
    ),
    (
        "bastion",
        false,
        &["bastion-1"],
        0.86,
        &["asks tcp/22 of 21 workloads, is asked tcp/22 by workstations"],
    ),
    ("metrics", true, &["prom-1"], 0.93, &["asks tcp/9100 of 28 workloads every 15 s"]),
    ("backup", false, &["backup-1"], 0.81, &["offers tcp/873 and tcp/22 to 4 segments, in bursts"]),
    ("mail-submission", false, &["mail-1"], 0.9, &["offers tcp/587 to workstations and application"]),
    (
        "development",
        false,
        &["dev-1", "dev-2", "dev-db-1"],
        0.84,
        &["same shape as web and application, other peers", "offer tcp/8080 and tcp/5432 to each other only"],
    ),
    ("mqtt-broker", false, &["mqtt-1"], 0.92, &["offers tcp/1883 to sensors"]),
    (
        "sensors",
        false,
        &["iot-1", "iot-2", "iot-3", "iot-4"],
        0.95,
        &["ask tcp/1883 of mqtt-broker: 4 of 4, 0 of 26 others"],
    ),
];

/// (client group, server group, service, flows per pair, verdict, rule)
type EdgeRow = (&'static str, &'static str, &'static str, u64, Verdict, Option<&'static str>);

const EDGES: &[EdgeRow] = &[
    ("internet", "load-balancer", "tcp/443", 1840, Verdict::Allowed, Some("internet-to-load-balancer")),
    (
        "workstations",
        "load-balancer",
        "tcp/443",
        212,
        Verdict::Allowed,
        Some("workstations-to-load-balancer"),
    ),
    ("load-balancer", "web", "tcp/8080", 1210, Verdict::Allowed, Some("load-balancer-to-web")),
    ("web", "application", "tcp/9000", 640, Verdict::Allowed, Some("web-to-application")),
    (
        "application",
        "orders-database",
        "tcp/5432",
        480,
        Verdict::Allowed,
        Some("application-to-orders-database"),
    ),
    (
        "application",
        "session-cache",
        "tcp/6379",
        2210,
        Verdict::Allowed,
        Some("application-to-session-cache"),
    ),
    ("application", "mail-submission", "tcp/587", 12, Verdict::Allowed, Some("to-mail")),
    ("workstations", "mail-submission", "tcp/587", 31, Verdict::Allowed, Some("to-mail")),
    ("workstations", "bastion", "tcp/22", 4, Verdict::Allowed, Some("workstations-to-bastion")),
    ("bastion", "web", "tcp/22", 3, Verdict::Allowed, Some("bastion-ssh")),
    ("bastion", "application", "tcp/22", 3, Verdict::Allowed, Some("bastion-ssh")),
    ("bastion", "orders-database", "tcp/22", 2, Verdict::Allowed, Some("bastion-ssh")),
    (
        "orders-database",
        "orders-database",
        "tcp/5432",
        55,
        Verdict::Allowed,
        Some("orders-database-replication"),
    ),
    ("orders-database", "backup", "tcp/873", 6, Verdict::Allowed, Some("to-backup")),
    ("application", "backup", "tcp/22", 2, Verdict::Allowed, Some("to-backup")),
    ("mail-submission", "backup", "tcp/873", 2, Verdict::Allowed, Some("to-backup")),
    ("sensors", "mqtt-broker", "tcp/1883", 96, Verdict::Allowed, Some("sensors-to-mqtt")),
    ("application", "mqtt-broker", "tcp/1883", 18, Verdict::Allowed, Some("sensors-to-mqtt")),
    ("development", "development", "tcp/5432", 40, Verdict::Allowed, Some("development-own")),
    ("development", "development", "tcp/8080", 64, Verdict::Allowed, Some("development-own")),
    ("workstations", "development", "tcp/8080", 22, Verdict::Allowed, Some("workstations-to-development")),
    ("application", "internet", "tcp/443", 9, Verdict::Allowed, Some("application-to-internet")),
    ("development", "orders-database", "tcp/5432", 14, Verdict::WouldBlock, None),
    ("application", "orders-database", "tcp/5433", 1, Verdict::WouldBlock, None),
    ("web", "mail-submission", "tcp/587", 1, Verdict::WouldBlock, None),
    ("workstations", "application", "tcp/9000", 2, Verdict::Blocked, None),
    ("workstations", "workstations", "tcp/22", 3, Verdict::Blocked, None),
    ("workstations", "web", "tcp/22", 8, Verdict::Blocked, None),
    ("workstations", "orders-database", "tcp/5432", 1, Verdict::Blocked, Some("no-workstation-to-database")),
    ("web", "orders-database", "tcp/5432", 2, Verdict::Blocked, None),
    ("orders-database", "internet", "tcp/4444", 1, Verdict::Blocked, None),
];

pub(super) fn map() -> MapStory {
    let mut groups = vec![group(&("internet", false, &[], 0.0, &[]))];
    groups[0].kind = GroupKind::Internet;
    groups[0].confidence = None;
    groups.extend(GROUPS.iter().map(group));
    let mut nodes = vec![StoryNode {
        id: "internet".into(),
        name: "internet".into(),
        group: Some("internet".into()),
        ..StoryNode::default()
    }];
    for (subnet, row) in GROUPS.iter().enumerate() {
        for (host, name) in row.2.iter().enumerate() {
            nodes.push(node(row.0, name, subnet, host));
        }
    }
    MapStory {
        title: "Demo shop".into(),
        origin: StoryOrigin {
            generated_at: Some(minute(16)),
            version: "0.1.0".into(),
            policy: Some("policies/ at 4f2c81e".into()),
            plan: Some("9b1f6c20a7d4".into()),
        },
        windows: vec![
            StoryWindow { name: "learning".into(), from: minute(0), to: minute(8), flows: 31_870 },
            StoryWindow { name: "hold-out".into(), from: minute(8), to: minute(13), flows: 18_204 },
            StoryWindow { name: "attack".into(), from: minute(13), to: minute(15), flows: 2_412 },
        ],
        sources: vec![
            StorySource {
                name: "router.pcap, observation domain 1".into(),
                format: "NetFlow v9".into(),
                records: 52_486,
                bytes: 3_410_220,
            },
            StorySource {
                name: "router.pcap, observation domain 2".into(),
                format: "IPFIX".into(),
                records: 52_490,
                bytes: 3_721_004,
            },
        ],
        dropped: vec![StoryDropped { reason: "data before its template".into(), records: 34, bytes: 1_988 }],
        visibility: Some(seen()),
        edges: edges(&nodes),
        groups,
        nodes,
        unused: vec![
            StoryUnused {
                from: "bastion".into(),
                to: "mail-submission".into(),
                services: text(&["tcp/22"]),
                rule: Some("bastion-ssh".into()),
            },
            StoryUnused {
                from: "web".into(),
                to: "backup".into(),
                services: text(&["tcp/873"]),
                rule: Some("to-backup".into()),
            },
        ],
    }
}

fn group(row: &GroupRow) -> StoryGroup {
    StoryGroup {
        id: row.0.into(),
        name: row.0.replace('-', " "),
        kind: GroupKind::Segment,
        shared: row.1,
        confidence: Some(row.3),
        reasons: text(row.4),
    }
}

fn node(group: &str, name: &str, subnet: usize, host: usize) -> StoryNode {
    StoryNode {
        id: name.into(),
        name: name.into(),
        group: Some(group.into()),
        labels: vec![
            ("env".into(), if group == "development" { "dev" } else { "prod" }.into()),
            ("role".into(), group.into()),
        ],
        addresses: vec![format!("10.20.{subnet}.{}", host + 10)],
        criticality: (group == "orders-database").then(|| "critical".into()),
        scanner: (name == "ws-04").then(|| "asked 30 hosts on 412 ports in 70 s, 398 in vain".into()),
    }
}

fn edges(nodes: &[StoryNode]) -> Vec<StoryEdge> {
    let of = |group: &str| {
        nodes
            .iter()
            .filter(move |node| node.group.as_deref() == Some(group))
            .map(|n| n.id.clone())
            .collect::<Vec<_>>()
    };
    let mut edges = Vec::new();
    let mut add = |from: &str, to: &str, service: &str, flows: u64, verdict: Verdict, rule: Option<&str>| {
        for client in of(from) {
            for server in of(to).into_iter().filter(|server| *server != client) {
                edges.push(StoryEdge {
                    client: client.clone(),
                    server,
                    service: service.into(),
                    flows,
                    bytes: flows * 8_211,
                    first: minute(0) + 2_000_000,
                    last: minute(12) + flows as i64 * 1_000,
                    verdict,
                    rule: rule.map(Into::into),
                });
            }
        }
    };
    for (from, to, service, flows, verdict, rule) in EDGES {
        add(from, to, service, *flows, *verdict, *rule);
    }
    for row in &GROUPS {
        if row.0 != "name-and-time" {
            add(row.0, "name-and-time", "udp/53", 21, Verdict::Allowed, Some("dns"));
            add(row.0, "name-and-time", "udp/123", 4, Verdict::Allowed, Some("ntp"));
        }
        if row.0 != "metrics" {
            add("metrics", row.0, "tcp/9100", 32, Verdict::Allowed, Some("scrape"));
        }
    }
    edges
}

/// Two routers over a day: one lost some, one was silent for three hours.
fn seen() -> StoryVisibility {
    let cell = |hour: usize, router: usize| match (router, hour) {
        (0, 9) => Some(0.62),
        (0, 10) => Some(0.93),
        (1, 3..6) => Some(0.0),
        (1, 20) => Some(0.31),
        (2, 0..8) => None,
        (2, _) => Some(0.02),
        _ => Some(1.0),
    };
    let row = |router: usize, name: &str, source: &str, score: f64, why: &str| StoryExporter {
        name: name.into(),
        source: source.into(),
        flows: 52_486,
        score,
        cells: (0..24).map(|hour| cell(hour, router)).collect(),
        why: why.into(),
    };
    StoryVisibility {
        score: 0.912,
        why: "3 exporters: 0.978 of records kept; 3 of 64 expected exporter-hours without a word".into(),
        unseen: 2,
        columns: (0..24).map(|hour| minute(hour * 60)).collect(),
        column_hours: 1,
        exporters: vec![
            row(
                2,
                "core-switch <b>",
                "sflow",
                0.02,
                "sampling (up to 1 in 1000) shows 0.020 of conversations",
            ),
            row(1, "10.20.0.2", "netflow", 0.87, "silent in 3 of 24 hours that it usually reports in"),
            row(0, "10.20.0.1", "netflow", 0.978, "0.978 of its records were kept"),
        ],
        gaps: vec![
            StoryGap {
                exporter: "10.20.0.2".into(),
                what: "silent in 3 hours that it usually reports in, the last of them 2026-11-20 13:00"
                    .into(),
                remedy: "`ringfence import` what was collected elsewhere for those hours, if anything was"
                    .into(),
            },
            StoryGap {
                exporter: "core-switch <b>".into(),
                what: "samples one packet in 1000: 2.0 % of conversations show (of 20 packets)".into(),
                remedy: "turn sampling off, or add a second source for the same workloads".into(),
            },
        ],
    }
}
