//! The graph seen from further away.

use std::collections::BTreeMap;

use model::{Labels, Segmentation, WorkloadId};

use crate::assemble::add_edge;
use crate::{Edge, Graph, Node, NodeKind, Noise};

/// Merges the workloads that agree in the values of these label keys; a missing label is a value of its own. The new
/// node's id is `app=payments,role=web`, its labels are those of the keys. Nodes that are no workloads stay.
pub fn group_by_labels(graph: &Graph, keys: &[String]) -> Graph {
    merge_nodes(graph, |node| {
        if node.kind != NodeKind::Workload || keys.is_empty() {
            return (node.id.clone(), node.labels.clone());
        }
        let labels: Labels =
            keys.iter().filter_map(|key| Some((key.clone(), node.labels.get(key)?.clone()))).collect();
        let value = |key: &String| labels.get(key).map_or("?", String::as_str);
        let id: Vec<String> = keys.iter().map(|key| format!("{key}={}", value(key))).collect();
        (WorkloadId(id.join(",")), labels)
    })
}

/// Merges the members of each segment to one node, whose id is `segment:NAME`. Whoever is in none stays alone.
pub fn group_by_segments(graph: &Graph, segmentation: &Segmentation) -> Graph {
    let mut names: BTreeMap<&WorkloadId, &str> = BTreeMap::new();
    for segment in &segmentation.segments {
        names.extend(segment.members.iter().map(|member| (member, segment.name.as_str())));
    }
    merge_nodes(graph, |node| match names.get(&node.id) {
        Some(name) => (WorkloadId(format!("segment:{name}")), Labels::new()),
        None => (node.id.clone(), node.labels.clone()),
    })
}

/// The graph without its noise: the edges that may teach a policy, and the nodes but for addresses of no workload that
/// only noise touched. A scan of an empty subnet fills a map with hosts that do not exist.
pub fn without_noise(graph: &Graph) -> Graph {
    let mut kept: Vec<bool> = graph.nodes.iter().map(|node| node.kind == NodeKind::Workload).collect();
    let useful = || graph.edges.iter().filter(|edge| edge.noise.is_none());
    useful().for_each(|edge| [edge.client, edge.server].iter().for_each(|end| kept[*end as usize] = true));
    let mut place = vec![0; kept.len()];
    kept.iter().enumerate().filter(|(_, kept)| **kept).zip(0..).for_each(|((old, _), new)| place[old] = new);
    let turned = |edge: &Edge| Edge {
        client: place[edge.client as usize],
        server: place[edge.server as usize],
        ..edge.clone()
    };
    let nodes = graph.nodes.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(node, _)| node.clone());
    Graph { nodes: nodes.collect(), edges: useful().map(turned).collect() }
}

fn merge_nodes(graph: &Graph, place: impl Fn(&Node) -> (WorkloadId, Labels)) -> Graph {
    let mut merged: BTreeMap<WorkloadId, Node> = BTreeMap::new();
    let mut homes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let (id, labels) = place(node);
        homes.push(id.clone());
        match merged.get_mut(&id) {
            Some(group) => {
                group.addresses.extend(&node.addresses);
                group.criticality = group.criticality.max(node.criticality);
                if group.scanner.is_none() {
                    group.scanner.clone_from(&node.scanner);
                }
            }
            None => {
                let name = if id == node.id { node.name.clone() } else { id.0.clone() };
                merged.insert(id.clone(), Node { id, name, labels, ..node.clone() });
            }
        }
    }
    let index: BTreeMap<&WorkloadId, u32> = merged.keys().zip(0..).collect();
    let homes: Vec<u32> = homes.iter().map(|id| index.get(id).copied().unwrap_or_default()).collect();
    let edges = merge_edges(graph, &homes);
    let mut nodes: Vec<Node> = merged.into_values().collect();
    for node in &mut nodes {
        node.addresses.sort_unstable();
        node.addresses.dedup();
    }
    Graph { nodes, edges }
}

/// Edges of one (client, server, service) become one. It is noise only if all of them were, for the reason that most
/// often held; it is shared if one was.
fn merge_edges(graph: &Graph, homes: &[u32]) -> Vec<Edge> {
    let mut edges: Vec<Edge> = graph
        .edges
        .iter()
        .map(|edge| Edge {
            client: homes[edge.client as usize],
            server: homes[edge.server as usize],
            ..edge.clone()
        })
        .collect();
    edges.sort_by_key(|e| (e.client, e.server, e.service));
    let same = |a: &Edge, b: &Edge| (a.client, a.server, a.service) == (b.client, b.server, b.service);
    let merge = |group: &[Edge]| {
        let mut all = group[0].clone();
        for edge in &group[1..] {
            add_edge(&mut all, edge);
            all.shared |= edge.shared;
            all.dynamic_ports = all.dynamic_ports.max(edge.dynamic_ports);
        }
        all.noise = common_noise(group);
        all
    };
    edges.chunk_by(same).map(merge).collect()
}

fn common_noise(group: &[Edge]) -> Option<Noise> {
    let mut counts: BTreeMap<Noise, usize> = BTreeMap::new();
    for edge in group {
        *counts.entry(edge.noise?).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(noise, _)| noise)
}
