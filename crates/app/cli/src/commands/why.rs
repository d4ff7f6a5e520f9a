//! `ringfence why`.

use std::path::PathBuf;

use anyhow::bail;
use model::{Action, Micros, Protocol, Service, TimeWindow, format_time};
use policy::{Document, Evidence, Verdict};
use serde_json::{Value, json};

use crate::output::{Format, Listing, grouped};
use crate::world::{AsOfArgs, World, packet};
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Why {
    /// Who asks: a workload's id or name, or an address.
    source: String,
    /// Who is asked: a workload's id or name, or an address.
    destination: String,
    /// For what: `tcp/443`, `icmp/8`, or a bare TCP port.
    service: String,
    /// Policy files or folders; the project's when none is given.
    #[arg(long, value_name = "PATH")]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
}

impl Why {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let service = one_service(&self.service)?;
        let (world, at) = self.as_of.open(global)?;
        let (files, set) = world.policy(&self.policies)?;
        let resolved = world.resolve(&files, &set, at)?;
        let mut listing =
            Listing::new(&["source", "destination", "service", "verdict", "rule", "where", "why"]);
        let mut texts = Vec::new();
        for source in world.find(&self.source, at)? {
            for destination in world.find(&self.destination, at)? {
                if source.is_v4() != destination.is_v4() {
                    continue;
                }
                let asked = packet(source, destination, service);
                let decision = resolved.decide(&asked);
                let rule = decision.rule.map(|index| &resolved.rules[index]);
                let verdict = match decision.verdict {
                    Verdict::Allow => "allow",
                    Verdict::Deny => "deny",
                    Verdict::Unmanaged => "unmanaged",
                };
                let seen = seen(&world, source, destination, service, at)?;
                let (rule_id, place, why) = match rule {
                    Some(rule) => (rule.id.clone(), rule.location.to_string(), rule.why.clone()),
                    None if decision.verdict == Verdict::Deny => (
                        "default deny".to_owned(),
                        String::new(),
                        missing(&world, &resolved, source, destination, at),
                    ),
                    None => (String::new(), String::new(), "no policy governs either end".to_owned()),
                };
                let evidence = rule.and_then(|rule| evidence_of(&set, &rule.id));
                let symbol = match decision.verdict {
                    Verdict::Allow => "✔ allowed",
                    Verdict::Deny => "✘ denied",
                    Verdict::Unmanaged => "○ unmanaged",
                };
                let mut text = format!(
                    "{symbol}: {} ({source}) -> {} ({destination}) {service}\n",
                    world.name_of(source, at),
                    world.name_of(destination, at)
                );
                match rule {
                    Some(rule) => {
                        let kind = match rule.action {
                            Action::Allow => "rule",
                            Action::GuardrailAllow => "guardrail allow",
                            Action::GuardrailDeny => "guardrail deny",
                        };
                        text.push_str(&format!("  by       {kind} `{rule_id}` at {place}\n"));
                        text.push_str(&format!("  why      {why}\n  owner    {}\n", rule.owner));
                    }
                    None => text.push_str(&format!(
                        "  by       {}\n  why      {why}\n",
                        if rule_id.is_empty() { "nobody" } else { &rule_id }
                    )),
                }
                if let Some(evidence) = &evidence {
                    text.push_str(&format!("  evidence {}\n", evidence_text(evidence)));
                }
                text.push_str(&format!("  traffic  {}\n", seen_text(&seen)));
                texts.push(text);
                listing.objects.push(json!({
                    "source": source, "destination": destination, "service": service.to_string(), "verdict": verdict,
                    "rule": rule.map(|r| &r.id), "location": rule.map(|r| &r.location), "why": why,
                    "owner": rule.map(|r| &r.owner), "evidence": evidence.as_ref().map(evidence_json), "seen": seen,
                }));
                listing.row([
                    source.to_string(),
                    destination.to_string(),
                    service.to_string(),
                    verdict.to_owned(),
                    rule_id,
                    place,
                    why,
                ]);
            }
        }
        if listing.objects.is_empty() {
            bail!("`{}` and `{}` have no addresses of one family", self.source, self.destination);
        }
        let format = global.format_or(Format::Table);
        if format == Format::Table {
            listing.rows.clear();
            listing.summary = texts.join("\n").trim_end().to_owned();
        }
        listing.print(format)?;
        Ok(Exit::Ok)
    }
}

