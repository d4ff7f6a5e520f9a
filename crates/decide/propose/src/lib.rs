//! From a dependency graph and its segments to a least-privilege policy, each rule with its evidence.
//!
//! [`propose`] sorts the graph's edges into those that may teach and those that must not, groups the former by the
//! segments that they join, and writes the rules at the width whose description is shortest. Nothing is dropped in
//! silence: what does not become a rule is in [`Proposal::quarantined`] with the reason.
//!
//! Who is governed: every segment with at least one taught edge, and every workload outside of the segments that has
//! one, by itself. A workload whose only traffic is in quarantine is not governed, since nothing is known of what it
//! needs; its traffic to governed workloads is denied all the same.

mod cards;
mod cells;
mod existing;
mod group;
mod names;
mod options;
mod peers;
mod proposal;
mod quarantine;
mod ranges;
mod review;
mod sentences;
mod triage;
mod well_known;
mod width;
mod write;

use graph::{Graph, Noise};
use model::Segmentation;

pub use options::{InvalidWidth, ProposeOptions, Width};
pub use proposal::{
    FORMAT_VERSION, FrontierPoint, NeedsReview, Proposal, QuarantineReason, Quarantined, RuleCard,
    RuleEvidence, Sample,
};

use cells::Cells;
use existing::Existing;
use group::Governed;
use names::{Unique, count};
use peers::Peers;
use triage::Fate;
use width::{Draft, Drafter};
use write::{Taken, Writer};

/// Proposes a policy for the traffic of a graph. The same inputs give the same proposal, byte for byte.
pub fn propose(graph: &Graph, segmentation: &Segmentation, options: &ProposeOptions) -> Proposal {
    let policy = options.existing.as_ref();
    let (segments, ids, files) = existing::names(policy);
    let mut names = Unique::with(segments);
    let stems = files.iter().map(|file| file.trim_end_matches(".yaml").to_owned());
    let mut taken = Taken { ids: Unique::with(ids), files: Unique::with(stems) };

    let cells = Cells::build(graph, segmentation, &mut names);
    let mut fates = triage::triage(graph, &cells, options);
    let existing = Existing::new(graph, policy, options.as_of);
    if let Some(existing) = &existing {
        existing.apply(graph, &mut fates);
    }
    let governed = Governed::of(graph, &cells, &fates);
    let groups = group::groups(graph, &cells, &fates, &governed, &options.environment_label);
    let drafter = Drafter { graph, cells: &cells, governed: &governed, groups: &groups, options };

    let sample = sample_flows(graph, &fates);
    let (frontier, chosen, drafts) = choose(&drafter, sample);
    let mut peers = Peers::new(graph, segmentation, &cells, &governed, options, &mut names);
    let writer = Writer { drafter: &drafter, fates: &fates, existing: existing.as_ref() };
    let written = writer.write(&drafts, &mut peers, &mut taken);
    Proposal {
        format_version: FORMAT_VERSION,
        explanation: explain(&drafter, &fates, &frontier, chosen, &written.needs_review),
        needs_review: written.needs_review,
        policy: write::together(policy, written.documents),
        rules: written.cards,
        frontier,
        quarantined: quarantine::list(graph, &fates),
        chosen: chosen.to_string(),
    }
}

/// Connections that a policy should allow if it were as wide as need be: all but noise and what rules of people
/// decide already.
fn sample_flows(graph: &Graph, fates: &[Fate]) -> u64 {
    let counts = |(edge, fate): &(&graph::Edge, &Fate)| match fate {
        Fate::Teach(_) => true,
        Fate::Covered => false,
        Fate::Quarantine(reason, _) => {
            matches!(edge.noise, None | Some(Noise::OneOff | Noise::UncertainDirection))
                && !matches!(reason, QuarantineReason::Scan | QuarantineReason::Special)
        }
    };
    graph.edges.iter().zip(fates).filter(counts).map(|(edge, _)| edge.flows).sum()
}

/// Measures every width and takes the one with the fewest bits among those that permit little enough; where none
/// does, the one that permits least.
fn choose(drafter: &Drafter<'_>, sample: u64) -> (Vec<FrontierPoint>, Width, Vec<Draft>) {
    let options = drafter.options;
    let mut widths: Vec<Width> = Width::ALL.to_vec();
    widths.extend(options.width.filter(|width| !Width::ALL.contains(width)));
    let mut frontier = Vec::new();
    let mut best: Option<(Width, f64, Vec<Draft>)> = None;
    for width in widths {
        let drafts = drafter.drafts(width);
        let point = drafter.measure(width, &drafts, sample);
        let admissible = width != Width::Flat && point.over_permission <= options.max_over_permission;
        // Where a fixed share does as well, the fitted width says more of what it would do with other traffic.
        let margin = if width == Width::Fitted { 1e-9 } else { -1e-9 };
        let better = best.as_ref().is_none_or(|(_, bits, _)| point.bits < *bits + margin);
        // The narrowest width comes first and stands in when none is narrow enough.
        let first = frontier.is_empty();
        let take = match options.width {
            Some(asked) => asked == width,
            None => first || admissible && better,
        };
        if take {
            best = Some((width, point.bits, drafts));
        }
        frontier.push(point);
    }
    match best {
        Some((width, _, drafts)) => (frontier, width, drafts),
        None => (frontier, Width::Exact, drafter.drafts(Width::Exact)),
    }
}

fn explain(
    drafter: &Drafter<'_>,
    fates: &[Fate],
    frontier: &[FrontierPoint],
    chosen: Width,
    needs_review: &[NeedsReview],
) -> Vec<String> {
    let options = drafter.options;
    let mut lines = Vec::new();
    if let Some(point) = frontier.iter().find(|point| point.width == chosen.to_string()) {
        let how = match options.width {
            Some(_) => String::from("asked for"),
            None => format!(
                "the shortest description of the traffic ({:.0} bits: rules, and permissions beyond what was seen) \
                 among the widths with over-permission of at most {}",
                point.bits, options.max_over_permission
            ),
        };
        lines.push(format!(
            "width `{chosen}`, {how}: {}, {:.2} allowed triples for each one seen; {:.0}% of the triples would be \
             allowed had they not been seen",
            count(point.rules as u64, "rule"),
            point.over_permission,
            point.coverage_left_out * 100.0
        ));
    }
    let of = |test: fn(&Fate) -> bool| fates.iter().filter(|fate| test(fate)).count() as u64;
    lines.push(format!(
        "{} of the graph teach, {} in quarantine, {} decided by rules that were there",
        count(of(|fate| matches!(fate, Fate::Teach(_))), "edge"),
        of(|fate| matches!(fate, Fate::Quarantine(..))),
        of(|fate| matches!(fate, Fate::Covered))
    ));
    let silent = drafter.graph.nodes.len().saturating_sub(
        drafter.governed.cells.iter().map(|cell| drafter.cells.list[*cell].nodes.len()).sum::<usize>(),
    );
    lines.push(format!(
        "{} in {} are governed; {} of the graph are not, for want of an identity or of traffic to learn from",
        count(drafter.governed.population, "workload"),
        count(drafter.governed.cells.len() as u64, "segment"),
        count(silent as u64, "node")
    ));
    if !needs_review.is_empty() {
        lines.push(format!(
            "{} only observed, whatever the mode: seen through sampling alone, which is no ground for denying what was not seen",
            count(needs_review.len() as u64, "segment")
        ));
    }
    lines
}

#[cfg(test)]
mod tests;
