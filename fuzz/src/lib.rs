//! What must hold for every reader, whatever the bytes: it ends without a panic, gives no more flows than there are bytes, and
//! its own account agrees with what it gave.

use std::io::Cursor;

use intake::{BATCH_ROWS, FlowReader, Input, IntakeError};
use model::FlowBatch;

/// The bytes as an input.
pub fn input(bytes: &[u8]) -> Input {
    Input::new("fuzz", Cursor::new(bytes.to_vec()))
}

/// Reads an input of one format to its end or first error.
pub fn read(source: &intake::Source, bytes: &[u8]) {
    let rows = drain((source.open)(input(bytes)));
    // columns of one repeated value hold many rows in few bytes
    assert!(rows <= bytes.len() || source.name == "parquet", "{rows} rows from {} bytes", bytes.len());
}

/// Reads to the end or first error; the number of flows.
pub fn drain(reader: Result<Box<dyn FlowReader>, IntakeError>) -> usize {
    let Ok(mut reader) = reader else { return 0 };
    let mut batch = FlowBatch::new(reader.source());
    let mut rows = 0;
    let mut line = Vec::new();
    while let Ok(true) = reader.read(&mut batch) {
        rows += batch.len();
        for row in 0..batch.len().min(BATCH_ROWS) {
            line.clear();
            model::canonical::write_flow(&batch, row, &mut line);
        }
        batch.clear();
    }
    assert_eq!(reader.summary().flows, (rows + batch.len()) as u64, "the account of flows");
    rows
}

/// Lets readers catch the panics of libraries, as the Parquet reader does; a panic that nobody catches still ends the fuzzer.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|_| {}));
}
