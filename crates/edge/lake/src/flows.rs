//! Flows as they were imported: looked up, and counted.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::{Expr, cast, col, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use model::{FlowBatch, Ip, Micros, Prefix, TimeWindow, Verdict};

use crate::Lake;
use crate::decode::{self, Columns};
use crate::engine::{Engine, Purpose, filled, ours};
use crate::error::LakeError;
use crate::layout::Relation;
use crate::schema::START;
use crate::state::StoredFile;

/// Which flows. Everything that is given must hold.
#[derive(Clone, PartialEq, Debug)]
pub struct FlowFilter {
    /// Flows that start in it.
    pub window: TimeWindow,
    /// Source or destination lies in the block.
    pub either: Option<Prefix>,
    /// The source lies in the block.
    pub src: Option<Prefix>,
    /// The destination lies in the block.
    pub dst: Option<Prefix>,
    /// Source or destination port.
    pub port: Option<u16>,
    /// IANA protocol number.
    pub protocol: Option<u8>,
    /// What the source said of the traffic.
    pub verdict: Option<Verdict>,
    /// So many at most.
    pub limit: Option<usize>,
    /// The latest first, rather than the earliest.
    pub latest_first: bool,
}

impl FlowFilter {
    /// Every flow of a window, the earliest first.
    pub const fn of(window: TimeWindow) -> Self {
        Self {
            window,
            either: None,
            src: None,
            dst: None,
            port: None,
            protocol: None,
            verdict: None,
            limit: None,
            latest_first: false,
        }
    }

    fn conditions(&self) -> Vec<Expr> {
        let Self { window, either, src, dst, port, protocol, verdict, .. } = self;
        let mut all = Vec::new();
        if *window != TimeWindow::ALL {
            all.push(within(START, *window));
        }
        all.extend(either.map(|block| inside("src_ip", block).or(inside("dst_ip", block))));
        all.extend(src.map(|block| inside("src_ip", block)));
        all.extend(dst.map(|block| inside("dst_ip", block)));
        let port = port.map(i32::from);
        all.extend(port.map(|port| col("src_port").eq(lit(port)).or(col("dst_port").eq(lit(port)))));
        all.extend(protocol.map(|number| col("protocol").eq(lit(i16::from(number)))));
        all.extend(verdict.map(|verdict| col("verdict").eq(lit(verdict as i16))));
        all
    }

    /// Few rows of many are wanted.
    fn purpose(&self) -> Purpose {
        let narrow = self.either.or(self.src).or(self.dst).is_some() || self.port.is_some();
        if narrow { Purpose::Needle } else { Purpose::Scan }
    }
}

/// What flows are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowKey {
    /// Source address.
    SrcIp,
    /// Destination address.
    DstIp,
    /// Source port.
    SrcPort,
    /// Destination port.
    DstPort,
    /// Protocol number.
    Protocol,
    /// Who observed.
    Exporter,
    /// The format that they came in.
    Source,
    /// `allow`, `deny` or `unknown`.
    Verdict,
}

impl FlowKey {
    /// Every key.
    pub const ALL: [Self; 8] = [
        Self::SrcIp,
        Self::DstIp,
        Self::SrcPort,
        Self::DstPort,
        Self::Protocol,
        Self::Exporter,
        Self::Source,
        Self::Verdict,
    ];

    /// The name in the canonical flow.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SrcIp => "src_ip",
            Self::DstIp => "dst_ip",
            Self::SrcPort => "src_port",
            Self::DstPort => "dst_port",
            Self::Protocol => "protocol",
            Self::Exporter => "exporter",
            Self::Source => "source",
            Self::Verdict => "verdict",
        }
    }
}

/// Flows counted together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowGroup {
    /// The keys' values, in the order of the keys.
    pub key: Vec<String>,
    /// Flows.
    pub flows: u64,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes, both ways.
    pub bytes: u64,
    /// First start.
    pub first: Micros,
    /// Last end.
    pub last: Micros,
}

impl Lake {
    /// Flows in the order of their start, in batches of one format each. Holds what it gives: set a limit, or use
    /// [`Lake::visit_flows`].
    ///
    /// # Errors
    /// When a file is damaged, or the query needs more memory than it may have.
    pub fn flows(&self, filter: &FlowFilter) -> Result<Vec<FlowBatch>, LakeError> {
        let mut found: Vec<FlowBatch> = Vec::new();
        let order = |rows: DataFrame| {
            let order = [START, "end", "src_ip", "dst_ip", "src_port", "dst_port"];
            let sorted = rows.sort(order.map(|name| col(name).sort(!filter.latest_first, false)).to_vec())?;
            match filter.limit {
                Some(limit) => sorted.limit(0, Some(limit)),
                None => Ok(sorted),
            }
        };
        self.stream_flows(filter, order, &mut |batch| match found.last_mut() {
            Some(last) if last.source == batch.source => last.append(batch),
            _ => found.push(batch.clone()),
        })?;
        Ok(found)
    }

    /// Hands flows on in batches of some thousand, in no particular order, without holding more than a few of them. The
    /// filter's limit is not looked at.
    ///
    /// # Errors
    /// As [`Lake::flows`].
    pub fn visit_flows(
        &self,
        filter: &FlowFilter,
        visit: &mut dyn FnMut(&FlowBatch),
    ) -> Result<(), LakeError> {
        self.stream_flows(filter, Ok, visit)
    }

