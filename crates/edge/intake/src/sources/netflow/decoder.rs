//! Datagrams of NetFlow v5, v9 and IPFIX into flows; what exporters said before is remembered within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use model::{Exporter, FlowBatch, Micros};
use netset::Ip;

use super::columns::{Scratch, Times};
use super::pending::{Pending, Waiting};
use super::records::Run;
use super::sampling::Samplers;
use super::template::{Field, Kind, Layout, Parsed, Template, parse_set};
use super::v5;
use crate::ledger::{Jump, Ledger, NO_TEMPLATE, Place};

/// Who sent a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) struct Sender {
    /// Its address; `::` when the datagrams come from a file without addresses.
    pub(crate) ip: Ip,
    /// Its UDP source port.
    pub(crate) port: u16,
}

/// Bounds on what is remembered. Reaching one is counted in the summary, never fatal.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pairs of address and observation domain.
    pub exporters: usize,
    /// Templates of one exporter.
    pub templates_per_exporter: usize,
    /// Fields of one template.
    pub fields_per_template: usize,
    /// Fields of all templates together: 8 bytes and at most one operation each.
    pub fields: usize,
    /// Bytes of sets that wait for their template.
    pub pending_bytes: usize,
}

impl Default for Limits {
    /// About 100 MB when everything is full, far less in any real network.
    fn default() -> Self {
        Self {
            exporters: 20_000,
            templates_per_exporter: 2_048,
            fields_per_template: 2_048,
            fields: 1_000_000,
            pending_bytes: 8 * 1024 * 1024,
        }
    }
}

/// The memory of a collector: templates and samplers of every exporter.
pub(crate) struct Decoder {
    limits: Limits,
    exporters: HashMap<(Ip, u32), State, FixedState>,
    fields: usize,
    pending: Pending,
    scratch: Scratch,
    places: Vec<(usize, usize)>,
}

/// What is remembered of one exporter.
pub(super) struct State {
    pub(super) name: Exporter,
    /// By UDP source port and template id (RFC 7011, 8.4).
    templates: HashMap<(u16, u16), Arc<Template>, FixedState>,
    /// By template id alone, the latest: some exporters send each datagram from another port.
    latest: HashMap<u16, Arc<Template>, FixedState>,
    pub(super) samplers: Samplers,
    /// Milliseconds since the epoch when it started, if options data said so.
    pub(super) system_init: Option<u64>,
    /// Port and number that the next datagram should have.
    expected: Option<(u16, u32, u32)>,
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

/// A datagram to decode.
#[derive(Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) sender: Sender,
    /// When it was received or captured; 0 when not known.
    pub(crate) received: Micros,
    pub(crate) bytes: &'a [u8],
    pub(crate) framing: Framing,
    /// Where rejects say that it began.
    pub(crate) offset: u64,
}

/// Whether other datagrams may follow in the same buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// What came in one UDP packet: one datagram.
    Packet,
    /// Datagrams one after the other, as files of them have it.
    Concatenated,
}

