//! The log of the Windows firewall: `pfirewall.log`.

use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::{Ip, Protocol};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{self, decimal, shown};
use crate::text::times::date_time;
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "windows-firewall",
    aliases: &["pfirewall"],
    title: "Windows firewall log (pfirewall.log)",
    description: "The log of the Windows firewall, fields by the `#Fields` line. A line is a packet or an attempt, so the flows \
                  have no counts; `ALLOW` and `DROP` are the verdict, `SEND` and `RECEIVE` the direction, and the process's \
                  number the process. The firewall follows connections: of what it allows the source is the client. \
                  `INFO-EVENTS-LOST` is a lost interval. Times are local and the log does not say to what zone: they are \
                  taken as UTC unless an offset is given.",
    status: Status::Verified,
    detect,
    open,
};

/// How sure the firewall is of who opened what it allowed.
const BY_STATE: f32 = 0.97;

const EXPORTER: &str = "windows-firewall";

/// The fields that are used, by what the log calls them.
const NAMES: [&str; FIELDS] = [
    "date", "time", "action", "protocol", "src-ip", "dst-ip", "src-port", "dst-port", "tcpflags", "icmptype",
    "icmpcode", "path", "pid",
];
const FIELDS: usize = 13;

#[derive(Clone, Copy)]
enum Field {
    Date,
    Time,
    Action,
    Protocol,
    SrcIp,
    DstIp,
    SrcPort,
    DstPort,
    TcpFlags,
    IcmpType,
    IcmpCode,
    Path,
    Pid,
}

/// The order of version 1.5, for logs without their header.
const USUAL: &[u8] =
    b"date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin \
                       icmptype icmpcode info path pid";

fn detect(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.by_ref().take(8).find(|line| {
        line.starts_with(b"#Software: Microsoft Windows Firewall")
            || header(line).is_some_and(|fields| Columns::of(fields).is_some())
    });
    if first.is_some() {
        return true;
    }
    let columns = Columns::usual();
    head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).zip(columns).is_some_and(
        |(line, columns)| {
            columns.values(line).is_ok_and(|values| values.time(0).is_ok() && values.verdict().is_some())
        },
    )
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let offset = input.offset_from_utc();
    let log = Log { columns: None, offset, last: 0 };
    open_text(SOURCE.name, "lines of a Windows firewall log", Shape::LINES, input, log)
}

/// The names of a header line.
fn header(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"#Fields:").map(<[u8]>::trim_ascii)
}

struct Log {
    columns: Option<Columns>,
    /// What the log's clock is ahead of UTC.
    offset: Micros,
    /// When the record before was.
    last: Micros,
}

impl TextFormat for Log {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let text = text.trim_ascii();
        if let Some(fields) = header(text) {
            let columns = Columns::of(fields).ok_or_else(|| {
                Fault::Input("the `#Fields` line names no date, time, action or addresses".to_owned())
            })?;
            // Logs that were put together repeat it.
            if self.columns.as_ref() != Some(&columns) {
                self.columns = Some(columns);
                sink.header();
            }
            return Ok(());
        }
        if text.first() == Some(&b'#') {
            return Ok(());
        }
        if self.columns.is_none() {
            self.columns = Columns::usual();
        }
        let columns = self.columns.as_ref().ok_or("there is no `#Fields` line")?;
        let values = columns.values(text)?;
        let at = values.time(self.offset)?;
        if values.get(Field::Action) == Some(b"INFO-EVENTS-LOST") {
            let from = if self.last > 0 { self.last.min(at) } else { at };
            sink.lost_interval(EXPORTER, from, at);
            self.last = at;
            return Ok(());
        }
        let Some((verdict, client)) = values.verdict() else {
            // Before Vista connections had an end too, which says nothing new.
            if values.get(Field::Action) == Some(b"CLOSE") {
                sink.skip("end of a connection that says nothing new");
                return Ok(());
            }
            let action = values.get(Field::Action).map(shown).unwrap_or_default();
            return Err(format!("`{action}` is no action; expected ALLOW, DROP or INFO-EVENTS-LOST").into());
        };
        let mut flow = Flow { start: at, end: at, sampling: 1, verdict, ..Flow::default() };
        if client {
            (flow.client, flow.client_confidence) = (Client::Src, BY_STATE);
        }
        values.packet(&mut flow)?;
        self.last = at;
        let process = values.get(Field::Pid).filter(|pid| *pid != b"0").map(shown);
        sink.push_with(
            EXPORTER,
            flow,
            FlowDetails { process: process.map(|pid| format!("pid {pid}")), ..FlowDetails::default() },
        );
        Ok(())
    }
}

/// Where the fields are.
#[derive(PartialEq)]
struct Columns {
    places: Vec<Option<usize>>,
    /// The last field is `path`: newer systems write the process's number behind it, also below an older header.
    ends_with_path: bool,
    /// The header is not the log's own: the process's number may be missing.
    usual: bool,
}

