//! The two halves of a conversation, and its slices over time, joined into one flow.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Client, Direction, Exporter, Flow, FlowBatch, FlowDetails, Ip, Micros, Protocol, Verdict};

use crate::rollup::request_selector;

/// An earlier start tells the client only beyond what networks and exporters blur.
const START_GRANULARITY_US: Micros = 10_000;
/// Steps that exporters' clocks go in, coarsest first.
const TICKS_US: [Micros; 5] = [1_000_000, 100_000, 10_000, 1_000, 1];
/// One start for both halves in more than one of so many pairs: the exporter gives the conversation's start to both.
const TIES_ONE_IN: u32 = 5;
/// How often an earlier start is right where nothing else is known.
const EARLIER_STARTS: f32 = 0.75;
/// Exporters tell of long flows this late.
const LATE_US: Micros = 1_800_000_000;
/// Conversations that wait for more at most: about 300 bytes each, 150 MB.
const OPEN_MAX: usize = 500_000;

/// One flow for each connection of one batch: see [`Stitcher`]. Rows come out sorted by start.
pub fn stitch(batch: &FlowBatch, gap_us: Micros) -> FlowBatch {
    let mut stitcher = Stitcher::new(batch.source, gap_us);
    let mut closed = stitcher.take(batch);
    closed.extend(stitcher.open.drain().map(|(_, joined)| joined));
    stitcher.told(closed)
}

/// Joins flows to connections, across batches: rows of one exporter, verdict and 5-tuple (either way round) that lie
/// within the gap of what is already joined become one, the client first where it is known, with the other half's counts
/// as reverse counts. So slices that an exporter's active timeout made are added up again. Where only the answer was
/// seen, its flow comes out with no packets of the client's. Details are kept of the first row.
///
/// Where neither half knows its client and the halves start at clearly different times, the earlier asks. What is clear
/// is measured for each exporter: many give both halves one start, and some tell seconds only; then it stays unknown.
///
/// Memory is bounded: beyond 500,000 open connections those that were silent longest are told as they are.
#[derive(Debug)]
pub struct Stitcher {
    source: &'static str,
    gap_us: Micros,
    open_max: usize,
    open: HashMap<Key, Joined, FixedState>,
    exporters: Vec<Exporter>,
    clocks: Vec<Clock>,
    latest: Micros,
}

impl Stitcher {
    /// A stitcher of one source's batches that joins what lies within so many microseconds.
    pub fn new(source: &'static str, gap_us: Micros) -> Self {
        Self {
            source,
            gap_us,
            open_max: OPEN_MAX,
            open: HashMap::with_hasher(FixedState::with_seed(0x5374_6974)),
            exporters: Vec::new(),
            clocks: Vec::new(),
            latest: Micros::MIN,
        }
    }

    /// Takes a batch; gives back what is over, sorted by start: what nothing within the gap was heard of for half an
    /// hour of the flows' own time.
    pub fn add(&mut self, batch: &FlowBatch) -> FlowBatch {
        let mut closed = self.take(batch);
        let over = self.latest.saturating_sub(self.gap_us).saturating_sub(LATE_US);
        closed.extend(self.open.extract_if(|_, joined| joined.flow.end < over).map(|(_, joined)| joined));
        if self.open.len() > self.open_max {
            let mut ends: Vec<Micros> = self.open.values().map(|joined| joined.flow.end).collect();
            let at = ends.len() - self.open_max / 4 * 3;
            let (_, bar, _) = ends.select_nth_unstable(at);
            let bar = *bar;
            closed.extend(self.open.extract_if(|_, joined| joined.flow.end <= bar).map(|(_, joined)| joined));
        }
        self.told(closed)
    }

    /// All that is still open, sorted by start.
    pub fn finish(&mut self) -> FlowBatch {
        let rest = self.open.drain().map(|(_, joined)| joined).collect();
        self.told(rest)
    }

