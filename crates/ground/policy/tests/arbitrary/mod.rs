//! Random policies and inventories over a small world, so that rules overlap often.

use model::{
    AddressClaim, Inventory, Ip, Labels, Micros, Mode, Packet, Protocol, Requirement, Selector, Service,
    SourceLocation, Workload, WorkloadId,
};
use policy::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet,
    Resolved, Rule, SegmentDocument, SegmentPolicy, Spanned, Verb,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The moment of every view: 2026-11-20.
pub(crate) const NOW: Micros = 1_795_132_800_000_000;

const VALUES: [(&str, [&str; 2]); 3] =
    [("role", ["db", "web"]), ("app", ["a", "b"]), ("env", ["dev", "prod"])];
const SEGMENTS: [&str; 2] = ["front", "back,end"];

fn at<T>(value: T) -> Spanned<T> {
    Spanned { value, at: SourceLocation::default() }
}

fn requirement() -> impl Strategy<Value = Requirement> {
    (0..3_usize, 0..6_usize).prop_map(|(key, form)| {
        let (key, [a, b]) = VALUES[key];
        let (key, a, b) = (key.to_owned(), a.to_owned(), b.to_owned());
        match form {
            0 => Requirement::In(key, vec![a]),
            1 => Requirement::In(key, vec![a, b]),
            2 => Requirement::NotIn(key, vec![b]),
            3 => Requirement::Exists(key),
            4 => Requirement::Absent(key),
            _ => Requirement::Any(key),
        }
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    vec(requirement(), 1..3).prop_map(|requirements| Selector { requirements })
}

fn term() -> impl Strategy<Value = PeerTerm> {
    prop_oneof![
        1 => Just(PeerTerm::Any),
        1 => Just(PeerTerm::Internet),
        2 => (0..16_u32, 26..=32_u8).prop_map(|(host, length)| {
            PeerTerm::Cidr(model::Prefix::new(Ip::v4(0x0a00_0000 + host), length).unwrap())
        }),
        1 => (0..2_usize).prop_map(|index| PeerTerm::Segment(SEGMENTS[index].to_owned())),
        1 => Just(PeerTerm::Group("admins".into())),
        1 => Just(PeerTerm::Fqdn("db.example.com".into())),
        6 => selector().prop_map(PeerTerm::Labels),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    vec(term().prop_map(at), 1..3)
}

fn service() -> impl Strategy<Value = Service> {
    prop_oneof![
        (0..4_u16, 0..4_u16).prop_map(|(low, more)| Service::range(Protocol::TCP, low, low + more)),
        Just(Service::udp(53)),
        Just(Service::all(Protocol::TCP)),
        Just(Service::range(Protocol::ICMP, 8 << 8, (8 << 8) | 255)),
        Just(Service::all(Protocol(47))),
        Just(Service::range(Protocol::UDP, 65_000, 65_535)),
    ]
}

fn ports() -> impl Strategy<Value = Vec<Spanned<Service>>> {
    vec(service().prop_map(at), 0..3)
}

/// Any text with something in it, down to quotes, signs of YAML and line breaks.
fn words() -> impl Strategy<Value = String> {
    let strange = prop_oneof![
        Just("no"),
        Just("~"),
        Just("1.10"),
        Just("a: b"),
        Just("- x"),
        Just("# y"),
        Just("\"'"),
        Just("a\n\n b\t"),
        Just("2026-01-01"),
        Just("{x}"),
        Just("*a"),
        Just("!b"),
        Just("&c"),
        Just("a:"),
        Just("\u{85}\u{2028}"),
        Just("tail "),
        Just("%a"),
        Just("@"),
        Just("null"),
        Just("é ü"),
        Just("..."),
        Just("---"),
        Just("\u{feff}"),
    ];
    prop_oneof![3 => "[a-z]{1,8}( [a-z]{1,8}){0,2}", 2 => strange.prop_map(String::from), 2 => "\\PC{1,12}"]
        .prop_filter("empty", |text| !text.trim().is_empty())
}

fn evidence() -> impl Strategy<Value = Option<Evidence>> {
    let seen = option::of(prop_oneof![
        Just("2026-11-19".to_owned()),
        Just("2026-11-19T10:00:00Z".to_owned()),
        Just("once: long ago".to_owned())
    ]);
    let parts = (any::<u64>(), any::<u32>(), seen, option::of(0.0..=1.0_f64), option::of(any::<u64>()));
    option::of(parts.prop_map(|(flows, days, last_seen, confidence, clients)| Evidence {
        flows,
        days,
        last_seen,
        confidence,
        clients,
        servers: clients,
        visibility: confidence,
    }))
}

fn rule() -> impl Strategy<Value = Rule> {
    let expires = option::of(prop_oneof![
        Just("2026-11-19"),
        Just("2026-11-20"),
        Just("2027-05-20"),
        Just("2026-11-20T00:00:00Z")
    ]);
    (peer(), peer(), ports(), words(), evidence(), option::of(words()), expires).prop_map(
        |(from, to, ports, why, evidence, ticket, expires)| Rule {
            id: at(String::new()),
            from,
            to,
            ports,
            why,
            evidence,
            ticket,
            expires: expires.map(|text| at(text.to_owned())),
        },
    )
}

fn assertion() -> impl Strategy<Value = Assertion> {
    (term(), any::<bool>(), term(), vec(service(), 0..3)).prop_map(|(from, can, to, services)| {
        let verb = if can { Verb::CanReach } else { Verb::CannotReach };
        let list: Vec<String> = services.iter().map(ToString::to_string).collect();
        let on = if list.is_empty() { String::new() } else { format!(" on {}", list.join(", ")) };
        let text = format!("{from} {} reach {to}{on}", if can { "can" } else { "cannot" });
        Assertion { text: at(text), from: vec![at(from)], verb, to: vec![at(to)], services }
    })
}

fn guardrail() -> impl Strategy<Value = Document> {
    let deny =
        (peer(), option::of(peer()), peer(), ports(), words()).prop_map(|(from, except, to, ports, why)| {
            GuardrailDeny { id: at(String::new()), from, except: except.unwrap_or_default(), to, ports, why }
        });
    let allow =
        (peer(), peer(), ports(), words(), evidence()).prop_map(|(from, to, ports, why, evidence)| {
            GuardrailAllow { id: at(String::new()), from, to, ports, why, evidence }
        });
    (words(), vec(deny, 0..3), vec(allow, 0..2), vec(assertion(), 0..2))
        .prop_map(|(owner, deny, allow, tests)| Document::Guardrail(Guardrail { owner, deny, allow, tests }))
}

fn segment_policy() -> impl Strategy<Value = Document> {
    let lender = prop_oneof![
        4 => selector().prop_map(PeerTerm::Labels),
        1 => Just(PeerTerm::Segment(SEGMENTS[0].to_owned()))
    ];
    let modes = [Mode::Observe, Mode::Test, Mode::Selective, Mode::Enforce];
    let mode = (0..4_usize).prop_map(move |index| modes[index]);
    (vec(lender.prop_map(at), 1..3), words(), mode, vec(rule(), 0..4), vec(assertion(), 0..2)).prop_map(
        |(scope, owner, mode, allow, tests)| {
            Document::SegmentPolicy(SegmentPolicy { scope, owner, mode, allow, tests })
        },
    )
}

fn segment(name: &'static str) -> impl Strategy<Value = Document> {
    let either = prop_oneof![
        vec(0..8_usize, 1..4).prop_map(|ids| (ids.iter().map(|id| at(format!("w{id}"))).collect(), None)),
        selector().prop_map(|selector| (Vec::new(), Some(at(selector))))
    ];
    (either, option::of(0.0..=1.0_f64), vec(words(), 0..2)).prop_map(
        move |((members, selector), confidence, reasons)| {
            let name = at(name.to_owned());
            Document::Segment(SegmentDocument { name, members, selector, confidence, reasons })
        },
    )
}

/// A policy that obeys the language's rules: ids and names unique, files sorted.
pub(crate) fn policy_set() -> impl Strategy<Value = PolicySet> {
    let documents = vec(prop_oneof![guardrail(), segment_policy(), segment_policy()], 0..4);
    (segment(SEGMENTS[0]), segment(SEGMENTS[1]), documents, 0..4_usize).prop_map(
        |(front, back, rest, split)| {
            let mut documents: Vec<Document> = [front, back].into_iter().chain(rest).collect();
            let mut next = 0;
            let mut name = |id: &mut Spanned<String>| {
                id.value = format!("rule-{next}");
                next += 1;
            };
            for document in &mut documents {
                match document {
                    Document::Guardrail(guardrail) => {
                        guardrail.deny.iter_mut().for_each(|rule| name(&mut rule.id));
                        guardrail.allow.iter_mut().for_each(|rule| name(&mut rule.id));
                    }
                    Document::SegmentPolicy(policy) => {
                        policy.allow.iter_mut().for_each(|rule| name(&mut rule.id))
                    }
                    Document::Segment(_) => {}
                }
            }
            let file = |index: usize| String::from(if index < split { "a.yaml" } else { "b.yaml" });
            PolicySet { documents: documents.into_iter().enumerate().map(|(i, d)| (file(i), d)).collect() }
        },
    )
}

/// Eight workloads with random labels and one to three addresses.
pub(crate) fn inventory() -> impl Strategy<Value = Inventory> {
    vec((0..27_usize, 0..3_usize), 8).prop_map(|shapes| {
        let workloads = shapes.into_iter().enumerate().map(|(index, (labels, more))| {
            let mut digits = labels;
            let mut map = Labels::new();
            for (key, values) in VALUES {
                if let Some(value) = values.get(digits % 3) {
                    map.insert(key.into(), (*value).into());
                }
                digits /= 3;
            }
            let number = index as u32;
            let all =
                [Ip::v4(0x0a00_0000 + number), Ip::v4(0x0a00_0010 + 2 * number), Ip(0x20 + index as u128)];
            let claims = all[..=more].iter().map(|ip| AddressClaim { ip: *ip, from: 0, to: Micros::MAX });
            let id = WorkloadId(format!("w{index}"));
            let addresses = claims.collect();
            Workload { name: id.0.clone(), id, labels: map, criticality: None, addresses }
        });
        Inventory::new(workloads.collect()).unwrap()
    })
}

/// Packets on and beside every boundary of the rules, at most about 2,000 and spread over all combinations.
pub(crate) fn packets(resolved: &Resolved) -> Vec<Packet> {
    let mut addresses: Vec<Ip> = vec![Ip(0), Ip(u128::MAX), Ip::v4(0x0a00_0003), Ip::v4(0x0808_0808)];
    let mut services = vec![(6, 0), (6, 65_535), (17, 53), (47, 0), (1, 8 << 8), (255, 9)];
    for rule in &resolved.rules {
        for (low, high) in rule.from.runs().iter().chain(rule.to.runs()).take(12) {
            let around = [low.0, high.0, low.0.saturating_sub(1), high.0.saturating_add(1)];
            addresses.extend(around.map(Ip));
        }
        for service in rule.services.services().iter().take(4) {
            let around =
                [service.low, service.high, service.low.saturating_sub(1), service.high.saturating_add(1)];
            services.extend(around.map(|selector| (service.protocol.0, selector)));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    services.sort_unstable();
    services.dedup();
    let total = addresses.len() * addresses.len() * services.len();
    // A step without common factors with the sizes visits all fields evenly.
    let step = (total / 2_000).max(1) | 1;
    let packet = |index: usize| Packet {
        source: addresses[index % addresses.len()],
        destination: addresses[index / addresses.len() % addresses.len()],
        protocol: Protocol(services[index / addresses.len() / addresses.len()].0),
        selector: services[index / addresses.len() / addresses.len()].1,
    };
    (0..total).step_by(step).map(packet).collect()
}

/// The set with every place forgotten.
pub(crate) fn strip(mut set: PolicySet) -> PolicySet {
    fn forget<T>(spanned: &mut Spanned<T>) {
        spanned.at = SourceLocation::default();
    }
    fn tests(tests: &mut [Assertion]) {
        for test in tests {
            forget(&mut test.text);
            test.from.iter_mut().chain(&mut test.to).for_each(forget);
        }
    }
    for (_, document) in &mut set.documents {
        match document {
            Document::Segment(segment) => {
                forget(&mut segment.name);
                segment.members.iter_mut().for_each(forget);
                segment.selector.iter_mut().for_each(forget);
            }
            Document::Guardrail(guardrail) => {
                for rule in &mut guardrail.deny {
                    forget(&mut rule.id);
                    rule.from.iter_mut().chain(&mut rule.except).chain(&mut rule.to).for_each(forget);
                    rule.ports.iter_mut().for_each(forget);
                }
                for rule in &mut guardrail.allow {
                    forget(&mut rule.id);
                    rule.from.iter_mut().chain(&mut rule.to).for_each(forget);
                    rule.ports.iter_mut().for_each(forget);
                }
                tests(&mut guardrail.tests);
            }
            Document::SegmentPolicy(policy) => {
                policy.scope.iter_mut().for_each(forget);
                for rule in &mut policy.allow {
                    forget(&mut rule.id);
                    rule.from.iter_mut().chain(&mut rule.to).for_each(forget);
                    rule.ports.iter_mut().for_each(forget);
                    rule.expires.iter_mut().for_each(forget);
                }
                tests(&mut policy.tests);
            }
        }
    }
    set
}
