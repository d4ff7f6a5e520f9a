//! Answers on sets against the plain evaluator, on random policies.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

// The generators of the policy crate's own laws: a second copy would drift from the language.
#[path = "../../../ground/policy/tests/arbitrary/mod.rs"]
mod arbitrary;

use arbitrary::{NOW, inventory, packets, policy_set, strip};
use policy::{Document, PolicySet, Verb, Verdict, resolve};
use proptest::prelude::*;
use verify::{AssertionKind, Outcome, Property, Verifier, check_assertions};

/// The policy without the named rules.
fn without(set: &PolicySet, ids: &[String]) -> PolicySet {
    let mut less = strip(set.clone());
    for (_, document) in &mut less.documents {
        match document {
            Document::Guardrail(guardrail) => {
                guardrail.deny.retain(|rule| !ids.contains(&rule.id.value));
                guardrail.allow.retain(|rule| !ids.contains(&rule.id.value));
            }
            Document::SegmentPolicy(policy) => policy.allow.retain(|rule| !ids.contains(&rule.id.value)),
            Document::Segment(_) => {}
        }
    }
    less
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn needless_rules_can_go(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(NOW);
        let resolved = resolve(&set, &view);
        let verifier = Verifier::new(&set, &resolved, &view);
        for property in [Property::Shadowed, Property::Redundant] {
            let Outcome::Violated(violations) = verifier.check(&property) else { continue };
            let id = |index: &usize| resolved.rules[*index].id.clone();
            let ids: Vec<String> = violations.iter().filter_map(|v| v.rules.first()).map(id).collect();
            let less = resolve(&without(&set, &ids), &view);
            prop_assert_eq!(&less.allowed, &resolved.allowed, "{} without {:?}", &property, &ids);
            prop_assert_eq!(less.permitted(), resolved.permitted(), "{} without {:?}", &property, &ids);
        }
    }

    #[test]
    fn sentences_agree_with_packets(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(NOW);
        let resolved = resolve(&set, &view);
        let outcomes = check_assertions(&set, &resolved, &view);
        let directory = policy::Directory::new(&set, &view);
        let everywhere = policy::Peer::new();
        let tests = set.documents.iter().flat_map(|(_, document)| {
            let (tests, scope) = match document {
                Document::Guardrail(guardrail) => (guardrail.tests.as_slice(), &everywhere),
                Document::SegmentPolicy(policy) => (policy.tests.as_slice(), &policy.scope),
                Document::Segment(_) => (&[][..], &everywhere),
            };
            tests.iter().map(move |test| (test, scope))
        });
        let sentences = outcomes.iter().filter(|outcome| outcome.kind == AssertionKind::Sentence);
        let packets = packets(&resolved);
        for (outcome, (test, scope)) in sentences.zip(tests) {
            prop_assert_eq!(&outcome.sentence, &test.text.value);
            let passes = |packet: &model::Packet| resolved.decide(packet).verdict != Verdict::Deny;
            if let Some(witness) = outcome.witness {
                // Where no service is named, a missing pair is shown by any of its services.
                prop_assert_eq!(passes(&witness), test.verb == Verb::CannotReach, "{}", witness);
                continue;
            }
            if !outcome.holds || (test.verb == Verb::CanReach && test.services.is_empty()) {
                continue;
            }
            let (from, to) = (directory.peer(&test.from, scope), directory.peer(&test.to, scope));
            let services = match test.services.as_slice() {
                [] => model::ServiceSet::full(),
                services => model::ServiceSet::of(services.iter().copied()),
            };
            let asked = packets.iter().filter(|packet| {
                from.contains(packet.source)
                    && to.contains(packet.destination)
                    && services.has(packet.protocol, packet.selector)
            });
            for packet in asked {
                prop_assert_eq!(passes(packet), test.verb == Verb::CanReach, "{}: {}", outcome.sentence, packet);
            }
        }
    }
}
