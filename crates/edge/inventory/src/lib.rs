//! Ringfence: inventory.
