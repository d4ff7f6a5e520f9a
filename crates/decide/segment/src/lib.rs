//! Ringfence: segment.
