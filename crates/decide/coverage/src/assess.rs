//! Exporters over a window, and all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Coverage, CoverageRow, Exporter, Micros, TimeWindow};
use serde::Serialize;

use crate::HOUR_US;
use crate::baseline::{Baseline, Key, is_exporter};
use crate::hour::{HourScore, Shared};

/// How much of what happened in a window was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Probability that a conversation that passed an exporter was seen, 0 to 1; none when nothing was received.
    pub score: Option<f64>,
    /// The arithmetic, in a sentence.
    pub why: String,
    /// Every exporter, by format and name.
    pub exporters: Vec<ExporterScore>,
    /// Every hour of every exporter, by exporter and hour.
    pub hours: Vec<HourScore>,
    /// What could not be put to an exporter or a time.
    pub rest: Vec<CoverageRow>,
    /// First and last hour with anything in it, both included.
    pub span: Option<(Micros, Micros)>,
}

/// One exporter over a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExporterScore {
    /// The format that it reports in.
    #[serde(serialize_with = "crate::text")]
    pub source: Arc<str>,
    /// Its name.
    #[serde(serialize_with = "crate::name")]
    pub exporter: Exporter,
    /// Probability that a conversation on its way was seen, 0 to 1: the lower of `by_hour` and `by_record`.
    pub score: f64,
    /// Mean of the hours' scores; hours that it was silent in count 0.
    pub by_hour: f64,
    /// Flows seen by flows that there must have been; of silent hours, those of its busiest such hour.
    pub by_record: f64,
    /// Share of its records that were not lost, over the flows that there must have been.
    pub kept: f64,
    /// Share of conversations that its sampling lets through, likewise.
    pub sampled: f64,
    /// Hours that it reported in.
    pub reported: u32,
    /// Hours that it usually reports in, and did not.
    #[serde(skip)]
    pub silent: Vec<Micros>,
    /// The last hour that it reported in.
    #[serde(skip)]
    pub last: Micros,
    /// All of its hours as one.
    #[serde(skip)]
    pub total: Coverage,
    /// The arithmetic, in a sentence.
    pub why: String,
    #[serde(skip)]
    seen: f64,
    #[serde(skip)]
    happened: f64,
}

/// Scores the hours of a window (those that it cuts are whole), their exporters and all together.
pub fn assess(rows: &[CoverageRow], window: TimeWindow, baseline: &Baseline) -> Assessment {
    let within = |row: &&CoverageRow| row.hour > window.from.saturating_sub(HOUR_US) && row.hour < window.to;
    let shared = Shared::of(rows);
    let (timed, rest): (Vec<&CoverageRow>, Vec<&CoverageRow>) = rows.iter().partition(|row| is_exporter(row));
    let mut by_exporter: BTreeMap<Key, Vec<HourScore>> = BTreeMap::new();
    for row in timed.into_iter().filter(within) {
        let key = (Arc::clone(&row.source), row.exporter.clone());
        by_exporter.entry(key).or_default().push(HourScore::of(row, &shared, baseline));
    }
    // Who is usually there and has not a single row is missing most of all.
    for key in baseline.exporters() {
        by_exporter.entry(key.clone()).or_default();
    }
    let mut exporters = Vec::new();
    let mut hours = Vec::new();
    for (key, mut scores) in by_exporter {
        scores.sort_by_key(|score| score.row.hour);
        let score = exporter(&key, &scores, window, baseline);
        if !scores.is_empty() || !score.silent.is_empty() {
            exporters.push(score);
        }
        hours.append(&mut scores);
    }
    let (score, why) = together(&exporters, baseline);
    let first = hours.iter().map(|hour| hour.row.hour).min();
    let last = hours.iter().map(|hour| hour.row.hour).max();
    Assessment {
        score,
        why,
        exporters,
        hours,
        rest: rest.into_iter().cloned().collect(),
        span: first.zip(last),
    }
}

impl Assessment {
    /// The score of an exporter by its name: the lowest where several formats have one of that name.
    pub fn of(&self, exporter: &Exporter) -> Option<&ExporterScore> {
        let named = self.exporters.iter().filter(|score| score.exporter == *exporter);
        named.min_by(|a, b| a.score.total_cmp(&b.score))
    }
}

