//! Linux audit records of system calls that open connections.

mod record;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Verdict};
use netset::Ip;

use self::record::{Address, Call, Head, Outcome, What};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::{Fault, Shape, Sink, TextFormat, bytes, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "auditd",
    aliases: &["linux-audit"],
    title: "Linux audit records of connections (connect)",
    description: "Records of `connect`, raw, enriched or interpreted (`ausearch -i`); `SYSCALL` and `SOCKADDR` are joined by their \
                  event. The kernel tells the process, the user and the other side, but not the host's own address: with \
                  `name_format = numeric` auditd writes it as the node, and connections without it are counted and not used. \
                  Neither is said which protocol it was: a connection is TCP where the outcome says so (in progress, refused, \
                  timed out) or the `socket` call was recorded too; datagram sockets send nothing when they connect. What a \
                  security module refused is a denial.",
    status: Status::Documented,
    detect,
    open,
};

/// Events of which one record is still waited for. They come one behind the other.
const EVENTS_MAX: usize = 256;

/// The longest record that is kept for a later reading of a growing file.
const CARRIED_BYTES: usize = 4 * 1024;

/// Sockets whose kind is remembered.
const SOCKETS_MAX: usize = 65_536;

const HALF: &str = "record of a call without its other half";

fn detect(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').take(20).any(|line| Head::of(line, 0).is_some())
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let offset = input.offset_from_utc();
    open_text(
        SOURCE.name,
        "records of the Linux audit daemon",
        Shape::LINES,
        input,
        Records { offset, ..Records::default() },
    )
}

/// An event of which one half was seen.
struct Half {
    key: Vec<u8>,
    call: Option<Call>,
    address: Option<Address>,
    line: Vec<u8>,
}

#[derive(Default)]
struct Records {
    offset: i64,
    halves: VecDeque<Half>,
    /// Whether a socket is a stream, by node, process and descriptor. Lost when a growing file is taken up.
    sockets: HashMap<(Vec<u8>, u64, u64), bool, FixedState>,
}

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        // What `ausearch` puts between events.
        if text.starts_with(b"----") || text.starts_with(b"time->") {
            return Ok(());
        }
        let Some(head) = Head::of(text, self.offset) else {
            return Err("expected a record of the audit daemon: `type=SYSCALL msg=audit(..): ..`".into());
        };
        match head.kind {
            b"SYSCALL" | b"1300" => match record::call(head.rest)? {
                Some(call) if call.what == What::Socket => {
                    self.remember(&head, &call);
                    sink.skip("call of another kind");
                }
                Some(call) => return self.join(&head, text, Some(call), None, sink),
                None => {
                    self.halves.retain(|half| half.key != head.key);
                    sink.skip("call of another kind");
                }
            },
            b"SOCKADDR" | b"1306" => {
                let address = record::address(head.rest)?;
                return self.join(&head, text, None, Some(address), sink);
            }
            _ => sink.skip("record of another kind"),
        }
        Ok(())
    }

    fn carry(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for half in &self.halves {
            lines.extend_from_slice(&half.line);
            lines.push(b'\n');
        }
        lines
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        for _ in self.halves.drain(..) {
            sink.skip(HALF);
        }
    }
}

impl Records {
    fn remember(&mut self, head: &Head<'_>, call: &Call) {
        let Outcome::Done(descriptor) = call.outcome else { return };
        if self.sockets.len() >= SOCKETS_MAX {
            self.sockets.clear();
        }
        // The kind is in the low bits, flags above them; 1 is a stream.
        self.sockets.insert((head.node.to_vec(), call.pid, descriptor), call.second & 0xf == 1);
    }

    /// Puts a half to its other half.
    fn join(
        &mut self,
        head: &Head<'_>,
        line: &[u8],
        call: Option<Call>,
        address: Option<Address>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Fault> {
        let Some(at) = self.halves.iter().position(|half| half.key == head.key) else {
            if self.halves.len() >= EVENTS_MAX {
                self.halves.pop_front();
                sink.skip(HALF);
            }
            let line = if line.len() <= CARRIED_BYTES { line.to_vec() } else { Vec::new() };
            self.halves.push_back(Half { key: head.key.clone(), call, address, line });
            return Ok(());
        };
        let Some(half) = self.halves.remove(at) else { return Ok(()) };
        match (call.or(half.call), address.or(half.address)) {
            (Some(call), Some(address)) => self.give(head, &call, address, sink),
            _ => sink.skip(HALF),
        }
        Ok(())
    }

    fn give(&self, head: &Head<'_>, call: &Call, address: Address, sink: &mut Sink<'_>) {
        let Address::Ip(dst, port) = address else {
            sink.skip("connection that is none of IP");
            return;
        };
        if call.what == What::Accept {
            sink.skip("accepted connection, whose own port is not said");
            return;
        }
        if port == 0 {
            sink.skip("connection to no port");
            return;
        }
        let key = (head.node.to_vec(), call.pid, call.first);
        match (call.outcome, self.sockets.get(&key)) {
            (Outcome::OfStream, _) | (_, Some(true)) => {}
            (_, Some(false)) => {
                sink.skip("datagram socket, which sends nothing when it connects");
                return;
            }
            (_, None) => {
                sink.skip("connection of a protocol that is not said (record `socket` calls too)");
                return;
            }
        }
        let Some(src) = own(head.node, dst) else {
            sink.skip("connection of a host whose address is not said (set `name_format = numeric`)");
            return;
        };
        let flow = Flow {
            start: head.at,
            end: head.at,
            src,
            dst,
            protocol: 6,
            dst_port: port,
            sampling: 1,
            verdict: if call.outcome == Outcome::Refused { Verdict::Deny } else { Verdict::Unknown },
            direction: Direction::Egress,
            client: Client::Src,
            client_confidence: BY_KERNEL,
            // The port on its own side is chosen by the kernel later on.
            present: FlowBatch::HAS_PORTS,
            ..Flow::default()
        };
        let details =
            FlowDetails { process: call.exe.clone(), user: call.user.clone(), ..FlowDetails::default() };
        let node = String::from_utf8_lossy(head.node);
        sink.push_with(if node.is_empty() { SOURCE.name } else { &node }, flow, details);
    }
}

/// A process that connects is the client.
const BY_KERNEL: f32 = 0.99;

/// The host's own address towards another: its node's name if that is one, or the other one if it never leaves the host.
fn own(node: &[u8], other: Ip) -> Option<Ip> {
    let loopback = match other.to_std() {
        std::net::IpAddr::V4(ip) => ip.is_loopback(),
        std::net::IpAddr::V6(ip) => ip.is_loopback(),
    };
    if loopback {
        return Some(other);
    }
    bytes::ip(node).filter(|own| own.is_v4() == other.is_v4())
}

#[cfg(test)]
mod tests;
