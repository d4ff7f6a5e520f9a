//! The replay: one pass over the conversations, then the sums.

use std::collections::BTreeMap;

use model::{Conversation, IpSet, Micros};
use policy::Resolved;

use crate::blocked::Blocked;
use crate::breadth::Breadth;
use crate::estimate::{Cluster, Interval, rounded, share};
use crate::evaluator::Evaluator;
use crate::history::History;
use crate::judge::{Doubt, Judge, Outcome};
use crate::options::SimulateOptions;
use crate::outcome::{FORMAT_VERSION, FalseBlockEstimate, OwnerUse, Replay, RuleUse, Tally, Unknown};

const HOUR_US: Micros = 3_600_000_000;

/// Replays conversations against a policy. The same inputs give the same answer, byte for byte.
pub fn simulate(resolved: &Resolved, conversations: &[Conversation], options: &SimulateOptions) -> Replay {
    let evaluator = Evaluator::new(resolved);
    let history = History::new(conversations, &evaluator, options);
    let judge = Judge { evaluator: &evaluator, history: &history, options, internet: IpSet::internet() };
    let rows = history.rows.iter();
    let outcomes: Vec<Outcome> =
        conversations.iter().zip(rows).map(|(conversation, row)| judge.outcome(conversation, *row)).collect();
    let legitimate =
        conversations.iter().zip(&history.rows).map(|(c, row)| judge.is_legitimate(c, *row)).collect();
    let replayed = Replayed {
        legitimate,
        resolved,
        conversations,
        history: &history,
        outcomes: &outcomes,
        judge: &judge,
    };

    let breadth = Breadth::new(&history);
    let (over_permission, over_permission_is_bound) = breadth.of_policy(&evaluator, resolved);
    let sums = replayed.sums();
    let (by_rule, unused_rules) = replayed.by_rule(&breadth);
    let blocked =
        Blocked { conversations, history: &history, outcomes: &outcomes, evaluator: &evaluator, resolved };
    let (blocked, blocked_total) = blocked.list(options.blocked_limit);
    let (unseen_mass, unseen_mass_by_hour) = replayed.unseen();
    let covered = |tally: &Tally| {
        let managed = tally.total - tally.unmanaged;
        if managed == 0 { 1.0 } else { rounded(tally.allowed as f64 / managed as f64) }
    };
    Replay {
        format_version: FORMAT_VERSION,
        flows_total: sums.flows.total,
        allowed: sums.flows.allowed,
        would_block: sums.flows.would_block,
        unknown: sums.flows.unknown,
        unmanaged: sums.flows.unmanaged,
        conversations: sums.conversations,
        unknown_reasons: sums.reasons,
        coverage: covered(&sums.conversations),
        coverage_legitimate: covered(&sums.legitimate),
        coverage_flows: covered(&sums.flows),
        coverage_packets: covered(&sums.packets),
        over_permission,
        over_permission_is_bound,
        false_block_estimate: replayed.false_blocks(),
        unseen_mass,
        unseen_mass_by_hour,
        by_rule,
        unused_rules,
        by_owner: replayed.by_owner(),
        blocked,
        blocked_total,
    }
}

/// Conversations with what became of them.
struct Replayed<'a> {
    /// By conversation: whether blocking it would break something.
    legitimate: Vec<bool>,
    resolved: &'a Resolved,
    conversations: &'a [Conversation],
    history: &'a History,
    outcomes: &'a [Outcome],
    judge: &'a Judge<'a>,
}

#[derive(Default)]
struct Sums {
    conversations: Tally,
    legitimate: Tally,
    flows: Tally,
    packets: Tally,
    reasons: Unknown,
}

impl<'a> Replayed<'a> {
    fn each(&self) -> impl Iterator<Item = (&'a Conversation, Outcome)> {
        self.conversations.iter().zip(self.outcomes.iter().copied())
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (index, (conversation, outcome)) in self.each().enumerate() {
            add(&mut sums.conversations, outcome, 1);
            add(&mut sums.legitimate, outcome, u64::from(self.legitimate[index]));
            add(&mut sums.flows, outcome, conversation.flows);
            add(&mut sums.packets, outcome, conversation.packets + conversation.reverse_packets);
            if let Outcome::Unknown(doubt) = outcome {
                *match doubt {
                    Doubt::Direction => &mut sums.reasons.direction,
                    Doubt::Identity => &mut sums.reasons.identity,
                    Doubt::Gone => &mut sums.reasons.gone,
                } += 1;
            }
        }
        sums
    }

    fn by_rule(&self, breadth: &Breadth<'_>) -> (Vec<RuleUse>, Vec<String>) {
        #[derive(Clone, Copy)]
        struct Use {
            conversations: u64,
            flows: u64,
            bytes: u64,
            last: Micros,
        }
        let none = Use { conversations: 0, flows: 0, bytes: 0, last: Micros::MIN };
        let mut uses = vec![none; self.resolved.rules.len()];
        for (conversation, outcome) in self.each() {
            if let Outcome::Allowed(rule) | Outcome::Blocked(Some(rule)) = outcome {
                let entry = &mut uses[rule as usize];
                entry.conversations += 1;
                entry.flows += conversation.flows;
                entry.bytes += conversation.bytes + conversation.reverse_bytes;
                entry.last = entry.last.max(conversation.last);
            }
        }
        let (mut used, mut unused) = (Vec::new(), Vec::new());
        for (rule, entry) in self.resolved.rules.iter().zip(uses) {
            if entry.conversations == 0 {
                unused.push(rule.id.clone());
                continue;
            }
            used.push(RuleUse {
                rule: rule.id.clone(),
                action: rule.action,
                owner: rule.owner.clone(),
                location: rule.location.clone(),
                conversations: entry.conversations,
                flows: entry.flows,
                bytes: entry.bytes,
                last_seen: entry.last,
                over_permission: rounded(breadth.triples(rule) / entry.conversations as f64),
            });
        }
        (used, unused)
    }

