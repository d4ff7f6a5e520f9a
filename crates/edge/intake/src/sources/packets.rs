//! Packet captures as flows: what an exporter on the spot would have said.

mod ages;
mod fragments;
mod table;

use model::{Exporter, FlowBatch, Micros};

use self::fragments::{Fragments, Owner};
use self::table::{Ended, Table, Timeouts};
use crate::capture::{self, Capture, Window};
use crate::carried::{Carried, carried};
use crate::error::IntakeError;
use crate::frame::{self, CUT, Frame, LINK, Link};
use crate::ledger::{Ledger, Summary};
use crate::progress::Progress;
use crate::source::{FlowReader, Input, Source, Status};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "pcap",
    aliases: &["pcapng", "packets"],
    title: "packet captures (pcap, pcapng), made into flows",
    description: "Packets of tcpdump, Wireshark and the like. Flows are two-sided, begin with their first packet and end with \
                  their connection, after silence (TCP five minutes, others one), or every half hour; a TCP handshake says \
                  who the client is. IPv4 and IPv6 behind VLAN tags, MPLS, PPPoE and others; the innermost packet of VXLAN, \
                  GENEVE, GRE, GTP-U, Teredo and IP tunnels makes the flow, which names its tunnel. Fragments count in their \
                  packet's flow. Bytes are those of IP packets.",
    status: Status::Verified,
    detect,
    open,
};

/// Flows under way at a time; beyond it the one that has been silent for the longest is handed out early.
const FLOWS_MAX: usize = 400_000;

/// Nothing is lost by it: what comes later is a flow of its own.
const EARLY: &str = "flow handed out early, too many at a time";
const IN_TUNNEL: &str = "later fragment of a tunnel's packet";

fn detect(head: &[u8]) -> bool {
    carried(head) == Some(Carried::Traffic)
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
        let expected = "a packet capture in pcap or pcapng format";
        return Err(IntakeError::Empty { file: file.to_string(), expected });
    }
    if !capture::is_capture(head) {
        let head: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
        let reason = format!("expected a pcap or pcapng header, found the bytes {}", head.join(" "));
        return Err(IntakeError::Damaged { file: file.to_string(), offset: 0, reason, flows: 0 });
    }
    let capture = Capture::new(window, file)?;
    Ok(Box::new(Reader::new(capture, ledger, Table::new(FLOWS_MAX, Timeouts::default()))))
}

struct Reader {
    capture: Capture,
    ledger: Ledger,
    progress: Progress,
    assembler: Assembler,
    /// What was left in the table at the end, last first, and how the input ended.
    ending: Option<(Vec<Ended>, Result<(), IntakeError>)>,
}

/// Packets into flows.
struct Assembler {
    exporter: Exporter,
    table: Table,
    fragments: Fragments,
}

impl Reader {
    fn new(capture: Capture, ledger: Ledger, table: Table) -> Self {
        let exporter = Exporter("capture".into());
        let assembler = Assembler { exporter, table, fragments: Fragments::default() };
        Self { capture, ledger, progress: Progress::default(), assembler, ending: None }
    }

    /// One packet in, or at the end one flow out.
    fn step(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        if let Some((left, how)) = &mut self.ending {
            return match left.pop() {
                Some(ended) => {
                    give(ended, &self.assembler.exporter, batch, &mut self.ledger);
                    Ok(true)
                }
                None => std::mem::replace(how, Ok(())).map(|()| false),
            };
        }
        let kept = self.ledger.summary.flows + self.assembler.table.len() as u64;
        match self.capture.next(kept) {
            Ok(Some(packet)) => {
                self.ledger.summary.packets += 1;
                self.assembler.packet(&packet, batch, &mut self.ledger);
            }
            Ok(None) if self.ledger.summary.packets == 0 => {
                let file = self.ledger.file.to_string();
                return Err(IntakeError::Empty { file, expected: "packets in the capture" });
            }
            Ok(None) => self.end(Ok(())),
            Err(error) => self.end(Err(error)),
        }
        Ok(true)
    }

    fn end(&mut self, how: Result<(), IntakeError>) {
        let mut left = self.assembler.table.drain();
        left.reverse();
        self.ending = Some((left, how));
        self.ledger.nobody();
    }
}

impl FlowReader for Reader {
    fn source(&self) -> &'static str {
        SOURCE.name
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let mut progress = std::mem::take(&mut self.progress);
        let outcome = progress.fill(batch, |batch| self.step(batch));
        self.progress = progress;
        self.ledger.summary.bytes_read = self.capture.offset();
        outcome
    }

    fn summary(&self) -> &Summary {
        &self.ledger.summary
    }
}

impl Assembler {
    /// Counts a captured packet in its flow; flows that end go to the batch.
    fn packet(&mut self, captured: &capture::Packet<'_>, batch: &mut FlowBatch, ledger: &mut Ledger) {
        let dissected = match Link::of_capture(captured.link) {
            Some(link) => frame::dissect(link, captured.bytes, captured.wire),
            None => Err(LINK),
        };
        let mut frame = match dissected {
            Ok(frame) => frame,
            Err(reason) => {
                ledger.of(&self.exporter, captured.at);
                match reason {
                    CUT | LINK => ledger.lose(reason, 1, captured.bytes.len()),
                    _ => ledger.drop_bytes(reason, captured.bytes.len()),
                }
                return;
            }
        };
        if !self.own(&mut frame, captured.at) {
            ledger.of(&self.exporter, captured.at);
            ledger.drop_bytes(IN_TUNNEL, captured.bytes.len());
            return;
        }
        let Self { exporter, table, .. } = self;
        let mut out = |ended: Ended| give(ended, exporter, batch, ledger);
        let evicted = table.packet(&frame.packet, &frame.tunnels, captured.at, &mut out);
        if evicted > 0 {
            ledger.of(exporter, captured.at);
            ledger.drop_many(EARLY, evicted, 0);
        }
    }

    /// Gives a fragment the ports of its packet; `false` when it counts already.
    fn own(&mut self, frame: &mut Frame<'_>, at: Micros) -> bool {
        let Some(fragment) = frame.fragment else { return true };
        if fragment.first {
            // Either the innermost packet itself is in pieces, or the one that carries it.
            let (key, packet) = (&fragment.key, &frame.packet);
            let itself = (key.src, key.dst, key.protocol) == (packet.src, packet.dst, packet.protocol);
            let owner = if itself { Owner::Flow(packet.selector) } else { Owner::Tunnel };
            self.fragments.first(fragment.key, owner, at);
            return true;
        }
        match self.fragments.of(&fragment.key, at) {
            Some(Owner::Flow(selector)) => frame.packet.selector = selector,
            Some(Owner::Tunnel) => return false,
            // The first fragment comes later or never: the traffic is seen, its service is not.
            None => {}
        }
        true
    }
}

/// Appends a flow that has ended to a batch.
fn give(ended: Ended, exporter: &Exporter, batch: &mut FlowBatch, ledger: &mut Ledger) {
    ledger.summary.flows += 1;
    // Simple packets of pcapng have no time.
    ledger.summary.untimed += u64::from(ended.flow.start == 0);
    let exporter = batch.intern_exporter(exporter);
    ended.push(exporter, batch);
}

#[cfg(test)]
pub(crate) mod tests;
