//! Sides of drafts as terms of the policy language, and the segment documents that they need.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Graph, Node, NodeKind};
use model::{Labels, Prefix, Requirement, Segmentation, Selector, SourceLocation, WorkloadId};
use policy::{PeerTerm, SegmentDocument, Spanned};

use crate::cells::{Cell, CellKind, Cells, address};
use crate::group::Governed;
use crate::names::{Unique, slug};
use crate::options::ProposeOptions;
use crate::width::Side;

/// Turns sides into terms and remembers which segments that took.
pub(crate) struct Peers<'a> {
    graph: &'a Graph,
    segmentation: &'a Segmentation,
    cells: &'a Cells,
    governed: &'a Governed,
    options: &'a ProposeOptions,
    names: &'a mut Unique,
    /// Name of the segment of all governed workloads, once asked for.
    everybody: Option<String>,
    /// Names of the segments of one, by node.
    hosts: BTreeMap<u32, String>,
}

impl<'a> Peers<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        segmentation: &'a Segmentation,
        cells: &'a Cells,
        governed: &'a Governed,
        options: &'a ProposeOptions,
        names: &'a mut Unique,
    ) -> Self {
        let (everybody, hosts) = (None, BTreeMap::new());
        Self { graph, segmentation, cells, governed, options, names, everybody, hosts }
    }

    /// The terms of a side, sorted as the sides are.
    pub(crate) fn terms(&mut self, sides: &[Side]) -> Vec<PeerTerm> {
        let mut terms = Vec::new();
        for side in sides {
            match side {
                Side::Everybody => {
                    let names = &mut *self.names;
                    let name = self.everybody.get_or_insert_with(|| names.take("all-known"));
                    terms.push(PeerTerm::Segment(name.clone()));
                }
                Side::Cell(cell) => terms.extend(self.cell_terms(*cell)),
                Side::Node(node) => terms.extend(self.node_terms(*node)),
            }
        }
        let mut seen = BTreeSet::new();
        terms.retain(|term| seen.insert(term.clone()));
        terms
    }

    /// The terms that mean a whole cell. Members without identity have no segment: they are named by address.
    pub(crate) fn cell_terms(&self, index: usize) -> Vec<PeerTerm> {
        let cell = &self.cells.list[index];
        match cell.kind {
            CellKind::Internet => vec![PeerTerm::Internet],
            CellKind::Subnet(prefix) => vec![PeerTerm::Cidr(prefix)],
            CellKind::Segment(_) | CellKind::Single => {
                let named = (!self.members(cell).is_empty()).then(|| PeerTerm::Segment(cell.name.clone()));
                let unknown = cell.nodes.iter().map(|node| &self.graph.nodes[*node as usize]);
                let unknown = unknown.filter(|node| node.kind == NodeKind::Unknown);
                named.into_iter().chain(unknown.filter_map(host_block).map(PeerTerm::Cidr)).collect()
            }
        }
    }

    fn node_terms(&mut self, index: u32) -> Vec<PeerTerm> {
        let node = &self.graph.nodes[index as usize];
        match node.kind {
            NodeKind::Internet => vec![PeerTerm::Internet],
            NodeKind::Unknown => host_block(node).map(PeerTerm::Cidr).into_iter().collect(),
            NodeKind::Workload => {
                let names = &mut *self.names;
                let name = self.hosts.entry(index).or_insert_with(|| names.take(&slug(&node.id.0)));
                vec![PeerTerm::Segment(name.clone())]
            }
        }
    }

    /// The documents of all segments that the segmentation found or the terms named, sorted by name.
    pub(crate) fn documents(&self) -> Vec<SegmentDocument> {
        let mut documents: Vec<SegmentDocument> = Vec::new();
        for (index, cell) in self.cells.list.iter().enumerate() {
            let discovered = matches!(cell.kind, CellKind::Segment(_));
            if (discovered || self.governed.cells.contains(&index)) && !self.members(cell).is_empty() {
                documents.push(self.cell_document(cell));
            }
        }
        if let Some(name) = &self.everybody {
            let cells = self.governed.cells.iter().map(|cell| &self.cells.list[*cell]);
            let members: BTreeSet<WorkloadId> = cells.flat_map(|cell| self.members(cell)).collect();
            let reason = String::from("every workload that a proposed policy governs");
            documents.push(document(name, members.into_iter().collect(), None, None, vec![reason]));
        }
        for (index, name) in &self.hosts {
            let node = &self.graph.nodes[*index as usize];
            let cell = &self.cells.list[self.cells.of[*index as usize]].name;
            let reason = format!("one member of `{cell}` that does what the others were not seen to do");
            documents.push(document(name, vec![node.id.clone()], None, None, vec![reason]));
        }
        documents.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        documents
    }

    fn cell_document(&self, cell: &Cell) -> SegmentDocument {
        let (confidence, reasons) = match cell.kind {
            CellKind::Segment(index) => {
                let segment = &self.segmentation.segments[index];
                (Some(segment.confidence), segment.reasons.clone())
            }
            _ => (None, vec![self.unassigned_reason(cell)]),
        };
        let selector = if self.options.use_labels { self.selector(cell) } else { None };
        let members = if selector.is_some() { Vec::new() } else { self.members(cell) };
        document(&cell.name, members, selector, confidence, reasons)
    }

    fn unassigned_reason(&self, cell: &Cell) -> String {
        let id = cell.nodes.first().map(|node| &self.graph.nodes[*node as usize].id);
        let unassigned = self.segmentation.unassigned.iter().find(|u| Some(&u.workload) == id);
        match unassigned {
            Some(unassigned) => format!("in no segment: {}", unassigned.reason),
            None => String::from("in no segment"),
        }
    }

    /// Members with an identity, sorted.
    pub(crate) fn members(&self, cell: &Cell) -> Vec<WorkloadId> {
        let node = |index: &u32| &self.graph.nodes[*index as usize];
        match cell.kind {
            CellKind::Segment(index) => {
                let bare: BTreeSet<&WorkloadId> = cell
                    .nodes
                    .iter()
                    .map(node)
                    .filter(|node| node.kind != NodeKind::Workload)
                    .map(|node| &node.id)
                    .collect();
                let mut members = self.segmentation.segments[index].members.clone();
                members.retain(|member| !bare.contains(member));
                members.sort();
                members.dedup();
                members
            }
            _ => cell.nodes.iter().map(node).map(|node| node.id.clone()).collect(),
        }
    }

    /// The labels that all members have in common, if no other workload of the graph has them all.
    fn selector(&self, cell: &Cell) -> Option<Selector> {
        let members: BTreeSet<WorkloadId> = self.members(cell).into_iter().collect();
        let (inside, outside): (Vec<&Node>, Vec<&Node>) = self
            .graph
            .nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Workload)
            .partition(|node| members.contains(&node.id));
        // A silent member's labels are not in the graph, so they cannot be answered for.
        if inside.len() != members.len() {
            return None;
        }
        let mut common: Labels = inside.first()?.labels.clone();
        for node in &inside {
            common.retain(|key, value| node.labels.get(key) == Some(value));
        }
        let of = |labels: &Labels| Selector {
            requirements: labels.iter().map(|(k, v)| Requirement::In(k.clone(), vec![v.clone()])).collect(),
        };
        let exact = |labels: &Labels| {
            !labels.is_empty() && !outside.iter().any(|node| of(labels).matches(&node.labels))
        };
        if !exact(&common) {
            return None;
        }
        for key in common.keys().cloned().collect::<Vec<_>>() {
            let mut fewer = common.clone();
            fewer.remove(&key);
            if exact(&fewer) {
                common = fewer;
            }
        }
        Some(of(&common))
    }
}

