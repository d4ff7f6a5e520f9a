//! Properties that hold and properties that do not, each with its witness.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use model::{AddressClaim, Inventory, Micros, Region, Workload, WorkloadId};
use policy::{PolicySet, parse, resolve};
use verify::{AssertionKind, AssertionOutcome, Outcome, Property, Verifier, Violation, check_assertions};

const NOW: Micros = 1_795_132_800_000_000; // 2026-11-20

fn inventory() -> Inventory {
    let workload = |id: &str, labels: &str, address: &str| Workload {
        id: WorkloadId(id.into()),
        name: format!("{id}.example"),
        labels: labels
            .split(',')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        criticality: None,
        addresses: vec![AddressClaim { ip: address.parse().unwrap(), from: 0, to: Micros::MAX }],
    };
    Inventory::new(vec![
        workload("web-1", "role=web,env=prod", "10.0.0.1"),
        workload("web-2", "role=web,env=prod", "10.0.0.2"),
        workload("api-1", "role=api,env=prod", "10.0.1.1"),
        workload("db-1", "role=db,env=prod", "10.0.2.1"),
        workload("dev-1", "role=web,env=dev", "10.1.0.1"),
        workload("dev-2", "role=web,env=dev", "10.1.0.2"),
    ])
    .unwrap()
}

const POLICY: &str = "\
kind: Guardrail
owner: secops
deny:
  - {id: no-dev, from: env=dev, to: env=prod, why: separation}
  - {id: no-telnet, from: any, to: any, ports: tcp/23, why: clear text}
allow:
  - {id: icmp, from: any, to: any, ports: icmp/8, why: ping}
---
kind: SegmentPolicy
scope: env=prod
owner: shop
mode: enforce
allow:
  - {id: web-api, from: role=web, to: role=api, ports: [tcp/8443, tcp/23], why: checkout}
  - {id: api-db, from: role=api, to: role=db, ports: tcp/5432, why: orders}
";

