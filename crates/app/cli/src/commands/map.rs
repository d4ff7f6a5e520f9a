//! `ringfence map`.

use std::collections::BTreeMap;

use anyhow::bail;
use graph::Graph;
use model::format_time;
use serde_json::json;

use crate::output::{Format, Listing, bytes_text, grouped};
use crate::seen::Seen;
use crate::world::{WindowArgs, World};
use crate::{Exit, Global, story};

#[derive(clap::Args)]
pub(crate) struct Map {
    #[command(flatten)]
    window: WindowArgs,
    /// Merge workloads by these label keys, or `segment` for the stored segments.
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    group_by: Vec<String>,
    /// Leave out what is marked as noise: scans, unanswered, denied, one-off, uncertain.
    #[arg(long)]
    no_noise: bool,
    /// Leave out shared services such as DNS and time.
    #[arg(long)]
    no_shared: bool,
}

impl Map {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let world = World::open(global)?;
        let window = self.window.window()?;
        let conversations = world.conversations(window)?;
        let mut graph = world.graph(&conversations, world.end_of(window)?);
        graph
            .edges
            .retain(|edge| !(self.no_noise && edge.noise.is_some() || self.no_shared && edge.shared));
        let by_segment = self.group_by.iter().any(|key| key == "segment");
        if by_segment && self.group_by.len() > 1 {
            return Err(crate::UsageError("`segment` cannot be combined with label keys in --group-by".to_owned()).into());
        }
        let stored = world.lake.segmentation()?;
        if by_segment && stored.is_none() {
            bail!("there are no segments yet; find some with `ringfence segments discover --accept`");
        }
        let format = global.format_or(Format::Table);
        if format == Format::Html {
            let segmentation = if self.group_by.is_empty() || by_segment { stored.as_ref() } else { None };
            let story = story::map_story(&world, &graph, segmentation, &self.group_by, window);
            crate::output::print(&report::render_map(&story))?;
            return Ok(Exit::Ok);
        }
        let graph = match &stored {
            Some(segmentation) if by_segment => graph::group_by_segments(&graph, segmentation),
            _ if self.group_by.is_empty() => graph,
            _ => graph::group_by_labels(&graph, &self.group_by),
        };
        match format {
            Format::Dot => crate::output::print(&graph::to_dot(&graph))?,
            Format::Mermaid => crate::output::print(&graph::to_mermaid(&graph))?,
            _ => listing(&graph, &Seen::of(&world.lake, window)?).print(format)?,
        }
        Ok(Exit::Ok)
    }
}

/// The edges as rows, with the whole graph as the document.
fn listing(graph: &Graph, seen: &Seen) -> Listing {
    let mut listing = Listing::new(&[
        "client",
        "server",
        "service",
        "flows",
        "bytes",
        "reverse_bytes",
        "first",
        "last",
        "marks",
    ]);
    let name = |index: u32| graph.nodes.get(index as usize).map_or("", |node| node.id.0.as_str()).to_owned();
    let mut noise: BTreeMap<String, u64> = BTreeMap::new();
    for edge in &graph.edges {
        let mut marks = Vec::new();
        if edge.shared {
            marks.push("shared".to_owned());
        }
        if edge.dynamic_ports > 1 {
            marks.push(format!("{} dynamic ports", edge.dynamic_ports));
        }
        if let Some(kind) = edge.noise {
            let word = json!(kind).as_str().unwrap_or_default().to_owned();
            *noise.entry(word.clone()).or_default() += 1;
            marks.push(word);
        }
        listing.objects.push(json!({
            "client": name(edge.client), "server": name(edge.server), "service": edge.service.to_string(),
            "flows": edge.flows, "packets": edge.packets, "bytes": edge.bytes,
            "reverse_packets": edge.reverse_packets, "reverse_bytes": edge.reverse_bytes,
            "first": format_time(edge.first), "last": format_time(edge.last), "confidence": edge.confidence,
            "shared": edge.shared, "noise": edge.noise, "dynamic_ports": edge.dynamic_ports,
        }));
        listing.row([
            name(edge.client),
            name(edge.server),
            edge.service.to_string(),
            grouped(edge.flows),
            bytes_text(edge.bytes),
            bytes_text(edge.reverse_bytes),
            format_time(edge.first),
            format_time(edge.last),
            marks.join(", "),
        ]);
    }
    let nodes: Vec<_> = graph
        .nodes
        .iter()
        .map(|n| {
            json!({ "id": n.id, "name": n.name, "kind": n.kind, "labels": n.labels, "criticality": n.criticality,
                "addresses": n.addresses, "scanner": n.scanner })
        })
        .collect();
    listing.document(json!({ "nodes": nodes, "edges": listing.objects, "visibility": seen.json() }));
    let marked: Vec<String> = noise.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let marked = if marked.is_empty() { String::new() } else { format!("; noise: {}", marked.join(", ")) };
    listing.summary =
        format!("{} nodes, {} edges{marked}\n{}", graph.nodes.len(), graph.edges.len(), seen.line());
    listing
}
