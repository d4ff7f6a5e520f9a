//! NetFlow v5, v9 and IPFIX, from captures of exporters' datagrams and from files of datagrams.

mod capture;
mod columns;
mod decoder;
mod element;
mod finish;
mod frame;
mod pending;
mod sampling;
mod template;
mod v5;

use model::FlowBatch;
use netset::Ip;

pub use decoder::{Decoder, Limits, Sender};

use self::capture::{Capture, Window};
use self::decoder::{Framing, NOT_FLOWS};
use self::frame::Frame;
use crate::error::IntakeError;
use crate::ledger::{Ledger, Summary};
use crate::source::{BATCH_ROWS, FlowReader, Input, Source};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "netflow",
    aliases: &["netflow-v5", "netflow-v9", "ipfix"],
    title: "NetFlow v5, v9 or IPFIX datagrams in pcap, pcapng or raw files",
    description: "Datagrams that routers, firewalls and probes send to their collector. Reads captures of them (pcap and \
                  pcapng; Ethernet with VLAN tags, raw IP, Linux cooked, loopback; IPv4 and IPv6) and files of datagrams \
                  one after the other. Versions may be mixed; templates and sampling rates are learnt on the way, and \
                  sets that come before their template wait for it.",
    detect,
    open,
};

/// The UDP ports that exporters are usually pointed at (NetFlow, IPFIX, and the vendors' other favourites).
const USUAL_PORTS: [u16; 7] = [2055, 2056, 4432, 4739, 9555, 9995, 9996];

fn detect(head: &[u8]) -> bool {
    capture::is_capture(head) || is_datagram(head)
}

/// Whether bytes look like the start of an exporter's datagram: version and one more field that must fit it.
fn is_datagram(bytes: &[u8]) -> bool {
    let Some([_, version, a, b]) = bytes.first_chunk::<4>().filter(|head| head[0] == 0) else { return false };
    let second = u16::from_be_bytes([*a, *b]);
    match version {
        5 => (1..=30).contains(&second),
        9 => bytes.get(20..22).is_none_or(|set| matches!((set[0], set[1]), (0, 0 | 1) | (1.., _))),
        10 => {
            second >= 16
                && bytes.get(16..18).is_none_or(|set| matches!((set[0], set[1]), (0, 2 | 3) | (1.., _)))
        }
        _ => false,
    }
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
        let expected = "a pcap or pcapng capture of exporter datagrams, or the datagrams themselves";
        return Err(IntakeError::Empty { file: file.to_string(), expected });
    }
    let decoder = Decoder::default();
    if capture::is_capture(head) {
        let capture = Capture::new(window, file)?;
        return Ok(Box::new(CaptureReader { capture, decoder, ledger, state: Progress::Reading }));
    }
    Ok(Box::new(RawReader { window, decoder, ledger, state: Progress::Reading }))
}

/// How far a reader has come.
enum Progress {
    Reading,
    /// Damage was met while rows were at hand: they go out first.
    Failing(IntakeError),
    Done,
}

