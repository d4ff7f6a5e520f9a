//! Ringfence: verify.
