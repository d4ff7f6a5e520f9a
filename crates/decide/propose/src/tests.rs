//! A hand-made network: workstations, a web tier, a database, shared services, and everything that must not teach.

use std::collections::BTreeSet;

use graph::{Edge, Node, NodeKind};
use model::{
    AddressClaim, Inventory, Ip, Micros, Packet, Region, Segment, SegmentId, Service, ServiceSet, TrafficSet,
    Unassigned, Workload, WorkloadId,
};
use policy::{Document, PolicySet, Resolved, Verdict, resolve};
use proptest::prelude::*;

use super::*;

mod visibility;

const HOUR_US: Micros = 3_600_000_000;

#[derive(Default, Debug)]
struct Net {
    nodes: Vec<(String, NodeKind, &'static str)>,
    edges: Vec<(String, String, Edge)>,
    segments: Vec<(&'static str, Vec<String>)>,
    scanners: Vec<String>,
}

impl Net {
    fn hosts(&mut self, segment: &'static str, env: &'static str, names: &[&str]) {
        self.nodes.extend(names.iter().map(|name| ((*name).to_owned(), NodeKind::Workload, env)));
        if !segment.is_empty() {
            self.segments.push((segment, names.iter().map(|name| (*name).to_owned()).collect()));
        }
    }

    fn edge(&mut self, client: &str, server: &str, service: &str, flows: u64) -> &mut Edge {
        let edge = Edge {
            client: 0,
            server: 0,
            service: service.parse().unwrap(),
            dynamic_ports: 1,
            confidence: 0.98,
            flows,
            packets: flows * 5,
            bytes: flows * 500,
            reverse_packets: flows * 5,
            reverse_bytes: flows * 5_000,
            first: HOUR_US,
            last: 9 * HOUR_US,
            hours: flows.min(8) as u32,
            shared: false,
            noise: None,
            translated: None,
        };
        self.edges.push((client.to_owned(), server.to_owned(), edge));
        &mut self.edges.last_mut().unwrap().2
    }

    fn build(mut self) -> (Graph, Segmentation) {
        self.nodes.sort();
        let mut graph = Graph::default();
        for (index, (name, kind, env)) in self.nodes.iter().enumerate() {
            graph.nodes.push(Node {
                id: WorkloadId(name.clone()),
                kind: *kind,
                name: name.clone(),
                labels: [(String::from("env"), (*env).to_owned())].into(),
                criticality: None,
                addresses: match kind {
                    NodeKind::Workload => vec![Ip::v4(0x0a00_0001 + index as u32)],
                    NodeKind::Unknown => vec![name.parse().unwrap()],
                    NodeKind::Internet => vec![],
                },
                scanner: self.scanners.contains(name).then(|| String::from("300 hosts, 2% answered")),
                translator: None,
            });
        }
        let find = |name: &str| graph.nodes.iter().position(|n| n.id.0 == name).unwrap() as u32;
        for (client, server, mut edge) in self.edges {
            (edge.client, edge.server) = (find(&client), find(&server));
            graph.edges.push(edge);
        }
        graph.edges.sort_by_key(|e| (e.client, e.server, e.service));
        let segments = self.segments.into_iter().map(|(name, members)| Segment {
            id: SegmentId(name.into()),
            name: name.into(),
            members: members.into_iter().map(WorkloadId).collect(),
            confidence: 0.9,
            reasons: vec![String::from("alike")],
        });
        (graph, Segmentation { segments: segments.collect(), unassigned: Vec::new() })
    }
}

const STATIONS: [&str; 12] =
    ["ws01", "ws02", "ws03", "ws04", "ws05", "ws06", "ws07", "ws08", "ws09", "ws10", "ws11", "ws12"];

/// Twelve workstations ask a web tier of three, which asks a database; DNS and monitoring are everybody's.
fn office() -> Net {
    let mut net = Net::default();
    net.hosts("workstations", "corp", &STATIONS);
    net.hosts("web", "prod", &["web1", "web2", "web3"]);
    net.hosts("db", "prod", &["db1"]);
    net.hosts("dns", "infra", &["dns1"]);
    net.hosts("monitor", "infra", &["mon1"]);
    net.hosts("dev-app", "dev", &["dev1", "dev2", "dev3"]);
    net.hosts("dev-db", "dev", &["devdb"]);
    for station in &STATIONS[..11] {
        for web in ["web1", "web2", "web3"] {
            net.edge(station, web, "tcp/443", 20);
        }
    }
    for web in ["web1", "web2", "web3"] {
        net.edge(web, "db1", "tcp/5432", 500);
    }
    for dev in ["dev1", "dev2", "dev3"] {
        net.edge(dev, "devdb", "tcp/5432", 100);
    }
    let all = STATIONS.iter().chain(&["web1", "web2", "web3", "db1", "dev1", "dev2", "dev3", "devdb"]);
    for host in all {
        net.edge(host, "dns1", "udp/53", 40).shared = true;
        net.edge("mon1", host, "tcp/9100", 60);
    }
    net
}

fn inventory(graph: &Graph) -> Inventory {
    let workloads = graph.nodes.iter().filter(|node| node.kind == NodeKind::Workload).map(|node| Workload {
        id: node.id.clone(),
        name: node.name.clone(),
        labels: node.labels.clone(),
        criticality: None,
        addresses: node
            .addresses
            .iter()
            .map(|ip| AddressClaim { ip: *ip, from: 0, to: Micros::MAX })
            .collect(),
    });
    Inventory::new(workloads.collect()).unwrap()
}

fn resolved(policy: &PolicySet, graph: &Graph) -> Resolved {
    resolve(policy, &inventory(graph).as_of(10 * HOUR_US))
}

/// The text of the files reads back as the same text, and every sentence test in them holds.
fn sound(policy: &PolicySet, graph: &Graph) {
    let files = policy::format(policy);
    let read = policy::parse(&files).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(policy::format(&read), files);
    let inventory = inventory(graph);
    let view = inventory.as_of(10 * HOUR_US);
    let resolved = resolve(&read, &view);
    let permitted = resolved.permitted();
    let directory = policy::Directory::new(&read, &view);
    for (_, document) in &read.documents {
        let Document::SegmentPolicy(segment) = document else { continue };
        for test in &segment.tests {
            let [from, to] = [&test.from, &test.to].map(|peer| directory.peer(peer, &segment.scope));
            let services = match test.services.as_slice() {
                [] => ServiceSet::full(),
                list => ServiceSet::of(list.iter().copied()),
            };
            let asked = TrafficSet::product(&from, &to, &services);
            let holds = match test.verb {
                policy::Verb::CanReach => asked.is_subset(&permitted),
                policy::Verb::CannotReach => asked.is_disjoint(&permitted),
            };
            assert!(holds, "{} in {files:#?}", test.text.value);
        }
    }
}

fn packet(graph: &Graph, client: &str, server: &str, service: &str) -> Packet {
    let ip = |name: &str| graph.nodes.iter().find(|n| n.id.0 == name).unwrap().addresses[0];
    let service: Service = service.parse().unwrap();
    Packet { source: ip(client), destination: ip(server), protocol: service.protocol, selector: service.low }
}

/// Proposes, and returns with a question: is this allowed?
fn ask(net: Net, options: &ProposeOptions) -> (Proposal, impl Fn(&str, &str, &str) -> bool + use<>) {
    let (graph, segmentation) = net.build();
    let proposal = propose(&graph, &segmentation, options);
    sound(&proposal.policy, &graph);
    let resolved = resolved(&proposal.policy, &graph);
    let serious: Vec<_> =
        resolved.diagnostics.iter().filter(|d| d.severity != model::Severity::Info).collect();
    assert!(serious.is_empty(), "{serious:?}");
    (proposal, move |client: &str, server: &str, service: &str| {
        resolved.decide(&packet(&graph, client, server, service)).verdict == Verdict::Allow
    })
}

fn rule<'a>(proposal: &'a Proposal, id: &str) -> &'a RuleCard {
    let ids: Vec<&str> = proposal.rules.iter().map(|rule| rule.id.as_str()).collect();
    proposal.rules.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("{ids:?}"))
}

