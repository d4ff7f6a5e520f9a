//! What was read, and what was lost, counted by reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{Coverage, CoverageTable, Dropped, Exporter, Micros};

/// The longest list of rejects that is kept; beyond it they are only counted and given to the callback.
const REJECTS_KEPT: usize = 1_000;

/// How many exporters have their sequence numbers reported.
const SEQUENCES_KEPT: usize = 10_000;

/// A data set whose template never came: any capture that begins in the middle has some.
pub(crate) const NO_TEMPLATE: &str = "set without a template";

/// What was read so far, and every byte that was not used, by reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Bytes taken from the input.
    pub bytes_read: u64,
    /// Captured packets looked at, for captures.
    pub packets: u64,
    /// Exporter datagrams, whatever could be read of them; lines, for text formats.
    pub datagrams: u64,
    /// Flows handed out.
    pub flows: u64,
    /// Records that describe the exporter rather than traffic.
    pub options_records: u64,
    /// Template definitions received, repetitions included.
    pub templates: u64,
    /// Intervals for which the source says that there was no traffic (`NODATA` of AWS).
    pub silent_intervals: u64,
    /// Intervals for which the source says that it lost records (`SKIPDATA` of AWS): coverage is lower than it looks.
    pub lost_intervals: u64,
    /// Flows whose source gave no time; they stand at 1970-01-01.
    pub untimed: u64,
    /// What was not used, by reason.
    pub dropped: BTreeMap<&'static str, Dropped>,
    /// What sequence numbers say was lost on the way, by exporter.
    pub sequences: BTreeMap<Arc<str>, Sequence>,
    /// Exporters whose clock was wrong, or that started anew.
    pub exporters: BTreeMap<Arc<str>, ExporterNotes>,
    /// The same as dropped and missing by exporter and hour, as far as it could be put to one; [`Summary::coverage`] completes it.
    pub attributed: CoverageTable,
    /// The first thousand rejected records.
    pub rejects: Vec<Reject>,
    /// Rejected records, listed or not.
    pub rejected: u64,
}

/// What was noticed of an exporter's clock and life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExporterNotes {
    /// What was last added to its times, in microseconds, because its clock was that far behind the receiver's.
    pub clock_shift_us: i64,
    /// How many datagrams had their times moved.
    pub shifted_datagrams: u64,
    /// How often it started anew; its templates were forgotten each time.
    pub restarts: u64,
    /// Records with times that cannot be, in sets whose padding is not zero: most likely they were read by a template of
    /// the same number that means something else.
    pub unlikely_records: u64,
}

/// What an exporter's sequence numbers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Jumps forward: something was lost before the datagram.
    pub gaps: u64,
    /// What is missing in the exporter's own unit: flows for version 5, datagrams for version 9, records for IPFIX.
    pub missing: u64,
    /// Jumps back: a restart, or datagrams out of order.
    pub resets: u64,
}

/// Where in the input a record was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Bytes from the start of the input.
    Offset(u64),
    /// Line number, from 1.
    Line(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(at) => write!(f, "byte {at}"),
            Self::Line(at) => write!(f, "line {at}"),
        }
    }
}

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The input's label.
    pub file: Arc<str>,
    /// Where.
    pub place: Place,
    /// What was wrong with it.
    pub reason: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.place, self.reason)
    }
}

