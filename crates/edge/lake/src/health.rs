//! What the lake holds, whether it is whole, and what is done when it is not.

use std::fs::{self, File};
use std::io;

use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use model::TimeWindow;

use crate::Lake;
use crate::error::{Damage, LakeError};
use crate::layout::{Relation, sync_folder};
use crate::state::StoredFile;

/// What the lake holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Flows.
    pub flows: u64,
    /// First and last start of them, both included.
    pub window: Option<TimeWindow>,
    /// Rows of the sums by hour.
    pub hourly: u64,
    /// Rows of the sums by day.
    pub daily: u64,
    /// Accepted imports.
    pub imports: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flows that were in damaged files and are set aside.
    pub flows_lost: u64,
}

impl Lake {
    /// What the lake holds, by its manifest: costs nothing however much that is.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn stats(&self) -> Result<Stats, LakeError> {
        let mut stats = Stats::default();
        for relation in Relation::ALL {
            for file in self.state.files(relation, TimeWindow::ALL)? {
                stats.files += 1;
                stats.bytes += file.bytes;
                *match relation {
                    Relation::Flows => &mut stats.flows,
                    Relation::Hourly => &mut stats.hourly,
                    Relation::Daily => &mut stats.daily,
                } += file.rows;
            }
        }
        stats.window = self.state.extent(Relation::Flows)?;
        stats.imports = self.state.imports()?.len() as u64;
        // An import that was done again is listed under its old number no longer: what it had lost is back.
        let lost = "SELECT coalesce(sum(rows), 0) FROM quarantined WHERE relation = 'flows' \
                    AND import IN (SELECT id FROM imports)";
        let lost: Result<i64, _> = self.state.connection.query_row(lost, [], |row| row.get(0));
        stats.flows_lost = lost.map_err(self.state.failed("read what was set aside"))? as u64;
        Ok(stats)
    }

    /// Looks at every file: whether it is there and has its size, and, when asked to be thorough, whether it can be read
    /// to its end.
    ///
    /// # Errors
    /// When the state cannot be read, or a file may not be read. Damage is not an error here.
    pub fn check(&self, thorough: bool) -> Result<Vec<Damage>, LakeError> {
        let mut found = Vec::new();
        for relation in Relation::ALL {
            for file in self.state.files(relation, TimeWindow::ALL)? {
                found.extend(self.damage(&file, thorough)?);
            }
        }
        Ok(found)
    }

    /// Sets a damaged file aside, below `quarantine/`, so that the rest of the lake can be used. What the file held is
    /// lost to queries, and [`Stats::flows_lost`] counts it; importing its source again with
    /// [`Lake::begin_import_again`] brings it back.
    ///
    /// # Errors
    /// When the file cannot be moved or the state cannot be written.
    pub fn quarantine(&mut self, damage: &Damage) -> Result<(), LakeError> {
        self.writable()?;
        // First the manifest: after a crash between the two steps the file is an orphan, and is removed.
        self.state.quarantine(&damage.path, &damage.reason)?;
        let (from, to) = (self.root.join(&damage.path), self.root.join("quarantine").join(&damage.path));
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|cause| LakeError::io("make the folder", folder, cause))?;
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(LakeError::io("move", &from, cause)),
            Ok(()) => sync_folder(folder),
        }
    }

    /// Runs a query on files that are whole as far as can be seen; when it fails, looks for a file that is the reason.
    pub(crate) fn guarded<T>(
        &self,
        files: &[StoredFile],
        run: impl FnOnce() -> Result<T, DataFusionError>,
    ) -> Result<T, LakeError> {
        for file in files {
            if let Some(damage) = self.damage(file, false)? {
                return Err(LakeError::Damaged(damage));
            }
        }
        run().or_else(|error| {
            let error = LakeError::query(&error, self.engine.limit_bytes);
            if matches!(error, LakeError::Memory { .. }) {
                return Err(error);
            }
            for file in files {
                if let Some(damage) = self.damage(file, true)? {
                    return Err(LakeError::Damaged(damage));
                }
            }
            Err(error)
        })
    }

    fn damage(&self, file: &StoredFile, thorough: bool) -> Result<Option<Damage>, LakeError> {
        let path = self.root.join(&file.path);
        let reason = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(String::from("it is missing")),
            Err(cause) => return Err(LakeError::io("read", &path, cause)),
            Ok(found) if found.len() != file.bytes => {
                Some(format!("it has {} bytes, and {} were written", found.len(), file.bytes))
            }
            Ok(_) if thorough => {
                let opened = File::open(&path).map_err(|cause| LakeError::io("read", &path, cause))?;
                unreadable(opened, file.rows)
            }
            Ok(_) => None,
        };
        let damage = |reason| Damage {
            path: file.path.clone(),
            root: self.root.clone(),
            reason,
            rows: file.rows,
            window: TimeWindow { from: file.from, to: file.to },
            relation: file.relation,
        };
        Ok(reason.map(damage))
    }
}

/// Why a Parquet file cannot be read to its end, if so.
fn unreadable(file: File, expected: u64) -> Option<String> {
    let reader = match ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build()) {
        Ok(reader) => reader,
        Err(error) => return Some(error.to_string()),
    };
    let mut rows = 0;
    for batch in reader {
        match batch {
            Ok(batch) => rows += batch.num_rows() as u64,
            Err(error) => return Some(error.to_string()),
        }
    }
    (rows != expected).then(|| format!("it has {rows} rows, and {expected} were written"))
}
