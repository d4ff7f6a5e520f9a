//! One thread's decoder, batch and counts.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{FlowBatch, Micros};
use netset::Ip;

use super::ListenerOptions;
use super::access::{Access, Allowed};
use super::kind::{Arrival, ListenKind, Protocol};
use super::queue::{Delivery, Outlet};
use super::status::{Reception, Shared};
use crate::error::IntakeError;
use crate::ledger::{Ledger, Summary};
use crate::source::BATCH_ROWS;
use crate::sources::netflow::StreamDecoder;

/// What the kernel could not keep for us; the remedy is a larger `net.core.rmem_max` or a faster disk.
pub(super) const KERNEL: &str = "datagram dropped by the kernel, receive buffer full";
/// Who is not on the list is not listened to.
pub(super) const STRANGER: &str = "sender is not among the allowed exporters";

/// How often the status is written, and the list of exporters read.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often the decoder is asked what to remember: it may be some megabytes.
const REMEMBER: Duration = Duration::from_secs(5);

/// Decodes what a thread receives, and hands the flows on.
pub(super) struct Worker {
    decoder: Box<dyn Protocol>,
    ledger: Ledger,
    batch: FlowBatch,
    /// When the oldest flow of the batch may have come.
    since: Instant,
    published: Instant,
    status: Reception,
    allowed: Arc<Allowed>,
    access: Arc<Access>,
    outlet: Outlet,
    shared: Arc<Shared>,
    pub(super) options: ListenerOptions,
    /// Nobody takes flows any more.
    pub(super) abandoned: bool,
    /// Datagrams and bytes whose coverage was handed over.
    covered: (u64, u64),
    /// When the decoder was last asked what to remember, and how much it had learnt by then.
    remembered: (Instant, u64),
}