fn kept_out(proposal: &Proposal, client: &str, server: &str) -> Option<QuarantineReason> {
    proposal.quarantined.iter().find(|q| q.client == client && q.server == server).map(|q| q.reason)
}

#[test]
fn segments_that_behave_alike_share_a_rule() {
    let (proposal, allowed) = ask(office(), &ProposeOptions::default());
    assert_eq!(proposal.chosen, "fitted");
    let web = rule(&proposal, "workstations-to-web-https");
    assert_eq!(
        (web.from.as_slice(), web.to.as_slice()),
        (&["segment:workstations".into()][..], &["segment:web".into()][..])
    );
    assert_eq!(web.why, "11 of 12 in workstations asked all 3 in web on tcp/443, 660 connections in 8 hours");
    assert_eq!(
        (web.evidence.clients, web.evidence.clients_allowed, web.file.as_str()),
        (11, 12, "policies/web.yaml")
    );
    assert!(allowed("ws12", "web2", "tcp/443"), "the twelfth behaves as the other eleven");
    assert!(!allowed("ws01", "db1", "tcp/5432") && !allowed("ws01", "web1", "tcp/22"));
    assert!(!allowed("ws01", "ws02", "tcp/445") && !allowed("dev1", "db1", "tcp/5432"));
}

#[test]
fn what_one_member_does_is_not_everybodys() {
    let mut net = office();
    net.edge("ws03", "db1", "tcp/5432", 90);
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert_eq!(rule(&proposal, "ws03-to-db-postgresql").from, ["segment:ws03"]);
    assert!(allowed("ws03", "db1", "tcp/5432") && !allowed("ws04", "db1", "tcp/5432"));
}

