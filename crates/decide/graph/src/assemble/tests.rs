use super::*;
use crate::{Noise, group_by_labels, group_by_segments, to_dot, to_mermaid, without_noise};
use model::{AddressClaim, Inventory, Micros, Protocol, Segment, SegmentId, Segmentation, Service, Workload};

pub(crate) fn inventory(hosts: &[(&str, &str, &str)]) -> Inventory {
    let workload = |&(id, ip, role): &(&str, &str, &str)| Workload {
        id: WorkloadId(id.into()),
        name: id.into(),
        labels: Labels::from([("role".into(), role.into())]),
        criticality: None,
        addresses: vec![AddressClaim { ip: ip.parse().unwrap(), from: 0, to: Micros::MAX }],
    };
    Inventory::new(hosts.iter().map(workload).collect()).unwrap()
}

fn talk(inventory: &Inventory, client: &str, server: &str, service: &str) -> Conversation {
    let endpoint = |ip: &str| {
        let ip: Ip = ip.parse().unwrap();
        Endpoint { ip, workload: inventory.owner(ip, 1).map(|w| w.id.clone()) }
    };
    Conversation {
        client: endpoint(client),
        server: endpoint(server),
        service: service.parse().unwrap(),
        confidence: 0.95,
        flows: 10,
        packets: 50,
        bytes: 5_000,
        reverse_packets: 50,
        reverse_bytes: 50_000,
        first: 10,
        last: 1_000,
        hours: 1,
        allowed: 0,
        denied: 0,
        tcp_flags: 0x1b,
    }
}

fn once(conversation: Conversation) -> Conversation {
    Conversation { flows: 1, packets: 6, reverse_packets: 5, ..conversation }
}

fn refused(conversation: Conversation) -> Conversation {
    Conversation {
        flows: 1,
        packets: 1,
        reverse_packets: 1,
        reverse_bytes: 40,
        tcp_flags: 0x16,
        ..conversation
    }
}

fn lone(inventory: &Inventory, conversations: &[Conversation]) -> Graph {
    build(conversations, &inventory.as_of(1), &BuildOptions::default())
}

#[test]
fn nodes_are_workloads_unknown_addresses_and_one_internet() {
    let who = inventory(&[("web", "10.0.0.1", "web"), ("idle", "10.0.0.2", "web")]);
    let graph = lone(
        &who,
        &[
            talk(&who, "8.8.8.8", "10.0.0.1", "tcp/443"),
            talk(&who, "1.1.1.1", "10.0.0.1", "tcp/443"),
            talk(&who, "10.9.9.9", "10.0.0.1", "tcp/443"),
        ],
    );
    let nodes: Vec<_> = graph.nodes.iter().map(|n| (n.id.0.as_str(), n.kind)).collect();
    use NodeKind::{Internet, Unknown, Workload};
    assert_eq!(nodes, [("10.9.9.9", Unknown), ("idle", Workload), ("internet", Internet), ("web", Workload)]);
    assert_eq!(graph.edges.len(), 2);
    assert_eq!(graph.edges[1].flows, 20);
    assert_eq!(graph.nodes[3].addresses, ["10.0.0.1".parse().unwrap()]);
}

/// 24 hosts in four subnets: all ask the DNS server, one subnet's desktops ask a web server.
fn office() -> (Inventory, Vec<Conversation>) {
    let mut hosts: Vec<(String, String, String)> = Vec::new();
    for n in 0..24 {
        hosts.push((format!("h{n:02}"), format!("10.0.{}.{}", n / 6, 10 + n % 6), "host".into()));
    }
    hosts.push(("dns".into(), "10.0.9.53".into(), "dns".into()));
    hosts.push(("site".into(), "10.0.9.80".into(), "web".into()));
    let borrowed: Vec<(&str, &str, &str)> =
        hosts.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    let who = inventory(&borrowed);
    let mut all = Vec::new();
    for (n, (_, ip, _)) in hosts.iter().enumerate().take(24) {
        all.push(talk(&who, ip, "10.0.9.53", "udp/53"));
        if n < 6 {
            all.push(talk(&who, ip, "10.0.9.80", "tcp/443"));
        }
    }
    (who, all)
}

#[test]
fn a_service_that_everybody_asks_is_shared() {
    let (who, all) = office();
    let graph = lone(&who, &all);
    for edge in &graph.edges {
        assert_eq!(edge.shared, edge.service == Service::udp(53), "{edge:?}");
        assert_eq!(edge.noise, None);
    }
}

