//! Sysmon's network connections: event 3, as XML or as the JSON of those who ship it.

mod json;
mod xml;

use memchr::memmem::find;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes;
use crate::text::times::date_time;
use crate::text::values::{port, protocol};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text, utf8};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "sysmon",
    aliases: &["sysmon-event-3"],
    title: "Sysmon network connections (event 3, XML or JSON)",
    description: "Events 3 of Sysmon for Windows and Linux: XML (one event a line, several, or one over many lines) and JSON as \
                  Winlogbeat, NXLog and evtx tools write it. An event is a connection's beginning, so the flows \
                  have no counts. Who initiated it is the client; what was accepted has the client as its source, with less \
                  confidence, and over UDP nobody is said to be. The process, the user and the names of both sides are kept. \
                  Events of other kinds are skipped.",
    status: Status::Verified,
    detect,
    open,
};

/// How sure Sysmon is of who opened a connection that a process of its host initiated.
const INITIATED: f32 = 0.98;

/// How sure it is of one that came in: its source is the other side, as long as the event was not turned round.
const ACCEPTED: f32 = 0.9;

/// The longest event; real ones have less than 8 KiB.
const EVENT_BYTES: usize = 64 * 1024;

const OTHER: &str = "event of another kind";

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    let named = has("Microsoft-Windows-Sysmon") || has("Linux-Sysmon");
    match head.trim_ascii_start().first() {
        Some(b'{' | b'[') => {
            has("\"SourceIp\"") && has("\"DestinationIp\"") && (named || has("\"Initiated\""))
                || named && has("\"EventID\"")
        }
        Some(_) => xml::start(head).is_some() && named,
        None => false,
    }
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "events of Sysmon", Shape::JSON, input, Events { held: Vec::new() })
}

struct Events {
    /// An event that has not ended yet, lines with their ends.
    held: Vec<u8>,
}

impl TextFormat for Events {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if text.first() == Some(&b'{') && self.held.is_empty() {
            return match json::event(text)? {
                Some(event) => push(&event, sink),
                None => {
                    sink.skip(OTHER);
                    Ok(())
                }
            };
        }
        self.line(text, sink)
    }

    fn carry(&self) -> Vec<u8> {
        self.held.clone()
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        if !self.held.is_empty() {
            cut_off(self.held.len(), sink);
            self.held.clear();
        }
    }
}

fn cut_off(bytes: usize, sink: &mut Sink<'_>) {
    sink.reject_part("event cannot be read", bytes, "the event does not end with `</Event>`".to_owned());
}

impl Events {
    /// A line of XML: parts of an event, or one or several whole ones.
    fn line(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut rest = text;
        let mut found = false;
        if !self.held.is_empty() {
            // A beginning within an event: the one before was cut off.
            if xml::start(text) == Some(0) {
                cut_off(self.held.len(), sink);
                self.held.clear();
            } else {
                let Some(end) = xml::end(text) else {
                    self.hold(text, sink);
                    return Ok(());
                };
                let mut event = std::mem::take(&mut self.held);
                event.extend_from_slice(&text[..end]);
                give(&event, sink);
                (rest, found) = (&text[end..], true);
            }
        }
        while let Some(start) = xml::start(rest) {
            found = true;
            rest = &rest[start..];
            let Some(end) = xml::end(rest) else {
                self.hold(rest, sink);
                return Ok(());
            };
            give(&rest[..end], sink);
            rest = &rest[end..];
        }
        if found {
            return Ok(());
        }
        if text.first() == Some(&b'<') || text.ends_with(b"-->") {
            sink.skip("text around events");
            return Ok(());
        }
        Err("expected an event as XML (`<Event ..>`) or as JSON".into())
    }

    fn hold(&mut self, text: &[u8], sink: &mut Sink<'_>) {
        if self.held.len() + text.len() > EVENT_BYTES {
            cut_off(self.held.len() + text.len(), sink);
            self.held.clear();
            return;
        }
        self.held.extend_from_slice(text);
        self.held.push(b'\n');
    }
}

