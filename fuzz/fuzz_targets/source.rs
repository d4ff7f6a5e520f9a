#![no_main]
//! One flow format, the one that `RINGFENCE_FUZZ_SOURCE` names: `cargo xtask fuzz NAME`.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static SOURCE: LazyLock<&intake::Source> = LazyLock::new(|| {
    let name = std::env::var("RINGFENCE_FUZZ_SOURCE").expect("RINGFENCE_FUZZ_SOURCE names a flow format");
    intake::find(&name).expect("a flow format's name")
});

fuzz_target!(|bytes: &[u8]| ringfence_fuzz::read(&SOURCE, bytes));
