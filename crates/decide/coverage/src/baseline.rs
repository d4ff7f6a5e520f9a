//! What is usual: when exporters report, how much, and how large conversations are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{CoverageRow, Exporter, KERNEL, Micros, SIZE_CLASSES, UNATTRIBUTED};

use crate::HOUR_US;
use crate::hour::{HourScore, Shared};

/// Packets of a conversation where it was not measured: a short exchange over TCP, both ways.
const TYPICAL_PACKETS: u32 = 20;
/// Flows that were not sampled and tell how large flows are, at least; below it, conversations are taken for typical.
const MEASURED_MIN: u64 = 1_000;
/// Hours that an exporter must have reported in for its silence afterwards to mean something.
const KNOWN_HOURS: usize = 24;
/// Hours that it must have reported in for a hole between them to mean something.
const HOLE_HOURS: usize = 3;
/// Hours further than this from all others are odd: a clock gone wrong, or somebody's joke. Nobody is expected between.
const ODD_GAP_US: Micros = 31 * 24 * HOUR_US;
/// Days that an hour of the day must have been there on for it to have a habit of its own.
const HABIT_DAYS: u32 = 3;

/// Format and name of an exporter.
pub(crate) type Key = (Arc<str>, Exporter);

/// What is usual, learnt from all that is known: a window is judged by more than itself.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    exporters: BTreeMap<Key, Habit>,
    /// Shares of flows by size, when enough were measured.
    sizes: Option<[f64; SIZE_CLASSES]>,
    /// First and last hour of the time that most was reported of; what is far from it is odd.
    body: (Micros, Micros),
}

#[derive(Clone, Debug, Default)]
struct Habit {
    hours: BTreeSet<Micros>,
    /// Estimated records of the busiest hour, by hour of the day; 0 where there was none.
    busiest: [f64; 24],
    /// Whether it is expected, by hour of the day.
    expected: [bool; 24],
}

impl Baseline {
    /// Learns from rows of any window, the longer the better.
    pub fn learn(rows: &[CoverageRow]) -> Self {
        let mut baseline = Self::default();
        let mut sizes = [0_u64; SIZE_CLASSES];
        for row in rows.iter().filter(|row| is_exporter(row)) {
            for (sum, more) in sizes.iter_mut().zip(row.coverage.sizes) {
                *sum = sum.saturating_add(more);
            }
        }
        let measured = sizes.iter().fold(0_u64, |sum, more| sum.saturating_add(*more));
        if measured >= MEASURED_MIN {
            baseline.sizes = Some(sizes.map(|flows| flows as f64 / measured as f64));
        }
        let mut hours: BTreeMap<Micros, f64> = BTreeMap::new();
        let shared = Shared::of(rows);
        for row in rows.iter().filter(|row| is_exporter(row) && row.coverage.reported()) {
            let expected = HourScore::of(row, &shared, &baseline).happened;
            let habit =
                baseline.exporters.entry((Arc::clone(&row.source), row.exporter.clone())).or_default();
            habit.hours.insert(row.hour);
            let busiest = &mut habit.busiest[of_day(row.hour)];
            *busiest = busiest.max(expected);
            *hours.entry(row.hour).or_default() += expected;
        }
        baseline.body = body(&hours);
        let (from, to) = baseline.body;
        for habit in baseline.exporters.values_mut() {
            habit.hours.retain(|hour| (from..=to).contains(hour));
            habit.form();
        }
        baseline
    }

    /// Everybody who ever reported.
    pub(crate) fn exporters(&self) -> impl Iterator<Item = &Key> {
        self.exporters.keys()
    }

    /// The hours of a span in which an exporter should have reported and which are not in `reported`; ascending.
    pub(crate) fn silent(
        &self,
        key: &Key,
        reported: &BTreeSet<Micros>,
        from: Micros,
        to: Micros,
    ) -> Vec<Micros> {
        let Some(habit) = self.exporters.get(key) else { return Vec::new() };
        let (Some(first), Some(last)) = (habit.hours.first(), habit.hours.last()) else { return Vec::new() };
        let end = if habit.hours.len() >= KNOWN_HOURS { self.body.1 } else { self.body.1.min(*last) };
        let (mut hour, end) = (from.max(*first).max(self.body.0), to.min(end.saturating_add(1)));
        let mut silent = Vec::new();
        while hour < end {
            if habit.expected[of_day(hour)] && !reported.contains(&hour) {
                silent.push(hour);
            }
            hour += HOUR_US;
        }
        silent
    }

