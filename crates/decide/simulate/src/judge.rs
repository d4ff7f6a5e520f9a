//! One conversation against the policy.

use model::{Conversation, Endpoint, IpSet, Protocol};
use policy::{Decision, Verdict};

use crate::evaluator::Evaluator;
use crate::history::{History, Row};
use crate::options::SimulateOptions;

/// What becomes of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// By a rule.
    Allowed(u32),
    /// By a guardrail, or by the default deny.
    Blocked(Option<u32>),
    /// It cannot be said.
    Unknown(Doubt),
    /// Nobody governs either end.
    Unmanaged,
}

/// Why it cannot be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    Direction,
    Identity,
    Gone,
}

pub(crate) struct Judge<'a> {
    pub(crate) evaluator: &'a Evaluator<'a>,
    pub(crate) history: &'a History,
    pub(crate) options: &'a SimulateOptions,
    pub(crate) internet: IpSet,
}

impl Judge<'_> {
    pub(crate) fn outcome(&self, conversation: &Conversation, row: Option<Row>) -> Outcome {
        let Some(row) = row else { return Outcome::Unknown(Doubt::Gone) };
        let decision = self.decide(row);
        if conversation.confidence < self.options.min_confidence {
            // The client's port is not kept, so the other reading is asked about the same service: the case in which
            // both sides use one number, which is where directions get lost.
            let swapped = self.decide(Row { client: row.server, server: row.client, ..row });
            if swapped.verdict != decision.verdict {
                return Outcome::Unknown(Doubt::Direction);
            }
        }
        match decision {
            Decision { verdict: Verdict::Allow, rule: Some(rule) } => Outcome::Allowed(rule as u32),
            Decision { verdict: Verdict::Unmanaged | Verdict::Allow, .. } => Outcome::Unmanaged,
            Decision { verdict: Verdict::Deny, rule } => {
                let nameless =
                    self.is_nameless(&conversation.client) || self.is_nameless(&conversation.server);
                match rule {
                    None if nameless => Outcome::Unknown(Doubt::Identity),
                    _ => Outcome::Blocked(rule.map(|rule| rule as u32)),
                }
            }
        }
    }

    fn decide(&self, row: Row) -> Decision {
        let class = |host: u32| self.history.host_classes[host as usize];
        match self.history.service_classes[row.service as usize] {
            Some(service) => self.evaluator.decide_class(class(row.client), class(row.server), service),
            None => {
                let ip = |host: u32| self.history.hosts[host as usize];
                let service = self.history.services[row.service as usize];
                self.evaluator.decide_service(ip(row.client), ip(row.server), service)
            }
        }
    }

    /// A private address that belonged to nobody known: who it is now, and what it may do, nobody can say.
    fn is_nameless(&self, endpoint: &Endpoint) -> bool {
        endpoint.workload.is_none() && !endpoint.ip.is_special() && !self.internet.contains(endpoint.ip)
    }

    /// Whether blocking the conversation would break something.
    pub(crate) fn is_legitimate(&self, conversation: &Conversation, row: Option<Row>) -> bool {
        let scans = row.is_some_and(|row| self.history.scanners[row.client as usize]);
        conversation.answered()
            && conversation.denied == 0
            && !scans
            && !is_background(conversation)
            && !self.options.suspects.contains(conversation.client.ip)
    }
}

/// Broadcast, multicast, link-local, and ICMP messages about other conversations.
pub(crate) fn is_background(conversation: &Conversation) -> bool {
    let kind = conversation.service.low >> 8;
    let report = match conversation.service.protocol {
        Protocol::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Protocol::ICMPV6 => matches!(kind, 1..=4 | 133..=137),
        _ => false,
    };
    report || conversation.client.ip.is_special() || conversation.server.ip.is_special()
}
