#![no_main]
//! One flow format, the one that `RINGFENCE_FUZZ_NAME` names; prints the names of all when it names none.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static SOURCE: LazyLock<&intake::Source> = LazyLock::new(|| {
    let name = std::env::var("RINGFENCE_FUZZ_NAME").unwrap_or_default();
    intake::find(&name).unwrap_or_else(|| {
        intake::SOURCES.iter().for_each(|source| println!("{}", source.name));
        std::process::exit(0)
    })
});

fuzz_target!(
    init: if SOURCE.name == "parquet" {
        ringfence_fuzz::let_panics_be_caught();
    },
    |bytes: &[u8]| ringfence_fuzz::read(&SOURCE, bytes)
);
