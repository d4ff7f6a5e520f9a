//! The state store: which files are part of the lake, which sources they came from, and what else is known.
//!
//! SQLite in WAL mode with full synchronisation: what was committed survives a power cut. Every change to the tables is
//! a migration; a store that was written by a later version is refused.

use std::path::{Path, PathBuf};

use model::{Micros, TimeWindow};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::Relation;
use crate::error::LakeError;
use crate::import::{Beside, ImportReceipt, SourceIdentity, now};
use crate::part::Part;

/// What each version of the store adds, in order; never changed once released.
const MIGRATIONS: [(&str, &str); 3] = [
    ("first tables", include_str!("migrations/1.sql")),
    ("coverage", include_str!("migrations/2.sql")),
    ("words of systems", include_str!("migrations/3.sql")),
];

/// An open store.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

/// A file of the manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredFile {
    pub(crate) path: String,
    pub(crate) relation: Relation,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// First and last start (or bucket), both included.
    pub(crate) from: Micros,
    pub(crate) to: Micros,
}

impl State {
    /// Opens for writing, makes or upgrades the tables.
    pub(crate) fn open(path: &Path) -> Result<Self, LakeError> {
        let failed = |cause| LakeError::state("open the state", path, cause);
        let connection = Connection::open(path).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        let state = Self { connection, path: path.to_path_buf() };
        state.migrate()?;
        Ok(state)
    }

    /// Opens for reading; a store on a read-only file system too. One without tables is none: whoever was making it was
    /// stopped, or is not done.
    pub(crate) fn open_read(path: &Path) -> Result<Self, LakeError> {
        let failed = |cause| LakeError::state("open the state", path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        let state = Self { connection, path: path.to_path_buf() };
        if state.version().is_ok() {
            return state.made();
        }
        // Without leave to make the shared-memory file beside it, a store can only be read as one that nobody changes.
        let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        let connection =
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).map_err(failed)?;
        Self { connection, path: path.to_path_buf() }.made()
    }

