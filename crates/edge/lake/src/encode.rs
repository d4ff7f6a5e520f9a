//! Flows and sums to columns of the engine.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::Int32Type;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use model::{FlowBatch, FlowDetails, Ip, Micros, RollupRow};

use crate::layout::Relation;
use crate::schema::schema;

/// Some rows of a batch, in the order in which they are stored.
pub(crate) struct Rows<'a> {
    /// Row numbers in order; none when the batch's own order is right.
    pub(crate) order: Option<&'a [u32]>,
    /// Which of them.
    pub(crate) range: Range<usize>,
}

impl Rows<'_> {
    /// One column's values in order, converted.
    fn take<T: Copy, U>(&self, column: &[T], convert: impl Fn(T) -> U) -> Vec<U> {
        match self.order {
            None => column[self.range.clone()].iter().map(|value| convert(*value)).collect(),
            Some(order) => {
                order[self.range.clone()].iter().map(|row| convert(column[*row as usize])).collect()
            }
        }
    }

    fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.range.clone().map(|at| self.order.map_or(at as u32, |order| order[at]))
    }
}

/// A count as it is stored.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A sum as it is stored: cut where no link can have carried more in a day, so that the engine, whose additions wrap,
/// can add thousands of them. A counter that an exporter reports as -1 must not turn a month's traffic into none.
fn total(value: u64) -> i64 {
    const MOST: u64 = 1 << 52;
    count(value.min(MOST))
}

fn times(values: Vec<Micros>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn addresses(values: Vec<[u8; 16]>) -> Result<ArrayRef, ArrowError> {
    let bytes = Buffer::from_vec(values.into_flattened());
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, bytes, None)?))
}

fn shorts(values: Vec<i16>) -> ArrayRef {
    Arc::new(Int16Array::from(values))
}

fn ints(values: Vec<i32>) -> ArrayRef {
    Arc::new(Int32Array::from(values))
}

fn counts(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn names(keys: Vec<i32>, names: Vec<&str>) -> Result<ArrayRef, ArrowError> {
    let values = Arc::new(StringArray::from(names));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values)?))
}

/// Rows of a batch as the engine's columns.
pub(crate) fn flows(batch: &FlowBatch, rows: &Rows<'_>) -> Result<RecordBatch, ArrowError> {
    let last_exporter = batch.exporters.len() as u32;
    let exporters: Vec<&str> = batch.exporters.iter().map(|e| &*e.0).chain(["unknown"]).collect();
    let address = |column: &[Ip]| addresses(rows.take(column, |ip: Ip| ip.to_bytes()));
    let columns = vec![
        times(rows.take(&batch.start, |at| at)),
        times(rows.take(&batch.end, |at| at)),
        address(&batch.src)?,
        address(&batch.dst)?,
        shorts(rows.take(&batch.protocol, i16::from)),
        ints(rows.take(&batch.src_port, i32::from)),
        ints(rows.take(&batch.dst_port, i32::from)),
        shorts(rows.take(&batch.tcp_flags, i16::from)),
        counts(rows.take(&batch.packets, count)),
        counts(rows.take(&batch.bytes, count)),
        counts(rows.take(&batch.reverse_packets, count)),
        counts(rows.take(&batch.reverse_bytes, count)),
        counts(rows.take(&batch.sampling, i64::from)),
        shorts(rows.take(&batch.verdict, |v| v as i16)),
        shorts(rows.take(&batch.direction, |d| d as i16)),
        shorts(rows.take(&batch.client, |c| c as i16)),
        Arc::new(Float32Array::from(rows.take(&batch.client_confidence, |c| c))),
        shorts(rows.take(&batch.present, i16::from)),
        names(rows.take(&batch.exporter, |e: u32| e.min(last_exporter) as i32), exporters)?,
        names(vec![0; rows.range.len()], vec![batch.source])?,
        details(batch, rows),
    ];
    RecordBatch::try_new(schema(Relation::Flows, true), columns)
}

