//! From flows to rules behind load balancers and NAT gateways: an address that others ask under is never let in for what
//! only one of its sides was seen to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use converse::{Rollup, ServiceTable, Translations, orient, resolve};
use graph::{BuildOptions, Graph};
use model::{
    AddressClaim, Conversation, Exporter, Flow, FlowBatch, FlowDetails, Inventory, Ip, Labels, Micros,
    Segment, SegmentId, Segmentation, Workload, WorkloadId,
};
use propose::{Proposal, ProposeOptions, QuarantineReason, Width, propose};

const HOUR_US: Micros = 3_600_000_000;

/// Three clients, a balancer with the address that is asked and the one that it asks under, four web servers of which it
/// asks two, two databases, and a gateway that two desktops go through.
const HOSTS: [(&str, &str, &str); 14] = [
    ("client-1", "10.1.0.1", "clients"),
    ("client-2", "10.1.0.2", "clients"),
    ("client-3", "10.1.0.3", "clients"),
    ("balancer", "10.9.9.9", "balancers"),
    ("balancer-inside", "10.9.0.1", "balancers"),
    ("web-1", "10.2.0.1", "web"),
    ("web-2", "10.2.0.2", "web"),
    ("web-3", "10.2.0.3", "web"),
    ("web-4", "10.2.0.4", "web"),
    ("db-1", "10.4.0.1", "db"),
    ("db-2", "10.4.0.2", "db"),
    ("desktop-1", "10.3.0.1", "desktops"),
    ("desktop-2", "10.3.0.2", "desktops"),
    ("gateway", "10.8.0.1", "gateways"),
];

fn ip(name: &str) -> Ip {
    let found = HOSTS.iter().find(|(id, _, _)| *id == name);
    found.map_or(name, |(_, address, _)| address).parse().unwrap()
}

/// The address shown, and the backend and its port.
type Translation = (Option<&'static str>, Option<(&'static str, u16)>);

#[derive(Default)]
struct Network {
    batch: FlowBatch,
}

impl Network {
    /// Six connections over six hours, two-sided, and what they were translated to.
    fn asks(&mut self, client: &str, server: &str, port: u16, translated: Option<Translation>) {
        let exporter = self.batch.intern_exporter(&Exporter("router".into()));
        for hour in 0..6 {
            if let Some((shown, backend)) = translated {
                let details = FlowDetails {
                    nat_src_ip: shown.map(ip),
                    nat_src_port: shown.map(|_| 50_000 + hour as u16),
                    nat_dst_ip: backend.map(|(backend, _)| ip(backend)),
                    nat_dst_port: backend.map(|(_, port)| port),
                    ..FlowDetails::default()
                };
                self.batch.details.insert(self.batch.len() as u32, Box::new(details));
            }
            self.batch.push(Flow {
                start: hour * HOUR_US + 5,
                end: hour * HOUR_US + 1_000_000,
                src: ip(client),
                dst: ip(server),
                protocol: 6,
                src_port: 40_000 + hour as u16,
                dst_port: port,
                tcp_flags: 0x1b,
                packets: 20,
                bytes: 2_000,
                reverse_packets: 20,
                reverse_bytes: 9_000,
                sampling: 1,
                present: FlowBatch::HAS_PORTS
                    | FlowBatch::HAS_COUNTS
                    | FlowBatch::HAS_REVERSE
                    | FlowBatch::HAS_TCP_FLAGS,
                exporter,
                ..Flow::default()
            });
        }
    }

    fn told(mut self) -> (Graph, Proposal) {
        let mut table = ServiceTable::new();
        table.learn(&self.batch);
        orient(&mut self.batch, &table);
        let mut translations = Translations::new();
        translations.learn(&self.batch);
        // As it comes back from where it is stored.
        let stored = serde_json::to_string(&translations).unwrap();
        let translations: Translations = serde_json::from_str(&stored).unwrap();
        let mut rollup = Rollup::new(HOUR_US);
        rollup.add(&self.batch);
        let inventory = inventory();
        let conversations: Vec<Conversation> = resolve(rollup.drain(), &inventory);
        let graph = graph::build_translated(
            &conversations,
            &inventory.as_of(HOUR_US),
            &BuildOptions::default(),
            &translations,
        );
        // A width that takes two of four servers for all.
        let width = Some(Width::Support(50));
        let options = ProposeOptions { as_of: 10 * HOUR_US, width, ..ProposeOptions::default() };
        let proposal = propose(&graph, &segmentation(), &options);
        (graph, proposal)
    }
}

fn inventory() -> Inventory {
    let workload = |(id, address, _): &(&str, &str, &str)| Workload {
        id: WorkloadId((*id).into()),
        name: (*id).into(),
        labels: Labels::new(),
        criticality: None,
        addresses: vec![AddressClaim { ip: address.parse().unwrap(), from: Micros::MIN, to: Micros::MAX }],
    };
    Inventory::new(HOSTS.iter().map(workload).collect()).unwrap()
}

fn segmentation() -> Segmentation {
    let mut segments: Vec<Segment> = Vec::new();
    for (id, _, segment) in HOSTS {
        if segments.last().is_none_or(|last| last.name != segment) {
            segments.push(Segment {
                id: SegmentId(segment.into()),
                name: segment.into(),
                members: Vec::new(),
                confidence: 1.0,
                reasons: Vec::new(),
            });
        }
        segments.last_mut().unwrap().members.push(WorkloadId(id.into()));
    }
    Segmentation { segments, unassigned: Vec::new() }
}

