//! Ringfence: intake.
