//! What a report tells, as plain values. The caller fills them from the graph, the policy and the replay;
//! nothing here refers to those crates, so that a report can also be made from values that were stored.
//!
//! Every text is shown as text: markup in a name stays visible and harmless.

use model::{Action, Micros, Mode, SourceLocation};
use serde::{Deserialize, Serialize};

use crate::seen::StoryVisibility;

/// What happened, or would happen, to traffic. The order is from harmless to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Seen; no policy was asked.
    #[default]
    Observed,
    /// Seen, and the policy allows it.
    Allowed,
    /// The policy allows it and nobody was seen to use it.
    Unused,
    /// Seen, and the policy would block it.
    WouldBlock,
    /// Part of the attack, or refused by an enforcing source.
    Blocked,
}

/// What a group stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    /// A segment that was discovered or declared.
    #[default]
    Segment,
    /// Workloads with the same values of some labels.
    Label,
    /// Globally routable addresses.
    Internet,
    /// Private addresses that the inventory does not know.
    Unknown,
    /// Workloads that no segment claims.
    Unassigned,
}

/// A row and column of the matrix, a card of the map.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryGroup {
    /// What [`StoryNode::group`] and [`StoryUnused`] refer to; unique.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// See [`GroupKind`].
    pub kind: GroupKind,
    /// Whether nearly everyone is its client (DNS, time, metrics): drawn in the side rail, its edges folded.
    pub shared: bool,
    /// How well the members belong together, 0 to 1, when that was measured.
    pub confidence: Option<f64>,
    /// What the members share, in words and numbers.
    pub reasons: Vec<String>,
}

/// A workload, an address, or `internet`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryNode {
    /// What [`StoryEdge`] refers to; unique.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The group's id; none, or an id that no group has: shown as unassigned.
    pub group: Option<String>,
    /// Labels as key and value, in order.
    pub labels: Vec<(String, String)>,
    /// Addresses as text.
    pub addresses: Vec<String>,
    /// How much depends on it, in the inventory's word.
    pub criticality: Option<String>,
    /// Not empty when it behaves like a scanner: the numbers that say so.
    pub scanner: Option<String>,
}

/// All conversations between two nodes on one service with one verdict.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryEdge {
    /// Who asks: a node's id.
    pub client: String,
    /// Who is asked: a node's id.
    pub server: String,
    /// For what, such as `tcp/5432`.
    pub service: String,
    /// Connections.
    pub flows: u64,
    /// Bytes, both ways.
    pub bytes: u64,
    /// First packet.
    pub first: Micros,
    /// Last packet.
    pub last: Micros,
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// The id of the rule that decided.
    pub rule: Option<String>,
}

/// What the policy allows between two groups and nobody was seen to use.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryUnused {
    /// The clients' group.
    pub from: String,
    /// The servers' group.
    pub to: String,
    /// Services as text.
    pub services: Vec<String>,
    /// The id of the rule that allows it.
    pub rule: Option<String>,
}

/// A span of time that something was taken from.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryWindow {
    /// What it was used for: `learning`, `hold-out`, `attack`.
    pub name: String,
    /// First moment.
    pub from: Micros,
    /// Last moment.
    pub to: Micros,
    /// Flow records in it.
    pub flows: u64,
}

/// Where flows came from.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StorySource {
    /// File, exporter or listener.
    pub name: String,
    /// Format, such as `ipfix`.
    pub format: String,
    /// Flow records read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Input that was not used.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryDropped {
    /// Why, in words.
    pub reason: String,
    /// Records, when they could be counted.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// From what and when a report was made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryOrigin {
    /// The moment, given by the caller.
    pub generated_at: Option<Micros>,
    /// The tool's version.
    pub version: String,
    /// The policy's folder or commit.
    pub policy: Option<String>,
    /// The plan's hash.
    pub plan: Option<String>,
}

/// The map alone: input of [`render_map`](crate::render_map).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MapStory {
    /// The network's name.
    pub title: String,
    /// See [`StoryOrigin`].
    pub origin: StoryOrigin,
    /// Spans of time, in order.
    pub windows: Vec<StoryWindow>,
    /// Where flows came from.
    pub sources: Vec<StorySource>,
    /// Input that was not used.
    pub dropped: Vec<StoryDropped>,
    /// How much of what happened was seen, when that is known.
    #[serde(default)]
    pub visibility: Option<StoryVisibility>,
    /// Groups, in the order of the matrix.
    pub groups: Vec<StoryGroup>,
    /// Nodes.
    pub nodes: Vec<StoryNode>,
    /// Edges.
    pub edges: Vec<StoryEdge>,
    /// What is allowed and never used.
    pub unused: Vec<StoryUnused>,
}

