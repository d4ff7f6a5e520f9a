//! Zeek's conn.log, tab-separated or JSON.

mod columns;
mod connection;
mod object;

use model::{Flow, FlowDetails};

use self::columns::{Columns, Field};
use self::connection::{Row, connection};
use self::object::json;
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text, utf8};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "zeek",
    aliases: &["zeek-conn", "bro"],
    title: "Zeek conn.log (TSV or JSON)",
    description: "Connections as Zeek logs them, tab-separated with its `#fields` header (any separator, renamed fields) or \
                  as JSON objects. Zeek follows connections, so the originator is the client, with less confidence where \
                  Zeek guessed (`^` in the history) or came late (midstream, `OTH`).",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    if text.trim_start().starts_with('{') {
        let has = |names: [&str; 2]| names.iter().any(|name| text.contains(&format!("\"{name}\"")));
        return has(["id.orig_h", "id_orig_h"]) && has(["conn_state", "orig_pkts"]);
    }
    let mut columns = Columns::default();
    for (index, line) in text.lines().take_while(|line| line.starts_with('#')).enumerate() {
        if columns.header(line.as_bytes(), index as u64 + 1).is_err() {
            return false;
        }
    }
    columns.names && columns.is_conn
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(
        SOURCE.name,
        "a Zeek conn.log",
        Shape::JSON,
        input,
        Log { columns: Columns::default(), lines: 0 },
    )
}

struct Log {
    columns: Columns,
    lines: u64,
}

impl TextFormat for Log {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        match text.first() {
            Some(b'#') => {
                self.lines += 1;
                sink.header();
                self.columns.header(text, self.lines).map_err(Fault::Input)
            }
            Some(b'{') => {
                let members = json(text)?;
                let mut row = Row::default();
                for (field, value) in &members {
                    row.values[*field] = Some(value);
                }
                keep(connection(&row)?, &row, sink);
                Ok(())
            }
            _ => self.separated(utf8(text)?, sink),
        }
    }
}

impl Log {
    fn separated(&self, text: &str, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let columns = &self.columns;
        if !columns.names {
            let reason = "no `#fields` line before the first record; expected a conn.log with its header, as Zeek writes \
                          it (`zeek-cut` leaves the header in with `-c`)";
            return Err(Fault::Input(reason.to_owned()));
        }
        let mut row = Row::default();
        let mut count = 0;
        for (index, value) in text.split(char::from(columns.separator)).enumerate() {
            count += 1;
            if let Some(Some(field)) = columns.fields.get(index)
                && columns.is_set(value)
            {
                row.values[*field as usize] = Some(value);
            }
        }
        if count != columns.fields.len() {
            let expected = columns.fields.len();
            return Err(
                format!("the record has {count} values; expected {expected} as named by `#fields`").into()
            );
        }
        keep(connection(&row)?, &row, sink);
        Ok(())
    }
}

fn keep(flow: Flow, row: &Row<'_>, sink: &mut Sink<'_>) {
    let name = row.get(Field::System).unwrap_or("zeek");
    let service_name = row.get(Field::Service).map(str::to_owned);
    sink.push_with(name, flow, FlowDetails { service_name, ..FlowDetails::default() });
}
