//! Coverage as the heat map of a report.

use std::collections::BTreeMap;

use coverage::{Assessment, ExporterScore, gaps};
use graph::Graph;
use lake::HOUR_US;
use model::{Micros, TimeWindow};
use report::{StoryExporter, StoryGap, StoryVisibility};

use crate::seen::Seen;
use crate::world::World;

/// Columns at most; beyond it a column stands for several hours, or days.
const MOST_COLUMNS: i64 = 48;
/// Hours that a column can stand for.
const STEPS: [i64; 7] = [1, 2, 3, 6, 12, 24, 168];

/// The panel of a window; none when the lake does not say what was received, or cannot be asked.
pub(super) fn visibility(world: &World, graph: &Graph, window: TimeWindow) -> Option<StoryVisibility> {
    let seen = Seen::of(&world.lake, window).ok()?;
    let found = &seen.assessment;
    let score = found.score?;
    let columns = Columns::of(found, &seen);
    let mut exporters: Vec<StoryExporter> =
        found.exporters.iter().map(|one| columns.row(found, one)).collect();
    exporters.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.name.cmp(&b.name)));
    let known = world.inventory.workloads();
    let active = |id: &str| graph.nodes.iter().any(|node| node.id.0 == id && !node.addresses.is_empty());
    let talked: std::collections::BTreeSet<u32> =
        graph.edges.iter().flat_map(|e| [e.client, e.server]).collect();
    let talks =
        |id: &str| talked.iter().any(|index| graph.nodes.get(*index as usize).is_some_and(|n| n.id.0 == id));
    let gap = |gap: coverage::Gap| StoryGap {
        exporter: gap.exporter.0.to_string(),
        what: gap.what,
        remedy: gap.remedy,
    };
    Some(StoryVisibility {
        score,
        why: found.why.clone(),
        unseen: known.iter().filter(|w| !(active(&w.id.0) && talks(&w.id.0))).count() as u64,
        columns: (0..columns.count).map(|at| columns.from + at * columns.hours * HOUR_US).collect(),
        column_hours: columns.hours as u32,
        exporters,
        gaps: gaps(found, &seen.baseline).into_iter().map(gap).collect(),
    })
}

struct Columns {
    from: Micros,
    hours: i64,
    count: i64,
}

impl Columns {
    /// Columns over the time that most was reported of: an odd hour years away would leave nothing to see.
    fn of(found: &Assessment, seen: &Seen) -> Self {
        let (first, last) = found.span.unwrap_or_default();
        let (from, to) = seen.baseline.body();
        let (first, last) = (first.max(from), last.min(to));
        let all = ((last - first) / HOUR_US + 1).max(1);
        let fits = |hours: &&i64| (all + **hours - 1) / **hours <= MOST_COLUMNS;
        let hours = STEPS.iter().find(fits).copied().unwrap_or((all + MOST_COLUMNS - 1) / MOST_COLUMNS);
        let from = first.div_euclid(hours * HOUR_US).saturating_mul(hours * HOUR_US);
        Self { from, hours, count: (last.max(first) - from) / (hours * HOUR_US) + 1 }
    }

    fn row(&self, found: &Assessment, exporter: &ExporterScore) -> StoryExporter {
        let mut worst: BTreeMap<i64, f64> = BTreeMap::new();
        let same = found
            .hours
            .iter()
            .filter(|hour| hour.row.exporter == exporter.exporter && hour.row.source == exporter.source);
        let heard = same.map(|hour| (hour.row.hour, hour.score));
        for (at, score) in heard.chain(exporter.silent.iter().map(|hour| (*hour, 0.0))) {
            let known = worst.entry((at - self.from).div_euclid(self.hours * HOUR_US)).or_insert(1.0);
            *known = known.min(score);
        }
        StoryExporter {
            name: exporter.exporter.0.to_string(),
            source: exporter.source.to_string(),
            flows: exporter.total.flows,
            score: exporter.score,
            cells: (0..self.count).map(|column| worst.get(&column).copied()).collect(),
            why: exporter.why.clone(),
        }
    }
}