#[test]
fn shared_services_are_guardrails_from_both_sides() {
    let (proposal, allowed) = ask(office(), &ProposeOptions::default());
    let dns = rule(&proposal, "all-to-dns-dns");
    assert!(dns.guardrail && dns.from == ["segment:all-known"] && dns.file == "policies/00-guardrails.yaml");
    let metrics = rule(&proposal, "monitor-to-all-node-metrics");
    assert!(metrics.guardrail && metrics.to == ["segment:all-known"]);
    assert!(allowed("mon1", "dns1", "tcp/9100") && allowed("mon1", "dns1", "udp/53"));
    assert!(!allowed("ws01", "web1", "tcp/9100"), "only the monitor asks for metrics");
}

#[test]
fn a_rare_conversation_needs_a_voucher() {
    let mut net = office();
    net.edge("web1", "db1", "tcp/5433", 1).noise = Some(Noise::OneOff);
    net.edge("dev1", "dev2", "tcp/873", 1).noise = Some(Noise::OneOff);
    net.edge("ws05", "web1", "tcp/22", 1).noise = Some(Noise::OneOff);
    net.edge("web2", "web3", "tcp/443", 1).noise = Some(Noise::OneOff);
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert_eq!(kept_out(&proposal, "web1", "db1"), Some(QuarantineReason::OneOff), "unknown port, seen once");
    assert_eq!(
        kept_out(&proposal, "ws05", "web1"),
        Some(QuarantineReason::OneOff),
        "administration, seen once"
    );
    assert!(allowed("web2", "web3", "tcp/443"), "the server gives it to others");
    assert!(allowed("dev1", "dev2", "tcp/873"), "a service that is known by name, within one environment");
    let rare = rule(&proposal, "dev1-to-dev2-rsync");
    assert!(rare.evidence.rare.is_some() && rare.why.contains("rare: seen once"), "{}", rare.why);
}

