//! Artifacts of a small plan, byte for byte. `UPDATE_GOLDENS=1 cargo test -p ringfence-compile` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic, in what they share too")]

mod support;

use std::path::PathBuf;

use compile::{find, render};
use model::Action::{Allow, GuardrailAllow, GuardrailDeny};
use model::{Mode, Plan};
use support::{plan, point, rule};

fn shop(mode: Mode) -> Plan {
    let dns = || rule("dns", GuardrailAllow, "10.0.9.53 fd00:9::53", "udp/53 tcp/53");
    let ntp = || rule("ntp", GuardrailAllow, "10.0.9.123", "udp/123");
    let web = point(
        "web-1",
        "10.0.1.10 fd00:1::10",
        mode,
        vec![
            rule("ping", GuardrailAllow, "10.0.0.0/8 fd00::/16", "icmp/8 icmpv6/128"),
            rule("no-dev", GuardrailDeny, "10.7.0.0/16", "any"),
            rule("bastion-only", GuardrailDeny, "0.0.0.0-10.0.9.21 10.0.9.23-255.255.255.255 v6", "tcp/22"),
            rule("metrics", Allow, "10.0.9.90", "tcp/9100"),
            rule("internet-to-web", Allow, "any", "tcp/80 tcp/443"),
            rule("bastion", Allow, "10.0.9.22", "tcp/22"),
        ],
        vec![
            dns(),
            ntp(),
            rule("web-to-api", Allow, "10.0.2.10 10.0.2.11-10.0.2.13 fd00:2::/64", "tcp/8443"),
            rule("ftp-data", Allow, "10.0.2.10 10.0.2.11-10.0.2.13 fd00:2::/64", "tcp/30000-30100"),
        ],
    );
    let database = point(
        "db-1",
        "10.0.3.5",
        mode,
        vec![rule("api-to-db", Allow, "10.0.2.10-10.0.2.13", "tcp/5432")],
        vec![dns(), ntp()],
    );
    let api = point(
        "api-1",
        "10.0.2.10 10.0.2.11 10.0.2.12 10.0.2.13",
        mode,
        vec![rule("web-to-api", Allow, "10.0.1.10", "tcp/8443")],
        vec![dns(), ntp(), rule("api-to-db", Allow, "10.0.3.5", "tcp/5432")],
    );
    plan(vec![api, database, web])
}

fn check(target: &str, name: &str, plan: &Plan) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    let artifacts = render(plan, find(target).unwrap()).unwrap();
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    if update {
        std::fs::create_dir_all(&folder).unwrap();
    }
    assert!(!artifacts.is_empty());
    for artifact in artifacts {
        let path = folder.join(&artifact.file_name);
        if update {
            std::fs::write(&path, &artifact.text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(artifact.text, golden, "{} changed; UPDATE_GOLDENS=1 accepts", path.display());
    }
}

#[test]
fn nftables_in_every_mode() {
    check("nftables", "nftables-enforce", &shop(Mode::Enforce));
    check("nftables", "nftables-selective", &shop(Mode::Selective));
    check("nftables", "nftables-test", &shop(Mode::Test));
    check("nftables", "nftables-observe", &shop(Mode::Observe));
}

#[test]
fn kubernetes_without_icmp() {
    let mut plan = shop(Mode::Enforce);
    for point in &mut plan.points {
        point.ingress.retain(|rule| rule.id != "ping");
    }
    check("kubernetes", "kubernetes", &plan);
}
