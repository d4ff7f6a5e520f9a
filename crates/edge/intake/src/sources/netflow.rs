//! NetFlow v1, v5, v7, v9 and IPFIX, from captures of exporters' datagrams and from files of datagrams.

mod clock;
mod columns;
mod decoder;
mod element;
mod finish;
mod fixed_layout;
mod memory;
mod pending;
mod persist;
mod records;
mod sampling;
mod stream;
mod template;

use model::FlowBatch;
use netset::Ip;

pub(crate) use decoder::Decoder;
pub use memory::Limits;
pub(crate) use stream::StreamDecoder;

use self::decoder::NOT_FLOWS;
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
    name: "netflow",
    aliases: &["netflow-v5", "netflow-v7", "netflow-v9", "ipfix"],
    title: "NetFlow v1, v5, v7, v9 or IPFIX datagrams in pcap, pcapng or raw files",
    description: "Datagrams that routers, firewalls and probes send to their collector. Reads captures of them (pcap and \
                  pcapng; Ethernet with VLAN tags, raw IP, Linux cooked, loopback; IPv4 and IPv6) and files of datagrams \
                  one after the other. Versions may be mixed; templates and sampling rates are learnt on the way, and \
                  sets that come before their template wait for it. A flow's totals count where no deltas are given. The \
                  times are the exporter's own; a collector that receives mends those of wrong clocks.",
    status: Status::Verified,
    detect,
    open,
};

/// How much of an input detection sees.
const HEAD: usize = 4_096;

/// The UDP ports that exporters are usually pointed at (NetFlow, IPFIX, and the vendors' other favourites).
const USUAL_PORTS: [u16; 7] = [2055, 2056, 4432, 4739, 9555, 9995, 9996];

fn detect(head: &[u8]) -> bool {
    is_datagram(head) || carried(head) == Some(Carried::NetFlow)
}

/// Whether bytes look like the start of an exporter's datagram: version and one more field that must fit it.
pub(crate) fn is_datagram(bytes: &[u8]) -> bool {
    let Some([_, version, a, b]) = bytes.first_chunk::<4>().filter(|head| head[0] == 0) else { return false };
    let second = u16::from_be_bytes([*a, *b]);
    match version {
        1 => fixed_layout::are_version_1(bytes),
        5 => (1..=30).contains(&second),
        // Nobody else's fits by chance; of longer inputs only the head is here.
        7 => fixed_layout::starts(bytes) || bytes.len() >= HEAD && (1..=30).contains(&second),
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
        return Ok(Box::new(CaptureReader { capture, decoder, ledger, progress: Progress::default() }));
    }
    Ok(Box::new(RawReader { window, decoder, ledger, progress: Progress::default() }))
}

/// Reads a capture.
struct CaptureReader {
    capture: Capture,
    decoder: Decoder,
    ledger: Ledger,
    progress: Progress,
}

impl FlowReader for CaptureReader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| {
            let more = self.packet(batch);
            if !matches!(more, Ok(true)) {
                self.decoder.give_up_waiting(&mut self.ledger);
            }
            more
        });
        self.progress = progress;
        self.ledger.summary.bytes_read = self.capture.offset();
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl CaptureReader {
    fn packet(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let Some(packet) = self.capture.next(self.ledger.summary.flows)? else { return self.end() };
        self.ledger.summary.packets += 1;
        match frame::datagram(packet.link, packet.bytes) {
            Unwrapped::Udp { sender, port, payload } if is_datagram(payload) || expected(port, payload) => {
                let datagram = Datagram {
                    sender,
                    received: packet.at,
                    bytes: payload,
                    framing: Framing::Packet,
                    offset: packet.offset,
                };
                self.decoder.datagram(datagram, batch, &mut self.ledger);
            }
            Unwrapped::Udp { .. } => self.ledger.drop_bytes(NOT_FLOWS, packet.bytes.len()),
            Unwrapped::Other(reason) => self.ledger.drop_bytes(reason, packet.bytes.len()),
        }
        Ok(true)
    }

    /// The capture is read. One without any exporter's datagram is most likely the wrong capture.
    fn end(&self) -> Result<bool, IntakeError> {
        let summary = &self.ledger.summary;
        let file = self.ledger.file.to_string();
        match (summary.packets, summary.datagrams) {
            (0, _) => Err(IntakeError::Empty { file, expected: "packets in the capture" }),
            (packets, 0) => Err(IntakeError::NoDatagrams { file, packets, what: "NetFlow or IPFIX" }),
            _ => Ok(false),
        }
    }
}

/// Whether a datagram that does not look like flows was sent to a collector's port: then it is worth a reject.
fn expected(port: u16, payload: &[u8]) -> bool {
    let version = payload.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
    matches!(version, 1 | 5 | 7 | 9 | 10) && USUAL_PORTS.contains(&port)
}

/// What stands where a datagram should begin.
fn describe(bytes: &[u8]) -> String {
    if let Some([0, version @ (5 | 7), a, b]) = bytes.first_chunk::<4>() {
        let count = u16::from_be_bytes([*a, *b]);
        return format!(
            "a version {version} header that counts {count} records; expected 1 to 30, all of them there"
        );
    }
    let head: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("expected a NetFlow or IPFIX header, found the bytes {}", head.join(" "))
}

/// Reads a file of datagrams one after the other.
struct RawReader {
    window: Window,
    decoder: Decoder,
    ledger: Ledger,
    progress: Progress,
}

/// More than any datagram has.
const DATAGRAM_MAX: usize = 65_536;

impl FlowReader for RawReader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| {
            let more = self.datagram(batch);
            if !matches!(more, Ok(true)) {
                self.decoder.give_up_waiting(&mut self.ledger);
            }
            more
        });
        self.progress = progress;
        self.ledger.summary.bytes_read = self.window.offset;
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl RawReader {
    fn datagram(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let offset = self.window.offset;
        let bytes = self.window.peek(DATAGRAM_MAX).map_err(|source| IntakeError::Io {
            action: "read",
            file: self.ledger.file.to_string(),
            source,
        })?;
        if bytes.iter().all(|byte| *byte == 0) {
            // The end, or padding up to it.
            let length = bytes.len();
            if length > 0 {
                self.ledger.drop_bytes("zeroes between datagrams", length);
                self.window.consume(length);
            }
            return Ok(length > 0);
        }
        if !is_datagram(bytes) {
            let reason = describe(bytes);
            let flows = self.ledger.summary.flows;
            return Err(IntakeError::Damaged { file: self.ledger.file.to_string(), offset, reason, flows });
        }
        // A file does not say who sent its datagrams, nor when.
        let sender = Sender { ip: Ip(0), port: 0 };
        let datagram = Datagram { sender, received: 0, bytes, framing: Framing::Concatenated, offset };
        let used = self.decoder.datagram(datagram, batch, &mut self.ledger);
        self.window.consume(used);
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod tests;
