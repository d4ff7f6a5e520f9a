//! Which edges may teach a rule, and why the others may not.
//!
//! Rare traffic is the hard part: a yearly job and an intruder's hop both happen once. What separates them is whether
//! anything else in the network vouches for the conversation. Three can: peers of the client that ask for the same,
//! the client's own habit of asking many servers for it, and, where nothing looks like a way in, other clients that
//! get the same service there. What looks like a way in is an admin protocol, and a service of an environment that the
//! client's own hardly deals with. A TCP connection that opened and closed with nothing said is a probe until peers of
//! the client make it a health check.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph, Noise, Side};
use model::{Protocol, Service};

use crate::cells::Cells;
use crate::names::count;
use crate::options::ProposeOptions;
use crate::proposal::QuarantineReason;
use crate::well_known::{is_admin, is_icmp_error, is_named, is_one_way, is_registered};

/// What becomes of an edge.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Fate {
    /// It teaches; with the reason why a rare one is believed.
    Teach(Option<String>),
    /// A person's rule allows it already.
    Covered,
    /// It does not teach.
    Quarantine(QuarantineReason, String),
}

/// The fate of every edge, in the graph's order.
pub(crate) fn triage(graph: &Graph, cells: &Cells, options: &ProposeOptions) -> Vec<Fate> {
    let context = Context::new(graph, cells, options);
    graph.edges.iter().map(|edge| context.fate(edge)).collect()
}

pub(crate) const fn answered(edge: &Edge) -> bool {
    edge.reverse_packets > 0 || edge.reverse_bytes > 0
}

/// Why an edge says too little of who asked, if so: its client stands for others, and nobody was seen to ask it for this.
/// What everybody uses is left alone, for a gateway asks for names and time of its own accord.
fn one_sided(edge: &Edge) -> Option<String> {
    let translated = edge.translated.as_ref().filter(|t| t.side == Side::After && t.partners.is_empty())?;
    let stands_for = translated.client_stands_for.as_ref().filter(|_| !edge.shared)?;
    Some(format!(
        "the client is {stands_for}, and none of them was seen to ask for this: a rule would let all of them in"
    ))
}

type Clients = BTreeSet<u32>;

