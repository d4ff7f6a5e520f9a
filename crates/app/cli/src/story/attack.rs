//! An attack of the recording, held against a policy.

use anyhow::Context as _;
use model::{Ip, IpSet, Packet, Prefix, Protocol, Service};
use policy::{Decision, Resolved, Verdict};
use report::{MapStory, StepOutcome, StoryAttack, StoryAttackStep, StoryEdge, StoryReachable};

use super::truth::{TrueStep, Truth, moment};
use crate::world::World;

/// SSH, which is how the intruder hops.
const HOP: Service = Service::tcp(22);

/// A probe that is part of a sweep of more than this many does not count as a step by itself.
const SWEEP_PROBES: usize = 20;

/// The attack's steps with where each of them dies.
pub(crate) fn attack_story(
    world: &World,
    resolved: &Resolved,
    truth: &Truth,
    at: i64,
) -> anyhow::Result<StoryAttack> {
    let judge = Judge { world, resolved, at };
    let mut steps = Vec::new();
    for step in &truth.attack.steps {
        steps.push(judge.step(step, &truth.attack.entry)?);
    }
    let foothold = judge.addresses(&truth.attack.entry);
    let others: Vec<_> = world
        .inventory
        .workloads()
        .iter()
        .filter(|w| w.id.0 != truth.attack.entry && !judge.addresses(&w.id.0).is_empty())
        .collect();
    let mut reachable = Vec::new();
    for other in &others {
        let mut services = Vec::new();
        let mut rules = Vec::new();
        for (source, destination) in pairs(&foothold, &judge.addresses(&other.id.0)) {
            let Some(set) = resolved.allowed.services(source, destination) else { continue };
            for service in set.services() {
                let text = service.to_string();
                let packet = crate::world::packet(source, destination, service);
                if let Some(rule) = resolved.decide(&packet).rule {
                    rules.push(resolved.rules[rule].id.clone());
                }
                if !services.contains(&text) {
                    services.push(text);
                }
            }
        }
        rules.sort();
        rules.dedup();
        if !services.is_empty() {
            reachable.push(StoryReachable { to: other.id.0.clone(), services, why: rules.join(", ") });
        }
    }
    Ok(StoryAttack {
        foothold: truth.attack.entry.clone(),
        steps,
        reach_before: Some(others.len() as u64),
        reach_after: Some(reachable.len() as u64),
        reachable,
        kernel: Vec::new(),
    })
}

fn pairs(sources: &[Ip], destinations: &[Ip]) -> Vec<(Ip, Ip)> {
    let mut pairs = Vec::new();
    for source in sources {
        pairs.extend(destinations.iter().filter(|d| d.is_v4() == source.is_v4()).map(|d| (*source, *d)));
    }
    pairs
}

struct Judge<'a> {
    world: &'a World,
    resolved: &'a Resolved,
    at: i64,
}

