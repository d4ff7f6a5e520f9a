//! How much of what happened was seen: the probability that a conversation that happened is in the lake, and why.
//!
//! The lake says what was received of each exporter in each hour, and what of it is missing
//! ([`model::CoverageRow`]). [`assess`] turns that into numbers between 0 and 1:
//!
//! - an exporter's hour: the share of its records that were not lost, times the share of conversations that its sampling
//!   lets through ([`HourScore`]);
//! - an exporter's window: the lower of two means over its hours, one by hour and one by record, hours that it was
//!   expected in and said nothing in counting as nothing ([`ExporterScore`]);
//! - an address: the best of the exporters that saw it, and nothing when none did ([`Watch`]).
//!
//! Every number errs to the low side, and more loss never gives a higher one as long as what is usual ([`Baseline`]) stays
//! the same; that is a law in the tests. What is lost without leaving a trace, and traffic that no exporter is on the way
//! of, cannot be known.

mod assess;
mod baseline;
mod gap;
mod hour;
mod period;
mod watch;

pub use assess::{Assessment, ExporterScore, assess};
pub use baseline::Baseline;
pub use gap::{Gap, GapKind, gaps};
pub use hour::HourScore;
pub use period::Period;
pub use watch::{Standing, Watch};

/// One hour, in microseconds.
const HOUR_US: model::Micros = 3_600_000_000;

/// Serializes a name.
fn text<S: serde::Serializer>(text: &std::sync::Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Serializes the name of an exporter.
fn name<S: serde::Serializer>(exporter: &model::Exporter, serializer: S) -> Result<S::Ok, S::Error> {
    text(&exporter.0, serializer)
}

/// Sampling that lets through less than this share of conversations is too coarse to learn from what was not seen.
pub const SAMPLED_ENOUGH: f64 = 0.9;

#[cfg(test)]
mod tests;
