//! What cannot be expressed, and what cannot be read, is said: where, what, and what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic, in what they share too")]

mod support;

use compile::{Peer, Source, find, read, render};
use model::Action::{Allow, GuardrailDeny};
use model::{Labels, Mode, Plan, PlanPoint};
use proptest::prelude::*;
use support::{addresses, plan, point, rule};

fn refused(target: &str, plan: &Plan, expected: &[&str]) {
    let refusals = render(plan, find(target).unwrap()).unwrap_err();
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    for (text, part) in texts.iter().zip(expected) {
        assert!(text.contains(part), "{text}\ndoes not say: {part}");
    }
}

fn with(ingress: Vec<model::PlanRule>) -> PlanPoint {
    point("web", "10.0.0.1", Mode::Enforce, ingress, vec![])
}

#[test]
fn nftables_refuses_what_it_cannot_say() {
    refused("nftables", &plan(vec![point("web", "", Mode::Test, vec![], vec![])]), &["has no address"]);
    let mut odd = rule("part", Allow, "any", "gre");
    odd.services = odd
        .services
        .intersect(&model::ServiceSet::product(&model::IntervalSet::full(), &model::IntervalSet::single(5)));
    let rules = vec![rule("say \"no\"", Allow, "any", "tcp/1"), rule("default", Allow, "any", "tcp/1"), odd];
    refused(
        "nftables",
        &plan(vec![with(rules)]),
        &[
            "policies/app.yaml:7:3: nftables cannot express rule `say \"no\"`",
            "rename the rule",
            "protocol 47",
        ],
    );
}

#[test]
fn kubernetes_refuses_what_it_cannot_say() {
    let one = |rules| plan(vec![with(rules)]);
    let check = |rules, expected: &str| refused("kubernetes", &one(rules), &[expected]);
    check(vec![rule("ping", Allow, "10.0.0.2", "icmp/8")], "rule `ping` of workload `web`: `icmp/8`");
    check(vec![rule("zero", Allow, "10.0.0.2", "tcp/0-9")], "`tcp/0-9` holds port 0");
    check(
        vec![rule("no-ssh", GuardrailDeny, "10.0.0.2", "tcp/22"), rule("all", Allow, "10.0.0.2", "tcp")],
        "`tcp/0-21` holds port 0",
    );
    let mut partial = rule("half", Allow, "10.0.0.2", "tcp/1");
    partial.own = addresses("10.0.0.9");
    let mut point = with(vec![]);
    point.ingress = vec![partial];
    refused("kubernetes", &plan(vec![point]), &["cannot tell them apart"]);
    let mut test = with(vec![]);
    test.mode = Mode::Test;
    refused("kubernetes", &plan(vec![test]), &["mode `test`"]);
    let mut bare = with(vec![]);
    bare.labels = Labels::new();
    refused("kubernetes", &plan(vec![bare]), &["has no labels"]);
    let mut illegal = with(vec![]);
    illegal.labels.insert("app".into(), "two words".into());
    refused("kubernetes", &plan(vec![illegal]), &["label `app=two words`"]);
    let mut twin = with(vec![rule("x", Allow, "10.0.0.2", "tcp/1")]);
    twin.workload = model::WorkloadId("web-2".into());
    refused("kubernetes", &plan(vec![with(vec![]), twin]), &["its labels also select `web`"]);
}

use model::Region;

fn sample() -> String {
    let rules = vec![
        rule("no-dev", GuardrailDeny, "10.7.0.0/16 10.9.0.1", "any"),
        rule("web", Allow, "10.0.0.0/8 fd00::/8", "tcp/80 udp/53"),
    ];
    let plan = plan(vec![with(rules)]);
    render(&plan, find("nftables").unwrap()).unwrap()[0].text.clone()
}

/// Replaces one thing in a good artifact and expects an error that points there.
#[track_caller]
fn tampered(old: &str, new: &str, problem: &str) {
    let good = sample();
    assert!(good.contains(old), "{good}");
    let text = good.replacen(old, new, 1);
    let line = good[..good.find(old).unwrap()].lines().count().max(1);
    let source = Source { file_name: "web.nft".into(), text: text.clone() };
    let errors = read(find("nftables").unwrap(), &[source], &[]).unwrap_err();
    let said = errors[0].to_string();
    assert!(said.starts_with("web.nft:") && said.contains(problem), "{said}");
    assert!(errors[0].line.abs_diff(line) <= 2, "{said}, but the change is on line {line}");
}

