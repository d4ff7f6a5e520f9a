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
        let mut found: Vec<Found> = Vec::new();
        for (index, outcome) in self.outcomes.iter().enumerate() {
            if let (Outcome::Blocked(rule), Some(row)) = (outcome, self.history.rows[index]) {
                let conversation = &self.conversations[index];
                let (plausibility, note) =
                    self.plausibility(conversation, row, offered.contains(&(row.server, row.service)));
                found.push(Found {
                    plausibility,
                    flows: Reverse(conversation.flows),
                    index,
                    note,
                    rule: *rule,
                });
            }
        }
        let total = found.len() as u64;
        if limit < found.len() {
            found.select_nth_unstable(limit);
            found.truncate(limit);
        }
        found.sort_unstable();
        (found.into_iter().filter_map(|found| self.entry(found)).collect(), total)
    }

    fn entry(&self, found: Found) -> Option<BlockedConversation> {
        let Found { plausibility, index, note, rule, .. } = found;
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
            note: note.words(conversation),
        })
    }

    fn plausibility(&self, conversation: &Conversation, row: Row, given: bool) -> (Plausibility, Note) {
        use Plausibility::{LikelyLegitimate, LikelyNoise, Unclear};
        if is_background(conversation) {
            return (LikelyNoise, Note::Background);
        }
        if self.history.scanners[row.client as usize] {
            return (LikelyNoise, Note::Scan);
        }
        if conversation.denied > 0 {
            return (LikelyNoise, Note::Refused);
        }
        if !conversation.answered() {
            return (LikelyNoise, Note::Unanswered);
        }
        let habit = conversation.hours >= HABIT_HOURS || conversation.flows >= HABIT_FLOWS;
        (if habit { LikelyLegitimate } else { Unclear }, if given { Note::Given } else { Note::Alone })
    }
}

/// A blocked conversation, in the order of the list.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    plausibility: Plausibility,
    flows: Reverse<u64>,
    index: usize,
    note: Note,
    rule: Option<u32>,
}

/// What speaks for or against a conversation; put into words for those alone that are listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    Background,
    Scan,
    Refused,
    Unanswered,
    Given,
    Alone,
}

impl Note {
    fn words(self, conversation: &Conversation) -> String {
        let hours = conversation.hours.max(1);
        let seen = format!(
            "answered, {} connection{} in {hours} hour{}",
            conversation.flows,
            if conversation.flows == 1 { "" } else { "s" },
            if hours == 1 { "" } else { "s" }
        );
        match self {
            Self::Background => "broadcast, multicast, link-local or an ICMP report".into(),
            Self::Scan => "the client asks many in vain: it scans".into(),
            Self::Refused => "an enforcement point already refuses it".into(),
            Self::Unanswered => "never answered".into(),
            Self::Given => format!("{seen}; the server gives this to others by rule"),
            Self::Alone => format!("{seen}; no rule lets anybody else ask for this"),
        }
    }
}

fn name(endpoint: &Endpoint) -> String {
    match &endpoint.workload {
        Some(workload) => workload.0.clone(),
        None => endpoint.ip.to_string(),
    }
}
