//! The lake: flows and their sums in Parquet files, queried with DataFusion, with a SQLite state store beside them.
//!
//! ```text
//! ROOT/state.db                                      manifest, imports, workloads, documents
//! ROOT/lake.lock                                     held by the one writer
//! ROOT/flows/v1/dt=2026-11-20/hr=08/*.parquet        flows as imported, each file sorted by start
//! ROOT/edges_1h/v1/dt=2026-11-20/*.parquet           sums by (hour, exporter, client, server, service)
//! ROOT/edges_1d/v1/dt=2026-11-20/*.parquet           the same by day
//! ROOT/quarantine/                                   damaged files that were set aside
//! ```
//!
//! A file is part of the lake when the manifest lists it, and only then. An import writes its files under temporary
//! names, makes them durable, renames them, and commits their names in one transaction together with the identity of
//! their source: a crash at any moment leaves either all of it or nothing, and a source is never stored twice. Files
//! that no manifest lists are removed when a writer opens the lake.
//!
//! What a query for edges costs grows with the sums in the window, not with the flows: whole days come from `edges_1d`,
//! whole hours from `edges_1h`, and only the hours that a window cuts from the flows.

mod assets;
mod coverage;
mod decode;
mod documents;
mod edges;
mod encode;
mod engine;
mod error;
mod flows;
mod health;
mod import;
mod layout;
mod part;
mod schema;
mod spool;
mod state;
mod sums;
mod words;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Micros, TimeWindow};

pub use assets::{AssetReceipt, Storing, identity_changes};
pub use documents::Document;
pub use edges::EdgeQuery;
pub use error::{Damage, LakeError};
pub use flows::{FlowFilter, FlowGroup, FlowKey};
pub use health::Stats;
pub use import::{Begun, ImportReceipt, ImportTx, SourceIdentity};
pub use layout::{DAY_US, HOUR_US, Relation};
pub use words::{Words, WordsReceipt};

/// An open lake. One process writes to it at a time; any number read.
#[derive(Debug)]
pub struct Lake {
    root: PathBuf,
    state: state::State,
    engine: engine::Engine,
    /// Held while this is open for writing; the operating system lets go of it when the process dies.
    lock: Option<File>,
    /// See [`Lake::resolve_late`].
    late_us: Micros,
}

impl Lake {
    /// Opens a lake for reading and writing, makes it if there is none, and removes what unfinished imports left.
    ///
    /// # Errors
    /// When another process writes to it, the folder cannot be written to, its state was lost, or is from a later version.
    pub fn open(root: &Path) -> Result<Self, LakeError> {
        fs::create_dir_all(root).map_err(|cause| LakeError::io("make the folder", root, cause))?;
        let lock = lock(root)?;
        let path = root.join("state.db");
        // A state made anew lists no file, and what no state lists is removed: never the flows of a lake whose state was lost.
        let empty = |name: &str| fs::metadata(root.join(name)).map_or(true, |found| found.len() == 0);
        let anew = empty("state.db") && empty("state.db-wal");
        if anew && !layout::stored_files(root)?.is_empty() {
            return Err(LakeError::StateLost(root.to_path_buf()));
        }
        let state = state::State::open(&path)?;
        let (root, engine) = (root.to_path_buf(), engine::Engine::default());
        let lake = Self { root, state, engine, lock: Some(lock), late_us: 0 };
        lake.remove_orphans()?;
        Ok(lake)
    }

    /// Opens a lake as [`Lake::open`] does; while another process writes to it, waits so long for it, and calls `waiting`
    /// once, with whom it waits for.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open_patiently(
        root: &Path,
        patience: Duration,
        waiting: impl FnOnce(&LakeError),
    ) -> Result<Self, LakeError> {
        while_busy(patience, waiting, || Self::open(root))
    }

    /// Lets other processes write, until [`Lake::write_again`]: for who stores something every now and then.
    pub fn let_others_write(&mut self) {
        self.lock = None;
    }

    /// Becomes the one writer again, after [`Lake::let_others_write`]; waits as [`Lake::open_patiently`] does.
    ///
    /// # Errors
    /// When another process still writes, or the lock cannot be written.
    pub fn write_again(
        &mut self,
        patience: Duration,
        waiting: impl FnOnce(&LakeError),
    ) -> Result<(), LakeError> {
        if self.lock.is_none() {
            self.lock = Some(while_busy(patience, waiting, || lock(&self.root))?);
        }
        Ok(())
    }

    /// Opens a lake for reading only; others may write to it meanwhile.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or its state is from a later version.
    pub fn open_read(root: &Path) -> Result<Self, LakeError> {
        let path = root.join("state.db");
        if !path.exists() {
            return Err(LakeError::Absent(root.to_path_buf()));
        }
        let state = state::State::open_read(&path)?;
        let (root, engine) = (root.to_path_buf(), engine::Engine::default());
        Ok(Self { root, state, engine, lock: None, late_us: 0 })
    }

    /// Sets how much memory a query may have before it spills to disk or fails; 1 GiB unless told.
    pub fn limit_query_memory(&mut self, bytes: usize) {
        self.engine.limit_bytes = bytes;
    }

    /// Sets by how many microseconds a workload may be seen before its source knows of it: an address that nobody held
    /// belongs to its next holder that long before. None unless told.
    pub fn resolve_late(&mut self, us: Micros) {
        self.late_us = us.max(0);
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every import, in the order in which they were accepted.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn imports(&self) -> Result<Vec<ImportReceipt>, LakeError> {
        self.state.imports()
    }

    fn writable(&self) -> Result<(), LakeError> {
        if self.lock.is_some() { Ok(()) } else { Err(LakeError::ReadOnly) }
    }

    fn remove_orphans(&self) -> Result<(), LakeError> {
        let mut listed = BTreeSet::new();
        for relation in Relation::ALL {
            let files = self.state.files(relation, TimeWindow::ALL)?;
            listed.extend(files.into_iter().map(|file| self.root.join(file.path)));
        }
        for path in layout::stored_files(&self.root)? {
            if !listed.contains(&path) {
                fs::remove_file(&path).map_err(|cause| LakeError::io("remove", &path, cause))?;
            }
        }
        Ok(())
    }
}

/// How often to look whether another writer is done.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Tries until it is not another writer that is in the way, or patience is at its end.
fn while_busy<T>(
    patience: Duration,
    waiting: impl FnOnce(&LakeError),
    mut attempt: impl FnMut() -> Result<T, LakeError>,
) -> Result<T, LakeError> {
    let limit = Instant::now() + patience;
    let mut waiting = Some(waiting);
    loop {
        match attempt() {
            Err(busy @ LakeError::Busy { .. }) if Instant::now() < limit => {
                if let Some(waiting) = waiting.take() {
                    waiting(&busy);
                }
                std::thread::sleep(LOOK_AGAIN);
            }
            outcome => return outcome,
        }
    }
}

/// Takes the writer's lock, and notes who has it.
fn lock(root: &Path) -> Result<File, LakeError> {
    let path = root.join("lake.lock");
    let failed = |cause| LakeError::io("write", &path, cause);
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = known.then(|| holder.trim().to_owned());
            return Err(LakeError::Busy { root: root.to_path_buf(), holder });
        }
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    // The note is for people; a disk too full for it shall not stop a repair.
    let mut note = || -> std::io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    let _ = note();
    Ok(file)
}
