//! The policy as rules of a report.

use model::{Action, Service};
use policy::{Document, Evidence, Peer, PeerTerm, PolicySet, Spanned};
use propose::Proposal;
use report::{Proof, StoryAssertion, StoryEvidence, StoryRule};
use simulate::Replay;

/// Every rule with its text, evidence and use.
pub(crate) fn rule_stories(
    files: &[(String, String)],
    set: &PolicySet,
    proposal: Option<&Proposal>,
    replay: Option<&Replay>,
) -> Vec<StoryRule> {
    let mut stories = Vec::new();
    for (_, document) in &set.documents {
        match document {
            Document::Segment(_) => {}
            Document::Guardrail(guardrail) => {
                for rule in &guardrail.allow {
                    let mut story = blank(
                        &rule.id,
                        Action::GuardrailAllow,
                        &guardrail.owner,
                        &rule.from,
                        &rule.to,
                        &rule.ports,
                    );
                    story.why.clone_from(&rule.why);
                    story.evidence = rule.evidence.as_ref().map(evidence);
                    stories.push(story);
                }
                for rule in &guardrail.deny {
                    let mut story = blank(
                        &rule.id,
                        Action::GuardrailDeny,
                        &guardrail.owner,
                        &rule.from,
                        &rule.to,
                        &rule.ports,
                    );
                    story.why.clone_from(&rule.why);
                    story.except = peer_text(&rule.except);
                    stories.push(story);
                }
            }
            Document::SegmentPolicy(policy) => {
                for rule in &policy.allow {
                    let mut story =
                        blank(&rule.id, Action::Allow, &policy.owner, &rule.from, &rule.to, &rule.ports);
                    story.why.clone_from(&rule.why);
                    story.scope = peer_text(&policy.scope);
                    story.mode = Some(policy.mode);
                    story.evidence = rule.evidence.as_ref().map(evidence);
                    story.expires = rule.expires.as_ref().map(|e| e.value.clone());
                    stories.push(story);
                }
            }
        }
    }
    for story in &mut stories {
        story.yaml = story.location.as_ref().map(|at| snippet(files, at)).unwrap_or_default();
        if let Some(card) = proposal.and_then(|p| p.rules.iter().find(|card| card.id == story.id)) {
            let seen = &card.evidence;
            story.evidence = Some(StoryEvidence {
                flows: seen.flows,
                clients: seen.clients,
                servers: seen.servers,
                first: Some(seen.first),
                last: Some(seen.last),
                confidence: Some(seen.confidence),
            });
        }
        story.holdout_flows = replay.map(|replay| {
            replay.by_rule.iter().find(|used| used.rule == story.id).map_or(0, |used| used.flows)
        });
    }
    stories
}

fn blank(
    id: &Spanned<String>,
    action: Action,
    owner: &str,
    from: &Peer,
    to: &Peer,
    services: &[Spanned<Service>],
) -> StoryRule {
    StoryRule {
        id: id.value.clone(),
        action,
        scope: String::new(),
        mode: None,
        owner: owner.to_owned(),
        from: peer_text(from),
        except: String::new(),
        to: peer_text(to),
        services: services.iter().map(|s| s.value.to_string()).collect(),
        why: String::new(),
        evidence: None,
        location: Some(id.at.clone()),
        yaml: String::new(),
        expires: None,
        holdout_flows: None,
    }
}

fn evidence(evidence: &Evidence) -> StoryEvidence {
    StoryEvidence {
        flows: evidence.flows,
        clients: evidence.clients.unwrap_or(0),
        servers: evidence.servers.unwrap_or(0),
        first: None,
        last: None,
        confidence: evidence.confidence,
    }
}

/// A side of a rule as people write it.
pub(crate) fn peer_text(peer: &Peer) -> String {
    let term = |term: &PeerTerm| match term {
        PeerTerm::Any => "any".to_owned(),
        PeerTerm::Internet => "internet".to_owned(),
        PeerTerm::Cidr(block) => format!("cidr:{block}"),
        PeerTerm::Segment(name) => name.clone(),
        PeerTerm::Group(name) => format!("group:{name}"),
        PeerTerm::Fqdn(name) => format!("fqdn:{name}"),
        PeerTerm::Labels(selector) => selector.to_string(),
    };
    peer.iter().map(|t| term(&t.value)).collect::<Vec<_>>().join(" + ")
}

/// The lines of the rule that starts at a place: up to the next line that is indented no deeper than its dash.
fn snippet(files: &[(String, String)], at: &model::SourceLocation) -> String {
    let Some((_, text)) = files.iter().find(|(file, _)| *file == at.file) else { return String::new() };
    let start = (at.line as usize).saturating_sub(1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().skip(start);
    let Some(first) = lines.next() else { return String::new() };
    let depth = indent(first);
    let mut kept = vec![first];
    kept.extend(lines.take_while(|line| !line.trim().is_empty() && indent(line) > depth).take(30));
    let cut: Vec<&str> = kept.iter().map(|line| line.get(depth..).unwrap_or(line)).collect();
    cut.join("\n")
}

/// Sentence tests with their outcome.
pub(crate) fn assertions(outcomes: &[verify::AssertionOutcome]) -> Vec<StoryAssertion> {
    let one = |outcome: &verify::AssertionOutcome| StoryAssertion {
        sentence: outcome.sentence.clone(),
        location: Some(outcome.location.clone()),
        result: if outcome.holds { Proof::Holds } else { Proof::Violated },
        witness: crate::commands::explanation(outcome),
    };
    outcomes.iter().map(one).collect()
}