fn exporter(key: &Key, hours: &[HourScore], window: TimeWindow, baseline: &Baseline) -> ExporterScore {
    let heard = hours.iter().filter(|hour| hour.row.coverage.reported());
    let reported: BTreeSet<Micros> = heard.map(|hour| hour.row.hour).collect();
    // A whole hour is expected; one that the window cuts may have been silent in the part that is outside.
    let first = window.from.div_euclid(HOUR_US).saturating_mul(HOUR_US);
    let silent = baseline.silent(key, &reported, first, window.to);
    let mut total = Coverage::default();
    hours.iter().for_each(|hour| total.merge(&hour.row.coverage));
    let means = Means::of(hours, silent.iter().map(|hour| baseline.records_of(key, *hour)).collect());
    let by_record = ratio(means.seen, means.happened);
    let score = means.by_hour.min(by_record);
    let mut found = ExporterScore {
        source: Arc::clone(&key.0),
        exporter: key.1.clone(),
        score,
        by_hour: means.by_hour,
        by_record,
        kept: means.kept,
        sampled: means.sampled,
        reported: reported.len() as u32,
        silent,
        last: reported.last().copied().unwrap_or(0),
        total,
        why: String::new(),
        seen: means.seen,
        happened: means.happened,
    };
    found.why = explain(&found, baseline);
    found
}

struct Means {
    by_hour: f64,
    kept: f64,
    sampled: f64,
    seen: f64,
    happened: f64,
}

impl Means {
    /// `silent` has the flows that each silent hour is taken to have had.
    fn of(hours: &[HourScore], silent: Vec<f64>) -> Self {
        let heard: Vec<&HourScore> = hours.iter().filter(|hour| hour.row.coverage.reported()).collect();
        let all = (heard.len() + silent.len()).max(1) as f64;
        let sum = |of: fn(&HourScore) -> f64| heard.iter().map(|hour| of(hour)).sum::<f64>();
        let (seen, happened) = (sum(|hour| hour.seen), sum(|hour| hour.happened));
        let sampled = sum(|hour| hour.happened * hour.sampled);
        Self {
            by_hour: sum(|hour| hour.score) / all,
            kept: ratio(seen, sampled),
            sampled: ratio(sampled, happened),
            seen,
            happened: happened + silent.iter().sum::<f64>(),
        }
    }
}

/// A share; nothing of nothing is nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}

fn explain(score: &ExporterScore, baseline: &Baseline) -> String {
    let ExporterScore { by_hour, by_record, kept, sampled, reported, silent, .. } = score;
    let mut text = format!("{:.3} of its records were kept", cut(*kept));
    if *sampled < 1.0 {
        let worst = score.total.sampling_worst();
        text.push_str(&format!(
            "; sampling (up to 1 in {worst}) shows {:.3} of conversations, {}",
            cut(*sampled),
            baseline.sizes_text()
        ));
    }
    if !silent.is_empty() {
        let all = silent.len() + *reported as usize;
        text.push_str(&format!("; silent in {} of {all} hours that it usually reports in", silent.len()));
    }
    if (by_hour - by_record).abs() > 0.000_5 {
        text.push_str(&format!(
            "; {:.3} as a mean of hours, {:.3} of flows: the lower counts",
            cut(*by_hour),
            cut(*by_record)
        ));
    }
    text
}

/// All exporters: flows seen by flows that there must have been, or the mean of the exporters where that is lower.
fn together(exporters: &[ExporterScore], baseline: &Baseline) -> (Option<f64>, String) {
    if exporters.is_empty() {
        return (None, String::from("nothing was received of any exporter"));
    }
    let sum = |of: fn(&ExporterScore) -> f64| exporters.iter().map(of).sum::<f64>();
    let (seen, happened) = (sum(|e| e.seen), sum(|e| e.happened));
    let sampled = sum(|e| e.happened * e.sampled);
    let mean = sum(|e| e.score) / exporters.len() as f64;
    let (kept, sampled) =
        (ratio(sum(|e| e.happened * e.sampled * e.kept), sampled), ratio(sampled, happened));
    let silent: usize = exporters.iter().map(|e| e.silent.len()).sum();
    let hours = silent + exporters.iter().map(|e| e.reported as usize).sum::<usize>();
    let mut parts = vec![format!("{:.3} of records kept", cut(kept))];
    if sampled < 1.0 {
        parts.push(format!("sampling shows {:.3} of conversations {}", cut(sampled), baseline.sizes_text()));
    }
    if silent > 0 {
        parts.push(format!("{silent} of {hours} expected exporter-hours without a word"));
    }
    let count = match exporters.len() {
        1 => "1 exporter".to_owned(),
        many => format!("{many} exporters"),
    };
    (Some(mean.min(ratio(seen, happened))), format!("{count}: {}", parts.join("; ")))
}

/// Three digits, never rounded up: 0.9996 is not 1.
fn cut(share: f64) -> f64 {
    (share * 1_000.0 + 1e-9).floor() / 1_000.0
}
