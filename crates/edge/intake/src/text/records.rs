//! An input cut into records, within bounded memory.

use std::io::Read;

use memchr::memchr;

use super::Shape;
use crate::error::IntakeError;

/// The longest line that is kept. Longer ones are skipped to their end and rejected.
const LINE_BYTES: usize = 256 * 1024;

/// The longest JSON object that is kept.
const OBJECT_BYTES: usize = 16 * 1024 * 1024;

/// How much is read at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// Containers within containers.
const DEPTH_MAX: usize = 8;

/// How far the opening of a container may reach, white space included.
const OPENING_BYTES: usize = 256;

/// A record that was found; its text is with [`Records::text`] until [`Records::advance`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// Bytes of the record, without a line's end.
    pub(super) length: u64,
    /// Number of its first line, from 1.
    pub(super) line: u64,
    /// Bytes to step over, ends of lines included.
    step: usize,
    /// A JSON object that was taken to end with its line, which is nearly always so and cheap to find.
    guessed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Line,
    Object,
    /// Longer than the bound; it was skipped.
    TooLong,
    /// A JSON object whose end never comes, or that another one interrupts.
    Unfinished,
}

/// The input as a window of bytes that moves over it.
pub(super) struct Records {
    reader: Box<dyn Read + Send>,
    shape: Shape,
    growing: bool,
    window: Vec<u8>,
    /// Where the window's first unused byte is.
    start: usize,
    /// Where the window's bytes end.
    end: usize,
    ended: bool,
    /// Bytes of the input before the window.
    base: u64,
    /// Lines that ended before the window's start.
    lines: u64,
    /// What the record that is being looked at takes.
    pending: usize,
    /// Bytes that were skipped since the last [`Records::advance`].
    skipped: u64,
    containers: usize,
    /// After a container's `]`: the rest of the object that held it.
    tail: bool,
    fresh_line: bool,
    /// Where the last record ended: bytes and lines.
    settled: (u64, u64),
}

impl Records {
    pub(super) fn new(reader: Box<dyn Read + Send>, shape: Shape, growing: bool) -> Self {
        Self {
            reader,
            shape,
            growing,
            window: Vec::new(),
            start: 0,
            end: 0,
            ended: false,
            base: 0,
            lines: 0,
            pending: 0,
            skipped: 0,
            containers: 0,
            tail: false,
            fresh_line: true,
            settled: (0, 0),
        }
    }

    /// The reader stands here already.
    pub(super) fn stand_at(&mut self, offset: u64, lines: u64) {
        (self.base, self.lines) = (offset, lines);
        self.settled = (offset, lines);
    }

    /// Bytes of the input that were used.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Lines that were used.
    pub(super) fn line(&self) -> u64 {
        self.lines
    }

    /// Bytes and lines up to the end of the last record: closing brackets behind it may move when more is written.
    pub(super) fn settled(&self) -> (u64, u64) {
        self.settled
    }

    /// The text of a record.
    pub(super) fn text(&self, found: &Found) -> &[u8] {
        let to = (self.start + found.length as usize).min(self.end);
        &self.window[self.start..to]
    }

    /// The next record; `None` at the end of the input.
    pub(super) fn next(&mut self, file: &str) -> Result<Option<Found>, IntakeError> {
        self.pending = 0;
        if self.shape.json && !self.between_objects(file)? {
            return Ok(None);
        }
        if self.start == self.end && !self.fill(file)? {
            return Ok(None);
        }
        let json = self.shape.json && self.window[self.start] == b'{';
        let found = if json { self.object_or_guess(file)? } else { self.line_record(file)? };
        self.pending = found.map_or(0, |found| found.step);
        Ok(found)
    }

    /// Steps over the record that was found. Says how many bytes were used since the last time.
    pub(super) fn advance(&mut self) -> u64 {
        let step = std::mem::take(&mut self.pending);
        self.skip(step);
        if step > 0 {
            self.settled = (self.offset(), self.lines);
        }
        std::mem::take(&mut self.skipped)
    }

    /// Where a JSON object that was taken to end with its line really ends; `None` when that is no news.
    pub(super) fn reconsider(&mut self, found: &Found, file: &str) -> Result<Option<Found>, IntakeError> {
        if !found.guessed {
            return Ok(None);
        }
        let other = self.object(file)?.filter(|other| {
            // What is broken stays one broken line: the next object may be a good one.
            other.kind == Kind::Object && other.length != found.length
        });
        if let Some(other) = &other {
            self.pending = other.step;
        }
        Ok(other)
    }

    fn skip(&mut self, bytes: usize) {
        let to = (self.start + bytes).min(self.end);
        let passed = &self.window[self.start..to];
        self.lines += memchr::memchr_iter(b'\n', passed).count() as u64;
        if let Some(last) = passed.last() {
            self.fresh_line = *last == b'\n';
        }
        self.skipped += passed.len() as u64;
        self.start = to;
    }

