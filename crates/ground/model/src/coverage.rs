//! What was received of each exporter in each hour, and what of it was lost.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::batch::{Exporter, FlowBatch};
use crate::time::Micros;

/// One hour.
const HOUR_US: Micros = 3_600_000_000;

/// Exporter-hours of one table. What comes beyond them is counted under [`UNATTRIBUTED`]: about 500 bytes each, so a
/// hostile input with times all over the calendar costs 32 MB.
const ROWS_MAX: usize = 65_536;

/// Stands for the exporter of what cannot be put to one: damage between records, and exporter-hours beyond the bound.
pub const UNATTRIBUTED: &str = "(unattributed)";

/// Stands for the exporter of what the kernel dropped before anybody could see who had sent it.
pub const KERNEL: &str = "(kernel)";

/// The reason under which listeners count what the kernel dropped.
pub const KERNEL_DROP: &str = "datagram dropped by the kernel, receive buffer full";

/// Records that were not used, for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Datagrams, sets, records or lines: whatever the reason speaks of.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Dropped {
    /// Adds another count of the same.
    pub const fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What one exporter gave in one hour, and what of it is missing. Counts that nobody took are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Datagrams, or lines of text.
    #[serde(skip_serializing_if = "absent")]
    pub received: u64,
    /// Their bytes.
    #[serde(skip_serializing_if = "absent")]
    pub bytes: u64,
    /// Flows decoded, by the hour in which they ended.
    #[serde(skip_serializing_if = "absent")]
    pub flows: u64,
    /// What was not used, by reason; also what carried no flow.
    #[serde(skip_serializing_if = "absent")]
    pub dropped: BTreeMap<Cow<'static, str>, Dropped>,
    /// What of `dropped` may have been flows.
    #[serde(skip_serializing_if = "absent")]
    pub lost: Dropped,
    /// Datagrams that never arrived, by the exporter's numbers (version 9, sFlow) or the kernel's count.
    #[serde(skip_serializing_if = "absent")]
    pub missing_datagrams: u64,
    /// Flow records that never arrived, by the exporter's numbers (version 5, IPFIX).
    #[serde(skip_serializing_if = "absent")]
    pub missing_records: u64,
    /// Jumps forward in the numbers.
    #[serde(skip_serializing_if = "absent")]
    pub gaps: u64,
    /// Jumps back: a restart, or datagrams out of order.
    #[serde(skip_serializing_if = "absent")]
    pub resets: u64,
    /// Intervals without traffic, as the source says (`NODATA` of AWS).
    #[serde(skip_serializing_if = "absent")]
    pub silent_intervals: u64,
    /// Intervals whose records the source lost, as it says (`SKIPDATA` of AWS).
    #[serde(skip_serializing_if = "absent")]
    pub lost_intervals: u64,
    /// How long those were together, in microseconds.
    #[serde(skip_serializing_if = "absent")]
    pub lost_us: u64,
    /// How far the exporter's clock was ahead of the receiver's at most, in microseconds.
    #[serde(skip_serializing_if = "absent")]
    pub clock_ahead_us: u64,
    /// How far it was behind at most.
    #[serde(skip_serializing_if = "absent")]
    pub clock_behind_us: u64,
    /// Flows by the sampling rate they were taken at: one packet in so many. Rates are rounded up, see [`rate_class`].
    #[serde(skip_serializing_if = "absent")]
    pub sampling: BTreeMap<u32, u64>,
    /// Unsampled flows by their packets: how many had 1, 2 to 3, 4 to 7, and so on by powers of two.
    #[serde(skip_serializing_if = "absent")]
    pub sizes: [u64; SIZE_CLASSES],
    /// First start and last end of a flow, or the only moments known; none when there is nothing.
    #[serde(skip_serializing_if = "absent")]
    pub span: Option<(Micros, Micros)>,
}

/// What was not counted is not written: most of a row mostly is.
fn absent<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Classes of [`Coverage::sizes`]; the last one has no upper end.
pub const SIZE_CLASSES: usize = 16;

