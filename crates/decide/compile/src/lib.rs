//! Ringfence: compile.
