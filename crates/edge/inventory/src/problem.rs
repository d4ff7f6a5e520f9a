//! What can be wrong with a list of assets, said so that it can be mended.

use std::fmt;
use std::path::Path;

use model::{SourceLocation, TimeWindow, WorkloadId, format_time};
use netset::Ip;

use crate::row::Place;

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The operating system refused.
    #[error("cannot read it: {0}")]
    Unreadable(String),
    /// Larger than [`crate::MAX_FILE_BYTES`]; holds the size in bytes.
    #[error("{0} bytes are more than the 256 MiB that a list of assets may have; split the file")]
    TooLarge(u64),
    /// A folder without lists.
    #[error(
        "the folder holds no .csv, .tsv, .json, .ndjson or .jsonl file, and no export that is recognised"
    )]
    EmptyFolder,
    /// Nothing in it.
    #[error("the file is empty; expected a CSV header with columns id, ip, or a JSON array of objects")]
    Empty,
    /// Not UTF-8.
    #[error("not UTF-8 text; save the file as UTF-8")]
    NotText,
    /// JSON that does not parse; holds the reason.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// A record of a system's export that cannot be read; holds the reason.
    #[error("{0}")]
    Record(String),
    /// A name that no connector has.
    #[error("there is no inventory format `{name}`; there are {known}, and `auto`")]
    UnknownFormat {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A JSON value of the wrong kind.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A quote without its partner.
    #[error("this quote is never closed; double a quote inside a cell (`\"\"`)")]
    OpenQuote,
    /// A row of another width than the header.
    #[error(
        "the row has {cells} cells, the header has {columns} columns; quote cells that hold the separator"
    )]
    Width {
        /// Cells in the row.
        cells: usize,
        /// Columns in the header.
        columns: usize,
    },
    /// A column or key that must be there is not.
    #[error("expected columns id, ip (and optionally name, from, to, criticality, labels), found {found}: `{missing}` is missing{}", hint(.closest))]
    MissingColumn {
        /// Which.
        missing: &'static str,
        /// Those that are there.
        found: String,
        /// The one that may be meant.
        closest: Option<String>,
    },
    /// A column or key that looks like a misspelled one.
    #[error("unknown column `{found}`; did you mean `{meant}`? rename it (every other name becomes a label)")]
    Misspelled {
        /// As written.
        found: String,
        /// What it resembles.
        meant: &'static str,
    },
    /// One column twice.
    #[error("column `{0}` stands twice")]
    Repeated(String),
    /// A row that says nothing of who it is.
    #[error("the workload has neither `id` nor `name`")]
    Nameless,
    /// Not an address.
    #[error("`{0}` is not an IPv4 or IPv6 address")]
    Address(String),
    /// A block where an address belongs.
    #[error("`{0}` is a block of addresses; a workload owns single addresses: list them, separated by `;`")]
    Block(String),
    /// Not a time.
    #[error("`{0}` is not a time; write RFC 3339 such as `2026-11-20T08:00:00Z`")]
    Time(String),
    /// An interval that ends before it starts.
    #[error("the address is owned from {} to {}, which is no time at all", format_time(*.from), format_time(*.to))]
    Backwards {
        /// Start.
        from: i64,
        /// End.
        to: i64,
    },
    /// Not a criticality.
    #[error("`{0}` is not a criticality; write `low`, `medium`, `high` or `critical`")]
    Criticality(String),
    /// Not `key=value`.
    #[error("`{0}` is not a label; write `key=value`, several separated by `,`")]
    Label(String),
    /// A key that no selector could name.
    #[error("`{0}` cannot be a label's key; use letters, digits and `-_./`")]
    LabelKey(String),
    /// Two rows of one workload disagree.
    #[error("`{workload}` has {what} `{second}` here, but `{first}` at {location}")]
    Disagree {
        /// Who.
        workload: WorkloadId,
        /// About what.
        what: String,
        /// What the first row says.
        first: String,
        /// What this row says.
        second: String,
        /// The first row.
        location: SourceLocation,
    },
    /// Two workloads own one address at one time.
    #[error("`{second}` owns {ip} {}, but so does `{first}` at {location}; give both rows `from` and `to` that do not overlap", during(.window))]
    SharedAddress {
        /// The address.
        ip: Ip,
        /// Who owns it too.
        first: WorkloadId,
        /// Where that is written.
        location: SourceLocation,
        /// Who owns it here.
        second: WorkloadId,
        /// When both do.
        window: TimeWindow,
    },
}

fn hint(closest: &Option<String>) -> String {
    closest.as_ref().map_or_else(String::new, |name| format!("; did you mean it by `{name}`?"))
}

fn during(window: &TimeWindow) -> String {
    match (window.from > i64::MIN, window.to < i64::MAX) {
        (true, true) => format!("from {} to {}", format_time(window.from), format_time(window.to)),
        (true, false) => format!("from {}", format_time(window.from)),
        (false, true) => format!("until {}", format_time(window.to)),
        (false, false) => String::from("at all times"),
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where; line 0 when it concerns the file as a whole.
    pub location: SourceLocation,
    /// What.
    pub fault: Box<Fault>,
    /// The line as written, cut at 200 characters; empty for a file as a whole.
    pub line: String,
}

impl Problem {
    pub(crate) fn of_file(path: &Path, fault: Fault) -> Self {
        let location = SourceLocation { file: path.display().to_string(), line: 0, column: 0 };
        Self { location, fault: Box::new(fault), line: String::new() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location.line {
            0 => write!(f, "{}: {}", self.location.file, self.fault)?,
            _ => write!(f, "{}: {}", self.location, self.fault)?,
        }
        if self.line.is_empty() { Ok(()) } else { write!(f, "\n  | {}", self.line) }
    }
}

/// A fault at a place of a file whose name is not at hand yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flaw {
    pub(crate) place: Place,
    pub(crate) fault: Box<Fault>,
}

impl Flaw {
    pub(crate) fn new(place: Place, fault: impl Into<Box<Fault>>) -> Self {
        Self { place, fault: fault.into() }
    }

    pub(crate) fn at(self, file: &str, text: &str) -> Problem {
        self.in_lines(file, &text.lines().collect::<Vec<_>>())
    }

    pub(crate) fn in_lines(self, file: &str, lines: &[&str]) -> Problem {
        let Place { line, column } = self.place;
        let written = lines.get((line as usize).wrapping_sub(1)).copied().unwrap_or_default();
        Problem {
            location: SourceLocation { file: file.to_owned(), line, column },
            fault: self.fault,
            line: written.trim_end().chars().take(200).collect(),
        }
    }
}

/// The lists were not taken; nothing of them was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What is wrong, at most [`Refused::MOST`] of it, in order of file and line.
    pub problems: Vec<Problem>,
    /// How many problems more there are.
    pub more: usize,
}

impl Refused {
    /// As many problems are kept.
    pub const MOST: usize = 100;

    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.location.cmp(&b.location));
        let more = problems.len().saturating_sub(Self::MOST);
        problems.truncate(Self::MOST);
        Self { problems, more }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.more > 0 { write!(f, "\nand {} problems more", self.more) } else { Ok(()) }
    }
}
impl std::error::Error for Refused {}