#[test]
fn what_looks_like_a_way_in_needs_a_better_one() {
    let mut net = office();
    net.hosts("backup", "infra", &["backup1"]);
    for server in ["web1", "web2", "web3"] {
        net.edge("backup1", server, "tcp/22", 30);
    }
    net.edge("backup1", "db1", "tcp/22", 30);
    net.edge("backup1", "devdb", "tcp/22", 1);
    net.edge("web1", "db1", "tcp/22", 1);
    net.edge("web2", "devdb", "tcp/8080", 2).hours = 1;
    let silent = net.edge("dev1", "web1", "tcp/443", 1);
    (silent.noise, silent.packets) = (Some(Noise::OneOff), 3);
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert!(allowed("backup1", "devdb", "tcp/22"), "asking many for this is the client's work");
    assert_eq!(kept_out(&proposal, "web1", "db1"), Some(QuarantineReason::OneOff), "no peer logs in there");
    assert_eq!(
        kept_out(&proposal, "web2", "devdb"),
        Some(QuarantineReason::OneOff),
        "prod has no business in dev"
    );
    let probe = proposal.quarantined.iter().find(|q| q.client == "dev1").unwrap();
    assert_eq!(probe.detail, "seen once, opened and closed with nothing said");
}

#[test]
fn scans_are_told_in_one_line_and_teach_nothing() {
    let mut net = office();
    net.scanners.push("ws12".into());
    for port in 1..=40 {
        let edge = net.edge("ws12", "web1", &format!("tcp/{port}"), 1);
        (edge.noise, edge.reverse_packets, edge.reverse_bytes) = (Some(Noise::Scan), 0, 0);
    }
    net.edge("ws12", "db1", "tcp/5432", 3);
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    let scan: Vec<_> = proposal.quarantined.iter().filter(|q| q.reason == QuarantineReason::Scan).collect();
    assert_eq!(scan.len(), 1, "the port that answered is told with the others: {scan:?}");
    assert_eq!(scan[0].edges, 41);
    assert!(!allowed("ws12", "db1", "tcp/5432") && allowed("ws12", "dns1", "udp/53"));
}

#[test]
fn a_direction_that_nobody_is_sure_of_makes_no_rule() {
    let mut net = office();
    net.edge("web1", "dev1", "tcp/9999", 50).noise = Some(Noise::UncertainDirection);
    net.edge("web1", "web2", "udp/123", 50).confidence = 0.5;
    net.edge("web2", "web1", "udp/123", 50).confidence = 0.5;
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert_eq!(kept_out(&proposal, "web1", "dev1"), Some(QuarantineReason::UncertainDirection));
    assert!(!allowed("web1", "dev1", "tcp/9999") && !allowed("dev1", "web1", "tcp/9999"));
    assert!(allowed("web1", "web2", "udp/123") && allowed("web2", "web1", "udp/123"), "peers ask each other");
}

#[test]
fn a_stray_into_another_environment_is_kept_out() {
    let mut net = office();
    net.edge("dev2", "db1", "tcp/5432", 200);
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert_eq!(kept_out(&proposal, "dev2", "db1"), Some(QuarantineReason::CrossEnvironment));
    assert_eq!(
        proposal.quarantined[0].detail,
        "`dev` has its own server for tcp/5432 (`devdb`), and 1 of 3 clients asks `prod` instead"
    );
    assert!(!allowed("dev2", "db1", "tcp/5432") && allowed("dev2", "devdb", "tcp/5432"));
}

#[test]
fn a_side_is_not_widened_into_an_environment_that_was_not_seen_on_it() {
    let mut net = office();
    net.hosts("caches", "prod", &["c1", "c2", "c3"]);
    net.nodes.push(("c4".into(), NodeKind::Workload, "dev"));
    net.segments.last_mut().unwrap().1.push("c4".into());
    for web in ["web1", "web2", "web3"] {
        for cache in ["c1", "c2", "c3"] {
            net.edge(web, cache, "tcp/6379", 80);
        }
    }
    net.edge("dev1", "c4", "tcp/6379", 80);
    let (_, allowed) = ask(net, &ProposeOptions::default());
    assert!(allowed("web1", "c3", "tcp/6379") && allowed("dev1", "c4", "tcp/6379"));
    assert!(!allowed("web1", "c4", "tcp/6379") && !allowed("dev1", "c1", "tcp/6379"));
}

