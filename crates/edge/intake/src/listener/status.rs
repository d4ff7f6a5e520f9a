//! What a listener has received and lost, for whoever asks while it runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use netset::Ip;

use crate::ledger::Summary;

/// Exporters that are counted apart; the others are counted together.
const EXPORTERS_KEPT: usize = 1_000;

/// What came from one exporter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// UDP datagrams, or messages of a stream.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flows in them, those of sets that had waited for a template included.
    pub flows: u64,
}

/// What a listener received and lost so far.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    /// What was decoded and what was not used, by reason; [`Summary::packets`] counts datagrams as received.
    pub summary: Summary,
    /// The first thousand exporters.
    pub exporters: BTreeMap<Ip, Heard>,
    /// All other exporters together.
    pub others: Heard,
    /// Datagrams that the kernel dropped because we were too slow for its buffer.
    pub kernel_drops: u64,
    /// Templates remembered now, each under its port and under its exporter.
    pub templates: usize,
    /// Bytes of sets that wait for their template now.
    pub pending_bytes: usize,
    /// What the kernel keeps for the sockets while we are busy, as it counts (about twice what fits).
    pub receive_buffer_bytes: usize,
    /// TCP connections now.
    pub connections: usize,
    /// TCP connections so far.
    pub connections_total: u64,
    /// What to remember for a restart, by thread: see [`Listener::open`](super::Listener::open).
    pub states: Vec<Vec<u8>>,
}

impl Reception {
    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) {
        self.summary.merge(&other.summary);
        for (exporter, count) in &other.exporters {
            self.exporter(*exporter).add(count);
        }
        self.others.add(&other.others);
        self.kernel_drops += other.kernel_drops;
        self.templates += other.templates;
        self.pending_bytes += other.pending_bytes;
        self.receive_buffer_bytes += other.receive_buffer_bytes;
        self.connections += other.connections;
        self.connections_total += other.connections_total;
        self.states.extend(other.states.iter().cloned());
    }

    /// Where an exporter is counted.
    pub(super) fn exporter(&mut self, exporter: Ip) -> &mut Heard {
        if self.exporters.len() >= EXPORTERS_KEPT && !self.exporters.contains_key(&exporter) {
            return &mut self.others;
        }
        self.exporters.entry(exporter).or_default()
    }
}

impl Heard {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.flows += other.flows;
    }
}

/// A thread's status as it last said.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Reception>);

impl Shared {
    pub(super) fn read(&self) -> Reception {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn write(&self, status: &Reception) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(status);
    }
}
