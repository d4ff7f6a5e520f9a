//! What must hold for every reader, whatever the bytes: no panic, rows bounded by the input, every loss counted.

use std::io::Cursor;

use intake::{BATCH_ROWS, Input, Source};
use model::FlowBatch;

/// Reads an input to its end or first error, and checks what must hold.
pub fn read(source: &Source, bytes: &[u8]) {
    let Ok(mut reader) = (source.open)(Input::new("fuzz", Cursor::new(bytes.to_vec()))) else { return };
    let mut batch = FlowBatch::new(reader.source());
    let mut rows = 0;
    let mut line = Vec::new();
    while let Ok(true) = reader.read(&mut batch) {
        rows += batch.len();
        assert!(batch.len() <= BATCH_ROWS + bytes.len(), "a batch of {} rows", batch.len());
        for row in 0..batch.len() {
            line.clear();
            model::canonical::write_flow(&batch, row, &mut line);
        }
        batch.clear();
    }
    assert!(rows <= bytes.len(), "{rows} rows from {} bytes", bytes.len());
    let summary = reader.summary();
    assert_eq!(summary.flows, rows as u64);
    assert!(summary.bytes_read <= bytes.len() as u64);
}
