//! Segments from traffic alone: no labels, no count given, one fixed setting.
//!
//! 1. A signature for each workload (`signatures`): what it offers, what it uses, and with whom;
//!    each weighted down by how common it is, so that name service and monitoring do not make everybody alike.
//! 2. Average linkage over the cosine distances of the signatures (`linkage`).
//! 3. The cut with the best silhouette, in a form that lets a workload stand alone (`cut`).
//!    Whoever is clearly nearer to another cluster then moves there.
//! 4. A second look at each segment: members that do the same, but with other partners, are another application (`partners`).
//!
//! Every constant was chosen on the first twelve hours of one network and on synthetic ones, before anything was
//! measured elsewhere. Nothing is left to chance: the same graph gives the same bytes.

mod carry;
mod cut;
pub mod edges;
pub mod linkage;
mod naming;
mod partners;
mod signatures;

use std::collections::BTreeSet;

use graph::{Graph, NodeKind};
use model::{Segment, SegmentId, Segmentation, Unassigned, WorkloadId};

use linkage::Distances;
use signatures::{Doubt, Signatures};

/// A member whose silhouette lies below this is closer to another segment than to its own, and is left out.
const SILHOUETTE_MIN: f32 = -0.1;
/// Nearest segments named for a workload that is in none.
const NEAREST_NAMED_MAX: usize = 3;

/// What to segment.
#[derive(Clone, Debug, Default)]
pub struct DiscoverOptions {
    /// Only these, with the whole graph as context; otherwise every workload of the graph.
    pub only: Option<BTreeSet<WorkloadId>>,
    /// An earlier segmentation, whose ids and names are kept where at least half of a segment's members stay.
    pub previous: Option<Segmentation>,
}

/// Segments of workloads that play one role, and those workloads that no segment can claim with confidence. Takes
/// `O(n^2)` time and memory in the workloads.
pub fn discover(graph: &Graph, options: &DiscoverOptions) -> Segmentation {
    let (population, absent) = population(graph, options);
    let signatures = Signatures::of(graph, &population);
    let mut left_out: Vec<Unassigned> = absent.into_iter().map(|id| unassigned(id, "no traffic")).collect();
    let mut members = Vec::new();
    for (at, node) in population.iter().enumerate() {
        match signatures.doubt(at) {
            None => members.push(at),
            Some(Doubt::NoTraffic) => {
                left_out.push(unassigned(graph.nodes[*node as usize].id.clone(), "no traffic"));
            }
            Some(Doubt::SharedOnly) => left_out.push(unassigned(
                graph.nodes[*node as usize].id.clone(),
                "offers nothing and uses only what everybody uses: nothing tells its role",
            )),
        }
    }
    let distances =
        Distances::from_pairs(members.len(), |i, j| 1.0 - signatures.similarity(members[i], members[j]));
    let mut labels = cut::best(&distances);
    let silhouettes = cut::settle(&distances, &mut labels, SILHOUETTE_MIN);
    let sure = |i: usize| silhouettes[i] >= SILHOUETTE_MIN;
    let groups = partners::split(&groups(&labels, sure), &members, &population, &signatures);
    let mut segmentation = describe(graph, &population, &signatures, &distances, &members, &groups);
    carry::keep_names(&mut segmentation, options.previous.as_ref());
    for i in (0..members.len()).filter(|i| !sure(*i)) {
        let id = graph.nodes[population[members[i]] as usize].id.clone();
        left_out.push(unsure(id, i, &distances, &groups, &segmentation, silhouettes[i]));
    }
    segmentation.unassigned = left_out;
    sort(&mut segmentation);
    segmentation
}

/// The nodes to be segmented, and the names asked for that the graph does not know.
fn population(graph: &Graph, options: &DiscoverOptions) -> (Vec<u32>, Vec<WorkloadId>) {
    let wanted = |index: &u32| {
        let node = &graph.nodes[*index as usize];
        match &options.only {
            Some(only) => only.contains(&node.id),
            None => node.kind == NodeKind::Workload,
        }
    };
    let population: Vec<u32> = (0..graph.nodes.len() as u32).filter(wanted).collect();
    let known: BTreeSet<&WorkloadId> =
        population.iter().map(|index| &graph.nodes[*index as usize].id).collect();
    let absent = options.only.iter().flatten().filter(|id| !known.contains(id)).cloned().collect();
    (population, absent)
}

