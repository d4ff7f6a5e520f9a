//! One import: all of a source is stored, or nothing.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{CoverageTable, FlowBatch, Micros, RollupRow, TimeWindow};
use sha2::{Digest, Sha256};

use crate::Lake;
use crate::error::LakeError;
use crate::part::{Part, sync_folders};
use crate::spool::FlowSpool;
use crate::sums::EdgeSpool;

/// What makes a source that source: its content, not its name. Imported once, it is never imported again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceIdentity {
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// The format that it is read as.
    pub format: String,
    /// What people call it: a path, usually.
    pub name: String,
}

impl SourceIdentity {
    /// Reads all of a source to know it. Memory: 64 KiB.
    ///
    /// # Errors
    /// What the reader says.
    pub fn of_reader(format: &str, name: &str, mut content: impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0_u8; 64 << 10];
        let mut size = 0;
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    hash.update(&buffer[..length]);
                    size += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { sha256: hash.finalize().into(), size, format: format.to_owned(), name: name.to_owned() })
    }

    /// A version of an object in a store, which its store knows apart: it need not be fetched to be known.
    pub fn of_version(format: &str, name: &str, version: &str, size: u64) -> Self {
        let mut hash = Sha256::new();
        for part in [name, version] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(size.to_be_bytes());
        Self { sha256: hash.finalize().into(), size, format: format.to_owned(), name: name.to_owned() }
    }

    /// The `sequence`-th portion of what a listener, started at a moment, received: it has no content to go by.
    pub fn of_stream(format: &str, name: &str, started: Micros, sequence: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update(started.to_be_bytes());
        hash.update(sequence.to_be_bytes());
        Self { sha256: hash.finalize().into(), size: 0, format: format.to_owned(), name: name.to_owned() }
    }
}

/// An import that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportReceipt {
    /// Its number in this lake.
    pub id: i64,
    /// See [`SourceIdentity::name`].
    pub name: String,
    /// See [`SourceIdentity::format`].
    pub format: String,
    /// When it was accepted.
    pub imported_at: Micros,
    /// Flows stored.
    pub flows: u64,
    /// Hourly sums stored.
    pub edges: u64,
    /// First and last start of its flows, both included; none when there were none.
    pub window: Option<TimeWindow>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Documents that say which part of an import's source stays as it is when the source grows, by the source's SHA-256.
const SETTLED: &str = "settled";

#[derive(serde::Serialize, serde::Deserialize)]
struct Settled {
    bytes: u64,
    sha256: String,
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is stored with the flows of an import.
pub(crate) struct Beside<'a> {
    pub(crate) coverage: &'a CoverageTable,
    /// Kind, key and body.
    pub(crate) documents: &'a [(String, String, String)],
}

/// What a source is met with.
#[derive(Debug)]
pub enum Begun<'lake> {
    /// It was imported before; nothing needs to be done.
    AlreadyImported(ImportReceipt),
    /// It is new: fill the import and commit it.
    New(Box<ImportTx<'lake>>),
}

/// An import under way. Dropped without [`ImportTx::commit`], it leaves nothing.
///
/// Memory, whatever the size of the source: 62 MB of flows that wait for their hour to be written, 180 MB of sums,
/// and one row group being encoded (131,072 rows, about 40 MB); less than 300 MB together.
#[derive(Debug)]
pub struct ImportTx<'lake> {
    lake: &'lake mut Lake,
    source: SourceIdentity,
    id: i64,
    replaces: Option<i64>,
    spools: Spools,
    files: Vec<Part>,
    named: u32,
    flows: u64,
    window: Option<TimeWindow>,
    coverage: CoverageTable,
    documents: Vec<(String, String, String)>,
}

#[derive(Default)]
struct Spools {
    flows: FlowSpool,
    edges: EdgeSpool,
}