impl Summary {
    /// Bytes that were not used, over all reasons.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.bytes).sum()
    }

    /// Rejected records that a sound input does not have: corrupt templates, lengths that do not fit, lines that are no
    /// records. Sets without a template are not among them.
    pub fn malformed(&self) -> u64 {
        let waiting = self.dropped.get(NO_TEMPLATE).map_or(0, |dropped| dropped.count);
        self.rejected.saturating_sub(waiting)
    }

    /// What was received and lost by exporter and hour. What could not be put to an exporter stands in a row of its own,
    /// so that the rows add up to the summary; flows are not counted here, see [`CoverageTable::count_flows`].
    pub fn coverage(&self) -> CoverageTable {
        let mut table = self.attributed.clone();
        let total = table.total();
        let received = self.datagrams.saturating_sub(total.received);
        let bytes = self.bytes_read.saturating_sub(total.bytes);
        if received > 0 || bytes > 0 {
            let rest = table.unattributed();
            let rest = table.get_mut(rest);
            rest.received = rest.received.saturating_add(received);
            rest.bytes = rest.bytes.saturating_add(bytes);
        }
        table
    }

    /// Adds another input's summary to this one.
    pub fn merge(&mut self, other: &Self) {
        self.bytes_read += other.bytes_read;
        self.packets += other.packets;
        self.datagrams += other.datagrams;
        self.flows += other.flows;
        self.options_records += other.options_records;
        self.templates += other.templates;
        self.silent_intervals += other.silent_intervals;
        self.lost_intervals += other.lost_intervals;
        self.untimed += other.untimed;
        self.rejected += other.rejected;
        for (reason, dropped) in &other.dropped {
            let sum = self.dropped.entry(reason).or_default();
            sum.count += dropped.count;
            sum.bytes += dropped.bytes;
        }
        for (exporter, sequence) in &other.sequences {
            if let Some(sum) = self.sequence(exporter) {
                sum.gaps += sequence.gaps;
                sum.missing += sequence.missing;
                sum.resets += sequence.resets;
            }
        }
        for (exporter, notes) in &other.exporters {
            if let Some(sum) = self.notes(exporter) {
                if notes.shifted_datagrams > 0 {
                    sum.clock_shift_us = notes.clock_shift_us;
                }
                sum.shifted_datagrams += notes.shifted_datagrams;
                sum.restarts += notes.restarts;
                sum.unlikely_records += notes.unlikely_records;
            }
        }
        self.attributed.merge(&other.attributed);
        let room = REJECTS_KEPT.saturating_sub(self.rejects.len());
        self.rejects.extend(other.rejects.iter().take(room).cloned());
    }

    fn notes(&mut self, exporter: &Arc<str>) -> Option<&mut ExporterNotes> {
        if self.exporters.len() >= SEQUENCES_KEPT && !self.exporters.contains_key(exporter) {
            return None;
        }
        Some(self.exporters.entry(Arc::clone(exporter)).or_default())
    }

    fn sequence(&mut self, exporter: &Arc<str>) -> Option<&mut Sequence> {
        if self.sequences.len() >= SEQUENCES_KEPT && !self.sequences.contains_key(exporter) {
            return None;
        }
        Some(self.sequences.entry(Arc::clone(exporter)).or_default())
    }
}

/// Hears of every reject as it happens.
pub(crate) type OnReject = Box<dyn FnMut(&Reject) + Send>;

/// What a sequence number says that was not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    /// So many datagrams are missing.
    Datagrams(u32),
    /// So many flow records are missing.
    Records(u32),
    /// Back: a restart, or datagrams out of order.
    Back,
}

/// A summary being written.
///
/// What is dropped, rejected or missing is put to the exporter and hour that [`Ledger::datagram`] named last, until
/// [`Ledger::nobody`]. Sources of lines call [`Ledger::line`] for each line that they understood: what they did not is
/// nobody's.
pub(crate) struct Ledger {
    pub(crate) summary: Summary,
    pub(crate) file: Arc<str>,
    on_reject: Option<OnReject>,
    /// The row of the exporter whose datagram is being read.
    current: Option<usize>,
}

impl Ledger {
    pub(crate) fn new(file: Arc<str>, on_reject: Option<OnReject>) -> Self {
        Self { summary: Summary::default(), file, on_reject, current: None }
    }

    /// Counts a datagram of an exporter, sent at a time; what is counted from now on belongs to it. The datagram's flows
    /// are not counted here but from the batch, by whoever takes that.
    pub(crate) fn datagram(&mut self, exporter: &Exporter, at: Micros, bytes: usize) {
        self.of(exporter, at);
        let row = self.row();
        row.received += 1;
        row.bytes += bytes as u64;
        row.note(at, at);
    }

    /// Adds bytes to the datagram at hand, for those whose length shows late.
    pub(crate) fn more_bytes(&mut self, bytes: usize) {
        if let Some(index) = self.current {
            self.summary.attributed.get_mut(index).bytes += bytes as u64;
        }
    }

    /// What is counted from now on belongs to an exporter and a time.
    pub(crate) fn of(&mut self, exporter: &Exporter, at: Micros) {
        self.current = Some(self.summary.attributed.cell(exporter, at));
    }

    /// What is counted from now on belongs to nobody that is known.
    pub(crate) fn nobody(&mut self) {
        self.current = None;
    }