pub(super) const NOT_FLOWS: &str = "datagram is not netflow v5, v9 or ipfix";
const SHORT: &str = "datagram shorter than its header";
const TRAILING: &str = "bytes after the datagram's end";
const BAD_SET: &str = "set length does not fit";
const RESERVED: &str = "set with a reserved id";
const CORRUPT: &str = "corrupt template";
const LIMIT: &str = "limit on templates reached";
const SHORT_SET: &str = "set shorter than a record";
const TOO_MANY: &str = "limit on exporters reached";

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that knows nothing yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            exporters: HashMap::default(),
            fields: 0,
            pending: Pending::new(limits.pending_bytes),
            scratch: Scratch::default(),
            places: Vec::new(),
        }
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
        ledger.nobody();
        let mut used = self.one(&datagram, bytes, batch, ledger);
        if framing == Framing::Packet {
            // Some version 5 exporters put several datagrams into one packet. Only a header that fits what follows is
            // taken for one; nobody else's rest is.
            while used < bytes.len() && v5::starts(&bytes[used..]) {
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
        let times = Times { export: received, uptime: None };
        let message = Message { sender, version, domain: 0, times, offset };
        let used = match version {
            5 => self.version_5(message, bytes, batch, ledger),
            9 => self.version_9(message, bytes, framing, batch, ledger),
            10 => self.ipfix(message, bytes, batch, ledger),
            _ => None,
        };
        if let Some(used) = used {
            ledger.summary.datagrams += 1;
            ledger.more_bytes(used);
            return used;
        }
        let reason = if matches!(version, 5 | 9 | 10) { SHORT } else { NOT_FLOWS };
        let detail = format!("{reason}: {} bytes, version {version}", bytes.len());
        ledger.reject(reason, bytes.len(), Place::Offset(offset), detail);
        bytes.len()
    }

    /// Templates, their fields as counted against the limit, and bytes that wait.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize, usize) {
        let templates = self.exporters.values().map(|state| state.templates.len() + state.latest.len()).sum();
        (templates, self.fields, self.pending.used())
    }

    /// Counts the sets whose template never came. The end of an input.
    pub(crate) fn give_up_waiting(&mut self, ledger: &mut Ledger) {
        for waiting in self.pending.drain() {
            lost(&self.exporters, &waiting, ledger);
        }
        ledger.nobody();
    }

    fn version_5(
        &mut self,
        mut message: Message,
        bytes: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<usize> {
        let header = v5::Header::read(bytes)?;
        let length = match header.check(bytes.len()) {
            Ok(length) => length,
            Err(detail) => {
                ledger.reject(v5::BAD_COUNT, bytes.len(), Place::Offset(message.offset), detail);
                return Some(bytes.len());
            }
        };
        message.domain = header.engine;
        let Some(state) = self.state(message, bytes.len(), ledger) else { return Some(bytes.len()) };
        ledger.datagram(&state.name, header.export, 0);
        ledger.clock(header.export, message.times.export);
        let step = Step { records: u32::from(header.count), options: 0, missing: Jump::Records };
        sequence(state, message.sender.port, header.sequence, step, ledger);
        let exporter = batch.intern_exporter(&state.name);
        v5::records(&header, &bytes[v5::HEADER..length], exporter, batch);
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
        let received = message.times.export;
        message.times = Times { export: i64::from(word(8)) * 1_000_000, uptime: Some(word(4)) };
        message.domain = word(16);
        let Some(state) = self.state(message, bytes.len(), ledger) else { return Some(bytes.len()) };
        ledger.datagram(&state.name, message.times.export, 0);
        ledger.clock(message.times.export, received);
        let step = Step { records: 1, options: 0, missing: Jump::Datagrams };
        sequence(state, message.sender.port, word(12), step, ledger);
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
        let received = message.times.export;
        message.times = Times { export: i64::from(word(4)) * 1_000_000, uptime: None };
        message.domain = word(12);
        let Some(state) = self.state(message, bytes.len(), ledger) else { return Some(bytes.len()) };
        ledger.datagram(&state.name, message.times.export, 0);
        ledger.clock(message.times.export, received);
        let options_before = ledger.summary.options_records;
        let (_, records) = self.sets(message, &bytes[16..length], Framing::Packet, batch, ledger);
        let options = (ledger.summary.options_records - options_before) as u32;
        if let Some(state) = self.exporters.get_mut(&(message.sender.ip, message.domain)) {
            match records {
                Some(records) => {
                    let step = Step { records, options, missing: Jump::Records };
                    sequence(state, message.sender.port, word(8), step, ledger);
                }
                // A set that could not be read hides how many records it had: nothing is expected of the next number.
                None => state.expected = None,
            }
        }
        Some(length)
    }

    /// The memory of a datagram's exporter; `None` when there are too many of them already.
    fn state(&mut self, message: Message, bytes: usize, ledger: &mut Ledger) -> Option<&mut State> {
        let key = (message.sender.ip, message.domain);
        if !self.exporters.contains_key(&key) && self.exporters.len() >= self.limits.exporters {
            ledger.lose(TOO_MANY, 1, bytes);
            return None;
        }
        Some(self.exporters.entry(key).or_insert_with(|| State::new(message)))
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
            if framing == Framing::Concatenated && matches!(id, 5 | 9 | 10) {
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
                    if self.keep(message, definition.id, fields, scopes, ledger) {
                        self.replay(message, definition.id, batch, ledger);
                    }
                }
                Kind::Withdrawn => self.withdraw(message, layout, definition.id),
            }
        }
    }

    /// Remembers a template; whether there was room for it.
    fn keep(
        &mut self,
        message: Message,
        id: u16,
        fields: Vec<Field>,
        scopes: Option<usize>,
        ledger: &mut Ledger,
    ) -> bool {
        let limits = self.limits;
        let bytes = fields.len() * 4;
        let Some(state) = self.exporters.get_mut(&(message.sender.ip, message.domain)) else { return false };
        let key = (message.sender.port, id);
        let same = |known: &&Arc<Template>| known.fields == fields && known.scopes == scopes;
        // Exporters repeat their templates every few seconds: mostly nothing changed.
        let template = match state.templates.get(&key).filter(same) {
            Some(known) => Arc::clone(known),
            None => {
                if state.templates.len() >= limits.templates_per_exporter {
                    // Ports that come and go fill this map; templates are still found by their id.
                    self.fields -= state.templates.drain().map(|(_, old)| old.fields.len()).sum::<usize>();
                }
                let full =
                    state.latest.len() >= limits.templates_per_exporter && !state.latest.contains_key(&id);
                let large = fields.len() > limits.fields_per_template;
                if full || large || self.fields + 2 * fields.len() > limits.fields {
                    ledger.lose(LIMIT, 1, bytes);
                    return false;
                }
                Arc::new(Template::new(fields, scopes))
            }
        };
        // Both maps count, although they mostly share: the bound must hold when they do not.
        let size = template.fields.len();
        let old = [state.templates.insert(key, Arc::clone(&template)), state.latest.insert(id, template)];
        self.fields += 2 * size;
        self.fields -= old.iter().flatten().map(|old| old.fields.len()).sum::<usize>();
        true
    }

    /// Forgets one template, or all of a kind when the id is that of the template set itself.
    fn withdraw(&mut self, message: Message, layout: Layout, id: u16) {
        let Some(state) = self.exporters.get_mut(&(message.sender.ip, message.domain)) else { return };
        let options = layout == Layout::IpfixOptions;
        let gone = |key: u16, template: &Arc<Template>| {
            if id < 256 { template.scopes.is_some() == options } else { key == id }
        };
        let mut freed = 0;
        state.templates.retain(|(port, key), template| {
            let keep = *port != message.sender.port || !gone(*key, template);
            freed += if keep { 0 } else { template.fields.len() };
            keep
        });
        state.latest.retain(|key, template| {
            let keep = !gone(*key, template);
            freed += if keep { 0 } else { template.fields.len() };
            keep
        });
        self.fields -= freed;
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
        let state = self.exporters.get_mut(&(message.sender.ip, message.domain))?;
        let template = state.templates.get(&(message.sender.port, id)).or_else(|| state.latest.get(&id));
        let Some(template) = template.cloned() else {
            let name = state.name.clone();
            for lost_one in self.pending.add(Waiting { message, id, set: set.to_vec() }) {
                lost(&self.exporters, &lost_one, ledger);
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
        let mut run =
            Run { message, template: &template, state, scratch: &mut self.scratch, places: &mut self.places };
        match (template.scopes, template.plan.has.addresses) {
            (Some(_), _) => Some(run.options(set, ledger)),
            (None, false) => Some(run.skip(set, ledger)),
            (None, true) => Some(run.records(set, batch, ledger)),
        }
    }
}

/// Milliseconds that an exporter was up at a moment, modulo 2^32.
pub(super) fn since(system_init: Option<u64>, export: Micros) -> Option<u32> {
    let init = system_init.filter(|init| *init > 0)?;
    Some((export / 1_000).cast_unsigned().wrapping_sub(init) as u32)
}

/// Counts a set whose template never came, as the loss of who sent it and when.
fn lost(exporters: &HashMap<(Ip, u32), State, FixedState>, waiting: &Waiting, ledger: &mut Ledger) {
    if let Some(state) = exporters.get(&(waiting.message.sender.ip, waiting.message.domain)) {
        ledger.of(&state.name, waiting.message.times.export);
    }
    let detail = format!(
        "no template {} from {} (domain {}) before the end; exporters repeat templates, so let the capture run longer",
        waiting.id, waiting.message.sender.ip, waiting.message.domain
    );
    ledger.reject(NO_TEMPLATE, waiting.set.len() + 4, Place::Offset(waiting.message.offset), detail);
}

impl State {
    fn new(message: Message) -> Self {
        let Message { sender, domain, .. } = message;
        let ip = if sender.ip == Ip(0) { "unknown".to_owned() } else { sender.ip.to_string() };
        let name = if domain == 0 { ip } else { format!("{ip}/{domain}") };
        Self {
            name: Exporter(name.into()),
            templates: HashMap::default(),
            latest: HashMap::default(),
            samplers: Samplers::default(),
            system_init: None,
            expected: None,
        }
    }
}

/// By how much a datagram raises the sequence number.
struct Step {
    records: u32,
    /// How much of that are records of options.
    options: u32,
    /// What a gap in the number is counted in.
    missing: fn(u32) -> Jump,
}

/// Compares a sequence number with what the last datagram promised.
///
/// By RFC 7011 the number counts the data records sent before the message, options included. softflowd 1.1 counts the
/// message itself too, and no options, so its number exceeds the last one by the message's own flows. Either is in order.
fn sequence(state: &mut State, port: u16, number: u32, step: Step, ledger: &mut Ledger) {
    let Step { records, options, missing } = step;
    if let Some((known, last, last_step)) = state.expected
        && known == port
        && number != last.wrapping_add(last_step)
        && number != last.wrapping_add(records)
        && number != last.wrapping_add(records.saturating_sub(options))
    {
        let ahead = number.wrapping_sub(last.wrapping_add(last_step));
        ledger.sequence_jump(&state.name, if ahead < 1 << 31 { missing(ahead) } else { Jump::Back });
    }
    state.expected = Some((port, number, records));
}
