//! Zeek's conn.log, tab-separated or JSON.

mod columns;
mod connection;
mod object;

use std::borrow::Cow;

use model::FlowDetails;

use self::columns::{Columns, Field, Log};
use self::connection::{Row, Value, connection};
use self::object::Members;
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "zeek",
    aliases: &["zeek-conn", "bro"],
    title: "Zeek conn.log (TSV or JSON)",
    description: "Connections as Zeek logs them, tab-separated with its `#fields` header (any separator, renamed fields) or \
                  as JSON objects. Zeek follows connections, so the originator is the client, with less confidence where \
                  Zeek guessed (`^` in the history) or came late (midstream, `OTH`). Records of capture_loss.log in \
                  the same stream, or by themselves, are lost intervals from one percent on.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    if head.first().is_some_and(|first| matches!(first, b'{' | b'[')) {
        let has = |name: &str| memchr::memmem::find(head, format!("\"{name}\"").as_bytes()).is_some();
        return (has("id.orig_h") || has("id_orig_h") || has("orig_h"))
            && (has("conn_state") || has("orig_pkts"));
    }
    let mut columns = Columns::default();
    for (index, line) in head.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first() != Some(&b'#') {
            return columns.named || columns.bare_names(line);
        }
        if columns.header(line, index as u64 + 1).is_err() {
            return false;
        }
    }
    columns.named
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(
        SOURCE.name,
        "a Zeek conn.log",
        Shape::JSON,
        input,
        Format { columns: Columns::default(), lines: 0 },
    )
}

struct Format {
    columns: Columns,
    lines: u64,
}

impl TextFormat for Format {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        match text.first() {
            Some(b'#') => {
                self.lines += 1;
                sink.header();
                self.columns.header(text, self.lines).map_err(Fault::Input)
            }
            Some(b'{') => object(text, sink),
            _ => self.separated(text, sink),
        }
    }
}

impl Format {
    fn separated(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if !self.columns.named {
            if self.columns.bare_names(text) {
                sink.header();
                return Ok(());
            }
            let reason = "no `#fields` line before the first record; expected a conn.log with its header, as Zeek writes \
                          it (`zeek-cut` leaves the header in with `-c`), and with `ts`, `proto` and both addresses in it";
            return Err(Fault::Input(reason.to_owned()));
        }
        let columns = &self.columns;
        let mut row = Row::default();
        let mut count = 0;
        for value in text.split(|byte| *byte == columns.separator) {
            if let Some(Some(field)) = columns.fields.get(count)
                && columns.is_set(value)
            {
                row.values[*field as usize] = Some(Value::Text(value));
            }
            count += 1;
        }
        if count != columns.fields.len() {
            let expected = columns.fields.len();
            return Err(
                format!("the record has {count} values; expected {expected} as named by `#fields`").into()
            );
        }
        match columns.log {
            Log::Conn => keep(&row, sink),
            Log::CaptureLoss => capture_loss(&row, sink),
        }
    }
}

/// A JSON record. Streams mix logs, and say of each record which log's it is.
fn object(text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
    let members = Members::of(text)?;
    let row = members.row();
    match row.text(Field::Path).map(columns::log) {
        None | Some(Ok(Log::Conn)) => keep(&row, sink),
        Some(Ok(Log::CaptureLoss)) => capture_loss(&row, sink),
        Some(Err(_)) => {
            sink.skip("record of another of Zeek's logs");
            Ok(())
        }
    }
}

fn keep(row: &Row<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let flow = connection(row)?;
    let name = system(row);
    match row.text(Field::Service) {
        Some(service) => {
            let service_name = Some(String::from_utf8_lossy(service).into_owned());
            sink.push_with(&name, flow, FlowDetails { service_name, ..FlowDetails::default() });
        }
        None => sink.push(&name, flow),
    }
    Ok(())
}

fn system<'a>(row: &Row<'a>) -> Cow<'a, str> {
    String::from_utf8_lossy(row.text(Field::System).unwrap_or(b"zeek"))
}

/// From how many percent on an interval counts as lost: some acknowledged segments always escape a sensor.
const LOSS_PERCENT: f64 = 1.0;

fn capture_loss(row: &Row<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let percent = row.fraction(Field::PercentLost).ok_or("the record has no `percent_lost`")?;
    if percent < LOSS_PERCENT {
        sink.skip("capture loss below one percent");
        return Ok(());
    }
    let to = row.time()?;
    let span = row.seconds(Field::Span).flatten().unwrap_or(0);
    sink.lost_interval(&system(row), to.saturating_sub(span.max(0)), to);
    Ok(())
}