    /// Counts a line (or record of a log) that was understood, with who observed it and when.
    pub(crate) fn line(&mut self, exporter: &Exporter, at: Micros, bytes: usize) {
        let row = self.summary.attributed.at(exporter, at);
        row.received += 1;
        row.bytes += bytes as u64;
    }

    /// Notes that an observer says that it saw nothing for a time.
    pub(crate) fn silent_interval(&mut self, exporter: &Exporter, from: Micros, to: Micros) {
        self.summary.silent_intervals += 1;
        let row = self.summary.attributed.at(exporter, from);
        row.silent_intervals += 1;
        row.note(from, to.max(from));
    }

    /// Notes that an observer says that it lost records of a time.
    pub(crate) fn lost_interval(&mut self, exporter: &Exporter, from: Micros, to: Micros) {
        self.summary.lost_intervals += 1;
        let row = self.summary.attributed.at(exporter, from);
        row.lost_intervals += 1;
        row.lost_us = row.lost_us.saturating_add(to.saturating_sub(from).max(0).cast_unsigned());
        row.note(from, to.max(from));
    }

    /// Compares the exporter's clock with the receiver's, when both are known (not 0).
    pub(crate) fn clock(&mut self, exporter: Micros, receiver: Micros) {
        if exporter == 0 || receiver == 0 {
            return;
        }
        let (row, ahead) = (self.row(), exporter.saturating_sub(receiver));
        let side = if ahead > 0 { &mut row.clock_ahead_us } else { &mut row.clock_behind_us };
        *side = (*side).max(ahead.unsigned_abs());
    }

    /// Notes that the times of a datagram were moved.
    pub(crate) fn clock_shifted(&mut self, exporter: &Exporter, by: Micros) {
        if let Some(notes) = self.summary.notes(&exporter.0) {
            notes.clock_shift_us = by;
            notes.shifted_datagrams += 1;
        }
    }

    /// Notes records that were most likely read by the wrong template.
    pub(crate) fn unlikely(&mut self, exporter: &Exporter, records: u64) {
        if let Some(notes) = self.summary.notes(&exporter.0) {
            notes.unlikely_records += records;
        }
    }

    /// Notes that an exporter started anew.
    pub(crate) fn restarted(&mut self, exporter: &Exporter) {
        if let Some(notes) = self.summary.notes(&exporter.0) {
            notes.restarts += 1;
        }
    }

    fn row(&mut self) -> &mut Coverage {
        let index = match self.current {
            Some(index) => index,
            None => self.summary.attributed.unattributed(),
        };
        self.summary.attributed.get_mut(index)
    }

    /// Counts input that is not used and carries no flows.
    pub(crate) fn drop_bytes(&mut self, reason: &'static str, bytes: usize) {
        self.drop_many(reason, 1, bytes);
    }

    /// Counts several records that are not used and are no flows.
    pub(crate) fn drop_many(&mut self, reason: &'static str, count: usize, bytes: usize) {
        self.unused(reason, count, bytes, false);
    }

    /// Counts input that is not used and may have been flows: it lowers the coverage.
    pub(crate) fn lose(&mut self, reason: &'static str, count: usize, bytes: usize) {
        self.unused(reason, count, bytes, true);
    }

    fn unused(&mut self, reason: &'static str, count: usize, bytes: usize, lost: bool) {
        let dropped = Dropped { count: count as u64, bytes: bytes as u64 };
        self.summary.dropped.entry(reason).or_default().add(dropped);
        self.row().drop(reason, dropped, lost);
    }

    /// Counts and lists a record that cannot be used: it lowers the coverage by its bytes.
    pub(crate) fn reject(&mut self, reason: &'static str, bytes: usize, place: Place, detail: String) {
        self.lose(reason, 1, bytes);
        self.summary.rejected += 1;
        let keep = self.summary.rejects.len() < REJECTS_KEPT;
        if !keep && self.on_reject.is_none() {
            return;
        }
        let reject = Reject { file: Arc::clone(&self.file), place, reason: detail };
        if let Some(hear) = &mut self.on_reject {
            hear(&reject);
        }
        if keep {
            self.summary.rejects.push(reject);
        }
    }

