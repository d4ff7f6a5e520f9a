//! What policies mean, on a small inventory that a person can keep in mind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use model::{Action, AddressClaim, Inventory, Micros, Mode, Packet, Severity, Workload, WorkloadId};
use policy::{PolicySet, Resolved, Verdict, parse, plan, plan_diff, plan_from_json, plan_to_json, resolve};

const NOW: Micros = 1_795_132_800_000_000; // 2026-11-20

fn inventory() -> Inventory {
    let workload = |id: &str, labels: &str, addresses: &[&str]| Workload {
        id: WorkloadId(id.into()),
        name: id.into(),
        labels: labels
            .split(',')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        criticality: None,
        addresses: addresses
            .iter()
            .map(|ip| AddressClaim { ip: ip.parse().unwrap(), from: 0, to: Micros::MAX })
            .collect(),
    };
    Inventory::new(vec![
        workload("web-1", "role=web,app=shop,env=prod", &["10.0.0.1"]),
        workload("web-2", "role=web,app=blog,env=prod", &["10.0.0.2"]),
        workload("db-1", "role=db,app=shop,env=prod", &["10.0.1.1", "10.9.0.1"]),
        workload("dev-1", "role=web,app=shop,env=dev", &["10.1.0.1"]),
        workload("dns-1", "role=dns,env=infra", &["10.2.0.53"]),
    ])
    .unwrap()
}

fn read(text: &str) -> PolicySet {
    parse(&[("p.yaml".into(), text.into())]).unwrap_or_else(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", all.join("\n"))
    })
}

fn resolved(text: &str) -> Resolved {
    resolve(&read(text), &inventory().as_of(NOW))
}

fn packet(source: &str, destination: &str, service: &str) -> Packet {
    let service: model::Service = service.parse().unwrap();
    Packet {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: service.protocol,
        selector: service.low,
    }
}

/// The verdict and the deciding rule's id.
fn verdict(resolved: &Resolved, source: &str, destination: &str, service: &str) -> (Verdict, String) {
    let decision = resolved.decide(&packet(source, destination, service));
    let rule = decision.rule.map(|index| resolved.rules[index].id.clone());
    (decision.verdict, rule.unwrap_or_default())
}

const SHOP: &str = "\
kind: SegmentPolicy
scope: app=shop,env=prod
owner: shop
mode: enforce
allow:
  - {id: web-db, from: role=web, to: role=db, ports: tcp/5432, why: orders}
  - {id: blog-db, from: 'app=blog,role=web', to: role=db, ports: [tcp/5432], why: comments}
  - {id: any-env, from: 'env=*,role=web', to: role=db, ports: [tcp/9000], why: metrics}
";

#[test]
fn a_selector_inherits_what_it_omits() {
    let shop = resolved(SHOP);
    let deny = (Verdict::Deny, String::new());
    assert_eq!(verdict(&shop, "10.0.0.1", "10.0.1.1", "tcp/5432"), (Verdict::Allow, "web-db".into()));
    assert_eq!(verdict(&shop, "10.0.0.2", "10.0.1.1", "tcp/5432"), (Verdict::Allow, "blog-db".into()));
    assert_eq!(verdict(&shop, "10.1.0.1", "10.0.1.1", "tcp/5432"), deny, "dev is not in the scope");
    assert_eq!(verdict(&shop, "10.1.0.1", "10.0.1.1", "tcp/9000"), (Verdict::Allow, "any-env".into()));
    assert_eq!(verdict(&shop, "10.0.0.2", "10.0.1.1", "tcp/9000"), deny, "the blog is another app");
    assert_eq!(verdict(&shop, "10.0.1.1", "10.0.0.1", "tcp/5432"), deny, "rules have a direction");
}

#[test]
fn only_governed_endpoints_are_denied_by_default() {
    let shop = resolved(SHOP);
    assert_eq!(verdict(&shop, "10.0.0.2", "10.2.0.53", "udp/53"), (Verdict::Unmanaged, String::new()));
    assert_eq!(verdict(&shop, "10.0.0.1", "10.2.0.53", "udp/53"), (Verdict::Deny, String::new()));
    assert_eq!(verdict(&shop, "8.8.8.8", "10.0.0.1", "tcp/443"), (Verdict::Deny, String::new()));
}

const GUARDED: &str = "\
kind: Guardrail
owner: secops
deny:
  - {id: no-dev, from: env=dev, to: env=prod, why: x}
  - {id: no-ssh, from: any, except: role=dns, to: env=prod, ports: tcp/22, why: x}
