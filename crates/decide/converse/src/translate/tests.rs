use super::*;
use model::{Conversation, Endpoint, Flow};
use proptest::prelude::*;

const HOUR: Micros = 3_600_000_000;

fn ip(text: &str) -> Ip {
    text.parse().unwrap()
}

fn nat(src: Option<(&str, u16)>, dst: Option<(&str, u16)>) -> FlowDetails {
    FlowDetails {
        nat_src_ip: src.map(|(of, _)| ip(of)),
        nat_src_port: src.map(|(_, port)| port),
        nat_dst_ip: dst.map(|(of, _)| ip(of)),
        nat_dst_port: dst.map(|(_, port)| port),
        ..FlowDetails::default()
    }
}

fn flow(src: (&str, u16), dst: (&str, u16), client: Client, start: Micros) -> Flow {
    Flow {
        start,
        end: start + 10,
        src: ip(src.0),
        dst: ip(dst.0),
        protocol: 6,
        src_port: src.1,
        dst_port: dst.1,
        client,
        client_confidence: 0.95,
        present: FlowBatch::HAS_PORTS,
        ..Flow::default()
    }
}

fn batch(flows: &[(Flow, FlowDetails)]) -> FlowBatch {
    let mut batch = FlowBatch::new("test");
    for (flow, details) in flows {
        batch.details.insert(batch.len() as u32, Box::new(details.clone()));
        batch.push(flow.clone());
    }
    batch
}

fn conversation(client: &str, server: &str, service: &str, first: Micros) -> Conversation {
    let end = |of: &str| Endpoint { ip: ip(of), workload: None };
    Conversation {
        client: end(client),
        server: end(server),
        service: service.parse().unwrap(),
        confidence: 0.95,
        flows: 5,
        packets: 50,
        bytes: 500,
        reverse_packets: 50,
        reverse_bytes: 500,
        first,
        last: first + 10,
        hours: 1,
        allowed: 0,
        denied: 0,
        tcp_flags: 0,
    }
}

/// Two clients ask 10.9.9.9:443, which two backends answer on 8443 and which asks them under 10.9.0.1; two hosts reach
/// the outside under 203.0.113.7.
fn network() -> FlowBatch {
    let mut flows = Vec::new();
    for (n, (client, backend)) in
        [("10.1.0.1", "10.2.0.1"), ("10.1.0.2", "10.2.0.2"), ("10.1.0.1", "10.2.0.2")].iter().enumerate()
    {
        let asked = flow((client, 40_000), ("10.9.9.9", 443), Client::Src, n as Micros);
        flows.push((asked, nat(Some(("10.9.0.1", 50_000)), Some((backend, 8_443)))));
    }
    for client in ["10.3.0.1", "10.3.0.2"] {
        let asked = flow((client, 40_000), ("198.51.100.9", 443), Client::Src, 7);
        flows.push((asked, nat(Some(("203.0.113.7", 61_000)), None)));
    }
    batch(&flows)
}

fn learnt(batch: &FlowBatch) -> Translations {
    let mut table = Translations::new();
    table.learn(batch);
    table
}

#[test]
fn a_balancer_and_a_gateway_are_told_by_their_degree() {
    let table = learnt(&network());
    let backends = table.backends(ip("10.9.9.9"), Service::tcp(443));
    let told: Vec<_> = backends.iter().map(|b| (b.ip.to_string(), b.service, b.seen.records)).collect();
    assert_eq!(
        told,
        [("10.2.0.1".into(), Service::tcp(8_443), 1), ("10.2.0.2".into(), Service::tcp(8_443), 2)]
    );
    assert_eq!((backends[1].seen.first, backends[1].seen.last), (1, 12));
    let insiders: Vec<_> = table.insiders(ip("10.9.0.1")).iter().map(|i| (i.ip, i.seen.records)).collect();
    assert_eq!(insiders, [(ip("10.1.0.1"), 2), (ip("10.1.0.2"), 1)]);
    let roles: Vec<_> = table.translators().into_iter().map(|(at, t)| (at.to_string(), t)).collect();
    let is = |role, insiders, backends| Translator { role, insiders, backends };
    assert_eq!(
        roles,
        [
            ("10.9.0.1".to_owned(), is(Role::LoadBalancer, 2, 0)),
            ("10.9.9.9".to_owned(), is(Role::LoadBalancer, 0, 2)),
            ("203.0.113.7".to_owned(), is(Role::NatGateway, 2, 0)),
        ]
    );
}

#[test]
fn an_answer_tells_the_same_as_its_question() {
    let question = batch(&[(
        flow(("10.1.0.1", 40_000), ("10.9.9.9", 443), Client::Src, 5),
        nat(Some(("10.9.0.1", 50_000)), Some(("10.2.0.1", 8_443))),
    )]);
    let answer = batch(&[(
        flow(("10.2.0.1", 8_443), ("10.9.0.1", 50_000), Client::Dst, 5),
        nat(Some(("10.9.9.9", 443)), Some(("10.1.0.1", 40_000))),
    )]);
    assert!(!learnt(&question).is_empty());
    assert_eq!(learnt(&question), learnt(&answer));
}

