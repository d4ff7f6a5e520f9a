//! Flow formats: bytes in, [`FlowBatch`](model::FlowBatch)es out.
//!
//! A format is one row of the table [`SOURCES`] and one file or folder below `sources/`. A reader appends flows to a
//! batch of columns until the batch is full, so memory stays bounded whatever the size of the input. What cannot be
//! read is counted by reason in a [`Summary`] and listed (bounded) as [`Reject`]s; one bad record never loses the
//! good ones around it.
//!
//! ```
//! use intake::{Input, open};
//! use model::FlowBatch;
//!
//! let text: &[u8] = b"2 123456789010 eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 ACCEPT OK\n";
//! let mut reader = open("auto", Input::new("flows.log", text))?;
//! let mut batch = FlowBatch::new(reader.source());
//! while reader.read(&mut batch)? {
//!     // use the batch, then empty it for the next turn
//!     assert_eq!(batch.dst_port, [443]);
//!     batch.clear();
//! }
//! assert_eq!(reader.summary().flows, 1);
//! # Ok::<(), intake::IntakeError>(())
//! ```

mod capture;
mod carried;
mod datagram;
mod error;
mod frame;
mod ledger;
mod listener;
mod progress;
mod source;
mod sources;
mod tail;
mod text;
mod unpack;

#[cfg(test)]
mod laws;

pub use error::IntakeError;
pub use ledger::{ExporterNotes, Place, Reject, Sequence, Summary};
pub use listener::{
    Access, Allowed, Deliveries, Delivery, Ended, Heard, LISTENERS, ListenKind, Listener, ListenerOptions,
    Outlet, Reception, Transport, listen_kind, queue,
};
pub use model::Dropped;
pub use source::{BATCH_ROWS, FlowReader, Input, Resume, SOURCES, Source, Status, detect, find, open};
pub use sources::netflow::Limits;
pub use tail::{Looked, Position, Tail};