impl std::fmt::Debug for Spools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Lake {
    /// Begins to import a source, unless it has been imported before.
    ///
    /// # Errors
    /// When the lake was opened for reading only, or the state cannot be read.
    pub fn begin_import(&mut self, source: SourceIdentity) -> Result<Begun<'_>, LakeError> {
        self.writable()?;
        match self.state.import_of(&source)? {
            Some(receipt) => Ok(Begun::AlreadyImported(receipt)),
            None => Ok(Begun::New(self.import(source, None)?)),
        }
    }

    /// Begins to import a source even if it has been imported before: the commit then replaces what that import stored.
    /// For sources whose stored files were damaged, or that are now oriented better.
    ///
    /// # Errors
    /// As [`Lake::begin_import`].
    pub fn begin_import_again(&mut self, source: SourceIdentity) -> Result<Box<ImportTx<'_>>, LakeError> {
        self.writable()?;
        let replaces = self.state.import_of(&source)?.map(|receipt| receipt.id);
        self.import(source, replaces)
    }

    /// The number of the import that a source is the continuation of: a log that was written on, a file whose copy had been
    /// cut off. None when no import of this name has content that the source begins with, or just this source was
    /// imported already; `beginning` gives the SHA-256 of so many first bytes.
    ///
    /// # Errors
    /// When the state cannot be read, and what `beginning` says.
    pub fn import_continued_by(
        &self,
        source: &SourceIdentity,
        mut beginning: impl FnMut(u64) -> io::Result<[u8; 32]>,
    ) -> Result<Option<i64>, LakeError> {
        if self.state.import_of(source)?.is_some() {
            return Ok(None);
        }
        let mut beginning =
            |size| beginning(size).map_err(|cause| LakeError::io("read", Path::new(&source.name), cause));
        for (id, sha256, size) in self.state.smaller_imports(source)? {
            if beginning(size)? == sha256 {
                return Ok(Some(id));
            }
            let settled = self.document(SETTLED, &hex(&sha256))?.and_then(|document| document.body);
            let settled = settled.and_then(|body| serde_json::from_value::<Settled>(body).ok());
            if let Some(settled) = settled
                && hex(&beginning(settled.bytes)?) == settled.sha256
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The number of the import that a new version of an object replaces: the last one of that name and format. None when
    /// just this version was imported already, or none was.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn import_superseded_by(&self, source: &SourceIdentity) -> Result<Option<i64>, LakeError> {
        match self.state.import_of(source)? {
            Some(_) => Ok(None),
            None => self.state.last_import_named(source),
        }
    }

    /// Begins to import a source that continues an earlier import: the commit replaces what that one stored, so that
    /// nothing counts twice.
    ///
    /// # Errors
    /// When the lake was opened for reading only, or the state cannot be read.
    pub fn begin_import_continuing(
        &mut self,
        source: SourceIdentity,
        earlier: i64,
    ) -> Result<Box<ImportTx<'_>>, LakeError> {
        self.writable()?;
        self.import(source, Some(earlier))
    }

    fn import(
        &mut self,
        source: SourceIdentity,
        replaces: Option<i64>,
    ) -> Result<Box<ImportTx<'_>>, LakeError> {
        let id = self.state.next_import()?;
        Ok(Box::new(ImportTx {
            lake: self,
            source,
            id,
            replaces,
            spools: Spools::default(),
            files: Vec::new(),
            named: 0,
            flows: 0,
            window: None,
            coverage: CoverageTable::default(),
            documents: Vec::new(),
        }))
    }
}