    /// Reads on; `false` at the end of the input. Room is made by moving what is unused to the front, or by growing.
    fn fill(&mut self, file: &str) -> Result<bool, IntakeError> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.window.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        if self.window.len() - self.end < CHUNK_BYTES {
            self.window.resize((self.window.len() * 2).max(self.end + CHUNK_BYTES), 0);
        }
        loop {
            match self.reader.read(&mut self.window[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(more) => {
                    self.end += more;
                    return Ok(true);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.ended = true;
                    return Err(IntakeError::Io { action: "read", file: file.to_owned(), source });
                }
            }
        }
    }

    /// Makes `bytes` available if the input has them.
    fn want(&mut self, bytes: usize, file: &str) -> Result<(), IntakeError> {
        while self.end - self.start < bytes && self.fill(file)? {}
        Ok(())
    }

    fn line_record(&mut self, file: &str) -> Result<Option<Found>, IntakeError> {
        let line = self.lines + 1;
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.window[self.start + searched..self.end]) {
                let step = searched + at + 1;
                let kind = if step > LINE_BYTES + 1 { Kind::TooLong } else { Kind::Line };
                return Ok(Some(self.line_found(kind, line, step)));
            }
            searched = self.end - self.start;
            if searched > LINE_BYTES + 1 {
                let length = self.skip_line(file)?;
                return Ok(Some(Found { kind: Kind::TooLong, length, line, step: 0, guessed: false }));
            }
            if !self.fill(file)? {
                // A line without its end may be half of one while somebody still writes.
                let whole = searched > 0 && !self.growing;
                return Ok(whole.then(|| self.line_found(Kind::Line, line, searched)));
            }
        }
    }

    fn line_found(&self, kind: Kind, line: u64, step: usize) -> Found {
        let text = &self.window[self.start..self.start + step];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Found { kind, length: text.len() as u64, line, step, guessed: false }
    }

    /// Skips to behind the next end of a line, holding nothing. Its length in bytes.
    fn skip_line(&mut self, file: &str) -> Result<u64, IntakeError> {
        let mut length = 0;
        loop {
            let held = &self.window[self.start..self.end];
            let step = memchr(b'\n', held).map_or(held.len(), |at| at + 1);
            let ended = held.get(step.wrapping_sub(1)) == Some(&b'\n');
            length += step as u64;
            self.skip(step);
            if ended || self.start == self.end && !self.fill(file)? {
                return Ok(length);
            }
        }
    }
}

/// JSON.
impl Records {
    /// Steps over what may stand between objects: white space, commas, the brackets of arrays, containers' openings and
    /// their ends. `false` at the end of the input.
    fn between_objects(&mut self, file: &str) -> Result<bool, IntakeError> {
        loop {
            if self.tail && !self.skip_tail(file)? {
                return Ok(false);
            }
            let from = self.start;
            let Some(at) = self.window[from..self.end].iter().position(|byte| !byte.is_ascii_whitespace())
            else {
                self.skip(self.end - from);
                if self.fill(file)? {
                    continue;
                }
                return Ok(false);
            };
            let byte = self.window[from + at];
            match byte {
                b'{' => {
                    self.skip(at);
                    match self.opening(file)? {
                        Some(bytes) => {
                            self.skip(bytes);
                            self.containers += 1;
                        }
                        None => return Ok(true),
                    }
                }
                b'[' if self.opens_array(at, file)? => self.skip(at + 1),
                b']' if self.alone(at) => {
                    self.skip(at + 1);
                    self.tail = self.containers > 0;
                    self.containers = self.containers.saturating_sub(1);
                }
                b',' | b'}' if self.alone(at) => self.skip(at + 1),
                _ => return Ok(true),
            }
        }
    }

