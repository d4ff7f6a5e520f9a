//! Who talked to whom in a window: sums from rollups, and flows for the hours that the window cuts.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::cast::as_primitive_array;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{bit_or, max, min, sum};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF, Volatility, col, create_udf};
use datafusion::prelude::SessionContext;
use model::{FlowBatch, Ip, Micros, RollupRow, TimeWindow};

use crate::decode;
use crate::engine::{Engine, Purpose, filled, ours};
use crate::error::LakeError;
use crate::flows::within;
use crate::layout::{DAY_US, HOUR_US, Relation};
use crate::schema::ADDRESS;
use crate::state::StoredFile;
use crate::{FlowFilter, Lake};

/// Which edges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EdgeQuery {
    /// Flows that start in it count.
    pub window: TimeWindow,
    /// Addresses and moments at which they change hands: sums of these addresses are kept apart there, with the hour of
    /// such a moment on its own. Sums of all others are one over the whole window, so that what is held in memory does not
    /// grow with the changes of a few. See [`crate::identity_changes`].
    pub cuts: Vec<(Ip, Micros)>,
}

impl Lake {
    /// The sums of a window: one row for each (exporter, client, server, service, client's port where it is kept), between
    /// two cuts where one of the addresses changes hands, sorted by client, server, service, client's port, hour, exporter.
    /// Different exporters stay apart, for what several saw must not be added.
    ///
    /// Hours that lie in the window only in part are not in the rows: their flows, those that start in the window, go to
    /// `partial`, which sums them as it summed them when they were imported. It is called with batches of some thousand
    /// flows, and not at all when the window's ends are whole hours.
    ///
    /// # Errors
    /// When a file is damaged, or the query needs more memory than it may have.
    pub fn edges(
        &self,
        query: &EdgeQuery,
        partial: &mut dyn FnMut(&FlowBatch),
    ) -> Result<Vec<RollupRow>, LakeError> {
        let Some(scope) = self.scope(query)? else { return Ok(Vec::new()) };
        for window in &scope.partial {
            self.visit_flows(&FlowFilter::of(*window), partial)?;
        }
        let changing: HashSet<[u8; 16]> = query.cuts.iter().map(|(ip, _)| ip.to_bytes()).collect();
        let daily = self.chosen(Relation::Daily, &scope.days)?;
        let hourly = self.chosen(Relation::Hourly, &scope.hours)?;
        let files: Vec<StoredFile> = daily.iter().chain(&hourly).cloned().collect();
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = self.guarded(&files, || {
            let session = self.engine.session(Purpose::Scan)?;
            self.engine.block_on(async {
                let unique = one_file_a_day(&daily) && one_file_a_day(&hourly);
                let days = self.rows_of(&session, Relation::Daily, &daily, &scope.days).await?;
                let hours = self.rows_of(&session, Relation::Hourly, &hourly, &scope.hours).await?;
                let all = match (days, hours) {
                    (Some(days), Some(hours)) => days.union(hours)?,
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => return Ok(Vec::new()),
                };
                let batches = added_up(all, scope.pieces, changing, unique)?.collect().await?;
                let rows = filled(&batches).map(|batch| ours(decode::edges(batch)));
                Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
            })
        })?;
        rows.sort_unstable_by(|a, b| {
            (a.client, a.server, a.service, a.client_port, a.hour, &a.exporter).cmp(&(
                b.client,
                b.server,
                b.service,
                b.client_port,
                b.hour,
                &b.exporter,
            ))
        });
        Ok(rows)
    }

    fn chosen(&self, relation: Relation, runs: &[Range<Micros>]) -> Result<Vec<StoredFile>, LakeError> {
        let Some((first, last)) = runs.first().zip(runs.last()) else { return Ok(Vec::new()) };
        let mut files = self.state.files(relation, TimeWindow { from: first.start, to: last.end })?;
        files.retain(|file| runs.iter().any(|run| run.start <= file.to && file.from < run.end));
        Ok(files)
    }

    async fn rows_of(
        &self,
        session: &SessionContext,
        relation: Relation,
        files: &[StoredFile],
        runs: &[Range<Micros>],
    ) -> Result<Option<DataFrame>, DataFusionError> {
        if files.is_empty() {
            return Ok(None);
        }
        let rows = Engine::scan(session, relation, self.full_paths(files)).await?;
        let whole = |run: &Range<Micros>| within("bucket", TimeWindow { from: run.start, to: run.end });
        let wanted = runs.iter().map(whole).reduce(Expr::or);
        // Files whose rows are all wanted need no filter; with few runs that is most of them.
        let all = files.iter().all(|f| runs.iter().any(|run| run.start <= f.from && f.to < run.end));
        match wanted {
            Some(wanted) if !all => Ok(Some(rows.filter(wanted)?)),
            _ => Ok(Some(rows)),
        }
    }

