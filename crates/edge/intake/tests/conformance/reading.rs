//! Reads inputs whole.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use intake::{Input, IntakeError, Summary};
use model::FlowBatch;

/// All that an input gave.
pub(crate) struct Outcome {
    pub(crate) flows: FlowBatch,
    pub(crate) summary: Summary,
    pub(crate) error: Option<IntakeError>,
}

impl Outcome {
    /// Records without addresses are data records too.
    pub(crate) fn data_records(&self) -> u64 {
        let without = self.summary.dropped.get("record without addresses").map_or(0, |dropped| dropped.count);
        self.summary.flows + without
    }
}

/// Reads bytes in a format to their end, or to their damage.
pub(crate) fn read_bytes(format: &str, bytes: Vec<u8>) -> Outcome {
    let mut flows = FlowBatch::default();
    let mut reader = match intake::open(format, Input::new("input", Cursor::new(bytes))) {
        Ok(reader) => reader,
        Err(error) => return Outcome { flows, summary: Summary::default(), error: Some(error) },
    };
    let mut batch = FlowBatch::new(reader.source());
    flows.source = reader.source();
    let error = loop {
        match reader.read(&mut batch) {
            Ok(true) => flows.append(&batch),
            Ok(false) => break None,
            Err(error) => {
                assert!(batch.is_empty(), "an error came together with rows");
                break Some(error);
            }
        }
        batch.clear();
    };
    assert_eq!(flows.len() as u64, reader.summary().flows, "the summary counts what was handed out");
    Outcome { flows, summary: reader.summary().clone(), error }
}

pub(crate) fn read_file(format: &str, path: &Path) -> Outcome {
    read_bytes(format, fs::read(path).unwrap())
}

/// The files below a folder whose name ends so, sorted.
pub(crate) fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
