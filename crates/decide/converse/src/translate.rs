//! Address translation: which addresses stand for which, learnt from sources that say both sides of a flow.
//!
//! A connection through a load balancer or a NAT gateway is seen twice under different names: from the client to the
//! address that it asked, and from the address that is shown to the one who answers. Sources that translate (conntrack,
//! NSEL, firewalls, IPFIX elements 225-228, sFlow's extended NAT) tell both. What they tell is kept as a table, which
//! rollups cannot carry: (address asked, service) to backends, and address shown to the insiders that hide behind it.
//! With it, conversations that other exporters saw on either side are known to be the same traffic.

use std::collections::BTreeMap;

use model::{Client, FlowBatch, FlowDetails, Ip, Micros, Protocol, Service};
use serde::{Deserialize, Serialize};

use crate::rollup::request_selector;

mod document;
mod pairs;

pub use pairs::TranslatedPair;

/// Backends and insiders held in all: some 40 MB.
const ENTRIES_MAX: usize = 1 << 17;
/// Backends of one service, and insiders of one address. What comes beyond is counted.
const MEMBERS_MAX: usize = 4_096;
/// Below this confidence it is not known which side of a flow was asked.
const CONFIDENCE_MIN: f32 = 0.6;

/// How often something was seen, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Flow records. A source that tells a connection twice counts twice.
    pub records: u64,
    /// First packet.
    pub first: Micros,
    /// Last packet.
    pub last: Micros,
}

/// What answers where another address was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Backend {
    /// Its address.
    pub ip: Ip,
    /// The service there, whose port may differ from the one asked.
    pub service: Service,
    /// How often.
    #[serde(flatten)]
    pub seen: Tally,
}

/// Who asks under another address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Insider {
    /// Its own address.
    pub ip: Ip,
    /// How often.
    #[serde(flatten)]
    pub seen: Tally,
}

/// What an address does that stands for others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Several insiders ask under it.
    NatGateway,
    /// It is asked and several others answer, or several ask under it what a balanced service is asked.
    LoadBalancer,
}

/// An address that stands for several others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translator {
    /// See [`Role`].
    pub role: Role,
    /// Addresses that ask under it.
    pub insiders: usize,
    /// Addresses that answer for it.
    pub backends: usize,
}

/// Who stands for whom. Bounded: at most 131,072 backends and insiders, of one address at most 4,096; when full, the
/// addresses that were silent longest go first. The same batches in the same order give the same table.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "document::Document", into = "document::Document")]
pub struct Translations {
    services: BTreeMap<(Ip, Service), Frontend>,
    sources: BTreeMap<Ip, Source>,
    entries: usize,
    /// Records that were translated, of a direction that is not known.
    undecided: u64,
    /// Records that found no room, and records forgotten for others.
    left_out: u64,
}

/// A service that others answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Frontend {
    /// Sorted by address and service.
    backends: Vec<Backend>,
    last: Micros,
}

/// An address that others ask under.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Source {
    /// Sorted by address.
    insiders: Vec<Insider>,
    /// Records, and those of them whose destination was translated too.
    records: u64,
    balanced: u64,
    last: Micros,
}

/// One side of a translation: who asks whom for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Leg {
    client: Ip,
    server: Ip,
    service: Service,
}

