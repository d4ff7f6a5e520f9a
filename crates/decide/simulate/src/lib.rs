//! Ringfence: simulate.
