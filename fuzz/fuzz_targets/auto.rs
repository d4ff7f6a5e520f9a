#![no_main]
//! Detection and unpacking, then whatever format was recognised.

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: ringfence_fuzz::let_panics_be_caught(), |bytes: &[u8]| {
    ringfence_fuzz::drain(intake::open("auto", ringfence_fuzz::input(bytes)));
});