/// A service, or a bare TCP port.
pub(crate) fn service(text: &str) -> Result<Service, UsageError> {
    match text.parse::<u16>() {
        Ok(port) => Ok(Service::new(Protocol::TCP, port)),
        Err(_) => text.parse().map_err(|e| UsageError(format!("{e}"))),
    }
}

/// A service that one packet can stand for: with a range of ports each may be decided otherwise.
fn one_service(text: &str) -> Result<Service, UsageError> {
    let service = service(text)?;
    let many = match service.protocol {
        protocol if protocol.has_ports() => service.low != service.high,
        // Codes of one type are told apart by nobody who asks this.
        protocol if protocol.is_icmp() => service.low >> 8 != service.high >> 8,
        _ => false,
    };
    if many {
        return Err(UsageError(format!(
            "`{text}` is more than one service, and each may be decided otherwise; ask for one, such as `tcp/443`, or \
             prove them all with `ringfence verify 'reach A -> B on {text}'`"
        )));
    }
    Ok(service)
}

/// What is missing for an allow: who governs, and that nothing speaks of the traffic.
fn missing(
    world: &World,
    resolved: &policy::Resolved,
    source: model::Ip,
    destination: model::Ip,
    at: Micros,
) -> String {
    let governed = |ip| resolved.governed.contains(ip).then(|| world.name_of(ip, at));
    match (governed(source), governed(destination)) {
        (Some(a), Some(b)) => format!("`{a}` and `{b}` are governed, and no rule allows it"),
        (Some(one), None) | (None, Some(one)) => format!("`{one}` is governed, and no rule allows it"),
        (None, None) => String::new(),
    }
}

fn evidence_of(set: &policy::PolicySet, id: &str) -> Option<Evidence> {
    set.documents.iter().find_map(|(_, document)| match document {
        Document::SegmentPolicy(policy) => policy.allow.iter().find(|r| r.id.value == id)?.evidence.clone(),
        Document::Guardrail(guardrail) => guardrail.allow.iter().find(|r| r.id.value == id)?.evidence.clone(),
        Document::Segment(_) => None,
    })
}

fn evidence_json(evidence: &Evidence) -> Value {
    let Evidence { flows, days, last_seen, confidence, clients, servers, visibility } = evidence;
    json!({ "flows": flows, "days": days, "last_seen": last_seen, "confidence": confidence, "clients": clients,
        "servers": servers, "visibility": visibility })
}

fn evidence_text(evidence: &Evidence) -> String {
    let mut text = format!("{} connections on {} day(s)", grouped(evidence.flows), evidence.days);
    if let (Some(clients), Some(servers)) = (evidence.clients, evidence.servers) {
        text.push_str(&format!(", {clients} client(s), {servers} server(s)"));
    }
    if let Some(last) = &evidence.last_seen {
        text.push_str(&format!(", last seen {last}"));
    }
    if let Some(confidence) = evidence.confidence {
        text.push_str(&format!(", confidence {confidence:.2}"));
    }
    if let Some(visibility) = evidence.visibility {
        text.push_str(&format!(", visibility {visibility}"));
    }
    text
}

/// What the lake has seen of just this traffic.
fn seen(
    world: &World,
    source: model::Ip,
    destination: model::Ip,
    service: Service,
    at: Micros,
) -> anyhow::Result<Value> {
    let conversations = world.conversations(TimeWindow { from: Micros::MIN, to: at.max(1) })?;
    let same = conversations
        .iter()
        .filter(|c| c.client.ip == source && c.server.ip == destination && service.covers(&c.service));
    let (mut flows, mut first, mut last) = (0, Micros::MAX, Micros::MIN);
    for conversation in same {
        flows += conversation.flows;
        first = first.min(conversation.first);
        last = last.max(conversation.last);
    }
    if flows == 0 {
        return Ok(json!({ "flows": 0 }));
    }
    Ok(json!({ "flows": flows, "first": format_time(first), "last": format_time(last) }))
}

fn seen_text(seen: &Value) -> String {
    match seen["flows"].as_u64().unwrap_or(0) {
        0 => "never seen".to_owned(),
        flows => format!(
            "{} connections seen, {} to {}",
            grouped(flows),
            seen["first"].as_str().unwrap_or_default(),
            seen["last"].as_str().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_asked_for_at_a_time() {
        for text in ["tcp", "tcp/1-65535", "udp/53-54", "icmp", "icmp/3-5"] {
            assert!(one_service(text).is_err(), "{text}");
        }
        for text in ["443", "tcp/443", "icmp/8", "ip47"] {
            assert!(one_service(text).is_ok(), "{text}");
        }
    }
}
