//! Parquet: only the columns that are fields are read, a row group after the other.

mod column;
mod spool;

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;

use self::column::Column;
use self::spool::spool;
use super::csv::{known, named};
use super::field::Field;
use super::mapping::Mapping;
use super::record::{self, NONE};
use crate::error::IntakeError;
use crate::ledger::{Ledger, Place, Summary};
use crate::progress::Progress;
use crate::source::{FlowReader, Input};
use crate::sources::aws_vpc::layout as aws;
use crate::sources::aws_vpc::record as aws_record;
use crate::text::sink::{Interner, Sink};
use crate::text::{Fault, utf8};

/// How many rows are decoded at a time.
const CHUNK_ROWS: usize = 1_024;

const SOURCE: &str = "parquet";
const BAD_ROW: &str = "record cannot be read";

/// Starts reading a Parquet file. It is read whole first: into memory if it is small, else into a temporary file.
pub(super) fn open(input: Input, mapping: Mapping) -> Result<Box<dyn FlowReader>, IntakeError> {
    let (reader, ledger) = input.into_parts();
    Ok(Box::new(Reader {
        opening: Some((reader, mapping)),
        rows: None,
        ledger,
        interner: Interner::default(),
        row: 0,
        progress: Progress::default(),
    }))
}

struct Reader {
    /// What is still to be opened: content is looked at by `read`, so that its errors come from there.
    opening: Option<(Box<dyn std::io::Read + Send>, Mapping)>,
    rows: Option<Rows>,
    ledger: Ledger,
    interner: Interner,
    /// Rows so far.
    row: u64,
    progress: Progress,
}

/// The rows of a file.
struct Rows {
    file: Box<dyn FileReader>,
    bytes: u64,
    bytes_a_row: usize,
    meaning: Meaning,
    group: usize,
    /// Rows of the group that are still to be read.
    left: usize,
    columns: Vec<Column>,
    /// Numbers of the row at hand, as text.
    scratch: Vec<u8>,
}

/// What the columns are: the number of each that is read, and its field.
enum Meaning {
    Aws(Vec<(usize, aws::Field)>),
    Mapped(Box<Mapping>, Vec<(usize, Field)>),
}

impl FlowReader for Reader {
    fn source(&self) -> &'static str {
        SOURCE
    }

    fn read(&mut self, batch: &mut model::FlowBatch) -> Result<bool, IntakeError> {
        let before = batch.len();
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| self.step(batch));
        self.progress = progress;
        self.ledger.summary.flows += (batch.len() - before) as u64;
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl Reader {
    /// Some rows into the batch.
    fn step(&mut self, batch: &mut model::FlowBatch) -> Result<bool, IntakeError> {
        if let Some((reader, mapping)) = self.opening.take() {
            self.rows = Some(self.start(reader, mapping)?);
        }
        let Some(rows) = &mut self.rows else { return Ok(false) };
        let count = match guarded(|| rows.next_chunk()) {
            Ok(Some(count)) => count,
            Ok(None) => {
                self.ledger.summary.bytes_read = rows.bytes;
                return Ok(false);
            }
            Err(error) => {
                let reason = format!("row {}: {error}", self.row + 1);
                return Err(self.damaged(reason));
            }
        };
        for at in 0..count {
            self.row += 1;
            self.ledger.summary.datagrams += 1;
            let place = Place::Line(self.row);
            let mut sink = Sink::new(batch, &mut self.ledger, &mut self.interner, place, rows.bytes_a_row);
            if let Err(Fault::Record(why) | Fault::Input(why)) = rows.take(at, &mut sink) {
                self.ledger.reject(BAD_ROW, rows.bytes_a_row, place, why);
            }
        }
        Ok(true)
    }

    fn start(
        &mut self,
        reader: Box<dyn std::io::Read + Send>,
        mapping: Mapping,
    ) -> Result<Rows, IntakeError> {
        let (source, bytes) = spool(reader, &self.ledger.file)?;
        if bytes == 0 {
            let file = self.ledger.file.to_string();
            return Err(IntakeError::Empty { file, expected: "a Parquet file" });
        }
        let file = guarded(|| source.open()).map_err(|error| IntakeError::Damaged {
            file: self.ledger.file.to_string(),
            offset: bytes,
            reason: format!("{error}; expected the footer of a Parquet file there; is the copy complete?"),
            flows: 0,
        })?;
        let meaning = self.meaning(&*file, mapping)?;
        let rows = u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        let bytes_a_row = (bytes / rows) as usize;
        let (columns, scratch) = (Vec::new(), Vec::new());
        Ok(Rows { file, bytes, bytes_a_row, meaning, group: 0, left: 0, columns, scratch })
    }

    fn meaning(&self, file: &dyn FileReader, mapping: Mapping) -> Result<Meaning, IntakeError> {
        let schema = file.metadata().file_metadata().schema_descr();
        // Lists are nobody's field; their columns keep their place, without a name.
        let name = |column: &parquet::schema::types::ColumnDescPtr| match column.max_rep_level() {
            0 => column.path().string(),
            _ => String::new(),
        };
        let names: Vec<String> = schema.columns().iter().map(name).collect();
        if mapping.columns.is_empty()
            && let Some(places) = aws_places(&names)
        {
            return Ok(Meaning::Aws(places));
        }
        let header = |reason| IntakeError::Header { file: self.ledger.file.to_string(), line: 0, reason };
        let places = if mapping.columns.is_empty() {
            known(&names)
        } else {
            named(&mapping, &names).map_err(|fault| match fault {
                Fault::Record(why) | Fault::Input(why) => header(why),
            })?
        };
        for needed in [Field::Source, Field::Destination] {
            let constant = mapping.constants.iter().any(|(field, _)| *field == needed);
            if !constant && !places.iter().any(|(_, field)| *field == needed) {
                let shown =
                    names.iter().take(40).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(header(format!(
                    "no columns are known as the addresses of a flow; the columns are {shown}; say which is which in a mapping file"
                )));
            }
        }
        Ok(Meaning::Mapped(Box::new(mapping), places))
    }

    fn damaged(&self, reason: String) -> IntakeError {
        let file = self.ledger.file.to_string();
        IntakeError::Damaged { file, offset: 0, reason, flows: self.ledger.summary.flows }
    }
}