#[test]
fn who_may_administer_is_never_told_from_what_others_do() {
    let mut net = office();
    net.hosts("jump", "infra", &["jump1", "jump2"]);
    net.hosts("caches", "prod", &["c1", "c2"]);
    for server in ["web1", "web2"] {
        net.edge("jump1", server, "tcp/22", 40);
    }
    for jump in ["jump1", "jump2"] {
        net.edge(jump, "c1", "tcp/22", 40);
        net.edge(jump, "c2", "tcp/22", 40);
    }
    let (proposal, allowed) = ask(net, &ProposeOptions::default());
    assert!(allowed("jump1", "web3", "tcp/22"), "two of three web servers stand for the tier");
    assert!(!allowed("jump2", "web1", "tcp/22"));
    assert_eq!(rule(&proposal, "jump-to-caches-ssh").from, ["segment:jump"], "both do the same");
}

#[test]
fn peoples_rules_are_kept_not_repeated_and_not_contradicted() {
    let text = "kind: Guardrail\nowner: secops\ndeny:\n  - {id: no-db, from: env=corp, to: segment:dbs, why: rule}\n---\n\
                kind: Segment\nname: dbs\nmembers: [db1]\n---\n\
                kind: SegmentPolicy\nscope: segment:dbs\nowner: dba\nmode: enforce\nallow:\n  \
                - {id: web-to-db-postgresql, from: env=prod, to: segment:dbs, ports: [tcp/5432], why: ours}\n";
    let file = String::from("policies/db.yaml");
    let existing = policy::parse(&[(file.clone(), text.into())]).unwrap();
    let mut net = office();
    net.edge("ws03", "db1", "tcp/5432", 90);
    let options = ProposeOptions { existing: Some(existing.clone()), ..ProposeOptions::default() };
    let (proposal, allowed) = ask(net, &options);
    assert_eq!(kept_out(&proposal, "ws03", "db1"), Some(QuarantineReason::Conflict));
    assert!(!proposal.rules.iter().any(|r| r.to == ["segment:db"] && r.services == [Service::tcp(5432)]));
    assert!(allowed("web1", "db1", "tcp/5432") && !allowed("ws03", "db1", "tcp/5432"));
    let kept: Vec<_> = proposal.policy.documents.iter().filter(|(f, _)| *f == file).cloned().collect();
    assert_eq!(kept, existing.documents, "people's file is as it was");
    let modes: Vec<_> = proposal
        .policy
        .documents
        .iter()
        .filter_map(|(f, document)| match document {
            Document::SegmentPolicy(policy) if f == "policies/db-2.yaml" => Some(policy.mode),
            _ => None,
        })
        .collect();
    assert!(modes.is_empty(), "people govern it, and there is no rule to add");
}

#[test]
fn peoples_denies_hold_for_shared_services_too() {
    let text = "kind: Guardrail\nowner: secops\ndeny:\n  - {id: no-names, from: env=corp, to: any, ports: [udp/53], why: rule}\n";
    let existing = policy::parse(&[(String::from("policies/people.yaml"), text.into())]).unwrap();
    let options = ProposeOptions { existing: Some(existing), ..ProposeOptions::default() };
    let (proposal, allowed) = ask(office(), &options);
    assert!(!allowed("ws01", "dns1", "udp/53"), "a learnt guardrail must not beat people's");
    assert!(allowed("web1", "dns1", "udp/53"));
    let names = proposal.rules.iter().filter(|rule| rule.services.contains(&Service::udp(53)));
    assert!(names.into_iter().all(|rule| !rule.guardrail || rule.from != ["segment:all-known"]));
}