/// The sampling rate that a rate is counted under: itself when it is a power of two or has one leading digit, else the
/// next higher one with one leading digit. Keeps hostile inputs from making a class of every number, and errs to the
/// coarse side.
pub const fn rate_class(rate: u32) -> u32 {
    if rate.is_power_of_two() || rate < 10 {
        return if rate == 0 { 1 } else { rate };
    }
    let unit = 10_u32.pow(rate.ilog10());
    rate.div_ceil(unit).saturating_mul(unit)
}

impl Coverage {
    /// Adds what another part of the same hour had.
    pub fn merge(&mut self, other: &Self) {
        macro_rules! sum { ($($field:ident),*) => { $(self.$field = self.$field.saturating_add(other.$field);)* } }
        sum!(received, bytes, flows, missing_datagrams, missing_records, gaps, resets);
        sum!(silent_intervals, lost_intervals, lost_us);
        for (reason, dropped) in &other.dropped {
            self.dropped.entry(reason.clone()).or_default().add(*dropped);
        }
        self.lost.add(other.lost);
        self.clock_ahead_us = self.clock_ahead_us.max(other.clock_ahead_us);
        self.clock_behind_us = self.clock_behind_us.max(other.clock_behind_us);
        for (rate, flows) in &other.sampling {
            let sum = self.sampling.entry(*rate).or_default();
            *sum = sum.saturating_add(*flows);
        }
        for (sum, more) in self.sizes.iter_mut().zip(other.sizes) {
            *sum = sum.saturating_add(more);
        }
        if let Some((from, to)) = other.span {
            self.note(from, to);
        }
    }

    /// Counts what was not used; `lost` when it may have been flows.
    pub fn drop(&mut self, reason: &'static str, dropped: Dropped, lost: bool) {
        match self.dropped.get_mut(reason) {
            Some(sum) => sum.add(dropped),
            None => drop(self.dropped.insert(Cow::Borrowed(reason), dropped)),
        }
        if lost {
            self.lost.add(dropped);
        }
    }

    /// Widens the span.
    pub fn note(&mut self, from: Micros, to: Micros) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    /// Whether anything was heard: also that there was nothing to say.
    pub const fn reported(&self) -> bool {
        self.received > 0 || self.flows > 0 || self.silent_intervals > 0
    }

    /// The coarsest sampling of the flows; 1 when none were sampled.
    pub fn sampling_worst(&self) -> u32 {
        self.sampling.keys().next_back().copied().unwrap_or(1)
    }

    /// The median sampling of the flows; 1 when none were sampled.
    pub fn sampling_typical(&self) -> u32 {
        let half = self.sampling.values().sum::<u64>().div_ceil(2);
        let mut below = 0;
        let median = self.sampling.iter().find(|(_, flows)| {
            below += **flows;
            below >= half
        });
        median.map_or(1, |(rate, _)| *rate)
    }
}

/// A row of the coverage of a lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow {
    /// The format that it came in, as `ringfence import` names it.
    pub source: Arc<str>,
    /// Who.
    pub exporter: Exporter,
    /// Start of the hour; 0 for what has no time.
    pub hour: Micros,
    /// What.
    pub coverage: Coverage,
}

/// Coverage by exporter and hour, of one import or of many of one source. Merging is commutative and associative; that
/// one import counts once is the lake's to see to, which replaces an import's rows when the import is repeated.
#[derive(Clone, Debug, Default)]
pub struct CoverageTable {
    index: HashMap<(Arc<str>, Micros), usize, FixedState>,
    cells: Vec<(Exporter, Micros, Coverage)>,
    /// The cell asked for last: datagrams of one exporter and rows of one hour come in runs.
    last: usize,
}

impl PartialEq for CoverageTable {
    fn eq(&self, other: &Self) -> bool {
        self.rows() == other.rows()
    }
}

impl CoverageTable {
    /// The row of an exporter at a moment, made if need be; that of [`UNATTRIBUTED`] when there are too many.
    pub fn at(&mut self, exporter: &Exporter, at: Micros) -> &mut Coverage {
        let index = self.cell(exporter, at);
        self.get_mut(index)
    }

