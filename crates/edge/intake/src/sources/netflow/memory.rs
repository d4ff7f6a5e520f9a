//! What exporters said before: templates, samplers, when they started. All of it within bounds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::FixedState;
use model::{Exporter, FlowBatch, Micros};
use netset::Ip;

use super::clock::{Life, Restarts, Skew};
use super::decoder::Message;
use super::sampling::Samplers;
use super::template::{Field, Template};
use crate::ledger::{Jump, Ledger};

/// Bounds on what is remembered. Reaching one is counted in the summary, never fatal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pairs of address and observation domain. Beyond it those are forgotten that were silent the longest.
    pub exporters: usize,
    /// Templates of one exporter.
    pub templates_per_exporter: usize,
    /// Fields of one template.
    pub fields_per_template: usize,
    /// Fields of all templates together: 8 bytes and at most one operation each. Samplers and names of applications count
    /// as so many fields as they take. One exporter may have a quarter of them.
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

impl Limits {
    /// For the exporter at the other end of one connection.
    pub const CONNECTION: Self = Self {
        exporters: 256,
        templates_per_exporter: 2_048,
        fields_per_template: 2_048,
        fields: 64_000,
        pending_bytes: 256 * 1024,
    };
}

const LIMIT: &str = "limit on templates reached";
const FORGOTTEN: &str = "exporter forgotten, limit on exporters reached";

/// How long a batch's list of exporters is searched.
const SEARCHED: usize = 64;

/// Bytes of a name that is believed to be one.
const NAME_MAX: usize = 255;

/// Address and observation domain.
pub(super) type Key = (Ip, u32);

/// Names of applications by their id (IE 95).
pub(super) type Applications = BTreeMap<u64, Arc<str>>;

/// What is remembered of all exporters.
pub(super) struct Memory {
    pub(super) limits: Limits,
    pub(super) exporters: HashMap<Key, State, FixedState>,
    /// All exporters in the order in which they are looked at when one must go; see [`Memory::forget_one`].
    order: VecDeque<Key>,
    /// Fields of all templates.
    pub(super) fields: usize,
}

/// What is remembered of one exporter.
pub(super) struct State {
    pub(super) name: Exporter,
    /// By UDP source port and template id (RFC 7011, 8.4).
    pub(super) templates: HashMap<(u16, u16), Arc<Template>, FixedState>,
    /// By template id alone, the latest: some exporters send each datagram from another port.
    pub(super) latest: HashMap<u16, Arc<Template>, FixedState>,
    pub(super) samplers: Samplers,
    /// Milliseconds since the epoch when it started, if options data said so.
    pub(super) system_init: Option<u64>,
    pub(super) applications: Applications,
    /// The last datagram's version and port, its number, and by how much it raises that.
    expected: Option<(u16, u16, u32, u32)>,
    /// How wrong its clock is.
    pub(super) skew: Skew,
    restarts: Restarts,
    /// Fields of its templates and what counts as such, as counted in the total.
    fields: usize,
    /// How many more it may have.
    room: usize,
    /// Where it stood in the batch that was written last.
    listed: usize,
    /// Whether it sent anything since it was last looked at, or since its first datagram.
    heard: bool,
}

/// By how much a datagram raises the sequence number.
pub(super) struct Step {
    pub(super) records: u32,
    /// How much of that are records of options.
    pub(super) options: u32,
    /// What a gap in the number is counted in.
    pub(super) missing: fn(u32) -> Jump,
}

