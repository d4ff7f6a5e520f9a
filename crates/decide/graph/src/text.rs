//! The graph as text for drawing programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Edge, Graph, NodeKind};

/// Graphviz DOT: one arrow from client to server for each pair, labelled with its services. Shared services are grey,
/// noise is dotted, scanners are red.
pub fn to_dot(graph: &Graph) -> String {
    let mut text =
        String::from("digraph ringfence {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let shape = match node.kind {
            NodeKind::Workload => "",
            NodeKind::Unknown => ", style=dashed",
            NodeKind::Internet => ", shape=ellipse",
        };
        let colour = if node.scanner.is_some() { ", color=red" } else { "" };
        let _ = writeln!(text, "  n{index} [label=\"{}\"{shape}{colour}];", quoted(&node.name));
    }
    for arrow in arrows(graph) {
        let style = match (arrow.noise, arrow.shared) {
            (true, _) => ", style=dotted",
            (false, true) => ", color=grey",
            (false, false) => "",
        };
        let (client, server, label) = (arrow.client, arrow.server, quoted(&arrow.label));
        let _ = writeln!(text, "  n{client} -> n{server} [label=\"{label}\"{style}];");
    }
    text.push_str("}\n");
    text
}

/// A Mermaid flowchart with the same arrows; noise and shared services are dotted.
pub fn to_mermaid(graph: &Graph) -> String {
    let escape = |text: &str| text.replace('"', "#quot;").replace(['\n', '\r'], " ");
    let mut text = String::from("flowchart LR\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let _ = writeln!(text, "  n{index}[\"{}\"]", escape(&node.name));
    }
    for arrow in arrows(graph) {
        let line = if arrow.noise || arrow.shared { "-.->" } else { "-->" };
        let _ = writeln!(text, "  n{} {line}|\"{}\"| n{}", arrow.client, escape(&arrow.label), arrow.server);
    }
    text
}

struct Arrow {
    client: u32,
    server: u32,
    shared: bool,
    noise: bool,
    label: String,
}

/// Services that a label names before it only counts the rest.
const SERVICES_NAMED_MAX: usize = 4;

fn arrows(graph: &Graph) -> Vec<Arrow> {
    let mut pairs: BTreeMap<(u32, u32, bool, bool), Vec<&Edge>> = BTreeMap::new();
    for edge in &graph.edges {
        let kind = (edge.client, edge.server, edge.shared, edge.noise.is_some());
        pairs.entry(kind).or_default().push(edge);
    }
    let arrow = |((client, server, shared, noise), mut edges): ((u32, u32, bool, bool), Vec<&Edge>)| {
        edges.sort_by_key(|e| (std::cmp::Reverse(e.flows), e.service));
        let mut names: Vec<String> =
            edges.iter().take(SERVICES_NAMED_MAX).map(|e| e.service.to_string()).collect();
        if edges.len() > SERVICES_NAMED_MAX {
            names.push(format!("and {} more", edges.len() - SERVICES_NAMED_MAX));
        }
        Arrow { client, server, shared, noise, label: names.join(", ") }
    };
    pairs.into_iter().map(arrow).collect()
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ")
}
