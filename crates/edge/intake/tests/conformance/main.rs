//! The flow formats against what others made of the same bytes, against damage, and against the laws of the seam.
//!
//! Third-party data is read in place; without it those tests say so and pass.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its data has failed")]

mod aws;
mod cloud;
mod coverage;
mod damage;
mod firewalls;
mod listener;
mod mapped;
mod netflow_fixed;
mod netflow_parser;
mod netflow_table;
mod netgauze;
mod nfdump;
mod packets;
mod reading;
mod sensors;
mod sflow;
mod text;
mod tools;
mod tshark;