/// An estimate with its interval (95 %), as shares of 1.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryEstimate {
    /// Lower end.
    pub low: f64,
    /// Best guess.
    pub mid: f64,
    /// Upper end.
    pub high: f64,
}

/// Measured numbers. What can be counted from the other lists (segments, rules, attack steps) is counted there.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryNumbers {
    /// Flow records read.
    pub flows_read: u64,
    /// Distinct conversations.
    pub conversations: u64,
    /// Workloads of the inventory that were seen.
    pub workloads: u64,
    /// Adjusted Rand index of the segments against the truth, when the truth is known.
    pub ari: Option<f64>,
    /// Flows of the hold-out window.
    pub holdout_flows: u64,
    /// Of those, allowed.
    pub holdout_allowed: u64,
    /// Of those, would be blocked.
    pub holdout_would_block: u64,
    /// Of those, not governed by the policy.
    pub holdout_unknown: u64,
    /// Rules that were learnt from traffic of the very window that is replayed: with any, it is no hold-out.
    #[serde(default)]
    pub learnt_within: u64,
    /// Share of the hold-out's conversations that look legitimate which the policy allows, 0 to 1.
    pub coverage: Option<f64>,
    /// Share of what the policy allows that was never seen, 0 to 1.
    pub over_permission: Option<f64>,
    /// Share of legitimate conversations that enforcing would break.
    pub false_block: Option<StoryEstimate>,
}

/// A workload that no segment claims.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryUnassigned {
    /// Who.
    pub workload: String,
    /// Why it was left alone.
    pub reason: String,
    /// Names of the nearest segments with their similarity, best first.
    pub nearest: Vec<(String, f64)>,
}

/// What a rule rests on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryEvidence {
    /// Connections seen.
    pub flows: u64,
    /// Distinct clients.
    pub clients: u64,
    /// Distinct servers.
    pub servers: u64,
    /// First packet.
    pub first: Option<Micros>,
    /// Last packet.
    pub last: Option<Micros>,
    /// 0 to 1.
    pub confidence: Option<f64>,
}

/// One rule of the policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StoryRule {
    /// Unique in the policy.
    pub id: String,
    /// Allow, or a guardrail's allow or deny.
    pub action: Action,
    /// Whom the rule's policy governs; empty for a guardrail.
    pub scope: String,
    /// Mode of the rule's policy.
    pub mode: Option<Mode>,
    /// Who answers for it.
    pub owner: String,
    /// Who asks, as written.
    pub from: String,
    /// Sources that a deny does not apply to, as written; may be empty.
    pub except: String,
    /// Who is asked, as written.
    pub to: String,
    /// Services; empty means every service.
    pub services: Vec<String>,
    /// Why.
    pub why: String,
    /// See [`StoryEvidence`].
    pub evidence: Option<StoryEvidence>,
    /// Where it is written.
    pub location: Option<SourceLocation>,
    /// The rule as written.
    pub yaml: String,
    /// Last day on which it holds.
    pub expires: Option<String>,
    /// Flows of the hold-out that it decided.
    pub holdout_flows: Option<u64>,
}

/// One width of the generated policy: few broad rules, or many narrow ones.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryFrontierPoint {
    /// What the width is called.
    pub name: String,
    /// Rules.
    pub rules: u64,
    /// Share of what is allowed that was never seen, 0 to 1.
    pub over_permission: f64,
    /// Share of the traffic that is allowed, 0 to 1.
    pub coverage: f64,
    /// Whether the policy of this report has this width.
    pub chosen: bool,
}

/// A conversation of the hold-out that the policy would block.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryBlocked {
    /// Who asks.
    pub client: String,
    /// Who is asked.
    pub server: String,
    /// For what.
    pub service: String,
    /// Connections.
    pub flows: u64,
    /// First packet.
    pub first: Micros,
    /// Last packet.
    pub last: Micros,
    /// Why: the deciding rule, or what is missing.
    pub why: String,
    /// Whether it was legitimate, when the truth is known.
    pub legitimate: Option<bool>,
}

