//! Flows wait here by the hour until there are enough of them, or the import ends.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use model::{FlowBatch, Micros};

use crate::encode::{self, Rows};
use crate::error::LakeError;
use crate::layout::{HOUR_US, Relation};
use crate::part::{Content, Part};
use crate::schema::ROW_GROUP_ROWS;

/// Flows that wait at most: 118 bytes each, 62 MB.
pub(crate) const SPOOL_ROWS: usize = 1 << 19;

/// Hours that wait at most. An hour with a single flow costs 2 kB, and hostile times are all over the calendar.
const HOURS_MAX: usize = 4_096;
/// When more hours than a month has are written at once, those with few flows share files: a quiet year should not make
/// nine thousand of them, nor should a hostile hour.
const SPREAD_HOURS: usize = 768;
/// Flows that make a file of their own worth while even then.
const FEW_FLOWS: usize = 1_024;

/// Flows by hour and format.
#[derive(Default)]
pub(crate) struct FlowSpool {
    hours: BTreeMap<(Micros, &'static str), Waiting>,
    rows: usize,
    /// The hour that the latest flow belongs to.
    latest: Option<(Micros, &'static str)>,
}

struct Waiting {
    batch: FlowBatch,
    /// Whether no flow starts before the one above it.
    sorted: bool,
}

impl FlowSpool {
    /// Takes a batch; what no longer fits is written, and `written` gets the files.
    pub(crate) fn append(
        &mut self,
        batch: &FlowBatch,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        let mut from = 0;
        while from < batch.len() {
            let hour = batch.start[from].div_euclid(HOUR_US);
            let room = (SPOOL_ROWS - self.rows).max(1).min(batch.len() - from);
            // A subtraction and a comparison, where a division for each flow would be felt.
            let first = hour.wrapping_mul(HOUR_US);
            let same = |at: &Micros| (at.wrapping_sub(first) as u64) < HOUR_US as u64;
            let length = batch.start[from..from + room].iter().take_while(|at| same(at)).count();
            let key = (hour, batch.source);
            let waiting = self.hours.entry(key).or_insert_with(|| Waiting::new(batch.source));
            waiting.append(batch, from..from + length);
            self.rows += length;
            self.latest = Some(key);
            from += length;
            if self.rows >= SPOOL_ROWS || self.hours.len() >= HOURS_MAX {
                self.make_room(root, name, written)?;
            }
        }
        Ok(())
    }

    /// Writes every hour but the latest: flows come in the order of time more often than not, so that hour is still
    /// growing. Writes it too when it is most of what waits.
    fn make_room(
        &mut self,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        let latest = self.latest.and_then(|key| Some((key, self.hours.remove(&key)?)));
        self.finish(root, name, written)?;
        let Some((key, waiting)) = latest else { return Ok(()) };
        if waiting.batch.len() > SPOOL_ROWS / 2 {
            written.push(waiting.write(root, name())?);
        } else {
            self.rows = waiting.batch.len();
            self.hours.insert(key, waiting);
        }
        Ok(())
    }

    /// Writes all that waits.
    pub(crate) fn finish(
        &mut self,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        self.rows = 0;
        let hours = std::mem::take(&mut self.hours);
        let spread = hours.len() > SPREAD_HOURS;
        let mut shared: BTreeMap<&'static str, Waiting> = BTreeMap::new();
        for ((_, source), waiting) in hours {
            if !spread || waiting.batch.len() >= FEW_FLOWS {
                written.push(waiting.write(root, name())?);
                continue;
            }
            let file = shared.entry(source).or_insert_with(|| Waiting::new(source));
            file.append(&waiting.batch, 0..waiting.batch.len());
            file.sorted &= waiting.sorted;
            if file.batch.len() >= ROW_GROUP_ROWS {
                let full = std::mem::replace(file, Waiting::new(source));
                written.push(full.write(root, name())?);
            }
        }
        for waiting in shared.into_values().filter(|waiting| !waiting.batch.is_empty()) {
            written.push(waiting.write(root, name())?);
        }
        Ok(())
    }
}

impl Waiting {
    fn new(source: &'static str) -> Self {
        Self { batch: FlowBatch::new(source), sorted: true }
    }

    fn append(&mut self, from: &FlowBatch, range: Range<usize>) {
        let to = &mut self.batch;
        let (base, first) = (to.len() as u32, range.start as u32);
        let before = to.start.last().copied().unwrap_or(Micros::MIN);
        let new = &from.start[range.clone()];
        self.sorted = self.sorted && new.first().is_none_or(|at| *at >= before) && new.is_sorted();
        macro_rules! extend {
            ($($column:ident),*) => { $(to.$column.extend_from_slice(&from.$column[range.clone()]);)* };
        }
        extend!(
            start,
            end,
            src,
            dst,
            protocol,
            src_port,
            dst_port,
            tcp_flags,
            packets,
            bytes,
            reverse_packets,
            reverse_bytes,
            sampling,
            verdict,
            direction,
            client,
            client_confidence,
            present
        );
        let remap: Vec<u32> = from.exporters.iter().map(|exporter| to.intern_exporter(exporter)).collect();
        let renamed = |index: &u32| remap.get(*index as usize).copied().unwrap_or(u32::MAX);
        to.exporter.extend(from.exporter[range.clone()].iter().map(renamed));
        let details = from.details.range(first..range.end as u32);
        to.details.extend(details.map(|(row, details)| (base + row - first, details.clone())));
    }

    fn write(self, root: &Path, name: String) -> Result<Part, LakeError> {
        let Self { batch, sorted } = self;
        let order: Option<Vec<u32>> = (!sorted).then(|| {
            let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
            rows.sort_unstable_by_key(|row| (batch.start[*row as usize], *row));
            rows
        });
        let starts = batch.start.iter().copied();
        let (from, to) = (starts.clone().min().unwrap_or(0), starts.max().unwrap_or(0));
        let mut pieces = (0..batch.len()).step_by(ROW_GROUP_ROWS).map(|at| {
            let range = at..(at + ROW_GROUP_ROWS).min(batch.len());
            encode::flows(&batch, &Rows { order: order.as_deref(), range })
        });
        Part::write(root, Content { relation: Relation::Flows, name, from, to, pieces: &mut pieces })
    }
}