/// What the balancer's connection table says, and what an exporter between it and the servers sees.
fn balanced() -> Network {
    let mut network = Network::default();
    for (client, backend) in [("client-1", "web-1"), ("client-2", "web-2"), ("client-3", "web-1")] {
        let translated = Some((Some("balancer-inside"), Some((backend, 8_443))));
        network.asks(client, "balancer", 443, translated);
        network.asks("balancer-inside", backend, 8_443, None);
    }
    for web in ["web-1", "web-2", "web-3", "web-4"] {
        network.asks(web, "db-1", 5_432, None);
    }
    network
}

fn rules<'a>(proposal: &'a Proposal, from: &str) -> Vec<&'a propose::RuleCard> {
    proposal.rules.iter().filter(|rule| rule.from.iter().any(|term| term.contains(from))).collect()
}

#[test]
fn both_sides_of_a_balancer_name_each_other_and_it_is_let_in_no_further() {
    let (graph, proposal) = balanced().told();
    let node = |id: &str| graph.nodes.iter().position(|node| node.id.0 == id).unwrap();
    let edge = |client: &str, server: &str| {
        let ends = (node(client) as u32, node(server) as u32);
        graph.edges.iter().find(|edge| (edge.client, edge.server) == ends).unwrap()
    };
    assert_eq!(
        graph.nodes[node("balancer")].translator.as_deref(),
        Some("a load balancer in front of 2 addresses")
    );
    assert_eq!(
        graph.nodes[node("balancer-inside")].translator.as_deref(),
        Some("a load balancer's address for 3 addresses")
    );
    let before = edge("client-2", "balancer").translated.as_ref().unwrap();
    assert_eq!(before.side, graph::Side::Before);
    assert!(before.partners.contains(&String::from("balancer-inside -> web-2 tcp/8443")), "{before:?}");
    let after = edge("balancer-inside", "web-2").translated.as_ref().unwrap();
    assert_eq!((after.side, after.partners.len()), (graph::Side::After, 3));
    assert!(edge("web-1", "db-1").translated.is_none());

    let inside = rules(&proposal, "balancer");
    let to: Vec<&str> = inside.iter().flat_map(|rule| &rule.to).map(String::as_str).collect();
    assert!(!inside.is_empty(), "{:?}", proposal.rules);
    for rule in &inside {
        assert_eq!(rule.evidence.servers_allowed, rule.evidence.servers, "{rule:?}");
        assert_eq!(rule.evidence.clients_allowed, rule.evidence.clients, "{rule:?}");
    }
    assert!(!to.contains(&"segment:web"), "{to:?}");
    assert_eq!(rules(&proposal, "client").len(), 1, "{:?}", proposal.rules);
}

#[test]
fn a_gateway_is_not_let_in_for_what_nobody_behind_it_was_seen_to_ask() {
    let mut network = balanced();
    for desktop in ["desktop-1", "desktop-2"] {
        network.asks(desktop, "web-3", 443, Some((Some("gateway"), None)));
    }
    network.asks("gateway", "web-3", 443, None);
    for server in ["db-1", "db-2", "web-4"] {
        network.asks("gateway", server, 5_432, None);
    }
    let (_, proposal) = network.told();
    let held: Vec<_> =
        proposal.quarantined.iter().filter(|q| q.reason == QuarantineReason::Translated).collect();
    assert_eq!(held.iter().map(|q| q.edges).sum::<u32>(), 3, "{:?}", proposal.quarantined);
    assert!(held[0].detail.starts_with("the client is a NAT gateway for 2 addresses, and none of them"));
    let allowed = rules(&proposal, "gateway");
    assert_eq!(allowed.len(), 1, "{:?}", proposal.rules);
    assert_eq!(allowed[0].services, ["tcp/443".parse().unwrap()]);
    assert_eq!(allowed[0].evidence.servers_allowed, 1);
}

#[test]
fn a_gateway_that_is_globally_routable_is_not_the_internet() {
    let mut network = balanced();
    for desktop in ["desktop-1", "desktop-2"] {
        network.asks(desktop, "198.51.100.9", 443, Some((Some("203.0.113.7"), None)));
    }
    network.asks("203.0.113.7", "web-3", 22, None);
    network.asks("198.51.100.77", "web-3", 80, None);
    let (graph, proposal) = network.told();
    let gateway = graph.nodes.iter().find(|node| node.id.0 == "203.0.113.7").unwrap();
    assert_eq!(gateway.translator.as_deref(), Some("a NAT gateway for 2 addresses"));
    let held: Vec<_> = proposal.quarantined.iter().map(|q| (q.edge.as_str(), q.reason)).collect();
    assert!(held.contains(&("203.0.113.7 -> web-3 tcp/22", QuarantineReason::Translated)), "{held:?}");
}

#[test]
fn without_a_table_nothing_changes() {
    let mut network = balanced();
    network.batch.details.clear();
    let (graph, proposal) = network.told();
    assert!(graph.edges.iter().all(|edge| edge.translated.is_none()));
    assert!(graph.nodes.iter().all(|node| node.translator.is_none()));
    assert!(proposal.quarantined.iter().all(|q| q.reason != QuarantineReason::Translated));
    let wide = |rule: &&propose::RuleCard| rule.to == ["segment:web"];
    assert!(rules(&proposal, "balancer").iter().any(wide), "{:?}", proposal.rules);
    assert!(!serde_json::to_string(&graph).unwrap().contains("translat"));
}