/// A term as the policy language writes it.
pub(crate) fn term_text(term: &PeerTerm) -> String {
    match term {
        PeerTerm::Any => String::from("any"),
        PeerTerm::Internet => String::from("internet"),
        PeerTerm::Cidr(prefix) => format!("cidr:{prefix}"),
        PeerTerm::Segment(name) => format!("segment:{name}"),
        PeerTerm::Group(name) => format!("group:{name}"),
        PeerTerm::Fqdn(name) => format!("fqdn:{name}"),
        PeerTerm::Labels(selector) => selector.to_string(),
    }
}

/// A value of a file that is not written yet: it has no line.
pub(crate) fn unwritten<T>(value: T) -> Spanned<T> {
    Spanned { value, at: SourceLocation::default() }
}

fn host_block(node: &Node) -> Option<Prefix> {
    let ip = address(node)?;
    Prefix::new(ip, if ip.is_v4() { 32 } else { 128 })
}

fn document(
    name: &str,
    members: Vec<WorkloadId>,
    selector: Option<Selector>,
    confidence: Option<f64>,
    reasons: Vec<String>,
) -> SegmentDocument {
    SegmentDocument {
        name: unwritten(name.to_owned()),
        members: members.into_iter().map(|member| unwritten(member.0)).collect(),
        selector: selector.map(unwritten),
        confidence,
        reasons,
    }
}
