//! The graph as groups, nodes and edges of a report.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph, Node, NodeKind};
use model::{Conversation, Endpoint, IpSet, Segmentation, Service, TimeWindow, format_time};
use policy::{Decision, Resolved, Verdict as Decided};
use report::{
    GroupKind, MapStory, StoryEdge, StoryGroup, StoryNode, StoryOrigin, StorySource, StoryUnassigned,
    StoryWindow, Verdict,
};
use serde_json::json;
use simulate::Evaluator;

use super::seen;
use crate::world::World;

/// The map of a graph, grouped by segments, or by label keys.
pub(crate) fn map_story(
    world: &World,
    graph: &Graph,
    segmentation: Option<&Segmentation>,
    group_by: &[String],
    window: TimeWindow,
) -> MapStory {
    let place = Places::new(graph, segmentation, group_by);
    let mut nodes = Vec::new();
    for node in &graph.nodes {
        nodes.push(StoryNode {
            id: node.id.0.clone(),
            name: node.name.clone(),
            group: place.of(node),
            labels: node.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            criticality: node.criticality.and_then(|c| json!(c).as_str().map(str::to_owned)),
            scanner: node.scanner.clone(),
        });
    }
    let id = |index: u32| graph.nodes.get(index as usize).map_or_else(String::new, |n| n.id.0.clone());
    let edge = |edge: &Edge| StoryEdge {
        client: id(edge.client),
        server: id(edge.server),
        service: edge.service.to_string(),
        flows: edge.flows,
        bytes: edge.bytes + edge.reverse_bytes,
        first: edge.first,
        last: edge.last,
        verdict: Verdict::Observed,
        rule: None,
    };
    let edges = graph.edges.iter().map(edge).collect();
    let shown = world.project.root.canonicalize().unwrap_or_else(|_| world.project.root.clone());
    let title =
        shown.file_name().map_or_else(|| "network".to_owned(), |name| name.to_string_lossy().into_owned());
    MapStory {
        title,
        origin: StoryOrigin { version: env!("CARGO_PKG_VERSION").to_owned(), ..StoryOrigin::default() },
        windows: windows(world, &[("observed", window)]),
        sources: sources(world),
        dropped: Vec::new(),
        visibility: seen::visibility(world, graph, window),
        groups: groups(graph, segmentation, &place),
        nodes,
        edges,
        unused: Vec::new(),
    }
}

/// Windows with their flows; open ends are closed by what the lake holds.
pub(crate) fn windows(world: &World, named: &[(&str, TimeWindow)]) -> Vec<StoryWindow> {
    let all = world.lake.stats().ok().and_then(|s| s.window).unwrap_or(TimeWindow { from: 0, to: 0 });
    let mut stories = Vec::new();
    for (name, window) in named {
        let mut flows = 0;
        let count =
            world.lake.visit_flows(&lake::FlowFilter::of(*window), &mut |batch| flows += batch.len() as u64);
        if count.is_err() {
            flows = 0;
        }
        stories.push(StoryWindow {
            name: (*name).to_owned(),
            from: window.from.max(all.from),
            to: window.to.min(all.to),
            flows,
        });
    }
    stories
}

fn sources(world: &World) -> Vec<StorySource> {
    let imports = world.lake.imports().unwrap_or_default();
    let source = |receipt: &lake::ImportReceipt| StorySource {
        // The path is the importer's business; the name is enough to recognise it.
        name: receipt.name.rsplit('/').next().unwrap_or_default().to_owned(),
        format: receipt.format.clone(),
        records: receipt.flows,
        bytes: receipt.bytes,
    };
    imports.iter().take(40).map(source).collect()
}

/// Which group each node belongs to.
struct Places<'a> {
    segment_of: BTreeMap<&'a str, &'a str>,
    keys: Vec<String>,
    by_label: bool,
}

const INTERNET: &str = "internet";
const UNKNOWN: &str = "unknown addresses";

impl<'a> Places<'a> {
    fn new(graph: &Graph, segmentation: Option<&'a Segmentation>, group_by: &[String]) -> Self {
        let mut segment_of = BTreeMap::new();
        for segment in segmentation.iter().flat_map(|s| &s.segments) {
            segment_of.extend(segment.members.iter().map(|m| (m.0.as_str(), segment.id.0.as_str())));
        }
        let mut keys: Vec<String> = group_by.iter().filter(|key| *key != "segment").cloned().collect();
        if keys.is_empty() {
            // The conventional labels, as far as anybody carries them.
            let carried: BTreeSet<&str> =
                graph.nodes.iter().flat_map(|n| n.labels.keys().map(String::as_str)).collect();
            keys = ["env", "app", "role"]
                .iter()
                .filter(|key| carried.contains(*key))
                .map(|k| (*k).to_owned())
                .collect();
        }
        Self { segment_of, keys, by_label: segmentation.is_none() }
    }

