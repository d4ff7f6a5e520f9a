//! What CSV and JSON have in common: cells with their places, and the names of columns.

use crate::problem::{Fault, Flaw};

/// A place in a text, both from 1; columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    /// The place of a byte offset, given the offsets at which lines start. Beyond a kilobyte of line, columns count
    /// bytes: a minified file is one line, and counting its characters for every value would take forever.
    pub(crate) fn of(text: &str, line_starts: &[usize], offset: usize) -> Self {
        let line = line_starts.partition_point(|start| *start <= offset);
        let start = line_starts.get(line.wrapping_sub(1)).copied().unwrap_or_default();
        let before = text.get(start..offset).unwrap_or_default();
        let column = if before.len() > 1024 { before.len() } else { before.chars().count() };
        Self { line: line as u32, column: column as u32 + 1 }
    }
}

/// The offsets at which lines start, ascending; the first is 0.
pub(crate) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// A piece of text and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Cell {
    pub(crate) fn flaw(&self, fault: impl FnOnce(String) -> Fault) -> Flaw {
        Flaw::new(self.place, fault(self.text.clone()))
    }
}

/// An address as written, with its own interval where JSON gives one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pub(crate) ip: Cell,
    pub(crate) from: Option<Cell>,
    pub(crate) to: Option<Cell>,
}

/// One workload as one row says it; absent and blank are the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) place: Place,
    pub(crate) id: Option<Cell>,
    pub(crate) name: Option<Cell>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) from: Option<Cell>,
    pub(crate) to: Option<Cell>,
    pub(crate) criticality: Option<Cell>,
    /// Key and value.
    pub(crate) labels: Vec<(String, Cell)>,
}

impl Row {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            id: None,
            name: None,
            addresses: Vec::new(),
            from: None,
            to: None,
            criticality: None,
            labels: Vec::new(),
        }
    }

    /// Takes a plain text for a column.
    pub(crate) fn set(&mut self, column: &Column, cell: Cell, flaws: &mut Vec<Flaw>) {
        if cell.text.is_empty() {
            return;
        }
        match column {
            Column::Id => self.id = Some(cell),
            Column::Name => self.name = Some(cell),
            Column::Ip => self.addresses.extend(pieces(&cell, ';').into_iter().map(|ip| Address {
                ip,
                from: None,
                to: None,
            })),
            Column::From => self.from = Some(cell),
            Column::To => self.to = Some(cell),
            Column::Criticality => self.criticality = Some(cell),
            Column::Labels => {
                for piece in pieces(&cell, ',') {
                    match piece.text.split_once('=') {
                        Some((key, value)) if legal_key(key.trim()) && !value.trim().is_empty() => {
                            let value = Cell { text: value.trim().to_owned(), place: piece.place };
                            self.labels.push((key.trim().to_owned(), value));
                        }
                        _ => flaws.push(piece.flaw(Fault::Label)),
                    }
                }
            }
            Column::Label(key) => self.labels.push((key.clone(), cell)),
        }
    }
}

/// The parts of a cell between separators, trimmed, blank ones left out, each with its own place.
fn pieces(cell: &Cell, separator: char) -> Vec<Cell> {
    let mut found = Vec::new();
    let mut column = cell.place.column;
    for piece in cell.text.split(separator) {
        let lead = piece.chars().take_while(|c| c.is_whitespace()).count() as u32;
        let text = piece.trim();
        if !text.is_empty() {
            let place = Place { line: cell.place.line, column: column + lead };
            found.push(Cell { text: text.to_owned(), place });
        }
        column += piece.chars().count() as u32 + 1;
    }
    found
}

/// What a column or key means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    Id,
    Name,
    Ip,
    From,
    To,
    Criticality,
    Labels,
    Label(String),
}

const NAMES: [(&str, Column); 18] = [
    ("id", Column::Id),
    ("workload", Column::Id),
    ("asset", Column::Id),
    ("asset_id", Column::Id),
    ("name", Column::Name),
    ("hostname", Column::Name),
    ("host", Column::Name),
    ("ip", Column::Ip),
    ("ips", Column::Ip),
    ("address", Column::Ip),
    ("addresses", Column::Ip),
    ("ip_address", Column::Ip),
    ("from", Column::From),
    ("valid_from", Column::From),
    ("to", Column::To),
    ("valid_to", Column::To),
    ("criticality", Column::Criticality),
    ("labels", Column::Labels),
];

impl Column {
    /// The meaning of a header's name; a name that is nearly a known one is a flaw, any other legal one is a label.
    pub(crate) fn named(name: &str) -> Result<Self, Box<Fault>> {
        let plain = name.trim().to_lowercase().replace([' ', '-'], "_");
        let plain = match plain.as_str() {
            "ip_addresses" => "ips",
            "tags" => "labels",
            other => other,
        };
        if let Some((_, column)) = NAMES.iter().find(|(known, _)| *known == plain) {
            return Ok(column.clone());
        }
        // Short names are near to everything; only long ones can be told to be misspelled.
        let near = |known: &&(&'static str, Self)| {
            known.0.len() >= 6 && distance(known.0, plain) <= if known.0.len() > 8 { 2 } else { 1 }
        };
        if let Some((meant, _)) = NAMES.iter().find(near) {
            return Err(Box::new(Fault::Misspelled { found: name.trim().to_owned(), meant }));
        }
        let key = name.trim();
        if legal_key(key) {
            Ok(Self::Label(key.to_owned()))
        } else {
            Err(Box::new(Fault::LabelKey(key.to_owned())))
        }
    }
}

/// Checks that a header says who and where; `found` are its names.
pub(crate) fn check_columns(columns: &[Column], found: &[&str], place: Place) -> Option<Flaw> {
    let missing = if !columns.iter().any(|c| matches!(c, Column::Id | Column::Name)) {
        "id"
    } else if !columns.contains(&Column::Ip) {
        "ip"
    } else {
        return None;
    };
    let wanted = if missing == "id" { Column::Id } else { Column::Ip };
    let known = NAMES.iter().filter(|(_, column)| *column == wanted).map(|(name, _)| *name);
    let nearness = |name: &str| known.clone().map(|known| distance(known, &name.to_lowercase())).min();
    let closest = columns
        .iter()
        .zip(found)
        .filter(|(column, _)| matches!(column, Column::Label(_)))
        .filter_map(|(_, name)| Some((nearness(name)?, *name)))
        .filter(|(far, name)| *far <= 2 && *far < name.chars().count())
        .min()
        .map(|(_, name)| name.to_owned());
    let shown: Vec<String> = found.iter().take(12).map(|name| format!("`{name}`")).collect();
    let found = if found.len() > 12 { format!("{}, ..", shown.join(", ")) } else { shown.join(", ") };
    Some(Flaw::new(place, Fault::MissingColumn { missing, found, closest }))
}

/// The file's bytes as text, without a byte order mark.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Flaw> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        Flaw::new(Place::of(good, &line_starts(good), good.len()), Fault::NotText)
    })?;
    if text.trim().is_empty() {
        return Err(Flaw::new(Place { line: 1, column: 1 }, Fault::Empty));
    }
    Ok(text)
}

pub(crate) fn legal_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

/// Edits (insert, delete, replace, swap of neighbours) between two names: the optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}
