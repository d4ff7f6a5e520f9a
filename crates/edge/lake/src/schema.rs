//! The columns as they are stored, and how they are written.
//!
//! Signed integers only, times in microseconds UTC, addresses as 16 bytes (IPv4 mapped), text in UTF-8: what every
//! reader of Parquet understands. Unsigned 64-bit counts beyond `i64::MAX` are stored as that, sums beyond
//! 2^52 as that.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::schema::types::ColumnPath;

use crate::layout::Relation;

/// Rows in a row group: what a reader must decode to look at one, and what a writer holds encoded at most.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 17;

/// Milestone column names of [`Relation::Flows`].
pub(crate) const START: &str = "start";

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A text that repeats: kept by number in memory, stored as plain text with a dictionary.
fn name(in_memory: bool) -> DataType {
    if in_memory {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    } else {
        DataType::Utf8
    }
}

pub(crate) const ADDRESS: DataType = DataType::FixedSizeBinary(16);

/// The columns of a relation: as written from memory, or as read from files.
pub(crate) fn schema(relation: Relation, in_memory: bool) -> SchemaRef {
    use DataType::{Float32, Float64, Int16, Int32, Int64, Utf8};
    let columns = match relation {
        Relation::Flows => vec![
            (START, time()),
            ("end", time()),
            ("src_ip", ADDRESS),
            ("dst_ip", ADDRESS),
            ("protocol", Int16),
            ("src_port", Int32),
            ("dst_port", Int32),
            ("tcp_flags", Int16),
            ("packets", Int64),
            ("bytes", Int64),
            ("reverse_packets", Int64),
            ("reverse_bytes", Int64),
            ("sampling", Int64),
            ("verdict", Int16),
            ("direction", Int16),
            ("client", Int16),
            ("client_confidence", Float32),
            ("present", Int16),
            ("exporter", name(in_memory)),
            ("source", name(in_memory)),
            ("details", Utf8),
        ],
        Relation::Hourly | Relation::Daily => vec![
            ("bucket", time()),
            // Bit n: there was traffic in the n-th hour of the day.
            ("hours", Int32),
            ("exporter", name(in_memory)),
            ("client", ADDRESS),
            ("server", ADDRESS),
            ("protocol", Int16),
            ("port_low", Int32),
            ("port_high", Int32),
            // Kept while it is not certain who asks, otherwise absent.
            ("client_port", Int32),
            ("flows", Int64),
            ("reverse_flows", Int64),
            ("packets", Int64),
            ("bytes", Int64),
            ("reverse_packets", Int64),
            ("reverse_bytes", Int64),
            ("first", time()),
            ("last", time()),
            ("allowed", Int64),
            ("denied", Int64),
            ("confidence_sum", Float64),
            ("tcp_flags", Int16),
        ],
    };
    let field =
        |(name, kind): (&str, DataType)| Field::new(name, kind, matches!(name, "details" | "client_port"));
    Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()))
}

/// How a relation is encoded; the choices are measured.
pub(crate) fn properties(relation: Relation) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let base = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(String::from("ringfence"));
    match relation {
        Relation::Flows => flows(base).build(),
        Relation::Hourly | Relation::Daily => edges(base).build(),
    }
}

fn flows(mut properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    // Sorted times differ by little, counts and ephemeral ports hardly repeat.
    for name in [START, "end"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in
        ["packets", "bytes", "reverse_packets", "reverse_bytes", "client_confidence", "src_port", "dst_port"]
    {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    // Row groups are passed over by time.
    properties.set_column_statistics_enabled(ColumnPath::from(START), EnabledStatistics::Chunk)
}

fn edges(mut properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    for name in
        ["first", "last", "packets", "bytes", "reverse_packets", "reverse_bytes", "flows", "confidence_sum"]
    {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in ["first", "last"] {
        properties = properties.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties.set_column_statistics_enabled(ColumnPath::from("bucket"), EnabledStatistics::Chunk)
}