#[test]
fn every_learnt_workload_is_governed_and_no_other() {
    let mut net = office();
    net.hosts("", "prod", &["lonely", "silent"]);
    net.nodes.push(("10.9.9.9".into(), NodeKind::Unknown, "prod"));
    net.nodes.push(("internet".into(), NodeKind::Internet, "prod"));
    net.edge("lonely", "web1", "tcp/443", 9);
    net.edge("10.9.9.9", "web1", "tcp/443", 9);
    net.edge("web1", "internet", "tcp/443", 9);
    net.edge("silent", "db1", "tcp/1", 1).noise = Some(Noise::Denied);
    let (graph, mut segmentation) = net.build();
    segmentation.unassigned.push(Unassigned {
        workload: WorkloadId("lonely".into()),
        nearest: vec![],
        reason: "unlike any".into(),
    });
    let proposal = propose(&graph, &segmentation, &ProposeOptions::default());
    let resolved = resolved(&proposal.policy, &graph);
    let governed: BTreeSet<&str> = resolved.governed_workloads().map(|(id, _)| id.0.as_str()).collect();
    assert!(governed.contains("lonely") && governed.contains("ws12") && !governed.contains("silent"));
    assert_eq!(rule(&proposal, "lonely-to-web1-https").file, "policies/web.yaml");
    let unknown = proposal.rules.iter().find(|r| r.from == ["cidr:10.9.9.9/32"]).unwrap();
    assert_eq!(unknown.to, ["segment:web1"]);
    let out = proposal.rules.iter().find(|r| r.to == ["internet"]).unwrap();
    assert_eq!((out.from.as_slice(), out.file.as_str()), (&["segment:web1".into()][..], "policies/web.yaml"));
}

#[test]
fn dynamic_ranges_that_overlap_are_one_rule() {
    let mut net = office();
    net.edge("web1", "dev1", "tcp/40000-40100", 70).dynamic_ports = 60;
    net.edge("web1", "dev2", "tcp/40050-40200", 70).dynamic_ports = 60;
    let (proposal, _) = ask(net, &ProposeOptions::default());
    let ranges: Vec<_> = proposal.rules.iter().filter(|r| r.services[0].low == 40_000).collect();
    assert_eq!(ranges.len(), 1);
    assert_eq!(ranges[0].services, ["tcp/40000-40200".parse().unwrap()]);
    assert!(ranges[0].why.contains("60 dynamic ports"), "{}", ranges[0].why);
}

#[test]
fn the_frontier_goes_from_exact_to_flat() {
    let (graph, segmentation) = office().build();
    let proposal = propose(&graph, &segmentation, &ProposeOptions::default());
    let point = |name: &str| proposal.frontier.iter().find(|p| p.width == name).unwrap();
    let (exact, flat, chosen) = (point("exact"), point("flat"), point(&proposal.chosen));
    assert_eq!((exact.over_permission, exact.rules, exact.coverage_left_out), (1.0, graph.edges.len(), 0.0));
    assert!(flat.rules < chosen.rules && chosen.rules < exact.rules);
    assert!(chosen.over_permission <= 3.0 && flat.over_permission > 3.0);
    assert!(chosen.coverage_left_out > 0.9 && chosen.bits <= exact.bits);
    assert!(proposal.frontier.iter().all(|p| p.coverage_in_sample == 1.0));
    assert_eq!(chosen.rules, proposal.rules.len());
}

#[test]
fn tests_say_what_is_kept_apart() {
    let (graph, segmentation) = office().build();
    let proposal = propose(&graph, &segmentation, &ProposeOptions::default());
    let db = proposal.policy.documents.iter().find_map(|(file, document)| match document {
        Document::SegmentPolicy(policy) if file == "policies/db.yaml" => Some(policy),
        _ => None,
    });
    let texts: Vec<&str> = db.unwrap().tests.iter().map(|test| test.text.value.as_str()).collect();
    assert_eq!(
        texts,
        [
            "segment:web can reach segment:db on tcp/5432",
            "segment:workstations cannot reach segment:db",
            "segment:dev-app cannot reach segment:db"
        ]
    );
    for text in texts {
        policy::sentence(text).unwrap();
    }
}

