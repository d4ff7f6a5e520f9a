//! The proof as a table for people and as JSON for the report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::attack;
use super::prove::{Expected, Fate, Tried, explain};
use super::site::HOSTS;
use super::verdict::segment;

/// Everything that a proof found.
pub(super) struct Table<'a> {
    pub(super) tried: &'a [Tried],
    pub(super) fates: &'a [Fate],
    /// Host, rule's comment, packets.
    pub(super) counters: &'a BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl Table<'_> {
    /// Prints it.
    pub(super) fn print(&self) {
        println!("legitimate conversations     succeeded  failed");
        println!(
            "  seen while learning        {:>9}  {:>6}",
            self.count(true, true),
            self.count(true, false)
        );
        println!(
            "  never seen while learning  {:>9}  {:>6}",
            self.count(false, true),
            self.count(false, false)
        );
        for t in self.tried.iter().filter(|t| !t.ok) {
            let Expected { activity, client, server, service, learned, .. } = &t.expected;
            let seen = if *learned { "LEARNED" } else { "never learned" };
            println!("    failed ({seen}): {activity} {client} -> {server} {service}: {}", t.reason);
        }
        let retried = self.tried.iter().filter(|t| t.ok && t.attempts > 1).count();
        if retried > 0 {
            println!("  {retried} needed a second try, with no denial logged");
        }
        println!(
            "\nintruder's step   technique   in sequence  alone  verdict    where it dies, or what it rides on"
        );
        for f in self.fates {
            let (sequence, alone) = (works(f.reached), works(f.alone));
            let Fate { step, verdict, .. } = f;
            println!(
                "{:<17} {:<11} {sequence:<12} {alone:<6} {verdict:<10} {}",
                step.id,
                step.technique,
                place(f)
            );
        }
        let denied: u64 = self.counters.values().flatten().filter(|(k, _)| denies(k)).map(|(_, n)| n).sum();
        println!("\n{denied} packets denied, by the rules' counters");
    }

    /// The same and more, as JSON. `checks` has the rows of the report's table.
    pub(super) fn document(&self, seed: u64, guarded: usize, seconds: f64) -> Value {
        let share = |learned| json!({"ok": self.count(learned, true), "failed": self.count(learned, false)});
        let denied: BTreeMap<&str, BTreeMap<&String, &u64>> = self
            .counters
            .iter()
            .map(|(host, rules)| (*host, rules.iter().filter(|(k, _)| denies(k)).collect::<BTreeMap<_, _>>()))
            .filter(|(_, rules)| !rules.is_empty())
            .collect();
        json!({
            "format_version": 1,
            "seed": seed,
            "guarded": guarded,
            "hosts": HOSTS.len(),
            "seconds": seconds.round(),
            "checks": self.checks(),
            "legitimate": {
                "learned": share(true),
                "never_learned": share(false),
                "conversations": self.tried.iter().map(tried_json).collect::<Vec<_>>(),
            },
            "attack": {
                "entry": attack::entry(seed),
                "steps": self.fates.iter().map(fate_json).collect::<Vec<_>>(),
            },
            "denied_packets": denied,
        })
    }

    fn count(&self, learned: bool, ok: bool) -> usize {
        self.tried.iter().filter(|t| t.expected.learned == learned && t.ok == ok).count()
    }

    /// One row for each activity of each kind of history, one for each of the intruder's steps.
    fn checks(&self) -> Vec<Value> {
        let mut groups: BTreeMap<(bool, &str, &str), Vec<&Tried>> = BTreeMap::new();
        for t in self.tried {
            let key = (!t.expected.learned, t.expected.activity.as_str(), t.expected.service.as_str());
            groups.entry(key).or_default().push(t);
        }
        let legitimate = groups.into_iter().map(|((fresh, activity, service), members)| {
            let ok = members.iter().filter(|t| t.ok).count();
            let reason = members.iter().find(|t| !t.ok).map(|t| t.reason.as_str());
            json!({
                "check": activity,
                "from": ends(members.iter().map(|t| t.expected.client.as_str())),
                "to": ends(members.iter().map(|t| t.expected.server.as_str())),
                "service": service,
                "expected": if fresh { "never seen while learning" } else { "works" },
                "observed": format!("{ok} of {} worked", members.len()),
                "log": reason,
                "passed": fresh || ok == members.len(),
            })
        });
        let attack = self.fates.iter().map(|f| {
            let ports: Vec<String> = f.step.ports.iter().map(u16::to_string).collect();
            json!({
                "check": format!("{} ({})", f.step.title, f.step.technique),
                "from": f.step.from,
                "to": f.step.to.join(", "),
                "service": format!("tcp/{}", ports.join(",")),
                "expected": "blocked or contained",
                "observed": if f.detail.is_empty() { f.verdict.to_owned() } else { format!("{}: {}", f.verdict, f.detail) },
                "log": f.denial().map(|d| format!("{} ({} at {})", d.rule, d.direction, d.host)),
                "passed": f.verdict != "through",
            })
        });
        legitimate.chain(attack).collect()
    }
}

fn works(yes: bool) -> &'static str {
    if yes { "works" } else { "dies" }
}

fn place(f: &Fate) -> String {
    let denial = f.denial().map(explain);
    denial.filter(|_| f.verdict == "blocked").unwrap_or_else(|| f.detail.clone())
}

/// Hosts by name when they are few, else their segments.
fn ends<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let ids: BTreeSet<&str> = ids.collect();
    if ids.len() <= 3 {
        return ids.into_iter().collect::<Vec<_>>().join(", ");
    }
    let segments: BTreeSet<String> = ids.iter().map(|id| segment(id)).collect();
    if segments.len() <= 3 {
        return segments.into_iter().collect::<Vec<_>>().join(", ");
    }
    format!("{} hosts of {} segments", ids.len(), segments.len())
}

/// Whether a rule's comment says that it denies.
fn denies(comment: &str) -> bool {
    comment.starts_with("deny:")
}

fn tried_json(t: &Tried) -> Value {
    let Expected { activity, client, server, service, kind, learned } = &t.expected;
    json!({
        "activity": activity, "client": client, "server": server, "service": service, "kind": kind,
        "learned": learned, "ok": t.ok, "attempts": t.attempts, "reason": t.reason,
    })
}

fn fate_json(f: &Fate) -> Value {
    let denials = f.denials.iter().map(|(d, count)| {
        json!({
            "host": d.host, "rule": d.rule, "direction": d.direction, "client": d.client, "server": d.server,
            "protocol": d.protocol, "port": d.port, "packets": count,
        })
    });
    json!({
        "id": f.step.id, "technique": f.step.technique, "title": f.step.title, "from": f.step.from, "to": f.step.to,
        "ports": f.step.ports, "tool": f.step.tool, "hops": f.step.hops, "in_sequence": f.reached, "alone": f.alone,
        "verdict": f.verdict, "detail": f.detail, "denials": denials.collect::<Vec<_>>(),
    })
}
