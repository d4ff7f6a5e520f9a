//! Lines of text, with a bound on their length.

use std::io::{BufRead, BufReader, Read};

use crate::error::IntakeError;
use crate::ledger::Ledger;

/// The longest line that is kept. Longer ones are skipped to their end and rejected.
const LINE_BYTES: usize = 256 * 1024;

/// A line reader that never holds more than one bounded line.
pub(crate) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    /// The number of the current line, from 1.
    pub(crate) number: u64,
}

/// What [`Lines::next`] found.
pub(crate) enum Line {
    /// A line is in the buffer, without its end.
    Text,
    /// A line was longer than the bound; its length in bytes.
    TooLong(usize),
    /// No more lines.
    End,
}

impl Lines {
    pub(crate) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader: BufReader::with_capacity(128 * 1024, reader), number: 0 }
    }

    /// Reads the next line into `buffer`, without `\n` or `\r\n`.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>, ledger: &mut Ledger) -> Result<Line, IntakeError> {
        buffer.clear();
        let io = |source, file: &str| IntakeError::Io { action: "read", file: file.to_owned(), source };
        let mut limited = self.reader.by_ref().take(LINE_BYTES as u64 + 1);
        let length = limited.read_until(b'\n', buffer).map_err(|e| io(e, &ledger.file))?;
        if length == 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        let mut total = length;
        if length > LINE_BYTES && buffer.last() != Some(&b'\n') {
            total += self.reader.skip_until(b'\n').map_err(|e| io(e, &ledger.file))?;
            ledger.summary.bytes_read += total as u64;
            buffer.clear();
            return Ok(Line::TooLong(total));
        }
        ledger.summary.bytes_read += total as u64;
        while matches!(buffer.last(), Some(b'\n' | b'\r')) {
            buffer.pop();
        }
        Ok(Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_whole() {
        let mut text = b"one\r\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * LINE_BYTES));
        text.extend(b"\ntwo");
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(text)));
        let mut ledger = Ledger::new("f".into(), None);
        let mut buffer = Vec::new();
        assert!(matches!(lines.next(&mut buffer, &mut ledger), Ok(Line::Text)));
        assert_eq!(buffer, b"one");
        assert!(
            matches!(lines.next(&mut buffer, &mut ledger), Ok(Line::TooLong(n)) if n == 3 * LINE_BYTES + 1)
        );
        assert!(matches!(lines.next(&mut buffer, &mut ledger), Ok(Line::Text)));
        assert_eq!((buffer.as_slice(), lines.number), (&b"two"[..], 3));
        assert!(matches!(lines.next(&mut buffer, &mut ledger), Ok(Line::End)));
        assert_eq!(ledger.summary.bytes_read as usize, 5 + 3 * LINE_BYTES + 1 + 3);
    }
}