    /// Cuts the window into what days, hours and flows answer.
    fn scope(&self, query: &EdgeQuery) -> Result<Option<Scope>, LakeError> {
        let extents = [self.state.extent(Relation::Flows)?, self.state.extent(Relation::Hourly)?];
        let Some(extent) = extents
            .into_iter()
            .flatten()
            .reduce(|a, b| TimeWindow { from: a.from.min(b.from), to: a.to.max(b.to) })
        else {
            return Ok(None);
        };
        let from = query.window.from.max(extent.from.div_euclid(HOUR_US).saturating_mul(HOUR_US));
        let to = query.window.to.min((extent.to.div_euclid(HOUR_US) + 1).saturating_mul(HOUR_US));
        let moments: BTreeSet<Micros> = query.cuts.iter().map(|(_, at)| *at).collect();
        Ok((from < to).then(|| Scope::new(TimeWindow { from, to }, moments)))
    }
}

/// A window in whole days, whole hours and the rest.
#[derive(PartialEq, Eq, Debug)]
struct Scope {
    /// Starts of the pieces that stay apart, ascending; the first is that of the whole hours.
    pieces: Vec<Micros>,
    days: Vec<Range<Micros>>,
    hours: Vec<Range<Micros>>,
    partial: Vec<TimeWindow>,
}

impl Scope {
    fn new(window: TimeWindow, cuts: impl IntoIterator<Item = Micros>) -> Self {
        let (from, to) = (ceil(window.from, HOUR_US), floor(window.to, HOUR_US));
        if from >= to {
            let (pieces, days, hours) = (Vec::new(), Vec::new(), Vec::new());
            return Self { pieces, days, hours, partial: vec![window] };
        }
        let ends = [TimeWindow { from: window.from, to: from }, TimeWindow { from: to, to: window.to }];
        let partial = ends.into_iter().filter(|end| end.from < end.to).collect();
        let inner = cuts.into_iter().filter(|cut| window.contains(*cut));
        let around = inner.flat_map(|cut| [floor(cut, HOUR_US), ceil(cut, HOUR_US)]);
        let starts: BTreeSet<Micros> =
            around.chain([from]).filter(|start| (from..to).contains(start)).collect();
        let pieces: Vec<Micros> = starts.into_iter().collect();
        let (mut days, mut hours) = (Vec::new(), Vec::new());
        for (index, start) in pieces.iter().enumerate() {
            let end = pieces.get(index + 1).copied().unwrap_or(to);
            let (first_day, last_day) = (ceil(*start, DAY_US), floor(end, DAY_US));
            if first_day < last_day {
                extend(&mut hours, *start..first_day);
                extend(&mut days, first_day..last_day);
                extend(&mut hours, last_day..end);
            } else {
                extend(&mut hours, *start..end);
            }
        }
        Self { pieces, days, hours, partial }
    }
}

