//! The thread that stores: a portion of flows becomes one transaction of the lake.
//!
//! The lake's lock is held for the time of a transaction, so that others can write in between. A portion that cannot be
//! stored, because the disk is full or somebody else writes, is kept and tried again: meanwhile the queue fills, and the
//! listeners hold their senders back or count what the kernel drops.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::Arc;
use std::time::{Duration, Instant};

use converse::{Rollup, ServiceTable};
use lake::{Begun, HOUR_US, Lake, LakeError, SourceIdentity};
use model::{CoverageTable, FlowBatch, Micros};

use crate::output::grouped;

/// How long to wait for another writer before it is looked whether to stop, and how long at the end.
const PATIENCE: Duration = Duration::from_secs(1);
const LAST_PATIENCE: Duration = Duration::from_secs(60);
/// Between attempts to store on a disk that refuses.
const AGAIN: Duration = Duration::from_secs(2);

/// Flows, and what was lost beside them, to be stored together.
#[derive(Default)]
pub(super) struct Portion {
    /// One batch a format.
    batches: Vec<FlowBatch>,
    coverage: CoverageTable,
    /// What is to be known together with the flows, by kind and key: how far a file was read.
    documents: BTreeMap<(&'static str, String), serde_json::Value>,
}

impl Portion {
    pub(super) fn add(&mut self, batch: FlowBatch) {
        match self.batches.iter_mut().find(|held| held.source == batch.source) {
            Some(held) => held.append(&batch),
            None => self.batches.push(batch),
        }
    }

    pub(super) fn cover(&mut self, coverage: &CoverageTable) {
        self.coverage.merge(coverage);
    }

    pub(super) fn remember(&mut self, kind: &'static str, key: &str, body: serde_json::Value) {
        self.documents.insert((kind, key.to_owned()), body);
    }

    pub(super) fn flows(&self) -> usize {
        self.batches.iter().map(FlowBatch::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows() == 0 && self.coverage.rows().is_empty()
    }
}

/// What was stored, for whoever asks.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) flows: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) failures: AtomicU64,
    /// Time spent on commits.
    pub(super) commit_us: AtomicU64,
    /// When the last one was done; 0 before.
    pub(super) last_us: AtomicU64,
    /// Flows that are being stored.
    pub(super) storing: AtomicU64,
    /// No more attempts than one at what cannot be stored.
    pub(super) closing: AtomicBool,
}

pub(super) struct Store {
    lake: Lake,
    /// What the portions are called.
    name: String,
    started: Micros,
    sequence: u64,
    table: ServiceTable,
    progress: Arc<Progress>,
}

impl Store {
    pub(super) fn new(lake: Lake, name: String, started: Micros, progress: Arc<Progress>) -> Self {
        Self { lake, name, started, sequence: 0, table: ServiceTable::new(), progress }
    }

    /// Stores portions until no more come.
    ///
    /// # Errors
    /// The last failure, when there was no more time to try again.
    pub(super) fn run(mut self, portions: &Receiver<Portion>) -> anyhow::Result<()> {
        for mut portion in portions {
            self.progress.storing.store(portion.flows() as u64, Ordering::Relaxed);
            for batch in &mut portion.batches {
                self.table.learn(batch);
                converse::orient(batch, &self.table);
            }
            self.store(&portion)?;
            self.progress.storing.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Stores a portion: from here on no crash loses it.
    fn store(&mut self, portion: &Portion) -> anyhow::Result<()> {
        let mut said = false;
        loop {
            let closing = self.progress.closing.load(Ordering::Relaxed);
            let begun = Instant::now();
            let Err(error) = self.attempt(portion, if closing { LAST_PATIENCE } else { PATIENCE }) else {
                self.note(begun.elapsed());
                return Ok(());
            };
            self.progress.failures.fetch_add(1, Ordering::Relaxed);
            if closing {
                let flows = grouped(portion.flows() as u64);
                return Err(anyhow::Error::new(error).context(format!("{flows} flows were not stored")));
            }
            if !said {
                eprintln!("warning: not stored yet, and tried again until it can be: {error}");
                said = true;
            }
            if !matches!(error, LakeError::Busy { .. }) {
                std::thread::sleep(AGAIN);
            }
        }
    }

    fn attempt(&mut self, portion: &Portion, patience: Duration) -> Result<(), LakeError> {
        self.lake.write_again(patience, |_| {})?;
        let outcome = self.commit(portion);
        self.lake.let_others_write();
        outcome
    }

    fn commit(&mut self, portion: &Portion) -> Result<(), LakeError> {
        let format = match portion.batches.as_slice() {
            [] => "netflow",
            [one] => one.source,
            _ => "collect",
        };
        let identity = SourceIdentity::of_stream(format, &self.name, self.started, self.sequence);
        // An attempt that seemed to fail may have been accepted: then there is nothing left to do.
        if let Begun::New(mut transaction) = self.lake.begin_import(identity)? {
            for batch in &portion.batches {
                let mut rollup = Rollup::new(HOUR_US);
                rollup.add(batch);
                transaction.append(batch)?;
                transaction.append_rollups(&rollup.drain())?;
            }
            transaction.append_coverage(&portion.coverage);
            for ((kind, key), body) in &portion.documents {
                transaction.put_document(kind, key, body);
            }
            transaction.commit()?;
        }
        let flows = portion.flows() as u64;
        let all = self.progress.flows.fetch_add(flows, Ordering::Relaxed) + flows;
        if flows > 0 {
            eprintln!("stored {} flows ({} in all)", grouped(flows), grouped(all));
        }
        self.sequence += 1;
        Ok(())
    }

    fn note(&self, took: Duration) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.progress.commits.fetch_add(1, Ordering::Relaxed);
        self.progress.commit_us.fetch_add(micros(took), Ordering::Relaxed);
        self.progress.last_us.store(super::now().cast_unsigned(), Ordering::Relaxed);
    }
}