#[test]
fn a_scanner_is_named_and_its_honest_traffic_is_left() {
    let (who, mut all) = office();
    for n in 1..24 {
        let target = format!("10.0.{}.{}", n / 6, 10 + n % 6);
        all.push(refused(talk(&who, "10.0.0.10", &target, "tcp/22")));
        all.push(once(talk(&who, "10.0.0.10", &target, "tcp/3389")));
        all.push(refused(talk(&who, "10.0.0.10", &target, "tcp/445")));
        all.push(refused(talk(&who, "10.0.0.10", &target, "tcp/80")));
    }
    let graph = lone(&who, &all);
    let scanners: Vec<&str> =
        graph.nodes.iter().filter(|n| n.scanner.is_some()).map(|n| n.id.0.as_str()).collect();
    assert_eq!(scanners, ["h00"]);
    let of = |service: Service| graph.edges.iter().filter(move |e| e.service == service);
    assert!(of(Service::tcp(22)).chain(of(Service::tcp(3389))).all(|e| e.noise == Some(Noise::Scan)));
    assert!(of(Service::udp(53)).chain(of(Service::tcp(443))).all(|e| e.noise.is_none()));
}

#[test]
fn each_noise_has_its_reason_and_a_rare_job_has_none() {
    let (who, mut all) = office();
    let base = |port: &str| talk(&who, "10.0.0.11", "10.0.1.12", port);
    let silent = |c: Conversation| Conversation { reverse_packets: 0, reverse_bytes: 0, ..c };
    all.push(once(base("tcp/1001")));
    all.push(silent(once(base("tcp/1002"))));
    all.push(Conversation { denied: 3, ..base("tcp/1003") });
    all.push(Conversation { confidence: 0.5, ..base("tcp/1004") });
    all.push(Conversation { flows: 1, packets: 3, tcp_flags: 0x16, ..base("tcp/1005") });
    all.push(Conversation { flows: 90, packets: 180, tcp_flags: 0x16, ..base("tcp/1006") });
    all.push(silent(base("udp/514")));
    all.push(silent(talk(&who, "10.0.0.11", "224.0.0.251", "udp/5353")));
    all.push(silent(talk(&who, "10.0.0.11", "10.0.0.255", "udp/138")));
    all.push(refused(base("tcp/1007")));
    let graph = lone(&who, &all);
    let noise = |text: &str| {
        let service: Service = text.parse().unwrap();
        graph.edges.iter().find(|e| e.service == service).unwrap().noise
    };
    for (service, expected) in [
        ("tcp/1001", None),
        ("tcp/1002", Some(Noise::Unanswered)),
        ("tcp/1003", Some(Noise::Denied)),
        ("tcp/1004", Some(Noise::UncertainDirection)),
        ("tcp/1005", Some(Noise::OneOff)),
        ("tcp/1006", None),
        ("tcp/1007", Some(Noise::Unanswered)),
        ("udp/514", None),
        ("udp/5353", Some(Noise::Special)),
        ("udp/138", Some(Noise::Special)),
    ] {
        assert_eq!(noise(service), expected, "{service}");
    }
}

#[test]
fn exporters_that_see_one_side_do_not_make_everything_unanswered() {
    let (who, all) = office();
    let silent: Vec<Conversation> =
        all.into_iter().map(|c| Conversation { reverse_packets: 0, reverse_bytes: 0, ..c }).collect();
    assert!(lone(&who, &silent).edges.iter().all(|e| e.noise.is_none()));
}

#[test]
fn dynamic_ports_become_one_range_and_well_used_ports_stay() {
    let (who, mut all) = office();
    for (n, port) in [40_010, 40_150, 40_031, 40_199, 40_078, 40_120].into_iter().enumerate() {
        let client = format!("10.0.0.{}", 10 + n % 2);
        all.push(once(talk(&who, &client, "10.0.9.80", &format!("tcp/{port}"))));
    }
    all.push(talk(&who, "10.0.0.10", "10.0.9.80", "tcp/40200"));
    all.push(talk(&who, "10.0.0.10", "10.0.9.80", "tcp/8080"));
    // Few ports are no evidence.
    all.push(once(talk(&who, "10.0.0.10", "10.0.1.10", "tcp/50001")));
    all.push(once(talk(&who, "10.0.0.10", "10.0.1.10", "tcp/50002")));
    let graph = lone(&who, &all);
    let ranges: Vec<_> = graph.edges.iter().filter(|e| e.dynamic_ports > 1).collect();
    assert_eq!(ranges.len(), 2);
    // The mean gap is (40199 - 40010) / 5 = 37.8; the well-used 40200 bounds the other end.
    assert!(ranges.iter().all(|e| e.service == Service::range(Protocol::TCP, 39_972, 40_199)));
    assert!(ranges.iter().all(|e| e.dynamic_ports == 6 && e.flows == 3));
    for port in [40_200, 8_080, 50_001, 50_002] {
        assert!(graph.edges.iter().any(|e| e.service == Service::tcp(port)), "{port}");
    }
}

