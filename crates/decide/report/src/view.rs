//! The map's input, indexed: groups with members, and bundles of edges between groups.

use std::collections::{BTreeMap, BTreeSet};

use model::Micros;

use crate::story::{GroupKind, MapStory, StoryGroup, StoryNode, Verdict};

/// One service of a bundle.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceLine {
    pub(crate) service: String,
    pub(crate) flows: u64,
    pub(crate) bytes: u64,
    pub(crate) clients: usize,
    pub(crate) servers: usize,
    pub(crate) first: Micros,
    pub(crate) last: Micros,
    pub(crate) rules: BTreeSet<String>,
}

/// All edges between two groups with one verdict.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) verdict: Verdict,
    pub(crate) flows: u64,
    pub(crate) bytes: u64,
    /// Busiest first.
    pub(crate) services: Vec<ServiceLine>,
}

/// A group with what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) group: StoryGroup,
    pub(crate) nodes: Vec<&'a StoryNode>,
    /// Drawn in the side rail.
    pub(crate) rail: bool,
    /// Flows to and from it, within it counted once.
    pub(crate) flows: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct View<'a> {
    pub(crate) groups: Vec<Member<'a>>,
    /// Sorted by (from, to, verdict).
    pub(crate) bundles: Vec<Bundle>,
}

#[derive(Default)]
struct Gather<'a> {
    line: ServiceLine,
    clients: BTreeSet<&'a str>,
    servers: BTreeSet<&'a str>,
}

impl<'a> View<'a> {
    /// Indexes the map's input. Nodes without a known group, and edges whose ends are not among the nodes,
    /// stand in a group of their own at the end, so that nothing is silently left out.
    pub(crate) fn of(story: &'a MapStory) -> Self {
        let mut groups: Vec<Member<'a>> = Vec::new();
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        for group in &story.groups {
            if !index.contains_key(group.id.as_str()) {
                index.insert(&group.id, groups.len());
                groups.push(Member { group: group.clone(), nodes: Vec::new(), rail: group.shared, flows: 0 });
            }
        }
        let home = place_nodes(story, &index, &mut groups);
        let stray = groups.iter().position(|m| m.group.kind == GroupKind::Unassigned).unwrap_or(groups.len());
        let mut cells: BTreeMap<(usize, usize, Verdict, &str), Gather<'a>> = BTreeMap::new();
        for edge in &story.edges {
            let from = home.get(edge.client.as_str()).copied().unwrap_or(stray);
            let to = home.get(edge.server.as_str()).copied().unwrap_or(stray);
            if from.max(to) == groups.len() {
                groups.push(unassigned());
            }
            let cell = cells.entry((from, to, edge.verdict, &edge.service)).or_insert_with(|| Gather {
                line: ServiceLine {
                    service: edge.service.clone(),
                    first: edge.first,
                    last: edge.last,
                    ..ServiceLine::default()
                },
                ..Gather::default()
            });
            cell.line.flows = cell.line.flows.saturating_add(edge.flows);
            cell.line.bytes = cell.line.bytes.saturating_add(edge.bytes);
            cell.line.first = cell.line.first.min(edge.first);
            cell.line.last = cell.line.last.max(edge.last);
            cell.line.rules.extend(edge.rule.clone());
            cell.clients.insert(&edge.client);
            cell.servers.insert(&edge.server);
        }
        add_unused(story, &index, &mut cells);
        let mut view = Self { groups, bundles: bundle(cells) };
        view.sum_flows();
        view.fold_shared();
        view
    }

    fn sum_flows(&mut self) {
        for bundle in &self.bundles {
            let from = &mut self.groups[bundle.from].flows;
            *from = from.saturating_add(bundle.flows);
            if bundle.from != bundle.to {
                let to = &mut self.groups[bundle.to].flows;
                *to = to.saturating_add(bundle.flows);
            }
        }
    }

