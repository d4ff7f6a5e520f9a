//! Where things lie below the lake's root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use model::{Micros, format_time};

use crate::error::LakeError;

/// One hour.
pub const HOUR_US: Micros = 3_600_000_000;
/// One day.
pub const DAY_US: Micros = 24 * HOUR_US;

/// A kind of rows that the lake stores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Relation {
    /// Flows as imported: `flows/v1/dt=YYYY-MM-DD/hr=HH/`.
    Flows,
    /// Sums by hour: `edges_1h/v1/dt=YYYY-MM-DD/`.
    Hourly,
    /// Sums by day: `edges_1d/v1/dt=YYYY-MM-DD/`.
    Daily,
}

impl Relation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flows, Self::Hourly, Self::Daily];

    /// The folder, and the name in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Hourly => "edges_1h",
            Self::Daily => "edges_1d",
        }
    }

    /// What its rows are to a person.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Hourly => "hourly sums",
            Self::Daily => "daily sums",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relation| relation.name() == name)
    }

    /// How long the interval of one folder is.
    const fn unit(self) -> Micros {
        match self {
            Self::Flows => HOUR_US,
            Self::Hourly | Self::Daily => DAY_US,
        }
    }

    /// The folder of rows from one moment to another, below the root. Moments outside the years 1 to 9999 lie in the
    /// nearest; rows of more than one hour (or day) lie in a folder that names none.
    pub(crate) fn folder(self, from: Micros, to: Micros) -> String {
        if from.div_euclid(self.unit()) != to.div_euclid(self.unit()) {
            return match self {
                Self::Flows => format!("flows/v1/dt={SPREAD}/hr={SPREAD}"),
                Self::Hourly | Self::Daily => format!("{}/v1/dt={SPREAD}", self.name()),
            };
        }
        let time = format_time(from);
        let day = time.get(..10).unwrap_or("0001-01-01");
        match self {
            Self::Flows => format!("flows/v1/dt={day}/hr={}", time.get(11..13).unwrap_or("00")),
            Self::Hourly | Self::Daily => format!("{}/v1/dt={day}", self.name()),
        }
    }
}

/// Stands for the day and the hour of files whose few rows are of many of them.
const SPREAD: &str = "spread";

/// Names of files that are not committed start so; the engines of this world pass over names with a dot.
pub(crate) const TEMPORARY: &str = ".part-";

/// Makes what was done to the entries of a folder last: without it a rename may be undone by a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), LakeError> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(|cause| LakeError::io("write", path, cause))
}

/// Every Parquet file below the relations' folders, committed or not.
pub(crate) fn stored_files(root: &Path) -> Result<Vec<PathBuf>, LakeError> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = Relation::ALL.iter().map(|r| root.join(r.name())).collect();
    while let Some(folder) = folders.pop() {
        let failed = |cause| LakeError::io("read", &folder, cause);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "parquet") {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
