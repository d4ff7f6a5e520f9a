//! sFlow version 5, from captures of agents' datagrams and from files of datagrams.

mod decoder;
mod reason;
mod sample;
mod words;

use model::FlowBatch;
use netset::Ip;

pub(crate) use decoder::{Decoder, is_datagram};

use self::decoder::NOT_SFLOW;
use crate::capture::{self, Capture, Window};
use crate::carried::{Carried, carried};
use crate::datagram::{Datagram, Framing, Sender};
use crate::error::IntakeError;
use crate::frame::{self, Datagram as Unwrapped};
use crate::ledger::{Ledger, Summary};
use crate::progress::Progress;
use crate::source::{FlowReader, Input, Source, Status};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "sflow",
    aliases: &["sflow-v5"],
    title: "sFlow v5 datagrams in pcap, pcapng or raw files",
    description: "Datagrams that switches and hosts send to their sFlow collector, in captures (pcap, pcapng) or one after \
                  the other in a file. Flow samples and expanded ones, discarded packets with their reasons as denials; \
                  packet headers are read through VLAN tags, MPLS and tunnels to the innermost addresses, with headers \
                  decoded by the agent where there is no raw one. Counts are scaled by the sampling rate. Counter samples \
                  are counted and left.",
    status: Status::Verified,
    detect,
    open,
};

/// The UDP port of sFlow collectors.
const USUAL_PORT: u16 = 6343;

/// The most that is read at a time: more than any datagram has.
const DATAGRAM_MAX: usize = 65_536;

fn detect(head: &[u8]) -> bool {
    is_datagram(head) || carried(head) == Some(Carried::Sflow)
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let file = input.label.clone();
    let (reader, ledger) = input.into_parts();
    let mut window = Window::new(reader);
    let head = window.peek(4).map_err(|source| IntakeError::Io {
        action: "read",
        file: file.to_string(),
        source,
    })?;
    if head.is_empty() {
        let expected = "a pcap or pcapng capture of sFlow datagrams, or the datagrams themselves";
        return Err(IntakeError::Empty { file: file.to_string(), expected });
    }
    let input = if capture::is_capture(head) {
        Bytes::Capture(Capture::new(window, file)?)
    } else {
        Bytes::Raw(window)
    };
    Ok(Box::new(Reader { input, decoder: Decoder::default(), ledger, progress: Progress::default() }))
}

struct Reader {
    input: Bytes,
    decoder: Decoder,
    ledger: Ledger,
    progress: Progress,
}

/// What the datagrams are in.
enum Bytes {
    Capture(Capture),
    Raw(Window),
}

impl FlowReader for Reader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let Self { input, decoder, ledger, progress } = self;
        let outcome = progress.fill(batch, |batch| {
            let more = match input {
                Bytes::Capture(capture) => packet(capture, decoder, batch, ledger),
                Bytes::Raw(window) => raw(window, decoder, batch, ledger),
            };
            if !matches!(more, Ok(true)) {
                ledger.nobody();
            }
            more
        });
        ledger.summary.bytes_read = match input {
            Bytes::Capture(capture) => capture.offset(),
            Bytes::Raw(window) => window.offset,
        };
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

/// The next packet of a capture.
fn packet(
    capture: &mut Capture,
    decoder: &mut Decoder,
    batch: &mut FlowBatch,
    ledger: &mut Ledger,
) -> Result<bool, IntakeError> {
    let Some(packet) = capture.next(ledger.summary.flows)? else { return end(ledger) };
    ledger.summary.packets += 1;
    match frame::datagram(packet.link, packet.bytes) {
        Unwrapped::Udp { sender, port, payload } if is_datagram(payload) || port == USUAL_PORT => {
            let (received, offset) = (packet.at, packet.offset);
            let datagram = Datagram { sender, received, bytes: payload, framing: Framing::Packet, offset };
            decoder.datagram(datagram, batch, ledger);
        }
        Unwrapped::Udp { .. } => {
            ledger.nobody();
            ledger.drop_bytes(NOT_SFLOW, packet.bytes.len());
        }
        Unwrapped::Other(reason) => {
            ledger.nobody();
            ledger.drop_bytes(reason, packet.bytes.len());
        }
    }
    Ok(true)
}

/// The capture is read. One without any agent's datagram is most likely the wrong capture.
fn end(ledger: &Ledger) -> Result<bool, IntakeError> {
    let file = ledger.file.to_string();
    match (ledger.summary.packets, ledger.summary.datagrams) {
        (0, _) => Err(IntakeError::Empty { file, expected: "packets in the capture" }),
        (packets, 0) => Err(IntakeError::NoDatagrams { file, packets, what: "sFlow" }),
        _ => Ok(false),
    }
}

/// The next datagram of a file of them.
fn raw(
    window: &mut Window,
    decoder: &mut Decoder,
    batch: &mut FlowBatch,
    ledger: &mut Ledger,
) -> Result<bool, IntakeError> {
    let offset = window.offset;
    let bytes = window.peek(DATAGRAM_MAX).map_err(|source| IntakeError::Io {
        action: "read",
        file: ledger.file.to_string(),
        source,
    })?;
    if bytes.is_empty() {
        return Ok(false);
    }
    if !is_datagram(bytes) {
        // Behind a datagram some agents leave bytes of their own; the next one begins at a word.
        let next = (4..bytes.len()).step_by(4).find(|at| is_datagram(&bytes[*at..]));
        if ledger.summary.datagrams == 0 || next.is_none() && bytes.len() == DATAGRAM_MAX {
            let head: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let reason = format!("expected an sFlow v5 header, found the bytes {}", head.join(" "));
            let flows = ledger.summary.flows;
            return Err(IntakeError::Damaged { file: ledger.file.to_string(), offset, reason, flows });
        }
        let length = next.unwrap_or(bytes.len());
        ledger.drop_bytes("bytes between datagrams", length);
        window.consume(length);
        return Ok(true);
    }
    // A file does not say who sent its datagrams, nor when.
    let sender = Sender { ip: Ip(0), port: 0 };
    let datagram = Datagram { sender, received: 0, bytes, framing: Framing::Concatenated, offset };
    let used = decoder.datagram(datagram, batch, ledger);
    window.consume(used);
    Ok(true)
}

#[cfg(test)]
pub(crate) mod tests;
