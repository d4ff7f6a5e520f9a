//! Taught edges sorted into groups: what one rule could be about.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph, NodeKind};
use model::Service;

use crate::cells::{CellKind, Cells};
use crate::proposal::QuarantineReason;
use crate::ranges;
use crate::triage::Fate;
use crate::well_known::is_admin;

/// What a group's edges have in common beside the service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// A server that everybody asks: (server's cell).
    SharedServer(usize),
    /// A client that asks everybody: (client's cell).
    SharedClient(usize),
    /// (client's cell, server's cell).
    Pair(usize, usize),
}

/// Edges that one rule could be about.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// See [`Kind`].
    pub(crate) kind: Kind,
    /// Dynamic ports that overlap are one range here.
    pub(crate) service: Service,
    /// Whether the other side of a shared service is everybody known, by the statistic of [`BREADTH`].
    pub(crate) everybody: bool,
    /// Whether the clients' and the servers' side may be a whole cell. Not where something like it was refused (denied,
    /// a stray, against a guardrail), for that would slip in; nor over members of an environment that was not seen on
    /// the side.
    pub(crate) may_widen: [bool; 2],
    /// Edges of the graph, in order.
    pub(crate) edges: Vec<usize>,
    /// How often each client occurs.
    pub(crate) clients: BTreeMap<u32, u32>,
    /// How often each server occurs.
    pub(crate) servers: BTreeMap<u32, u32>,
}

/// A service is everybody's when at least this share of the governed workloads, spread over at least this share of
/// their cells and over [`LEAST_CELLS`], is seen on its other side.
pub(crate) const BREADTH: f64 = 0.5;
/// See [`BREADTH`].
pub(crate) const LEAST_CELLS: usize = 3;

/// See [`Group::may_widen`].
const REFUSED: [QuarantineReason; 3] =
    [QuarantineReason::Denied, QuarantineReason::CrossEnvironment, QuarantineReason::Conflict];

/// Who is governed: workloads of cells that have at least one taught edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Governed {
    /// Cells, sorted.
    pub(crate) cells: BTreeSet<usize>,
    /// How many workloads they have, seen or not.
    pub(crate) population: u64,
}

impl Governed {
    pub(crate) fn of(graph: &Graph, cells: &Cells, fates: &[Fate]) -> Self {
        let mut governed = Self::default();
        for (edge, fate) in graph.edges.iter().zip(fates) {
            if matches!(fate, Fate::Quarantine(..)) {
                continue;
            }
            for node in [edge.client, edge.server] {
                let cell = cells.of[node as usize];
                let governable = matches!(cells.list[cell].kind, CellKind::Segment(_) | CellKind::Single);
                if governable && graph.nodes[node as usize].kind == NodeKind::Workload {
                    governed.cells.insert(cell);
                }
            }
        }
        governed.population = governed.cells.iter().map(|cell| cells.list[*cell].population).sum();
        governed
    }
}

