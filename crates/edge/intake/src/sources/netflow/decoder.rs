//! Datagrams of NetFlow and IPFIX into flows.

use model::{FlowBatch, Micros};

use super::clock::Life;
use super::columns::{Scratch, Times};
use super::fixed_layout::{self, BAD_COUNT, Header};
use super::memory::{Limits, Memory, Step, since};
use super::pending::{Pending, Waiting};
use super::records::Run;
use super::template::{Kind, Layout, Parsed, parse_set};
use crate::datagram::{Datagram, Framing, Sender};
use crate::ledger::{Jump, Ledger, NO_TEMPLATE, Place};

/// The memory of a collector: templates and samplers of every exporter.
pub(crate) struct Decoder {
    pub(super) memory: Memory,
    pending: Pending,
    scratch: Scratch,
    places: Vec<(usize, usize)>,
    mends_clocks: bool,
}

/// A datagram being decoded, or a set of one that waited.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) sender: Sender,
    pub(super) version: u16,
    pub(super) domain: u32,
    pub(super) times: Times,
    /// Where the datagram begins in the input.
    pub(super) offset: u64,
}

/// How many exporters an empty batch may list.
const EXPORTERS_LISTED: usize = 1_024;

pub(super) const NOT_FLOWS: &str = "datagram is not netflow or ipfix";
const SHORT: &str = "datagram shorter than its header";
const TRAILING: &str = "bytes after the datagram's end";
const BAD_SET: &str = "set length does not fit";
const RESERVED: &str = "set with a reserved id";
const CORRUPT: &str = "corrupt template";
const SHORT_SET: &str = "set shorter than a record";

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that knows nothing yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            memory: Memory::new(limits),
            pending: Pending::new(limits.pending_bytes),
            scratch: Scratch::default(),
            places: Vec::new(),
            mends_clocks: false,
        }
    }

    /// Moves the times of exporters whose clock is wrong by the time of receipt, and notes them in the summary. For those
    /// who receive: the times in a capture are those of whoever captured, replayed or edited it, and prove nothing.
    pub(crate) fn mending_clocks(mut self) -> Self {
        self.mends_clocks = true;
        self
    }

    /// Appends the flows of a datagram to a batch, and those of earlier sets that waited for a template in it. Returns how
    /// many bytes were used: all of a packet's, those of one datagram of a file.
    pub(crate) fn datagram(
        &mut self,
        datagram: Datagram<'_>,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> usize {
        let Datagram { bytes, framing, .. } = datagram;
        let rows = batch.len();
        if rows == 0 && batch.exporters.len() > EXPORTERS_LISTED {
            // An emptied batch keeps its exporters, which nobody refers to any more: addresses that are made up would pile
            // up in it.
            batch.exporters.clear();
        }
        ledger.nobody();
        let mut used = self.one(&datagram, bytes, batch, ledger);
        if framing == Framing::Packet {
            // Some version 5 and 7 exporters put several datagrams into one packet. Only a header that fits what follows is
            // taken for one; nobody else's rest is.
            while used < bytes.len() && fixed_layout::starts(&bytes[used..]) {
                used += self.one(&datagram, &bytes[used..], batch, ledger);
            }
            if used < bytes.len() {
                ledger.drop_bytes(TRAILING, bytes.len() - used);
                ledger.more_bytes(bytes.len() - used);
                used = bytes.len();
            }
        }
        ledger.summary.flows += (batch.len() - rows) as u64;
        used
    }

    fn one(
        &mut self,
        datagram: &Datagram<'_>,
        bytes: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> usize {
        let Datagram { sender, received, framing, offset, .. } = *datagram;
        let version = bytes.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
        let times = Times { export: received, ..Times::default() };
        let message = Message { sender, version, domain: 0, times, offset };
        let used = match version {
            1 | 5 | 7 => self.fixed_layout(message, bytes, batch, ledger),
            9 => self.version_9(message, bytes, framing, batch, ledger),
            10 => self.ipfix(message, bytes, batch, ledger),
            _ => None,
        };
        if let Some(used) = used {
            ledger.summary.datagrams += 1;
            ledger.more_bytes(used);
            return used;
        }
        let reason = if matches!(version, 1 | 5 | 7 | 9 | 10) { SHORT } else { NOT_FLOWS };
        let detail = format!("{reason}: {} bytes, version {version}", bytes.len());
        ledger.reject(reason, bytes.len(), Place::Offset(offset), detail);
        bytes.len()
    }

    /// Templates, their fields as counted against the limit, and bytes that wait.
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        let states = self.memory.exporters.values();
        let templates = states.map(|state| state.templates.len() + state.latest.len()).sum();
        (templates, self.memory.fields, self.pending.used())
    }

    /// Counts the sets whose template never came. The end of an input.
    pub(crate) fn give_up_waiting(&mut self, ledger: &mut Ledger) {
        for waiting in self.pending.drain() {
            lost(&self.memory, &waiting, ledger);
        }
        ledger.nobody();
    }

    /// Versions 1, 5 and 7.
    fn fixed_layout(
        &mut self,
        mut message: Message,
        bytes: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<usize> {
        let header = Header::read(bytes)?;
        let length = match header.check(bytes.len()) {
            Ok(length) => length,
            Err(detail) => {
                ledger.reject(BAD_COUNT, bytes.len(), Place::Offset(message.offset), detail);
                return Some(bytes.len());
            }
        };
        message.domain = header.engine;
        message.times =
            self.begin(message, Times { export: header.export, ..Times::default() }, None, ledger);
        let state = self.memory.state(message, ledger);
        if let Some(number) = header.sequence {
            let step = Step { records: u32::from(header.count), options: 0, missing: Jump::Records };
            state.sequence(message, number, step, ledger);
        }
        let exporter = state.listed_in(batch);
        let base = batch.len();
        header.records(&bytes[..length], exporter, batch);
        move_times(batch, base, message.times.shift);
        Some(length)
    }

    fn version_9(
        &mut self,
        mut message: Message,
        bytes: &[u8],
        framing: Framing,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<usize> {
        let header = bytes.first_chunk::<20>()?;
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        message.domain = word(16);
        let times = Times { export: seconds(word(8)), uptime: Some(word(4)), shift: 0 };
        message.times = self.begin(message, times, Some(word(12)), ledger);
        let state = self.memory.state(message, ledger);
        let step = Step { records: 1, options: 0, missing: Jump::Datagrams };
        state.sequence(message, word(12), step, ledger);
        let (used, _) = self.sets(message, &bytes[20..], framing, batch, ledger);
        Some(20 + used)
    }

    fn ipfix(
        &mut self,
        mut message: Message,
        bytes: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<usize> {
        let header = bytes.first_chunk::<16>()?;
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        // A message cut short, or with a length that makes no sense, still has sets that can be read.
        let stated = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let length = if stated < 16 { bytes.len() } else { stated.min(bytes.len()) };
        message.domain = word(12);
        let times = Times { export: seconds(word(4)), ..Times::default() };
        message.times = self.begin(message, times, Some(word(8)), ledger);
        let options_before = ledger.summary.options_records;
        let (_, records) = self.sets(message, &bytes[16..length], Framing::Packet, batch, ledger);
        let options = (ledger.summary.options_records - options_before) as u32;
        if let Some(state) = self.memory.known(message) {
            match records {
                Some(records) => {
                    let step = Step { records, options, missing: Jump::Records };
                    state.sequence(message, word(8), step, ledger);
                }
                // A set that could not be read hides how many records it had.
                None => state.expect_nothing(),
            }
        }
        Some(length)
    }

    /// What every datagram begins with: whose it is, whether that started anew, and whether its clock is right. `message`
    /// still has the time of receipt; the times by which its flows are to be read are returned.
    fn begin(
        &mut self,
        message: Message,
        mut times: Times,
        number: Option<u32>,
        ledger: &mut Ledger,
    ) -> Times {
        let received = message.times.export;
        if times.export == 0 {
            // No clock at all.
            times.export = received;
        }
        let mends = self.mends_clocks;
        let life = number.map(|sequence| Life { export: times.export, uptime: times.uptime, sequence });
        let restarted = self.memory.begin(message, life, ledger);
        let state = self.memory.state(message, ledger);
        if mends {
            times.shift = state.skew.shift(times.export, received);
        }
        ledger.datagram(&state.name, times.export.saturating_add(times.shift), 0);
        ledger.clock(times.export, received);
        if restarted {
            ledger.restarted(&state.name);
        }
        if times.shift != 0 {
            ledger.clock_shifted(&state.name, times.shift);
        }
        times
    }

    /// Goes over the sets of a version 9 or IPFIX message. Returns the bytes used and, when all sets could be read, the
    /// number of data records.
    fn sets(
        &mut self,
        message: Message,
        body: &[u8],
        framing: Framing,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> (usize, Option<u32>) {
        let mut at = 0;
        let mut records = Some(0_u32);
        while let Some([a, b, c, d]) = body.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
            let (id, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
            // Version 9 has no length of its own; where a set would begin stands the next datagram's version instead.
            if framing == Framing::Concatenated && matches!(id, 5 | 7 | 9 | 10) {
                return (at, records);
            }
            let rest = &body[at..];
            let Some(set) = rest.get(4..length).filter(|_| length >= 4) else {
                if rest.iter().any(|byte| *byte != 0) {
                    let detail = format!(
                        "set {id} says that it has {length} bytes; {} are left in the datagram",
                        rest.len()
                    );
                    let place = Place::Offset(message.offset + at as u64);
                    ledger.reject(BAD_SET, rest.len(), place, detail);
                    records = None;
                } else {
                    ledger.drop_bytes(TRAILING, rest.len());
                }
                return (body.len(), records);
            };
            let found = self.set(message, id, set, batch, ledger);
            records = records.zip(found).map(|(sum, more)| sum.wrapping_add(more));
            at += length;
        }
        if at < body.len() {
            ledger.drop_bytes(TRAILING, body.len() - at);
        }
        (body.len(), records)
    }

    /// One set. Returns its data records, or `None` when that cannot be known.
    fn set(
        &mut self,
        message: Message,
        id: u16,
        set: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<u32> {
        let layout = match (message.version, id) {
            (9, 0) => Layout::V9,
            (9, 1) => Layout::V9Options,
            (10, 2) => Layout::Ipfix,
            (10, 3) => Layout::IpfixOptions,
            (_, 256..) => return self.data(message, id, set, batch, ledger),
            _ => {
                ledger.drop_bytes(RESERVED, set.len() + 4);
                return None;
            }
        };
        self.learn(message, layout, parse_set(layout, set), set, batch, ledger);
        Some(0)
    }

    fn learn(
        &mut self,
        message: Message,
        layout: Layout,
        parsed: Parsed,
        set: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) {
        let rest = &set[set.len() - parsed.rest..];
        if let Some(reason) = parsed.corrupt {
            ledger.reject(CORRUPT, rest.len(), Place::Offset(message.offset), reason);
        } else if rest.iter().any(|byte| *byte != 0) {
            ledger.drop_bytes(TRAILING, rest.len());
        }
        for definition in parsed.definitions {
            match definition.kind {
                Kind::Fields(fields, scopes) => {
                    ledger.summary.templates += 1;
                    if self.memory.keep(message, definition.id, fields, scopes, ledger) {
                        self.replay(message, definition.id, batch, ledger);
                    }
                }
                Kind::Withdrawn => {
                    self.memory.withdraw(message, layout == Layout::IpfixOptions, definition.id);
                }
            }
        }
    }

    /// Decodes the sets that waited for a template.
    fn replay(&mut self, message: Message, id: u16, batch: &mut FlowBatch, ledger: &mut Ledger) {
        for waiting in self.pending.take(message, id) {
            self.data(waiting.message, id, &waiting.set, batch, ledger);
        }
    }

    fn data(
        &mut self,
        mut message: Message,
        id: u16,
        set: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<u32> {
        let state = self.memory.known(message)?;
        let Some(template) = state.template(message.sender.port, id).cloned() else {
            let name = state.name.clone();
            for lost_one in self.pending.add(Waiting { message, id, set: set.to_vec() }) {
                lost(&self.memory, &lost_one, ledger);
            }
            ledger.of(&name, message.times.export);
            return None;
        };
        let least = template.least();
        if least == 0 || set.len() < least {
            if set.iter().any(|byte| *byte != 0) {
                ledger.lose(SHORT_SET, 1, set.len());
            }
            return Some(0);
        }
        if message.times.uptime.is_none() {
            message.times.uptime = since(state.system_init, message.times.export);
        }
        let (scratch, places) = (&mut self.scratch, &mut self.places);
        if template.scopes.is_some() {
            let key = (message.sender.ip, message.domain);
            return Some(self.memory.change(key, |state| {
                Run { message, template: &template, state, scratch, places }.options(set, ledger)
            }));
        }
        let mut run = Run { message, template: &template, state, scratch, places };
        let base = batch.len();
        let count = match (template.plan.has.addresses, template.plan.section) {
            (true, _) => run.records(set, batch, ledger),
            (false, Some(section)) => run.sections(section, set, batch, ledger),
            (false, None) => run.skip(set, ledger),
        };
        move_times(batch, base, message.times.shift);
        Some(count)
    }
}

fn seconds(seconds: u32) -> Micros {
    i64::from(seconds) * 1_000_000
}

/// Moves all times from a row on.
fn move_times(batch: &mut FlowBatch, base: usize, shift: Micros) {
    if shift != 0 {
        for at in batch.start[base..].iter_mut().chain(&mut batch.end[base..]) {
            *at = at.saturating_add(shift);
        }
    }
}

/// Counts a set whose template never came, as the loss of who sent it and when.
fn lost(memory: &Memory, waiting: &Waiting, ledger: &mut Ledger) {
    if let Some(state) = memory.exporters.get(&(waiting.message.sender.ip, waiting.message.domain)) {
        ledger.of(&state.name, waiting.message.times.export);
    }
    let detail = format!(
        "no template {} from {} (domain {}) before the end; exporters repeat templates, so let the capture run longer",
        waiting.id, waiting.message.sender.ip, waiting.message.domain
    );
    ledger.reject(NO_TEMPLATE, waiting.set.len() + 4, Place::Offset(waiting.message.offset), detail);
}