    /// Notes that a sequence number jumped.
    pub(crate) fn sequence_jump(&mut self, exporter: &Exporter, jump: Jump) {
        let row = self.row();
        let missing = match jump {
            Jump::Datagrams(missing) => {
                row.missing_datagrams += u64::from(missing);
                Some(missing)
            }
            Jump::Records(missing) => {
                row.missing_records += u64::from(missing);
                Some(missing)
            }
            Jump::Back => None,
        };
        row.gaps += u64::from(missing.is_some());
        row.resets += u64::from(missing.is_none());
        if let Some(sequence) = self.summary.sequence(&exporter.0) {
            sequence.gaps += u64::from(missing.is_some());
            sequence.missing += u64::from(missing.unwrap_or(0));
            sequence.resets += u64::from(missing.is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_bounded_and_heard() {
        let heard = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = Arc::clone(&heard);
        let hear: OnReject = Box::new(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        let mut ledger = Ledger::new("f".into(), Some(hear));
        for line in 0..3_000 {
            ledger.reject("bad line", 10, Place::Line(line), String::from("why"));
        }
        assert_eq!(ledger.summary.rejects.len(), REJECTS_KEPT);
        assert_eq!(ledger.summary.rejected, 3_000);
        assert_eq!(heard.load(std::sync::atomic::Ordering::Relaxed), 3_000);
        assert_eq!(ledger.summary.dropped["bad line"], Dropped { count: 3_000, bytes: 30_000 });
        assert_eq!(ledger.summary.rejects[0].to_string(), "f: line 0: why");
    }

    #[test]
    fn summaries_add_up() {
        let mut ledger = Ledger::new("f".into(), None);
        ledger.summary.flows = 3;
        ledger.drop_many("x", 2, 20);
        let exporter = Exporter("a".into());
        ledger.datagram(&exporter, 3_600_000_000, 100);
        ledger.sequence_jump(&exporter, Jump::Records(5));
        ledger.sequence_jump(&exporter, Jump::Back);
        let mut total = ledger.summary.clone();
        total.merge(&ledger.summary);
        assert_eq!(total.flows, 6);
        assert_eq!(total.dropped_bytes(), 40);
        assert_eq!(total.sequences["a"], Sequence { gaps: 2, missing: 10, resets: 2 });
        let rows = total.attributed.rows();
        assert_eq!((&*rows[0].0.0, rows[0].2.dropped["x"].bytes), (model::UNATTRIBUTED, 40));
        assert_eq!((rows[1].1, rows[1].2.missing_records, rows[1].2.received), (3_600_000_000, 10, 2));
    }

    #[test]
    fn what_is_lost_is_put_to_whose_it_was() {
        let mut ledger = Ledger::new("f".into(), None);
        let (a, b) = (Exporter("a".into()), Exporter("b".into()));
        ledger.lose("nobody's", 1, 7);
        ledger.datagram(&a, 10, 100);
        ledger.clock(10_000_000, 4_000_000);
        ledger.clock(0, 4_000_000);
        ledger.drop_bytes("padding", 4);
        ledger.reject("bad set", 30, Place::Offset(0), String::new());
        ledger.nobody();
        ledger.line(&b, 20, 50);
        ledger.lost_interval(&b, 0, 60_000_000);
        ledger.silent_interval(&b, 60_000_000, 0);
        ledger.reject("bad line", 9, Place::Line(3), String::new());
        ledger.summary.datagrams = 3;
        ledger.summary.bytes_read = 200;
        let table = ledger.summary.coverage();
        let rows = table.rows();
        let of = |name: &str| rows.iter().find(|row| &*row.0.0 == name).map(|row| row.2).unwrap();
        let (nobody, a, b) = (of(model::UNATTRIBUTED), of("a"), of("b"));
        assert_eq!((nobody.received, nobody.bytes, nobody.lost), (1, 50, Dropped { count: 2, bytes: 16 }));
        assert_eq!((a.received, a.bytes, a.lost), (1, 100, Dropped { count: 1, bytes: 30 }));
        assert_eq!((a.clock_ahead_us, a.clock_behind_us, a.dropped.len()), (6_000_000, 0, 2));
        assert_eq!((b.received, b.lost_us, b.lost_intervals, b.silent_intervals), (1, 60_000_000, 1, 1));
        let total = table.total();
        assert_eq!((total.received, total.bytes), (3, 200), "the rows add up to the summary");
    }
}
