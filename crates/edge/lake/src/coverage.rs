//! What was received of each exporter in each hour, kept with the import that received it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Coverage, CoverageRow, CoverageTable, Exporter, Micros, TimeWindow};
use rusqlite::{OptionalExtension, params};

use crate::Lake;
use crate::error::LakeError;
use crate::import::SourceIdentity;
use crate::layout::HOUR_US;
use crate::state::State;

/// The import that stands for everything that listeners received.
const STREAMS: i64 = 0;

impl Lake {
    /// What was received in a window, by format, exporter and hour: hours that the window cuts are whole. What cannot be
    /// put to an exporter or a time stands under hour 0, when its import has flows of the window.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn coverage(&self, window: TimeWindow) -> Result<Vec<CoverageRow>, LakeError> {
        let failed = self.state.failed("read the coverage");
        let query = "SELECT source, exporter, hour_us, body FROM coverage \
                     WHERE (hour_us > ?1 AND hour_us < ?2) OR (hour_us = 0 AND (import = 0 OR import IN \
                     (SELECT id FROM imports WHERE coalesce(from_us, 0) < ?2 AND coalesce(to_us, 0) >= ?3)))";
        let mut query = self.state.connection.prepare_cached(query).map_err(&failed)?;
        let key = params![window.from.saturating_sub(HOUR_US), window.to, window.from];
        let mut rows = query.query(key).map_err(&failed)?;
        let mut found: BTreeMap<(Arc<str>, Exporter, Micros), Coverage> = BTreeMap::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let read = || -> rusqlite::Result<(String, String, Micros, String)> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            let (source, exporter, hour, body) = read().map_err(&failed)?;
            let coverage = self.state.coverage_of(&body)?;
            found.entry((source.into(), Exporter(exporter.into()), hour)).or_default().merge(&coverage);
        }
        let row = |((source, exporter, hour), coverage)| CoverageRow { source, exporter, hour, coverage };
        Ok(found.into_iter().map(row).collect())
    }
}

impl State {
    /// Writes an import's coverage; called within the transaction that commits the import.
    pub(crate) fn store_coverage(
        &self,
        import: i64,
        source: &SourceIdentity,
        table: &CoverageTable,
    ) -> Result<(), LakeError> {
        let failed = self.failed("store the coverage");
        // A stream has no content to know it by, and hence no size.
        let import = if source.size == 0 { STREAMS } else { import };
        let find =
            "SELECT body FROM coverage WHERE import = ?1 AND source = ?2 AND exporter = ?3 AND hour_us = ?4";
        let mut find = self.connection.prepare_cached(find).map_err(&failed)?;
        let put = "INSERT OR REPLACE INTO coverage (import, source, exporter, hour_us, body) \
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut put = self.connection.prepare_cached(put).map_err(&failed)?;
        for (exporter, hour, coverage) in table.rows() {
            let mut coverage = coverage.clone();
            if import == STREAMS {
                let key = params![import, source.format, &*exporter.0, hour];
                let known: Option<String> =
                    find.query_row(key, |row| row.get(0)).optional().map_err(&failed)?;
                if let Some(known) = known {
                    coverage.merge(&self.coverage_of(&known)?);
                }
            }
            let body = serde_json::to_string(&coverage).map_err(|error| self.unreadable(&error))?;
            put.execute(params![import, source.format, &*exporter.0, hour, body]).map_err(&failed)?;
        }
        Ok(())
    }

    fn coverage_of(&self, body: &str) -> Result<Coverage, LakeError> {
        serde_json::from_str(body).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, cause: &serde_json::Error) -> LakeError {
        let (path, what) = (self.path.clone(), String::from("coverage"));
        LakeError::Malformed { path, what, cause: cause.to_string() }
    }
}
