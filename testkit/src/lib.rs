//! Ringfence: testkit.