impl Memory {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, exporters: HashMap::default(), order: VecDeque::new(), fields: 0 }
    }

    /// The memory of a message's exporter.
    pub(super) fn state(&mut self, message: Message, ledger: &mut Ledger) -> &mut State {
        let key = (message.sender.ip, message.domain);
        if !self.exporters.contains_key(&key) {
            while self.exporters.len() >= self.limits.exporters.max(1) && self.forget_one() {
                ledger.drop_bytes(FORGOTTEN, 0);
            }
            self.order.push_back(key);
        }
        self.exporters.entry(key).or_insert_with(|| State::new(key))
    }

    /// Begins a datagram of an exporter; whether that started anew. Then its old templates are forgotten, for their numbers
    /// may mean something else now: what comes before the new ones waits for them.
    pub(super) fn begin(&mut self, message: Message, life: Option<Life>, ledger: &mut Ledger) -> bool {
        let known = self.exporters.contains_key(&(message.sender.ip, message.domain));
        let state = self.state(message, ledger);
        state.heard = known;
        let same = |(version, port, ..): (u16, u16, u32, u32)| {
            (version, port) == (message.version, message.sender.port)
        };
        if !state.expected.is_some_and(same) {
            state.restarts.forget_last();
        }
        if !life.is_some_and(|life| state.restarts.noticed(life)) {
            return false;
        }
        let before = state.fields;
        state.forget(message.sender.port, |_, _| true);
        state.samplers = Samplers::default();
        state.applications.clear();
        state.system_init = None;
        state.fields = state.count_fields();
        let freed = before - state.fields;
        self.fields -= freed;
        true
    }

    /// Lets an exporter remember more, within its room.
    pub(super) fn change<T>(&mut self, key: Key, change: impl FnOnce(&mut State) -> T) -> T {
        let new = !self.exporters.contains_key(&key);
        if new {
            self.order.push_back(key);
        }
        let state = self.exporters.entry(key).or_insert_with(|| State::new(key));
        let before = state.fields;
        state.room = state.room_within(self.limits, self.fields);
        let answer = change(state);
        self.fields = self.fields - before + state.fields;
        answer
    }

    /// The memory of an exporter that was heard of.
    pub(super) fn known(&mut self, message: Message) -> Option<&mut State> {
        self.exporters.get_mut(&(message.sender.ip, message.domain))
    }

    /// Forgets the exporter that was silent the longest, near enough: going round, whoever sent something since the last
    /// round is spared once. An address that is made up is heard once; those that export stay.
    fn forget_one(&mut self) -> bool {
        // After one round nobody is spared any more.
        for _ in 0..=2 * self.order.len() {
            let Some(key) = self.order.pop_front() else { return false };
            let Some(state) = self.exporters.get_mut(&key) else { continue };
            if std::mem::take(&mut state.heard) {
                self.order.push_back(key);
                continue;
            }
            self.fields -= state.fields;
            self.exporters.remove(&key);
            return true;
        }
        false
    }

    /// Remembers a template; whether there was room for it.
    pub(super) fn keep(
        &mut self,
        message: Message,
        id: u16,
        fields: Vec<Field>,
        scopes: Option<usize>,
        ledger: &mut Ledger,
    ) -> bool {
        let limits = self.limits;
        let size = fields.len();
        let kept = self.change((message.sender.ip, message.domain), |state| {
            let key = (message.sender.port, id);
            // Exporters repeat their templates every few seconds: mostly nothing changed.
            let same = |known: &&Arc<Template>| known.fields == fields && known.scopes == scopes;
            let template = match state.templates.get(&key).filter(same).cloned() {
                Some(known) => known,
                None if size > limits.fields_per_template || !state.has_room(limits, id, 2 * size) => {
                    return false;
                }
                None => Arc::new(Template::new(fields, scopes)),
            };
            state.insert(key, template);
            true
        });
        if !kept {
            ledger.lose(LIMIT, 1, size * 4);
        }
        kept
    }

    /// Forgets one template, or all of a kind when the id is that of the template set itself.
    pub(super) fn withdraw(&mut self, message: Message, options: bool, id: u16) {
        let Some(state) = self.exporters.get_mut(&(message.sender.ip, message.domain)) else { return };
        let gone = |key: u16, template: &Template| {
            if id < 256 { template.scopes.is_some() == options } else { key == id }
        };
        self.fields -= state.forget(message.sender.port, gone);
    }
}

impl State {
    pub(super) fn new((ip, domain): Key) -> Self {
        let ip = if ip == Ip(0) { "unknown".to_owned() } else { ip.to_string() };
        let name = if domain == 0 { ip } else { format!("{ip}/{domain}") };
        Self {
            name: Exporter(name.into()),
            templates: HashMap::default(),
            latest: HashMap::default(),
            samplers: Samplers::default(),
            system_init: None,
            applications: BTreeMap::new(),
            expected: None,
            skew: Skew::default(),
            restarts: Restarts::default(),
            fields: 0,
            room: 0,
            listed: 0,
            heard: false,
        }
    }

    /// Its index in a batch's list of exporters. It is mostly where it was: a search of the list for each datagram would take
    /// long when there are hundreds, and longer when thousands are made up. A list so long may name one twice instead.
    pub(super) fn listed_in(&mut self, batch: &mut FlowBatch) -> u32 {
        let there = batch.exporters.get(self.listed).is_some_and(|known| Arc::ptr_eq(&known.0, &self.name.0));
        if !there {
            if batch.exporters.len() > SEARCHED {
                batch.exporters.push(self.name.clone());
                self.listed = batch.exporters.len() - 1;
            } else {
                self.listed = batch.intern_exporter(&self.name) as usize;
                if let Some(known) = batch.exporters.get(self.listed) {
                    // Of another decoder, or of before it was forgotten: from now on it is known by its place.
                    self.name = known.clone();
                }
            }
        }
        self.listed as u32
    }

    /// The template for a set.
    pub(super) fn template(&self, port: u16, id: u16) -> Option<&Arc<Template>> {
        self.templates.get(&(port, id)).or_else(|| self.latest.get(&id))
    }

    /// Fields of all its templates, when nothing else counts as such.
    fn count_fields(&self) -> usize {
        self.templates.values().chain(self.latest.values()).map(|template| template.fields.len()).sum()
    }

    /// How many more fields it may have when all exporters together have `total`.
    fn room_within(&self, limits: Limits, total: usize) -> usize {
        (limits.fields / 4).saturating_sub(self.fields).min(limits.fields.saturating_sub(total))
    }

