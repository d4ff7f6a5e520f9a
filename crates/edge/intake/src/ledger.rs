//! What was read, and what was lost, counted by reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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
    /// The first thousand rejected records.
    pub rejects: Vec<Reject>,
    /// Rejected records, listed or not.
    pub rejected: u64,
}

/// Input that was not used, for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Datagrams, sets, records or lines: whatever the reason speaks of.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
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
        let room = REJECTS_KEPT.saturating_sub(self.rejects.len());
        self.rejects.extend(other.rejects.iter().take(room).cloned());
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

/// A summary being written.
pub(crate) struct Ledger {
    pub(crate) summary: Summary,
    pub(crate) file: Arc<str>,
    on_reject: Option<OnReject>,
}

impl Ledger {
    pub(crate) fn new(file: Arc<str>, on_reject: Option<OnReject>) -> Self {
        Self { summary: Summary::default(), file, on_reject }
    }

    /// Counts input that is not used.
    pub(crate) fn drop_bytes(&mut self, reason: &'static str, bytes: usize) {
        self.drop_many(reason, 1, bytes);
    }

    /// Counts several records that are not used.
    pub(crate) fn drop_many(&mut self, reason: &'static str, count: usize, bytes: usize) {
        let dropped = self.summary.dropped.entry(reason).or_default();
        dropped.count += count as u64;
        dropped.bytes += bytes as u64;
    }

    /// Counts and lists a record that is not used.
    pub(crate) fn reject(&mut self, reason: &'static str, bytes: usize, place: Place, detail: String) {
        self.drop_bytes(reason, bytes);
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
    pub(crate) fn sequence_jump(&mut self, exporter: &Arc<str>, missing: Option<u32>) {
        if let Some(sequence) = self.summary.sequence(exporter) {
            match missing {
                Some(missing) => {
                    sequence.gaps += 1;
                    sequence.missing += u64::from(missing);
                }
                None => sequence.resets += 1,
            }
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
        ledger.sequence_jump(&"a".into(), Some(5));
        ledger.sequence_jump(&"a".into(), None);
        let mut total = ledger.summary.clone();
        total.merge(&ledger.summary);
        assert_eq!(total.flows, 6);
        assert_eq!(total.dropped_bytes(), 40);
        assert_eq!(total.sequences["a"], Sequence { gaps: 2, missing: 10, resets: 2 });
    }
}
