//! Datagrams of sFlow version 5 into flows, by <https://sflow.org/sflow_version_5.txt>.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use model::{Exporter, FlowBatch};
use netset::Ip;

use super::sample::{self, BAD_RECORD, Header, Kind, NO_PACKET};
use super::words::Words;
use crate::datagram::{Datagram, Framing};
use crate::frame::{CUT, LINK};
use crate::ledger::{Jump, Ledger, Place};

/// Data sources of all agents together whose numbers are followed: about 100 bytes each.
const SOURCES_MAX: usize = 100_000;

/// What is remembered of agents: their numbers, so that losses show. Nothing of it is needed to decode; when there are too
/// many, all are forgotten, and losses show again from the next datagram of each on.
pub(crate) struct Decoder {
    agents: HashMap<(Ip, u32), Agent, FixedState>,
    /// Data sources of all agents, and the agents.
    held: usize,
    limit: usize,
}

struct Agent {
    name: Exporter,
    /// Where the name was among the exporters of the last batch.
    index: u32,
    /// The number of the datagram that should come next.
    next: Option<u32>,
    /// Gaps between datagrams so far.
    gaps: u32,
    /// By kind, class and index of the data source.
    sources: HashMap<(bool, u32, u32), Numbers, FixedState>,
}

/// What the last sample of a data source said.
struct Numbers {
    sequence: u32,
    drops: u32,
    /// The agent's gaps at that time.
    gaps: u32,
}

pub(super) const NOT_SFLOW: &str = "datagram is not sflow version 5";
const SHORT: &str = "datagram shorter than its header";
const TRAILING: &str = "bytes after the datagram's end";
const BAD_SAMPLE: &str = "sflow sample length does not fit";
const OTHER_SAMPLE: &str = "sflow sample of another kind";
const LEFT_OUT: &str = "sample left out by the agent";
const FORGOTTEN: &str = "limit on sflow data sources reached";

/// Whether bytes look like the start of a datagram: version 5 in a word of its own, and a known type of address. The 16-bit
/// versions of NetFlow and IPFIX never begin with two zeroes.
pub(crate) fn is_datagram(bytes: &[u8]) -> bool {
    let mut words = Words::new(bytes);
    let Some([5, kind @ (1 | 2)]) = words.words() else { return false };
    let samples = words.rest().get(if kind == 1 { 16 } else { 28 }..).and_then(|rest| rest.first_chunk());
    // A datagram of 64 KiB has room for no more.
    samples.is_none_or(|samples| u32::from_be_bytes(*samples) < 8_192)
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(SOURCES_MAX)
    }
}

impl Decoder {
    /// A decoder that knows nothing yet and follows at most so many agents and data sources.
    pub(super) fn new(limit: usize) -> Self {
        Self { agents: HashMap::default(), held: 0, limit }
    }

    /// Appends the flows of a datagram to a batch. Returns how many bytes were used: all of a packet's, those of one
    /// datagram of a file.
    pub(crate) fn datagram(
        &mut self,
        datagram: Datagram<'_>,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> usize {
        let Datagram { bytes, framing, offset, .. } = datagram;
        let rows = batch.len();
        ledger.nobody();
        let Some(mut used) = self.one(&datagram, batch, ledger) else {
            let reason = if is_datagram(bytes) { SHORT } else { NOT_SFLOW };
            let detail = format!("{reason}: {} bytes", bytes.len());
            ledger.reject(reason, bytes.len(), Place::Offset(offset), detail);
            return bytes.len();
        };
        if framing == Framing::Packet && used < bytes.len() {
            ledger.drop_bytes(TRAILING, bytes.len() - used);
            used = bytes.len();
        }
        ledger.more_bytes(used);
        ledger.summary.flows += (batch.len() - rows) as u64;
        used
    }

    fn one(&mut self, datagram: &Datagram<'_>, batch: &mut FlowBatch, ledger: &mut Ledger) -> Option<usize> {
        let Datagram { bytes, sender, received, .. } = *datagram;
        let mut words = Words::new(bytes);
        let (5, address) = (words.word()?, words.address()?) else { return None };
        let [sub_agent, sequence, _, count] = words.words()?;
        // An agent that does not know its own address is known by who sent its datagram.
        let ip = address.filter(|ip| *ip != Ip(0) && *ip != Ip::v4(0)).unwrap_or(sender.ip);
        let agent = self.agents.entry((ip, sub_agent)).or_insert_with(|| {
            self.held += 1;
            Agent::new(ip, sub_agent)
        });
        ledger.summary.datagrams += 1;
        ledger.datagram(&agent.name, received, 0);
        agent.number(sequence, ledger);
        let exporter = agent.index(batch);
        for taken in 0..count {
            let left = words.rest().len();
            let head = words.words::<2>();
            let body = head.and_then(|[_, length]| words.take(usize::try_from(length).ok()?));
            let (Some([format, _]), Some(body)) = (head, body) else {
                let detail = match head {
                    Some([_, length]) => {
                        format!("a sample says that it has {length} bytes; {} are left", left - 8)
                    }
                    None => format!("the datagram ends after {taken} of {count} samples"),
                };
                let skipped = resume(&bytes[bytes.len() - left..], datagram.framing);
                ledger.reject(BAD_SAMPLE, skipped, Place::Offset(datagram.offset), detail);
                return Some(bytes.len() - left + skipped);
            };
            let kind = match format {
                1 => Kind::Flow,
                3 => Kind::Expanded,
                5 => Kind::Discarded,
                // Counters: they speak of interfaces, not of traffic between hosts.
                2 | 4 => {
                    ledger.summary.options_records += 1;
                    continue;
                }
                _ => {
                    ledger.drop_bytes(OTHER_SAMPLE, body.len() + 8);
                    continue;
                }
            };
            if let Some(new) = agent.sample(kind, body, (exporter, datagram), batch, ledger) {
                self.held += usize::from(new);
            }
        }
        let used = bytes.len() - words.rest().len();
        self.forget(ledger);
        Some(used)
    }

