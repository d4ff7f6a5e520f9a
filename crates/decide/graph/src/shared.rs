//! Services that everybody uses: names, time, directories, logs.
//!
//! The statistic is breadth: of the workloads that have traffic, the share that asks this server for this service. It
//! is shared when the breadth and the number of clients reach their bars, and when the clients are of all kinds, for
//! which their subnets (/24 and /64) stand: they must come from at least half of the subnets that hold clients of
//! anything. Fifty desktops of one floor that use one web server are not the network's infrastructure.
//!
//! Replicas share the load: the clients of one service are also counted over up to [`REPLICAS_MAX`] servers together,
//! each of which must have its fair part of them.

use std::collections::{BTreeMap, BTreeSet};

use model::{Ip, Service};

use crate::assemble::{BuildOptions, Draft};
use crate::noise::Outcome;
use crate::{Node, NodeKind};

/// Servers of one service that may be replicas of each other.
const REPLICAS_MAX: usize = 4;

/// Marks the edges of shared services.
pub(crate) fn mark(nodes: &[Node], drafts: &mut [Draft], outcome: &Outcome, options: &BuildOptions) {
    let useful = |d: &Draft| !d.special && d.edge.noise.is_none() && !outcome.in_vain(d);
    let inside = |d: &Draft| nodes[d.edge.client as usize].kind != NodeKind::Internet;
    let mut active = BTreeSet::new();
    let mut offers: BTreeMap<Service, BTreeMap<u32, BTreeSet<u32>>> = BTreeMap::new();
    for draft in drafts.iter().filter(|d| useful(d) && inside(d) && d.edge.client != d.edge.server) {
        active.extend([draft.edge.client, draft.edge.server]);
        if draft.edge.service.protocol.has_ports() {
            let clients = offers.entry(draft.edge.service).or_default().entry(draft.edge.server).or_default();
            clients.insert(draft.edge.client);
        }
    }
    active.retain(|node| nodes[*node as usize].kind != NodeKind::Internet);
    let subnets: Vec<Option<u128>> =
        nodes.iter().map(|node| node.addresses.first().map(|ip| subnet(*ip))).collect();
    let population = Population {
        workloads: active.len(),
        subnets: distinct_subnets(drafts.iter().filter(|d| inside(d)).map(|d| d.edge.client), &subnets),
    };
    let mut shared = BTreeSet::new();
    for (service, servers) in &offers {
        for server in shared_servers(servers, &population, &subnets, options) {
            shared.insert((server, *service));
        }
    }
    for draft in drafts.iter_mut() {
        draft.edge.shared = shared.contains(&(draft.edge.server, draft.edge.service));
    }
}

struct Population {
    workloads: usize,
    subnets: usize,
}

fn shared_servers(
    servers: &BTreeMap<u32, BTreeSet<u32>>,
    population: &Population,
    subnets: &[Option<u128>],
    options: &BuildOptions,
) -> Vec<u32> {
    let broad = |clients: &BTreeSet<u32>| {
        let bar = options.shared_breadth_min * population.workloads.saturating_sub(1) as f64;
        clients.len() >= options.shared_clients_min
            && clients.len() as f64 >= bar
            && 2 * distinct_subnets(clients.iter().copied(), subnets) >= population.subnets
    };
    let alone: Vec<u32> = servers.iter().filter(|(_, c)| broad(c)).map(|(server, _)| *server).collect();
    let fair = |clients: &BTreeSet<u32>, all: usize| 2 * servers.len() * clients.len() >= all;
    let together: BTreeSet<u32> = servers.values().flatten().copied().collect();
    if servers.len() <= REPLICAS_MAX && broad(&together) {
        // What one server may do alone, replicas may do together, if each is asked by many.
        let replicas =
            servers.iter().filter(|(_, c)| c.len() >= options.shared_clients_min && fair(c, together.len()));
        let replicas: Vec<u32> = replicas.map(|(server, _)| *server).collect();
        if replicas.len() > alone.len() {
            return replicas;
        }
    }
    alone
}

fn subnet(ip: Ip) -> u128 {
    if ip.is_v4() { ip.0 >> 8 } else { ip.0 >> 64 | 1 << 127 }
}

fn distinct_subnets(nodes: impl Iterator<Item = u32>, subnets: &[Option<u128>]) -> usize {
    nodes.filter_map(|node| subnets[node as usize]).collect::<BTreeSet<u128>>().len()
}
