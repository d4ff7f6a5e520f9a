//! Who exists, read from files: CSV or JSON lists of assets become [`model::Workload`]s.
//!
//! # What a file holds
//! One row (CSV, with a header) or one object (JSON array, `{"workloads": [..]}`, or one object a line) per workload:
//!
//! | column or key | also called | meaning |
//! |---|---|---|
//! | `id` | `workload`, `asset`, `asset_id` | identity, stable over time; `name` stands in when it is absent |
//! | `name` | `hostname`, `host` | what people call it; the id when absent |
//! | `ip` | `ips`, `address`, `addresses`, `ip_address`, `ip_addresses` | addresses; several separated by `;` (CSV) or in an array; in JSON also objects `{"ip", "from", "to"}` |
//! | `from`, `to` | `valid_from`, `valid_to` | the addresses belong to it from (included) to (excluded), RFC 3339; open when absent |
//! | `criticality` | | `low`, `medium`, `high` or `critical` |
//! | `labels` | `tags` | `key=value,key=value`, or an object |
//! | any other | | a label of that key |
//!
//! Several rows with one id describe one workload: their addresses add up (this is how an address that moved is
//! written), and what else they say must agree.
//!
//! A list is taken whole or not at all: an inventory with a hole would leave a workload outside every policy. All
//! problems are reported together, each with file, line and column.
//!
//! # What systems write
//! Exports of systems that know who exists are read by [`CONNECTORS`], recognised by their content. Of these a bad record
//! costs that record only. [`read_sources`] reads both kinds: what several sources say of one thing, known by what stays
//! of it (an instance id, a hardware address), becomes one workload.

mod assemble;
mod connector;
mod connectors;
mod csv;
mod json;
#[cfg(test)]
mod laws;
mod problem;
mod reading;
mod records;
mod row;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use model::{SourceLocation, Workload, WorkloadId};

pub use connector::{CONNECTORS, Connector, ReadOptions, find};
pub use problem::{Fault, Problem, Refused};
pub use reading::{Ended, FileReport, Known, Reading};

/// Files larger than this are refused (256 MiB): a list is held in memory whole.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// What lists say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assets {
    /// Workloads, sorted by id. No two own one address at one time.
    pub workloads: Vec<Workload>,
    /// Where each workload is first written.
    pub locations: BTreeMap<WorkloadId, SourceLocation>,
}

/// Reads lists in files and folders; of a folder, its `.csv`, `.tsv`, `.json`, `.ndjson` and `.jsonl` files, in order of
/// name.
///
/// # Errors
/// [`Refused`] with every problem found, in any of the files.
pub fn read_paths(paths: &[PathBuf]) -> Result<Assets, Refused> {
    read(&load_all(paths, Some(&connectors::list::CONNECTOR))?)
}

/// Reads lists that are at hand, each with the name that problems shall call it by. CSV or JSON is told by the first
/// character.
///
/// # Errors
/// [`Refused`] with every problem found.
pub fn read(files: &[(String, Vec<u8>)]) -> Result<Assets, Refused> {
    let (known, options) = (Known::default(), ReadOptions::default());
    let reading = reading::read(files, Some(&connectors::list::CONNECTOR), &options, &known)?;
    let workloads = reading.accounts.into_iter().flat_map(|account| account.workloads).collect();
    Ok(Assets { workloads, locations: reading.locations })
}

/// Reads lists and exports of systems in files and folders, all in one format or, with `auto`, each in the one that its
/// content shows. `known` is what earlier readings knew things by. The order of files does not matter.
///
/// # Errors
/// [`Refused`] when a file cannot be read or a list is not sound; nothing is taken then.
pub fn read_sources(
    paths: &[PathBuf],
    format: &str,
    options: &ReadOptions,
    known: &Known,
) -> Result<Reading, Refused> {
    let connector = match format {
        "auto" => None,
        name => Some(find(name).ok_or_else(|| unknown(name))?),
    };
    reading::read(&load_all(paths, connector)?, connector, options, known)
}

fn unknown(name: &str) -> Refused {
    let known = CONNECTORS.iter().map(|c| format!("`{}`", c.name)).collect::<Vec<_>>().join(", ");
    Refused::new(vec![Problem::of_file(
        Path::new("-"),
        Fault::UnknownFormat { name: name.to_owned(), known },
    )])
}

/// The content of files and folders, in order of name.
fn load_all(paths: &[PathBuf], connector: Option<&Connector>) -> Result<Vec<(String, Vec<u8>)>, Refused> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match expand(path, connector) {
            Ok(found) => files.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    let mut texts = Vec::new();
    for path in &files {
        match load(path) {
            Ok(bytes) => texts.push((path.display().to_string(), bytes)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(Refused::new(problems)) }
}

fn expand(path: &Path, connector: Option<&Connector>) -> Result<Vec<PathBuf>, Problem> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let failed = |error: std::io::Error| Problem::of_file(path, Fault::Unreadable(error.to_string()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let known = |end: &std::ffi::OsStr| {
            ["csv", "tsv", "json", "ndjson", "jsonl"].iter().any(|known| end.eq_ignore_ascii_case(known))
        };
        if file.is_file() && (file.extension().is_some_and(known) || recognised(&file, connector)) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Problem::of_file(path, Fault::EmptyFolder)) } else { Ok(files) }
}

/// Whether a file that is not called as a list begins like what a system writes.
fn recognised(path: &Path, connector: Option<&Connector>) -> bool {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|f| f.take(connector::HEAD_BYTES as u64).read_to_end(&mut head));
    // A character may be cut at the end.
    let text = match std::str::from_utf8(&head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let found = connector::detect(text);
    read.is_ok() && found.name != model::LIST && connector.is_none_or(|wanted| wanted.name == found.name)
}

fn load(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error: std::io::Error| Problem::of_file(path, Fault::Unreadable(error.to_string()));
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Problem::of_file(path, Fault::TooLarge(size)));
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests;