#[test]
fn nftables_reports_what_is_not_its_own() {
    tampered("\t\tgoto in_default\n\t}", "\t}", "leaves the chain without a verdict");
    tampered("counter accept comment \"allow:web\"", "accept", "not a rule that is known");
    tampered("counter accept comment \"allow:web\"", "counter accept", "without a rule's id");
    tampered(
        "counter accept comment \"allow:web\"",
        "counter drop comment \"allow:web\"",
        "not what the comment says",
    );
    tampered(
        "counter drop comment \"deny:no-dev\"",
        "counter accept comment \"would-deny:no-dev\"",
        "mode `enforce`",
    );
    tampered("ip saddr @peers_no-dev_4", "ip saddr @other", "no set `other`");
    tampered("ip saddr @peers_no-dev_4", "tcp sport 5 ip saddr @peers_no-dev_4", "not a rule that is known");
    tampered("tcp . 80 : goto in_tcp_80", "tcp . 80 : jump in_tcp_80", "expected `key : goto chain`");
    tampered("tcp . 80 : goto in_tcp_80", "tcp . http : goto in_tcp_80", "list with `nft --numeric`");
    tampered("\t\t\t10.9.0.1,", "\t\t\t10.9.0.,", "not an address");
    tampered("ct state established accept", "ct state new accept", "expected the floor's");
    tampered("counter comment \"mode:enforce\"", "counter comment \"mode:hope\"", "`hope` is not a mode");
    tampered(
        "priority filter; policy accept",
        "priority filter - 5; policy accept",
        "hooks input or output at 0",
    );
    tampered("hook input priority", "hook forward priority", "hooks input or output at 0");
    tampered("flags interval", "flags interval, timeout", "not a property");
}

#[test]
fn nftables_needs_its_table() {
    for (text, problem) in [
        ("", "no table `inet ringfence`"),
        ("table inet filter {\n\tchain x {\n\t}\n}\n", "no table `inet ringfence`"),
        ("table inet ringfence {\n", "ends inside a block"),
        ("{\"nftables\": [{\"metainfo\": {}}]}", "no chain on the hook"),
        ("{\"nftables\": 7}", "a list `nftables` was expected"),
        ("{", "not JSON"),
        ("add rule inet x y accept\n", "expected `table inet ringfence"),
    ] {
        let source = Source { file_name: "x".into(), text: text.into() };
        let said = read(find("nftables").unwrap(), &[source], &[]).unwrap_err()[0].to_string();
        assert!(said.contains(problem), "{text:?}: {said}");
    }
}

#[test]
fn foreign_tables_are_stepped_over() {
    let foreign = "table ip nat {\n\tchain x {\n\t\tcounter comment \"} {\"\n\t}\n}\n";
    let source = Source { file_name: "x".into(), text: format!("{foreign}{}", sample()) };
    assert_eq!(read(find("nftables").unwrap(), &[source], &[]).unwrap()[0].mode, Mode::Enforce);
}

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec:
  podSelector: {}
  ingress:
    - from:
        - ipBlock: {cidr: 10.0.0.0/8}
      ports:
        - {protocol: TCP, port: 80}
";

