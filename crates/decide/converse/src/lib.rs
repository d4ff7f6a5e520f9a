//! Ringfence: converse.
