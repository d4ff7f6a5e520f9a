//! Delimited text: a line a record, columns named by a header.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::field::Field;
use super::mapping::Mapping;
use super::record::{self, NONE};
use crate::text::bytes::ip;
use crate::text::{Fault, Sink, TextFormat};

/// Delimiters that are tried.
const DELIMITERS: &[u8] = b",;\t|";

/// A beginning of an input that is shorter is all of it.
const HEAD_FULL: usize = 4_096;

/// The most columns that are read.
const COLUMNS_MAX: usize = 4_096;

/// Reads records of delimited text.
pub(super) struct Csv {
    source: &'static str,
    mapping: Mapping,
    skip: usize,
    layout: Option<Layout>,
    cells: Cells,
}

/// Which column is which field.
struct Layout {
    header: Vec<u8>,
    delimiter: u8,
    width: Option<usize>,
    places: Vec<(usize, Field)>,
}

impl Csv {
    pub(super) fn new(source: &'static str, mapping: Mapping) -> Self {
        let skip = mapping.skip;
        Self { source, mapping, skip, layout: None, cells: Cells::new(b',') }
    }

    /// Whether the beginning of an input is delimited text with columns that are known by name.
    pub(super) fn is_known(head: &[u8]) -> bool {
        let mut lines =
            head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let Some(header) = lines.next() else { return false };
        let mut csv = Self::new("csv", Mapping::known());
        let Ok(layout) = csv.layout_of(header) else { return false };
        // A record that the head holds whole has to fit.
        let whole =
            lines.next().filter(|line| head.len() < HEAD_FULL || head.len() >= header.len() + line.len() + 2);
        whole.is_none_or(|line| {
            csv.cells.cut(line);
            layout
                .places
                .iter()
                .filter(|(_, field)| matches!(field, Field::Source | Field::Destination))
                .all(|(at, _)| csv.cells.get(*at).is_some_and(|cell| ip(cell).is_some()))
        })
    }

    fn layout_of(&mut self, header: &[u8]) -> Result<Layout, Fault> {
        let header = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(header);
        let delimiter = self.mapping.delimiter.unwrap_or_else(|| {
            let count = |delimiter: &u8| header.iter().filter(|byte| *byte == delimiter).count();
            DELIMITERS.iter().copied().rev().max_by_key(count).unwrap_or(b',')
        });
        self.cells = Cells::new(delimiter);
        self.cells.cut(header.strip_prefix(b"#").unwrap_or(header));
        let names: Vec<String> = (0..self.cells.len())
            .map(|at| String::from_utf8_lossy(self.cells.get(at).unwrap_or_default()).trim().to_owned())
            .collect();
        let places =
            if self.mapping.columns.is_empty() { known(&names) } else { named(&self.mapping, &names)? };
        let has = |field| {
            places.iter().any(|(_, known)| *known == field)
                || self.mapping.constants.iter().any(|(known, _)| *known == field)
        };
        if !has(Field::Source) || !has(Field::Destination) {
            let shown = names.iter().take(40).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Fault::Input(format!(
                "no columns are known as the addresses of a flow; the columns are {shown}; say which is which in a mapping file"
            )));
        }
        Ok(Layout { header: header.to_vec(), delimiter, width: Some(names.len()), places })
    }

    /// Columns by number, for input without a header.
    fn numbered(&self) -> Result<Layout, Fault> {
        let mut places = Vec::new();
        for column in &self.mapping.columns {
            let number =
                column.name.parse::<usize>().ok().filter(|number| (1..=COLUMNS_MAX).contains(number));
            let number = number.ok_or_else(|| {
                Fault::Input(format!(
                    "`{}` is not the number of a column, which without a header counts from 1",
                    column.name
                ))
            })?;
            places.push((number - 1, column.field));
        }
        Ok(Layout {
            header: Vec::new(),
            delimiter: self.mapping.delimiter.unwrap_or(b','),
            width: None,
            places,
        })
    }
}