impl Progress {
    /// The error that waits, if any; nothing is read after it.
    fn take_failure(&mut self) -> Option<IntakeError> {
        match std::mem::replace(self, Self::Done) {
            Self::Failing(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Reads a capture.
struct CaptureReader {
    capture: Capture,
    decoder: Decoder,
    ledger: Ledger,
    state: Progress,
}

impl FlowReader for CaptureReader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        if let Some(error) = self.state.take_failure() {
            return Err(error);
        }
        let before = batch.len();
        while matches!(self.state, Progress::Reading) && batch.len() - before < BATCH_ROWS {
            if let Err(error) = self.packet(batch) {
                self.decoder.give_up_waiting(&mut self.ledger);
                self.state = Progress::Failing(error);
            }
        }
        self.ledger.summary.bytes_read = self.capture.offset();
        if batch.len() > before {
            return Ok(true);
        }
        self.state.take_failure().map_or(Ok(false), Err)
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl CaptureReader {
    fn packet(&mut self, batch: &mut FlowBatch) -> Result<(), IntakeError> {
        let summary = &self.ledger.summary;
        let (packets, datagrams) = (summary.packets, summary.datagrams);
        let Some(packet) = self.capture.next(summary.flows)? else {
            self.state = Progress::Done;
            self.decoder.give_up_waiting(&mut self.ledger);
            if datagrams == 0 {
                let file = self.ledger.file.to_string();
                return Err(match packets {
                    0 => IntakeError::Empty { file, expected: "packets in the capture" },
                    _ => IntakeError::NoDatagrams { file, packets },
                });
            }
            return Ok(());
        };
        self.ledger.summary.packets += 1;
        match frame::unwrap(packet.link, packet.bytes) {
            Frame::Udp { sender, payload } if is_datagram(payload) || expected(packet.bytes, payload) => {
                let (at, offset) = (packet.at, packet.offset);
                self.decoder.datagram(sender, at, payload, Framing::Packet, offset, batch, &mut self.ledger);
            }
            Frame::Udp { .. } => self.ledger.drop_bytes(NOT_FLOWS, packet.bytes.len()),
            Frame::Other(reason) => self.ledger.drop_bytes(reason, packet.bytes.len()),
        }
        Ok(())
    }
}

/// Whether a datagram that does not look like flows was sent to a collector's port: then it is worth a reject.
fn expected(frame: &[u8], payload: &[u8]) -> bool {
    let Some(udp) = frame.len().checked_sub(payload.len() + 8).and_then(|at| frame.get(at..)) else {
        return false;
    };
    let version = payload.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
    let port = udp.get(2..4).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    matches!(version, 5 | 9 | 10) && USUAL_PORTS.contains(&port)
}

/// Reads a file of datagrams one after the other.
struct RawReader {
    window: Window,
    decoder: Decoder,
    ledger: Ledger,
    state: Progress,
}

/// More than any datagram has.
const DATAGRAM_MAX: usize = 65_536;

impl FlowReader for RawReader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        if let Some(error) = self.state.take_failure() {
            return Err(error);
        }
        let before = batch.len();
        while matches!(self.state, Progress::Reading) && batch.len() - before < BATCH_ROWS {
            if let Err(error) = self.datagram(batch) {
                self.decoder.give_up_waiting(&mut self.ledger);
                self.state = Progress::Failing(error);
            }
        }
        self.ledger.summary.bytes_read = self.window.offset;
        if batch.len() > before {
            return Ok(true);
        }
        self.state.take_failure().map_or(Ok(false), Err)
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl RawReader {
    fn datagram(&mut self, batch: &mut FlowBatch) -> Result<(), IntakeError> {
        let offset = self.window.offset;
        let bytes = self.window.peek(DATAGRAM_MAX).map_err(|source| IntakeError::Io {
            action: "read",
            file: self.ledger.file.to_string(),
            source,
        })?;
        if bytes.iter().all(|byte| *byte == 0) {
            // The end, or padding up to it.
            let length = bytes.len();
            self.state = if length == 0 { Progress::Done } else { Progress::Reading };
            if length == 0 {
                self.decoder.give_up_waiting(&mut self.ledger);
            } else {
                self.ledger.drop_bytes("zeroes between datagrams", length);
                self.window.consume(length);
            }
            return Ok(());
        }
        if !is_datagram(bytes) {
            let head: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let reason =
                format!("expected a NetFlow v5, v9 or IPFIX header, found the bytes {}", head.join(" "));
            let flows = self.ledger.summary.flows;
            return Err(IntakeError::Damaged { file: self.ledger.file.to_string(), offset, reason, flows });
        }
        // A file does not say who sent its datagrams, nor when.
        let sender = Sender { ip: Ip(0), port: 0 };
        let framing = Framing::Concatenated;
        let used = self.decoder.datagram(sender, 0, bytes, framing, offset, batch, &mut self.ledger);
        self.window.consume(used);
        Ok(())
    }
}