impl Judge<'_> {
    fn addresses(&self, workload: &str) -> Vec<Ip> {
        self.world.find(workload, self.at).unwrap_or_default()
    }

    /// The addresses that a step's target stands for: a workload, an address, or the workloads of a block.
    fn targets(&self, text: &str) -> Vec<Ip> {
        let Ok(block) = text.parse::<Prefix>() else { return self.addresses(text) };
        if block.first() == block.last() {
            return vec![block.first()];
        }
        let set = block.to_set();
        let view = self.world.inventory.as_of(self.at);
        view.members.iter().flat_map(|(_, ips)| ips.iter().copied()).filter(|ip| set.contains(*ip)).collect()
    }

    fn decide(&self, source: Ip, destination: Ip, service: Service) -> Decision {
        self.resolved.decide(&Packet {
            source,
            destination,
            protocol: service.protocol,
            selector: service.low,
        })
    }

    /// The decision that stops the way from one workload to the next, if any does.
    fn stopped_hop(&self, from: &str, to: &str) -> Option<Decision> {
        let all = pairs(&self.addresses(from), &self.addresses(to));
        let mut decisions = all.iter().map(|(source, destination)| self.decide(*source, *destination, HOP));
        let first = decisions.next()?;
        let passes = |d: &Decision| d.verdict != Verdict::Deny;
        if passes(&first) || decisions.any(|d| passes(&d)) { None } else { Some(first) }
    }

    fn rule_text(&self, decision: &Decision) -> String {
        decision.rule.map_or_else(|| "default deny".to_owned(), |index| self.resolved.rules[index].id.clone())
    }

    fn step(&self, step: &TrueStep, entry: &str) -> anyhow::Result<StoryAttackStep> {
        let protocol = Protocol(step.protocol);
        let services: Vec<String> =
            step.ports.iter().map(|port| Service::new(protocol, *port).to_string()).collect();
        let mut story = StoryAttackStep {
            time: moment(&step.start)?,
            from: step.from.clone(),
            to: step.to.join(", "),
            service: services.join(" "),
            technique: step.technique.clone(),
            technique_name: technique_name(&step.technique).to_owned(),
            action: format!("{} ({})", step.title, step.tool),
            ..StoryAttackStep::default()
        };
        let mut at = entry;
        for hop in &step.hops {
            if let Some(decision) = self.stopped_hop(at, hop) {
                story.outcome = StepOutcome::Cut;
                story.decided_by = format!("{at} -> {hop} {HOP}: {}", self.rule_text(&decision));
                story.location = decision.rule.map(|index| self.resolved.rules[index].location.clone());
                return Ok(story);
            }
            at = hop;
        }
        self.judge(step, &mut story);
        Ok(story)
    }

    fn judge(&self, step: &TrueStep, story: &mut StoryAttackStep) {
        let sources = self.addresses(&step.from);
        let (mut denied, mut passed) = (Vec::new(), Vec::new());
        for target in step.to.iter().flat_map(|to| self.targets(to)) {
            for (source, destination) in pairs(&sources, &[target]) {
                if source == destination {
                    continue;
                }
                for port in &step.ports {
                    let decision =
                        self.decide(source, destination, Service::new(Protocol(step.protocol), *port));
                    if decision.verdict == Verdict::Deny {
                        denied.push(decision)
                    } else {
                        passed.push(decision)
                    }
                }
            }
        }
        let total = denied.len() + passed.len();
        let deciding = if passed.is_empty() { denied.first() } else { passed.first() };
        story.location =
            deciding.and_then(|d| d.rule).map(|index| self.resolved.rules[index].location.clone());
        if total > SWEEP_PROBES {
            story.decided_by = format!("{} of {total} probes refused", denied.len());
            story.outcome = match passed.len() * 10 {
                0 => StepOutcome::Stopped,
                few if few <= total => {
                    story.decided_by.push_str("; the others are services that it may ask anyway");
                    StepOutcome::Contained
                }
                _ => StepOutcome::Reached,
            };
            return;
        }
        story.decided_by = deciding.map_or_else(String::new, |d| self.rule_text(d));
        story.outcome = if passed.is_empty() { StepOutcome::Stopped } else { StepOutcome::Reached };
    }
}

/// Draws the attack's own steps on the map; sweeps would hide everything else.
pub(crate) fn add_attack(map: &mut MapStory, attack: &StoryAttack) {
    let known: Vec<String> = map.nodes.iter().map(|node| node.id.clone()).collect();
    let node = |text: &str| {
        let outside = text.parse::<Ip>().is_ok_and(|ip| IpSet::internet().contains(ip));
        let id = if outside { "internet" } else { text };
        known.iter().find(|known| *known == id).cloned()
    };
    for step in &attack.steps {
        if step.outcome == StepOutcome::Reached {
            continue;
        }
        let (Some(client), Some(server)) = (node(&step.from), node(&step.to)) else { continue };
        for service in step.service.split(' ') {
            map.edges.push(StoryEdge {
                client: client.clone(),
                server: server.clone(),
                service: service.to_owned(),
                flows: 1,
                first: step.time,
                last: step.time,
                verdict: report::Verdict::Blocked,
                ..StoryEdge::default()
            });
        }
    }
}

/// Names of the ATT&CK techniques that the lab's intruder uses.
fn technique_name(id: &str) -> &'static str {
    match id {
        "T1021" => "Remote Services",
        "T1021.004" => "Remote Services: SSH",
        "T1041" => "Exfiltration Over C2 Channel",
        "T1046" => "Network Service Discovery",
        "T1048" => "Exfiltration Over Alternative Protocol",
        "T1048.003" => "Exfiltration Over Unencrypted Non-C2 Protocol",
        "T1059" => "Command and Scripting Interpreter",
        "T1071.001" => "Application Layer Protocol: Web Protocols",
        "T1078" => "Valid Accounts",
        "T1213" => "Data from Information Repositories",
        _ => "",
    }
}

/// The checks that were made in a real kernel, as `cargo xtask lab prove` writes them.
pub(crate) fn kernel_checks(text: &str) -> anyhow::Result<Vec<report::StoryKernelCheck>> {
    #[derive(serde::Deserialize)]
    struct Proof {
        checks: Vec<report::StoryKernelCheck>,
    }
    let proof: Proof = serde_json::from_str(text).context("the proof is not readable")?;
    Ok(proof.checks)
}