allow:
  - {id: dns, from: any, to: role=dns, ports: [udp/53], why: names}
---
";

#[test]
fn guardrails_come_first() {
    let all = resolved(&format!("{GUARDED}{SHOP}"));
    assert_eq!(verdict(&all, "10.1.0.1", "10.0.1.1", "tcp/9000"), (Verdict::Deny, "no-dev".into()));
    assert_eq!(verdict(&all, "10.0.0.1", "10.2.0.53", "udp/53"), (Verdict::Allow, "dns".into()));
    assert_eq!(verdict(&all, "8.8.8.8", "10.0.0.2", "tcp/22"), (Verdict::Deny, "no-ssh".into()));
    assert_eq!(verdict(&all, "10.2.0.53", "10.0.0.2", "tcp/22"), (Verdict::Unmanaged, String::new()));
    assert_eq!(verdict(&all, "10.2.0.53", "10.0.0.1", "tcp/22"), (Verdict::Deny, String::new()));
    let actions: Vec<Action> = all.rules.iter().map(|rule| rule.action).collect();
    assert!(actions.is_sorted());
}

#[test]
fn a_guardrail_that_another_breaks_is_named_with_a_witness() {
    let broken = format!(
        "{GUARDED}kind: Guardrail\nowner: net\nallow:\n  - {{id: all-dns, from: any, to: any, ports: udp/53, why: x}}\n"
    );
    let broken = resolved(&broken);
    let problem =
        broken.diagnostics.iter().find(|problem| problem.message.contains("`no-dev` does not hold")).unwrap();
    assert_eq!(problem.severity, Severity::Warning);
    assert_eq!(
        problem.message,
        "guardrail deny `no-dev` does not hold for 10.1.0.1 -> 10.0.0.1 udp/53: guardrail allow `all-dns` beats it"
    );
}

#[test]
fn a_guardrail_that_nobody_enforces_is_noted() {
    let alone = resolved(GUARDED);
    let notes: Vec<&str> = alone
        .diagnostics
        .iter()
        .filter(|problem| problem.severity == Severity::Info)
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("10.1.0.1 -> 10.0.0.1"), "{notes:?}");
}

#[test]
fn names_that_mean_nobody_are_explained() {
    let text = "\
kind: Segment
name: front
members: [web-1, web-9]
---
kind: SegmentPolicy
scope: app=shop,env=prod
owner: shop
allow:
  - {id: a, from: role=wbe, to: role=db, why: x}
  - {id: b, from: 'segment:frnt', to: role=db, why: x}
  - {id: c, from: role=dns, to: role=db, why: x}
  - {id: d, from: 'group:admins', to: 'fqdn:example.com', why: x}
  - {id: e, from: rolle=web, to: role=db, why: x}
  - {id: f, from: front, to: role=db, why: x}
";
    let messages: Vec<String> = resolved(text)
        .diagnostics
        .iter()
        .map(|p| format!("{} | {}", p.message, p.help.clone().unwrap()))
        .collect();
    for part in [
        "segment `front` lists `web-9`",
        "did you mean `role=web`?",
        "did you mean `segment:front`?",
        "`app=shop,env=prod,role=dns` | each label exists",
        "`group:admins` means nobody",
        "`fqdn:example.com` means nobody",
        "did you mean `role`?",
        "label `front`; did you mean `segment:front`?",
    ] {
        assert!(messages.iter().any(|message| message.contains(part)), "{part} in {messages:#?}");
    }
    assert_eq!(messages.len(), 8, "{messages:#?}");
}

#[test]
fn an_expired_rule_is_left_out_and_said() {
    let text = |expires: &str| SHOP.replace("why: orders", &format!("why: orders, expires: {expires}"));
    for (expires, holds) in [
        ("2026-11-19", false),
        ("2026-11-20", true),
        ("2026-11-20T00:00:00Z", false),
        ("2026-11-20T00:00:01Z", true),
    ] {
        let shop = resolved(&text(expires));
        let verdict = verdict(&shop, "10.0.0.1", "10.0.1.1", "tcp/5432").0;
        assert_eq!(verdict == Verdict::Allow, holds, "{expires}");
        assert_eq!(shop.expired.is_empty(), holds);
        assert_eq!(shop.diagnostics.iter().any(|p| p.message.contains("expired")), !holds);
    }
}