impl Columns {
    fn of(fields: &[u8]) -> Option<Self> {
        let names: Vec<&[u8]> =
            fields.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).collect();
        let places: Vec<_> =
            names.iter().map(|name| NAMES.iter().position(|known| known.as_bytes() == *name)).collect();
        let needed = [Field::Date, Field::Time, Field::Action, Field::Protocol, Field::SrcIp, Field::DstIp];
        let all = needed.iter().all(|field| places.contains(&Some(*field as usize)));
        let ends_with_path = names.last() == Some(&&b"path"[..]);
        all.then_some(Self { places, ends_with_path, usual: false })
    }

    fn usual() -> Option<Self> {
        Some(Self { usual: true, ..Self::of(USUAL)? })
    }

    fn values<'a>(&self, text: &'a [u8]) -> Result<Values<'a>, String> {
        let mut values = Values([None; FIELDS]);
        let mut width = 0;
        for value in text.split(u8::is_ascii_whitespace).filter(|value| !value.is_empty()) {
            let field = match self.places.get(width) {
                Some(field) => *field,
                None if width == self.places.len() && self.ends_with_path => Some(Field::Pid as usize),
                None => None,
            };
            width += 1;
            if let Some(field) = field
                && value != b"-"
            {
                values.0[field] = Some(value);
            }
        }
        let expected = self.places.len();
        let sound = width == expected
            || width == expected + 1 && self.ends_with_path
            || width + 1 == expected && self.usual;
        if sound {
            return Ok(values);
        }
        Err(format!("the line has {width} values; expected {expected} as named by the header"))
    }
}

/// What a line says; `None` where it has `-`.
struct Values<'a>([Option<&'a [u8]>; FIELDS]);

impl Values<'_> {
    fn get(&self, field: Field) -> Option<&[u8]> {
        self.0[field as usize]
    }

    fn time(&self, offset: Micros) -> Result<Micros, String> {
        let (date, time) =
            (self.get(Field::Date).unwrap_or_default(), self.get(Field::Time).unwrap_or_default());
        let text = [date, b" ", time].concat();
        let at = date_time(&text).filter(|_| date.len() == 10);
        at.map(|at| at - offset)
            .ok_or_else(|| format!("`{}` is not a date and time like `2026-11-19 08:00:00`", shown(&text)))
    }

    /// What the firewall decided, and whether it says with it who opened a connection.
    fn verdict(&self) -> Option<(Verdict, bool)> {
        match self.get(Field::Action)? {
            b"ALLOW" | b"OPEN" | b"OPEN-INBOUND" => Some((Verdict::Allow, true)),
            b"DROP" => Some((Verdict::Deny, false)),
            _ => None,
        }
    }

    fn packet(&self, flow: &mut Flow) -> Result<(), String> {
        flow.src = self.address(Field::SrcIp)?;
        flow.dst = self.address(Field::DstIp)?;
        let name = self.get(Field::Protocol).map(shown).unwrap_or_default();
        flow.protocol = protocol(&name, flow.src).ok_or_else(|| format!("`{name}` is not a protocol"))?;
        flow.direction = match self.get(Field::Path) {
            Some(b"SEND") => Direction::Egress,
            Some(b"RECEIVE") => Direction::Ingress,
            _ => Direction::Unknown,
        };
        if Protocol(flow.protocol).is_icmp() {
            if let (Some(kind), Some(code)) = (self.small(Field::IcmpType), self.small(Field::IcmpCode)) {
                flow.dst_port = kind << 8 | code;
                flow.present |= FlowBatch::HAS_ICMP;
            }
            return Ok(());
        }
        if let (Some(source), Some(destination)) = (self.get(Field::SrcPort), self.get(Field::DstPort)) {
            let port = |text: &[u8]| {
                decimal(text)
                    .and_then(|number| u16::try_from(number).ok())
                    .ok_or_else(|| format!("`{}` is not a port", shown(text)))
            };
            (flow.src_port, flow.dst_port) = (port(source)?, port(destination)?);
            flow.present |= FlowBatch::HAS_PORTS;
        }
        if let Some(flags) = self.get(Field::TcpFlags).and_then(flags) {
            flow.tcp_flags = flags;
            flow.present |= FlowBatch::HAS_TCP_FLAGS;
        }
        Ok(())
    }

    fn address(&self, field: Field) -> Result<Ip, String> {
        let name = NAMES[field as usize];
        let text = self.get(field).ok_or_else(|| format!("the record has no `{name}`"))?;
        bytes::ip(text).ok_or_else(|| format!("`{}` is not an address", shown(text)))
    }

    fn small(&self, field: Field) -> Option<u16> {
        decimal(self.get(field)?).filter(|number| *number < 256).map(|number| number as u16)
    }
}

/// The letters of TCP's flags.
fn flags(text: &[u8]) -> Option<u8> {
    text.iter().try_fold(0, |flags, letter| {
        let at = b"FSRPAU".iter().position(|known| known == letter)?;
        Some(flags | 1 << at)
    })
}

#[cfg(test)]
mod tests;