    /// The store, if it has its tables.
    fn made(self) -> Result<Self, LakeError> {
        match self.refuse_newer()? {
            0 => Err(LakeError::Absent(self.path.parent().unwrap_or(&self.path).to_path_buf())),
            _ => Ok(self),
        }
    }

    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> LakeError + '_ {
        move |cause| LakeError::state(doing, &self.path, cause)
    }

    fn version(&self) -> Result<i64, LakeError> {
        let failed = self.failed("read the version of the state");
        let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
        let tables: i64 = self.connection.query_row(known, [], |row| row.get(0)).map_err(&failed)?;
        if tables == 0 {
            return Ok(0);
        }
        let latest = "SELECT coalesce(max(version), 0) FROM migrations";
        self.connection.query_row(latest, [], |row| row.get(0)).map_err(failed)
    }

    fn refuse_newer(&self) -> Result<i64, LakeError> {
        let (found, known) = (self.version()?, MIGRATIONS.len() as i64);
        if found > known {
            return Err(LakeError::Newer { path: self.path.clone(), found, known });
        }
        Ok(found)
    }

    fn migrate(&self) -> Result<(), LakeError> {
        let done = self.refuse_newer()?;
        let failed = self.failed("upgrade the tables");
        for (index, (name, sql)) in MIGRATIONS.iter().enumerate().skip(done as usize) {
            let step = self.connection.unchecked_transaction().map_err(&failed)?;
            step.execute_batch(sql).map_err(&failed)?;
            let note = "INSERT INTO migrations (version, name, applied_us) VALUES (?1, ?2, ?3)";
            step.execute(note, params![index as i64 + 1, name, now()]).map_err(&failed)?;
            step.commit().map_err(&failed)?;
        }
        Ok(())
    }

    /// The import that stored a source.
    pub(crate) fn import_of(&self, source: &SourceIdentity) -> Result<Option<ImportReceipt>, LakeError> {
        let found = format!("{IMPORTS} WHERE sha256 = ?1 AND size = ?2 AND format = ?3");
        let key = params![source.sha256, source.size as i64, source.format];
        let receipt = self.connection.query_row(&found, key, receipt).optional();
        receipt.map_err(self.failed("look up the source"))
    }

    /// The number of the last import of a name and format.
    pub(crate) fn last_import_named(&self, source: &SourceIdentity) -> Result<Option<i64>, LakeError> {
        let query = "SELECT id FROM imports WHERE name = ?1 AND format = ?2 ORDER BY id DESC LIMIT 1";
        let found = self.connection.query_row(query, params![source.name, source.format], |row| row.get(0));
        found.optional().map_err(self.failed("look up the source"))
    }

    /// Number, SHA-256 and size of the imports of a name and format that are smaller than a source, the largest first.
    pub(crate) fn smaller_imports(
        &self,
        source: &SourceIdentity,
    ) -> Result<Vec<(i64, [u8; 32], u64)>, LakeError> {
        let failed = self.failed("look up the source");
        let mut query = self
            .connection
            .prepare(
                "SELECT id, sha256, size FROM imports \
                 WHERE name = ?1 AND format = ?2 AND size > 0 AND size < ?3 ORDER BY size DESC",
            )
            .map_err(&failed)?;
        let key = params![source.name, source.format, source.size as i64];
        let rows = query.query_map(key, |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64)));
        rows.map_err(&failed)?.collect::<Result<_, _>>().map_err(failed)
    }

    /// Every import, in the order in which they were accepted.
    pub(crate) fn imports(&self) -> Result<Vec<ImportReceipt>, LakeError> {
        let failed = self.failed("list the imports");
        let mut query = self.connection.prepare(&format!("{IMPORTS} ORDER BY id")).map_err(&failed)?;
        let rows = query.query_map([], receipt).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(crate) fn next_import(&self) -> Result<i64, LakeError> {
        let next = "SELECT coalesce(max(id), 0) + 1 FROM (SELECT id FROM imports UNION SELECT import FROM quarantined)";
        self.connection.query_row(next, [], |row| row.get(0)).map_err(self.failed("number the import"))
    }

    /// Makes an import part of the lake, and with it the import that it replaces no longer; gives the latter's files.
    pub(crate) fn commit_import(
        &self,
        receipt: &ImportReceipt,
        source: &SourceIdentity,
        files: &[Part],
        beside: &Beside<'_>,
        replaces: Option<i64>,
    ) -> Result<Vec<String>, LakeError> {
        let failed = self.failed("commit the import");
        let step = self.connection.unchecked_transaction().map_err(&failed)?;
        let mut replaced = Vec::new();
        if let Some(old) = replaces {
            let mut query =
                step.prepare("DELETE FROM files WHERE import = ?1 RETURNING path").map_err(&failed)?;
            let paths = query.query_map([old], |row| row.get(0)).map_err(&failed)?;
            replaced = paths.collect::<Result<_, _>>().map_err(&failed)?;
            drop(query);
            step.execute("DELETE FROM coverage WHERE import = ?1", [old]).map_err(&failed)?;
            step.execute("DELETE FROM imports WHERE id = ?1", [old]).map_err(&failed)?;
        }
        let (from, to) = (receipt.window.map(|w| w.from), receipt.window.map(|w| w.to));
        step.execute(
            "INSERT INTO imports (id, sha256, size, format, name, imported_us, flows, edges, from_us, to_us, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                receipt.id,
                source.sha256,
                source.size as i64,
                source.format,
                source.name,
                receipt.imported_at,
                receipt.flows as i64,
                receipt.edges as i64,
                from,
                to,
                receipt.bytes as i64
            ],
        )
        .map_err(&failed)?;
        let mut insert = step
            .prepare(
                "INSERT INTO files (path, relation, import, rows, bytes, from_us, to_us) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .map_err(&failed)?;
        for part in files {
            let Part { relation, path, rows, bytes, from, to, .. } = part;
            insert
                .execute(params![path, relation.name(), receipt.id, *rows as i64, *bytes as i64, from, to])
                .map_err(&failed)?;
        }
        drop(insert);
        self.store_coverage(receipt.id, source, beside.coverage)?;
        for (kind, key, body) in beside.documents {
            step.execute(
                "INSERT INTO documents (kind, key, version, recorded_us, body) \
                 SELECT ?1, ?2, coalesce(max(version), 0) + 1, ?3, ?4 FROM documents WHERE kind = ?1 AND key = ?2",
                params![kind, key, receipt.imported_at, body],
            )
            .map_err(&failed)?;
            // What was known beside earlier imports is of no more use.
            step.execute(
                "DELETE FROM documents WHERE kind = ?1 AND key = ?2 AND version < \
                 (SELECT max(version) FROM documents WHERE kind = ?1 AND key = ?2)",
                params![kind, key],
            )
            .map_err(&failed)?;
        }
        step.commit().map_err(&failed)?;
        Ok(replaced)
    }

    /// The files of a relation that hold anything of a window, in the order of time.
    pub(crate) fn files(&self, relation: Relation, window: TimeWindow) -> Result<Vec<StoredFile>, LakeError> {
        let failed = self.failed("read the manifest");
        let mut query = self
            .connection
            .prepare_cached(
                "SELECT path, relation, rows, bytes, from_us, to_us FROM files \
                 WHERE relation = ?1 AND from_us <= ?3 AND to_us >= ?2 ORDER BY from_us, path",
            )
            .map_err(&failed)?;
        // A window without an end holds the last moment too.
        let last = if window.to == Micros::MAX { window.to } else { window.to.saturating_sub(1) };
        let rows =
            query.query_map(params![relation.name(), window.from, last], stored_file).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// First and last start (or bucket) of a relation, both included.
    pub(crate) fn extent(&self, relation: Relation) -> Result<Option<TimeWindow>, LakeError> {
        let query = "SELECT min(from_us), max(to_us) FROM files WHERE relation = ?1";
        let extent = |row: &Row<'_>| {
            let (from, to): (Option<Micros>, Option<Micros>) = (row.get(0)?, row.get(1)?);
            Ok(from.zip(to).map(|(from, to)| TimeWindow { from, to }))
        };
        self.connection.query_row(query, [relation.name()], extent).map_err(self.failed("read the manifest"))
    }

    /// Moves a file out of the manifest.
    pub(crate) fn quarantine(&self, path: &str, reason: &str) -> Result<(), LakeError> {
        let failed = self.failed("set a file aside");
        let step = self.connection.unchecked_transaction().map_err(&failed)?;
        step.execute(
            "INSERT INTO quarantined (path, relation, import, rows, from_us, to_us, moved_us, reason) \
             SELECT path, relation, import, rows, from_us, to_us, ?2, ?3 FROM files WHERE path = ?1",
            params![path, now(), reason],
        )
        .map_err(&failed)?;
        step.execute("DELETE FROM files WHERE path = ?1", [path]).map_err(&failed)?;
        step.commit().map_err(&failed)
    }
}