impl ImportTx<'_> {
    /// Adds flows, oriented or not, in any order; about the order of time is best, for it makes fewer files.
    ///
    /// # Errors
    /// When files cannot be written; the import is then lost, what was committed before is not.
    pub fn append(&mut self, batch: &FlowBatch) -> Result<(), LakeError> {
        self.flows += batch.len() as u64;
        self.coverage.count_flows(batch);
        let bounds =
            batch.start.iter().fold((Micros::MAX, Micros::MIN), |(a, b), at| (a.min(*at), b.max(*at)));
        if !batch.is_empty() {
            let window = self.window.get_or_insert(TimeWindow { from: bounds.0, to: bounds.1 });
            *window = TimeWindow { from: window.from.min(bounds.0), to: window.to.max(bounds.1) };
        }
        let (id, named) = (self.id, &mut self.named);
        let mut name = || next_name(id, named);
        self.spools.flows.append(batch, &self.lake.root, &mut name, &mut self.files)
    }

    /// Adds the hourly sums of the same flows, in portions of any size and order; equal keys are added up. Sums by day
    /// are derived.
    ///
    /// # Errors
    /// As [`ImportTx::append`].
    pub fn append_rollups(&mut self, rows: &[RollupRow]) -> Result<(), LakeError> {
        let (id, named) = (self.id, &mut self.named);
        let mut name = || next_name(id, named);
        self.spools.edges.append(rows, &self.lake.root, &mut name, &mut self.files)
    }

    /// Adds what the reader or listener received and lost: all of it once, or portions that add up. The flows are counted by
    /// [`ImportTx::append`] and are none of it.
    pub fn append_coverage(&mut self, table: &CoverageTable) {
        self.coverage.merge(table);
    }

    /// Notes that only so many bytes at the source's beginning are sure to stay when it grows, and their SHA-256: what
    /// closes a JSON array is written over by the next record.
    pub fn settle(&mut self, bytes: u64, sha256: &[u8; 32]) {
        let body = serde_json::json!(Settled { bytes, sha256: hex(sha256) });
        self.put_document(SETTLED, &hex(&self.source.sha256.clone()), &body);
    }

    /// Stores a document in the same step as the flows: how far a followed file was read, say. Both are there, or neither.
    /// Earlier versions of the document are dropped.
    pub fn put_document(&mut self, kind: &str, key: &str, body: &serde_json::Value) {
        self.documents.push((kind.to_owned(), key.to_owned(), body.to_string()));
    }

    /// What was received so far, by exporter and hour.
    pub const fn coverage(&self) -> &CoverageTable {
        &self.coverage
    }

    /// Flows so far.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Makes the import durable and visible, at once and as a whole. When this returns, no crash loses it.
    ///
    /// # Errors
    /// As [`ImportTx::append`]; nothing of the import is stored then.
    pub fn commit(mut self: Box<Self>) -> Result<ImportReceipt, LakeError> {
        let (id, named) = (self.id, &mut self.named);
        let mut name = || next_name(id, named);
        let root = self.lake.root.clone();
        self.spools.flows.finish(&root, &mut name, &mut self.files)?;
        self.spools.edges.finish(&root, &mut name, &mut self.files)?;
        for part in &self.files {
            part.publish(&root)?;
        }
        sync_folders(&root, self.files.iter().map(|part| part.path.as_str()))?;
        let receipt = ImportReceipt {
            id,
            name: self.source.name.clone(),
            format: self.source.format.clone(),
            imported_at: now(),
            flows: self.flows,
            edges: self.rows(crate::Relation::Hourly),
            window: self.window,
            bytes: self.files.iter().map(|part| part.bytes).sum(),
        };
        let beside = Beside { coverage: &self.coverage, documents: &self.documents };
        let replaced =
            self.lake.state.commit_import(&receipt, &self.source, &self.files, &beside, self.replaces);
        if matches!(replaced, Ok(_) | Err(LakeError::State { .. } | LakeError::Io { .. })) {
            // When the disk fails during a commit, only the next opening can tell whether it happened: the files stay
            // until then. A full disk is certain: it did not.
            self.files.clear();
        }
        let replaced = replaced?;
        for path in replaced {
            // What cannot be removed now is no longer in the manifest, and is removed when the lake is next opened.
            let _ = fs::remove_file(root.join(path));
        }
        Ok(receipt)
    }

    fn rows(&self, relation: crate::Relation) -> u64 {
        self.files.iter().filter(|part| part.relation == relation).map(|part| part.rows).sum()
    }
}

impl Drop for ImportTx<'_> {
    fn drop(&mut self) {
        // After a commit the list is empty.
        discard(&self.lake.root, &self.files);
    }
}

fn discard(root: &Path, files: &[Part]) {
    files.iter().for_each(|part| part.discard(root));
}

fn next_name(id: i64, named: &mut u32) -> String {
    *named += 1;
    format!("{id:08}-{named:05}.parquet")
}

/// The system's clock.
pub(crate) fn now() -> Micros {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX),
        Err(_) => 0,
    }
}
