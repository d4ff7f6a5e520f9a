//! Ringfence: propose.
