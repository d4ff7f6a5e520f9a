//! Benchmarks of Ringfence.