/// A conversation of the learning window that was kept out of the policy.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryQuarantined {
    /// Who asks.
    pub client: String,
    /// Who is asked.
    pub server: String,
    /// For what.
    pub service: String,
    /// Connections.
    pub flows: u64,
    /// Why it was not allowed.
    pub reason: String,
}

/// How a step of the attack ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// The policy refuses it.
    #[default]
    Stopped,
    /// It stands on an earlier step that was stopped.
    Cut,
    /// Hardly anything of it goes through: it stays in the segment, or at most a tenth of a sweep's probes pass.
    Contained,
    /// It goes through to another segment.
    Reached,
}

/// One step of the attack.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryAttackStep {
    /// When.
    pub time: Micros,
    /// From where.
    pub from: String,
    /// Against whom.
    pub to: String,
    /// On what service.
    pub service: String,
    /// ATT&CK technique, such as `T1021.004`.
    pub technique: String,
    /// Its name.
    pub technique_name: String,
    /// What the intruder did.
    pub action: String,
    /// See [`StepOutcome`].
    pub outcome: StepOutcome,
    /// What decided: a rule's id, `default deny`, `same segment`.
    pub decided_by: String,
    /// Where that is written.
    pub location: Option<SourceLocation>,
}

/// Something that the intruder can still reach.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryReachable {
    /// Who.
    pub to: String,
    /// On what services.
    pub services: Vec<String>,
    /// By which rule, or why.
    pub why: String,
}

/// One check in a real kernel.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryKernelCheck {
    /// What was tried.
    pub check: String,
    /// From where.
    pub from: String,
    /// To whom.
    pub to: String,
    /// On what service.
    pub service: String,
    /// What the policy says.
    pub expected: String,
    /// What the kernel did.
    pub observed: String,
    /// The rule id in the kernel's log, when it refused.
    pub log: Option<String>,
    /// Whether they agree.
    pub passed: bool,
}

/// An attack replayed against the policy.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryAttack {
    /// The workload that was taken first.
    pub foothold: String,
    /// Steps, in order of time.
    pub steps: Vec<StoryAttackStep>,
    /// Workloads that the foothold could reach without the policy.
    pub reach_before: Option<u64>,
    /// Workloads that it can reach with the policy.
    pub reach_after: Option<u64>,
    /// What it can still reach.
    pub reachable: Vec<StoryReachable>,
    /// Checks in a real kernel, when they were made.
    pub kernel: Vec<StoryKernelCheck>,
}

/// The outcome of a proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// True for every packet.
    Holds,
    /// False: the witness shows a packet.
    Violated,
    /// Cannot be told from what is known.
    #[default]
    CannotTell,
}

/// A claim about the policy, and whether it holds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryAssertion {
    /// The sentence.
    pub sentence: String,
    /// Where it is written.
    pub location: Option<SourceLocation>,
    /// See [`Proof`].
    pub result: Proof,
    /// A packet that shows why not, or what is missing.
    pub witness: Option<String>,
}

/// A remark on method or limits.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryNote {
    /// A few words.
    pub title: String,
    /// A few sentences.
    pub text: String,
}

/// The whole story: input of [`render`](crate::render). An empty list or a `None` leaves its part out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Story {
    /// The map and where it comes from.
    pub map: MapStory,
    /// What was found, in one sentence; composed from the numbers when absent.
    pub headline: Option<String>,
    /// See [`StoryNumbers`].
    pub numbers: StoryNumbers,
    /// Workloads that no segment claims.
    pub unassigned: Vec<StoryUnassigned>,
    /// The policy.
    pub rules: Vec<StoryRule>,
    /// Widths that were tried, narrow or broad in any order.
    pub frontier: Vec<StoryFrontierPoint>,
    /// What the hold-out would have lost.
    pub blocked: Vec<StoryBlocked>,
    /// What was kept out of the policy.
    pub quarantined: Vec<StoryQuarantined>,
    /// The attack, when one was replayed.
    pub attack: Option<StoryAttack>,
    /// Proofs.
    pub assertions: Vec<StoryAssertion>,
    /// Remarks on method and limits of this very report; the general ones are always printed.
    pub notes: Vec<StoryNote>,
}