    fn of(&self, node: &Node) -> Option<String> {
        match node.kind {
            NodeKind::Internet => Some(INTERNET.to_owned()),
            NodeKind::Unknown => Some(UNKNOWN.to_owned()),
            NodeKind::Workload if self.by_label => {
                let value = |key: &String| node.labels.get(key).map_or("-", String::as_str).to_owned();
                (!self.keys.is_empty()).then(|| self.keys.iter().map(value).collect::<Vec<_>>().join("/"))
            }
            NodeKind::Workload => self.segment_of.get(node.id.0.as_str()).map(|id| (*id).to_owned()),
        }
    }
}

fn groups(graph: &Graph, segmentation: Option<&Segmentation>, places: &Places<'_>) -> Vec<StoryGroup> {
    // Everyone's server: most of what it is asked is shared, by many clients. One client that asks everyone makes
    // nobody a shared service.
    const CLIENTS_MIN: usize = 5;
    let mut incoming: BTreeMap<String, (u64, u64, BTreeSet<u32>)> = BTreeMap::new();
    for edge in &graph.edges {
        if let Some(group) = graph.nodes.get(edge.server as usize).and_then(|node| places.of(node)) {
            let sums = incoming.entry(group).or_default();
            sums.0 += u64::from(edge.shared);
            sums.1 += 1;
            if edge.shared {
                sums.2.insert(edge.client);
            }
        }
    }
    let shared = |id: &str| {
        incoming
            .get(id)
            .is_some_and(|(shared, all, clients)| shared * 2 > *all && clients.len() >= CLIENTS_MIN)
    };
    let mut groups = Vec::new();
    for segment in segmentation.iter().flat_map(|s| &s.segments) {
        groups.push(StoryGroup {
            id: segment.id.0.clone(),
            name: segment.name.clone(),
            kind: GroupKind::Segment,
            shared: shared(&segment.id.0),
            confidence: Some(segment.confidence),
            reasons: segment.reasons.clone(),
        });
    }
    let mut seen = BTreeSet::new();
    for node in &graph.nodes {
        let Some(id) = places.of(node) else { continue };
        let kind = match node.kind {
            NodeKind::Internet => GroupKind::Internet,
            NodeKind::Unknown => GroupKind::Unknown,
            NodeKind::Workload if places.by_label => GroupKind::Label,
            NodeKind::Workload => continue,
        };
        if seen.insert(id.clone()) {
            groups.push(StoryGroup {
                name: id.clone(),
                shared: shared(&id),
                id,
                kind,
                ..StoryGroup::default()
            });
        }
    }
    groups
}

/// Judges every edge by a policy: each conversation that it stands for; the worst answer counts.
pub(crate) fn add_verdicts(
    story: &mut MapStory,
    graph: &Graph,
    conversations: &[Conversation],
    resolved: &Resolved,
) {
    let evaluator = Evaluator::new(resolved);
    let internet = IpSet::internet();
    let known: BTreeSet<&str> = graph.nodes.iter().map(|n| n.id.0.as_str()).collect();
    let node = |end: &Endpoint| match &end.workload {
        Some(workload) => workload.0.clone(),
        None if internet.contains(end.ip) && known.contains(INTERNET) => INTERNET.to_owned(),
        None => end.ip.to_string(),
    };
    let mut by_ends: BTreeMap<(String, String), Vec<(Service, Decision)>> = BTreeMap::new();
    for conversation in conversations {
        let decision =
            evaluator.decide_service(conversation.client.ip, conversation.server.ip, conversation.service);
        let ends = (node(&conversation.client), node(&conversation.server));
        by_ends.entry(ends).or_default().push((conversation.service, decision));
    }
    for (edge, shown) in graph.edges.iter().zip(&mut story.edges) {
        let Some(decisions) = by_ends.get(&(shown.client.clone(), shown.server.clone())) else { continue };
        let own = decisions
            .iter()
            .filter(|(service, _)| edge.service.covers(service))
            .map(|(_, decision)| *decision);
        let Some(decision) = own.max_by_key(|decision| decision.verdict == Decided::Deny) else { continue };
        shown.rule = decision.rule.map(|index| resolved.rules[index].id.clone());
        shown.verdict = match decision.verdict {
            Decided::Allow => Verdict::Allowed,
            Decided::Deny => Verdict::WouldBlock,
            Decided::Unmanaged => Verdict::Observed,
        };
    }
}

/// Who is in no segment.
pub(crate) fn unassigned(segmentation: &Segmentation) -> Vec<StoryUnassigned> {
    let name = |id: &model::SegmentId| {
        segmentation.segments.iter().find(|s| s.id == *id).map_or_else(|| id.0.clone(), |s| s.name.clone())
    };
    let one = |left: &model::Unassigned| StoryUnassigned {
        workload: left.workload.0.clone(),
        reason: left.reason.clone(),
        nearest: left.nearest.iter().map(|(id, how)| (name(id), *how)).collect(),
    };
    segmentation.unassigned.iter().map(one).collect()
}

/// A window in words.
pub(crate) fn window_text(window: TimeWindow) -> String {
    format!("{} to {}", format_time(window.from), format_time(window.to))
}
