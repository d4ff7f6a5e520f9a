//! The query engine: sessions, and what they may use.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use crate::layout::Relation;
use crate::schema::schema;

/// Makes sessions. The one place that says where a query runs.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    /// Memory of one query before it spills.
    pub(crate) limit_bytes: usize,
}

impl Default for Engine {
    fn default() -> Self {
        Self { limit_bytes: 1 << 30 }
    }
}

/// What a query reads for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Most rows of what is read.
    Scan,
    /// Few rows: the filter is tested while reading, so that the other columns of the other rows are never decoded.
    Needle,
}

impl Engine {
    pub(crate) fn session(&self, purpose: Purpose) -> Result<SessionContext, DataFusionError> {
        let mut config = SessionConfig::new().with_collect_statistics(false);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = purpose == Purpose::Needle;
        parquet.reorder_filters = purpose == Purpose::Needle;
        parquet.schema_force_view_types = false;
        // A conversation that a scanner opens is seen once: adding up before the exchange is then work for nothing.
        config.options_mut().execution.skip_partial_aggregation_probe_ratio_threshold = 0.5;
        let pool = Arc::new(FairSpillPool::new(self.limit_bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        Ok(SessionContext::new_with_config_rt(config, runtime))
    }

    /// The rows of files of one relation; there must be at least one file.
    pub(crate) async fn scan(
        session: &SessionContext,
        relation: Relation,
        files: Vec<String>,
    ) -> Result<DataFrame, DataFusionError> {
        let schema = schema(relation, false);
        let options = ParquetReadOptions::new().schema(&schema);
        session.read_parquet(files, options).await
    }

    /// Runs a query to its end.
    pub(crate) fn block_on<T>(
        &self,
        query: impl Future<Output = Result<T, DataFusionError>>,
    ) -> Result<T, DataFusionError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .build()
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        runtime.block_on(query)
    }
}

/// A result of one of our own readers within a query.
pub(crate) fn ours<T>(result: Result<T, String>) -> Result<T, DataFusionError> {
    result.map_err(DataFusionError::Execution)
}

/// Batches with rows.
pub(crate) fn filled(batches: &[RecordBatch]) -> impl Iterator<Item = &RecordBatch> {
    batches.iter().filter(|batch| batch.num_rows() > 0)
}