    /// Counts flows by some of their columns, the most numerous first. The filter's limit is on groups.
    ///
    /// # Errors
    /// As [`Lake::flows`].
    pub fn count_flows(&self, filter: &FlowFilter, keys: &[FlowKey]) -> Result<Vec<FlowGroup>, LakeError> {
        let files = self.state.files(Relation::Flows, filter.window)?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        self.guarded(&files, || {
            let session = self.engine.session(filter.purpose())?;
            self.engine.block_on(async {
                let rows = Engine::scan(&session, Relation::Flows, self.full_paths(&files)).await?;
                let rows = wanted(rows, filter)?;
                let by = keys.iter().map(|key| col(key.name())).collect();
                // Sums of 64-bit counters wrap around in the engine; what an exporter may claim needs more digits.
                let wide = |name: &str| cast(col(name), DataType::Decimal128(20, 0));
                let both = |a: &str, b: &str| sum(wide(a) + wide(b));
                let sums = vec![
                    count(lit(1_i64)).alias("flows"),
                    both("packets", "reverse_packets").alias("all_packets"),
                    both("bytes", "reverse_bytes").alias("all_bytes"),
                    min(col(START)).alias("first"),
                    max(col("end")).alias("last"),
                ];
                let names = keys.iter().map(|key| col(key.name()).sort(true, false));
                let order = [col("flows").sort(false, false)].into_iter().chain(names).collect();
                let groups = rows.aggregate(by, sums)?.sort(order)?.limit(0, filter.limit)?;
                let batches = groups.collect().await?;
                let groups = filled(&batches).map(|batch| ours(read_groups(batch, keys)));
                Ok(groups.collect::<Result<Vec<_>, _>>()?.concat())
            })
        })
    }

    fn stream_flows(
        &self,
        filter: &FlowFilter,
        arrange: impl Fn(DataFrame) -> Result<DataFrame, DataFusionError>,
        visit: &mut dyn FnMut(&FlowBatch),
    ) -> Result<(), LakeError> {
        let files = self.state.files(Relation::Flows, filter.window)?;
        if files.is_empty() {
            return Ok(());
        }
        self.guarded(&files, || {
            let session = self.engine.session(filter.purpose())?;
            self.engine.block_on(async {
                let rows = Engine::scan(&session, Relation::Flows, self.full_paths(&files)).await?;
                let mut stream = arrange(wanted(rows, filter)?)?.execute_stream().await?;
                while let Some(batch) = next(&mut stream).await {
                    ours(decode::flows(&batch?))?.iter().for_each(&mut *visit);
                }
                Ok(())
            })
        })
    }

    pub(crate) fn full_paths(&self, files: &[StoredFile]) -> Vec<String> {
        files.iter().map(|file| self.root.join(&file.path).display().to_string()).collect()
    }
}

async fn next(
    stream: &mut SendableRecordBatchStream,
) -> Option<Result<datafusion::arrow::record_batch::RecordBatch, DataFusionError>> {
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
}

fn wanted(rows: DataFrame, filter: &FlowFilter) -> Result<DataFrame, DataFusionError> {
    filter.conditions().into_iter().try_fold(rows, DataFrame::filter)
}

/// The column's time lies in the window; one without an end holds the last moment too.
pub(crate) fn within(column: &str, window: TimeWindow) -> Expr {
    let time = |at| lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())));
    let begun = col(column).gt_eq(time(window.from));
    if window.to == Micros::MAX { begun } else { begun.and(col(column).lt(time(window.to))) }
}

/// The column's address lies in the block.
fn inside(column: &str, block: Prefix) -> Expr {
    let address = |ip: Ip| lit(ScalarValue::FixedSizeBinary(16, Some(ip.to_bytes().to_vec())));
    if block.first() == block.last() {
        return col(column).eq(address(block.first()));
    }
    col(column).gt_eq(address(block.first())).and(col(column).lt_eq(address(block.last())))
}

fn read_groups(
    batch: &datafusion::arrow::record_batch::RecordBatch,
    keys: &[FlowKey],
) -> Result<Vec<FlowGroup>, String> {
    let columns = Columns(batch);
    let (first, last) = (columns.times("first")?, columns.times("last")?);
    let flows = columns.counts("flows")?;
    let (packets, bytes) = (columns.wide_counts("all_packets")?, columns.wide_counts("all_bytes")?);
    let mut groups = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let text = |key: &FlowKey| read_key(&columns, *key, row);
        groups.push(FlowGroup {
            key: keys.iter().map(text).collect::<Result<_, _>>()?,
            flows: decode::count(flows[row]),
            packets: packets[row],
            bytes: bytes[row],
            first: first[row],
            last: last[row],
        });
    }
    Ok(groups)
}

fn read_key(columns: &Columns<'_>, key: FlowKey, row: usize) -> Result<String, String> {
    let name = key.name();
    Ok(match key {
        FlowKey::SrcIp | FlowKey::DstIp => decode::ip(columns.addresses(name)?, row).to_string(),
        FlowKey::SrcPort | FlowKey::DstPort => columns.ints(name)?[row].to_string(),
        FlowKey::Protocol => columns.shorts(name)?[row].to_string(),
        FlowKey::Exporter | FlowKey::Source => columns.texts(name)?.get(row).unwrap_or_default().to_owned(),
        FlowKey::Verdict => Verdict::from_code(columns.shorts(name)?[row] as u8).name().to_owned(),
    })
}
