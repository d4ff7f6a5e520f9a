//! The policy language: what people write, what it means exactly.

mod ast;

pub use ast::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned, Verb,
};