    fn by_owner(&self) -> Vec<OwnerUse> {
        let mut owners: BTreeMap<&str, OwnerUse> = BTreeMap::new();
        let class = |host: u32| self.history.host_classes[host as usize];
        for (index, (conversation, outcome)) in self.each().enumerate() {
            let owner = match (outcome, self.history.rows[index]) {
                (Outcome::Allowed(rule) | Outcome::Blocked(Some(rule)), _) => {
                    self.resolved.rules[rule as usize].owner.as_str()
                }
                (Outcome::Blocked(None), Some(row)) => {
                    self.judge.evaluator.owner(class(row.client), class(row.server)).unwrap_or_default()
                }
                _ => continue,
            };
            let entry = owners.entry(owner).or_default();
            if matches!(outcome, Outcome::Allowed(_)) {
                entry.allowed += 1;
                entry.allowed_flows += conversation.flows;
            } else {
                entry.would_block += 1;
                entry.would_block_flows += conversation.flows;
            }
        }
        let named = |(owner, entry): (&str, OwnerUse)| OwnerUse { owner: owner.to_owned(), ..entry };
        owners.into_iter().map(named).collect()
    }

    fn false_blocks(&self) -> FalseBlockEstimate {
        let mut observed: Vec<(u64, f64, f64, f64)> = Vec::new();
        for (index, (conversation, outcome)) in self.each().enumerate() {
            if outcome != Outcome::Unmanaged && self.legitimate[index] {
                // Conversations of a workload that is gone have no pair of addresses: they stand together.
                let row = self.history.rows[index];
                let pair = row.map_or(u64::MAX, |row| u64::from(row.client) << 32 | u64::from(row.server));
                let hit = f64::from(u8::from(matches!(outcome, Outcome::Blocked(_))));
                let doubt = f64::from(u8::from(matches!(outcome, Outcome::Unknown(_))));
                observed.push((pair, hit, doubt, conversation.flows as f64));
            }
        }
        observed.sort_unstable_by_key(|(pair, ..)| *pair);
        let (mut by_conversation, mut by_flow) = (Vec::<Cluster>::new(), Vec::<Cluster>::new());
        for pair in observed.chunk_by(|a, b| a.0 == b.0) {
            let (mut conversations, mut flows) = (Cluster::default(), Cluster::default());
            for (_, hit, doubt, weight) in pair {
                conversations.add(*hit, *doubt, 1.0);
                flows.add(*hit, *doubt, *weight);
            }
            by_conversation.push(conversations);
            by_flow.push(flows);
        }
        let Interval { low, mid, high } = share(&by_conversation);
        let legitimate = by_conversation.iter().map(|cluster| cluster.size).sum::<f64>() as u64;
        let pairs = by_conversation.len() as u64;
        FalseBlockEstimate {
            low,
            mid,
            high,
            connections: share(&by_flow),
            legitimate,
            pairs,
            method: format!(
                "would-be blocked share of the conversations that were answered, not refused by an enforcement point \
                 and not by a scanner; 95% Wilson interval, at as many independent observations as {pairs} pairs of \
                 client and server are worth; the low end takes what is unknown as allowed, the high end as blocked. \
                 It takes for granted that the coming period is like the replayed one, and that the policy was not \
                 learnt from the replayed one: if it was, the share is too low"
            ),
        }
    }

    /// Good and Turing's unseen mass, by connections and by hours.
    fn unseen(&self) -> (f64, Option<f64>) {
        let (mut once, mut flows, mut one_hour, mut hours) = (0_u64, 0_u64, 0_u64, 0_u64);
        let (mut first, mut last) = (Micros::MAX, Micros::MIN);
        for (index, conversation) in self.conversations.iter().enumerate() {
            if self.legitimate[index] {
                once += u64::from(conversation.flows <= 1);
                flows += conversation.flows.max(1);
                one_hour += u64::from(conversation.hours <= 1);
                hours += u64::from(conversation.hours.max(1));
                (first, last) = (first.min(conversation.first), last.max(conversation.last));
            }
        }
        let mass = |rare: u64, all: u64| if all == 0 { 1.0 } else { rounded(rare as f64 / all as f64) };
        let spans = last.saturating_sub(first) >= 3 * HOUR_US;
        (mass(once, flows), spans.then(|| mass(one_hour, hours)))
    }
}

fn add(tally: &mut Tally, outcome: Outcome, amount: u64) {
    tally.total += amount;
    *match outcome {
        Outcome::Allowed(_) => &mut tally.allowed,
        Outcome::Blocked(_) => &mut tally.would_block,
        Outcome::Unknown(_) => &mut tally.unknown,
        Outcome::Unmanaged => &mut tally.unmanaged,
    } += amount;
}
