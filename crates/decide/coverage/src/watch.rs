//! Which exporters saw which addresses.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use model::{Exporter, Ip, RollupRow};
use serde::Serialize;

use crate::SAMPLED_ENOUGH;
use crate::assess::Assessment;

/// The exporters that saw each address in a window.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    exporters: Vec<Exporter>,
    seen: HashMap<Ip, Vec<u32>, FixedState>,
    last: usize,
}

/// How well a group of addresses, such as a workload or a segment, was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Probability that a conversation of one of its members was seen, 0 to 1: the mean over members, each by the best
    /// exporter that saw it; members that none saw count 0.
    pub score: f64,
    /// Members.
    pub members: u32,
    /// Members that no exporter saw anything of.
    pub unseen: u32,
    /// Members that were seen through coarse sampling alone: what was not seen of them says nothing.
    pub sampled_only: u32,
}

impl Watch {
    /// Takes note of a sum's exporter and ends.
    pub fn add(&mut self, row: &RollupRow) {
        if self.exporters.get(self.last) != Some(&row.exporter) {
            self.last = match self.exporters.iter().position(|known| *known == row.exporter) {
                Some(known) => known,
                None => {
                    self.exporters.push(row.exporter.clone());
                    self.exporters.len() - 1
                }
            };
        }
        for ip in [row.client, row.server] {
            let known = self.seen.entry(ip).or_default();
            if !known.contains(&(self.last as u32)) {
                known.push(self.last as u32);
            }
        }
    }

    /// How well the members of a group were seen; each member is a list of addresses. None for a group without members.
    pub fn standing<'a>(
        &self,
        members: impl IntoIterator<Item = &'a [Ip]>,
        assessment: &Assessment,
    ) -> Option<Standing> {
        let scores: Vec<_> = self
            .exporters
            .iter()
            .map(|exporter| assessment.of(exporter).map_or((0.0, 0.0), |found| (found.score, found.sampled)))
            .collect();
        let (mut standing, mut sum) = (Standing { score: 0.0, members: 0, unseen: 0, sampled_only: 0 }, 0.0);
        for addresses in members {
            standing.members += 1;
            let seen = addresses.iter().filter_map(|ip| self.seen.get(ip)).flatten();
            let best = seen.map(|index| scores[*index as usize]).fold(
                None,
                |best: Option<(f64, f64)>, (score, sampled)| {
                    let (a, b) = best.unwrap_or((0.0, 0.0));
                    Some((a.max(score), b.max(sampled)))
                },
            );
            match best {
                None => standing.unseen += 1,
                Some((score, sampled)) => {
                    sum += score;
                    standing.sampled_only += u32::from(sampled < SAMPLED_ENOUGH);
                }
            }
        }
        standing.score = sum / f64::from(standing.members.max(1));
        (standing.members > 0).then_some(standing)
    }
}
