//! The conversations in numbers: every host and service once, with its class.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Conversation, Endpoint, Ip, Service, WorkloadId};

use crate::evaluator::{Evaluator, HostClass};
use crate::options::SimulateOptions;

/// A client with at least this many unanswered conversations, being at least half of all its own, scans.
const SCAN_CONVERSATIONS: u32 = 20;

/// A conversation by the numbers of its parts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Row {
    pub(crate) client: u32,
    pub(crate) server: u32,
    pub(crate) service: u32,
}

/// The conversations' parts; `rows` is in the conversations' order.
pub(crate) struct History {
    pub(crate) hosts: Vec<Ip>,
    pub(crate) host_classes: Vec<HostClass>,
    pub(crate) services: Vec<Service>,
    /// None where a service is a range: it may have several classes.
    pub(crate) service_classes: Vec<Option<u32>>,
    /// None where an endpoint's workload has no address any more.
    pub(crate) rows: Vec<Option<Row>>,
    /// By host: whether it scans.
    pub(crate) scanners: Vec<bool>,
    /// Distinct rows.
    pub(crate) triples: u64,
}

impl History {
    pub(crate) fn new<'c>(
        conversations: &'c [Conversation],
        evaluator: &Evaluator<'_>,
        options: &SimulateOptions,
    ) -> Self {
        let mut hosts = Hosts { options, known: HashMap::default(), numbered: Numbered::default() };
        let mut services: Numbered<Service> = Numbered::default();
        let row = |conversation: &'c Conversation| {
            let client = hosts.number(&conversation.client)?;
            let server = hosts.number(&conversation.server)?;
            Some(Row { client, server, service: services.number(conversation.service) })
        };
        let rows: Vec<Option<Row>> = conversations.iter().map(row).collect();
        let hosts = hosts.numbered;
        let scanners = scanners(conversations, &rows, hosts.list.len());
        let mut distinct: Vec<Row> = rows.iter().flatten().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let triples = distinct.len() as u64;
        let single = |service: &Service| {
            (service.low == service.high).then(|| evaluator.service(service.protocol.0, service.low))
        };
        Self {
            host_classes: hosts.list.iter().map(|ip| evaluator.host(*ip)).collect(),
            hosts: hosts.list,
            service_classes: services.list.iter().map(single).collect(),
            services: services.list,
            rows,
            scanners,
            triples,
        }
    }
}

/// Hosts by the address to replay with.
struct Hosts<'c, 'o> {
    options: &'o SimulateOptions,
    /// By recorded address: whose it was the last time, and the host's number. An address hardly ever changes hands,
    /// so a workload is looked up once.
    known: HashMap<Ip, (Option<&'c WorkloadId>, Option<u32>), FixedState>,
    numbered: Numbered<Ip>,
}

impl<'c> Hosts<'c, '_> {
    fn number(&mut self, endpoint: &'c Endpoint) -> Option<u32> {
        let follows = !self.options.addresses.is_empty();
        let workload = endpoint.workload.as_ref().filter(|_| follows);
        if let Some((before, number)) = self.known.get(&endpoint.ip)
            && *before == workload
        {
            return *number;
        }
        let number = self.address(endpoint.ip, workload).map(|ip| self.numbered.number(ip));
        self.known.insert(endpoint.ip, (workload, number));
        number
    }

    /// That of the workload now, where it is known who it was; none when it has no address any more.
    fn address(&self, recorded: Ip, workload: Option<&WorkloadId>) -> Option<Ip> {
        let Some(workload) = workload else { return Some(recorded) };
        let now = self.options.addresses.get(workload)?;
        if now.contains(recorded) { Some(recorded) } else { now.first() }
    }
}

fn scanners(conversations: &[Conversation], rows: &[Option<Row>], hosts: usize) -> Vec<bool> {
    let mut counts = vec![(0_u32, 0_u32); hosts];
    for (conversation, row) in conversations.iter().zip(rows) {
        if let Some(row) = row {
            let (vain, all) = &mut counts[row.client as usize];
            *vain += u32::from(!conversation.answered());
            *all += 1;
        }
    }
    counts.into_iter().map(|(vain, all)| vain >= SCAN_CONVERSATIONS && vain * 2 >= all).collect()
}

/// Gives each value a number, in the order in which they come.
struct Numbered<T> {
    numbers: HashMap<T, u32, FixedState>,
    list: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), list: Vec::new() }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Numbered<T> {
    fn number(&mut self, value: T) -> u32 {
        *self.numbers.entry(value).or_insert_with(|| {
            self.list.push(value);
            self.list.len() as u32 - 1
        })
    }
}