struct Context<'a> {
    graph: &'a Graph,
    cells: &'a Cells,
    options: &'a ProposeOptions,
    /// (server's cell, service) -> clients of sound edges.
    offered: BTreeMap<(usize, Service), Clients>,
    /// (client's cell, server's cell, service) -> clients of edges that were answered, rare ones included.
    peers: BTreeMap<(usize, usize, Service), Clients>,
    /// (client, server, service) of all edges: to see whether both sides ask each other.
    pairs: BTreeSet<(u32, u32, Service)>,
    /// (environment of the server, service) -> servers, of sound edges.
    servers: BTreeMap<(&'a str, Service), BTreeSet<u32>>,
    /// (environment of the client, service) -> clients of sound edges, and those that leave their environment.
    users: BTreeMap<(&'a str, Service), (Clients, Clients)>,
    /// (client, service) -> servers, of sound edges.
    reach: BTreeMap<(u32, Service), BTreeSet<u32>>,
    /// Environment -> clients of it with sound edges to services that are not everybody's.
    active: BTreeMap<&'a str, Clients>,
    /// (environment of the client, of the server) -> such clients.
    crossing: BTreeMap<(&'a str, &'a str), Clients>,
}

/// A client that asks more servers than this for a service does so as its work: a scraper, a bastion, a backup.
const HUB_SERVERS: usize = 3;
/// An edge with no more connections than this, all within an hour, is rare.
const RARE_FLOWS: u64 = 2;

impl<'a> Context<'a> {
    fn new(graph: &'a Graph, cells: &'a Cells, options: &'a ProposeOptions) -> Self {
        let mut context = Self {
            graph,
            cells,
            options,
            offered: BTreeMap::new(),
            peers: BTreeMap::new(),
            pairs: BTreeSet::new(),
            servers: BTreeMap::new(),
            users: BTreeMap::new(),
            reach: BTreeMap::new(),
            active: BTreeMap::new(),
            crossing: BTreeMap::new(),
        };
        for edge in &graph.edges {
            context.learn(edge);
        }
        context
    }

    fn learn(&mut self, edge: &'a Edge) {
        let key = (edge.client, edge.server, edge.service);
        self.pairs.insert(key);
        let refused = matches!(edge.noise, Some(Noise::Scan | Noise::Denied | Noise::Special));
        if refused || !answered(edge) || self.scanner(edge.client).is_some() {
            return;
        }
        let (from, to) = (self.cells.of[edge.client as usize], self.cells.of[edge.server as usize]);
        self.peers.entry((from, to, edge.service)).or_default().insert(edge.client);
        if edge.noise.is_some() {
            return;
        }
        self.offered.entry((to, edge.service)).or_default().insert(edge.client);
        self.reach.entry((edge.client, edge.service)).or_default().insert(edge.server);
        if let (Some(client), Some(server)) = (self.environment(edge.client), self.environment(edge.server)) {
            self.servers.entry((server, edge.service)).or_default().insert(edge.server);
            let users = self.users.entry((client, edge.service)).or_default();
            users.0.insert(edge.client);
            if client != server {
                users.1.insert(edge.client);
            }
            if !edge.shared {
                self.active.entry(client).or_default().insert(edge.client);
                self.crossing.entry((client, server)).or_default().insert(edge.client);
            }
        }
    }

    fn scanner(&self, node: u32) -> Option<&'a str> {
        self.graph.nodes[node as usize].scanner.as_deref()
    }

    fn environment(&self, node: u32) -> Option<&'a str> {
        self.graph.nodes[node as usize].labels.get(&self.options.environment_label).map(String::as_str)
    }

    fn fate(&self, edge: &Edge) -> Fate {
        let refuse = |reason, detail: String| Fate::Quarantine(reason, detail);
        if let Some((reason, detail)) = self.hopeless(edge) {
            return refuse(reason, detail);
        }
        if let Some(detail) = one_sided(edge) {
            return refuse(QuarantineReason::Translated, detail);
        }
        if let Some(detail) = self.swapped(edge) {
            return refuse(QuarantineReason::UncertainDirection, detail);
        }
        if let Some(detail) = self.stray(edge) {
            return refuse(QuarantineReason::CrossEnvironment, detail);
        }
        if let Some(numbers) = self.scanner(edge.client)
            && !edge.shared
            && self.other_peers(edge) == 0
        {
            let detail = format!("the client scans ({numbers}) and none of its peers asks for this");
            return refuse(QuarantineReason::Scan, detail);
        }
        let rare = edge.flows <= RARE_FLOWS && edge.hours <= 1 && !edge.shared;
        let doubtful = edge.noise == Some(Noise::OneOff) || rare && self.looks_like_a_way_in(edge);
        if !doubtful {
            return Fate::Teach(None);
        }
        match self.vouched(edge) {
            Ok(reason) => Fate::Teach(Some(reason)),
            Err(detail) => refuse(QuarantineReason::OneOff, detail),
        }
    }

    /// What no context can mend.
    fn hopeless(&self, edge: &Edge) -> Option<(QuarantineReason, String)> {
        if edge.noise != Some(Noise::Special) && is_icmp_error(edge.service) {
            let detail = "an ICMP report or neighbour discovery: it passes with what it belongs to";
            return Some((QuarantineReason::Special, detail.into()));
        }
        match edge.noise {
            Some(Noise::Special) => {
                Some((QuarantineReason::Special, "broadcast, multicast or link-local".into()))
            }
            Some(Noise::Denied) => {
                Some((QuarantineReason::Denied, "an enforcement point already refuses it".into()))
            }
            Some(Noise::Scan) => {
                let numbers = self.scanner(edge.client).unwrap_or("many hosts and ports, mostly in vain");
                Some((QuarantineReason::Scan, format!("the client scans: {numbers}")))
            }
            Some(Noise::Unanswered) if !is_one_way(edge.service) => {
                let packets = count(edge.packets, "packet");
                Some((QuarantineReason::Unanswered, format!("{packets} and no answer")))
            }
            _ => None,
        }
    }

    /// Why the direction cannot be trusted, if so. Where both sides ask each other on the same service (NTP peers,
    /// cluster members) either reading is right, and where others are surely clients of this server so is this one.
    fn swapped(&self, edge: &Edge) -> Option<String> {
        let marked = edge.noise == Some(Noise::UncertainDirection);
        if !marked && edge.confidence >= self.options.min_confidence {
            return None;
        }
        let symmetrical = self.pairs.contains(&(edge.server, edge.client, edge.service));
        let proven = self.other_clients(edge) >= 2;
        if answered(edge) && (symmetrical || proven) {
            return None;
        }
        Some(format!("confidence in who asked whom is {:.2}, and nothing else decides it", edge.confidence))
    }

    /// Why the edge looks like a client that took the wrong environment's server, if so.
    fn stray(&self, edge: &Edge) -> Option<String> {
        if edge.shared || self.is_hub(edge) {
            return None;
        }
        let (client, server) = (self.environment(edge.client)?, self.environment(edge.server)?);
        if client == server {
            return None;
        }
        let own = self.servers.get(&(client, edge.service))?.iter().find(|own| **own != edge.client)?;
        let (users, leaving) = self.users.get(&(client, edge.service))?;
        // A habit of the whole environment is a dependency, not a mistake.
        if leaving.len() * 2 > users.len() && leaving.len() > 1 {
            return None;
        }
        let own = &self.graph.nodes[*own as usize].id.0;
        Some(format!(
            "`{client}` has its own server for {} (`{own}`), and {} of {} asks `{server}` instead",
            edge.service,
            leaving.len().max(1),
            count(users.len() as u64, "client")
        ))
    }

    /// Whether asking many for this is the client's work.
    fn is_hub(&self, edge: &Edge) -> bool {
        let asked = self.reach.get(&(edge.client, edge.service));
        self.scanner(edge.client).is_none() && asked.is_some_and(|servers| servers.len() > HUB_SERVERS)
    }

    fn looks_like_a_way_in(&self, edge: &Edge) -> bool {
        is_admin(edge.service) || self.is_foreign(edge)
    }

    /// Whether the server stands in an environment that less than half of the client's own deals with.
    fn is_foreign(&self, edge: &Edge) -> bool {
        let (Some(client), Some(server)) = (self.environment(edge.client), self.environment(edge.server))
        else {
            return false;
        };
        let size = |clients: Option<&Clients>| clients.map_or(0, BTreeSet::len);
        client != server && 2 * size(self.crossing.get(&(client, server))) < size(self.active.get(client))
    }

    fn other_clients(&self, edge: &Edge) -> usize {
        let cell = self.cells.of[edge.server as usize];
        let clients = self.offered.get(&(cell, edge.service));
        clients.map_or(0, |set| set.len() - usize::from(set.contains(&edge.client)))
    }

    fn other_peers(&self, edge: &Edge) -> usize {
        let (from, to) = (self.cells.of[edge.client as usize], self.cells.of[edge.server as usize]);
        let clients = self.peers.get(&(from, to, edge.service));
        clients.map_or(0, |set| set.len() - usize::from(set.contains(&edge.client)))
    }

    /// What speaks for a rare edge, or why too little does.
    fn vouched(&self, edge: &Edge) -> Result<String, String> {
        let seen =
            format!("seen {}", if edge.flows == 1 { "once".into() } else { format!("{} times", edge.flows) });
        if !answered(edge) {
            return Err(format!("{seen}, never answered"));
        }
        let (others, peers) = (self.other_clients(edge), self.other_peers(edge));
        if peers > 0 {
            return Ok(format!("{seen}; {} of its segment ask for it too", count(peers as u64, "peer")));
        }
        let silent = edge.service.protocol == Protocol::TCP && edge.packets <= 4 * edge.flows;
        if edge.noise == Some(Noise::OneOff) && silent {
            return Err(format!("{seen}, opened and closed with nothing said"));
        }
        if self.is_hub(edge) {
            return Ok(format!("{seen}; the client asks many servers for this"));
        }
        if is_admin(edge.service) {
            return Err(format!("{seen}, an admin protocol, and no peer of the client does it"));
        }
        if self.is_foreign(edge) {
            return Err(format!("{seen}, into another environment, and no peer of the client does it"));
        }
        if others > 0 {
            let clients = count(others as u64, "other client");
            return Ok(format!("{seen}, answered; the server gives it to {clients}"));
        }
        let returned = edge.flows > 1 || edge.hours > 1;
        if returned && is_registered(edge.service) {
            return Ok(format!("{seen}, answered each time on a registered port"));
        }
        if is_named(edge.service) {
            return Ok(format!("{seen}, answered, a service that is known by name"));
        }
        Err(format!("{seen}, and neither another client nor a peer vouches for it"))
    }
}
