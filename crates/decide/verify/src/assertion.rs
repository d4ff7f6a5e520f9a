//! The tests that a policy carries, proven.

use model::{InventoryView, Packet, SourceLocation};
use policy::{Assertion, Document, Peer, PolicySet, Resolved, Verb};
use serde::Serialize;

use crate::verifier::{Outcome, Verifier};

/// What was tested.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionKind {
    /// A sentence under `tests`.
    Sentence,
    /// That a guardrail's deny holds, but for what a guardrail's allow is there to keep open.
    Guardrail,
    /// That a rule with `expires` has not expired.
    Expiry,
}

/// The outcome of one test.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AssertionOutcome {
    /// What was tested.
    pub kind: AssertionKind,
    /// The sentence as written, or one that says what was proven.
    pub sentence: String,
    /// Where it is written.
    pub location: SourceLocation,
    /// Who answers for the document that it stands in.
    pub owner: String,
    /// Whether it is proven.
    pub holds: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A packet that shows why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Packet>,
    /// The rule that decides the witness, as an index into [`Resolved::rules`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
}

/// Proves every sentence test, every guardrail, and that no rule has expired; in the order of the policy. A test that
/// speaks of nobody fails: it would prove nothing.
pub fn check_assertions(
    set: &PolicySet,
    resolved: &Resolved,
    view: &InventoryView<'_>,
) -> Vec<AssertionOutcome> {
    Verifier::new(set, resolved, view).assertions()
}

impl Verifier<'_> {
    /// See [`check_assertions`].
    pub fn assertions(&self) -> Vec<AssertionOutcome> {
        let mut outcomes = Vec::new();
        let everywhere = Peer::new();
        for (_, document) in &self.set.documents {
            match document {
                Document::Segment(_) => {}
                Document::Guardrail(guardrail) => {
                    let denies = guardrail.deny.iter().filter_map(|rule| self.guardrail(&rule.id.value));
                    outcomes.extend(denies);
                    let test = |test| self.sentence(test, &everywhere, &guardrail.owner);
                    outcomes.extend(guardrail.tests.iter().map(test));
                }
                Document::SegmentPolicy(policy) => {
                    for rule in &policy.allow {
                        outcomes.extend(self.expiry(&rule.id.value, &policy.owner));
                    }
                    let test = |test| self.sentence(test, &policy.scope, &policy.owner);
                    outcomes.extend(policy.tests.iter().map(test));
                }
            }
        }
        outcomes
    }

    fn sentence(&self, test: &Assertion, scope: &Peer, owner: &str) -> AssertionOutcome {
        let Assertion { text, from, verb, to, services } = test;
        let (sources, destinations) = (self.directory.peer(from, scope), self.directory.peer(to, scope));
        let mut outcome = AssertionOutcome {
            kind: AssertionKind::Sentence,
            sentence: text.value.clone(),
            location: text.at.clone(),
            owner: owner.to_owned(),
            holds: false,
            reason: None,
            witness: None,
            rule: None,
        };
        for (peer, addresses) in [(from, &sources), (to, &destinations)] {
            if addresses.runs().is_empty() {
                let names: Vec<String> = peer.iter().map(|term| format!("`{}`", term.value)).collect();
                let names = names.join(", ");
                outcome.reason = Some(format!("{names} means nobody here, so the test proves nothing"));
                return outcome;
            }
        }
        let proof = match verb {
            Verb::CanReach => self.reach(&sources, &destinations, services),
            Verb::CannotReach => self.isolate(&sources, &destinations, services),
        };
        outcome.fill(proof);
        outcome
    }

    /// Proves on the traffic that passes that a guardrail's deny holds; none if the rule is not in the policy.
    fn guardrail(&self, id: &str) -> Option<AssertionOutcome> {
        let rule = self.resolved.rules.iter().find(|rule| rule.id == id)?;
        let mut outcome = AssertionOutcome {
            kind: AssertionKind::Guardrail,
            sentence: format!("guardrail `{id}` holds: {}", rule.why),
            location: rule.location.clone(),
            owner: rule.owner.clone(),
            holds: false,
            reason: None,
            witness: None,
            rule: None,
        };
        outcome.fill(self.denied(rule));
        Some(outcome)
    }

    fn expiry(&self, id: &str, owner: &str) -> Option<AssertionOutcome> {
        let expired = self.resolved.expired.iter().find(|rule| rule.id == id)?;
        Some(AssertionOutcome {
            kind: AssertionKind::Expiry,
            sentence: format!("rule `{id}` has not expired"),
            location: expired.expires.at.clone(),
            owner: owner.to_owned(),
            holds: false,
            reason: Some(format!(
                "it expired on {}; renew `expires` or remove the rule",
                expired.expires.value
            )),
            witness: None,
            rule: None,
        })
    }
}

impl AssertionOutcome {
    fn fill(&mut self, proof: Outcome) {
        self.holds = !proof.is_violated();
        let Outcome::Violated(violations) = proof else { return };
        if let Some(violation) = violations.into_iter().next() {
            self.reason = Some(violation.reason);
            self.witness = violation.witness;
            self.rule = violation.rules.first().copied();
        }
    }
}
