//! What is remembered of exporters, as bytes that outlive a restart.
//!
//! Exporters send templates every few minutes, some every half hour; a collector that starts without them loses all flows
//! until then.
//!
//! Layout, numbers big-endian: the magic, a length (8 bytes) and the body of that length, then the FNV-1a hash (8 bytes) of
//! the body. The body is a number of exporters, then each in order of address and domain with its samplers, application
//! names and templates, each list with its number before it and in order of its keys. The same memory gives the same bytes.

use std::fmt;
use std::sync::Arc;

use netset::Ip;

use super::decoder::Decoder;
use super::memory::{Key, Memory, State};
use super::template::{Field, Template};

/// The last byte is the layout's version.
const MAGIC: &[u8; 16] = b"rf-netflow-mem\0\x01";
const LENGTH_BYTES: usize = 8;
const HASH_BYTES: usize = 8;

/// What is read at most. A memory that is full by the default limits takes less than half of it.
const STATE_MAX: usize = 64 * 1024 * 1024;

/// Template fields of no scope.
const NO_SCOPES: u16 = u16::MAX;
/// A template that is only found by its id: no port sent it last.
const NO_PORT: u32 = 1 << 16;

/// The bytes are no saved state, or not all of one. Nothing of them was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateError {
    /// Where, in bytes from the start.
    pub(crate) offset: usize,
    /// What was found and what was expected.
    pub(crate) reason: String,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "saved templates are damaged at byte {}: {}", self.offset, self.reason)
    }
}

impl Decoder {
    /// What is remembered of exporters (templates, samplers, application names), to be kept across a restart. Sets that
    /// wait for their template are not part of it.
    pub(crate) fn export_state(&self) -> Vec<u8> {
        let mut exporters: Vec<(&Key, &State)> = self.memory.exporters.iter().collect();
        exporters.sort_unstable_by_key(|(key, _)| **key);
        let mut body = Writer::default();
        body.count(exporters.len());
        for (key, state) in exporters {
            body.exporter(*key, state);
        }
        let length = body.bytes.len() as u64;
        let hash = fnv_1a(&body.bytes);
        [&MAGIC[..], &length.to_be_bytes(), &body.bytes, &hash.to_be_bytes()].concat()
    }

    /// Takes over what another decoder exported, beside what is known already; on the same template what is known stays.
    /// Returns how many templates were taken: what exceeds the limits is left out.
    ///
    /// # Errors
    /// When the bytes are not what [`Decoder::export_state`] gave, to the last one. Nothing was taken then.
    pub(crate) fn import_state(&mut self, bytes: &[u8]) -> Result<usize, StateError> {
        let saved = read(bytes)?;
        Ok(saved.into_iter().map(|exporter| take(&mut self.memory, exporter)).sum())
    }
}

/// One exporter as it was saved.
struct Saved {
    key: Key,
    system_init: Option<u64>,
    system_rate: Option<u32>,
    by_id: Vec<(u64, u32)>,
    by_interface: Vec<(u64, u32)>,
    applications: Vec<(u64, Arc<str>)>,
    templates: Vec<SavedTemplate>,
}

struct SavedTemplate {
    port: Option<u16>,
    id: u16,
    latest: bool,
    scopes: Option<usize>,
    fields: Vec<Field>,
}