    /// A group that more than six tenths of the others use, or that uses them, would draw a star over the
    /// map: it goes to the rail even when nobody marked it as shared. Small maps keep all; and where many
    /// groups are like that, the network is a mesh and has no stars.
    fn fold_shared(&mut self) {
        let groups = self.groups.len();
        if groups < 7 {
            return;
        }
        let stars: Vec<usize> = (0..groups).filter(|at| self.reach(*at) * 10 > (groups - 1) * 6).collect();
        if stars.len() * 4 <= groups {
            for star in stars {
                self.groups[star].rail = true;
            }
        }
    }

    /// How many others the group asks, or is asked by, whichever is more, in usual traffic.
    fn reach(&self, group: usize) -> usize {
        let usual = |bundle: &&Bundle| {
            matches!(bundle.verdict, Verdict::Observed | Verdict::Allowed) && bundle.from != bundle.to
        };
        let asks: BTreeSet<usize> =
            self.bundles.iter().filter(usual).filter(|b| b.from == group).map(|b| b.to).collect();
        let serves: BTreeSet<usize> =
            self.bundles.iter().filter(usual).filter(|b| b.to == group).map(|b| b.from).collect();
        asks.len().max(serves.len())
    }
}

fn place_nodes<'a>(
    story: &'a MapStory,
    index: &BTreeMap<&str, usize>,
    groups: &mut Vec<Member<'a>>,
) -> BTreeMap<&'a str, usize> {
    let mut home = BTreeMap::new();
    let mut homeless = groups.iter().position(|m| m.group.kind == GroupKind::Unassigned);
    for node in &story.nodes {
        let known = node.group.as_deref().and_then(|id| index.get(id)).copied();
        let at = known.unwrap_or_else(|| {
            *homeless.get_or_insert_with(|| {
                groups.push(unassigned());
                groups.len() - 1
            })
        });
        groups[at].nodes.push(node);
        home.insert(node.id.as_str(), at);
    }
    for member in groups {
        member.nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    }
    home
}

fn unassigned<'a>() -> Member<'a> {
    let group = StoryGroup {
        id: String::from("unassigned"),
        name: String::from("unassigned"),
        kind: GroupKind::Unassigned,
        ..StoryGroup::default()
    };
    Member { group, nodes: Vec::new(), rail: false, flows: 0 }
}

fn add_unused<'a>(
    story: &'a MapStory,
    index: &BTreeMap<&str, usize>,
    cells: &mut BTreeMap<(usize, usize, Verdict, &'a str), Gather<'a>>,
) {
    for unused in &story.unused {
        let (Some(from), Some(to)) = (index.get(unused.from.as_str()), index.get(unused.to.as_str())) else {
            continue;
        };
        for service in &unused.services {
            let cell = cells.entry((*from, *to, Verdict::Unused, service)).or_default();
            cell.line.service.clone_from(service);
            cell.line.rules.extend(unused.rule.clone());
        }
    }
}

fn bundle(cells: BTreeMap<(usize, usize, Verdict, &str), Gather<'_>>) -> Vec<Bundle> {
    let mut bundles: Vec<Bundle> = Vec::new();
    for ((from, to, verdict, _), gather) in cells {
        let line =
            ServiceLine { clients: gather.clients.len(), servers: gather.servers.len(), ..gather.line };
        match bundles.last_mut() {
            Some(last) if (last.from, last.to, last.verdict) == (from, to, verdict) => {
                last.flows = last.flows.saturating_add(line.flows);
                last.bytes = last.bytes.saturating_add(line.bytes);
                last.services.push(line);
            }
            _ => bundles.push(Bundle {
                from,
                to,
                verdict,
                flows: line.flows,
                bytes: line.bytes,
                services: vec![line],
            }),
        }
    }
    for bundle in &mut bundles {
        bundle.services.sort_by(|a, b| b.flows.cmp(&a.flows).then_with(|| a.service.cmp(&b.service)));
    }
    bundles
}
