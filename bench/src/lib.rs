//! Benchmarks of Ringfence.

pub mod direction;
pub mod exporter;
pub mod nfcapd;

/// Whatever went wrong.
pub type Failure = Box<dyn std::error::Error>;
