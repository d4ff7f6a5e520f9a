//! A column's values, some rows at a time.

use std::io::Write;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{AsBytes, ByteArray, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use super::super::clock::TYPED;

/// The place of a value that is not there.
const NOTHING: u32 = u32::MAX;

/// A column of a row group.
pub(super) struct Column {
    reader: ColumnReader,
    data: Data,
    /// How deep a value lies; less deep is none.
    depth: i16,
    levels: Vec<i16>,
    /// For each row, which value is its; empty where every row has one.
    places: Vec<u32>,
    /// For moments: how many of the unit are a second.
    unit: Option<i64>,
}

/// Values of the rows that have one.
enum Data {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Column {
    pub(super) fn new(reader: ColumnReader, descriptor: &ColumnDescriptor) -> Self {
        let data = match &reader {
            ColumnReader::BoolColumnReader(_) => Data::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Data::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Data::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Data::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Data::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Data::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Data::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Data::Fixed(Vec::new()),
        };
        let depth = descriptor.max_def_level();
        Self { reader, data, depth, levels: Vec::new(), places: Vec::new(), unit: unit(descriptor) }
    }

    /// Decodes so many rows; says how many there were.
    pub(super) fn read(&mut self, rows: usize) -> Result<usize, ParquetError> {
        self.levels.clear();
        let levels = Some(&mut self.levels);
        macro_rules! read {
            ($reader:expr, $values:expr) => {{
                $values.clear();
                ($reader.read_records(rows, levels, None, $values)?.0, $values.len())
            }};
        }
        let (found, values) = match (&mut self.reader, &mut self.data) {
            (ColumnReader::BoolColumnReader(reader), Data::Bool(values)) => read!(reader, values),
            (ColumnReader::Int32ColumnReader(reader), Data::Int32(values)) => read!(reader, values),
            (ColumnReader::Int64ColumnReader(reader), Data::Int64(values)) => read!(reader, values),
            (ColumnReader::Int96ColumnReader(reader), Data::Int96(values)) => read!(reader, values),
            (ColumnReader::FloatColumnReader(reader), Data::Float(values)) => read!(reader, values),
            (ColumnReader::DoubleColumnReader(reader), Data::Double(values)) => read!(reader, values),
            (ColumnReader::ByteArrayColumnReader(reader), Data::Bytes(values)) => read!(reader, values),
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Data::Fixed(values)) => {
                read!(reader, values)
            }
            _ => (0, 0),
        };
        self.places.clear();
        if values < found {
            let mut next = 0;
            self.places.extend(self.levels.iter().map(|level| {
                if *level < self.depth {
                    return NOTHING;
                }
                next += 1;
                next - 1
            }));
        }
        Ok(found)
    }

    fn place(&self, row: usize) -> Option<usize> {
        if self.places.is_empty() {
            return Some(row);
        }
        self.places.get(row).filter(|place| **place != NOTHING).map(|place| *place as usize)
    }

    /// Text.
    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        let at = self.place(row)?;
        match &self.data {
            Data::Bytes(values) => values.get(at).map(AsBytes::as_bytes),
            Data::Fixed(values) => values.get(at).map(AsBytes::as_bytes),
            _ => None,
        }
    }

    /// A whole number; of a moment, its seconds.
    pub(super) fn whole(&self, row: usize) -> Result<Option<u64>, String> {
        let Some(at) = self.place(row) else { return Ok(None) };
        let number = match &self.data {
            Data::Int32(values) => values.get(at).map(|value| i64::from(*value)),
            Data::Int64(values) => values.get(at).copied(),
            Data::Int96(values) => values.get(at).map(Int96::to_seconds),
            Data::Double(values) => values.get(at).map(|value| *value as i64),
            Data::Float(values) => values.get(at).map(|value| *value as i64),
            _ => None,
        };
        let Some(number) = number else { return Ok(None) };
        let number = self.unit.map_or(number, |unit| number.div_euclid(unit));
        u64::try_from(number).map(Some).map_err(|_| format!("`{number}` is below zero"))
    }

    /// The value as text, moments marked as such; nothing where there is none.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        let Some(at) = self.place(row) else { return };
        // Writing to a vector does not fail.
        let _ = match &self.data {
            Data::Bytes(values) => values.get(at).map_or(Ok(()), |value| out.write_all(value.as_bytes())),
            Data::Fixed(values) => values.get(at).map_or(Ok(()), |value| out.write_all(value.as_bytes())),
            Data::Bool(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Data::Int32(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Data::Int64(values) => values.get(at).map_or(Ok(()), |value| match self.unit {
                Some(unit) => moment(i128::from(*value) * 1_000_000 / i128::from(unit), out),
                None => write!(out, "{value}"),
            }),
            Data::Int96(values) => {
                values.get(at).map_or(Ok(()), |value| moment(i128::from(value.to_nanos()) / 1_000, out))
            }
            Data::Float(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
            Data::Double(values) => values.get(at).map_or(Ok(()), |value| write!(out, "{value}")),
        };
    }
}

fn moment(micros: i128, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.write_all(TYPED)?;
    write!(out, "{micros}")
}

fn unit(descriptor: &ColumnDescriptor) -> Option<i64> {
    match (descriptor.logical_type_ref(), descriptor.converted_type()) {
        (Some(LogicalType::Timestamp(moment)), _) => Some(match moment.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        }),
        (_, ConvertedType::TIMESTAMP_MILLIS) => Some(1_000),
        (_, ConvertedType::TIMESTAMP_MICROS) => Some(1_000_000),
        _ => None,
    }
}