impl TextFormat for Csv {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if self.skip > 0 {
            self.skip -= 1;
            sink.header();
            return Ok(());
        }
        if self.layout.is_none() {
            if !self.mapping.headless {
                self.layout = Some(self.layout_of(text)?);
                sink.header();
                return Ok(());
            }
            let layout = self.numbered()?;
            self.cells = Cells::new(layout.delimiter);
            self.layout = Some(layout);
        }
        let Some(layout) = &self.layout else { return Ok(()) };
        if !layout.header.is_empty() && text == layout.header {
            // Files that were joined.
            sink.header();
            return Ok(());
        }
        self.cells.cut(text);
        if layout.width.is_some_and(|width| width != self.cells.len()) {
            let (found, expected) = (self.cells.len(), layout.width.unwrap_or_default());
            return Err(format!("the record has {found} values; the header names {expected}").into());
        }
        let mut values = NONE;
        for (at, field) in &layout.places {
            let cell = self.cells.get(*at).ok_or_else(|| format!("the record has no column {}", at + 1))?;
            if values[*field as usize].is_empty() {
                values[*field as usize] = cell;
            }
        }
        record::take(&self.mapping, self.source, values, sink)
    }
}

/// The columns with well-known names; the best named one for each field.
pub(super) fn known(names: &[String]) -> Vec<(usize, Field)> {
    let mut found: Vec<(usize, usize, Field)> = names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| Field::of_header(name).map(|(field, rank)| (rank, at, field)))
        .collect();
    found.sort_by_key(|(rank, at, _)| (*rank, *at));
    found.into_iter().map(|(_, at, field)| (at, field)).collect()
}

/// The columns that the mapping names; all have to be there, of several for one field at least one.
pub(super) fn named(mapping: &Mapping, names: &[String]) -> Result<Vec<(usize, Field)>, Fault> {
    let mut places = Vec::new();
    for column in &mapping.columns {
        let at = names.iter().position(|name| *name == column.name);
        let at = at.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(&column.name)));
        if let Some(at) = at {
            places.push((column.rank, at, column.field));
        }
    }
    for column in &mapping.columns {
        if !places.iter().any(|(_, _, field)| *field == column.field) {
            let shown = names.iter().take(40).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Fault::Input(format!(
                "the mapping says that `{}` is the column `{}`, and the header has none of that name; it has {shown}",
                column.field.name(),
                column.name
            )));
        }
    }
    places.sort_by_key(|(rank, ..)| *rank);
    Ok(places.into_iter().map(|(_, at, field)| (at, field)).collect())
}

/// The cells of a line, unquoted.
struct Cells {
    delimiter: u8,
    quoted: Reader,
    text: Vec<u8>,
    /// Where each cell begins and ends in `text`.
    spans: Vec<(usize, usize)>,
    ends: Vec<usize>,
}

impl Cells {
    fn new(delimiter: u8) -> Self {
        let quoted = ReaderBuilder::new().delimiter(delimiter).build();
        Self { delimiter, quoted, text: Vec::new(), spans: Vec::new(), ends: vec![0; 64] }
    }

    fn len(&self) -> usize {
        self.spans.len()
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        let (from, to) = *self.spans.get(at)?;
        self.text.get(from..to)
    }

    fn cut(&mut self, line: &[u8]) {
        self.spans.clear();
        self.text.clear();
        if memchr::memchr(b'"', line).is_none() {
            self.text.extend_from_slice(line);
            let mut from = 0;
            for at in memchr::memchr_iter(self.delimiter, line) {
                self.spans.push((from, at));
                from = at + 1;
            }
            self.spans.push((from, line.len()));
            return;
        }
        self.text.resize(line.len() + 1, 0);
        self.quoted.reset();
        let (mut input, mut written, mut cells, mut last) = (line, 0, 0, false);
        loop {
            let (outcome, read, wrote, ended) =
                self.quoted.read_record(input, &mut self.text[written..], &mut self.ends[cells..]);
            input = &input[read..];
            (written, cells) = (written + wrote, cells + ended);
            match outcome {
                // The second empty input says that there is nothing more.
                ReadRecordResult::InputEmpty if !last => (input, last) = (&[], true),
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() < COLUMNS_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0)
                }
                _ => break,
            }
        }
        let mut from = 0;
        for end in &self.ends[..cells] {
            self.spans.push((from, *end));
            from = *end;
        }
    }
}