    /// Takes so many fields of its room; whether there were as many.
    fn charge(&mut self, fields: usize) -> bool {
        let enough = fields <= self.room;
        if enough {
            self.room -= fields;
            self.fields += fields;
        }
        enough
    }

    /// Whether a new template has room.
    fn has_room(&mut self, limits: Limits, id: u16, fields: usize) -> bool {
        if self.templates.len() >= limits.templates_per_exporter {
            // Ports that come and go fill this map; templates are still found by their id.
            let freed = self.templates.drain().map(|(_, old)| old.fields.len()).sum::<usize>();
            self.fields -= freed;
            self.room += freed;
        }
        let known = self.latest.contains_key(&id);
        (known || self.latest.len() < limits.templates_per_exporter) && fields <= self.room
    }

    /// Puts back a template that was saved, unless a newer one is known; whether it did.
    pub(super) fn restore(
        &mut self,
        limits: Limits,
        (port, id): (Option<u16>, u16),
        latest: bool,
        template: Template,
    ) -> bool {
        let full = self.templates.len() >= limits.templates_per_exporter
            || self.latest.len() >= limits.templates_per_exporter;
        let size = template.fields.len();
        if full || 2 * size > self.room {
            return false;
        }
        let template = Arc::new(template);
        let mut taken = false;
        if let Some(port) = port
            && !self.templates.contains_key(&(port, id))
        {
            self.templates.insert((port, id), Arc::clone(&template));
            taken = self.charge(size);
        }
        if latest && !self.latest.contains_key(&id) {
            self.latest.insert(id, template);
            taken |= self.charge(size);
        }
        taken
    }

    /// Remembers the rate of a sampler or interface.
    pub(super) fn learn_sampler(&mut self, id: u64, rate: u32, interface: bool) {
        // An id and a rate take as much as two fields do.
        if self.samplers.knows(id, interface) || self.charge(2) {
            self.samplers.put(id, rate, interface);
        }
    }

    /// Remembers the name of an application.
    pub(super) fn learn_application(&mut self, id: u64, name: &str) {
        if self.applications.get(&id).is_some_and(|known| **known == *name) {
            return;
        }
        // Eight bytes to a field, and as much again for the entry.
        let cost = |name: &str| name.len() / 8 + 6;
        let freed = self.applications.remove(&id).map_or(0, |old| cost(&old));
        self.fields -= freed;
        self.room += freed;
        if name.len() <= NAME_MAX && self.charge(cost(name)) {
            self.applications.insert(id, name.into());
        }
    }

    /// Puts a template into both maps. Both count, although they mostly share: the bound must hold when they do not.
    fn insert(&mut self, key: (u16, u16), template: Arc<Template>) {
        let size = template.fields.len();
        let old = [self.templates.insert(key, Arc::clone(&template)), self.latest.insert(key.1, template)];
        let freed: usize = old.iter().flatten().map(|old| old.fields.len()).sum();
        self.fields = self.fields + 2 * size - freed;
    }

    /// Forgets a port's templates that a test says are gone. Returns how many fields they had.
    fn forget(&mut self, port: u16, gone: impl Fn(u16, &Template) -> bool) -> usize {
        let mut freed = 0;
        self.templates.retain(|(from, id), template| {
            let keep = *from != port || !gone(*id, template);
            freed += if keep { 0 } else { template.fields.len() };
            keep
        });
        self.latest.retain(|id, template| {
            let keep = !gone(*id, template);
            freed += if keep { 0 } else { template.fields.len() };
            keep
        });
        self.fields -= freed;
        freed
    }

    /// Compares a sequence number with what the last datagram promised.
    ///
    /// By RFC 7011 the number counts the data records sent before the message, options included. softflowd 1.1 counts the
    /// message itself too, and no options, so its number exceeds the last one by the message's own flows. Either is in
    /// order.
    pub(super) fn sequence(&mut self, message: Message, number: u32, step: Step, ledger: &mut Ledger) {
        let Step { records, options, missing } = step;
        let (version, port) = (message.version, message.sender.port);
        if let Some((known_version, known_port, last, last_step)) = self.expected
            && (known_version, known_port) == (version, port)
            && number != last.wrapping_add(last_step)
            && number != last.wrapping_add(records)
            && number != last.wrapping_add(records.saturating_sub(options))
        {
            let ahead = number.wrapping_sub(last.wrapping_add(last_step));
            ledger.sequence_jump(&self.name, if ahead < 1 << 31 { missing(ahead) } else { Jump::Back });
        }
        self.expected = Some((version, port, number, records));
    }

    /// Nothing is expected of the next number: how many records this datagram had is not known.
    pub(super) fn expect_nothing(&mut self) {
        self.expected = None;
    }
}

/// Milliseconds that an exporter was up at a moment, modulo 2^32.
pub(super) fn since(system_init: Option<u64>, export: Micros) -> Option<u32> {
    let init = system_init.filter(|init| *init > 0)?;
    Some((export / 1_000).cast_unsigned().wrapping_sub(init) as u32)
}