impl Worker {
    pub(super) fn new(
        kind: &'static ListenKind,
        label: &str,
        options: ListenerOptions,
        access: Arc<Access>,
        outlet: Outlet,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            decoder: (kind.decoder)(options.limits),
            ledger: Ledger::new(label.into(), None),
            batch: FlowBatch::new(kind.source),
            since: Instant::now(),
            published: Instant::now(),
            status: Reception::default(),
            allowed: access.get(),
            access,
            outlet,
            shared,
            options,
            abandoned: false,
            covered: (0, 0),
            remembered: (Instant::now(), 0),
        }
    }

    pub(super) fn label(&self) -> &str {
        &self.ledger.file
    }

    pub(super) fn restore(&mut self, state: &[u8]) {
        self.decoder.restore(state);
    }

    /// Decodes one datagram. Senders that are not allowed are counted, and nothing else.
    pub(super) fn take(&mut self, exporter: Ip, port: u16, received: Micros, bytes: &[u8]) {
        let offset = self.ledger.summary.bytes_read;
        self.ledger.summary.packets += 1;
        self.ledger.summary.bytes_read += bytes.len() as u64;
        if !self.allowed.allows(exporter) {
            self.ledger.nobody();
            self.ledger.drop_bytes(STRANGER, bytes.len());
            return;
        }
        let (datagrams, rows) = (self.ledger.summary.datagrams, self.batch.len());
        let arrival = Arrival { exporter, port, received, offset, bytes };
        self.decoder.decode(arrival, &mut self.batch, &mut self.ledger);
        self.heard(exporter, datagrams, rows, bytes.len());
    }

    /// Decodes a piece of a stream; `false` when it can no longer be read.
    pub(super) fn take_stream(&mut self, exporter: Ip, stream: &mut StreamDecoder, bytes: &[u8]) -> bool {
        self.ledger.summary.bytes_read += bytes.len() as u64;
        let (datagrams, rows) = (self.ledger.summary.datagrams, self.batch.len());
        let outcome = stream.take(bytes, now(), &mut self.batch, &mut self.ledger);
        self.heard(exporter, datagrams, rows, bytes.len());
        outcome.is_ok()
    }

    /// A stream has ended: what had begun in it is lost.
    pub(super) fn end_stream(&mut self, stream: &mut StreamDecoder) {
        stream.end(&mut self.ledger);
    }

    fn heard(&mut self, exporter: Ip, datagrams_before: u64, rows_before: usize, bytes: usize) {
        let heard = self.status.exporter(exporter);
        heard.datagrams += self.ledger.summary.datagrams - datagrams_before;
        heard.bytes += bytes as u64;
        heard.flows += (self.batch.len() - rows_before) as u64;
        if self.batch.len() >= BATCH_ROWS {
            self.hand_over();
        }
    }

    /// Whether an exporter may connect.
    pub(super) fn admits(&mut self, exporter: Ip) -> bool {
        self.allowed = self.access.get();
        let allowed = self.allowed.allows(exporter);
        if !allowed {
            self.ledger.nobody();
            self.ledger.drop_bytes(STRANGER, 0);
        }
        allowed
    }

    /// Counts a connection that is not read, or no longer.
    pub(super) fn refuse(&mut self, reason: &'static str) {
        self.ledger.nobody();
        self.ledger.drop_bytes(reason, 0);
    }

    /// Changes the counts that only the socket knows.
    pub(super) fn status(&mut self) -> &mut Reception {
        &mut self.status
    }

    /// Takes over the kernel's count for this socket. Its bytes are nobody's to count.
    pub(super) fn kernel_drops(&mut self, total: u64) {
        if let Some(new) = total.checked_sub(self.status.kernel_drops).filter(|new| *new > 0) {
            self.status.kernel_drops = total;
            self.ledger.nobody();
            self.ledger.lose(KERNEL, usize::try_from(new).unwrap_or(usize::MAX), 0);
        }
    }

    /// Hands over an old batch and writes the status, when it is time. To be called about every tenth of a second.
    /// Whether the status was written.
    pub(super) fn keep_time(&mut self) -> bool {
        if self.since.elapsed() >= self.options.flush_interval {
            self.hand_over();
        }
        let due = self.published.elapsed() >= PUBLISH;
        if due {
            self.allowed = self.access.get();
            self.cover();
            self.publish(self.remembered.0.elapsed() >= REMEMBER);
        }
        due
    }

    /// Hands over everything. The end.
    pub(super) fn finish(&mut self) {
        self.decoder.give_up_waiting(&mut self.ledger);
        self.hand_over();
        self.cover();
        self.publish(true);
    }

    /// Says that the socket failed.
    pub(super) fn fail(&mut self, action: &'static str, source: std::io::Error) {
        let file = self.label().to_owned();
        self.outlet.put(Delivery::Failed(IntakeError::Io { action, file, source }));
    }

    fn hand_over(&mut self) {
        self.since = Instant::now();
        if self.batch.is_empty() {
            return;
        }
        let mut fresh = FlowBatch::new(self.batch.source);
        fresh.reserve(BATCH_ROWS + 256);
        let full = std::mem::replace(&mut self.batch, fresh);
        self.abandoned |= !self.outlet.put(Delivery::Flows(full));
    }

    /// Hands over what was received and lost since the last time, by exporter and hour.
    fn cover(&mut self) {
        let summary = &mut self.ledger.summary;
        let (datagrams, bytes) = self.covered;
        let since = Summary {
            datagrams: summary.datagrams - datagrams,
            bytes_read: summary.bytes_read - bytes,
            attributed: std::mem::take(&mut summary.attributed),
            ..Summary::default()
        };
        self.covered = (summary.datagrams, summary.bytes_read);
        self.ledger.nobody();
        let coverage = since.coverage();
        if !coverage.rows().is_empty() {
            self.abandoned |= !self.outlet.put(Delivery::Coverage(coverage));
        }
    }

    fn publish(&mut self, remember: bool) {
        self.published = Instant::now();
        let summary = &self.ledger.summary;
        let learnt = summary.templates + summary.options_records;
        if remember && learnt != self.remembered.1 {
            // Exporters repeat their templates: the bytes are mostly the same, and are not written again then.
            self.status.states = self.decoder.state().into_iter().collect();
            self.remembered = (Instant::now(), learnt);
        }
        (self.status.templates, self.status.pending_bytes) = self.decoder.held();
        self.status.summary.clone_from(&self.ledger.summary);
        self.shared.write(&self.status);
    }
}

/// The system's clock.
pub(super) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
