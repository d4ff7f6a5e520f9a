//! Which edges may teach a rule, and why the others may not.
//!
//! Rare traffic is the hard part: a yearly job and an intruder's hop both happen once. What separates them is whether
//! anything else in the network vouches for the conversation, so a rare edge is believed when it was answered and
//! the server gives the same service to others, or the client's segment peers ask for it too, or (weaker) it came
//! back on a registered port or is a service known by name; and it is not believed where it looks like a way in: an admin protocol, or a
//! service of another environment.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph, Noise};
use model::Service;

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
    /// (client, environment of the server, service) -> servers.
    reach: BTreeMap<(u32, &'a str, Service), BTreeSet<u32>>,
}

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
        if let (Some(client), Some(server)) = (self.environment(edge.client), self.environment(edge.server)) {
            self.servers.entry((server, edge.service)).or_default().insert(edge.server);
            let users = self.users.entry((client, edge.service)).or_default();
            users.0.insert(edge.client);
            if client != server {
                users.1.insert(edge.client);
            }
            self.reach.entry((edge.client, server, edge.service)).or_default().insert(edge.server);
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
        if let Some(detail) = self.swapped(edge) {
            return refuse(QuarantineReason::UncertainDirection, detail);
        }
        if let Some(detail) = self.stray(edge) {
            return refuse(QuarantineReason::CrossEnvironment, detail);
        }
        let rare = edge.noise == Some(Noise::OneOff);
        if let Some(numbers) = self.scanner(edge.client)
            && !edge.shared
            && self.other_peers(edge) == 0
        {
            let detail = format!("the client scans ({numbers}) and none of its peers asks for this");
            return refuse(QuarantineReason::Scan, detail);
        }
        if !rare {
            return Fate::Teach(None);
        }
        match self.vouched(edge) {
            Ok(reason) => Fate::Teach(Some(reason)),
            Err(detail) => refuse(QuarantineReason::OneOff, detail),
        }
    }

    /// What no context can mend.
    fn hopeless(&self, edge: &Edge) -> Option<(QuarantineReason, String)> {
        if is_icmp_error(edge.service) {
            let detail = "reports on another conversation, with which it passes";
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
        if edge.shared || is_admin(edge.service) && self.breadth(edge) > 2 {
            return None;
        }
        let (client, server) = (self.environment(edge.client)?, self.environment(edge.server)?);
        if client == server || self.breadth(edge) > 2 {
            return None;
        }
        let own = self.servers.get(&(client, edge.service))?.iter().find(|own| **own != edge.client)?;
        let (users, leaving) = self.users.get(&(client, edge.service))?;
        // A habit of the whole environment is a dependency, not a mistake.
        if leaving.len() * 2 > users.len() && leaving.len() > 1 {
            return None;
        }
        let own = &self.graph.nodes[*own as usize].name;
        Some(format!(
            "`{client}` has its own server for {} (`{own}`), and {} of {} asks `{server}` instead",
            edge.service,
            leaving.len().max(1),
            count(users.len() as u64, "client")
        ))
    }

    /// How many servers of that environment the client asks for this.
    fn breadth(&self, edge: &Edge) -> usize {
        let environment = self.environment(edge.server);
        let key = environment.map(|name| (edge.client, name, edge.service));
        key.and_then(|key| self.reach.get(&key)).map_or(0, BTreeSet::len)
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
        let admin = is_admin(edge.service);
        if peers > 0 {
            return Ok(format!("{seen}; {} of its segment ask for it too", count(peers as u64, "peer")));
        }
        let foreign = match (self.environment(edge.client), self.environment(edge.server)) {
            (Some(client), Some(server)) => client != server,
            _ => false,
        };
        if admin || foreign {
            let why = if admin { "an admin protocol" } else { "into another environment" };
            return Err(format!("{seen}, {why}, and no peer of the client does it"));
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
