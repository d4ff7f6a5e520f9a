//! The bounded queue between the threads that decode and the one that stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use model::{CoverageTable, FlowBatch};

use crate::error::IntakeError;

/// What comes out of the queue.
#[allow(
    clippy::large_enum_variant,
    reason = "a batch's half megabyte of columns lies elsewhere; nearly all are batches"
)]
#[derive(Debug)]
pub enum Delivery {
    /// Flows of one source, never none.
    Flows(FlowBatch),
    /// What a listener received and lost since it last said, by exporter and hour; flows are not counted in it.
    Coverage(CoverageTable),
    /// A listener's socket failed; it has ended.
    Failed(IntakeError),
}

/// A queue for so many batches of about [`BATCH_ROWS`](crate::BATCH_ROWS) flows (half a megabyte each). Who puts into a
/// full one waits.
pub fn queue(batches: usize) -> (Outlet, Deliveries) {
    let (sender, receiver) = sync_channel(batches.max(1));
    let depth = Arc::<AtomicUsize>::default();
    (Outlet { sender, depth: Arc::clone(&depth) }, Deliveries { receiver, depth })
}

/// The end that listeners put into.
#[derive(Clone, Debug)]
pub struct Outlet {
    sender: SyncSender<Delivery>,
    depth: Arc<AtomicUsize>,
}

impl Outlet {
    /// Puts something in, and waits while there is no room; `false` when nobody will ever take it out.
    pub(super) fn put(&self, delivery: Delivery) -> bool {
        self.depth.fetch_add(1, Ordering::Relaxed);
        self.sender.send(delivery).is_ok()
    }

    /// What waits in the queue, those who wait for room included.
    pub fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }
}

/// The end that is taken out of.
#[derive(Debug)]
pub struct Deliveries {
    receiver: Receiver<Delivery>,
    depth: Arc<AtomicUsize>,
}

impl Deliveries {
    /// The next delivery; none when there was none in time.
    ///
    /// # Errors
    /// When every [`Outlet`] is gone and the queue is empty.
    pub fn take(&self, patience: Duration) -> Result<Option<Delivery>, Ended> {
        match self.receiver.recv_timeout(patience) {
            Ok(delivery) => {
                self.depth.fetch_sub(1, Ordering::Relaxed);
                Ok(Some(delivery))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }
}

/// Nothing will come any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended;