fn take(memory: &mut Memory, saved: Saved) -> usize {
    if !memory.exporters.contains_key(&saved.key) && memory.exporters.len() >= memory.limits.exporters {
        return 0;
    }
    let limits = memory.limits;
    memory.change(saved.key, |state| {
        state.system_init = state.system_init.or(saved.system_init);
        state.samplers.restore(saved.system_rate);
        for (id, rate) in saved.by_id {
            state.learn_sampler(id, rate, false);
        }
        for (id, rate) in saved.by_interface {
            state.learn_sampler(id, rate, true);
        }
        for (id, name) in saved.applications {
            state.learn_application(id, &name);
        }
        let mut taken = 0;
        for SavedTemplate { port, id, latest, scopes, fields } in saved.templates {
            if fields.len() <= limits.fields_per_template
                && state.restore(limits, (port, id), latest, Template::new(fields, scopes))
            {
                taken += 1;
            }
        }
        taken
    })
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn count(&mut self, count: usize) {
        self.bytes.extend((count as u32).to_be_bytes());
    }

    fn maybe(&mut self, value: Option<u64>) {
        self.bytes.push(u8::from(value.is_some()));
        self.bytes.extend(value.unwrap_or(0).to_be_bytes());
    }

    fn rates(&mut self, rates: &[(u64, u32)]) {
        let mut sorted = rates.to_vec();
        sorted.sort_unstable();
        self.count(sorted.len());
        for (id, rate) in sorted {
            self.bytes.extend(id.to_be_bytes());
            self.bytes.extend(rate.to_be_bytes());
        }
    }

    fn exporter(&mut self, (ip, domain): Key, state: &State) {
        self.bytes.extend(ip.0.to_be_bytes());
        self.bytes.extend(domain.to_be_bytes());
        self.maybe(state.system_init);
        self.maybe(state.samplers.system.map(u64::from));
        self.rates(&state.samplers.by_id);
        self.rates(&state.samplers.by_interface);
        self.count(state.applications.len());
        for (id, name) in &state.applications {
            self.bytes.extend(id.to_be_bytes());
            self.bytes.extend((name.len() as u16).to_be_bytes());
            self.bytes.extend(name.as_bytes());
        }
        self.templates(state);
    }

    fn templates(&mut self, state: &State) {
        let is_latest = |id: u16, template: &Arc<Template>| {
            state.latest.get(&id).is_some_and(|latest| Arc::ptr_eq(latest, template))
        };
        let mut all: Vec<(u16, u32, bool, &Template)> = state
            .templates
            .iter()
            .map(|((port, id), template)| (*id, u32::from(*port), is_latest(*id, template), &**template))
            .collect();
        let by_ports = |id: u16| all.iter().any(|(known, _, latest, _)| *known == id && *latest);
        let only: Vec<_> = state
            .latest
            .iter()
            .filter(|(id, _)| !by_ports(**id))
            .map(|(id, t)| (*id, NO_PORT, true, &**t))
            .collect();
        all.extend(only);
        all.sort_unstable_by_key(|(id, port, ..)| (*id, *port));
        self.count(all.len());
        for (id, port, latest, template) in all {
            self.bytes.extend(id.to_be_bytes());
            self.bytes.extend(port.to_be_bytes());
            self.bytes.push(u8::from(latest));
            let scopes = template.scopes.map_or(NO_SCOPES, |scopes| scopes as u16);
            self.bytes.extend(scopes.to_be_bytes());
            self.bytes.extend((template.fields.len() as u16).to_be_bytes());
            for Field { enterprise, id, length } in &template.fields {
                self.bytes.extend(enterprise.to_be_bytes());
                self.bytes.extend(id.to_be_bytes());
                self.bytes.extend(length.to_be_bytes());
            }
        }
    }
}