#[test]
fn kubernetes_reports_what_it_does_not_know() {
    let peer = Peer {
        workload: model::WorkloadId("w".into()),
        labels: Labels::new(),
        addresses: addresses("10.0.0.1"),
    };
    let check = |old: &str, new: &str, problem: &str| {
        let text = format!("# first\n---\n{}", POLICY.replace(old, new));
        let source = Source { file_name: "p.yaml".into(), text };
        let errors = read(find("kubernetes").unwrap(), &[source], std::slice::from_ref(&peer)).unwrap_err();
        let said = errors[0].to_string();
        assert!(said.starts_with("p.yaml:") && said.contains(problem), "{said}");
        assert!(errors[0].line >= 3, "{said}");
    };
    check("port: 80", "port: http", "named ones need the containers");
    check("port: 80", "port: 80, endPort: 7", "below its `port`");
    check("port: 80", "port: 0", "from 1 to 65535");
    check("TCP", "ICMP", "a protocol is TCP, UDP or SCTP");
    check("10.0.0.0/8", "10.0.0.0/99", "is not a CIDR block");
    check("ipBlock: {cidr: 10.0.0.0/8}", "fqdn: example.org", "unknown field");
    check(
        "ipBlock: {cidr: 10.0.0.0/8}",
        "namespaceSelector: {matchLabels: {team: a}}",
        "of a namespace only",
    );
    check("from:", "to:", "`from` is for ingress");
    check("spec:", "spec:\n  policyTypes: [Inward]", "`Ingress` or `Egress`");
    check("networking.k8s.io/v1", "projectcalico.org/v3", "are not read");
    check("podSelector: {}", "podSelector: {matchExpressions: [{key: a, operator: Near}]}", "an operator is");
    check("spec:", "spec: [", "");
}

#[test]
fn kubernetes_reads_a_folder_with_other_objects() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n";
    let list = format!(
        "---\nkind: List\napiVersion: v1\nitems:\n{}",
        POLICY
            .lines()
            .enumerate()
            .map(|(i, l)| format!("{}{l}\n", if i == 0 { "  - " } else { "    " }))
            .collect::<String>()
    );
    let peer = Peer {
        workload: model::WorkloadId("w".into()),
        labels: Labels::new(),
        addresses: addresses("10.0.0.1"),
    };
    for text in [format!("{service}{POLICY}"), list] {
        let source = Source { file_name: "all.yaml".into(), text };
        let back =
            read(find("kubernetes").unwrap(), &[source], std::slice::from_ref(&peer)).unwrap().remove(0);
        let expected = model::TrafficSet::product(
            &addresses("10.0.0.0/8"),
            &addresses("10.0.0.1"),
            &support::services("tcp/80"),
        );
        assert_eq!(back.ingress, expected);
        // Without `policyTypes` and egress entries, egress is nobody's business.
        assert!(back.egress.contains(&model::Packet {
            source: "10.0.0.1".parse().unwrap(),
            destination: "192.0.2.1".parse().unwrap(),
            protocol: model::Protocol::UDP,
            selector: 9,
        }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_text_is_an_error_and_never_a_panic(at in any::<prop::sample::Index>(), with in "[ -~\n]{0,6}", json in any::<bool>()) {
        let good = if json { JSON.to_owned() } else { sample() };
        let from = at.index(good.len());
        let text = format!("{}{with}{}", &good[..from], &good[(from + with.len()).min(good.len())..]);
        for target in compile::TARGETS {
            let source = Source { file_name: "x".into(), text: text.clone() };
            if let Err(errors) = read(target, &[source], &[]) {
                prop_assert!(errors.iter().all(|error| error.line >= 1 && !error.problem.is_empty()));
            }
        }
    }
}

const JSON: &str = r#"{"nftables":[{"table":{"family":"inet","name":"ringfence","handle":2}},
{"set":{"family":"inet","name":"s","table":"ringfence","type":"ipv4_addr","handle":4,"flags":["interval"],"elem":[{"range":["0.0.0.0","0.0.0.6"]},{"prefix":{"addr":"10.0.0.0","len":24}},"10.0.1.5"]}},
{"map":{"family":"inet","name":"m","table":"ringfence","type":["icmp_type","icmp_code"],"handle":7,"map":"verdict","flags":["interval"],"elem":[[{"concat":["destination-unreachable",{"range":["host-unreachable","frag-needed"]}]},{"goto":{"target":"in_default"}}]]}},
{"chain":{"family":"inet","table":"ringfence","name":"input","handle":3,"type":"filter","hook":"input","prio":0,"policy":"accept"}},
{"rule":{"family":"inet","table":"ringfence","chain":"input","handle":22,"comment":"floor:loopback","expr":[{"match":{"op":"==","left":{"meta":{"key":"iif"}},"right":"lo"}},{"accept":null}]}}]}"#;