/// The groups, sorted by kind and service. Each taught edge with a governed end is in exactly one.
pub(crate) fn groups(
    graph: &Graph,
    cells: &Cells,
    fates: &[Fate],
    governed: &Governed,
    environment_label: &str,
) -> Vec<Group> {
    let cell = |node: u32| cells.of[node as usize];
    let managed = |index: &usize| {
        let edge = &graph.edges[*index];
        governed.cells.contains(&cell(edge.client)) || governed.cells.contains(&cell(edge.server))
    };
    let taught = |index: &usize| matches!(fates[*index], Fate::Teach(_)) && managed(index);
    let taught: Vec<usize> = (0..graph.edges.len()).filter(taught).collect();
    let services = ranges::services(graph, cells, &taught);
    let mut by_server: BTreeMap<(usize, Service), Vec<usize>> = BTreeMap::new();
    let mut by_client: BTreeMap<(usize, Service), Vec<usize>> = BTreeMap::new();
    for &index in &taught {
        let edge = &graph.edges[index];
        // What an address that stands for others was seen to ask is all that it may ask: it is never the many of a service,
        // nor a client of everybody.
        if stands_for_others(edge) {
            continue;
        }
        by_server.entry((cell(edge.server), services[&index])).or_default().push(index);
        by_client.entry((cell(edge.client), services[&index])).or_default().push(index);
    }
    let mut found: Found = BTreeMap::new();
    let mut claimed: BTreeSet<usize> = BTreeSet::new();
    for ((server, service), edges) in by_server {
        let broad = !is_admin(service)
            && is_broad(edges.iter().map(|e| graph.edges[*e].client), server, cells, governed);
        let marked = !is_admin(service) && edges.iter().any(|e| graph.edges[*e].shared);
        if broad || marked {
            claimed.extend(&edges);
            add(&mut found, graph, Kind::SharedServer(server), service, broad, edges);
        }
    }
    for ((client, service), mut edges) in by_client {
        edges.retain(|e| !claimed.contains(e));
        let servers = edges.iter().map(|e| graph.edges[*e].server);
        if !is_admin(service) && is_broad(servers, client, cells, governed) {
            claimed.extend(&edges);
            add(&mut found, graph, Kind::SharedClient(client), service, true, edges);
        }
    }
    for &index in taught.iter().filter(|e| !claimed.contains(e)) {
        let edge = &graph.edges[index];
        let kind = Kind::Pair(cell(edge.client), cell(edge.server));
        add(&mut found, graph, kind, services[&index], false, vec![index]);
    }
    for (edge, fate) in graph.edges.iter().zip(fates) {
        let kind = Kind::Pair(cell(edge.client), cell(edge.server));
        let key = (kind, administrator(edge), edge.service);
        if let (Fate::Quarantine(reason, _), Some(group)) = (fate, found.get_mut(&key)) {
            group.may_widen = group.may_widen.map(|may| may && !REFUSED.contains(reason));
        }
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    for group in &mut groups {
        if group.edges.iter().any(|index| stands_for_others(&graph.edges[*index])) {
            group.may_widen = [false; 2];
        }
        let [clients, servers] = [&group.clients, &group.servers];
        let within = |nodes: &BTreeMap<u32, u32>| stays_within(graph, cells, environment_label, nodes);
        group.may_widen = [group.may_widen[0] && within(clients), group.may_widen[1] && within(servers)];
    }
    groups
}

/// Whether the edge's client is an address that others ask under. What everybody uses it may use of its own accord.
fn stands_for_others(edge: &Edge) -> bool {
    !edge.shared && edge.translated.as_ref().is_some_and(|translated| translated.client_stands_for.is_some())
}

/// Whether the cells of the nodes hold no member of an environment that none of the nodes is in.
fn stays_within(graph: &Graph, cells: &Cells, label: &str, nodes: &BTreeMap<u32, u32>) -> bool {
    let environment = |node: &u32| graph.nodes[*node as usize].labels.get(label);
    let seen: BTreeSet<_> = nodes.keys().map(environment).collect();
    let homes: BTreeSet<usize> = nodes.keys().map(|node| cells.of[*node as usize]).collect();
    homes.iter().flat_map(|cell| &cells.list[*cell].nodes).all(|node| seen.contains(&environment(node)))
}

/// Groups by kind, by client where it administers, and by service.
type Found = BTreeMap<(Kind, Option<u32>, Service), Group>;

/// The client, where the service can take servers over: who may do that is never told from what others do, so each
/// client is a group of its own.
fn administrator(edge: &Edge) -> Option<u32> {
    is_admin(edge.service).then_some(edge.client)
}

fn add(found: &mut Found, graph: &Graph, kind: Kind, service: Service, everybody: bool, edges: Vec<usize>) {
    let administrator = edges.first().and_then(|index| administrator(&graph.edges[*index]));
    let group = found.entry((kind, administrator, service)).or_insert_with(|| Group {
        kind,
        service,
        everybody,
        may_widen: [true; 2],
        edges: Vec::new(),
        clients: BTreeMap::new(),
        servers: BTreeMap::new(),
    });
    for index in edges {
        *group.clients.entry(graph.edges[index].client).or_default() += 1;
        *group.servers.entry(graph.edges[index].server).or_default() += 1;
        group.edges.push(index);
    }
}

/// See [`BREADTH`]; `own` is the cell on the other end, which does not count.
fn is_broad(nodes: impl Iterator<Item = u32>, own: usize, cells: &Cells, governed: &Governed) -> bool {
    let nodes: BTreeSet<u32> = nodes.filter(|n| cells.of[*n as usize] != own).collect();
    let seen: BTreeSet<usize> =
        nodes.iter().map(|n| cells.of[*n as usize]).filter(|cell| governed.cells.contains(cell)).collect();
    let workloads = nodes.iter().filter(|n| seen.contains(&cells.of[**n as usize])).count();
    let is_governed = governed.cells.contains(&own);
    let others = governed.population - if is_governed { cells.list[own].population } else { 0 };
    let other_cells = governed.cells.len() - usize::from(is_governed);
    seen.len() >= LEAST_CELLS
        && seen.len() as f64 >= BREADTH * other_cells as f64
        && workloads as f64 >= BREADTH * others as f64
}
