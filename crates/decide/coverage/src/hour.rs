//! One exporter's hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Coverage, CoverageRow, KERNEL, KERNEL_DROP, Micros, UNATTRIBUTED};
use serde::Serialize;

use crate::HOUR_US;
use crate::baseline::Baseline;

/// What an exporter gave in an hour, and how much of what happened that is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HourScore {
    /// What it gave.
    #[serde(skip)]
    pub row: CoverageRow,
    /// Share of its records that were not lost, 0 to 1.
    pub kept: f64,
    /// Share of conversations that its sampling lets through, 0 to 1.
    pub sampled: f64,
    /// The product: probability that a conversation of that hour, on its way, was seen.
    pub score: f64,
    /// Why records were lost, and the share that each reason leaves.
    pub factors: Vec<(&'static str, f64)>,
    /// Flows that were seen; a share of one where there were none and none are known to be missing.
    #[serde(skip)]
    pub(crate) seen: f64,
    /// Flows that there must have been.
    #[serde(skip)]
    pub(crate) happened: f64,
}

/// Losses that were nobody's in particular, to be shared by all.
pub(crate) struct Shared {
    /// Share of datagrams that the kernel dropped, by format and hour.
    kernel: BTreeMap<(Arc<str>, Micros), f64>,
    /// The same where nobody says when, by format.
    kernel_ever: BTreeMap<Arc<str>, f64>,
    /// Share of what was read of a format that could not be used and was no exporter's.
    nobody: BTreeMap<Arc<str>, f64>,
}

impl Shared {
    pub(crate) fn of(rows: &[CoverageRow]) -> Self {
        let mut received: BTreeMap<(Arc<str>, Micros), u64> = BTreeMap::new();
        let mut all: BTreeMap<Arc<str>, (u64, u64)> = BTreeMap::new();
        for row in rows {
            let sum = received.entry((Arc::clone(&row.source), row.hour)).or_default();
            *sum = sum.saturating_add(row.coverage.received);
            let (count, bytes) = all.entry(Arc::clone(&row.source)).or_default();
            *count = count.saturating_add(row.coverage.received);
            *bytes = bytes.saturating_add(row.coverage.bytes);
        }
        let (mut kernel, mut kernel_ever, mut nobody) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for row in rows {
            let key = (Arc::clone(&row.source), row.hour);
            if &*row.exporter.0 == KERNEL {
                let heard = received.get(&key).copied().unwrap_or(0);
                kernel.insert(key, lost(row.coverage.missing_datagrams, heard));
            } else if &*row.exporter.0 == UNATTRIBUTED {
                let (count, bytes) = all.get(&row.source).copied().unwrap_or_default();
                let dropped = row.coverage.dropped.get(KERNEL_DROP).map_or(0, |dropped| dropped.count);
                kernel_ever.insert(Arc::clone(&row.source), lost(dropped, count));
                nobody.insert(Arc::clone(&row.source), unused(&row.coverage, count, bytes));
            }
        }
        Self { kernel, kernel_ever, nobody }
    }
}

impl HourScore {
    pub(crate) fn of(row: &CoverageRow, shared: &Shared, baseline: &Baseline) -> Self {
        let coverage = &row.coverage;
        let numbers = 1.0
            - (1.0 - lost(coverage.missing_records, coverage.flows))
                * (1.0 - lost(coverage.missing_datagrams, coverage.received));
        let of_hour = shared.kernel.get(&(Arc::clone(&row.source), row.hour)).copied().unwrap_or(0.0);
        let kernel = shared.kernel_ever.get(&row.source).copied().unwrap_or(0.0).max(of_hour);
        let all = [
            // What the kernel dropped shows in the numbers too, where an exporter has them: not twice.
            ("lost on the way, by its numbers", numbers),
            (
                "dropped by the kernel, beyond that",
                if kernel > numbers { (kernel - numbers) / (1.0 - numbers) } else { 0.0 },
            ),
            ("received and not decoded", unused(coverage, coverage.received, coverage.bytes)),
            ("not decoded, of nobody known", shared.nobody.get(&row.source).copied().unwrap_or(0.0)),
            ("lost by the source itself", (coverage.lost_us as f64 / HOUR_US as f64).min(1.0)),
        ];
        let factors: Vec<(&'static str, f64)> =
            all.into_iter().filter(|(_, lost)| *lost > 0.0).map(|(why, lost)| (why, 1.0 - lost)).collect();
        let kept: f64 = factors.iter().map(|(_, left)| left).product();
        let sampled = sampled(coverage, baseline);
        let score = kept * sampled;
        let (seen, happened) = weights(coverage, score);
        Self { row: row.clone(), kept, sampled, score, factors, seen, happened }
    }
}

/// Flows that were seen, and that there must have been. Those that the numbers say are missing are added as they are and
/// not by their share, so that losing more of them takes nothing off what there must have been.
fn weights(coverage: &Coverage, score: f64) -> (f64, f64) {
    let (flows, missing) = (coverage.flows as f64, coverage.missing_records as f64);
    if flows + missing == 0.0 {
        return (score, 1.0);
    }
    let numbered = 1.0 - lost(coverage.missing_records, coverage.flows);
    let rest = if numbered > 0.0 { score / numbered } else { 1.0 };
    (flows, (flows + missing) / rest.max(1e-6))
}

/// The share that is missing, of so many missing and so many there.
fn lost(missing: u64, there: u64) -> f64 {
    if missing == 0 { 0.0 } else { missing as f64 / (missing as f64 + there as f64) }
}

/// The share of what was received that may have been flows and was not decoded: by bytes, for one set or line may hold
/// much or little; by count where there are no bytes.
fn unused(coverage: &Coverage, received: u64, bytes: u64) -> f64 {
    let share = match (coverage.lost.bytes, bytes) {
        (0, _) if coverage.lost.count == 0 => 0.0,
        (0, 1..) => 0.0,
        (_, 0) => lost(coverage.lost.count, received),
        (lost, all) => lost as f64 / all as f64,
    };
    share.min(1.0)
}

/// The share of conversations that sampling lets through. Coarse sampling hides its own extent: a flow that was sampled
/// stands for all that were not, so that the share is flows seen by flows that there must have been.
fn sampled(coverage: &Coverage, baseline: &Baseline) -> f64 {
    let flows: f64 = coverage.sampling.values().map(|flows| *flows as f64).sum();
    let happened: f64 =
        coverage.sampling.iter().map(|(rate, flows)| *flows as f64 / baseline.sampled(*rate).max(1e-9)).sum();
    if flows > 0.0 { flows / happened } else { 1.0 }
}