/// Members by label, the unsure left out, groups in order of their first member.
fn groups(labels: &[u32], sure: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
    let count = labels.iter().max().map_or(0, |top| *top as usize + 1);
    let mut groups = vec![Vec::new(); count];
    for (at, label) in labels.iter().enumerate().filter(|(at, _)| sure(*at)) {
        groups[*label as usize].push(at);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Segments in the order of `groups`, each with its name, confidence and reasons.
fn describe(
    graph: &Graph,
    population: &[u32],
    signatures: &Signatures,
    distances: &Distances,
    members: &[usize],
    groups: &[Vec<usize>],
) -> Segmentation {
    let in_population: Vec<Vec<usize>> =
        groups.iter().map(|group| group.iter().map(|i| members[*i]).collect()).collect();
    let portraits = naming::portraits(graph, signatures, &in_population, members.len());
    let labels = flat_labels(groups, members.len());
    let silhouettes = cut::silhouettes(distances, &labels);
    let segments = groups.iter().zip(portraits).map(|(group, portrait)| {
        let id = |i: &usize| graph.nodes[population[members[*i]] as usize].id.clone();
        let mean = group.iter().map(|i| f64::from(silhouettes[*i])).sum::<f64>() / group.len() as f64;
        let mut reasons = portrait.reasons;
        reasons.push(cohesion(group, distances));
        let mut names: Vec<WorkloadId> = group.iter().map(id).collect();
        names.sort();
        Segment {
            id: SegmentId(String::new()),
            name: portrait.name,
            members: names,
            // -1 to 1 becomes 0 to 1; one decimal of a percent is more than it means.
            confidence: ((0.5 + mean / 2.0).clamp(0.0, 1.0) * 1e3).round() / 1e3,
            reasons,
        }
    });
    Segmentation { segments: segments.collect(), unassigned: Vec::new() }
}

/// Labels for all members; whoever is in no group gets one alone.
fn flat_labels(groups: &[Vec<usize>], count: usize) -> Vec<u32> {
    let mut labels = vec![u32::MAX; count];
    for (label, group) in groups.iter().enumerate() {
        group.iter().for_each(|i| labels[*i] = label as u32);
    }
    let alone = labels.iter_mut().filter(|label| **label == u32::MAX);
    alone.zip(groups.len() as u32..).for_each(|(label, next)| *label = next);
    labels
}

fn cohesion(group: &[usize], distances: &Distances) -> String {
    let outside: Vec<usize> = (0..distances.len()).filter(|i| !group.contains(i)).collect();
    let nearest = |i: &usize| outside.iter().map(|o| distances.get(*i, *o)).fold(1.0_f32, f32::min);
    let apart = group.iter().map(|i| f64::from(nearest(i))).sum::<f64>() / group.len() as f64;
    if group.len() == 1 {
        return format!("stands alone: the most alike workload is {:.0}% alike", 100.0 * (1.0 - apart));
    }
    let pairs = (group.len() * (group.len() - 1)) as f64;
    let sum: f64 = group.iter().flat_map(|i| group.iter().map(|j| f64::from(distances.get(*i, *j)))).sum();
    format!(
        "members are {:.0}% alike; the nearest workload outside is {:.0}% alike",
        100.0 * (1.0 - sum / pairs),
        100.0 * (1.0 - apart)
    )
}

fn unassigned(workload: WorkloadId, reason: &str) -> Unassigned {
    Unassigned { workload, nearest: Vec::new(), reason: reason.to_owned() }
}

fn unsure(
    workload: WorkloadId,
    at: usize,
    distances: &Distances,
    groups: &[Vec<usize>],
    segmentation: &Segmentation,
    silhouette: f32,
) -> Unassigned {
    let similarity = |group: &Vec<usize>| {
        1.0 - group.iter().map(|i| f64::from(distances.get(at, *i))).sum::<f64>() / group.len() as f64
    };
    let mut nearest: Vec<(SegmentId, f64)> = groups
        .iter()
        .zip(&segmentation.segments)
        .map(|(group, segment)| (segment.id.clone(), (similarity(group) * 1e3).round() / 1e3))
        .collect();
    nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    nearest.truncate(NEAREST_NAMED_MAX);
    let reason =
        format!("between segments: silhouette {silhouette:.2}, a member has at least {SILHOUETTE_MIN}");
    Unassigned { workload, nearest, reason }
}

fn sort(segmentation: &mut Segmentation) {
    segmentation.segments.sort_by(|a, b| a.name.cmp(&b.name));
    segmentation.unassigned.sort_by(|a, b| a.workload.cmp(&b.workload));
}

#[cfg(test)]
mod tests;