impl Translations {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.sources.is_empty()
    }

    /// Learns from the details of an oriented batch. Call it after [`crate::orient`]: which address was asked depends on
    /// who asked, and flows of which that is not known are only counted.
    pub fn learn(&mut self, batch: &FlowBatch) {
        for (row, details) in &batch.details {
            let row = *row as usize;
            if row >= batch.len() || !is_translated(details) {
                continue;
            }
            if batch.client[row] == Client::Unknown || batch.client_confidence[row] < CONFIDENCE_MIN {
                self.undecided = self.undecided.saturating_add(1);
                continue;
            }
            let (before, after) = legs(batch, row, details);
            self.add(before, after, Tally { records: 1, first: batch.start[row], last: batch.end[row] });
        }
    }

    /// Adds what another table learnt.
    pub fn merge(&mut self, other: &Self) {
        for ((ip, service), frontend) in &other.services {
            frontend.backends.iter().for_each(|backend| self.add_backend(*ip, *service, backend));
        }
        for (ip, source) in &other.sources {
            self.add_source(*ip, source);
        }
        self.undecided = self.undecided.saturating_add(other.undecided);
        self.left_out = self.left_out.saturating_add(other.left_out);
    }

    /// Translated records whose direction was not known, so that nothing could be learnt from them.
    pub const fn undecided(&self) -> u64 {
        self.undecided
    }

    /// Records that found no room.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Who answers where this address is asked for a service, sorted; empty where nobody is known to stand behind it.
    pub fn backends(&self, ip: Ip, service: Service) -> &[Backend] {
        self.services.get(&(ip, service)).map_or(&[], |frontend| &frontend.backends)
    }

    /// Who asks under this address, sorted.
    pub fn insiders(&self, ip: Ip) -> &[Insider] {
        self.sources.get(&ip).map_or(&[], |source| &source.insiders)
    }

    /// The addresses that stand for several others. An address that stands for one other only (a static translation, a
    /// forwarded port) is as good as that one, and is not among them.
    pub fn translators(&self) -> BTreeMap<Ip, Translator> {
        let mut behind: BTreeMap<Ip, Vec<Ip>> = BTreeMap::new();
        for ((ip, _), frontend) in &self.services {
            behind.entry(*ip).or_default().extend(frontend.backends.iter().map(|backend| backend.ip));
        }
        let mut found = BTreeMap::new();
        for (ip, mut backends) in behind {
            backends.sort_unstable();
            backends.dedup();
            if backends.len() > 1 {
                let translator =
                    Translator { role: Role::LoadBalancer, insiders: 0, backends: backends.len() };
                found.insert(ip, translator);
            }
        }
        for (ip, source) in self.sources.iter().filter(|(_, source)| source.insiders.len() > 1) {
            let role =
                if 2 * source.balanced > source.records { Role::LoadBalancer } else { Role::NatGateway };
            let backends = found.get(ip).map_or(0, |translator: &Translator| translator.backends);
            found.insert(*ip, Translator { role, insiders: source.insiders.len(), backends });
        }
        found
    }

    fn add(&mut self, before: Leg, after: Leg, seen: Tally) {
        let balanced = (before.server, before.service) != (after.server, after.service);
        if balanced {
            let backend = Backend { ip: after.server, service: after.service, seen };
            self.add_backend(before.server, before.service, &backend);
        }
        if before.client != after.client {
            let source = Source {
                insiders: vec![Insider { ip: before.client, seen }],
                records: seen.records,
                balanced: if balanced { seen.records } else { 0 },
                last: seen.last,
            };
            self.add_source(after.client, &source);
        }
    }

    fn add_backend(&mut self, ip: Ip, service: Service, backend: &Backend) {
        self.make_room();
        let frontend = self.services.entry((ip, service)).or_default();
        frontend.last = frontend.last.max(backend.seen.last);
        let key = (backend.ip, backend.service);
        match frontend.backends.binary_search_by_key(&key, |known| (known.ip, known.service)) {
            Ok(at) => frontend.backends[at].seen.add(backend.seen),
            Err(_) if frontend.backends.len() >= MEMBERS_MAX => {
                self.left_out = self.left_out.saturating_add(backend.seen.records);
            }
            Err(at) => {
                frontend.backends.insert(at, backend.clone());
                self.entries += 1;
            }
        }
    }

    fn add_source(&mut self, ip: Ip, more: &Source) {
        for insider in &more.insiders {
            self.make_room();
            let source = self.sources.entry(ip).or_default();
            source.last = source.last.max(insider.seen.last);
            match source.insiders.binary_search_by_key(&insider.ip, |known| known.ip) {
                Ok(at) => source.insiders[at].seen.add(insider.seen),
                Err(_) if source.insiders.len() >= MEMBERS_MAX => {
                    self.left_out = self.left_out.saturating_add(insider.seen.records);
                }
                Err(at) => {
                    source.insiders.insert(at, insider.clone());
                    self.entries += 1;
                }
            }
        }
        if let Some(source) = self.sources.get_mut(&ip) {
            source.records = source.records.saturating_add(more.records);
            source.balanced = source.balanced.saturating_add(more.balanced);
        }
    }

    /// Forgets a quarter when full: whole addresses, those silent longest first, so that none seems to stand for fewer
    /// than it does.
    fn make_room(&mut self) {
        if self.entries < ENTRIES_MAX {
            return;
        }
        let services = self.services.iter().map(|((ip, service), f)| (f.last, *ip, Some(*service)));
        let sources = self.sources.iter().map(|(ip, source)| (source.last, *ip, None));
        let mut order: Vec<(Micros, Ip, Option<Service>)> = services.chain(sources).collect();
        order.sort_unstable();
        for (_, ip, service) in order {
            if self.entries <= ENTRIES_MAX / 4 * 3 {
                break;
            }
            let gone: Vec<Tally> = match service {
                Some(service) => self.services.remove(&(ip, service)).map_or_else(Vec::new, |frontend| {
                    frontend.backends.iter().map(|backend| backend.seen).collect()
                }),
                None => self.sources.remove(&ip).map_or_else(Vec::new, |source| {
                    source.insiders.iter().map(|insider| insider.seen).collect()
                }),
            };
            self.entries -= gone.len();
            let records = gone.iter().fold(0_u64, |sum, seen| sum.saturating_add(seen.records));
            self.left_out = self.left_out.saturating_add(records);
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

const fn is_translated(details: &FlowDetails) -> bool {
    details.nat_src_ip.is_some()
        || details.nat_dst_ip.is_some()
        || details.nat_src_port.is_some()
        || details.nat_dst_port.is_some()
}

/// The sides before and after, as the client's packets pass them. What a source calls translated is the far side of the
/// packets of its flow; in an answer that is the client's side.
fn legs(batch: &FlowBatch, row: usize, details: &FlowDetails) -> (Leg, Leg) {
    let protocol = batch.protocol[row];
    let near = [(batch.src[row], batch.src_port[row]), (batch.dst[row], batch.dst_port[row])];
    let far = [
        (details.nat_src_ip.unwrap_or(near[0].0), details.nat_src_port.unwrap_or(near[0].1)),
        (details.nat_dst_ip.unwrap_or(near[1].0), details.nat_dst_port.unwrap_or(near[1].1)),
    ];
    let icmp = batch.dst_port[row];
    if batch.client[row] == Client::Dst {
        (leg(protocol, far[1], far[0], icmp), leg(protocol, near[1], near[0], icmp))
    } else {
        (leg(protocol, near[0], near[1], icmp), leg(protocol, far[0], far[1], icmp))
    }
}

fn leg(protocol: u8, client: (Ip, u16), server: (Ip, u16), icmp: u16) -> Leg {
    let number = Protocol(protocol);
    let service = if number.has_ports() {
        Service::new(number, server.1)
    } else if number.is_icmp() {
        Service::new(number, request_selector(protocol, icmp))
    } else {
        Service::all(number)
    };
    Leg { client: client.0, server: server.0, service }
}

#[cfg(test)]
mod tests;
