//! What every target is made of: its row in the table, what it renders, what it refuses, what it reads.

use std::fmt;

use model::{IpSet, Labels, Mode, Plan, TrafficSet, WorkloadId};

/// A kind of enforcement point.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// One line of description.
    pub title: &'static str,
    /// What it cannot express and what it adds of its own accord, for the documentation; one sentence each.
    pub limits: &'static [&'static str],
    /// See [`crate::render`].
    pub render: fn(&Plan) -> Rendered,
    /// See [`crate::read`].
    pub read: fn(&[Source], &[Peer]) -> Read,
}

/// Artifacts, or every obstacle.
pub type Rendered = Result<Vec<Artifact>, Vec<Refusal>>;

/// What guarded workloads may do, or everything that was not understood.
pub type Read = Result<Vec<ReadBack>, Vec<ReadError>>;

/// What one enforcement point installs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// The target's name.
    pub target: &'static str,
    /// The workload that it guards.
    pub workload: WorkloadId,
    /// A file name without folders, unique among the artifacts of a plan.
    pub file_name: String,
    /// The whole file.
    pub text: String,
}

/// Something of a plan that a target cannot express.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Refusal {
    /// The target's name.
    pub target: &'static str,
    /// The workload whose rules cannot be rendered.
    pub workload: WorkloadId,
    /// The rule, where it is one rule's fault.
    pub rule: Option<String>,
    /// Where that rule is written, as `file:line:column`.
    pub location: Option<String>,
    /// See [`Problem`].
    pub problem: Problem,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, workload, rule, location, problem } = self;
        if let Some(location) = location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{target} cannot express ")?;
        match rule {
            Some(rule) => write!(f, "rule `{rule}` of workload `{workload}`: {problem}"),
            None => write!(f, "the policy of workload `{workload}`: {problem}"),
        }
    }
}
impl std::error::Error for Refusal {}

/// Why a target refuses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Problem {
    /// No address: the artifact would cut off whatever host loads it.
    #[error("it has no address at the plan's moment; add one to the inventory or leave the workload out")]
    NoAddress,
    /// A rule's id that cannot be written into comments and log prefixes.
    #[error("an id may hold up to {max} of the characters `A-Z a-z 0-9 - _ . : / + @`; rename the rule")]
    UnprintableId {
        /// Greatest length in bytes.
        max: usize,
    },
    /// A protocol without ports, asked for with a part of the selectors only.
    #[error(
        "protocol {protocol} has neither ports nor types, so a rule takes all of it or none; drop the range"
    )]
    PartialProtocol {
        /// IANA number.
        protocol: u8,
    },
    /// A protocol that the target has no word for.
    #[error(
        "`{service}` is neither TCP, UDP nor SCTP, and the target can say nothing else; leave it to another target"
    )]
    Protocol {
        /// The first service that cannot be expressed.
        service: String,
    },
    /// Port 0, which the target cannot name.
    #[error("`{service}` holds port 0, which the target cannot name; begin the range at 1")]
    PortZero {
        /// The range.
        service: String,
    },
    /// A rule about some of the workload's addresses, where the target guards the workload as one.
    #[error("it is about some of the workload's addresses only, and the target cannot tell them apart")]
    SomeAddresses,
    /// A mode that the target does not have.
    #[error(
        "mode `{mode}` would need rules that let traffic pass and tell of it; compile it once it is `enforce`"
    )]
    Mode {
        /// The mode.
        mode: &'static str,
    },
    /// Nothing to select the workload by.
    #[error("it has no labels, and the target selects by labels; label it")]
    NoLabels,
    /// A label that the target does not accept.
    #[error(
        "label `{key}={value}` is not a legal one there; keys and values are up to 63 letters, digits, `-_.`"
    )]
    IllegalLabel {
        /// The label's key.
        key: String,
        /// The label's value.
        value: String,
    },
    /// Others answer to the same selector.
    #[error(
        "its labels also select `{other}`, whose rules differ; give the two a label that tells them apart"
    )]
    AmbiguousLabels {
        /// The other workload.
        other: WorkloadId,
    },
}

/// A text to read rules from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The file's name, for errors.
    pub file_name: String,
    /// The whole text.
    pub text: String,
}

/// Someone who can be a guarded workload or the other side of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Who.
    pub workload: WorkloadId,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses.
    pub addresses: IpSet,
}

impl Peer {
    /// The enforcement points of a plan, as peers of each other.
    pub fn of_plan(plan: &Plan) -> Vec<Self> {
        let peer = |point: &model::PlanPoint| Self {
            workload: point.workload.clone(),
            labels: point.labels.clone(),
            addresses: point.addresses.clone(),
        };
        plan.points.iter().map(peer).collect()
    }
}

/// Which way traffic goes, seen from the guarded workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// What others ask of it.
    Ingress,
    /// What it asks of others.
    Egress,
}

impl Side {
    /// Both, ingress first.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "in",
            Self::Egress => "out",
        })
    }
}

/// Rules read back, as exact sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadBack {
    /// The workload that the rules guard, where the text says it.
    pub workload: Option<WorkloadId>,
    /// How denials are treated.
    pub mode: Mode,
    /// What the rules allow in. In every mode but `enforce` more than this gets through; see `mode`.
    pub ingress: TrafficSet,
    /// What the rules allow out.
    pub egress: TrafficSet,
    /// Each rule with the traffic that it decides, sorted by side and id.
    pub rules: Vec<ReadRule>,
    /// What the target lets through apart from any rule, in its own words: replies, loopback, neighbour discovery.
    pub floor: Vec<String>,
}

/// One rule read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadRule {
    /// Which way.
    pub side: Side,
    /// The rule's id in the policy; `default` for the default deny.
    pub id: String,
    /// What it does.
    pub verdict: RuleVerdict,
    /// The traffic that reaches this rule and is decided by it; empty for `default`, which decides all the rest.
    pub traffic: TrafficSet,
    /// Packets counted, 0 in a text that was never loaded.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
    /// Line of the text where the rule first stands, from 1.
    pub line: usize,
}

/// What a rule that was read does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RuleVerdict {
    /// An allow that no deny may break.
    GuardrailAllow,
    /// An ordinary allow.
    Allow,
    /// Traffic is dropped.
    Deny,
    /// Traffic passes, and is counted or logged as one to be denied.
    WouldDeny,
}

/// A text that cannot be read as a target's rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReadError {
    /// The file's name.
    pub file_name: String,
    /// Line, from 1.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_name, line, found, problem } = self;
        write!(f, "{file_name}:{line}: {problem}")?;
        if found.is_empty() { Ok(()) } else { write!(f, ": `{found}`") }
    }
}
impl std::error::Error for ReadError {}
