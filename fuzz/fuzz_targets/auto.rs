#![no_main]
//! Detection and unpacking, then whatever format was recognised.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = intake::open("auto", intake::Input::new("fuzz", std::io::Cursor::new(bytes.to_vec()))) else {
        return;
    };
    let mut batch = model::FlowBatch::new(reader.source());
    while let Ok(true) = reader.read(&mut batch) {
        batch.clear();
    }
});
