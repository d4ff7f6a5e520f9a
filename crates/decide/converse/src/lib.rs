//! Flows to conversations: which side is the client, the two halves joined, the hours rolled up.
//!
//! Exporters report packets, not intentions. Start times of both halves are equal more often than not, cumulative TCP
//! flags look alike on both sides, and the "forward" side of a biflow is the initiator in two of three cases only. What
//! tells a server is what it is to everybody: one port that many remote ports reach. So [`ServiceTable`] learns that
//! from every batch, and [`orient`] weighs it with what the port numbers, the ICMP types and the few telling TCP flags
//! say. What stays open is `unknown`, with no confidence; it is rolled up all the same, so that nothing is lost.

mod evidence;
mod halves;
mod handover;
mod orient;
mod ports;
mod reorient;
mod resolve;
mod rollup;
mod stitch;
mod table;
mod translate;

pub use evidence::{TERMS, WEIGHTS};
pub use handover::{Handovers, SplitRollup};
pub use orient::{evidence, orient};
pub use resolve::resolve;
pub use rollup::Rollup;
pub use stitch::{Stitcher, stitch};
pub use table::ServiceTable;
pub use translate::{Backend, Insider, Role, Tally, TranslatedPair, Translations, Translator};
