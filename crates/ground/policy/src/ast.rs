//! Policy files as values. Every part that a message may point at carries where it stands.

use model::{Mode, Prefix, Selector, Service, SourceLocation};

/// A value with the place where it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub at: SourceLocation,
}

/// One way to name the side of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerTerm {
    /// `any`: every address.
    Any,
    /// `internet`: globally routable addresses.
    Internet,
    /// `cidr:10.0.0.0/8`.
    Cidr(Prefix),
    /// `segment:NAME`.
    Segment(String),
    /// `group:NAME`: an identity group. Parsed and formatted; resolving it needs an identity source.
    Group(String),
    /// `fqdn:NAME`. Parsed and formatted; resolving it needs DNS evidence.
    Fqdn(String),
    /// A label selector.
    Labels(Selector),
}

/// The side of a rule: one term, or in YAML a list of them (a union).
pub type Peer = Vec<Spanned<PeerTerm>>;

/// What a rule rests on; written by the tool and ignored in evaluation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Evidence {
    /// Connections seen.
    pub flows: u64,
    /// Days with traffic.
    pub days: u32,
    /// RFC 3339 date or time of the last.
    pub last_seen: Option<String>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// Distinct clients seen.
    pub clients: Option<u64>,
    /// Distinct servers seen.
    pub servers: Option<u64>,
    /// Probability that such a conversation was seen when it happened, 0 to 1: how far the counts can be trusted.
    pub visibility: Option<f64>,
}

/// An allow of a segment policy.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// Unique in the policy set.
    pub id: Spanned<String>,
    /// Who asks.
    pub from: Peer,
    /// Who is asked.
    pub to: Peer,
    /// For what; empty means every service.
    pub ports: Vec<Spanned<Service>>,
    /// Why; never empty.
    pub why: String,
    /// See [`Evidence`].
    pub evidence: Option<Evidence>,
    /// A ticket's number.
    pub ticket: Option<String>,
    /// Last day on which the rule holds: `YYYY-MM-DD` or RFC 3339.
    pub expires: Option<Spanned<String>>,
}

/// A guardrail's allow: may never be broken by any deny.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardrailAllow {
    /// Unique in the policy set.
    pub id: Spanned<String>,
    /// Who asks.
    pub from: Peer,
    /// Who is asked.
    pub to: Peer,
    /// For what; empty means every service.
    pub ports: Vec<Spanned<Service>>,
    /// Why; never empty.
    pub why: String,
    /// See [`Evidence`].
    pub evidence: Option<Evidence>,
}

/// A guardrail's deny: no allow can override it.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardrailDeny {
    /// Unique in the policy set.
    pub id: Spanned<String>,
    /// Who asks.
    pub from: Peer,
    /// Sources that the deny does not apply to; may be empty.
    pub except: Peer,
    /// Who is asked.
    pub to: Peer,
    /// For what; empty means every service.
    pub ports: Vec<Spanned<Service>>,
    /// Why; never empty.
    pub why: String,
}

/// `kind: Guardrail`.
#[derive(Clone, PartialEq, Debug)]
pub struct Guardrail {
    /// Who answers for it.
    pub owner: String,
    /// Denies that no allow can override.
    pub deny: Vec<GuardrailDeny>,
    /// Allows that no deny may break.
    pub allow: Vec<GuardrailAllow>,
    /// See [`Assertion`].
    pub tests: Vec<Assertion>,
}

/// `kind: SegmentPolicy`. Workloads in `scope` are governed: what no rule of the whole set allows to or from them
/// is denied.
#[derive(Clone, PartialEq, Debug)]
pub struct SegmentPolicy {
    /// Whom it governs: a label selector, or `segment:NAME`.
    pub scope: Peer,
    /// Who answers for it.
    pub owner: String,
    /// See [`Mode`].
    pub mode: Mode,
    /// What is allowed.
    pub allow: Vec<Rule>,
    /// See [`Assertion`].
    pub tests: Vec<Assertion>,
}

/// `kind: Segment`: a segment by name, so that rules can say `segment:NAME`.
#[derive(Clone, PartialEq, Debug)]
pub struct SegmentDocument {
    /// Unique in the policy set.
    pub name: Spanned<String>,
    /// Workload ids. Either these or a selector.
    pub members: Vec<Spanned<String>>,
    /// Labels that the members have.
    pub selector: Option<Spanned<Selector>>,
    /// 0 to 1; written by the tool.
    pub confidence: Option<f64>,
    /// What the members share; written by the tool.
    pub reasons: Vec<String>,
}

/// Can or cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verb {
    /// Every matching pair, on every named service.
    CanReach,
    /// No matching pair, on any named service.
    CannotReach,
}

/// A sentence test: `<peer> can|cannot reach <peer> [on <service>[, <service>]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Assertion {
    /// The sentence as written, and where.
    pub text: Spanned<String>,
    /// Who asks.
    pub from: Peer,
    /// Can or cannot.
    pub verb: Verb,
    /// Who is asked.
    pub to: Peer,
    /// For what; empty means any service.
    pub services: Vec<Service>,
}

/// One document of a file, with the comment lines that stand before it (without `#`).
#[derive(Clone, PartialEq, Debug)]
pub enum Document {
    /// `kind: Segment`.
    Segment(SegmentDocument),
    /// `kind: Guardrail`.
    Guardrail(Guardrail),
    /// `kind: SegmentPolicy`.
    SegmentPolicy(SegmentPolicy),
}

/// All documents of all files, in order of file name and place.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PolicySet {
    /// Documents with the file that each stands in.
    pub documents: Vec<(String, Document)>,
}