    /// Joins a batch's rows; gives back what they came too late for.
    fn take(&mut self, batch: &FlowBatch) -> Vec<Joined> {
        let exporters: Vec<u32> = batch.exporters.iter().map(|exporter| self.exporter(exporter)).collect();
        let mut order: Vec<u32> = (0..batch.len() as u32).collect();
        order.sort_by_key(|row| batch.start[*row as usize]);
        let mut closed = Vec::new();
        for row in order {
            let mut flow = batch.get(row as usize);
            flow.exporter = match exporters.get(flow.exporter as usize) {
                Some(index) => *index,
                None => self.exporter(&Exporter("unknown".into())),
            };
            self.latest = self.latest.max(flow.start);
            self.clocks[flow.exporter as usize].see(flow.start);
            let details = || batch.details.get(&row).cloned();
            match self.open.entry(Key::of(&flow)) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(Joined::new(flow, details()));
                }
                std::collections::hash_map::Entry::Occupied(mut known) => {
                    let joined = known.get_mut();
                    if joined.reaches(&flow, self.gap_us) {
                        let clock = &mut self.clocks[flow.exporter as usize];
                        joined.join(&flow, clock);
                    } else {
                        // The later one may go on.
                        let mut over = Joined::new(flow, details());
                        if joined.flow.start <= over.flow.start {
                            std::mem::swap(joined, &mut over);
                        }
                        closed.push(over);
                    }
                }
            }
        }
        closed
    }

    fn exporter(&mut self, exporter: &Exporter) -> u32 {
        match self.exporters.iter().rposition(|known| known == exporter) {
            Some(index) => index as u32,
            None => {
                self.exporters.push(exporter.clone());
                self.clocks.push(Clock::default());
                (self.exporters.len() - 1) as u32
            }
        }
    }

    fn told(&self, closed: Vec<Joined>) -> FlowBatch {
        let mut flows: Vec<(Flow, Option<Box<FlowDetails>>)> = closed
            .into_iter()
            .map(|joined| {
                let clock = &self.clocks[joined.flow.exporter as usize];
                joined.finish(clock)
            })
            .collect();
        let key =
            |f: &Flow| (f.start, f.src, f.dst, f.protocol, f.src_port, f.dst_port, f.exporter, f.verdict);
        flows.sort_by_key(|(flow, _)| key(flow));
        let mut result = FlowBatch::new(self.source);
        result.exporters.clone_from(&self.exporters);
        for (flow, details) in flows {
            if let Some(details) = details {
                result.details.insert(result.len() as u32, details);
            }
            result.push(flow);
        }
        result
    }
}

/// How finely an exporter tells starts.
#[derive(Default, Debug)]
struct Clock {
    /// Index into [`TICKS_US`]: all starts are multiples of it.
    tick: usize,
    /// Connections of which both halves came.
    pairs: u32,
    /// Those that started at one time.
    ties: u32,
}

impl Clock {
    fn see(&mut self, start: Micros) {
        while start % TICKS_US[self.tick] != 0 {
            self.tick += 1;
        }
    }

    fn pair(&mut self, tie: bool) {
        self.pairs = self.pairs.saturating_add(1);
        self.ties = self.ties.saturating_add(u32::from(tie));
    }

    /// From what distance of starts on the earlier half is the client's; none where starts tell nothing.
    fn clear_us(&self) -> Option<Micros> {
        let same_for_both = self.ties.saturating_mul(TIES_ONE_IN) > self.pairs;
        (!same_for_both).then(|| START_GRANULARITY_US.max(2 * TICKS_US[self.tick]))
    }
}

#[derive(PartialEq, Eq, Hash, Debug)]
struct Key {
    low: (Ip, u16),
    high: (Ip, u16),
    protocol: u8,
    verdict: Verdict,
    exporter: u32,
}

impl Key {
    fn of(flow: &Flow) -> Self {
        let icmp = Protocol(flow.protocol).is_icmp();
        let selector = request_selector(flow.protocol, flow.dst_port);
        let ports = if icmp { (selector, selector) } else { (flow.src_port, flow.dst_port) };
        let (a, b) = ((flow.src, ports.0), (flow.dst, ports.1));
        let (protocol, verdict, exporter) = (flow.protocol, flow.verdict, flow.exporter);
        Self { low: a.min(b), high: a.max(b), protocol, verdict, exporter }
    }
}

/// A flow under way, in the direction of its first row.
#[derive(Debug)]
struct Joined {
    flow: Flow,
    details: Option<Box<FlowDetails>>,
    /// Start of what goes in the direction of `flow`.
    there: Micros,
    /// Start of what comes back.
    back: Option<Micros>,
}

