//! Ringfence: report.
