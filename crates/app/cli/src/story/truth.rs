//! The truth beside a recording of the lab, as far as a report needs it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use model::{Micros, Segmentation, TimeWindow, parse_time};
use serde::Deserialize;

/// What a recording knows of itself.
#[derive(Deserialize)]
pub(crate) struct Truth {
    pub(crate) phases: Vec<Phase>,
    /// Segment to members.
    pub(crate) segments: BTreeMap<String, Vec<String>>,
    pub(crate) conversations: Vec<TrueConversation>,
    pub(crate) attack: TrueAttack,
}

/// A span of the recording.
#[derive(Deserialize)]
pub(crate) struct Phase {
    name: String,
    from: String,
    to: String,
}

/// All connections of one meaning between two hosts.
#[derive(Deserialize)]
pub(crate) struct TrueConversation {
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) service: String,
    pub(crate) legitimate: bool,
}

/// What the intruder did.
#[derive(Deserialize)]
pub(crate) struct TrueAttack {
    /// The workload that was taken first.
    pub(crate) entry: String,
    pub(crate) steps: Vec<TrueStep>,
}

/// One step of the intruder.
#[derive(Deserialize)]
pub(crate) struct TrueStep {
    pub(crate) technique: String,
    pub(crate) title: String,
    pub(crate) start: String,
    pub(crate) from: String,
    /// Workloads, addresses or blocks.
    pub(crate) to: Vec<String>,
    pub(crate) protocol: u8,
    pub(crate) ports: Vec<u16>,
    pub(crate) tool: String,
    /// Workloads between the first one and `from`, each reached by SSH from the one before.
    pub(crate) hops: Vec<String>,
}

impl Truth {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).context("the recording's truth is not readable")
    }

    /// The window of a phase.
    pub(crate) fn window(&self, name: &str) -> anyhow::Result<TimeWindow> {
        let phase = self.phases.iter().find(|p| p.name == name);
        let phase = phase.with_context(|| format!("the recording has no phase `{name}`"))?;
        Ok(TimeWindow { from: moment(&phase.from)?, to: moment(&phase.to)? })
    }

    /// Whether a conversation was legitimate; none when nobody meant it. The service of a dynamic port is a range.
    pub(crate) fn legitimate(&self, client: &str, server: &str, service: model::Service) -> Option<bool> {
        let matching = self.conversations.iter().filter(|c| {
            c.client == client
                && c.server == server
                && c.service.parse::<model::Service>().is_ok_and(|known| known.covers(&service))
        });
        matching.map(|c| c.legitimate).max()
    }
}

/// A time of the recording.
pub(crate) fn moment(text: &str) -> anyhow::Result<Micros> {
    Ok(parse_time(text, 0)?)
}

/// Hubert and Arabie's adjusted Rand index of a segmentation against true segments, over the workloads of the truth.
/// Whoever is unassigned counts as a segment of one. 1 is equal, 0 is chance.
pub(crate) fn adjusted_rand_index(found: &Segmentation, truth: &BTreeMap<String, Vec<String>>) -> f64 {
    let mut pairs: BTreeMap<(String, &str), f64> = BTreeMap::new();
    for (name, members) in truth {
        for member in members {
            let own = found.segments.iter().find(|s| s.members.iter().any(|m| m.0 == *member));
            let place = own.map_or_else(|| format!("alone:{member}"), |s| s.id.0.clone());
            *pairs.entry((place, name)).or_default() += 1.0;
        }
    }
    let choose = |n: f64| n * (n - 1.0) / 2.0;
    let (mut rows, mut columns): (BTreeMap<&str, f64>, BTreeMap<&str, f64>) = Default::default();
    let mut together = 0.0;
    for ((row, column), count) in &pairs {
        *rows.entry(row).or_default() += count;
        *columns.entry(column).or_default() += count;
        together += choose(*count);
    }
    let total: f64 = rows.values().sum();
    let (in_rows, in_columns): (f64, f64) =
        (rows.values().map(|n| choose(*n)).sum(), columns.values().map(|n| choose(*n)).sum());
    if total < 2.0 {
        return 1.0;
    }
    let expected = in_rows * in_columns / choose(total);
    let most = (in_rows + in_columns) / 2.0;
    if (most - expected).abs() < f64::EPSILON { 1.0 } else { (together - expected) / (most - expected) }
}

#[cfg(test)]
mod tests {
    use model::{Segment, SegmentId, WorkloadId};

    use super::*;

    fn segmentation(groups: &[&[&str]]) -> Segmentation {
        let segment = |(index, members): (usize, &&[&str])| Segment {
            id: SegmentId(format!("s{index}")),
            name: format!("s{index}"),
            members: members.iter().map(|m| WorkloadId((*m).to_owned())).collect(),
            confidence: 1.0,
            reasons: Vec::new(),
        };
        Segmentation { segments: groups.iter().enumerate().map(segment).collect(), unassigned: Vec::new() }
    }

    #[test]
    fn index_is_one_for_equal_and_lower_otherwise() {
        let truth: BTreeMap<String, Vec<String>> = [("a", vec!["1", "2"]), ("b", vec!["3", "4"])]
            .into_iter()
            .map(|(name, members)| (name.to_owned(), members.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(adjusted_rand_index(&segmentation(&[&["1", "2"], &["3", "4"]]), &truth), 1.0);
        // Hubert and Arabie 1985: two against two, crossed, is worse than chance.
        assert!((adjusted_rand_index(&segmentation(&[&["1", "3"], &["2", "4"]]), &truth) + 0.5).abs() < 1e-9);
        assert!(adjusted_rand_index(&segmentation(&[]), &truth).abs() < 1e-9);
    }
}
