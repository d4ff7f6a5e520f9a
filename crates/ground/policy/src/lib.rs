//! The policy language: what people write, what it means exactly.

mod ast;
mod diagnostic;
mod directory;
mod parse;
mod reader;
mod resolve;
mod terms;
mod yaml;

pub use ast::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned, Verb,
};
pub use diagnostic::Diagnostic;
pub use directory::Directory;
pub use parse::parse;
pub use resolve::{Decision, ExpiredRule, Resolved, ResolvedRule, Verdict, resolve};
pub use terms::{BadTerm, Sentence, label_selector, peer_term, sentence, service};
