//! Rules that other rules make needless.

use model::{Action, Region, TrafficSet};
use policy::{Resolved, ResolvedRule};

use crate::verifier::{Outcome, Violation};

/// Rules that never decide, because rules of higher precedence speak of all their traffic.
pub(crate) fn shadowed(resolved: &Resolved) -> Outcome {
    let rules = &resolved.rules;
    let check = |(index, rule): (usize, &ResolvedRule)| {
        let above = |other: &ResolvedRule| other.action < rule.action;
        let by = covering(rules, index, |at| above(&rules[at]))?;
        let message =
            format!("rule `{}` at {} never decides: {} beat it", rule.id, rule.location, named(rules, &by));
        Some(violation(rules, index, by, message))
    };
    outcome(rules.iter().enumerate().filter_map(check).collect())
}

/// Rules that could go without changing what passes. All of those reported can go together: a rule is only called
/// needless for the sake of rules that stay. Rules that are [`shadowed`] are not reported again.
pub(crate) fn redundant(resolved: &Resolved) -> Outcome {
    let rules = &resolved.rules;
    let mut gone = vec![false; rules.len()];
    let mut violations = Vec::new();
    // From the last: of two that do the same, the later goes.
    for (index, rule) in rules.iter().enumerate().rev() {
        let stays = |at: usize| !gone[at] && rules[at].action <= rule.action;
        let Some(by) = covering(rules, index, stays) else { continue };
        if by.iter().all(|at| rules[*at].action < rule.action) {
            continue;
        }
        gone[index] = true;
        let message =
            format!("rule `{}` at {} adds nothing to {}", rule.id, rule.location, named(rules, &by));
        violations.push(violation(rules, index, by, message));
    }
    violations.reverse();
    outcome(violations)
}

/// The eligible rules that together speak of all traffic of a rule, in order, or none if they do not. A rule that
/// speaks of nothing is not covered: that it means nobody is reported where it was resolved.
fn covering(rules: &[ResolvedRule], index: usize, eligible: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
    let rule = &rules[index];
    let mut rest: TrafficSet = rule.traffic();
    let mut by = Vec::new();
    for (at, other) in rules.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        let apart = |other: &ResolvedRule| {
            rule.from.is_disjoint(&other.from)
                || rule.to.is_disjoint(&other.to)
                || rule.services.is_disjoint(&other.services)
        };
        if at == index || !eligible(at) || apart(other) {
            continue;
        }
        let less = rest.subtract(&other.traffic());
        if less != rest {
            by.push(at);
            rest = less;
        }
    }
    (rest.is_empty() && !by.is_empty()).then_some(by)
}

fn violation(rules: &[ResolvedRule], index: usize, by: Vec<usize>, reason: String) -> Violation {
    let witness = rules[index].traffic().witness();
    Violation { reason, witness, rules: std::iter::once(index).chain(by).collect() }
}

fn named(rules: &[ResolvedRule], by: &[usize]) -> String {
    let kind = |action| match action {
        Action::GuardrailAllow => "guardrail allow",
        Action::GuardrailDeny => "guardrail deny",
        Action::Allow => "rule",
    };
    let names = by.iter().map(|at| format!("{} `{}`", kind(rules[*at].action), rules[*at].id));
    names.collect::<Vec<_>>().join(", ")
}

fn outcome(violations: Vec<Violation>) -> Outcome {
    if violations.is_empty() { Outcome::Holds } else { Outcome::Violated(violations) }
}
