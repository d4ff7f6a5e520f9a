//! The conversations that would be blocked, with what a person needs to judge each.

use std::cmp::Reverse;
use std::collections::HashSet;

use foldhash::fast::FixedState;
use model::{Conversation, Endpoint};
use policy::Resolved;

use crate::evaluator::Evaluator;
use crate::history::{History, Row};
use crate::judge::{Outcome, is_background};
use crate::outcome::{BlockedConversation, Plausibility};

/// Hours with traffic from which on a conversation is a habit.
const HABIT_HOURS: u32 = 3;
/// Connections from which on a conversation is no accident.
const HABIT_FLOWS: u64 = 10;

pub(crate) struct Blocked<'a> {
    pub(crate) conversations: &'a [Conversation],
    pub(crate) history: &'a History,
    pub(crate) outcomes: &'a [Outcome],
    pub(crate) evaluator: &'a Evaluator<'a>,
    pub(crate) resolved: &'a Resolved,
}

impl Blocked<'_> {
    /// The list, those most likely to be missed first, and how many there are in all.
    pub(crate) fn list(&self, limit: usize) -> (Vec<BlockedConversation>, u64) {
        let offered: HashSet<(u32, u32), FixedState> = self
            .history
            .rows
            .iter()
            .zip(self.outcomes)
            .filter_map(|(row, outcome)| match (row, outcome) {
                (Some(row), Outcome::Allowed(_)) => Some((row.server, row.service)),
                _ => None,
            })
            .collect();
        let mut found: Vec<(Plausibility, String, usize, Option<u32>)> = Vec::new();
        for (index, outcome) in self.outcomes.iter().enumerate() {
            if let (Outcome::Blocked(rule), Some(row)) = (outcome, self.history.rows[index]) {
                let given = offered.contains(&(row.server, row.service));
                let (plausibility, note) = self.plausibility(&self.conversations[index], row, given);
                found.push((plausibility, note, index, *rule));
            }
        }
        let key = |entry: &(Plausibility, String, usize, Option<u32>)| {
            (entry.0, Reverse(self.conversations[entry.2].flows), entry.2)
        };
        found.sort_unstable_by_key(key);
        let total = found.len() as u64;
        found.truncate(limit);
        (
            found.into_iter().filter_map(|(p, note, index, rule)| self.entry(p, note, index, rule)).collect(),
            total,
        )
    }

    fn entry(
        &self,
        plausibility: Plausibility,
        note: String,
        index: usize,
        rule: Option<u32>,
    ) -> Option<BlockedConversation> {
        let (conversation, row) = (&self.conversations[index], self.history.rows[index]?);
        let class = |host: u32| self.history.host_classes[host as usize];
        let rule = rule.map(|rule| &self.resolved.rules[rule as usize]);
        let owner = match rule {
            Some(rule) => rule.owner.as_str(),
            None => self.evaluator.owner(class(row.client), class(row.server)).unwrap_or_default(),
        };
        Some(BlockedConversation {
            client: name(&conversation.client),
            server: name(&conversation.server),
            service: conversation.service,
            flows: conversation.flows,
            bytes: conversation.bytes + conversation.reverse_bytes,
            first: conversation.first,
            last: conversation.last,
            rule: rule.map(|rule| rule.id.clone()),
            why: match rule {
                Some(rule) => format!("guardrail `{}`: {}", rule.id, rule.why),
                None => {
                    format!("default deny: no rule lets {} be asked for this", name(&conversation.server))
                }
            },
            owner: owner.to_owned(),
            plausibility,
            note,
        })
    }

    fn plausibility(&self, conversation: &Conversation, row: Row, given: bool) -> (Plausibility, String) {
        use Plausibility::{LikelyLegitimate, LikelyNoise, Unclear};
        if is_background(conversation) {
            return (LikelyNoise, "broadcast, multicast, link-local or an ICMP report".into());
        }
        if self.history.scanners[row.client as usize] {
            return (LikelyNoise, "the client asks many in vain: it scans".into());
        }
        if conversation.denied > 0 {
            return (LikelyNoise, "an enforcement point already refuses it".into());
        }
        if !conversation.answered() {
            return (LikelyNoise, "never answered".into());
        }
        let (flows, hours) = (conversation.flows, conversation.hours);
        let habit = hours >= HABIT_HOURS || flows >= HABIT_FLOWS;
        match (habit, given) {
            (true, true) => {
                (LikelyLegitimate, format!("answered {flows} times; the server gives this to others by rule"))
            }
            (true, false) => (LikelyLegitimate, format!("answered {flows} times in {} hours", hours.max(1))),
            (false, true) => {
                (Unclear, format!("answered, seen {flows} times; the server gives this to others by rule"))
            }
            (false, false) => (Unclear, format!("answered, seen {flows} times, and nobody else asks")),
        }
    }
}

fn name(endpoint: &Endpoint) -> String {
    match &endpoint.workload {
        Some(workload) => workload.0.clone(),
        None => endpoint.ip.to_string(),
    }
}
