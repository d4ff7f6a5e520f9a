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
//! A file is taken whole or not at all: an inventory with a hole would leave a workload outside every policy. All
//! problems are reported together, each with file, line and column.

mod assemble;
mod csv;
mod json;
mod problem;
mod row;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::{SourceLocation, Workload, WorkloadId};

pub use problem::{Fault, Problem, Refused};

/// Files larger than this are refused (256 MiB): a list is held in memory whole.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// What the files say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assets {
    /// Workloads, sorted by id. No two own one address at one time.
    pub workloads: Vec<Workload>,
    /// Where each workload is first written.
    pub locations: BTreeMap<WorkloadId, SourceLocation>,
}

/// Reads files and folders; of a folder, its `.csv`, `.tsv`, `.json`, `.ndjson` and `.jsonl` files, in order of name.
///
/// # Errors
/// [`Refused`] with every problem found, in any of the files.
pub fn read_paths(paths: &[PathBuf]) -> Result<Assets, Refused> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match expand(path) {
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
    if problems.is_empty() { read(&texts) } else { Err(Refused::new(problems)) }
}

/// Reads the content of files, each with the name that problems shall call it by. CSV or JSON is told by the first
/// character.
///
/// # Errors
/// [`Refused`] with every problem found.
pub fn read(files: &[(String, Vec<u8>)]) -> Result<Assets, Refused> {
    let mut problems = Vec::new();
    let mut assembly = assemble::Assembly::default();
    for (file, bytes) in files {
        let mut found = Vec::new();
        match row::text(bytes) {
            Ok(text) => {
                let rows = if text.trim_start().starts_with(['[', '{']) {
                    json::rows(text, &mut found)
                } else {
                    csv::rows(text, &mut found)
                };
                for row in rows {
                    assembly.add(file, row, &mut found);
                }
                problems.extend(found.into_iter().map(|flaw| flaw.at(file, text)));
            }
            Err(flaw) => problems.push(flaw.at(file, "")),
        }
    }
    if !problems.is_empty() {
        return Err(Refused::new(problems));
    }
    assembly.finish().map_err(Refused::new)
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, Problem> {
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
        if file.is_file() && file.extension().is_some_and(known) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Problem::of_file(path, Fault::EmptyFolder)) } else { Ok(files) }
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