#[test]
fn two_policies_of_one_workload_take_the_milder_mode() {
    let second = "---\nkind: SegmentPolicy\nscope: role=db\nowner: dba\nmode: test\n";
    let both = resolved(&format!("{SHOP}{second}"));
    assert_eq!(both.mode_of(&WorkloadId("db-1".into())), Some(Mode::Test));
    assert_eq!(both.mode_of(&WorkloadId("web-1".into())), Some(Mode::Enforce));
    assert_eq!(both.mode_of(&WorkloadId("web-2".into())), None);
    assert!(
        both.diagnostics.iter().any(|problem| problem.message.contains("two policies of different mode"))
    );
}

#[test]
fn a_plan_keeps_apart_addresses_that_rules_keep_apart() {
    let set = read(&format!(
        "{SHOP}  - {{id: admin, from: any, to: 'cidr:10.9.0.0/16', ports: tcp/22, why: console}}\n"
    ));
    let inventory = inventory();
    let view = inventory.as_of(NOW);
    let made = plan(&resolve(&set, &view), &view, None);
    let workloads: Vec<&str> = made.points.iter().map(|point| point.workload.0.as_str()).collect();
    assert_eq!(workloads, ["db-1", "web-1"]);
    let ingress = made.points[0].allowed_ingress();
    assert!(ingress.contains(&packet("8.8.8.8", "10.9.0.1", "tcp/22")));
    assert!(!ingress.contains(&packet("8.8.8.8", "10.0.1.1", "tcp/22")));
}

#[test]
fn plans_are_named_by_content_and_compared_by_rule() {
    let inventory = inventory();
    let (view, later) = (inventory.as_of(NOW), inventory.as_of(NOW + 1));
    let make = |text: &str, parent: Option<String>| plan(&resolve(&read(text), &view), &view, parent);
    let first = make(SHOP, None);
    let same = plan(&resolve(&read(SHOP), &later), &later, Some(first.id.clone()));
    assert_eq!(first.id, same.id, "the same content has the same name");
    let changed = SHOP.replace("tcp/9000", "tcp/9001").replace("id: blog-db", "id: blog-orders");
    let second = make(&changed, Some(first.id.clone()));
    assert_ne!(first.id, second.id);
    let diff = plan_diff(&first, &second);
    assert_eq!((diff.added.len(), diff.removed.len(), diff.changed.len()), (0, 0, 2));
    let db = &diff.changed[0];
    assert_eq!(db.ingress.added, ["blog-orders"]);
    assert_eq!(db.ingress.removed, ["blog-db"]);
    assert_eq!(db.ingress.changed, ["any-env"]);
    assert!(db.egress.is_empty() && db.mode.is_none() && !db.addresses);
    assert!(plan_diff(&first, &same).is_empty());
}

#[test]
fn a_plan_file_that_was_changed_is_refused() {
    let inventory = inventory();
    let view = inventory.as_of(NOW);
    let text = plan_to_json(&plan(&resolve(&read(SHOP), &view), &view, None));
    assert!(plan_from_json(&text).is_ok());
    for (changed, message) in [
        (text.replace("tcp/5432", "tcp/1-65535"), "was changed after it was made"),
        (text.replace("\"format_version\": 1", "\"format_version\": 2"), "format version 2"),
        (text.replace("10.0.0.1", "10.0.0.x"), "neither addresses nor a service"),
        (text[..text.len() / 2].to_owned(), "not a plan file"),
        (String::from("[]"), "not a plan file"),
    ] {
        let problem = plan_from_json(&changed).unwrap_err().to_string();
        assert!(problem.contains(message), "{problem}");
    }
}

#[test]
fn the_schema_knows_the_keys_of_the_example() {
    let schema = policy::schema();
    let example = include_str!("goldens/interface.formatted.yaml");
    for document in example.split("---\n") {
        let kind = document.lines().next().unwrap().trim_start_matches("kind: ");
        let matching =
            schema["oneOf"].as_array().unwrap().iter().find(|d| d["properties"]["kind"]["const"] == kind);
        let properties = matching.unwrap()["properties"].as_object().unwrap();
        for line in document.lines().filter(|line| !line.starts_with([' ', '-'])) {
            let key = line.split(':').next().unwrap();
            assert!(properties.contains_key(key), "{kind} {key}");
        }
    }
    let text = schema.to_string();
    for reference in text.split("#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(schema["$defs"].get(reference).is_some(), "{reference} is not defined");
    }
}