#[test]
fn labels_may_stand_for_members() {
    let (graph, segmentation) = office().build();
    let options = ProposeOptions { use_labels: true, ..ProposeOptions::default() };
    let proposal = propose(&graph, &segmentation, &options);
    let selectors: Vec<String> = proposal
        .policy
        .documents
        .iter()
        .filter_map(|(_, document)| match document {
            Document::Segment(segment) => segment.selector.as_ref().map(|s| s.value.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(selectors, ["env=corp"], "no other segment's labels pick out exactly its members");
}

#[test]
fn the_json_form_carries_its_version() {
    let (graph, segmentation) = office().build();
    let proposal = propose(&graph, &segmentation, &ProposeOptions::default());
    let json: serde_json::Value = serde_json::to_value(&proposal).unwrap();
    assert_eq!(json["format_version"], 1);
    assert_eq!(json["rules"][0]["evidence"]["first"], "1970-01-01T01:00:00.000Z");
    assert!(
        json["rules"][0]["evidence"]["flows"].is_u64() && json["frontier"][0]["over_permission"].is_f64()
    );
}

#[test]
fn nothing_in_nothing_out() {
    let proposal = propose(&Graph::default(), &Segmentation::default(), &ProposeOptions::default());
    assert!(proposal.rules.is_empty() && proposal.policy.documents.is_empty());
}

/// Any graph over ten hosts in three segments and one outside.
fn any_net() -> impl Strategy<Value = Net> {
    let edge = (0..10_usize, 0..10_usize, 0..5_usize, 1..30_u64, 0..8_usize, 0..3_u8);
    proptest::collection::vec(edge, 0..60).prop_map(|edges| {
        const HOSTS: [&str; 10] = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "c1", "c2", "d"];
        let mut net = Net::default();
        net.hosts("a", "prod", &HOSTS[..4]);
        net.hosts("b", "prod", &HOSTS[4..7]);
        net.hosts("c", "dev", &HOSTS[7..9]);
        net.hosts("", "dev", &HOSTS[9..]);
        let mut seen = BTreeSet::new();
        for (client, server, service, flows, noise, quiet) in edges {
            let service = ["tcp/22", "tcp/443", "tcp/5432", "udp/53", "udp/40000-40010"][service];
            if client == server || !seen.insert((client, server, service)) {
                continue;
            }
            let edge = net.edge(HOSTS[client], HOSTS[server], service, flows);
            edge.noise = [Some(Noise::OneOff), Some(Noise::UncertainDirection), Some(Noise::Denied)]
                .get(noise)
                .copied()
                .flatten();
            if quiet == 0 {
                (edge.reverse_packets, edge.reverse_bytes) = (0, 0);
            }
        }
        net
    })
}

proptest! {
    #[test]
    fn what_is_taught_is_allowed_at_every_width(net in any_net(), width in 0..Width::ALL.len()) {
        let (graph, segmentation) = net.build();
        let options = ProposeOptions { width: Some(Width::ALL[width]), ..ProposeOptions::default() };
        let proposal = propose(&graph, &segmentation, &options);
        prop_assert_eq!(&proposal, &propose(&graph, &segmentation, &options));
        sound(&proposal.policy, &graph);
        let ids: BTreeSet<&str> = proposal.rules.iter().map(|rule| rule.id.as_str()).collect();
        prop_assert_eq!(ids.len(), proposal.rules.len());
        let resolved = resolved(&proposal.policy, &graph);
        let name = |node: u32| graph.nodes[node as usize].name.clone();
        let kept: BTreeSet<_> =
            proposal.quarantined.iter().map(|q| (q.client.clone(), q.server.clone(), q.service)).collect();
        for edge in &graph.edges {
            let (client, server) = (name(edge.client), name(edge.server));
            if kept.iter().any(|(c, s, service)| *c == client && (*s == server || s.ends_with("hosts")) && service.is_none_or(|one| one == edge.service)) {
                continue;
            }
            let asked = packet(&graph, &client, &server, &edge.service.to_string());
            prop_assert_eq!(resolved.decide(&asked).verdict, Verdict::Allow, "{} {}", asked, proposal.chosen);
        }
        if Width::ALL[width] == Width::Exact {
            for (client, server, service) in kept.iter().filter_map(|(c, s, service)| Some((c, s, (*service)?))) {
                if !server.ends_with("hosts") {
                    let asked = packet(&graph, client, server, &service.to_string());
                    prop_assert_ne!(resolved.decide(&asked).verdict, Verdict::Allow);
                }
            }
        }
    }
}
