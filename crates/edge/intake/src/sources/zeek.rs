//! Zeek's conn.log, tab-separated or JSON.

use std::collections::BTreeMap;

use model::{Client, Exporter, Flow, FlowBatch, FlowDetails, Micros, parse_time};
use netset::{Ip, Protocol};
use serde_json::Value;

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

/// The fields that matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Time,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Protocol,
    ProtocolNumber,
    Service,
    Duration,
    Bytes,
    ReverseBytes,
    IpBytes,
    ReverseIpBytes,
    Packets,
    ReversePackets,
    State,
    History,
    System,
}

const FIELDS: usize = 18;

/// The field of a name, whatever character stands between its parts. Sites rename the `id` record to what their other
/// tools say.
fn field(name: &str) -> Option<Field> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    Some(match plain.as_str() {
        "ts" => Field::Time,
        "id_orig_h" | "orig_h" | "src" | "src_ip" | "source_ip" => Field::Source,
        "id_orig_p" | "orig_p" | "src_port" | "source_port" => Field::SourcePort,
        "id_resp_h" | "resp_h" | "dst" | "dst_ip" | "dest_ip" | "destination_ip" => Field::Destination,
        "id_resp_p" | "resp_p" | "dst_port" | "dest_port" | "destination_port" => Field::DestinationPort,
        "proto" => Field::Protocol,
        "ip_proto" => Field::ProtocolNumber,
        "service" => Field::Service,
        "duration" => Field::Duration,
        "orig_bytes" => Field::Bytes,
        "resp_bytes" => Field::ReverseBytes,
        "orig_ip_bytes" => Field::IpBytes,
        "resp_ip_bytes" => Field::ReverseIpBytes,
        "orig_pkts" => Field::Packets,
        "resp_pkts" => Field::ReversePackets,
        "conn_state" => Field::State,
        "history" => Field::History,
        "_system_name" => Field::System,
        _ => return None,
    })
}

/// What a log's header lines say.
struct Columns {
    separator: u8,
    unset: Vec<u8>,
    empty: Vec<u8>,
    fields: Vec<Option<Field>>,
    /// Whether there was a `#fields` line with both addresses.
    names: bool,
    is_conn: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            separator: b'\t',
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            fields: Vec::new(),
            names: false,
            is_conn: true,
        }
    }
}

