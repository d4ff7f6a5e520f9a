//! What a proposal says beside the policy itself.

use coverage::Standing;
use model::{Micros, Service, format_time};
use policy::PolicySet;
use serde::{Serialize, Serializer};

/// Version of the JSON form of [`Proposal`].
pub const FORMAT_VERSION: u32 = 1;

/// A policy learnt from traffic, with what it rests on and what it leaves out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Proposal {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The documents: those of people untouched, then those proposed. Not part of the JSON form: it is text files.
    #[serde(skip)]
    pub policy: PolicySet,
    /// The proposed rules with their evidence, sorted by id.
    pub rules: Vec<RuleCard>,
    /// What each width would cost and give, narrowest first.
    pub frontier: Vec<FrontierPoint>,
    /// Traffic that was seen and is not allowed, most suspicious first.
    pub quarantined: Vec<Quarantined>,
    /// Name of the width that the rules have.
    pub chosen: String,
    /// Segments that are proposed in mode `observe` whatever was asked for, until a person or a second source says more.
    pub needs_review: Vec<NeedsReview>,
    /// How the choice was made and who is governed, in sentences.
    pub explanation: Vec<String>,
}

/// A proposed rule and what speaks for it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RuleCard {
    /// The rule's id in the policy.
    pub id: String,
    /// File of the policy that holds it.
    pub file: String,
    /// Whether it stands in a guardrail.
    pub guardrail: bool,
    /// Who asks, as written in the policy.
    pub from: Vec<String>,
    /// Who is asked, as written in the policy.
    pub to: Vec<String>,
    /// For what.
    pub services: Vec<Service>,
    /// The sentence of the policy.
    pub why: String,
    /// See [`RuleEvidence`].
    pub evidence: RuleEvidence,
    /// The busiest conversations behind it, at most three.
    pub samples: Vec<Sample>,
}

/// Counts behind a rule.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RuleEvidence {
    /// Connections.
    pub flows: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// Hours with traffic: those of its busiest edge.
    pub hours: u32,
    /// Days with traffic: calendar days from first to last, at most `hours`.
    pub days: u32,
    /// First packet.
    #[serde(serialize_with = "rfc3339")]
    pub first: Micros,
    /// Last packet.
    #[serde(serialize_with = "rfc3339")]
    pub last: Micros,
    /// Distinct clients seen.
    pub clients: u64,
    /// How many clients the rule lets ask.
    pub clients_allowed: u64,
    /// Distinct servers seen.
    pub servers: u64,
    /// How many servers the rule lets them ask.
    pub servers_allowed: u64,
    /// 0 to 1: mean confidence in the direction, weighted by connections, times `n / (n + 1)` for `n` connections.
    pub confidence: f64,
    /// Probability that such a conversation was seen when it happened, 0 to 1: by the better seen of its two ends, of the
    /// edge that was seen worst. Absent where nothing is known of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<f64>,
    /// Why a rare conversation was believed; absent where it was not rare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rare: Option<String>,
}

/// A segment whose traffic was not seen well enough to deny what was not seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NeedsReview {
    /// Its name in the policy.
    pub segment: String,
    /// File of the policy that governs it.
    pub file: String,
    /// How well it was seen.
    #[serde(flatten)]
    pub standing: Standing,
    /// Why, in words and numbers.
    pub reason: String,
}

/// One edge behind a rule.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sample {
    /// Who asked.
    pub client: String,
    /// Who was asked.
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
}

/// One width that was tried.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FrontierPoint {
    /// Name of the width.
    pub width: String,
    /// How many rules.
    pub rules: usize,
    /// How many names stand in their `from` and `to` together: what a person has to read.
    pub terms: usize,
    /// Allowed (host, host, service) triples for each one seen. At least 1; 1 is exact.
    pub over_permission: f64,
    /// Share of the sample's connections that the rules allow. Noise is not counted.
    pub coverage_in_sample: f64,
    /// Share of the taught triples that would still be allowed had each been the one that was not seen.
    pub coverage_left_out: f64,
    /// Description length in bits: the rules, and what they allow beyond what was seen.
    pub bits: f64,
}

/// Why traffic that was seen is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantineReason {
    /// The client's environment has its own server for this, and only few of it ask the other environment's.
    CrossEnvironment,
    /// Seen once or so, and nothing else vouches for it.
    OneOff,
    /// A guardrail of people denies it.
    Conflict,
    /// The client is a NAT gateway or a load balancer, and for whom it asked was not seen.
    Translated,
    /// Client and server may be swapped.
    UncertainDirection,
    /// The client scans.
    Scan,
    /// An enforcing source refused it.
    Denied,
    /// Nobody was seen to answer.
    Unanswered,
    /// Broadcast, multicast, link-local, or an ICMP error that travels with the conversation it is about.
    Special,
}

/// Traffic that was seen, is not allowed, and should be looked at.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Quarantined {
    /// `client -> server tcp/443`, or a summary of many edges of one client.
    pub edge: String,
    /// Who asked; `37 hosts` in a summary.
    pub client: String,
    /// Who was asked; `37 hosts` in a summary.
    pub server: String,
    /// For what; absent in a summary of several services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// See [`QuarantineReason`].
    pub reason: QuarantineReason,
    /// The reason in words and numbers.
    pub detail: String,
    /// How many edges this stands for.
    pub edges: u32,
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
}

fn rfc3339<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_time(*at))
}
