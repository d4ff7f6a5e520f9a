//! The engine's columns back to flows and sums.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::record_batch::RecordBatch;
use model::{
    Client, Direction, Exporter, Flow, FlowBatch, FlowDetails, Ip, Micros, Protocol, RollupRow, Service,
    Verdict,
};

/// A column that is not there or not of its kind: the file is not one of ours.
pub(crate) type NotOurs = String;

/// One batch's columns by name.
pub(crate) struct Columns<'a>(pub(crate) &'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, NotOurs> {
        self.0.column_by_name(name).ok_or_else(|| format!("no column `{name}`"))
    }

    pub(crate) fn times(&self, name: &str) -> Result<&'a [Micros], NotOurs> {
        let column = self.column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(column.ok_or_else(|| wrong(name))?.values())
    }

    pub(crate) fn counts(&self, name: &str) -> Result<&'a [i64], NotOurs> {
        Ok(self.column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(name))?.values())
    }

    /// Sums with more digits than a counter has; what does not fit is the most that does.
    pub(crate) fn wide_counts(&self, name: &str) -> Result<Vec<u64>, NotOurs> {
        let column = self.column(name)?.as_primitive_opt::<Decimal128Type>().ok_or_else(|| wrong(name))?;
        let clamped = |sum: &i128| u64::try_from((*sum).max(0)).unwrap_or(u64::MAX);
        Ok(column.values().iter().map(clamped).collect())
    }

    pub(crate) fn ints(&self, name: &str) -> Result<&'a [i32], NotOurs> {
        Ok(self.column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong(name))?.values())
    }

    pub(crate) fn shorts(&self, name: &str) -> Result<&'a [i16], NotOurs> {
        Ok(self.column(name)?.as_primitive_opt::<Int16Type>().ok_or_else(|| wrong(name))?.values())
    }

    pub(crate) fn addresses(&self, name: &str) -> Result<&'a FixedSizeBinaryArray, NotOurs> {
        let column = self.column(name)?.as_fixed_size_binary_opt().filter(|c| c.value_length() == 16);
        column.ok_or_else(|| wrong(name))
    }

    /// A text column; the engine may hold it in one of three ways.
    pub(crate) fn texts(&self, name: &str) -> Result<Texts, NotOurs> {
        let plain = cast(self.column(name)?, &DataType::Utf8).map_err(|_| wrong(name))?;
        Ok(Texts(plain))
    }
}

fn wrong(name: &str) -> NotOurs {
    format!("column `{name}` is of another kind")
}

pub(crate) struct Texts(ArrayRef);

impl Texts {
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        let texts = self.0.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row))
    }
}

pub(crate) fn ip(column: &FixedSizeBinaryArray, row: usize) -> Ip {
    Ip::from_bytes(column.value(row).try_into().unwrap_or_default())
}

/// A count as it was before it was stored.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Flows, one batch for each run of rows that came in one format.
pub(crate) fn flows(stored: &RecordBatch) -> Result<Vec<FlowBatch>, NotOurs> {
    let columns = Columns(stored);
    let (start, end) = (columns.times("start")?, columns.times("end")?);
    let (src, dst) = (columns.addresses("src_ip")?, columns.addresses("dst_ip")?);
    let (src_port, dst_port) = (columns.ints("src_port")?, columns.ints("dst_port")?);
    let (protocol, tcp_flags) = (columns.shorts("protocol")?, columns.shorts("tcp_flags")?);
    let (packets, bytes) = (columns.counts("packets")?, columns.counts("bytes")?);
    let (back_packets, back_bytes) = (columns.counts("reverse_packets")?, columns.counts("reverse_bytes")?);
    let (verdict, direction) = (columns.shorts("verdict")?, columns.shorts("direction")?);
    let (client, present) = (columns.shorts("client")?, columns.shorts("present")?);
    let confidence = columns.column("client_confidence")?;
    let confidence =
        confidence.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong("client_confidence"))?;
    let sampling = columns.counts("sampling")?;
    let (exporter, source) = (columns.texts("exporter")?, columns.texts("source")?);
    let details = columns.texts("details")?;
    let mut batches: Vec<FlowBatch> = Vec::new();
    for row in 0..stored.num_rows() {
        let format = source.get(row).unwrap_or_default();
        if batches.last().is_none_or(|batch| batch.source != format) {
            batches.push(FlowBatch::new(format_name(format)));
        }
        let Some(batch) = batches.last_mut() else { continue };
        let flow = Flow {
            start: start[row],
            end: end[row],
            src: ip(src, row),
            dst: ip(dst, row),
            protocol: protocol[row] as u8,
            src_port: src_port[row] as u16,
            dst_port: dst_port[row] as u16,
            tcp_flags: tcp_flags[row] as u8,
            packets: count(packets[row]),
            bytes: count(bytes[row]),
            reverse_packets: count(back_packets[row]),
            reverse_bytes: count(back_bytes[row]),
            sampling: u32::try_from(sampling[row]).unwrap_or(1),
            verdict: Verdict::from_code(verdict[row] as u8),
            direction: Direction::from_code(direction[row] as u8),
            client: Client::from_code(client[row] as u8),
            client_confidence: confidence.value(row),
            present: present[row] as u8,
            exporter: observer(batch, exporter.get(row).unwrap_or_default()),
        };
        if let Some(found) = details.get(row).and_then(read_details) {
            batch.details.insert(batch.len() as u32, Box::new(found));
        }
        batch.push(flow);
    }
    Ok(batches)
}