    /// Keeps memory within its bound.
    fn forget(&mut self, ledger: &mut Ledger) {
        if self.held > self.limit {
            ledger.drop_many(FORGOTTEN, self.held, 0);
            *self = Self::new(self.limit);
        }
    }
}

/// How many bytes to leave after damage: of a packet all, of a file those up to what looks like the next datagram.
fn resume(rest: &[u8], framing: Framing) -> usize {
    let mut places = (0..rest.len()).step_by(4);
    let next = places.find(|at| framing == Framing::Concatenated && is_datagram(&rest[*at..]));
    next.unwrap_or(rest.len())
}

impl Agent {
    fn new(ip: Ip, sub_agent: u32) -> Self {
        let ip = if ip == Ip(0) { "unknown".to_owned() } else { ip.to_string() };
        let name = if sub_agent == 0 { ip } else { format!("{ip}/{sub_agent}") };
        Self { name: Exporter(name.into()), index: 0, next: None, gaps: 0, sources: HashMap::default() }
    }

    /// Its place among the exporters of a batch; mostly the same as the last time.
    fn index(&mut self, batch: &mut FlowBatch) -> u32 {
        let known = batch.exporters.get(self.index as usize);
        if known.is_none_or(|known| !Arc::ptr_eq(&known.0, &self.name.0)) {
            self.index = batch.intern_exporter(&self.name);
        }
        self.index
    }

    /// Compares a datagram's number with the one that should have come.
    fn number(&mut self, number: u32, ledger: &mut Ledger) {
        if let Some(jump) = self.next.and_then(|next| jump(next, number, Jump::Datagrams)) {
            self.gaps = self.gaps.wrapping_add(1);
            ledger.sequence_jump(&self.name, jump);
        }
        self.next = Some(number.wrapping_add(1));
    }

    /// One sample; whether its data source is a new one, or `None` when its header is cut off.
    fn sample(
        &mut self,
        kind: Kind,
        body: &[u8],
        (exporter, datagram): (u32, &Datagram<'_>),
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Option<bool> {
        let place = Place::Offset(datagram.offset);
        let mut words = Words::new(body);
        let Some(header) = Header::read(kind, &mut words) else {
            let detail = format!("a sample of {} bytes is shorter than its header", body.len());
            ledger.reject(BAD_SAMPLE, body.len() + 8, place, detail);
            return None;
        };
        let new = self.follow(kind, &header, ledger);
        let outcome = sample::read(&header, words);
        if let Some(detail) = outcome.damage {
            ledger.reject(BAD_RECORD, words.rest().len(), place, detail);
        } else if let Err(reason) = outcome.flow {
            match reason {
                CUT | LINK => ledger.lose(reason, 1, body.len() + 8),
                _ => ledger.drop_bytes(NO_PACKET, body.len() + 8),
            }
        }
        let Ok((mut flow, details)) = outcome.flow else { return Some(new) };
        (flow.start, flow.end, flow.exporter) = (datagram.received, datagram.received, exporter);
        ledger.summary.untimed += u64::from(datagram.received == 0);
        if let Some(details) = details {
            batch.details.insert(batch.len() as u32, details);
        }
        batch.push(flow);
        Some(new)
    }

    /// Compares a sample with the last one of its data source: what the agent left out, and what was lost on the way
    /// without a datagram being missing, which would have told of it already.
    fn follow(&mut self, kind: Kind, header: &Header, ledger: &mut Ledger) -> bool {
        let key = (kind == Kind::Discarded, header.source.0, header.source.1);
        let numbers = Numbers { sequence: header.sequence, drops: header.drops, gaps: self.gaps };
        let Some(last) = self.sources.insert(key, numbers) else { return true };
        let left_out = header.drops.wrapping_sub(last.drops);
        if left_out > 0 && left_out < 1 << 31 {
            ledger.lose(LEFT_OUT, left_out as usize, 0);
        }
        let expected = last.sequence.wrapping_add(1);
        if last.gaps == self.gaps
            && let Some(jump) = jump(expected, header.sequence, Jump::Records)
        {
            ledger.sequence_jump(&self.name, jump);
        }
        false
    }
}

/// What a number says that is not the expected one.
fn jump(expected: u32, number: u32, missing: fn(u32) -> Jump) -> Option<Jump> {
    let ahead = number.wrapping_sub(expected);
    match ahead {
        0 => None,
        _ if ahead < 1 << 31 => Some(missing(ahead)),
        _ => Some(Jump::Back),
    }
}