impl Columns {
    /// Reads a line that starts with `#`. Lines that say nothing here are skipped.
    fn header(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        if let Some(code) = line.strip_prefix(b"#separator ") {
            self.separator = unescape(code)
                .ok_or_else(|| "expected `#separator` with one character such as `\\x09`".to_owned())?;
            return Ok(());
        }
        let mut parts = line.split(|byte| *byte == self.separator);
        match parts.next() {
            Some(b"#unset_field") => self.unset = parts.next().unwrap_or_default().to_vec(),
            Some(b"#empty_field") => self.empty = parts.next().unwrap_or_default().to_vec(),
            Some(b"#path") => {
                let path = parts.next().unwrap_or_default();
                self.is_conn = path.starts_with(b"conn");
                if !self.is_conn {
                    let path = String::from_utf8_lossy(path);
                    return Err(format!("this is Zeek's log `{path}`; expected `conn`"));
                }
            }
            Some(b"#fields") => {
                self.fields = parts.map(|name| field(&String::from_utf8_lossy(name))).collect();
                let has = |wanted| self.fields.contains(&Some(wanted));
                self.names = has(Field::Source) && has(Field::Destination) && has(Field::Time);
                if !self.names {
                    return Err(format!(
                        "line {number} names no `ts`, `id.orig_h` and `id.resp_h`; expected a conn.log with its addresses"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The character of `\x09` or of a single byte.
fn unescape(code: &[u8]) -> Option<u8> {
    match code {
        [byte] => Some(*byte),
        [b'\\', b'x', high, low] => u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok(),
        _ => None,
    }
}

/// A JSON object that may go over several lines.
#[derive(Default)]
struct Object {
    text: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Where it began.
    line: u64,
}

impl Object {
    /// Adds a line; whether the object is complete.
    fn add(&mut self, line: &[u8], number: u64) -> bool {
        if self.text.is_empty() {
            self.line = number;
        }
        for byte in line {
            match (self.in_string, self.escaped, byte) {
                (true, true, _) => self.escaped = false,
                (true, false, b'\\') => self.escaped = true,
                (_, _, b'"') => self.in_string = !self.in_string,
                (false, _, b'{' | b'[') => self.depth += 1,
                (false, _, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.depth == 0
    }

    fn clear(&mut self) {
        self.text.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
    }
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
                    let (at, bytes) = (self.object.line, self.object.text.len());
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
                Ok(row) => self.push(&row, at, object.len(), batch),
                Err(why) => self.reject(at, object.len(), why),
            }
        } else if self.object.text.len() > OBJECT_BYTES {
            let (at, bytes) = (self.object.line, self.object.text.len());
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
            let unset = value.as_bytes() == columns.unset || value.as_bytes() == columns.empty;
            if let Some(Some(field)) = columns.fields.get(index)
                && !unset
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

    fn push(&mut self, row: &BTreeMap<usize, String>, line: u64, bytes: usize, batch: &mut FlowBatch) {
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

/// The values of one record, those that are set.
#[derive(Default)]
struct Row<'a> {
    values: [Option<&'a str>; FIELDS],
}

impl<'a> Row<'a> {
    fn get(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    fn number(&self, field: Field) -> Result<Option<u64>, String> {
        match self.get(field) {
            Some(text) => text.parse().map(Some).map_err(|_| format!("`{text}` is not a count")),
            None => Ok(None),
        }
    }
}

/// The fields of a JSON record by their index, as text. The `id` record may be flat or nested.
fn json(object: &[u8]) -> Result<BTreeMap<usize, String>, String> {
    let value: Value =
        serde_json::from_slice(object).map_err(|error| format!("not a JSON object: {error}"))?;
    let Value::Object(members) = value else { return Err("expected a JSON object".to_owned()) };
    let mut row = BTreeMap::new();
    for (name, value) in members {
        match value {
            Value::Object(inner) if name == "id" => {
                for (name, value) in inner {
                    put(&mut row, &format!("id.{name}"), value);
                }
            }
            value => put(&mut row, &name, value),
        }
    }
    Ok(row)
}

fn put(row: &mut BTreeMap<usize, String>, name: &str, value: Value) {
    let Some(field) = field(name) else { return };
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    row.insert(field as usize, text);
}

fn connection(row: &Row<'_>) -> Result<Flow, String> {
    let address = |field: Field, name: &str| {
        let text = row.get(field).ok_or_else(|| format!("the record has no `{name}`"))?;
        text.parse::<Ip>().map_err(|error| error.to_string())
    };
    let (src, dst) = (address(Field::Source, "id.orig_h")?, address(Field::Destination, "id.resp_h")?);
    let start = time(row.get(Field::Time))?;
    let duration =
        row.get(Field::Duration).map_or(Some(0), decimal).ok_or("`duration` is not a number of seconds")?;
    let protocol = protocol(row, src)?;
    let mut flow = Flow {
        start,
        end: start.saturating_add(duration.max(0)),
        src,
        dst,
        protocol: protocol.0,
        sampling: 1,
        client: Client::Src,
        client_confidence: confidence(row, protocol),
        ..Flow::default()
    };
    let port = |field: Field| match row.number(field)? {
        Some(port) => u16::try_from(port).map_err(|_| format!("`{port}` is not a port")),
        None => Ok(0),
    };
    let (source, destination) = (port(Field::SourcePort)?, port(Field::DestinationPort)?);
    if protocol.has_ports() {
        (flow.src_port, flow.dst_port) = (source, destination);
        flow.present |= FlowBatch::HAS_PORTS;
    } else if protocol.is_icmp() {
        // Zeek puts the type into one port and the code into the other.
        flow.dst_port = (source & 0xff) << 8 | destination & 0xff;
        flow.present |= FlowBatch::HAS_ICMP;
    }
    counts(row, &mut flow)?;
    Ok(flow)
}

fn counts(row: &Row<'_>, flow: &mut Flow) -> Result<(), String> {
    // Bytes of IP where Zeek counted them, as every other source counts; else those of the payload.
    let bytes = |ip: Field, payload: Field| Ok::<_, String>(row.number(ip)?.or(row.number(payload)?));
    let (packets, forward) = (row.number(Field::Packets)?, bytes(Field::IpBytes, Field::Bytes)?);
    if packets.is_some() || forward.is_some() {
        (flow.packets, flow.bytes) = (packets.unwrap_or(0), forward.unwrap_or(0));
        flow.present |= FlowBatch::HAS_COUNTS;
    }
    let (packets, backward) =
        (row.number(Field::ReversePackets)?, bytes(Field::ReverseIpBytes, Field::ReverseBytes)?);
    if packets.is_some() || backward.is_some() {
        flow.present |= FlowBatch::HAS_REVERSE;
        // A refusal is no answer: nobody offered the service.
        if !matches!(row.get(Field::State), Some("S0" | "REJ" | "RSTOS0" | "SH")) {
            (flow.reverse_packets, flow.reverse_bytes) = (packets.unwrap_or(0), backward.unwrap_or(0));
        }
    }
    Ok(())
}

fn protocol(row: &Row<'_>, src: Ip) -> Result<Protocol, String> {
    if let Some(number) = row.number(Field::ProtocolNumber)? {
        return u8::try_from(number)
            .map(Protocol)
            .map_err(|_| format!("`{number}` is not a protocol number"));
    }
    match row.get(Field::Protocol) {
        Some("tcp") => Ok(Protocol(6)),
        Some("udp") => Ok(Protocol(17)),
        Some("sctp") => Ok(Protocol(132)),
        Some("icmp") => Ok(Protocol(if src.is_v4() { 1 } else { 58 })),
        Some(other) => Err(format!("the protocol is `{other}`, and there is no `ip_proto`")),
        None => Err("the record has no `proto`".to_owned()),
    }
}

/// How sure Zeek is of the originator. It follows connections, and says itself where it guessed or came late.
fn confidence(row: &Row<'_>, protocol: Protocol) -> f32 {
    let history = row.get(Field::History).unwrap_or("");
    if history.contains('^') {
        // Zeek saw the answer first and turned the connection round by its list of likely server ports.
        0.7
    } else if row.get(Field::State) == Some("OTH") || protocol == Protocol::TCP && !history.contains('S') {
        // Midstream: whoever sent the first packet that was seen.
        0.6
    } else if protocol == Protocol::TCP {
        0.99
    } else {
        0.95
    }
}

/// Seconds since the epoch with a fraction, or RFC 3339. A time that is unset, or masked with `X` as in published logs,
/// is 0.
fn time(text: Option<&str>) -> Result<Micros, String> {
    let Some(text) = text else { return Ok(0) };
    if text.bytes().all(|byte| matches!(byte, b'X' | b'.')) {
        return Ok(0);
    }
    match decimal(text) {
        Some(time) => Ok(time),
        None if text.contains('T') => parse_time(text, 0).map_err(|_| format!("`{text}` is not a time")),
        None => Err(format!("`{text}` is not a time in seconds or RFC 3339")),
    }
}

/// Seconds with a fraction, as microseconds, exactly; JSON may write them with an exponent.
fn decimal(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        let seconds: f64 = text.parse().ok()?;
        return seconds.is_finite().then_some((seconds * 1e6).round() as i64);
    }
    let micros: i64 = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}
