//! The reader of every text format: lines, JSON objects one a line or over several, arrays of them, and objects that
//! wrap an array of records. A format says what one record means; the rest is here.

pub(crate) mod bytes;
pub(crate) mod json;
pub(crate) mod pairs;
mod records;
pub(crate) mod sink;
pub(crate) mod syslog;
pub(crate) mod table;
pub(crate) mod times;
pub(crate) mod values;

use model::FlowBatch;

use self::records::{Found, Kind, Records};
pub(crate) use self::sink::Sink;
use crate::error::IntakeError;
use crate::ledger::{Ledger, Place, Summary};
use crate::progress::Progress;
use crate::source::{FlowReader, Input, Resume};

/// The longest header that is kept for resuming.
const PREAMBLE_BYTES: usize = 64 * 1024;

/// What is peculiar to a text format.
pub(crate) trait TextFormat: Send {
    /// Reads one record: a line without its end, or one JSON object.
    ///
    /// An error means that nothing of the record was given to the sink; the record may then be offered once more, longer
    /// or shorter, when a JSON object did not end where its line did.
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault>;

    /// Lines that were read but are still waited with, for records over several lines: they are read again, before the rest,
    /// when a growing file is taken up. They must give no flow by themselves, and be bounded.
    fn carry(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The input has ended: what is still held goes out. Not called while a growing input is only read up to now.
    fn end(&mut self, sink: &mut Sink<'_>) {
        let _ = sink;
    }
}

/// Why a record is not used.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// It cannot be read: what was found and what was expected. The records around it are fine.
    Record(String),
    /// It says that nothing after it can be read: a header that is another log's, say.
    Input(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Record(why)
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        Self::Record(why.to_owned())
    }
}

/// How a text format cuts its input into records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// What begins with `{` is a JSON object, whatever lines it goes over; what does not is a line.
    pub(crate) json: bool,
    /// Members that hold an array of records when they are an object's first: `{"records":[..]}`.
    pub(crate) containers: &'static [&'static str],
}

impl Shape {
    /// One record a line, whatever it begins with.
    pub(crate) const LINES: Self = Self { json: false, containers: &[] };
    /// JSON objects, also in arrays; lines between them are records too.
    pub(crate) const JSON: Self = Self { json: true, containers: &[] };
}

/// Starts reading a text input. `expected` is what an empty input should have held: `lines of a conn.log`.
pub(crate) fn open_text(
    source: &'static str,
    expected: &'static str,
    shape: Shape,
    input: Input,
    format: impl TextFormat + 'static,
) -> Result<Box<dyn FlowReader>, IntakeError> {
    let (reader, resume, growing, ledger) = input.into_text_parts();
    let mut text = TextReader {
        source,
        expected,
        growing,
        resumed: resume.is_some(),
        records: Records::new(reader, shape, growing),
        format: Box::new(format),
        ledger,
        interner: sink::Interner::default(),
        preamble: Vec::new(),
        progress: Progress::default(),
    };
    if let Some(resume) = resume {
        text.replay(&resume);
    }
    Ok(Box::new(text))
}

struct TextReader {
    source: &'static str,
    expected: &'static str,
    growing: bool,
    resumed: bool,
    records: Records,
    format: Box<dyn TextFormat>,
    ledger: Ledger,
    interner: sink::Interner,
    /// The header lines so far, for resuming.
    preamble: Vec<u8>,
    progress: Progress,
}

impl FlowReader for TextReader {
    fn source(&self) -> &'static str {
        self.source
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let before = batch.len();
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| self.step(batch));
        self.progress = progress;
        self.ledger.summary.flows += (batch.len() - before) as u64;
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }

    fn resume(&self) -> Option<Resume> {
        let (offset, line) = self.records.settled();
        let mut preamble = self.preamble.clone();
        preamble.extend(self.format.carry());
        (self.preamble.len() <= PREAMBLE_BYTES).then_some(Resume { preamble, offset, line })
    }
}

const UNREADABLE: &str = "record cannot be read";

impl TextReader {
    /// One record into the batch.
    fn step(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let Some(found) = self.records.next(&self.ledger.file)? else { return self.finish(batch) };
        match found.kind {
            Kind::TooLong => self.reject(&found, "the record is too long".to_owned()),
            Kind::Unfinished => self.reject(&found, "the JSON object does not end".to_owned()),
            Kind::Line | Kind::Object => self.offer(found, batch)?,
        }
        self.ledger.summary.bytes_read += self.records.advance();
        Ok(true)
    }

    fn finish(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        self.ledger.summary.bytes_read += self.records.advance();
        if self.records.offset() == 0 && !self.growing && !self.resumed {
            let file = self.ledger.file.to_string();
            return Err(IntakeError::Empty { file, expected: self.expected });
        }
        if !self.growing {
            let place = Place::Line(self.records.line());
            let mut sink = Sink::new(batch, &mut self.ledger, &mut self.interner, place, 0);
            self.format.end(&mut sink);
        }
        Ok(false)
    }

    /// Gives a record to the format; once more if it is a JSON object that does not end where its line does.
    fn offer(&mut self, mut found: Found, batch: &mut FlowBatch) -> Result<(), IntakeError> {
        let mut counted = false;
        loop {
            let text = self.records.text(&found);
            if text.trim_ascii().is_empty() {
                return Ok(());
            }
            if !counted {
                self.ledger.summary.datagrams += 1;
                counted = true;
            }
            let place = Place::Line(found.line);
            let mut sink = Sink::new(batch, &mut self.ledger, &mut self.interner, place, text.len());
            let outcome = self.format.record(text, &mut sink);
            let header = sink.is_header();
            match outcome {
                Ok(()) => {
                    if header && self.preamble.len() <= PREAMBLE_BYTES {
                        self.preamble.extend_from_slice(text);
                        self.preamble.push(b'\n');
                    }
                    return Ok(());
                }
                Err(Fault::Input(reason)) => {
                    let file = self.ledger.file.to_string();
                    return Err(IntakeError::Header { file, line: found.line, reason });
                }
                Err(Fault::Record(why)) => match self.records.reconsider(&found, &self.ledger.file)? {
                    Some(other) => found = other,
                    None => {
                        self.reject(&found, why);
                        return Ok(());
                    }
                },
            }
        }
    }

    fn reject(&mut self, found: &Found, why: String) {
        self.ledger.reject(UNREADABLE, found.length as usize, Place::Line(found.line), why);
    }

    /// Takes up the header of an earlier reading; its flows were handed out then.
    fn replay(&mut self, resume: &Resume) {
        let mut batch = FlowBatch::new(self.source);
        let mut ledger = Ledger::new("header".into(), None);
        for line in resume.preamble.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut sink = Sink::new(&mut batch, &mut ledger, &mut self.interner, Place::Line(0), 0);
            // It was read before; if it cannot be now, its records will say so.
            let _ = self.format.record(line, &mut sink);
            if sink.is_header() {
                self.preamble.extend_from_slice(line);
                self.preamble.push(b'\n');
            }
        }
        self.records.stand_at(resume.offset, resume.line);
    }
}

/// The record as text.
pub(crate) fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::from("the record is not UTF-8"))
}

#[cfg(test)]
mod tests;
