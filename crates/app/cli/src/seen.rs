//! How much of what happened was seen, for the commands that rest on it.

use coverage::{Assessment, Baseline, Standing, Watch, assess};
use graph::{Graph, Node};
use lake::{EdgeQuery, Lake};
use model::{CoverageRow, CoverageTable, TimeWindow, parse_time};
use policy::{Document, Evidence, PolicySet};
use serde_json::{Value, json};

/// The coverage of a window, and what it is judged by.
pub(crate) struct Seen {
    pub(crate) baseline: Baseline,
    pub(crate) assessment: Assessment,
}

impl Seen {
    /// The coverage of a lake's window. What is usual is learnt from all of the lake.
    pub(crate) fn of(lake: &Lake, window: TimeWindow) -> anyhow::Result<Self> {
        let all = lake.coverage(TimeWindow::ALL)?;
        let baseline = Baseline::learn(&all);
        let assessment = assess(&lake.coverage(window)?, window, &baseline);
        Ok(Self { baseline, assessment })
    }

    /// The coverage of one input by itself.
    pub(crate) fn of_tables<'a>(tables: impl IntoIterator<Item = (&'a str, &'a CoverageTable)>) -> Self {
        let mut rows = Vec::new();
        for (source, table) in tables {
            rows.extend(table.rows().into_iter().map(|(exporter, hour, coverage)| CoverageRow {
                source: source.into(),
                exporter: exporter.clone(),
                hour,
                coverage: coverage.clone(),
            }));
        }
        let baseline = Baseline::learn(&rows);
        let assessment = assess(&rows, TimeWindow::ALL, &baseline);
        Self { baseline, assessment }
    }

    /// One line for people: the score and its arithmetic.
    pub(crate) fn line(&self) -> String {
        match self.assessment.score {
            Some(score) => format!("visibility {} ({})", share(score), self.assessment.why),
            None => {
                String::from("visibility unknown: the lake says nothing of what was received in the window")
            }
        }
    }

    /// The same for scripts.
    pub(crate) fn json(&self) -> Value {
        let Assessment { score, why, exporters, .. } = &self.assessment;
        json!({ "score": score, "why": why, "exporters": exporters })
    }

    /// How well each node of a graph was seen. Nothing when nothing is known of what was received: a lake that was written
    /// before coverage was kept is not one that nobody watched.
    pub(crate) fn standing(
        &self,
        lake: &Lake,
        window: TimeWindow,
        graph: &Graph,
    ) -> anyhow::Result<Vec<(String, Standing)>> {
        if self.assessment.score.is_none() {
            return Ok(Vec::new());
        }
        let mut watch = Watch::default();
        let mut partial = converse::Rollup::new(lake::HOUR_US);
        let query = EdgeQuery { window, cuts: Vec::new() };
        lake.edges(&query, &mut |batch| partial.add(batch))?.iter().for_each(|row| watch.add(row));
        partial.drain().iter().for_each(|row| watch.add(row));
        let of = |node: &Node| {
            let standing = watch.standing([node.addresses.as_slice()], &self.assessment)?;
            Some((node.id.0.clone(), standing))
        };
        Ok(graph.nodes.iter().filter_map(of).collect())
    }
}

/// How many rules of a policy were learnt from traffic of a window, and how many rest on traffic at all. Replayed over that
/// window, they are asked what they were told.
pub(crate) fn learnt_within(set: &PolicySet, window: TimeWindow) -> (usize, usize) {
    let evidence = |document: &Document| match document {
        Document::SegmentPolicy(policy) => {
            policy.allow.iter().filter_map(|rule| rule.evidence.clone()).collect()
        }
        Document::Guardrail(guardrail) => {
            guardrail.allow.iter().filter_map(|rule| rule.evidence.clone()).collect()
        }
        Document::Segment(_) => Vec::new(),
    };
    let all: Vec<Evidence> = set.documents.iter().flat_map(|(_, document)| evidence(document)).collect();
    let within = |evidence: &&Evidence| {
        let last = evidence.last_seen.as_deref().and_then(|text| parse_time(text, 0).ok());
        last.is_some_and(|last| window.contains(last))
    };
    (all.iter().filter(within).count(), all.len())
}

/// The same as a sentence; none when the window is a hold-out.
pub(crate) fn learnt_text((within, all): (usize, usize)) -> Option<String> {
    (within > 0).then(|| {
        format!(
            "{within} of {all} rules were learnt from traffic of this very window, so that it is no hold-out: what is allowed \
             of it says little of other traffic"
        )
    })
}

/// A share with three digits, never rounded up.
pub(crate) fn share(share: f64) -> String {
    format!("{:.3}", (share * 1_000.0 + 1e-9).floor() / 1_000.0)
}