fn details(batch: &FlowBatch, rows: &Rows<'_>) -> ArrayRef {
    if batch.details.is_empty() {
        return Arc::new(StringArray::new_null(rows.range.len()));
    }
    let text = |row| batch.details.get(&row).map(|details| details_json(details).to_string());
    Arc::new(rows.numbers().map(text).collect::<StringArray>())
}

/// Details as a JSON object with the canonical names; absent is absent.
fn details_json(details: &FlowDetails) -> serde_json::Value {
    let FlowDetails {
        src_workload,
        dst_workload,
        process,
        user,
        service_name,
        nat_src_ip,
        nat_dst_ip,
        nat_src_port,
        nat_dst_port,
        rule,
        tunnel,
    } = details;
    let mut object = serde_json::Map::new();
    let texts = [
        ("src_workload", src_workload),
        ("dst_workload", dst_workload),
        ("process", process),
        ("user", user),
        ("service_name", service_name),
        ("rule", rule),
        ("tunnel", tunnel),
    ];
    for (key, text) in texts {
        object.extend(text.as_ref().map(|text| (key.to_owned(), text.as_str().into())));
    }
    for (key, ip) in [("nat_src_ip", nat_src_ip), ("nat_dst_ip", nat_dst_ip)] {
        object.extend(ip.map(|ip| (key.to_owned(), ip.to_string().into())));
    }
    for (key, port) in [("nat_src_port", nat_src_port), ("nat_dst_port", nat_dst_port)] {
        object.extend(port.map(|port| (key.to_owned(), port.into())));
    }
    object.into()
}

/// A sum with the hours of its day that had traffic.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Edge {
    pub(crate) row: RollupRow,
    /// Bit n: the n-th hour.
    pub(crate) hours: u32,
}

/// Sums as the engine's columns.
pub(crate) fn edges(relation: Relation, rows: &[Edge]) -> Result<RecordBatch, ArrowError> {
    // Rows come sorted, so that equal exporters stand together more often than not.
    let mut exporters: Vec<&str> = Vec::new();
    let mut keys = Vec::with_capacity(rows.len());
    for edge in rows {
        let name = &*edge.row.exporter.0;
        let key = exporters.iter().rposition(|known| *known == name).unwrap_or_else(|| {
            exporters.push(name);
            exporters.len() - 1
        });
        keys.push(key as i32);
    }
    let of_times = |f: fn(&RollupRow) -> Micros| times(rows.iter().map(|e| f(&e.row)).collect());
    let of_counts = |f: fn(&RollupRow) -> u64| counts(rows.iter().map(|e| total(f(&e.row))).collect());
    let of_ints = |f: fn(&Edge) -> i32| ints(rows.iter().map(f).collect());
    let of_shorts = |f: fn(&RollupRow) -> u8| shorts(rows.iter().map(|e| f(&e.row).into()).collect());
    let address = |f: fn(&RollupRow) -> Ip| addresses(rows.iter().map(|e| f(&e.row).to_bytes()).collect());
    let columns = vec![
        of_times(|r| r.hour),
        of_ints(|e| e.hours as i32),
        names(keys, exporters)?,
        address(|r| r.client)?,
        address(|r| r.server)?,
        of_shorts(|r| r.service.protocol.0),
        of_ints(|e| e.row.service.low.into()),
        of_ints(|e| e.row.service.high.into()),
        Arc::new(rows.iter().map(|e| e.row.client_port.map(i32::from)).collect::<Int32Array>()),
        of_counts(|r| r.flows),
        of_counts(|r| r.reverse_flows),
        of_counts(|r| r.packets),
        of_counts(|r| r.bytes),
        of_counts(|r| r.reverse_packets),
        of_counts(|r| r.reverse_bytes),
        of_times(|r| r.first),
        of_times(|r| r.last),
        of_counts(|r| r.allowed),
        of_counts(|r| r.denied),
        Arc::new(Float64Array::from(rows.iter().map(|e| e.row.confidence_sum).collect::<Vec<_>>())),
        of_shorts(|r| r.tcp_flags),
    ];
    RecordBatch::try_new(schema(relation, true), columns)
}
