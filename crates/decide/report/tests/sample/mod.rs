//! Invented stories: one like the demo's, and one that is as large as wanted.

use model::{Action, Micros, Mode, SourceLocation};
use report::*;

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

/// (id, shared, members, confidence, reasons)
type GroupRow = (&'static str, bool, &'static [&'static str], f64, &'static [&'static str]);

const GROUPS: [GroupRow; 14] = [
    ("workstations", false, &["ws-01", "ws-02", "ws-03", "ws-04", "ws-05"], 0.97,
        &["ask tcp/443 of load-balancer and tcp/587 of mail: 5 of 5 members, 0 of 25 others", "offer nothing to anyone"]),
    ("load-balancer", false, &["lb-1"], 0.91, &["the only one that offers tcp/443 to the internet"]),
    ("web", false, &["web-1", "web-2", "web-3"], 0.98,
        &["offer tcp/8080 to load-balancer: 3 of 3 members", "ask tcp/9000 of application: 3 of 3, 0 of 27 others"]),
    ("application", false, &["app-1", "app-2", "app-3"], 0.96,
        &["offer tcp/9000 to web", "ask tcp/5432 and tcp/6379 together: 3 of 3, 0 of 27 others"]),
    ("orders-database", false, &["db-1", "db-2"], 0.94, &["offer tcp/5432 to application", "replicate tcp/5432 between each other"]),
    ("session-cache", false, &["redis-1"], 0.88, &["offers tcp/6379 to application"]),
    ("name-and-time", true, &["dns-1", "dns-2", "ntp-1"], 0.99, &["offer udp/53 or udp/123 to 13 of 13 other segments"]),
    ("bastion", false, &["bastion-1"], 0.86, &["asks tcp/22 of 21 workloads, is asked tcp/22 by workstations"]),
    ("metrics", true, &["prom-1"], 0.93, &["asks tcp/9100 of 28 workloads every 15 s"]),
    ("backup", false, &["backup-1"], 0.81, &["offers tcp/873 and tcp/22 to 4 segments, in bursts"]),
    ("mail-submission", false, &["mail-1"], 0.9, &["offers tcp/587 to workstations and application"]),
    ("development", false, &["dev-1", "dev-2", "dev-db-1"], 0.84, &["same shape as web and application, other peers", "offer tcp/8080 and tcp/5432 to each other only"]),
    ("mqtt-broker", false, &["mqtt-1"], 0.92, &["offers tcp/1883 to sensors"]),
    ("sensors", false, &["iot-1", "iot-2", "iot-3", "iot-4"], 0.95, &["ask tcp/1883 of mqtt-broker: 4 of 4, 0 of 26 others"]),
];

/// (client group, server group, service, flows per pair, verdict, rule)
type EdgeRow = (&'static str, &'static str, &'static str, u64, Verdict, Option<&'static str>);

const EDGES: &[EdgeRow] = &[
    ("internet", "load-balancer", "tcp/443", 1840, Verdict::Allowed, Some("internet-to-load-balancer")),
    ("workstations", "load-balancer", "tcp/443", 212, Verdict::Allowed, Some("workstations-to-load-balancer")),
    ("load-balancer", "web", "tcp/8080", 1210, Verdict::Allowed, Some("load-balancer-to-web")),
    ("web", "application", "tcp/9000", 640, Verdict::Allowed, Some("web-to-application")),
    ("application", "orders-database", "tcp/5432", 480, Verdict::Allowed, Some("application-to-orders-database")),
    ("application", "session-cache", "tcp/6379", 2210, Verdict::Allowed, Some("application-to-session-cache")),
    ("application", "mail-submission", "tcp/587", 12, Verdict::Allowed, Some("to-mail")),
    ("workstations", "mail-submission", "tcp/587", 31, Verdict::Allowed, Some("to-mail")),
    ("workstations", "bastion", "tcp/22", 4, Verdict::Allowed, Some("workstations-to-bastion")),
    ("bastion", "web", "tcp/22", 3, Verdict::Allowed, Some("bastion-ssh")),
    ("bastion", "application", "tcp/22", 3, Verdict::Allowed, Some("bastion-ssh")),
    ("bastion", "orders-database", "tcp/22", 2, Verdict::Allowed, Some("bastion-ssh")),
    ("orders-database", "orders-database", "tcp/5432", 55, Verdict::Allowed, Some("orders-database-replication")),
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

fn map() -> MapStory {
    let mut groups = vec![group(&("internet", false, &[], 0.0, &[]))];
    groups[0].kind = GroupKind::Internet;
    groups[0].confidence = None;
    groups.extend(GROUPS.iter().map(group));
    let mut nodes = vec![StoryNode { id: "internet".into(), name: "internet".into(), group: Some("internet".into()), ..StoryNode::default() }];
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
            StorySource { name: "router.pcap, observation domain 1".into(), format: "NetFlow v9".into(), records: 52_486, bytes: 3_410_220 },
            StorySource { name: "router.pcap, observation domain 2".into(), format: "IPFIX".into(), records: 52_490, bytes: 3_721_004 },
        ],
        dropped: vec![StoryDropped { reason: "data before its template".into(), records: 34, bytes: 1_988 }],
        edges: edges(&nodes),
        groups,
        nodes,
        unused: vec![
            StoryUnused { from: "bastion".into(), to: "mail-submission".into(), services: text(&["tcp/22"]), rule: Some("bastion-ssh".into()) },
            StoryUnused { from: "web".into(), to: "backup".into(), services: text(&["tcp/873"]), rule: Some("to-backup".into()) },
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
        labels: vec![("env".into(), if group == "development" { "dev" } else { "prod" }.into()), ("role".into(), group.into())],
        addresses: vec![format!("10.20.{subnet}.{}", host + 10)],
        criticality: (group == "orders-database").then(|| "critical".into()),
        scanner: (name == "ws-04").then(|| "asked 30 hosts on 412 ports in 70 s, 398 in vain".into()),
    }
}

fn edges(nodes: &[StoryNode]) -> Vec<StoryEdge> {
    let of = |group: &str| nodes.iter().filter(move |node| node.group.as_deref() == Some(group)).map(|n| n.id.clone()).collect::<Vec<_>>();
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

fn rule(id: &str, action: Action, scope: &str, sides: (&str, &str), services: &[&str], why: &str, line: u32) -> StoryRule {
    let (from, to) = sides;
    let guardrail = action != Action::Allow;
    let file = if guardrail { "policies/00-guardrails.yaml".to_owned() } else { format!("policies/{}.yaml", scope.trim_start_matches("segment:")) };
    StoryRule {
        id: id.into(),
        action,
        scope: scope.into(),
        mode: (!guardrail).then_some(Mode::Test),
        owner: if guardrail { "secops" } else { "team-shop" }.into(),
        from: from.into(),
        except: String::new(),
        to: to.into(),
        services: text(services),
        why: why.into(),
        evidence: (action != Action::GuardrailDeny).then(|| StoryEvidence {
            flows: u64::from(line) * 317,
            clients: 3,
            servers: 2,
            first: Some(minute(0) + 2_000_000),
            last: Some(minute(8) - 3_000_000),
            confidence: Some(0.9 + f64::from(line % 10) / 110.0),
        }),
        location: at(&file, line),
        yaml: format!("- id: {id}\n  from: {from}\n  to: {to}\n  ports: [{}]\n  why: {why}\n", services.join(", ")),
        expires: (line % 3 == 0).then(|| "2027-05-20".into()),
        holdout_flows: Some(u64::from(line) * 121),
    }
}

fn rules() -> Vec<StoryRule> {
    use Action::{Allow, GuardrailAllow, GuardrailDeny};
    let mut no_ssh = rule("bastion-only", GuardrailDeny, "", ("any", "env=prod"), &["tcp/22", "tcp/3389"], "ATT&CK T1021: remote access goes through the bastion", 9);
    no_ssh.except = "segment:bastion".into();
    vec![
        rule("no-workstation-to-database", GuardrailDeny, "", ("segment:workstations", "segment:orders-database"), &[], "PCI DSS 1.3.1: people do not talk to databases", 4),
        no_ssh,
        rule("dns", GuardrailAllow, "", ("any", "segment:name-and-time"), &["udp/53", "tcp/53"], "name resolution: 13 of 13 segments ask", 15),
        rule("ntp", GuardrailAllow, "", ("any", "segment:name-and-time"), &["udp/123"], "time: 13 of 13 segments ask", 16),
        rule("scrape", GuardrailAllow, "", ("segment:metrics", "any"), &["tcp/9100"], "metrics of every host", 17),
        rule("load-balancer-to-web", Allow, "segment:web", ("segment:load-balancer", "segment:web"), &["tcp/8080"], "the shop's pages", 12),
        rule("bastion-ssh", Allow, "segment:web", ("segment:bastion", "env=prod"), &["tcp/22"], "administration", 21),
        rule("web-to-application", Allow, "segment:application", ("segment:web", "segment:application"), &["tcp/9000"], "the shop's interface", 12),
        rule("application-to-internet", Allow, "segment:application", ("segment:application", "internet"), &["tcp/443"], "payment provider", 22),
        rule("application-to-orders-database", Allow, "segment:orders-database", ("segment:application", "segment:orders-database"), &["tcp/5432"], "orders are read and written", 12),
        rule("orders-database-replication", Allow, "segment:orders-database", ("segment:orders-database", "segment:orders-database"), &["tcp/5432"], "replication", 19),
        rule("application-to-session-cache", Allow, "segment:session-cache", ("segment:application", "segment:session-cache"), &["tcp/6379"], "sessions", 12),
        rule("sensors-to-mqtt", Allow, "segment:mqtt-broker", ("segment:sensors", "segment:mqtt-broker"), &["tcp/1883"], "telemetry of the cold chain", 12),
        rule("workstations-to-load-balancer", Allow, "segment:load-balancer", ("segment:workstations", "segment:load-balancer"), &["tcp/443"], "staff use the shop", 12),
        rule("internet-to-load-balancer", Allow, "segment:load-balancer", ("internet", "segment:load-balancer"), &["tcp/443"], "customers", 19),
        rule("to-mail", Allow, "segment:mail-submission", ("segment:workstations", "segment:mail-submission"), &["tcp/587"], "mail", 12),
        rule("to-backup", Allow, "segment:backup", ("env=prod", "segment:backup"), &["tcp/873", "tcp/22"], "nightly copies", 12),
        rule("development-own", Allow, "segment:development", ("segment:development", "segment:development"), &["tcp/5432", "tcp/8080"], "development talks to itself", 12),
    ]
}

fn attack() -> StoryAttack {
    use StepOutcome::{Contained, Cut, Reached, Stopped};
    let step = |second: i64, sides: (&str, &str), service: &str, technique: (&str, &str), action: &str, outcome, by: &str, place: Option<SourceLocation>| StoryAttackStep {
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
            step(4, ("ws-04", "30 hosts"), "", ("T1046", "Network Service Discovery"), "Scans every subnet for open ports", Stopped, "default deny", None),
            step(31, ("ws-04", "load-balancer"), "tcp/443", ("T1595.002", "Vulnerability Scanning"), "Probes the shop as staff may", Reached, "workstations-to-load-balancer", at("policies/load-balancer.yaml", 12)),
            step(44, ("ws-04", "ws-02"), "tcp/22", ("T1021.004", "Remote Services: SSH"), "Logs in to a colleague's workstation with a stolen key", Contained, "same segment", None),
            step(58, ("ws-02", "web-1"), "tcp/22", ("T1021.004", "Remote Services: SSH"), "Hops to the web tier", Stopped, "bastion-only", guard(9)),
            step(71, ("web-1", "db-1"), "tcp/5432", ("T1213.006", "Data from Information Repositories: Databases"), "Reads the orders table with the application's password", Cut, "stands on the hop to web-1", None),
            step(83, ("ws-04", "db-1"), "tcp/5432", ("T1213.006", "Data from Information Repositories: Databases"), "Tries the database directly", Stopped, "no-workstation-to-database", guard(4)),
            step(97, ("db-1", "203.0.113.66"), "tcp/4444", ("T1048.003", "Exfiltration Over Unencrypted Protocol"), "Copies 41 MB out with nc", Stopped, "default deny", None),
        ],
        reach_before: Some(30),
        reach_after: Some(9),
        reachable: vec![
            StoryReachable { to: "load balancer".into(), services: text(&["tcp/443"]), why: "workstations-to-load-balancer".into() },
            StoryReachable { to: "mail submission".into(), services: text(&["tcp/587"]), why: "to-mail".into() },
            StoryReachable { to: "bastion".into(), services: text(&["tcp/22"]), why: "workstations-to-bastion; needs its own login".into() },
            StoryReachable { to: "name and time".into(), services: text(&["udp/53", "udp/123"]), why: "guardrail".into() },
        ],
        kernel: kernel(),
    }
}

fn kernel() -> Vec<StoryKernelCheck> {
    let check = |check: &str, from: &str, to: &str, service: &str, verdict: &str, log: Option<&str>| StoryKernelCheck {
        check: check.into(),
        from: from.into(),
        to: to.into(),
        service: service.into(),
        expected: verdict.into(),
        observed: verdict.into(),
        log: log.map(Into::into),
        passed: true,
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

/// A story like the demo's: 30 workloads in 14 segments.
pub(crate) fn story() -> Story {
    let assertion = |sentence: &str, line, result, witness: Option<&str>| StoryAssertion {
        sentence: sentence.into(),
        location: at("policies/00-guardrails.yaml", line),
        result,
        witness: witness.map(Into::into),
    };
    let point = |name: &str, rules, over_permission, coverage, chosen| StoryFrontierPoint { name: name.into(), rules, over_permission, coverage, chosen };
    let blocked = |client: &str, server: &str, service: &str, flows, why: &str, legitimate| StoryBlocked {
        client: client.into(), server: server.into(), service: service.into(), flows, first: minute(9), last: minute(12), why: why.into(), legitimate: Some(legitimate),
    };
    let quarantined = |client: &str, server: &str, service: &str, flows, reason: &str| StoryQuarantined {
        client: client.into(), server: server.into(), service: service.into(), flows, reason: reason.into(),
    };
    Story {
        map: map(),
        headline: None,
        numbers: StoryNumbers {
            flows_read: 104_976,
            conversations: 612,
            workloads: 30,
            ari: Some(0.93),
            holdout_flows: 18_204,
            holdout_allowed: 18_167,
            holdout_would_block: 21,
            holdout_unknown: 16,
            coverage: Some(0.9989),
            over_permission: Some(0.184),
            false_block: Some(StoryEstimate { low: 0.000_04, mid: 0.000_11, high: 0.000_4 }),
        },
        unassigned: vec![StoryUnassigned { workload: "printer-1".into(), reason: "2 flows in the learning window, none answered".into(), nearest: vec![("sensors".into(), 0.41), ("workstations".into(), 0.22)] }],
        rules: rules(),
        frontier: vec![
            point("environment", 4, 0.81, 1.0, false),
            point("segment, any service", 14, 0.46, 0.9995, false),
            point("segment and service", 18, 0.184, 0.9989, true),
            point("segment, service, seen clients", 41, 0.09, 0.981, false),
            point("workload and service", 143, 0.0, 0.934, false),
        ],
        blocked: vec![
            blocked("dev-1", "db-1", "tcp/5432", 14, "default deny: no rule lets development reach orders database", false),
            blocked("app-2", "db-2", "tcp/5433", 1, "default deny: tcp/5433 was not seen while learning; nearest rule application-to-orders-database", true),
            blocked("web-3", "mail-1", "tcp/587", 1, "default deny: one-off, quarantined while learning", true),
        ],
        quarantined: vec![
            quarantined("ws-04", "30 hosts", "412 ports", 1_204, "scan: 398 of 412 ports never answered"),
            quarantined("dev-1", "db-1", "tcp/5432", 6, "crosses env: dev asks prod; needs a person's word"),
            quarantined("web-3", "mail-1", "tcp/587", 1, "one-off: 1 flow in 8 min"),
            quarantined("10.20.0.255", "sensors", "udp/137", 18, "broadcast"),
        ],
        attack: Some(attack()),
        assertions: vec![
            assertion("env=dev cannot reach segment:orders-database", 31, Proof::Holds, None),
            assertion("segment:web can reach segment:application on tcp/9000", 32, Proof::Holds, None),
            assertion("segment:workstations cannot reach env=prod on tcp/22", 33, Proof::Violated, Some("10.20.0.10 to 10.20.7.10 on tcp/22: workstations-to-bastion allows it")),
            assertion("group:contractors cannot reach segment:orders-database", 34, Proof::CannotTell, Some("no identity source says who is in group:contractors")),
        ],
        notes: vec![StoryNote { title: "Lab".into(), text: "Recorded with seed 7; the truth was written by the hosts that made the traffic.".into() }],
    }
}

/// A story with a given number of workloads in segments of four, each asking several others.
pub(crate) fn crowd(workloads: usize) -> Story {
    let mut story = story();
    let segments = workloads / 4;
    story.map.groups = (0..segments)
        .map(|n| StoryGroup { id: format!("s{n}"), name: format!("segment number {n} with a name"), confidence: Some(0.9), reasons: text(&["offers tcp/443 to many and asks tcp/5432 of few: 4 of 4 members, 2 of 196 others"; 3]), ..StoryGroup::default() })
        .collect();
    story.map.nodes = (0..workloads)
        .map(|n| StoryNode { id: format!("w{n}"), name: format!("workload-{n:04}.example"), group: Some(format!("s{}", n / 4)), addresses: vec![format!("10.0.{}.{}", n / 250, n % 250)], ..StoryNode::default() })
        .collect();
    story.map.edges = (0..workloads * 30)
        .map(|n| {
            let (client, hop) = (n / 30, n % 30);
            StoryEdge {
                client: format!("w{client}"),
                server: format!("w{}", (client + hop * hop * 7 + 4) % workloads),
                service: format!("tcp/{}", [443, 8080, 5432, 6379, 9000][(client + hop) % 5]),
                flows: (n as u64 * 7919) % 100_000,
                bytes: n as u64 * 1_000,
                first: minute(0),
                last: minute(9),
                verdict: if n % 97 == 0 { Verdict::WouldBlock } else { Verdict::Allowed },
                rule: Some(format!("rule-{}", n % 60)),
            }
        })
        .collect();
    let rules = story.rules.clone();
    story.rules = (0..300).map(|n| StoryRule { id: format!("rule-{n}"), scope: format!("segment:s{}", n / 6), ..rules[5 + n % 12].clone() }).collect();
    story
}
