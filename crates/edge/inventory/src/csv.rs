//! CSV with a header (RFC 4180), separated by comma, semicolon or tab: whichever the header holds most.

use crate::problem::{Fault, Flaw};
use crate::row::{Cell, Column, Place, Row, check_columns};

/// The rows of a text that is not blank. Blank lines and lines that start with `#` are passed over.
pub(crate) fn rows(text: &str, flaws: &mut Vec<Flaw>) -> Vec<Row> {
    let mut reader = Reader { text, offset: 0, line: 1, separator: separator(text) };
    let Some(header) = reader.next_line(flaws) else { return Vec::new() };
    let Some(columns) = columns(&header, flaws) else { return Vec::new() };
    let mut found = Vec::new();
    while let Some(cells) = reader.next_line(flaws) {
        let place = cells[0].place;
        if cells.len() != columns.len() {
            let fault = Fault::Width { cells: cells.len(), columns: columns.len() };
            flaws.push(Flaw::new(place, fault));
            continue;
        }
        let mut row = Row::new(place);
        for (column, cell) in columns.iter().zip(cells) {
            row.set(column, cell, flaws);
        }
        found.push(row);
    }
    found
}

fn columns(header: &[Cell], flaws: &mut Vec<Flaw>) -> Option<Vec<Column>> {
    let before = flaws.len();
    let mut columns: Vec<Column> = Vec::new();
    for cell in header {
        match Column::named(&cell.text) {
            Ok(column) if columns.contains(&column) => flaws.push(cell.flaw(Fault::Repeated)),
            Ok(column) => columns.push(column),
            Err(fault) => flaws.push(Flaw::new(cell.place, fault)),
        }
    }
    if flaws.len() == before {
        let names: Vec<&str> = header.iter().map(|cell| cell.text.as_str()).collect();
        flaws.extend(check_columns(&columns, &names, header[0].place));
    }
    (flaws.len() == before).then_some(columns)
}

fn separator(text: &str) -> char {
    let header =
        text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    let count = |separator: &char| header.matches(*separator).count();
    // On a tie the last one wins: comma.
    ['\t', ';', ','].into_iter().max_by_key(count).unwrap_or(',')
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
    separator: char,
}

impl Reader<'_> {
    /// The cells of the next line that says something: at least one.
    fn next_line(&mut self, flaws: &mut Vec<Flaw>) -> Option<Vec<Cell>> {
        loop {
            let rest = self.text.get(self.offset..).filter(|rest| !rest.is_empty())?;
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            if rest[..end].trim().is_empty() || rest.starts_with('#') {
                self.offset += end;
                self.line += 1;
                continue;
            }
            return Some(self.cells(flaws));
        }
    }

    fn cells(&mut self, flaws: &mut Vec<Flaw>) -> Vec<Cell> {
        let mut cells = Vec::new();
        let mut column = 1;
        loop {
            let (cell, more) = self.cell(&mut column, flaws);
            cells.push(cell);
            if !more {
                return cells;
            }
        }
    }

    /// One cell, and whether another follows in the same row.
    fn cell(&mut self, column: &mut u32, flaws: &mut Vec<Flaw>) -> (Cell, bool) {
        let start = Place { line: self.line, column: *column };
        let rest = &self.text[self.offset..];
        let mut text = String::new();
        let mut quoted = false;
        let mut chars = rest.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            *column += 1;
            if quoted {
                match c {
                    '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                        text.push('"');
                        chars.next();
                        *column += 1;
                    }
                    '"' => quoted = false,
                    _ => {
                        text.push(c);
                        if c == '\n' {
                            self.line += 1;
                            *column = 1;
                        }
                    }
                }
            } else if c == '"' && text.trim().is_empty() {
                text.clear();
                quoted = true;
            } else if c == self.separator || c == '\n' {
                self.offset += at + c.len_utf8();
                if c == '\n' {
                    self.line += 1;
                }
                return (trimmed(&text, start), c == self.separator);
            } else {
                text.push(c);
            }
        }
        self.offset = self.text.len();
        if quoted {
            flaws.push(Flaw::new(start, Fault::OpenQuote));
        }
        (trimmed(&text, start), false)
    }
}

fn trimmed(text: &str, start: Place) -> Cell {
    let lead = text.chars().take_while(|c| c.is_whitespace()).count() as u32;
    Cell { text: text.trim().to_owned(), place: Place { column: start.column + lead, ..start } }
}
