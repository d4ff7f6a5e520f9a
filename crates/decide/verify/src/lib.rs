//! Proofs about a policy: a property is a value, and the answer is that it holds, or a packet for which it does not.
//!
//! Every answer is exact: it is computed on whole sets of traffic, never on samples. This crate knows the policy's
//! types and nothing of whatever wrote the policy.

mod assertion;
mod overlap;
mod property;
mod radius;
mod verifier;

pub use assertion::{AssertionKind, AssertionOutcome, check_assertions};
pub use property::{Form, PROPERTIES, Property, Side};
pub use radius::Reached;
pub use verifier::{Outcome, Verifier, Violation};
