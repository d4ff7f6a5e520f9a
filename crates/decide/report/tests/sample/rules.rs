//! The invented policy.

use model::{Action, Mode};
use report::*;

use super::{at, minute, text};

fn rule(
    id: &str,
    action: Action,
    scope: &str,
    sides: (&str, &str),
    services: &[&str],
    why: &str,
    line: u32,
) -> StoryRule {
    let (from, to) = sides;
    let guardrail = action != Action::Allow;
    let file = if guardrail {
        "policies/00-guardrails.yaml".to_owned()
    } else {
        format!("policies/{}.yaml", scope.trim_start_matches("segment:"))
    };
    StoryRule {
        id: id.into(),
        action,
        scope: scope.into(),
        mode: (!guardrail).then_some(Mode::Test),
        owner: if guardrail { "secops" } else { "team-shop" }.into(),
        from: from.into(),
        except: String::new(),
        to: to.into(),
        services: text(services),
        why: why.into(),
        evidence: (action != Action::GuardrailDeny).then(|| StoryEvidence {
            flows: u64::from(line) * 317,
            clients: 3,
            servers: 2,
            first: Some(minute(0) + 2_000_000),
            last: Some(minute(8) - 3_000_000),
            confidence: Some(0.9 + f64::from(line % 10) / 110.0),
        }),
        location: at(&file, line),
        yaml: format!(
            "- id: {id}\n  from: {from}\n  to: {to}\n  ports: [{}]\n  why: {why}\n",
            services.join(", ")
        ),
        expires: line.is_multiple_of(3).then(|| "2027-05-20".into()),
        holdout_flows: Some(u64::from(line) * 121),
    }
}

pub(super) fn rules() -> Vec<StoryRule> {
    use Action::{Allow, GuardrailAllow, GuardrailDeny};
    let mut no_ssh = rule(
        "bastion-only",
        GuardrailDeny,
        "",
        ("any", "env=prod"),
        &["tcp/22", "tcp/3389"],
        "ATT&CK T1021: remote access goes through the bastion",
        9,
    );
    no_ssh.except = "segment:bastion".into();
    vec![
        rule(
            "no-workstation-to-database",
            GuardrailDeny,
            "",
            ("segment:workstations", "segment:orders-database"),
            &[],
            "PCI DSS 1.3.1: people do not talk to databases",
            4,
        ),
        no_ssh,
        rule(
            "dns",
            GuardrailAllow,
            "",
            ("any", "segment:name-and-time"),
            &["udp/53", "tcp/53"],
            "name resolution: 13 of 13 segments ask",
            15,
        ),
        rule(
            "ntp",
            GuardrailAllow,
            "",
            ("any", "segment:name-and-time"),
            &["udp/123"],
            "time: 13 of 13 segments ask",
            16,
        ),
        rule(
            "scrape",
            GuardrailAllow,
            "",
            ("segment:metrics", "any"),
            &["tcp/9100"],
            "metrics of every host",
            17,
        ),
        rule(
            "load-balancer-to-web",
            Allow,
            "segment:web",
            ("segment:load-balancer", "segment:web"),
            &["tcp/8080"],
            "the shop's pages",
            12,
        ),
        rule(
            "bastion-ssh",
            Allow,
            "segment:web",
            ("segment:bastion", "env=prod"),
            &["tcp/22"],
            "administration",
            21,
        ),
        rule(
            "web-to-application",
            Allow,
            "segment:application",
            ("segment:web", "segment:application"),
            &["tcp/9000"],
            "the shop's interface",
            12,
        ),
        rule(
            "application-to-internet",
            Allow,
            "segment:application",
            ("segment:application", "internet"),
            &["tcp/443"],
            "payment provider",
            22,
        ),
        rule(
            "application-to-orders-database",
            Allow,
            "segment:orders-database",
            ("segment:application", "segment:orders-database"),
            &["tcp/5432"],
            "orders are read and written",
            12,
        ),
        rule(
            "orders-database-replication",
            Allow,
            "segment:orders-database",
            ("segment:orders-database", "segment:orders-database"),
            &["tcp/5432"],
            "replication",
            19,
        ),
        rule(
            "application-to-session-cache",
            Allow,
            "segment:session-cache",
            ("segment:application", "segment:session-cache"),
            &["tcp/6379"],
            "sessions",
            12,
        ),
        rule(
            "sensors-to-mqtt",
            Allow,
            "segment:mqtt-broker",
            ("segment:sensors", "segment:mqtt-broker"),
            &["tcp/1883"],
            "telemetry of the cold chain",
            12,
        ),
        rule(
            "workstations-to-load-balancer",
            Allow,
            "segment:load-balancer",
            ("segment:workstations", "segment:load-balancer"),
            &["tcp/443"],
            "staff use the shop",
            12,
        ),
        rule(
            "internet-to-load-balancer",
            Allow,
            "segment:load-balancer",
            ("internet", "segment:load-balancer"),
            &["tcp/443"],
            "customers",
            19,
        ),
        rule(
            "to-mail",
            Allow,
            "segment:mail-submission",
            ("segment:workstations", "segment:mail-submission"),
            &["tcp/587"],
            "mail",
            12,
        ),
        rule(
            "workstations-to-bastion",
            Allow,
            "segment:bastion",
            ("segment:workstations", "segment:bastion"),
            &["tcp/22"],
            "administrators log in here first",
            12,
        ),
        rule(
            "workstations-to-development",
            Allow,
            "segment:development",
            ("segment:workstations", "segment:development"),
            &["tcp/8080"],
            "developers look at their work",
            19,
        ),
        rule(
            "to-backup",
            Allow,
            "segment:backup",
            ("env=prod", "segment:backup"),
            &["tcp/873", "tcp/22"],
            "nightly copies",
            12,
        ),
        rule(
            "development-own",
            Allow,
            "segment:development",
            ("segment:development", "segment:development"),
            &["tcp/5432", "tcp/8080"],
            "development talks to itself",
            12,
        ),
    ]
}
