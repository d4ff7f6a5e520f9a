//! A policy against history: what it would have allowed and blocked, by which rule, and what that promises.
//!
//! [`simulate`] replays conversations through the fast [`Evaluator`], whose answers are those of
//! [`policy::Resolved::decide`]. The cost follows the conversations and hardly the rules.

mod blocked;
mod breadth;
mod classes;
mod estimate;
mod evaluator;
mod history;
mod judge;
mod options;
mod outcome;
mod replay;

pub use estimate::Interval;
pub use evaluator::Evaluator;
pub use options::SimulateOptions;
pub use outcome::{
    BlockedConversation, FORMAT_VERSION, FalseBlockEstimate, OwnerUse, Plausibility, Replay, RuleUse, Tally,
    Unknown,
};
pub use replay::simulate;

#[cfg(test)]
mod tests;
