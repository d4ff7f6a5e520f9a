//! Ringfence: lake.
