//! Where a text format puts what it read.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use model::{Exporter, Flow, FlowBatch, FlowDetails, Micros};

use crate::ledger::{Ledger, Place};

/// The batch and the ledger, as one record sees them.
pub(crate) struct Sink<'a> {
    batch: &'a mut FlowBatch,
    ledger: &'a mut Ledger,
    interner: &'a mut Interner,
    place: Place,
    bytes: usize,
    header: bool,
    /// Whether the record was put to its observer.
    told: bool,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(
        batch: &'a mut FlowBatch,
        ledger: &'a mut Ledger,
        interner: &'a mut Interner,
        place: Place,
        bytes: usize,
    ) -> Self {
        Self { batch, ledger, interner, place, bytes, header: false, told: false }
    }

    /// A flow that an observer saw. A flow without a time is counted as such.
    pub(crate) fn push(&mut self, exporter: &str, mut flow: Flow) {
        if flow.start == 0 {
            self.ledger.summary.untimed += 1;
        }
        flow.exporter = self.interner.index(self.batch, exporter);
        if !self.told {
            self.told = true;
            self.ledger.line(&self.batch.exporters[flow.exporter as usize], flow.end, self.bytes);
        }
        self.batch.push(flow);
    }

    /// A flow with what only some sources say.
    pub(crate) fn push_with(&mut self, exporter: &str, flow: Flow, details: FlowDetails) {
        if details != FlowDetails::default() {
            self.batch.details.insert(self.batch.len() as u32, Box::new(details));
        }
        self.push(exporter, flow);
    }

    /// The observer says that it saw nothing for a time.
    pub(crate) fn silent_interval(&mut self, exporter: &str, from: Micros, to: Micros) {
        let exporter = Exporter(exporter.into());
        self.tell(&exporter, from);
        self.ledger.silent_interval(&exporter, from, to);
    }

    /// The observer says that it lost records of a time.
    pub(crate) fn lost_interval(&mut self, exporter: &str, from: Micros, to: Micros) {
        let exporter = Exporter(exporter.into());
        self.tell(&exporter, from);
        self.ledger.lost_interval(&exporter, from, to);
    }

    /// Puts the record to its observer, once.
    fn tell(&mut self, exporter: &Exporter, at: Micros) {
        if !self.told {
            self.told = true;
            self.ledger.line(exporter, at, self.bytes);
        }
    }

    /// The record is a header: it will be read again, before the rest, when a growing file is taken up where it was left.
    pub(crate) fn header(&mut self) {
        self.header = true;
    }

    pub(super) fn is_header(&self) -> bool {
        self.header
    }

    /// The record is sound but no flow: an event of another kind, an end that says nothing new.
    pub(crate) fn skip(&mut self, reason: &'static str) {
        self.ledger.drop_bytes(reason, self.bytes);
    }

    /// One of several parts of a record cannot be read; its other parts can.
    pub(crate) fn reject_part(&mut self, reason: &'static str, bytes: usize, why: String) {
        self.ledger.reject(reason, bytes, self.place, why);
    }
}

/// Exporters' indices, without asking the list for every row.
#[derive(Default)]
pub(crate) struct Interner {
    known: HashMap<Arc<str>, u32, FixedState>,
    last: (Arc<str>, u32),
}

impl Interner {
    fn index(&mut self, batch: &mut FlowBatch, name: &str) -> u32 {
        let is = |batch: &FlowBatch, index: u32| {
            batch.exporters.get(index as usize).is_some_and(|exporter| &*exporter.0 == name)
        };
        if &*self.last.0 == name && is(batch, self.last.1) {
            return self.last.1;
        }
        let index = match self.known.get(name) {
            Some(index) if is(batch, *index) => *index,
            _ => {
                let index = batch.intern_exporter(&Exporter(name.into()));
                self.known.insert(name.into(), index);
                index
            }
        };
        let name = batch.exporters.get(index as usize).map_or_else(|| name.into(), |e| Arc::clone(&e.0));
        self.last = (name, index);
        index
    }
}