/// An event of XML, whatever else is in its line.
fn give(text: &[u8], sink: &mut Sink<'_>) {
    let outcome = utf8(text).and_then(|text| Ok(xml::event(text)?));
    let outcome = match outcome {
        Ok(Some(event)) => push(&event, sink),
        Ok(None) => {
            sink.skip(OTHER);
            Ok(())
        }
        Err(fault) => Err(fault),
    };
    if let Err(Fault::Record(why) | Fault::Input(why)) = outcome {
        sink.reject_part("event cannot be read", text.len(), why);
    }
}

/// An event 3, as any of the forms has it. Empty text and `-` mean that there is none.
#[derive(Debug, Default, PartialEq)]
struct Event {
    host: String,
    /// The event's own time, in UTC.
    at: String,
    /// When it was written to the log: where its own time is missing.
    logged: String,
    image: String,
    user: String,
    protocol: String,
    initiated: String,
    src: Side,
    dst: Side,
}

#[derive(Debug, Default, PartialEq)]
struct Side {
    ip: String,
    port: String,
    host: String,
    port_name: String,
}

impl Event {
    /// Sets a value by Sysmon's name of it.
    fn set(&mut self, name: &str, value: String) {
        let place = match name {
            "UtcTime" => &mut self.at,
            "Image" => &mut self.image,
            "User" => &mut self.user,
            "Protocol" => &mut self.protocol,
            "Initiated" => &mut self.initiated,
            "SourceIp" => &mut self.src.ip,
            "SourcePort" => &mut self.src.port,
            "SourceHostname" => &mut self.src.host,
            "SourcePortName" => &mut self.src.port_name,
            "DestinationIp" => &mut self.dst.ip,
            "DestinationPort" => &mut self.dst.port,
            "DestinationHostname" => &mut self.dst.host,
            "DestinationPortName" => &mut self.dst.port_name,
            _ => return,
        };
        *place = value;
    }
}

fn push(event: &Event, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let address = |side: &Side, name: &str| {
        bytes::ip(side.ip.as_bytes()).ok_or_else(|| format!("`{}` in `{name}` is not an address", side.ip))
    };
    let (src, dst) = (address(&event.src, "SourceIp")?, address(&event.dst, "DestinationIp")?);
    let time = if event.at.is_empty() { &event.logged } else { &event.at };
    let at = date_time(time.as_bytes()).ok_or_else(|| format!("`{time}` in `UtcTime` is not a time"))?;
    let number = protocol(&event.protocol, src)
        .ok_or_else(|| format!("`{}` in `Protocol` is not a protocol", event.protocol))?;
    let mut flow = Flow {
        start: at,
        end: at,
        src,
        dst,
        protocol: number,
        src_port: port(&event.src.port)?,
        dst_port: port(&event.dst.port)?,
        sampling: 1,
        present: FlowBatch::HAS_PORTS,
        ..Flow::default()
    };
    (flow.direction, flow.client, flow.client_confidence) = match event.initiated.as_str() {
        "true" | "True" | "1" => (Direction::Egress, Client::Src, INITIATED),
        "false" | "False" | "0" if number == 6 => (Direction::Ingress, Client::Src, ACCEPTED),
        "false" | "False" | "0" => (Direction::Ingress, Client::Unknown, 0.0),
        _ => (Direction::Unknown, Client::Unknown, 0.0),
    };
    let host = if event.host.is_empty() { SOURCE.name } else { &event.host };
    sink.push_with(host, flow, details(event));
    Ok(())
}

fn details(event: &Event) -> FlowDetails {
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty() && text != "-");
    FlowDetails {
        src_workload: said(&event.src.host),
        dst_workload: said(&event.dst.host),
        process: said(&event.image),
        user: said(&event.user),
        service_name: said(&event.dst.port_name),
        ..FlowDetails::default()
    }
}

#[cfg(test)]
mod tests;
