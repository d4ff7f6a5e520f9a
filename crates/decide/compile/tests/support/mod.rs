//! Random plans' points, small enough to shrink and odd enough to find edges.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part, and tests may panic"
)]

pub mod namespace;

use model::{
    Action, Ip, IpSet, Labels, Mode, Plan, PlanPoint, PlanRule, Prefix, Region, Service, ServiceSet,
    SourceLocation, WorkloadId,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Parses addresses, blocks and ranges, separated by spaces; `any`, `v4`, `v6` are whole spaces.
pub fn addresses(text: &str) -> IpSet {
    let one = |word: &str| match word {
        "any" => IpSet::full(),
        "v4" => IpSet::all_v4(),
        "v6" => IpSet::all_v6(),
        "internet" => IpSet::internet(),
        _ => match word.split_once('-') {
            Some((low, high)) => IpSet::range(low.parse::<Ip>().unwrap(), high.parse::<Ip>().unwrap()),
            None => word.parse::<Prefix>().unwrap().to_set(),
        },
    };
    text.split_whitespace().map(one).fold(IpSet::default(), |all, set| all.union(&set))
}

/// Parses services, separated by spaces; `any` is everything.
pub fn services(text: &str) -> ServiceSet {
    if text == "any" {
        return ServiceSet::full();
    }
    ServiceSet::of(text.split_whitespace().map(|word| word.parse::<Service>().unwrap()))
}

/// A rule of a plan.
pub fn rule(id: &str, action: Action, peers: &str, asked: &str) -> PlanRule {
    PlanRule {
        id: id.into(),
        action,
        own: IpSet::full(),
        peers: addresses(peers),
        services: services(asked),
        location: SourceLocation { file: "policies/app.yaml".into(), line: 7, column: 3 },
    }
}

/// Clips the rules to a workload's own addresses.
fn owned(mut rules: Vec<PlanRule>, own: &IpSet) -> Vec<PlanRule> {
    rules.iter_mut().for_each(|rule| rule.own = rule.own.intersect(own));
    rules
}

/// A point with the labels `role=<id>`.
pub fn point(id: &str, own: &str, mode: Mode, ingress: Vec<PlanRule>, egress: Vec<PlanRule>) -> PlanPoint {
    PlanPoint {
        workload: WorkloadId(id.into()),
        labels: Labels::from([("role".into(), id.into())]),
        addresses: addresses(own),
        mode,
        ingress: owned(ingress, &addresses(own)),
        egress: owned(egress, &addresses(own)),
    }
}

/// A plan of points.
pub fn plan(points: Vec<PlanPoint>) -> Plan {
    Plan { id: "0".into(), parent: None, as_of: 0, points }
}

const PEERS: &[&str] = &[
    "any",
    "v4",
    "v6",
    "internet",
    "10.0.0.0/8",
    "10.0.1.7",
    "10.0.1.0/24",
    "10.0.1.3-10.0.1.77",
    "0.0.0.0/1",
    "0.0.0.0-0.0.0.9",
    "255.255.255.255",
    "224.0.0.0/4",
    "192.168.7.0/25 192.168.7.200 192.168.8.1-192.168.8.9",
    "fd00::/64",
    "fd00::7",
    "::/1",
    "ff00::/8",
    "::-::ffff",
    "fd00::3-fd00::77",
    "2001:db8::/32 fd00:1::/48",
];

const OWN: &[&str] = &[
    "10.0.1.7",
    "10.0.1.7 fd00::7",
    "fd00::7",
    "10.0.1.7 10.0.1.9 fd00::7 fd00::9-fd00::a",
    "10.0.1.0/24",
    "v4",
    "any",
];

const SERVICES: &[&str] = &[
    "any",
    "tcp",
    "udp",
    "tcp/443",
    "tcp/80 tcp/443",
    "tcp/1-1023",
    "tcp/0",
    "tcp/65535",
    "udp/53 tcp/53",
    "udp/30000-32767",
    "sctp/3868",
    "dccp/5",
    "udplite/0-9",
    "icmp",
    "icmp/8",
    "icmp/3.1-5.2",
    "icmp/3.1",
    "icmp/0.0-0.3",
    "icmp/200-255",
    "icmpv6",
    "icmpv6/128-129",
    "icmpv6/1.4-2.0",
    "gre",
    "ip0",
    "ip255",
    "esp ip51 ip89 ip112",
    "udp/123 icmp/8 icmpv6/128 gre",
];

fn any_rule(number: usize) -> impl Strategy<Value = PlanRule> {
    let action = select(vec![Action::GuardrailAllow, Action::GuardrailDeny, Action::Allow, Action::Allow]);
    let random_peers = (any::<u32>(), any::<u32>(), any::<u128>(), any::<u128>()).prop_map(|(a, b, c, d)| {
        let v4 = IpSet::range(Ip::v4(a.min(b)), Ip::v4(a.max(b)));
        v4.union(&IpSet::range(Ip(c.min(d)), Ip(c.max(d))))
    });
    let peers = prop_oneof![
        6 => prop::collection::vec(select(PEERS), 1..4)
            .prop_map(|words| words.into_iter().fold(IpSet::default(), |all, w| all.union(&addresses(w)))),
        1 => (select(PEERS), select(PEERS)).prop_map(|(a, b)| addresses(a).subtract(&addresses(b))),
        1 => random_peers,
    ];
    let complement = select(SERVICES).prop_map(|word| {
        // Protocols without ports stay whole.
        let kept = |s: &Service| s.protocol.has_ports() || s.protocol.is_icmp();
        let taken = services(word).services().into_iter().filter(kept);
        ServiceSet::full().subtract(&ServiceSet::of(taken))
    });
    let asked = prop_oneof![
        6 => prop::collection::vec(select(SERVICES), 1..4)
            .prop_map(|words| words.into_iter().fold(ServiceSet::default(), |all, w| all.union(&services(w)))),
        1 => complement,
        1 => (any::<u16>(), any::<u16>()).prop_map(|(a, b)| {
            ServiceSet::of([
                Service::range(model::Protocol::TCP, a.min(b), a.max(b)),
                Service::range(model::Protocol::ICMP, a.min(b), a.max(b)),
            ])
        }),
    ];
    let own = prop_oneof![5 => Just("any"), 1 => select(vec!["10.0.1.7", "v6", "10.0.1.0/25", "fd00::/65"])];
    (action, own, peers, asked).prop_map(move |(action, own, peers, services)| PlanRule {
        id: format!("r{number}"),
        action,
        own: addresses(own),
        peers,
        services,
        location: SourceLocation::default(),
    })
}

fn any_rules(base: usize) -> impl Strategy<Value = Vec<PlanRule>> {
    (0_usize..7).prop_flat_map(move |count| (0..count).map(|i| any_rule(base + i)).collect::<Vec<_>>())
}

/// A point in one of the modes.
pub fn any_point(modes: Vec<Mode>) -> impl Strategy<Value = PlanPoint> {
    (select(OWN), select(modes), any_rules(0), any_rules(10))
        .prop_map(|(own, mode, ingress, egress)| point("w", own, mode, ingress, egress))
}

/// A point with more rules for one service than are looked up in a row.
pub fn any_crowded_point() -> impl Strategy<Value = PlanPoint> {
    let rules = |base: usize| {
        (17_usize..40).prop_flat_map(move |count| (0..count).map(|i| any_rule(base + i)).collect::<Vec<_>>())
    };
    (select(OWN), select(MODES.to_vec()), rules(0), rules(100)).prop_map(|(own, mode, ingress, egress)| {
        let crowd = |mut rules: Vec<PlanRule>| {
            for (index, rule) in rules.iter_mut().enumerate() {
                rule.own = IpSet::full();
                let asked = if index % 3 == 0 { "tcp/443 udp/53 icmp/8" } else { "tcp/443 icmpv6/128" };
                rule.services = services(asked);
            }
            rules
        };
        point("w", own, mode, crowd(ingress), crowd(egress))
    })
}

/// Every mode.
pub const MODES: [Mode; 4] = [Mode::Observe, Mode::Test, Mode::Selective, Mode::Enforce];

const PORTS: &[&str] = &[
    "tcp",
    "udp",
    "tcp/443",
    "tcp/80 tcp/443",
    "tcp/1-1023",
    "udp/53 tcp/53",
    "sctp/3868",
    "udp/65535",
    "any",
];

/// Plans of several workloads with labels. When `expressible`, of what Kubernetes has words for.
pub fn any_plan(expressible: bool) -> impl Strategy<Value = Plan> {
    let peers = select(
        [PEERS, &["10.5.0.1", "10.5.0.2", "10.5.0.1 10.5.0.2", "10.5.0.1 10.5.0.2 10.5.0.3 fd00:5::3"]]
            .concat(),
    );
    let small =
        (select(vec![Action::GuardrailAllow, Action::GuardrailDeny, Action::Allow]), peers, select(PORTS))
            .prop_map(move |(action, peers, asked)| {
                // A deny of something out of everything leaves what has no name.
                let asked = match action {
                    Action::GuardrailDeny => "any",
                    _ => asked,
                };
                rule("r", action, peers, asked)
            });
    let one = if expressible { small.boxed() } else { prop_oneof![9 => small, 1 => any_rule(0)].boxed() };
    let rules = move || prop::collection::vec(one.clone(), 0..4);
    // Overlapping label sets on purpose; the first two are alike but for the rules.
    let owners = [
        ("w1", "10.5.0.1", "app=a"),
        ("w2", "10.5.0.2", "app=a,role=x"),
        ("w3", "10.5.0.3 fd00:5::3", "app=a,role=x,env=p"),
        ("w4", "fd00:5::4", "app=b,kubernetes.io/metadata.name=n"),
        ("w5", "10.5.0.5", if expressible { "app=c" } else { "app=a" }),
    ];
    let points = owners.map(|(id, own, labels)| {
        (rules(), rules()).prop_map(move |(ingress, egress)| {
            let mut point = point(id, own, Mode::Enforce, ingress, egress);
            point.labels = labels
                .split(',')
                .filter_map(|l| l.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect();
            let whole = point.addresses.clone();
            point.ingress.iter_mut().chain(&mut point.egress).for_each(|rule| rule.own = whole.clone());
            point
        })
    });
    points.prop_map(|points| plan(points.into()))
}