fn observer(batch: &mut FlowBatch, name: &str) -> u32 {
    match batch.exporters.iter().rposition(|known| &*known.0 == name) {
        Some(index) => index as u32,
        None => batch.intern_exporter(&Exporter(name.into())),
    }
}

fn read_details(text: &str) -> Option<FlowDetails> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
    let ip = |key: &str| value.get(key)?.as_str()?.parse().ok();
    let port = |key: &str| value.get(key)?.as_u64()?.try_into().ok();
    Some(FlowDetails {
        src_workload: text("src_workload"),
        dst_workload: text("dst_workload"),
        process: text("process"),
        user: text("user"),
        service_name: text("service_name"),
        nat_src_ip: ip("nat_src_ip"),
        nat_dst_ip: ip("nat_dst_ip"),
        nat_src_port: port("nat_src_port"),
        nat_dst_port: port("nat_dst_port"),
        rule: text("rule"),
        tunnel: text("tunnel"),
    })
}

/// The format's name for as long as the program runs, as batches hold it. Names are few; beyond 64 distinct ones, which
/// no release of ours writes, they read as `other`.
fn format_name(name: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(name) {
        return found;
    }
    if known.len() >= 64 {
        return "other";
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(kept);
    kept
}

/// Sums with their hours as a count, as the query for edges gives them.
pub(crate) fn edges(stored: &RecordBatch) -> Result<Vec<RollupRow>, NotOurs> {
    let columns = Columns(stored);
    let (bucket, hours) = (columns.times("bucket")?, columns.counts("hours")?);
    let (first, last) = (columns.times("first")?, columns.times("last")?);
    let (client, server) = (columns.addresses("client")?, columns.addresses("server")?);
    let (protocol, tcp_flags) = (columns.shorts("protocol")?, columns.shorts("tcp_flags")?);
    let (low, high) = (columns.ints("port_low")?, columns.ints("port_high")?);
    let client_port = columns.column("client_port")?;
    let client_port = client_port.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong("client_port"))?;
    let (flows, back_flows) = (columns.counts("flows")?, columns.counts("reverse_flows")?);
    let (packets, bytes) = (columns.counts("packets")?, columns.counts("bytes")?);
    let (back_packets, back_bytes) = (columns.counts("reverse_packets")?, columns.counts("reverse_bytes")?);
    let (allowed, denied) = (columns.counts("allowed")?, columns.counts("denied")?);
    let confidence = columns.column("confidence_sum")?;
    let confidence = confidence.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong("confidence_sum"))?;
    let names = columns.texts("exporter")?;
    let mut exporters: Vec<Arc<str>> = Vec::new();
    let mut rows = Vec::with_capacity(stored.num_rows());
    for row in 0..stored.num_rows() {
        let name = names.get(row).unwrap_or_default();
        let exporter = match exporters.iter().find(|known| &***known == name) {
            Some(known) => Arc::clone(known),
            None => {
                exporters.push(name.into());
                name.into()
            }
        };
        let protocol = Protocol(protocol[row] as u8);
        rows.push(RollupRow {
            hour: bucket[row],
            hours: u32::try_from(hours[row]).unwrap_or(0),
            exporter: Exporter(exporter),
            client: ip(client, row),
            server: ip(server, row),
            service: Service { protocol, low: low[row] as u16, high: high[row] as u16 },
            client_port: client_port.is_valid(row).then(|| client_port.value(row) as u16),
            flows: count(flows[row]),
            reverse_flows: count(back_flows[row]),
            packets: count(packets[row]),
            bytes: count(bytes[row]),
            reverse_packets: count(back_packets[row]),
            reverse_bytes: count(back_bytes[row]),
            first: first[row],
            last: last[row],
            allowed: count(allowed[row]),
            denied: count(denied[row]),
            confidence_sum: confidence.value(row),
            tcp_flags: tcp_flags[row] as u8,
        });
    }
    Ok(rows)
}
