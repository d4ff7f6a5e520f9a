//! A Parquet file begins at its end: the input has to be there as a whole.

use std::fs::File;
use std::io::{Read, Seek, Write};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::error::IntakeError;

/// Up to here an input is held in memory.
const MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// A whole input.
pub(super) enum Whole {
    Memory(Bytes),
    /// A temporary file, which is gone when it is closed.
    File(File),
}

/// Reads an input to its end. Says how many bytes it has.
pub(super) fn spool(mut reader: Box<dyn Read + Send>, label: &str) -> Result<(Whole, u64), IntakeError> {
    let failed = |action, source| IntakeError::Io { action, file: label.to_owned(), source };
    let mut first = Vec::new();
    reader
        .by_ref()
        .take(MEMORY_BYTES + 1)
        .read_to_end(&mut first)
        .map_err(|source| failed("read", source))?;
    if first.len() as u64 <= MEMORY_BYTES {
        let bytes = first.len() as u64;
        return Ok((Whole::Memory(first.into()), bytes));
    }
    let mut copy = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(&first)?;
        let more = std::io::copy(&mut reader, &mut file)?;
        file.rewind()?;
        Ok((file, more))
    };
    let (file, more) = copy().map_err(|source| failed("make a temporary copy of", source))?;
    Ok((Whole::File(file), first.len() as u64 + more))
}

impl Whole {
    /// Reads the footer.
    pub(super) fn open(self) -> Result<Box<dyn FileReader>, ParquetError> {
        Ok(match self {
            Self::Memory(bytes) => Box::new(SerializedFileReader::new(bytes)?),
            Self::File(file) => Box::new(SerializedFileReader::new(file)?),
        })
    }
}