/// AWS's columns: its fields with underscores.
fn aws_places(names: &[String]) -> Option<Vec<(usize, aws::Field)>> {
    let named = |name: &String| aws::Field::of_name(&aws::header_name(name));
    let places: Vec<_> = names.iter().enumerate().filter_map(|(at, name)| Some((at, named(name)?))).collect();
    let has = |field| places.iter().any(|(_, known)| *known == field);
    let addressed = has(aws::Field::Source) && has(aws::Field::Destination)
        || has(aws::Field::PacketSource) && has(aws::Field::PacketDestination);
    (addressed && has(aws::Field::Start)).then_some(places)
}

impl Meaning {
    /// The columns to read, each once.
    fn columns(&self) -> Vec<usize> {
        match self {
            Self::Aws(places) => places.iter().map(|(at, _)| *at).collect(),
            Self::Mapped(_, places) => places.iter().map(|(at, _)| *at).collect(),
        }
    }
}

impl Rows {
    /// Decodes the next rows; says how many. `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<usize>, ParquetError> {
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group)?;
            let schema = self.file.metadata().file_metadata().schema_descr();
            self.group += 1;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.columns.clear();
            for at in self.meaning.columns() {
                self.columns.push(Column::new(group.get_column_reader(at)?, &schema.column(at)));
            }
        }
        let count = self.left.min(CHUNK_ROWS);
        for column in &mut self.columns {
            let found = column.read(count)?;
            if found != count {
                return Err(ParquetError::General(format!("a column ends {} rows too early", count - found)));
            }
        }
        self.left -= count;
        Ok(Some(count))
    }

    fn take(&mut self, row: usize, sink: &mut Sink<'_>) -> Result<(), Fault> {
        match &self.meaning {
            Meaning::Aws(places) => {
                let mut fields = [None; aws::FIELDS];
                for ((_, field), column) in places.iter().zip(&self.columns) {
                    fields[*field as usize] = Some(column);
                }
                aws_record::take(&AwsRow { fields, row }, sink)
            }
            Meaning::Mapped(mapping, places) => {
                self.scratch.clear();
                let mut spans = Vec::with_capacity(places.len());
                for column in &self.columns {
                    let from = self.scratch.len();
                    column.write(row, &mut self.scratch);
                    spans.push(from..self.scratch.len());
                }
                let mut values = NONE;
                for ((_, field), span) in places.iter().zip(spans) {
                    let value = &mut values[*field as usize];
                    if value.is_empty() {
                        *value = self.scratch.get(span).unwrap_or_default();
                    }
                }
                record::take(mapping, SOURCE, values, sink)
            }
        }
    }
}

/// A row of AWS's columns.
struct AwsRow<'a> {
    fields: [Option<&'a Column>; aws::FIELDS],
    row: usize,
}

impl aws_record::Values for AwsRow<'_> {
    fn text(&self, field: aws::Field) -> Option<&[u8]> {
        let text = self.fields[field as usize]?.bytes(self.row)?;
        (!text.is_empty() && text != b"-").then_some(text)
    }

    fn number(&self, field: aws::Field) -> Result<Option<u64>, String> {
        let Some(column) = self.fields[field as usize] else { return Ok(None) };
        if let Some(text) = self.text(field) {
            let text = utf8(text).map_err(|_| "a value is not UTF-8".to_owned())?;
            return text.parse().map(Some).map_err(|_| format!("`{text}` is not a number"));
        }
        column.whole(self.row)
    }
}

/// Damaged files may make the decoder panic: that is damage like any other.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ParquetError::General("the file contradicts itself".to_owned())))
}

#[cfg(test)]
pub(crate) mod tests;