const IMPORTS: &str =
    "SELECT id, name, format, imported_us, flows, edges, from_us, to_us, bytes FROM imports";

fn receipt(row: &Row<'_>) -> rusqlite::Result<ImportReceipt> {
    let (from, to): (Option<Micros>, Option<Micros>) = (row.get(6)?, row.get(7)?);
    Ok(ImportReceipt {
        id: row.get(0)?,
        name: row.get(1)?,
        format: row.get(2)?,
        imported_at: row.get(3)?,
        flows: row.get::<_, i64>(4)? as u64,
        edges: row.get::<_, i64>(5)? as u64,
        window: from.zip(to).map(|(from, to)| TimeWindow { from, to }),
        bytes: row.get::<_, i64>(8)? as u64,
    })
}

fn stored_file(row: &Row<'_>) -> rusqlite::Result<StoredFile> {
    let name: String = row.get(1)?;
    let unknown = || rusqlite::Error::InvalidColumnName(name.clone());
    Ok(StoredFile {
        path: row.get(0)?,
        relation: Relation::named(&name).ok_or_else(unknown)?,
        rows: row.get::<_, i64>(2)? as u64,
        bytes: row.get::<_, i64>(3)? as u64,
        from: row.get(4)?,
        to: row.get(5)?,
    })
}