#[test]
fn the_order_of_conversations_does_not_matter() {
    let (who, mut all) = office();
    let graph = lone(&who, &all);
    all.reverse();
    assert_eq!(lone(&who, &all), graph);
}

#[test]
fn groups_keep_all_traffic() {
    let (who, all) = office();
    let graph = lone(&who, &all);
    let flows = |graph: &Graph| graph.edges.iter().map(|e| e.flows).sum::<u64>();
    let grouped = group_by_labels(&graph, &["role".into()]);
    let ids: Vec<&str> = grouped.nodes.iter().map(|n| n.id.0.as_str()).collect();
    assert_eq!(ids, ["role=dns", "role=host", "role=web"]);
    assert_eq!((grouped.edges.len(), flows(&grouped)), (2, flows(&graph)));
    let segmentation = Segmentation {
        segments: vec![Segment {
            id: SegmentId("s1".into()),
            name: "hosts".into(),
            members: graph.nodes.iter().map(|n| n.id.clone()).filter(|id| id.0.starts_with('h')).collect(),
            confidence: 1.0,
            reasons: vec![],
        }],
        unassigned: vec![],
    };
    let grouped = group_by_segments(&graph, &segmentation);
    assert_eq!(grouped.nodes.len(), 3);
    assert_eq!(flows(&grouped), flows(&graph));
}

#[test]
fn without_noise_hosts_that_do_not_exist_are_gone() {
    let (who, mut all) = office();
    for n in 100..140 {
        let probe = refused(talk(&who, "10.0.0.10", &format!("10.0.0.{n}"), "tcp/22"));
        all.push(Conversation { reverse_packets: 0, reverse_bytes: 0, tcp_flags: 2, ..probe });
    }
    let graph = lone(&who, &all);
    let quiet = without_noise(&graph);
    assert_eq!((graph.nodes.len(), quiet.nodes.len()), (66, 26));
    assert!(quiet.edges.len() == 30 && quiet.edges.iter().all(|e| e.noise.is_none()));
    for edge in &quiet.edges {
        assert!(matches!(quiet.nodes[edge.server as usize].id.0.as_str(), "dns" | "site"));
    }
}

#[test]
fn text_quotes_what_names_may_hold() {
    let who = inventory(&[("a\"b", "10.0.0.1", "web"), ("c", "10.0.0.2", "db")]);
    let graph = lone(&who, &[talk(&who, "10.0.0.1", "10.0.0.2", "tcp/5432")]);
    let dot = to_dot(&graph);
    assert!(dot.contains(r#"n0 [label="a\"b"]"#) && dot.contains(r#"n0 -> n1 [label="tcp/5432"]"#), "{dot}");
    let mermaid = to_mermaid(&graph);
    assert!(
        mermaid.contains(r#"n0["a#quot;b"]"#) && mermaid.contains(r#"n0 -->|"tcp/5432"| n1"#),
        "{mermaid}"
    );
}

#[test]
fn what_hosts_of_a_link_ask_each_other_to_find_each_other_is_special() {
    let inventory = inventory(&[("a", "10.0.0.1", "x"), ("b", "10.0.0.2", "x")]);
    let of = |service: &str| {
        let graph = lone(&inventory, &[talk(&inventory, "10.0.0.1", "10.0.0.2", service)]);
        graph.edges[0].noise
    };
    for service in ["udp/138", "udp/1900", "udp/3702", "udp/5353", "udp/5355"] {
        assert_eq!(of(service), Some(Noise::Special), "{service}");
    }
    for service in ["udp/67", "udp/137", "tcp/5353", "udp/53"] {
        assert_eq!(of(service), None, "{service}");
    }
}
