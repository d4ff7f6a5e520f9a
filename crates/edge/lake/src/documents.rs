//! Small documents in the state store, with every version they had.

use model::{Micros, Segmentation};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::Lake;
use crate::error::LakeError;
use crate::import::now;

/// One version of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Counts from 1.
    pub version: u64,
    /// When it was stored.
    pub recorded_at: Micros,
    /// What it says; none when this version removed it.
    pub body: Option<Value>,
}

/// Where segmentations are kept; the key is always the same, for there is one that counts.
const SEGMENTATION: (&str, &str) = ("segmentation", "accepted");

impl Lake {
    /// Stores a new version of a document, unless it says what the last one says; gives the version's number.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn put_document(&mut self, kind: &str, key: &str, body: &Value) -> Result<u64, LakeError> {
        self.writable()?;
        let last = self.document(kind, key)?;
        if let Some(last) = last.filter(|last| last.body.as_ref() == Some(body)) {
            return Ok(last.version);
        }
        self.record(kind, key, Some(body.to_string()))
    }

    /// Removes a document; its versions stay.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn remove_document(&mut self, kind: &str, key: &str) -> Result<(), LakeError> {
        self.writable()?;
        match self.document(kind, key)? {
            Some(Document { body: Some(_), .. }) => self.record(kind, key, None).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The latest version of a document.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn document(&self, kind: &str, key: &str) -> Result<Option<Document>, LakeError> {
        let query = "SELECT version, recorded_us, body FROM documents \
                     WHERE kind = ?1 AND key = ?2 ORDER BY version DESC LIMIT 1";
        let row = self.state.connection.query_row(query, params![kind, key], raw).optional();
        let row = row.map_err(self.state.failed("read a document"))?;
        row.map(|row| self.document_of(kind, key, row)).transpose()
    }

    /// Every version of a document, the first one first.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn document_history(&self, kind: &str, key: &str) -> Result<Vec<Document>, LakeError> {
        let failed = self.state.failed("read a document");
        let query = "SELECT version, recorded_us, body FROM documents \
                     WHERE kind = ?1 AND key = ?2 ORDER BY version";
        let mut query = self.state.connection.prepare_cached(query).map_err(&failed)?;
        let rows = query.query_map(params![kind, key], raw).map_err(&failed)?;
        let rows = rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?;
        rows.into_iter().map(|row| self.document_of(kind, key, row)).collect()
    }

    /// The keys of a kind's documents that are there now, sorted.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn document_keys(&self, kind: &str) -> Result<Vec<String>, LakeError> {
        let failed = self.state.failed("list documents");
        let query = "SELECT key FROM documents AS d WHERE kind = ?1 AND body IS NOT NULL AND version = \
                     (SELECT max(version) FROM documents WHERE kind = d.kind AND key = d.key) ORDER BY key";
        let mut query = self.state.connection.prepare_cached(query).map_err(&failed)?;
        let keys = query.query_map([kind], |row| row.get(0)).map_err(&failed)?;
        keys.collect::<Result<_, _>>().map_err(failed)
    }

    /// Stores the segmentation that counts from now on.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn put_segmentation(&mut self, segmentation: &Segmentation) -> Result<u64, LakeError> {
        let (kind, key) = SEGMENTATION;
        let body = serde_json::to_value(segmentation).map_err(|error| self.malformed(kind, &error))?;
        self.put_document(kind, key, &body)
    }

    /// The segmentation that counts.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn segmentation(&self) -> Result<Option<Segmentation>, LakeError> {
        let (kind, key) = SEGMENTATION;
        let body = self.document(kind, key)?.and_then(|document| document.body);
        body.map(|body| serde_json::from_value(body).map_err(|error| self.malformed(kind, &error)))
            .transpose()
    }

    fn record(&self, kind: &str, key: &str, body: Option<String>) -> Result<u64, LakeError> {
        let insert = "INSERT INTO documents (kind, key, version, recorded_us, body) \
                      SELECT ?1, ?2, coalesce(max(version), 0) + 1, ?3, ?4 FROM documents \
                      WHERE kind = ?1 AND key = ?2 RETURNING version";
        let version: Result<i64, _> =
            self.state.connection.query_row(insert, params![kind, key, now(), body], |row| row.get(0));
        Ok(version.map_err(self.state.failed("store a document"))? as u64)
    }

    fn document_of(
        &self,
        kind: &str,
        key: &str,
        (version, recorded_at, body): (i64, Micros, Option<String>),
    ) -> Result<Document, LakeError> {
        let parse = |text: String| serde_json::from_str(&text);
        let body =
            body.map(parse).transpose().map_err(|error| self.malformed(&format!("{kind} {key}"), &error))?;
        Ok(Document { version: version as u64, recorded_at, body })
    }

    pub(crate) fn malformed(&self, what: &str, cause: &dyn std::fmt::Display) -> LakeError {
        LakeError::Malformed {
            path: self.state.path.clone(),
            what: what.to_owned(),
            cause: cause.to_string(),
        }
    }
}

fn raw(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Micros, Option<String>)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}
