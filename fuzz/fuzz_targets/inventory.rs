#![no_main]
//! Inventories: the exports of systems that know who exists, each recognised by its content.

use inventory::{Known, ReadOptions, read_sources};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("ringfence-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a writable folder for temporary files");
    let options = ReadOptions { scope: String::new(), now: 1_600_000_000_000_000 };
    let reading = read_sources(std::slice::from_ref(&path), "auto", &options, &Known::default());
    drop(reading);
});
