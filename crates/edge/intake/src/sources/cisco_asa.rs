//! Cisco's ASA and Firepower (FTD): connections and denials by syslog.

mod message;
mod pending;

use memchr::memmem::find;
use model::{FlowBatch, FlowDetails, Micros};

use self::message::{Event, Stage};
use self::pending::Pending;
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, shown};
use crate::text::syslog::Syslog;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "cisco-asa",
    aliases: &["asa", "cisco-ftd"],
    title: "Cisco ASA and FTD syslog",
    description: "Connections built and torn down (302013 to 302016, 302020, 302303, 302304), denials (106001, 106006, 106007, \
                  106010, 106014, 106015, 106023, 710003), access-list hits (106100) and FTD's connection events (430002, \
                  430003). The message that builds a connection says who opened it and what is translated, the one that tears \
                  it down how long it took and its bytes, both directions together: the two become one flow. Up to 65,536 open \
                  connections are remembered; those that nobody tears down are flows without counts. Times are UTC.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').take(16).any(|line| number(line).is_some())
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "messages of a Cisco ASA", Shape::LINES, input, Messages::default())
}

#[derive(Default)]
struct Messages {
    syslog: Syslog,
    pending: Pending,
}

/// The number of a message, `%ASA-6-302013: ..` or `%ASA-session-6-302013: ..`, and its text.
fn number(line: &[u8]) -> Option<(u64, &[u8])> {
    let at = find(line, b"%ASA-").or_else(|| find(line, b"%FTD-")).or_else(|| find(line, b"%PIX-"))?;
    let tag = &line[at..line.len().min(at + 64)];
    let end = tag.iter().position(|byte| *byte == b':')?;
    let code = tag[..end].rsplit(|byte| *byte == b'-').next()?;
    let number = decimal(code).filter(|_| code.len() == 6)?;
    Some((number, line[at + end + 1..].trim_ascii()))
}

impl TextFormat for Messages {
    fn record(&mut self, line: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let (number, text) =
            number(line).ok_or("expected a message of an ASA or FTD, such as `%ASA-6-302013: ..`")?;
        let header = self.syslog.message(line);
        let text = String::from_utf8_lossy(text);
        let Some(outcome) = message::event(number, &text) else {
            sink.skip("message that is no connection");
            return Ok(());
        };
        let unread = || format!("message {number} is not in its usual form: `{}`", shown(text.as_bytes()));
        let event = outcome.ok_or_else(unread)?;
        let host = header.host.unwrap_or(SOURCE.name);
        self.take(event, header.at.unwrap_or(0), host, sink);
        Ok(())
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        while let Some(open) = self.pending.oldest() {
            sink.push_with(&open.host, open.flow, open.details);
        }
    }
}

impl Messages {
    fn take(&mut self, event: Event, at: Micros, host: &str, sink: &mut Sink<'_>) {
        let Event { mut flow, details, id, stage } = event;
        let end = at;
        let begin = |span: Micros| if end == 0 { 0 } else { end.saturating_sub(span) };
        match stage {
            Stage::Whole { span, starts } => {
                if flow.start == 0 {
                    (flow.start, flow.end) = (begin(span), end);
                } else {
                    flow.end = flow.start.saturating_add(span);
                }
                if starts {
                    flow.present &= !(FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE);
                }
                sink.push_with(host, flow, details);
            }
            Stage::Built => {
                (flow.start, flow.end) = (at, at);
                for open in self.pending.add(host, id, flow, details) {
                    sink.push_with(&open.host, open.flow, open.details);
                }
            }
            Stage::TornDown { span, bytes } => {
                let (mut flow, details) = match self.pending.take(host, id) {
                    Some(open) if open.flow.protocol == flow.protocol => (open.flow, open.details),
                    _ => (flow, FlowDetails::default()),
                };
                (flow.start, flow.end) = (begin(span), end);
                flow.bytes = bytes;
                flow.present |= FlowBatch::HAS_COUNTS;
                sink.push_with(host, flow, details);
            }
        }
    }
}