    /// Records that a silent hour is taken to have had: those of the exporter's busiest such hour.
    pub(crate) fn records_of(&self, key: &Key, hour: Micros) -> f64 {
        let Some(habit) = self.exporters.get(key) else { return 1.0 };
        let such = habit.busiest[of_day(hour)];
        if such > 0.0 { such } else { habit.busiest.iter().copied().fold(1.0, f64::max) }
    }

    /// Probability that at least one packet of a conversation is looked at, of one in `rate`: `1 - (1 - 1/rate)^n` for `n`
    /// packets, over the sizes that flows were measured to have, each taken as small as its class allows.
    pub fn sampled(&self, rate: u32) -> f64 {
        if rate <= 1 {
            return 1.0;
        }
        let missed = 1.0 - 1.0 / f64::from(rate);
        let seen = |packets: f64| 1.0 - missed.powf(packets);
        match &self.sizes {
            None => seen(f64::from(TYPICAL_PACKETS)),
            Some(shares) => {
                shares.iter().enumerate().map(|(class, share)| share * seen(2_f64.powi(class as i32))).sum()
            }
        }
    }

    /// How large conversations are taken to be, in words.
    pub fn sizes_text(&self) -> String {
        match self.sizes {
            Some(_) => String::from("sizes as measured where nothing is sampled"),
            None => format!("of {TYPICAL_PACKETS} packets"),
        }
    }

    /// First and last hour, both included, of the time that most was reported of. Hours more than a month away from it are
    /// odd: clocks that are wrong, or worse.
    pub const fn body(&self) -> (Micros, Micros) {
        self.body
    }
}

/// The run of hours, none a month from the next, that most was reported in.
fn body(hours: &BTreeMap<Micros, f64>) -> (Micros, Micros) {
    let mut best = (0.0, (0, 0));
    let mut run: Option<(f64, (Micros, Micros))> = None;
    for (hour, records) in hours {
        let (sum, (first, _)) = match run {
            Some(known) if hour.saturating_sub(known.1.1) <= ODD_GAP_US => known,
            _ => (0.0, (*hour, *hour)),
        };
        let longer = (sum + records, (first, *hour));
        run = Some(longer);
        if longer.0 > best.0 {
            best = longer;
        }
    }
    best.1
}

impl Habit {
    /// An hour of the day is expected when it was there on at least half of three days or more, or, for exporters that are
    /// not known for that long, when it reported in at least half of the hours between its first and its last.
    fn form(&mut self) {
        let (Some(first), Some(last)) = (self.hours.first().copied(), self.hours.last().copied()) else {
            return;
        };
        let all = (last - first) / HOUR_US + 1;
        let steady = self.hours.len() >= HOLE_HOURS && self.hours.len() as i64 * 2 >= all;
        for slot in 0..24 {
            // Days on which this hour lies between the first and the last.
            let offset = (slot as i64 - of_day(first) as i64).rem_euclid(24);
            let days = if offset < all { (all - 1 - offset) / 24 + 1 } else { 0 };
            let there = self.hours.iter().filter(|hour| of_day(**hour) == slot).count() as i64;
            self.expected[slot] = if days >= i64::from(HABIT_DAYS) { there * 2 >= days } else { steady };
        }
    }
}

/// Whether a row is of an exporter that is known, at a time.
pub(crate) fn is_exporter(row: &CoverageRow) -> bool {
    row.hour != 0 && !matches!(&*row.exporter.0, UNATTRIBUTED | KERNEL)
}

fn of_day(hour: Micros) -> usize {
    (hour.div_euclid(HOUR_US)).rem_euclid(24) as usize
}