    /// Whether punctuation stands between objects and does not begin a line of text.
    fn alone(&self, at: usize) -> bool {
        let next = self.window[self.start..self.end].get(at + 1);
        !self.fresh_line
            || next.is_none_or(|byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'{' | b'}' | b']' | b',' | b'[')
            })
    }

    /// Whether `[` begins an array of objects, and not a line of text such as `[2026-11-19T08:00:00Z] ..`.
    fn opens_array(&mut self, at: usize, file: &str) -> Result<bool, IntakeError> {
        self.want(at + OPENING_BYTES, file)?;
        let after = self.window[self.start..self.end].get(at + 1..).unwrap_or_default();
        let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
        Ok(next.is_none_or(|byte| matches!(byte, b'{' | b'[' | b']')))
    }

    /// The length of `{"records":[` at the window's start.
    fn opening(&mut self, file: &str) -> Result<Option<usize>, IntakeError> {
        if self.shape.containers.is_empty() || self.containers >= DEPTH_MAX {
            return Ok(None);
        }
        self.want(OPENING_BYTES, file)?;
        let held = &self.window[self.start..self.end];
        let space = |at: usize| {
            at + held.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace()).count()
        };
        let name = space(1);
        for container in self.shape.containers {
            let quoted = [b"\"", container.as_bytes(), b"\""].concat();
            if held.get(name..).is_some_and(|rest| rest.starts_with(&quoted)) {
                let colon = space(name + quoted.len());
                let bracket = space(colon + 1);
                if held.get(colon) == Some(&b':') && held.get(bracket) == Some(&b'[') {
                    return Ok(Some(bracket + 1));
                }
            }
        }
        Ok(None)
    }

    /// Skips the members behind a container's array, to behind the `}` that ends them.
    fn skip_tail(&mut self, file: &str) -> Result<bool, IntakeError> {
        let mut scan = Scan { depth: 1, ..Scan::default() };
        loop {
            let held = &self.window[self.start..self.end];
            match held.iter().position(|byte| scan.ends(*byte)) {
                Some(at) => {
                    self.skip(at + 1);
                    self.tail = false;
                    return Ok(true);
                }
                None => {
                    // A growing file's end is rewritten with every record that is added.
                    if self.growing {
                        self.tail = false;
                        return Ok(true);
                    }
                    self.skip(self.end - self.start);
                    if !self.fill(file)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// An object: taken to end with its line if the line ends with `}`, else followed to its end.
    fn object_or_guess(&mut self, file: &str) -> Result<Option<Found>, IntakeError> {
        let mut searched = 0;
        loop {
            let held = &self.window[self.start..self.end];
            let newline = memchr(b'\n', &held[searched..]).map(|at| searched + at);
            let whole = newline.or_else(|| (self.ended && !self.growing).then_some(held.len()));
            if let Some(to) = whole {
                let text = held[..to].trim_ascii_end();
                let text = text.strip_suffix(b",").unwrap_or(text).trim_ascii_end();
                if text.last() == Some(&b'}') {
                    let length = text.len() as u64;
                    let kind = Kind::Object;
                    return Ok(Some(Found {
                        kind,
                        length,
                        line: self.lines + 1,
                        step: text.len(),
                        guessed: true,
                    }));
                }
                return self.object(file);
            }
            searched = held.len();
            if searched > LINE_BYTES || !self.fill(file)? {
                return self.object(file);
            }
        }
    }

    /// An object followed to its end.
    fn object(&mut self, file: &str) -> Result<Option<Found>, IntakeError> {
        let line = self.lines + 1;
        let mut scan = Scan::default();
        let mut searched = 0;
        loop {
            let held = &self.window[self.start..self.end];
            for (at, byte) in held.iter().enumerate().skip(searched) {
                if scan.ends(*byte) {
                    let step = at + 1;
                    let kind = if step > OBJECT_BYTES { Kind::TooLong } else { Kind::Object };
                    return Ok(Some(Found { kind, length: step as u64, line, step, guessed: false }));
                }
                let broken = *byte == b'\n' && (scan.in_string || held.get(at + 1) == Some(&b'{'));
                if broken {
                    let length = held[..at].trim_ascii_end().len() as u64;
                    let kind = Kind::Unfinished;
                    return Ok(Some(Found { kind, length, line, step: at + 1, guessed: false }));
                }
            }
            searched = held.len();
            if searched > OBJECT_BYTES {
                let length = self.skip_object(scan, searched, file)?;
                return Ok(Some(Found { kind: Kind::TooLong, length, line, step: 0, guessed: false }));
            }
            if !self.fill(file)? {
                if self.growing {
                    return Ok(None);
                }
                let kind = Kind::Unfinished;
                let length = self.window[self.start..self.end].trim_ascii_end().len() as u64;
                let step = self.end - self.start;
                return Ok(Some(Found { kind, length, line, step, guessed: false }));
            }
        }
    }

    /// Skips the rest of an object, holding nothing. Its length in bytes.
    fn skip_object(&mut self, mut scan: Scan, searched: usize, file: &str) -> Result<u64, IntakeError> {
        let mut length = searched as u64;
        self.skip(searched);
        loop {
            let held = &self.window[self.start..self.end];
            let end = held.iter().position(|byte| scan.ends(*byte));
            let step = end.map_or(held.len(), |at| at + 1);
            length += step as u64;
            self.skip(step);
            if end.is_some() || !self.fill(file)? {
                return Ok(length);
            }
        }
    }
}

/// Where in a JSON value a byte stands.
#[derive(Clone, Copy, Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Takes a byte; whether it ends the value.
    fn ends(&mut self, byte: u8) -> bool {
        match (self.in_string, self.escaped, byte) {
            (true, true, _) => self.escaped = false,
            (true, false, b'\\') => self.escaped = true,
            (_, _, b'"') => self.in_string = !self.in_string,
            (false, _, b'{' | b'[') => self.depth += 1,
            (false, _, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}