fn read(text: &str) -> PolicySet {
    parse(&[("p.yaml".into(), text.into())]).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

fn check(text: &str, property: &str) -> Outcome {
    let (set, inventory) = (read(text), inventory());
    let view = inventory.as_of(NOW);
    let resolved = resolve(&set, &view);
    Verifier::new(&set, &resolved, &view).check(&property.parse().unwrap())
}

fn only(outcome: Outcome) -> Violation {
    match outcome {
        Outcome::Violated(violations) if violations.len() == 1 => violations.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_holds_is_proven() {
    for property in [
        "reach role=web,env=prod -> role=api on tcp/8443",
        "reach web-1 -> api-1",
        "reach env=prod -> env=prod on icmp/8",
        "reach dev-1 -> dev-2 on tcp/1",
        "isolate role=web -> role=db on tcp/1-65535, udp",
        "isolate role=web,env=prod -> role=api on tcp/23",
        "isolate env=dev -> env=prod on tcp, udp",
    ] {
        assert_eq!(check(POLICY, property), Outcome::Holds, "{property}");
    }
}

#[test]
fn what_does_not_hold_has_a_witness() {
    for (property, witness, reason) in [
        ("reach role=web -> role=api on tcp/8443", "10.1.0.1 -> 10.0.1.1 tcp/8443", "guardrail `no-dev`"),
        (
            "reach role=web,env=prod -> role=api on tcp/8442-8443",
            "10.0.0.1 -> 10.0.1.1 tcp/8442",
            "no rule allows it",
        ),
        ("isolate role=api -> any", "10.0.1.1 -> 10.0.0.1 icmp/8.0", "rule `icmp`"),
        ("isolate any -> role=db on tcp", "10.0.1.1 -> 10.0.2.1 tcp/5432", "rule `api-db`"),
        ("isolate env=dev -> any on udp", "10.1.0.1 -> 10.1.0.1 udp/0", "nobody governs"),
    ] {
        let violation = only(check(POLICY, property));
        assert_eq!(violation.witness.unwrap().to_string(), witness, "{property}");
        assert!(violation.reason.contains(reason), "{property}: {}", violation.reason);
    }
}

#[test]
fn a_property_of_nobody_proves_nothing() {
    for property in ["isolate role=ghost -> any", "reach any -> role=ghost", "blast-radius ghost"] {
        let violation = only(check(POLICY, property));
        assert_eq!(violation.witness, None);
        assert!(violation.reason.contains("ghost"), "{}", violation.reason);
    }
}

#[test]
fn policies_are_compared_exactly() {
    let (inventory, narrow, wide) =
        (inventory(), read(POLICY), read(&POLICY.replace("tcp/5432", "tcp/5432-5433")));
    let view = inventory.as_of(NOW);
    let (narrow_resolved, wide_resolved) = (resolve(&narrow, &view), resolve(&wide, &view));
    let narrow = Verifier::new(&narrow, &narrow_resolved, &view);
    let wide = Verifier::new(&wide, &wide_resolved, &view);
    let equal = |verifier: &Verifier<'_>, other: &Verifier<'_>| {
        verifier.check(&Property::Equal(other.permitted().clone()))
    };
    assert_eq!(equal(&narrow, &narrow), Outcome::Holds);
    let violation = only(equal(&wide, &narrow));
    assert_eq!(violation.witness.unwrap().to_string(), "10.0.1.1 -> 10.0.2.1 tcp/5433");
    assert!(violation.reason.contains("passes here and not there"));
    assert_eq!(wide.check(&Property::Contains(narrow.permitted().clone())), Outcome::Holds);
    assert!(narrow.check(&Property::Contains(wide.permitted().clone())).is_violated());
}

#[test]
fn rules_that_never_decide_are_found() {
    assert_eq!(check(POLICY, "shadowed"), Outcome::Holds);
    let text = format!(
        "{POLICY}  - {{id: telnet, from: any, to: role=api, ports: tcp/23, why: old}}\n  \
         - {{id: dev, from: 'env=dev', to: role=db, why: debug}}\n"
    );
    let Outcome::Violated(violations) = check(&text, "shadowed") else { panic!() };
    let reasons: Vec<&str> = violations.iter().map(|v| v.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons[0].contains("`telnet`") && reasons[0].contains("guardrail deny `no-telnet`"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("`dev`") && reasons[1].contains("guardrail deny `no-dev`"), "{reasons:?}");
}

#[test]
fn rules_that_add_nothing_are_found_and_can_go_together() {
    let text = format!(
        "{POLICY}  - {{id: twin, from: role=api, to: role=db, ports: tcp/5432, why: same}}\n  \
         - {{id: left, from: role=web, to: role=db, ports: tcp/1-9, why: x}}\n  \
         - {{id: right, from: role=web, to: role=db, ports: tcp/10-20, why: x}}\n  \
         - {{id: inner, from: role=web, to: role=db, ports: tcp/5-15, why: x}}\n"
    );
    assert_eq!(check(POLICY, "redundant"), Outcome::Holds);
    let Outcome::Violated(violations) = check(&text, "redundant") else { panic!() };
    let reasons: Vec<&str> = violations.iter().map(|v| v.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("`twin`") && reasons[0].contains("`api-db`"), "{reasons:?}");
    assert!(
        reasons[1].contains("`inner`") && reasons[1].contains("rule `left`, rule `right`"),
        "{reasons:?}"
    );
    let without: String = text
        .lines()
        .filter(|l| !l.contains("id: twin") && !l.contains("id: inner"))
        .fold(String::new(), |all, line| all + line + "\n");
    let (inventory, before, after) = (inventory(), read(&text), read(&without));
    let view = inventory.as_of(NOW);
    assert_eq!(resolve(&before, &view).allowed, resolve(&after, &view).allowed);
}

#[test]
fn an_intruder_is_followed_hop_by_hop() {
    let quiet = POLICY
        .replace("ports: icmp/8", "ports: udp/53")
        .replace("{id: icmp, from: any, to: any", "{id: icmp, from: any, to: role=dns");
    let Outcome::Reaches(reached) = check(&quiet, "blast-radius web-1") else { panic!() };
    let list: Vec<String> = reached
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {}",
                r.hop,
                r.workload,
                r.via,
                r.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            )
        })
        .collect();
    assert_eq!(list, ["1 api-1 web-1 tcp/8443", "2 db-1 api-1 tcp/5432"]);
    let Outcome::Reaches(direct) = check(&quiet, "blast-radius web-1.example hops 1") else { panic!() };
    assert_eq!(direct.len(), 1);
    let Outcome::Reaches(dev) = check(&quiet, "blast-radius dev-1") else { panic!() };
    assert_eq!(dev.len(), 1, "{dev:?}");
    assert_eq!(dev[0].workload.0, "dev-2");
}

fn assertions(text: &str) -> Vec<AssertionOutcome> {
    let (set, inventory) = (read(text), inventory());
    let view = inventory.as_of(NOW);
    let resolved = resolve(&set, &view);
    check_assertions(&set, &resolved, &view)
}

#[test]
fn sentences_are_proven_in_their_scope() {
    let tests = "\
tests:
  - role=web can reach role=api on tcp/8443
  - role=web cannot reach role=db on tcp
  - env=*,role=web can reach role=api on tcp/8443
  - role=web can reach role=api on tcp/23
  - role=ghost cannot reach role=db
";
    let outcomes = assertions(&format!("{POLICY}{tests}"));
    let sentences: Vec<_> = outcomes.iter().filter(|o| o.kind == AssertionKind::Sentence).collect();
    let holds: Vec<bool> = sentences.iter().map(|o| o.holds).collect();
    assert_eq!(holds, [true, true, false, false, false]);
    assert_eq!(sentences[2].witness.unwrap().to_string(), "10.1.0.1 -> 10.0.1.1 tcp/8443");
    assert!(sentences[2].rule.is_some() && sentences[2].location.line > 0);
    assert!(sentences[4].reason.as_ref().unwrap().contains("proves nothing"));
    let guardrails: Vec<_> = outcomes.iter().filter(|o| o.kind == AssertionKind::Guardrail).collect();
    assert_eq!(guardrails.len(), 2);
    assert!(guardrails.iter().all(|o| o.holds && o.owner == "secops"));
    let json = serde_json::to_value(&outcomes).unwrap();
    let witness = json.as_array().unwrap().iter().find_map(|o| o.get("witness")).unwrap();
    assert_eq!(witness["service"], "tcp/8443");
}

#[test]
fn an_expired_rule_fails_its_test() {
    let outcomes = assertions(&POLICY.replace("why: orders", "why: orders, expires: 2026-11-01"));
    let expired: Vec<_> = outcomes.iter().filter(|o| o.kind == AssertionKind::Expiry).collect();
    assert_eq!(expired.len(), 1);
    assert!(!expired[0].holds);
    assert!(expired[0].reason.as_ref().unwrap().contains("2026-11-01"));
    assert!(assertions(POLICY).iter().all(|outcome| outcome.kind != AssertionKind::Expiry));
}

#[test]
fn a_verdict_on_sets_is_a_verdict_on_packets() {
    let (set, inventory) = (read(POLICY), inventory());
    let view = inventory.as_of(NOW);
    let resolved = resolve(&set, &view);
    let verifier = Verifier::new(&set, &resolved, &view);
    let Outcome::Violated(violations) = verifier.check(&"isolate any -> any".parse().unwrap()) else {
        panic!()
    };
    let witness = violations[0].witness.unwrap();
    assert!(verifier.permitted().contains(&witness));
    assert!(!verifier.permitted().is_disjoint(&resolved.allowed));
}
