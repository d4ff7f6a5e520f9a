//! All exporters over hours or days.

use std::collections::{BTreeMap, BTreeSet};

use model::{Coverage, Micros};

use crate::assess::Assessment;
use crate::hour::HourScore;

/// What all exporters gave in a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Its first moment.
    pub from: Micros,
    /// Exporters that reported.
    pub exporters: usize,
    /// Hours that exporters were expected in and silent.
    pub silent: usize,
    /// All of it as one.
    pub total: Coverage,
    /// Probability that a conversation that passed an exporter was seen: the lower of the mean over exporter-hours, silent
    /// ones counting 0, and of flows seen by flows that there must have been.
    pub score: f64,
}

impl Assessment {
    /// The window in spans of so many microseconds, ascending; those without a word are not in it.
    pub fn by_period(&self, unit: Micros) -> Vec<Period> {
        let start = |at: Micros| at.div_euclid(unit).saturating_mul(unit);
        let mut heard: BTreeMap<Micros, Vec<&HourScore>> = BTreeMap::new();
        let mut silent: BTreeMap<Micros, usize> = BTreeMap::new();
        for hour in &self.hours {
            heard.entry(start(hour.row.hour)).or_default().push(hour);
        }
        for hour in self.exporters.iter().flat_map(|exporter| &exporter.silent) {
            *silent.entry(start(*hour)).or_default() += 1;
        }
        let all: BTreeSet<Micros> = heard.keys().chain(silent.keys()).copied().collect();
        let of = |from| {
            let hours = heard.get(&from).map_or(&[][..], Vec::as_slice);
            period(from, hours, silent.get(&from).copied().unwrap_or(0))
        };
        all.into_iter().map(of).collect()
    }
}

fn period(from: Micros, hours: &[&HourScore], silent: usize) -> Period {
    let mut total = Coverage::default();
    hours.iter().for_each(|hour| total.merge(&hour.row.coverage));
    let names: BTreeSet<_> = hours.iter().map(|hour| (&hour.row.source, &hour.row.exporter)).collect();
    let sum = |of: fn(&HourScore) -> f64| hours.iter().map(|hour| of(hour)).sum::<f64>();
    let mean = sum(|hour| hour.score) / (hours.len() + silent).max(1) as f64;
    let happened = sum(|hour| hour.happened);
    let seen = if happened > 0.0 { sum(|hour| hour.seen) / happened } else { 0.0 };
    Period { from, exporters: names.len(), silent, total, score: mean.min(seen).clamp(0.0, 1.0) }
}