    /// The place of an exporter's row, for [`CoverageTable::get_mut`]. It stays the same while the table lives.
    pub fn cell(&mut self, exporter: &Exporter, at: Micros) -> usize {
        let hour = at.div_euclid(HOUR_US).saturating_mul(HOUR_US);
        if let Some((known, known_hour, _)) = self.cells.get(self.last)
            && *known_hour == hour
            && (Arc::ptr_eq(&known.0, &exporter.0) || known == exporter)
        {
            return self.last;
        }
        let full = self.cells.len() >= ROWS_MAX;
        let key = (Arc::clone(&exporter.0), hour);
        self.last = match self.index.get(&key) {
            Some(index) => *index,
            None if full => return self.unattributed(),
            None => self.add(exporter.clone(), hour),
        };
        self.last
    }

    /// The place of what cannot be put to an exporter.
    pub fn unattributed(&mut self) -> usize {
        let key = (Arc::from(UNATTRIBUTED), 0);
        match self.index.get(&key) {
            Some(index) => *index,
            None => self.add(Exporter(key.0), 0),
        }
    }

    fn add(&mut self, exporter: Exporter, hour: Micros) -> usize {
        let index = self.cells.len();
        self.index.insert((Arc::clone(&exporter.0), hour), index);
        self.cells.push((exporter, hour, Coverage::default()));
        index
    }

    /// A row by its place. Panics when there is none, like a slice.
    pub fn get_mut(&mut self, index: usize) -> &mut Coverage {
        &mut self.cells[index].2
    }

    /// Counts the flows of a batch, by exporter and the hour in which they ended: how many, at which sampling, how large,
    /// from when to when. One pass, by runs of one exporter and hour.
    pub fn count_flows(&mut self, batch: &FlowBatch) {
        let nobody = Exporter(Arc::from("unknown"));
        let mut from = 0;
        while from < batch.len() {
            let exporter = batch.exporter[from];
            let hour = batch.end[from].div_euclid(HOUR_US).saturating_mul(HOUR_US);
            let rows = batch.exporter[from..].iter().zip(&batch.end[from..]);
            let same = |at: Micros| (at.wrapping_sub(hour) as u64) < HOUR_US as u64;
            let run = rows.take_while(|(known, end)| **known == exporter && same(**end)).count().max(1);
            let exporter = batch.exporters.get(exporter as usize).unwrap_or(&nobody);
            let cell = self.cell(exporter, hour);
            count_run(self.get_mut(cell), batch, from..from + run);
            from += run;
        }
    }

    /// Adds another table of the same source.
    pub fn merge(&mut self, other: &Self) {
        for (exporter, hour, coverage) in &other.cells {
            self.at(exporter, *hour).merge(coverage);
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Every row, by exporter and hour.
    pub fn rows(&self) -> Vec<(&Exporter, Micros, &Coverage)> {
        let mut rows: Vec<_> = self.cells.iter().map(|(who, hour, row)| (who, *hour, row)).collect();
        rows.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        rows
    }

    /// All rows as one.
    pub fn total(&self) -> Coverage {
        let mut total = Coverage::default();
        self.cells.iter().for_each(|(_, _, row)| total.merge(row));
        total
    }
}

fn count_run(row: &mut Coverage, batch: &FlowBatch, range: std::ops::Range<usize>) {
    row.flows += range.len() as u64;
    let times = batch.start[range.clone()].iter().zip(&batch.end[range.clone()]);
    let span = times.fold((Micros::MAX, Micros::MIN), |(a, b), (start, end)| (a.min(*start), b.max(*end)));
    row.note(span.0, span.1);
    let rates = &batch.sampling[range.clone()];
    // Mostly one rate throughout.
    for run in rates.chunk_by(|a, b| a == b) {
        let flows = row.sampling.entry(rate_class(run[0])).or_default();
        *flows = flows.saturating_add(run.len() as u64);
    }
    for at in range {
        if batch.sampling[at] <= 1 && batch.present[at] & FlowBatch::HAS_COUNTS != 0 {
            let class = (batch.packets[at].max(1).ilog2() as usize).min(SIZE_CLASSES - 1);
            row.sizes[class] += 1;
        }
    }
}

#[cfg(test)]
mod tests;