/// Adds a run, joined to the last one where they touch.
fn extend(runs: &mut Vec<Range<Micros>>, run: Range<Micros>) {
    if run.is_empty() {
        return;
    }
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

fn floor(at: Micros, unit: Micros) -> Micros {
    at.div_euclid(unit).saturating_mul(unit)
}

fn ceil(at: Micros, unit: Micros) -> Micros {
    let below = floor(at, unit);
    if below == at { at } else { below.saturating_add(unit) }
}

/// Whether no two files can hold sums of one key and day.
fn one_file_a_day(files: &[StoredFile]) -> bool {
    files.windows(2).all(|pair| floor(pair[0].to, DAY_US) < floor(pair[1].from, DAY_US))
}

const KEYS: [&str; 7] = ["exporter", "client", "server", "protocol", "port_low", "port_high", "client_port"];
const SUMS: [&str; 9] = [
    "flows",
    "reverse_flows",
    "packets",
    "bytes",
    "reverse_packets",
    "reverse_bytes",
    "allowed",
    "denied",
    "confidence_sum",
];

/// Adds rows up by piece and key. Hours are counted exactly: where several files may hold one key's hours of one day,
/// the hours are joined by day first.
fn added_up(
    rows: DataFrame,
    pieces: Vec<Micros>,
    changing: HashSet<[u8; 16]>,
    unique: bool,
) -> Result<DataFrame, DataFusionError> {
    let piece = Arc::new(piece(pieces, changing));
    let count = Arc::new(count_bits());
    let keys = || KEYS.iter().map(|name| col(*name));
    let kept =
        || keys().chain(SUMS.iter().map(|name| col(*name))).chain(["first", "last", "tcp_flags"].map(col));
    let bucket = || piece.call(["bucket", "client", "server"].map(col).to_vec()).alias("bucket");
    let rows = if unique {
        rows
    } else {
        let day = of_time("day", |at| floor(at, DAY_US));
        let by = [bucket(), day.call(vec![col("bucket")]).alias("day")].into_iter().chain(keys()).collect();
        let hours = bit_or(col("hours")).alias("hours");
        rows.aggregate(by, summed().chain([hours]).collect())?
    };
    let hours = count.call(vec![col("hours")]).alias("hours");
    let rows = rows.select([bucket(), hours].into_iter().chain(kept()).collect::<Vec<_>>())?;
    let by = [col("bucket")].into_iter().chain(keys()).collect();
    rows.aggregate(by, summed().chain([sum(col("hours")).alias("hours")]).collect())
}

fn summed() -> impl Iterator<Item = Expr> {
    let ends = [
        min(col("first")).alias("first"),
        max(col("last")).alias("last"),
        bit_or(col("tcp_flags")).alias("tcp_flags"),
    ];
    SUMS.iter().map(|name| sum(col(*name)).alias(*name)).chain(ends)
}

/// A function of the engine: the start of the piece of a row's bucket, client and server. Where neither address changes
/// hands there is one piece, the first.
fn piece(pieces: Vec<Micros>, changing: HashSet<[u8; 16]>) -> ScalarUDF {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let apply = move |arguments: &[ColumnarValue]| {
        let [bucket, client, server] = &ColumnarValue::values_to_arrays(arguments)?[..] else {
            return Err(DataFusionError::Internal(String::from("expected three arguments")));
        };
        let buckets = as_primitive_array::<TimestampMicrosecondType>(bucket)?;
        let whole = pieces.first().copied().unwrap_or_default();
        let sides = [client.as_fixed_size_binary_opt(), server.as_fixed_size_binary_opt()];
        let [Some(clients), Some(servers)] = sides else {
            return Err(DataFusionError::Internal(String::from("expected addresses")));
        };
        let computed = buckets.values().iter().enumerate().map(|(row, at)| {
            let changes =
                |address: &[u8]| address.try_into().is_ok_and(|ip: [u8; 16]| changing.contains(&ip));
            if pieces.len() > 1 && (changes(clients.value(row)) || changes(servers.value(row))) {
                pieces[pieces.partition_point(|start| start <= at).saturating_sub(1)]
            } else {
                whole
            }
        });
        let computed = TimestampMicrosecondArray::from(computed.collect::<Vec<_>>()).with_timezone("UTC");
        Ok(ColumnarValue::Array(Arc::new(computed) as ArrayRef))
    };
    let arguments = vec![time.clone(), ADDRESS, ADDRESS];
    create_udf("piece", arguments, time, Volatility::Immutable, Arc::new(apply))
}

/// A function of the engine from time to time.
fn of_time(name: &str, compute: impl Fn(Micros) -> Micros + Send + Sync + 'static) -> ScalarUDF {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let apply = move |arguments: &[ColumnarValue]| {
        let [column] = &ColumnarValue::values_to_arrays(arguments)?[..] else {
            return Err(DataFusionError::Internal(String::from("expected one argument")));
        };
        let times = as_primitive_array::<TimestampMicrosecondType>(column)?;
        // Rows come sorted by time, so that the last answer mostly serves again.
        let mut last = (Micros::MIN, compute(Micros::MIN));
        let computed = times.values().iter().map(|at| {
            if last.0 != *at {
                last = (*at, compute(*at));
            }
            last.1
        });
        let computed = TimestampMicrosecondArray::from(computed.collect::<Vec<_>>()).with_timezone("UTC");
        Ok(ColumnarValue::Array(Arc::new(computed) as ArrayRef))
    };
    create_udf(name, vec![time.clone()], time, Volatility::Immutable, Arc::new(apply))
}

/// A function of the engine: the hours in a mask of hours.
fn count_bits() -> ScalarUDF {
    let apply = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let masks = arrays.first().and_then(|column| column.as_primitive_opt::<Int32Type>());
        let masks = masks.ok_or_else(|| DataFusionError::Internal(String::from("expected one mask")))?;
        let counted: Vec<i64> = masks.values().iter().map(|mask| mask.count_ones().into()).collect();
        Ok(ColumnarValue::Array(Arc::new(Int64Array::from(counted)) as ArrayRef))
    };
    create_udf("count_bits", vec![DataType::Int32], DataType::Int64, Volatility::Immutable, Arc::new(apply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_into_days_hours_and_the_rest() {
        let at = |hours: f64| (hours * HOUR_US as f64) as Micros;
        let window = TimeWindow { from: at(22.5), to: at(75.25) };
        let scope = Scope::new(window, [at(30.2)]);
        assert_eq!(scope.partial.len(), 2);
        assert_eq!(scope.partial[0], TimeWindow { from: at(22.5), to: at(23.0) });
        assert_eq!(scope.partial[1], TimeWindow { from: at(75.0), to: at(75.25) });
        assert_eq!(scope.pieces, [at(23.0), at(30.0), at(31.0)]);
        assert_eq!((scope.days.len(), &scope.days[0]), (1, &(at(48.0)..at(72.0))));
        assert_eq!(scope.hours, [at(23.0)..at(48.0), at(72.0)..at(75.0)]);
        let short = Scope::new(TimeWindow { from: at(1.2), to: at(1.9) }, []);
        assert_eq!((short.partial.len(), short.hours.len()), (1, 0));
        let whole = Scope::new(TimeWindow { from: 0, to: 3 * DAY_US }, []);
        assert_eq!((whole.days.len(), &whole.days[0]), (1, &(0..3 * DAY_US)));
        assert!(whole.hours.is_empty() && whole.partial.is_empty());
    }
}
