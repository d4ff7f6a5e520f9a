//! The policy language: what people write, what it means exactly.

mod ast;
mod comments;
mod diagnostic;
mod directory;
mod format;
mod parse;
mod plan;
mod plan_file;
mod reader;
mod resolve;
mod schema;
mod terms;
mod yaml;

pub use ast::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned, Verb,
};
pub use comments::format_text;
pub use diagnostic::Diagnostic;
pub use directory::Directory;
pub use format::{format, format_document};
pub use parse::parse;
pub use plan::{PlanDiff, PointDiff, RulesDiff, plan, plan_diff};
pub use plan_file::{InvalidPlan, PLAN_FORMAT_VERSION, plan_from_json, plan_to_json};
pub use resolve::{Decision, ExpiredRule, Resolved, ResolvedRule, Verdict, resolve};
pub use schema::schema;
pub use terms::{BadTerm, Sentence, label_selector, peer_term, sentence, service};