/// Reads all of a saved state, or nothing.
fn read(bytes: &[u8]) -> Result<Vec<Saved>, StateError> {
    let fail = |offset, reason: String| Err(StateError { offset, reason });
    if bytes.len() > STATE_MAX {
        return fail(STATE_MAX, format!("{} bytes; expected at most {STATE_MAX}", bytes.len()));
    }
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return fail(0, "expected templates saved by this version".to_owned());
    };
    let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
        return fail(bytes.len(), "it ends within its header".to_owned());
    };
    let (length, got) = (u64::from_be_bytes(*length), rest.len().saturating_sub(HASH_BYTES));
    if length != got as u64 || rest.len() < HASH_BYTES {
        return fail(MAGIC.len(), format!("it says that it has {length} bytes; {got} are there"));
    }
    let (body, hash) = rest.split_at(got);
    if hash != fnv_1a(body).to_be_bytes() {
        return fail(bytes.len() - HASH_BYTES, "its checksum does not fit its content".to_owned());
    }
    let mut reader = Reader { bytes: body, at: 0 };
    let exporters = reader.list(64, Reader::exporter)?;
    match exporters.windows(2).all(|pair| pair[0].key < pair[1].key) && reader.at == body.len() {
        true => Ok(exporters),
        false => Err(reader.bad("exporters out of order, or more than there should be")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bad(&self, reason: &str) -> StateError {
        StateError { offset: MAGIC.len() + LENGTH_BYTES + self.at, reason: reason.to_owned() }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        let found = found.ok_or_else(|| self.bad("it ends within an entry"))?;
        self.at += N;
        Ok(found)
    }

    fn u16(&mut self) -> Result<u16, StateError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, StateError> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, StateError> {
        self.take().map(u64::from_be_bytes)
    }

    fn flag(&mut self) -> Result<bool, StateError> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(self.bad("expected 0 or 1")),
        }
    }

    fn maybe(&mut self) -> Result<Option<u64>, StateError> {
        let (is, value) = (self.flag()?, self.u64()?);
        Ok(is.then_some(value))
    }

    /// A list whose entries have at least so many bytes: its number is not believed beyond what can be there.
    fn list<T>(
        &mut self,
        least: usize,
        mut entry: impl FnMut(&mut Self) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let count = self.u32()? as usize;
        if count > (self.bytes.len() - self.at) / least {
            return Err(self.bad("a list longer than the rest"));
        }
        (0..count).map(|_| entry(self)).collect()
    }

    fn rate(&mut self) -> Result<(u64, u32), StateError> {
        Ok((self.u64()?, self.u32()?))
    }

    fn exporter(&mut self) -> Result<Saved, StateError> {
        let key = (Ip(u128::from_be_bytes(self.take()?)), self.u32()?);
        let (system_init, system_rate) = (self.maybe()?, self.maybe()?);
        let system_rate = match system_rate.map(u32::try_from) {
            Some(Ok(rate)) => Some(rate),
            Some(Err(_)) => return Err(self.bad("a sampling rate beyond 32 bits")),
            None => None,
        };
        Ok(Saved {
            key,
            system_init,
            system_rate,
            by_id: self.list(12, Self::rate)?,
            by_interface: self.list(12, Self::rate)?,
            applications: self.list(10, Self::application)?,
            templates: self.list(11, Self::template)?,
        })
    }

    fn application(&mut self) -> Result<(u64, Arc<str>), StateError> {
        let (id, length) = (self.u64()?, usize::from(self.u16()?));
        let name = self.bytes.get(self.at..self.at + length).and_then(|name| str::from_utf8(name).ok());
        let name = name.ok_or_else(|| self.bad("an application without a name"))?.into();
        self.at += length;
        Ok((id, name))
    }

    fn template(&mut self) -> Result<SavedTemplate, StateError> {
        let (id, port, latest) = (self.u16()?, self.u32()?, self.flag()?);
        let port = match port {
            NO_PORT => None,
            port => Some(u16::try_from(port).map_err(|_| self.bad("expected a port"))?),
        };
        let scopes = Some(self.u16()?).filter(|scopes| *scopes != NO_SCOPES).map(usize::from);
        let count = self.u16()?;
        if id < 256 || scopes.is_some_and(|scopes| scopes > usize::from(count)) {
            return Err(self.bad("a template with an id below 256, or with more scopes than fields"));
        }
        let field = |reader: &mut Self| -> Result<Field, StateError> {
            Ok(Field { enterprise: reader.u32()?, id: reader.u16()?, length: reader.u16()? })
        };
        let fields = (0..count).map(|_| field(self)).collect::<Result<_, _>>()?;
        Ok(SavedTemplate { port, id, latest, scopes, fields })
    }
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo): against accidents, not against people.
fn fnv_1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests;
