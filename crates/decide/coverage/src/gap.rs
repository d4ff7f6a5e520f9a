//! What is missing, and what mends it.

use std::sync::Arc;

use model::{Exporter, Micros, UNATTRIBUTED, format_time};
use serde::Serialize;

use crate::SAMPLED_ENOUGH;
use crate::assess::{Assessment, ExporterScore};
use crate::baseline::Baseline;

/// More than this share of records lost is worth a word.
const LOSS_WORTH_A_WORD: f64 = 0.01;
/// A clock that is off by more than this puts flows into wrong hours and answers before questions.
const CLOCK_OFF_US: u64 = 60_000_000;
/// What the intake calls a data set whose template never came.
const NO_TEMPLATE: &str = "set without a template";

/// What kind of thing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// An exporter that usually reports did not.
    Silence,
    /// Records were lost on the way.
    Loss,
    /// The source itself lost records.
    SourceLoss,
    /// Sets could not be read for want of their template.
    Templates,
    /// Records were received and could not be used.
    Undecoded,
    /// Sampling is too coarse to learn from what was not seen.
    Sampling,
    /// The exporter's clock is off.
    Clock,
}

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// See [`GapKind`].
    pub kind: GapKind,
    /// The format.
    #[serde(serialize_with = "crate::text")]
    pub source: Arc<str>,
    /// Whose it is.
    #[serde(serialize_with = "crate::name")]
    pub exporter: Exporter,
    /// What is missing, in words and numbers.
    pub what: String,
    /// What mends it.
    pub remedy: String,
}

/// What is missing of a window, the exporters in their order.
pub fn gaps(assessment: &Assessment, baseline: &Baseline) -> Vec<Gap> {
    let mut found: Vec<Gap> =
        assessment.exporters.iter().flat_map(|exporter| of(exporter, assessment, baseline)).collect();
    for row in assessment.rest.iter().filter(|row| &*row.exporter.0 == UNATTRIBUTED) {
        let (lost, bytes) = (row.coverage.lost, row.coverage.bytes.max(1));
        if lost.bytes as f64 / bytes as f64 > LOSS_WORTH_A_WORD {
            found.push(Gap {
                kind: GapKind::Undecoded,
                source: Arc::clone(&row.source),
                exporter: row.exporter.clone(),
                what: format!("{} records ({} bytes) could not be used", lost.count, lost.bytes),
                remedy: format!(
                    "`ringfence decode {} FILE --rejects rejects.ndjson` says which and why",
                    row.source
                ),
            });
        }
    }
    found
}

fn of(score: &ExporterScore, assessment: &Assessment, baseline: &Baseline) -> Vec<Gap> {
    let candidates = [silence(score, assessment), loss(score), source_loss(score), undecoded(score)];
    let more = [sampling(score, baseline), clock(score)];
    let gap = |(kind, what, remedy)| Gap {
        kind,
        source: Arc::clone(&score.source),
        exporter: score.exporter.clone(),
        what,
        remedy,
    };
    candidates.into_iter().chain(more).flatten().map(gap).collect()
}

type Found = Option<(GapKind, String, String)>;

fn silence(score: &ExporterScore, assessment: &Assessment) -> Found {
    let (hours, last) = (score.silent.len(), score.last);
    let plural = if hours == 1 { "" } else { "s" };
    let what = format!(
        "silent in {hours} hour{plural} that it usually reports in, the last of them {}",
        minutes(score.silent.last().copied()?)
    );
    let gone = assessment.span.is_some_and(|(_, end)| end > last);
    let remedy = if gone {
        format!(
            "nothing came after {}: see that it still exports here; `ringfence import` what it kept",
            minutes(last)
        )
    } else {
        String::from("`ringfence import` what was collected elsewhere for those hours, if anything was")
    };
    Some((GapKind::Silence, what, remedy))
}

fn loss(score: &ExporterScore) -> Found {
    let total = &score.total;
    let (records, datagrams) = (total.missing_records, total.missing_datagrams);
    let share = |missing: u64, there: u64| missing as f64 / (missing as f64 + there as f64).max(1.0);
    let lost = share(records, total.flows).max(share(datagrams, total.received));
    if lost <= LOSS_WORTH_A_WORD {
        return None;
    }
    let missing = if records > 0 { format!("{records} records") } else { format!("{datagrams} datagrams") };
    let what = format!("{missing} never arrived ({:.1} %, {} gaps in its numbers)", lost * 100.0, total.gaps);
    let remedy = "raise net.core.rmem_max and look for congestion between it and the collector; \
                  `ringfence flows --coverage --by hour` shows when";
    Some((GapKind::Loss, what, remedy.to_owned()))
}

fn source_loss(score: &ExporterScore) -> Found {
    let total = &score.total;
    let what = || {
        format!(
            "lost its records of {} intervals, {} s together",
            total.lost_intervals,
            total.lost_us / 1_000_000
        )
    };
    let remedy =
        "the source could not keep up (SKIPDATA): use a longer aggregation interval, or add a second source";
    (total.lost_intervals > 0).then(|| (GapKind::SourceLoss, what(), remedy.to_owned()))
}

fn undecoded(score: &ExporterScore) -> Found {
    let total = &score.total;
    if total.lost.bytes as f64 <= LOSS_WORTH_A_WORD * total.bytes as f64 || total.lost.count == 0 {
        return None;
    }
    if let Some(sets) = total.dropped.get(NO_TEMPLATE) {
        let what = format!("{} sets ({} bytes) came without their template", sets.count, sets.bytes);
        let remedy = "have it repeat its templates every minute, or let the capture begin earlier and \
                      `ringfence import --again` it";
        return Some((GapKind::Templates, what, remedy.to_owned()));
    }
    let (reason, worst) = total.dropped.iter().max_by_key(|(_, dropped)| dropped.bytes)?;
    let what = format!("{} could not be used, most for: {reason} ({})", total.lost.count, worst.count);
    let remedy =
        format!("`ringfence decode {} FILE --rejects rejects.ndjson` says where and why", score.source);
    Some((GapKind::Undecoded, what, remedy))
}

fn sampling(score: &ExporterScore, baseline: &Baseline) -> Found {
    if score.sampled >= SAMPLED_ENOUGH {
        return None;
    }
    let what = format!(
        "samples one packet in {}: {:.1} % of conversations show ({})",
        score.total.sampling_typical(),
        score.sampled * 100.0,
        baseline.sizes_text()
    );
    let remedy = "turn sampling off, or add a second source for the same workloads; until then no default-deny is \
                  proposed from it";
    Some((GapKind::Sampling, what, remedy.to_owned()))
}

fn clock(score: &ExporterScore) -> Found {
    let (ahead, behind) = (score.total.clock_ahead_us, score.total.clock_behind_us);
    let (off, side) = if ahead >= behind { (ahead, "ahead") } else { (behind, "behind") };
    let what = || format!("its clock is up to {} s {side} of the receiver's", off / 1_000_000);
    (off > CLOCK_OFF_US).then(|| {
        (GapKind::Clock, what(), String::from("set it by NTP; its flows stand at the times it said"))
    })
}

/// `2026-11-20 08:00`.
fn minutes(at: Micros) -> String {
    format_time(at).get(..16).unwrap_or_default().replace('T', " ")
}
