use std::io::Cursor;
use std::sync::Arc;

use model::{Client, Direction, FlowBatch, Verdict};
use parquet::basic::Compression;
use parquet::data_type::{ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::super::PARQUET;
use crate::ledger::Summary;
use crate::source::Input;

/// A column of a made-up table; `None` is a value that is not there.
enum Made<'a> {
    Text(&'a str, Vec<Option<&'a str>>),
    Int(&'a str, Vec<Option<i32>>),
    Long(&'a str, Vec<Option<i64>>),
    Moment(&'a str, Vec<Option<i64>>),
}

/// A file of a made-up table, in groups of two rows.
fn file(columns: &[Made<'_>], compression: Compression) -> Vec<u8> {
    let part = |column: &Made<'_>| match column {
        Made::Text(name, _) => format!("optional binary {name} (UTF8);"),
        Made::Int(name, _) => format!("optional int32 {name};"),
        Made::Long(name, _) => format!("optional int64 {name};"),
        Made::Moment(name, _) => format!("optional int64 {name} (TIMESTAMP(MILLIS, true));"),
    };
    let schema = format!("message t {{ {} }}", columns.iter().map(part).collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let rows = match &columns[0] {
        Made::Text(_, values) => values.len(),
        Made::Int(_, values) => values.len(),
        Made::Long(_, values) | Made::Moment(_, values) => values.len(),
    };
    for from in (0..rows).step_by(2) {
        let mut group = writer.next_row_group().unwrap();
        columns.iter().for_each(|column| write(&mut group, column, from..(from + 2).min(rows)));
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn write(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, column: &Made<'_>, rows: std::ops::Range<usize>) {
    let mut writer = group.next_column().unwrap().unwrap();
    macro_rules! put {
        ($kind:ty, $values:expr, $make:expr) => {{
            let values = &$values[rows];
            let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
            let there: Vec<_> = values.iter().flatten().map($make).collect();
            writer.typed::<$kind>().write_batch(&there, Some(&levels), None).unwrap();
        }};
    }
    match column {
        Made::Text(_, values) => put!(ByteArrayType, values, |text: &&str| (*text).into()),
        Made::Int(_, values) => put!(Int32Type, values, |value: &i32| *value),
        Made::Long(_, values) | Made::Moment(_, values) => put!(Int64Type, values, |value: &i64| *value),
    }
    writer.close().unwrap();
}

/// AWS's types: text, 32-bit ports and protocol, 64-bit counts and times.
fn aws(rows: &[(&'static str, &'static str, Option<i32>, &'static str, &'static str)]) -> Vec<Made<'static>> {
    let all = |value: i64| rows.iter().map(|row| row.2.map(|_| value)).collect::<Vec<_>>();
    vec![
        Made::Int("version", rows.iter().map(|_| Some(5)).collect()),
        Made::Text("interface_id", rows.iter().map(|_| Some("eni-1")).collect()),
        Made::Text("srcaddr", rows.iter().map(|row| Some(row.0)).collect()),
        Made::Text("dstaddr", rows.iter().map(|row| Some(row.1)).collect()),
        Made::Int("srcport", rows.iter().map(|row| row.2).collect()),
        Made::Int("dstport", rows.iter().map(|row| row.2.map(|_| 443)).collect()),
        Made::Int("protocol", rows.iter().map(|row| row.2.map(|_| 6)).collect()),
        Made::Long("packets", all(3)),
        Made::Long("bytes", all(180)),
        Made::Long("start", rows.iter().map(|_| Some(1_600_000_000)).collect()),
        Made::Long("end", rows.iter().map(|_| Some(1_600_000_060)).collect()),
        Made::Text("action", rows.iter().map(|row| Some(row.3)).collect()),
        Made::Text("log_status", rows.iter().map(|row| Some(row.4)).collect()),
        Made::Int("tcp_flags", rows.iter().map(|row| row.2.map(|_| 2)).collect()),
        Made::Text("flow_direction", rows.iter().map(|_| Some("egress")).collect()),
        Made::Text("instance_id", rows.iter().map(|_| Some("i-1")).collect()),
    ]
}

/// Samples with one flow each: AWS's columns, and others of well-known names.
pub(crate) fn samples() -> [Vec<u8>; 2] {
    let flow = ("10.0.0.1", "10.0.0.2", Some(49_152), "ACCEPT", "OK");
    let known = [
        Made::Text("src_ip", vec![Some("10.0.0.1")]),
        Made::Text("dst_ip", vec![Some("10.0.0.2")]),
        Made::Int("dst_port", vec![Some(443)]),
        Made::Int("src_port", vec![Some(49_152)]),
        Made::Text("protocol", vec![Some("tcp")]),
        Made::Moment("event_start", vec![Some(1_600_000_000_123)]),
    ];
    [file(&aws(&[flow]), Compression::SNAPPY), file(&known, Compression::UNCOMPRESSED)]
}

fn read(bytes: Vec<u8>) -> (FlowBatch, Summary) {
    let mut reader = (PARQUET.open)(Input::new("t.parquet", Cursor::new(bytes))).unwrap();
    let mut all = FlowBatch::new(reader.source());
    while reader.read(&mut all).unwrap() {}
    (all, reader.summary().clone())
}

#[test]
fn aws_columns_mean_what_its_text_means() {
    let rows = [
        ("10.0.0.1", "10.0.0.2", Some(49_152), "ACCEPT", "OK"),
        ("-", "-", None, "-", "NODATA"),
        ("-", "-", None, "-", "SKIPDATA"),
        ("10.0.0.1", "10.0.0.999", Some(1), "ACCEPT", "OK"),
        ("2001:db8::1", "2001:db8::2", Some(49_153), "REJECT", "OK"),
    ];
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ];
    for codec in codecs {
        let (flows, summary) = read(file(&aws(&rows), codec));
        assert_eq!((flows.len(), summary.silent_intervals, summary.lost_intervals), (2, 1, 1), "{codec:?}");
        assert_eq!((flows.src_port.clone(), flows.dst_port.clone()), (vec![49_152, 49_153], vec![443, 443]));
        assert_eq!((flows.packets[1], flows.bytes[1], flows.start[1]), (3, 180, 1_600_000_000_000_000));
        assert_eq!(flows.verdict, [Verdict::Allow, Verdict::Deny]);
        assert_eq!((flows.client[0], flows.direction[0]), (Client::Src, Direction::Egress));
        assert_eq!(flows.details[&0].src_workload.as_deref(), Some("i-1"));
        assert_eq!(&*flows.exporters[0].0, "eni-1");
        let rejects: Vec<String> = summary.rejects.iter().map(ToString::to_string).collect();
        assert_eq!(rejects, ["t.parquet: line 4: `10.0.0.999` is not an IPv4 or IPv6 address"]);
    }
}

#[test]
fn moments_are_read_by_their_type() {
    let (flows, _) = read(samples()[1].clone());
    assert_eq!(flows.start, [1_600_000_000_123_000]);
}

#[test]
fn tables_of_nobodys_names_and_cut_files_say_so() {
    let error = |bytes: Vec<u8>| {
        let mut reader = (PARQUET.open)(Input::new("t.parquet", Cursor::new(bytes))).unwrap();
        reader.read(&mut FlowBatch::new("parquet")).unwrap_err().to_string()
    };
    let other = error(file(&[Made::Text("a", vec![Some("x")])], Compression::SNAPPY));
    assert!(other.contains("the columns are `a`; say which is which in a mapping file"), "{other}");
    let mut cut = samples()[0].clone();
    cut.truncate(cut.len() - 9);
    let cut = error(cut);
    assert!(cut.contains("expected the footer of a Parquet file there; is the copy complete?"), "{cut}");
}