#[test]
fn what_stands_for_one_is_no_translator_and_a_new_port_alone_is_nothing() {
    let table = learnt(&batch(&[
        (
            flow(("10.1.0.1", 40_000), ("192.0.2.1", 80), Client::Src, 0),
            nat(Some(("203.0.113.1", 40_000)), None),
        ),
        (flow(("10.1.0.2", 40_000), ("192.0.2.1", 80), Client::Src, 0), nat(Some(("10.1.0.2", 1_024)), None)),
        (flow(("192.0.2.9", 40_000), ("203.0.113.2", 25), Client::Src, 0), nat(None, Some(("10.1.0.3", 25)))),
    ]));
    assert!(table.translators().is_empty());
    assert_eq!(table.insiders(ip("203.0.113.1")).len(), 1);
    assert!(table.insiders(ip("10.1.0.2")).is_empty());
    assert_eq!(table.backends(ip("203.0.113.2"), Service::tcp(25)).len(), 1);
}

#[test]
fn an_open_direction_teaches_nothing_and_is_counted() {
    let mut open = flow(("10.1.0.1", 40_000), ("10.9.9.9", 40_001), Client::Unknown, 0);
    let details = nat(None, Some(("10.2.0.1", 40_001)));
    let mut unsure = open.clone();
    (unsure.client, unsure.client_confidence) = (Client::Src, 0.55);
    open.client_confidence = 0.0;
    let mut far = batch(&[(open, details.clone()), (unsure, details.clone())]);
    // A detail of a row that is not there harms nobody.
    far.details.insert(99, Box::new(details));
    let table = learnt(&far);
    assert!(table.is_empty());
    assert_eq!(table.undecided(), 2);
}

#[test]
fn both_sides_of_a_translation_are_one_traffic_within_the_hour() {
    let table = learnt(&network());
    let seen = [
        conversation("10.1.0.1", "10.9.9.9", "tcp/443", 100),
        conversation("10.1.0.2", "10.9.9.9", "tcp/443", 2 * HOUR),
        conversation("10.9.0.1", "10.2.0.1", "tcp/8443", 3 * HOUR / 4),
        conversation("10.9.0.1", "10.2.0.1", "tcp/22", 100),
        conversation("10.3.0.1", "198.51.100.9", "tcp/443", 100),
        conversation("203.0.113.7", "198.51.100.9", "tcp/443", 100),
        conversation("10.3.0.1", "198.51.100.8", "tcp/443", 100),
    ];
    let pairs: Vec<_> = table.pairs(&seen, HOUR).iter().map(|pair| (pair.before, pair.after)).collect();
    assert_eq!(pairs, [(0, 2), (4, 5)]);
    assert!(Translations::new().pairs(&seen, HOUR).is_empty());
}

#[test]
fn a_table_is_a_document_and_parts_of_it_add_up() {
    let (all, whole) = (network(), learnt(&network()));
    let body = serde_json::to_value(&whole).unwrap();
    assert_eq!(body["services"][0]["backends"][0]["service"], "tcp/8443");
    assert_eq!(serde_json::from_value::<Translations>(body.clone()).unwrap(), whole);
    let mut parts = Translations::new();
    for row in 0..all.len() {
        parts.merge(&learnt(&batch(&[(all.get(row), (*all.details[&(row as u32)]).clone())])));
    }
    assert_eq!(parts, whole);
    let mut newer = body;
    newer["format_version"] = 9.into();
    let error = serde_json::from_value::<Translations>(newer).unwrap_err().to_string();
    assert!(error.contains("import the source again"), "{error}");
}

#[test]
fn memory_is_bounded_and_the_latest_addresses_stay() {
    let mut table = Translations::new();
    for n in 0..(ENTRIES_MAX + ENTRIES_MAX / 2) as u32 {
        let seen = Tally { records: 1, first: n.into(), last: n.into() };
        let backend = Backend { ip: Ip::v4(n), service: Service::tcp(1), seen };
        table.add_backend(Ip::v4(n / 2), Service::tcp(443), &backend);
        assert!(table.entries <= ENTRIES_MAX);
    }
    let held: usize = table.services.values().map(|frontend| frontend.backends.len()).sum();
    assert_eq!(held, table.entries);
    assert_eq!(table.left_out(), (ENTRIES_MAX + ENTRIES_MAX / 2 - held) as u64);
    assert_eq!(table.backends(Ip::v4(ENTRIES_MAX as u32 * 3 / 4 - 1), Service::tcp(443)).len(), 2);
    assert!(table.backends(Ip::v4(0), Service::tcp(443)).is_empty());
    for n in 0..2 * MEMBERS_MAX as u32 {
        let source = Source {
            insiders: vec![Insider {
                ip: Ip::v4(n),
                seen: Tally { records: 1, first: 0, last: Micros::MAX },
            }],
            records: 1,
            balanced: 0,
            last: Micros::MAX,
        };
        table.add_source(ip("203.0.113.1"), &source);
    }
    assert_eq!(table.insiders(ip("203.0.113.1")).len(), MEMBERS_MAX);
}

proptest! {
    /// In whatever order records come, the table says the same.
    #[test]
    fn order_does_not_matter(rows in proptest::collection::vec((0..4_u8, 0..3_u8, 0..4_u8, any::<bool>()), 1..40)) {
        let one = |(client, vip, backend, hides): &(u8, u8, u8, bool)| {
            let asked = flow((&format!("10.1.0.{client}"), 40_000), (&format!("10.9.0.{vip}"), 443), Client::Src, (*client).into());
            (asked, nat(hides.then_some(("10.8.0.1", 50_000)), Some((&format!("10.2.0.{backend}"), 8_443))))
        };
        let mut flows: Vec<_> = rows.iter().map(one).collect();
        let forwards = learnt(&batch(&flows));
        flows.reverse();
        prop_assert_eq!(forwards, learnt(&batch(&flows)));
    }
}
