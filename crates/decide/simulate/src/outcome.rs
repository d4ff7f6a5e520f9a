//! What a replay says.

use model::{Action, Micros, Service, SourceLocation, format_time};
use serde::{Serialize, Serializer};

use crate::estimate::Interval;

/// Version of the JSON form of [`Replay`].
pub const FORMAT_VERSION: u32 = 1;

/// A policy against history.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Replay {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Connections in all.
    pub flows_total: u64,
    /// Connections that a rule allows.
    pub allowed: u64,
    /// Connections that would be blocked.
    pub would_block: u64,
    /// Connections of which it cannot be said; see [`Unknown`].
    pub unknown: u64,
    /// Connections between two endpoints that nobody governs: they pass, but not by the policy.
    pub unmanaged: u64,
    /// The same counted in conversations.
    pub conversations: Tally,
    /// The unknown by reason, in conversations.
    pub unknown_reasons: Unknown,
    /// Conversations allowed, of those that are not unmanaged. 1 when there are none.
    pub coverage: f64,
    /// Conversations allowed, of those that are not unmanaged and that look legitimate: answered, not refused by an
    /// enforcement point, not by a scanner or a suspect. Unlike `coverage` it is not pulled down by noise.
    pub coverage_legitimate: f64,
    /// Connections allowed, of those that are not unmanaged.
    pub coverage_flows: f64,
    /// Packets allowed, of those that are not unmanaged.
    pub coverage_packets: f64,
    /// Allowed (host, host, service) triples for each one seen, over the hosts and services of the replay.
    pub over_permission: f64,
    /// Whether `over_permission` is an upper bound: where the policy tells too many classes apart, rules are added up
    /// without taking their overlap out.
    pub over_permission_is_bound: bool,
    /// See [`FalseBlockEstimate`].
    pub false_block_estimate: FalseBlockEstimate,
    /// Good and Turing's estimate of the chance that the next connection is of a (client, server, service) never seen:
    /// those seen once, of all connections. Connections come in bursts, so it is rather too low.
    pub unseen_mass: f64,
    /// The same with hours in place of connections, which bursts do not fool; absent when the history spans less than
    /// three hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen_mass_by_hour: Option<f64>,
    /// Rules that decided something, in order of precedence.
    pub by_rule: Vec<RuleUse>,
    /// Rules that decided nothing, in order of precedence.
    pub unused_rules: Vec<String>,
    /// Sorted by name.
    pub by_owner: Vec<OwnerUse>,
    /// Would-be blocked conversations: those most likely to be missed first.
    pub blocked: Vec<BlockedConversation>,
    /// How many there are in all; `blocked` may be cut.
    pub blocked_total: u64,
}

/// Conversations by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    /// All.
    pub total: u64,
    /// A rule allows them.
    pub allowed: u64,
    /// They would be blocked.
    pub would_block: u64,
    /// It cannot be said.
    pub unknown: u64,
    /// Nobody governs either end.
    pub unmanaged: u64,
}

/// Why it cannot be said, in conversations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Unknown {
    /// Client and server may be swapped, and the two readings disagree.
    pub direction: u64,
    /// The block hangs on a private address that belonged to no workload of the inventory.
    pub identity: u64,
    /// A workload that has no address any more.
    pub gone: u64,
}

/// The chance that a legitimate conversation of the coming period would be blocked, with its 95% interval.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FalseBlockEstimate {
    /// Low end: nothing that is unknown is blocked.
    pub low: f64,
    /// Would-be blocked, of the legitimate conversations of the replay.
    pub mid: f64,
    /// High end: all that is unknown is blocked.
    pub high: f64,
    /// The same for connections, so that busy conversations weigh more.
    pub connections: Interval,
    /// Conversations taken as legitimate: answered, not refused by an enforcement point, not by a scanner.
    pub legitimate: u64,
    /// Pairs of client and server among them: the independent observations.
    pub pairs: u64,
    /// How it was made and what it takes for granted.
    pub method: String,
}

/// What a rule did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RuleUse {
    /// The rule's id.
    pub rule: String,
    /// What it does.
    pub action: Action,
    /// Who answers for it.
    pub owner: String,
    /// Where it is written.
    pub location: SourceLocation,
    /// Conversations that it decided.
    pub conversations: u64,
    /// Connections.
    pub flows: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// Last packet.
    #[serde(serialize_with = "rfc3339")]
    pub last_seen: Micros,
    /// (host, host, service) triples that the rule speaks of for each that it decided, over the hosts and services of
    /// the replay.
    pub over_permission: f64,
}

/// What an owner's rules did, and what was refused at their door.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct OwnerUse {
    /// Who; empty where no rule says.
    pub owner: String,
    /// Conversations that the owner's rules allow.
    pub allowed: u64,
    /// Conversations that would be blocked: by the owner's guardrails, or for want of a rule of the owner.
    pub would_block: u64,
    /// Connections allowed.
    pub allowed_flows: u64,
    /// Connections that would be blocked.
    pub would_block_flows: u64,
}

/// Whether a person should worry that a conversation would be blocked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plausibility {
    /// Looks like work.
    LikelyLegitimate,
    /// Could be either.
    Unclear,
    /// Looks like noise.
    LikelyNoise,
}

/// A conversation that would be blocked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BlockedConversation {
    /// The client's workload, else its address.
    pub client: String,
    /// The server's workload, else its address.
    pub server: String,
    /// For what.
    pub service: Service,
    /// Connections.
    pub flows: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// First packet.
    #[serde(serialize_with = "rfc3339")]
    pub first: Micros,
    /// Last packet.
    #[serde(serialize_with = "rfc3339")]
    pub last: Micros,
    /// The guardrail that denies it; absent for the default deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why it would be blocked.
    pub why: String,
    /// Who would be asked; empty where no rule says.
    pub owner: String,
    /// See [`Plausibility`].
    pub plausibility: Plausibility,
    /// What speaks for or against it.
    pub note: String,
}

fn rfc3339<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_time(*at))
}
