//! Cells: the groups that rules are written between. Every node of the graph is in exactly one.

use std::collections::BTreeMap;

use graph::{Graph, Node, NodeKind};
use model::{Ip, Prefix, Segmentation, WorkloadId};

use crate::names::{Unique, slug};

/// What a cell is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum CellKind {
    /// A discovered segment, by its index in the segmentation.
    Segment(usize),
    /// One workload that no segment claims.
    Single,
    /// Addresses without identity, by the network they lie in.
    Subnet(Prefix),
    /// Everything globally routable.
    Internet,
}

/// A group of nodes that rules treat alike.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// See [`CellKind`].
    pub(crate) kind: CellKind,
    /// Legal in the policy language, unique.
    pub(crate) name: String,
    /// Nodes of the graph, sorted.
    pub(crate) nodes: Vec<u32>,
    /// How many hosts a rule about the whole cell is about, seen or not.
    pub(crate) population: u64,
}

/// All cells, and which one each node is in.
pub(crate) struct Cells {
    /// Segments first, in the segmentation's order.
    pub(crate) list: Vec<Cell>,
    /// By node.
    pub(crate) of: Vec<usize>,
}

impl Cells {
    /// `names` holds the segment names that are taken by people.
    pub(crate) fn build(graph: &Graph, segmentation: &Segmentation, names: &mut Unique) -> Self {
        let mut home: BTreeMap<&WorkloadId, usize> = BTreeMap::new();
        let mut list = Vec::new();
        for (index, segment) in segmentation.segments.iter().enumerate() {
            home.extend(segment.members.iter().map(|member| (member, index)));
            list.push(Cell {
                kind: CellKind::Segment(index),
                name: names.take(&slug(&segment.name)),
                nodes: Vec::new(),
                population: segment.members.len() as u64,
            });
        }
        let mut subnets: BTreeMap<Prefix, usize> = BTreeMap::new();
        let mut of = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let cell = match (home.get(&node.id), node.kind) {
                (Some(cell), _) => *cell,
                (None, NodeKind::Internet) => push(&mut list, CellKind::Internet, String::from("internet")),
                (None, NodeKind::Workload) => {
                    let name = names.take(&slug(&node.id.0));
                    push(&mut list, CellKind::Single, name)
                }
                (None, NodeKind::Unknown) => match subnet(address(node)) {
                    Some(prefix) => *subnets.entry(prefix).or_insert_with(|| {
                        push(&mut list, CellKind::Subnet(prefix), slug(&format!("net-{prefix}")))
                    }),
                    None => push(&mut list, CellKind::Internet, String::from("internet")),
                },
            };
            list[cell].nodes.push(index as u32);
            of.push(cell);
        }
        Self { list, of }
    }
}

fn push(list: &mut Vec<Cell>, kind: CellKind, name: String) -> usize {
    let population = match kind {
        CellKind::Subnet(_) => 256,
        _ => 1,
    };
    list.push(Cell { kind, name, nodes: Vec::new(), population });
    list.len() - 1
}

/// The node's first address; the id of an unknown node is its address.
pub(crate) fn address(node: &Node) -> Option<Ip> {
    node.addresses.first().copied().or_else(|| node.id.0.parse().ok())
}

/// The /24 or /120 that an unknown address lies in: 256 neighbours that might behave alike.
fn subnet(address: Option<Ip>) -> Option<Prefix> {
    let ip = address?;
    Prefix::new(ip, if ip.is_v4() { 24 } else { 120 })
}
