//! Zeek's conn.log, tab-separated or JSON.

mod columns;
mod connection;
mod object;

use model::{Exporter, Flow, FlowBatch, FlowDetails};

use self::columns::{Columns, Field};
use self::connection::{Row, connection};
use self::object::{Members, Object, json};
use crate::error::IntakeError;
use crate::ledger::{Ledger, Place, Summary};
use crate::lines::{Line, Lines};
use crate::progress::Progress;
use crate::source::{FlowReader, Input, Source};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "zeek",
    aliases: &["zeek-conn", "bro"],
    title: "Zeek conn.log (TSV or JSON)",
    description: "Connections as Zeek logs them, tab-separated with its `#fields` header (any separator, renamed fields) or \
                  as JSON objects. Zeek follows connections, so the originator is the client, with less confidence where \
                  Zeek guessed (`^` in the history) or came late (midstream, `OTH`).",
    detect,
    open,
};

/// The longest JSON object that is put together from several lines.
const OBJECT_BYTES: usize = 256 * 1024;

const BAD_LINE: &str = "line is not a connection";

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
    let (reader, ledger) = input.into_parts();
    Ok(Box::new(Reader {
        lines: Lines::new(reader),
        ledger,
        columns: Columns::default(),
        object: Object::default(),
        line: Vec::new(),
        progress: Progress::default(),
    }))
}

struct Reader {
    lines: Lines,
    ledger: Ledger,
    columns: Columns,
    object: Object,
    line: Vec<u8>,
    progress: Progress,
}

impl FlowReader for Reader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let before = batch.len();
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| self.next_line(batch));
        self.progress = progress;
        self.ledger.summary.flows += (batch.len() - before) as u64;
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl Reader {
    fn reject(&mut self, line: u64, bytes: usize, why: String) {
        self.ledger.reject(BAD_LINE, bytes, Place::Line(line), why);
    }

    fn next_line(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let mut line = std::mem::take(&mut self.line);
        let found = self.lines.next(&mut line, &mut self.ledger)?;
        let number = self.lines.number;
        match found {
            Line::End if number == 0 => {
                let expected = "a Zeek conn.log";
                return Err(IntakeError::Empty { file: self.ledger.file.to_string(), expected });
            }
            Line::End => {
                if !self.object.text.is_empty() {
                    let (at, bytes) = (self.object.line, self.object.bytes());
                    self.reject(at, bytes, "the JSON object does not end".to_owned());
                }
                return Ok(false);
            }
            Line::TooLong(bytes) => self.reject(number, bytes, "line is too long".to_owned()),
            Line::Text => self.text(&line, number, batch)?,
        }
        self.line = line;
        Ok(true)
    }

    fn text(&mut self, line: &[u8], number: u64, batch: &mut FlowBatch) -> Result<(), IntakeError> {
        if self.object.text.is_empty() {
            match line.trim_ascii().first() {
                None => return Ok(()),
                Some(b'#') => {
                    return self
                        .columns
                        .header(line, number)
                        .map_err(|reason| self.header_error(number, reason));
                }
                Some(b'{') => {}
                Some(_) => return self.separated(line, number, batch),
            }
        }
        if self.object.add(line, number) {
            let object = std::mem::take(&mut self.object.text);
            let at = self.object.line;
            self.object.clear();
            self.ledger.summary.datagrams += 1;
            match json(&object) {
                Ok(row) => self.push(&row, at, object.len() - 1, batch),
                Err(why) => self.reject(at, object.len() - 1, why),
            }
        } else if self.object.text.len() > OBJECT_BYTES {
            let (at, bytes) = (self.object.line, self.object.bytes());
            self.object.clear();
            self.reject(at, bytes, "the JSON object does not end".to_owned());
        }
        Ok(())
    }

    fn header_error(&self, line: u64, reason: String) -> IntakeError {
        IntakeError::Header { file: self.ledger.file.to_string(), line, reason }
    }

    fn separated(&mut self, line: &[u8], number: u64, batch: &mut FlowBatch) -> Result<(), IntakeError> {
        if !self.columns.names {
            let reason = "no `#fields` line before the first record; expected a conn.log with its header, as Zeek writes \
                          it (`zeek-cut` leaves the header in with `-c`)";
            return Err(self.header_error(number, reason.to_owned()));
        }
        self.ledger.summary.datagrams += 1;
        let Ok(text) = std::str::from_utf8(line) else {
            self.reject(number, line.len(), "the line is not UTF-8".to_owned());
            return Ok(());
        };
        let columns = &self.columns;
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
            let why = format!(
                "the record has {count} values; expected {} as named by `#fields`",
                columns.fields.len()
            );
            self.reject(number, line.len(), why);
            return Ok(());
        }
        match connection(&row) {
            Ok(found) => self.keep(found, &row, batch),
            Err(why) => self.reject(number, line.len(), why),
        }
        Ok(())
    }

    fn push(&mut self, row: &Members, line: u64, bytes: usize, batch: &mut FlowBatch) {
        let mut borrowed = Row::default();
        for (field, value) in row {
            borrowed.values[*field] = Some(value);
        }
        match connection(&borrowed) {
            Ok(found) => self.keep(found, &borrowed, batch),
            Err(why) => self.reject(line, bytes, why),
        }
    }

    fn keep(&mut self, mut flow: Flow, row: &Row<'_>, batch: &mut FlowBatch) {
        if flow.start == 0 {
            self.ledger.summary.untimed += 1;
        }
        let name = row.get(Field::System).unwrap_or("zeek");
        flow.exporter = match batch.exporters.iter().rposition(|known| &*known.0 == name) {
            Some(index) => index as u32,
            None => batch.intern_exporter(&Exporter(name.into())),
        };
        if let Some(service) = row.get(Field::Service) {
            let details = FlowDetails { service_name: Some(service.to_owned()), ..FlowDetails::default() };
            batch.details.insert(batch.len() as u32, Box::new(details));
        }
        batch.push(flow);
    }
}