impl Joined {
    fn new(mut flow: Flow, details: Option<Box<FlowDetails>>) -> Self {
        if flow.present & FlowBatch::HAS_REVERSE == 0 {
            (flow.reverse_packets, flow.reverse_bytes) = (0, 0);
        }
        Self { there: flow.start, back: None, flow, details }
    }

    /// Whether no more than the gap lies between them.
    fn reaches(&self, other: &Flow, gap_us: Micros) -> bool {
        other.start <= self.flow.end.saturating_add(gap_us)
            && other.end.max(other.start).saturating_add(gap_us) >= self.flow.start
    }

    fn join(&mut self, other: &Flow, clock: &mut Clock) {
        let flow = &mut self.flow;
        let turned = (other.src, other.src_port) != (flow.src, flow.src_port)
            || (Protocol(flow.protocol).is_icmp() && other.dst_port != flow.dst_port);
        let (mut there, mut back) = ((other.packets, other.bytes), (0, 0));
        if other.present & FlowBatch::HAS_REVERSE != 0 {
            back = (other.reverse_packets, other.reverse_bytes);
        }
        if turned {
            std::mem::swap(&mut there, &mut back);
            if self.back.is_none() {
                clock.pair(other.start == self.there);
            }
            self.back = Some(self.back.map_or(other.start, |back| back.min(other.start)));
            flow.present |= FlowBatch::HAS_REVERSE;
            flow.direction = Direction::Unknown;
        } else {
            self.there = self.there.min(other.start);
        }
        flow.packets = flow.packets.saturating_add(there.0);
        flow.bytes = flow.bytes.saturating_add(there.1);
        flow.reverse_packets = flow.reverse_packets.saturating_add(back.0);
        flow.reverse_bytes = flow.reverse_bytes.saturating_add(back.1);
        flow.start = flow.start.min(other.start);
        flow.end = flow.end.max(other.end);
        flow.tcp_flags |= other.tcp_flags;
        flow.present |= other.present;
        flow.sampling = flow.sampling.max(other.sampling);
        let client = if turned { swapped(other.client) } else { other.client };
        if other.client_confidence > flow.client_confidence || flow.client == Client::Unknown {
            flow.client = client;
            flow.client_confidence = other.client_confidence;
        }
    }

    fn finish(self, clock: &Clock) -> (Flow, Option<Box<FlowDetails>>) {
        let (mut flow, mut details) = (self.flow, self.details);
        if flow.client == Client::Unknown
            && let (Some(back), Some(clear)) = (self.back, clock.clear_us())
            && (back - self.there).abs() >= clear
        {
            flow.client = if self.there < back { Client::Src } else { Client::Dst };
            flow.client_confidence = EARLIER_STARTS;
        }
        if flow.client == Client::Dst {
            turn(&mut flow);
            if let Some(details) = &mut details {
                std::mem::swap(&mut details.src_workload, &mut details.dst_workload);
                std::mem::swap(&mut details.nat_src_ip, &mut details.nat_dst_ip);
                std::mem::swap(&mut details.nat_src_port, &mut details.nat_dst_port);
            }
        }
        (flow, details)
    }
}

fn turn(flow: &mut Flow) {
    std::mem::swap(&mut flow.src, &mut flow.dst);
    if Protocol(flow.protocol).is_icmp() {
        flow.dst_port = request_selector(flow.protocol, flow.dst_port);
    } else {
        std::mem::swap(&mut flow.src_port, &mut flow.dst_port);
    }
    std::mem::swap(&mut flow.packets, &mut flow.reverse_packets);
    std::mem::swap(&mut flow.bytes, &mut flow.reverse_bytes);
    flow.present |= FlowBatch::HAS_REVERSE;
    flow.client = Client::Src;
    flow.direction = match flow.direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
        Direction::Unknown => Direction::Unknown,
    };
}

const fn swapped(client: Client) -> Client {
    match client {
        Client::Src => Client::Dst,
        Client::Dst => Client::Src,
        Client::Unknown => Client::Unknown,
    }
}

#[cfg(test)]
mod tests;
