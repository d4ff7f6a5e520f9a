//! Files in the making: written under a temporary name, made durable, renamed when all of an import is there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::errors::ParquetError;
use model::Micros;

use crate::error::LakeError;
use crate::layout::{Relation, TEMPORARY, sync_folder};
use crate::schema::{properties, schema};

/// A file that is complete and durable, but not committed.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) relation: Relation,
    /// Where it lies now.
    temporary: PathBuf,
    /// Where it will lie, below the root.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// First and last start (or bucket) in it, both included.
    pub(crate) from: Micros,
    pub(crate) to: Micros,
}

/// The rows of one file to be.
pub(crate) struct Content<'a> {
    pub(crate) relation: Relation,
    /// The file's name without its folder.
    pub(crate) name: String,
    /// First and last start (or bucket), both included; they say which folder.
    pub(crate) from: Micros,
    pub(crate) to: Micros,
    /// Pieces of at most a row group, so that no more is held in two forms at once.
    pub(crate) pieces: &'a mut dyn Iterator<Item = Result<RecordBatch, ArrowError>>,
}

impl Part {
    /// Writes a file and makes it durable.
    pub(crate) fn write(root: &Path, content: Content<'_>) -> Result<Self, LakeError> {
        let Content { relation, name, from, to, pieces } = content;
        let folder = relation.folder(from, to);
        let (path, temporary) =
            (format!("{folder}/{name}"), root.join(&folder).join(format!("{TEMPORARY}{name}")));
        fs::create_dir_all(root.join(&folder))
            .map_err(|cause| LakeError::io("make the folder", &root.join(&folder), cause))?;
        let file = File::create(&temporary).map_err(|cause| LakeError::io("write", &temporary, cause))?;
        let mut part = Self { relation, temporary, path, rows: 0, bytes: 0, from, to };
        match part.fill(file, pieces) {
            Ok(()) => Ok(part),
            Err(error) => {
                part.discard(root);
                Err(error)
            }
        }
    }

    fn fill(
        &mut self,
        file: File,
        pieces: &mut dyn Iterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<(), LakeError> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties(self.relation))
            .with_skip_arrow_metadata(true);
        let sink = Sink { file, failed: None };
        let mut writer = ArrowWriter::try_new_with_options(sink, schema(self.relation, true), options)
            .map_err(|error| self.named(error, None))?;
        for piece in pieces {
            let piece = piece.map_err(|error| LakeError::Query(error.to_string()))?;
            self.rows += piece.num_rows() as u64;
            if let Err(error) = writer.write(&piece) {
                return Err(self.named(error, writer.inner_mut().failed.take()));
            }
        }
        if let Err(error) = writer.finish() {
            return Err(self.named(error, writer.inner_mut().failed.take()));
        }
        self.bytes = writer.bytes_written() as u64;
        writer.inner().file.sync_all().map_err(|cause| LakeError::io("write", &self.temporary, cause))
    }

    /// The writer's error, by what the operating system said if it was the cause.
    fn named(&self, error: ParquetError, failed: Option<io::Error>) -> LakeError {
        let cause = failed.unwrap_or_else(|| io::Error::other(error.to_string()));
        LakeError::io("write", &self.temporary, cause)
    }

    /// Gives the file its final name. It is not durable before [`sync_folders`].
    pub(crate) fn publish(&self, root: &Path) -> Result<(), LakeError> {
        let to = root.join(&self.path);
        fs::rename(&self.temporary, &to).map_err(|cause| LakeError::io("write", &to, cause))
    }

    /// Removes the file under either name, as well as can be: what stays is removed when the lake is next opened.
    pub(crate) fn discard(&self, root: &Path) {
        let _ = fs::remove_file(&self.temporary);
        let _ = fs::remove_file(root.join(&self.path));
    }
}

/// Makes new names below the root durable, up to the root.
pub(crate) fn sync_folders<'a>(root: &Path, paths: impl Iterator<Item = &'a str>) -> Result<(), LakeError> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut folder = Path::new(path).parent();
        while let Some(one) = folder {
            if !folders.insert(root.join(one)) {
                break;
            }
            folder = one.parent();
        }
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// A file that remembers what the operating system said: the Parquet writer's errors drop the kind.
struct Sink {
    file: File,
    failed: Option<io::Error>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            let kind = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            self.failed = Some(kind);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
