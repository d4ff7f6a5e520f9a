//! What can go wrong with a lake, said so that it can be mended.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;
use model::{AddressConflict, format_time};

/// Why an operation on the lake failed. Nothing that was reported as accepted before is lost by any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// There is no lake here yet.
    #[error("no lake at `{}`; `ringfence import` makes one", .0.display())]
    Absent(PathBuf),
    /// Another process writes.
    #[error("`{}` is being written to by another ringfence{}; wait until it is done, or stop it", .root.display(), by(.holder))]
    Busy {
        /// The lake.
        root: PathBuf,
        /// The other's process id, as it noted it.
        holder: Option<String>,
    },
    /// Files without the state that says what they are.
    #[error("`{}` holds flows, but its state.db is gone or empty; restore it from a backup, or move the folder away and import again", .0.display())]
    StateLost(PathBuf),
    /// A reader was asked to write.
    #[error("the lake was opened for reading only")]
    ReadOnly,
    /// The state was written by a later version.
    #[error("`{}` was written by a newer ringfence (state version {found}, this one knows up to {known}); upgrade ringfence", .path.display())]
    Newer {
        /// The state store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that this version knows.
        known: i64,
    },
    /// No space left, or over quota.
    #[error("no space left while writing `{}`; free some and run the command again: what was accepted before is kept, and nothing of this import was stored", .0.display())]
    DiskFull(PathBuf),
    /// Not allowed.
    #[error("may not {doing} `{}` ({cause}); check its owner and mode, and that the file system is mounted for writing", .path.display())]
    Permission {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Any other refusal of the operating system.
    #[error("cannot {doing} `{}`: {cause}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The state store failed.
    #[error("cannot {doing} in `{}`: {cause}", .path.display())]
    State {
        /// What was tried.
        doing: &'static str,
        /// The state store.
        path: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },
    /// A stored file cannot be read.
    #[error(
        "{0}; restore it from a backup, or run `ringfence doctor --repair` to set it aside and keep the rest"
    )]
    Damaged(Damage),
    /// A query failed for a reason that is not in the files.
    #[error("the query failed: {0}")]
    Query(String),
    /// The query needs more memory than it may have.
    #[error(
        "the query needs more than the {limit_mib} MiB of memory that it may have ({cause}); ask for a shorter window"
    )]
    Memory {
        /// The limit, in MiB.
        limit_mib: usize,
        /// What the engine said.
        cause: String,
    },
    /// Workloads that cannot stand together with those that are stored.
    #[error("{}; nothing was stored. Give the addresses `from` and `to`, or import the whole list with `--replace`, which ends what it no longer says", listed(.0))]
    SharedAddress(Vec<AddressConflict>),
    /// Something in the state that this version cannot read.
    #[error("`{what}` in `{}` is not as ringfence wrote it: {cause}", .path.display())]
    Malformed {
        /// The state store.
        path: PathBuf,
        /// Which entry.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map_or_else(String::new, |id| format!(" (process {id})"))
}

fn listed(conflicts: &[AddressConflict]) -> String {
    let shown: Vec<String> = conflicts.iter().take(5).map(ToString::to_string).collect();
    let more = conflicts.len().saturating_sub(5);
    if more > 0 { format!("{} (and {more} more)", shown.join("; ")) } else { shown.join("; ") }
}

/// A stored file that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file, below the lake's root.
    pub path: String,
    /// The lake.
    pub root: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Rows that it held.
    pub rows: u64,
    /// First and last start of those rows.
    pub window: model::TimeWindow,
    /// What it held.
    pub relation: crate::Relation,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, root, reason, rows, window, relation } = self;
        let (from, to) = (format_time(window.from), format_time(window.to));
        let file = root.join(path);
        write!(
            f,
            "`{}` is damaged: {reason} (it held {rows} {} from {from} to {to})",
            file.display(),
            relation.noun()
        )
    }
}

impl LakeError {
    /// Names an error of the operating system.
    pub(crate) fn io(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        let path = path.to_path_buf();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { doing, path, cause }
            }
            _ => Self::Io { doing, path, cause },
        }
    }

    /// Names an error of the state store.
    pub(crate) fn state(doing: &'static str, path: &Path, cause: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly};
        let path = path.to_path_buf();
        let kind = match cause.sqlite_error_code() {
            Some(DiskFull) => return Self::DiskFull(path),
            Some(ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
            Some(PermissionDenied | CannotOpen) => io::ErrorKind::PermissionDenied,
            _ => return Self::State { doing, path, cause },
        };
        Self::Permission { doing, path, cause: io::Error::new(kind, cause.to_string()) }
    }

    /// Names an error of the engine.
    pub(crate) fn query(cause: &DataFusionError, limit_bytes: usize) -> Self {
        match cause.find_root() {
            DataFusionError::ResourcesExhausted(said) => {
                Self::Memory { limit_mib: limit_bytes >> 20, cause: said.clone() }
            }
            root => Self::Query(root.strip_backtrace()),
        }
    }
}
