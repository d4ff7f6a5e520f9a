//! What came of it, as tables.

use std::collections::BTreeMap;

use model::{Client, FlowBatch};

use super::data::{Network, unordered};

/// Right, wrong and withheld, and how sure.
#[derive(Clone, Default, Debug)]
pub struct Score {
    /// What was judged: ports differ, or another asymmetry decides.
    pub judged: u32,
    /// Equal ports both ways: nothing in the tuple tells the sides apart.
    pub equal_ports: u32,
    /// Right among what is decidable.
    pub right: u32,
    /// Wrong among what is decidable.
    pub wrong: u32,
    /// Right and wrong with equal ports.
    pub equal_right: u32,
    /// See above.
    pub equal_wrong: u32,
    /// Sum of squared errors of the confidences stated.
    pub brier: f64,
    /// By confidence from 0.5 in steps of 0.05: stated, right, sum of confidence.
    pub bins: [(u32, u32, f64); 10],
}

impl Score {
    /// Counts one judgement: `said` is the probability that the source opened, or none.
    pub fn add(&mut self, said: Option<f64>, opens: bool, equal_ports: bool) {
        let right = said.map(|p| (p > 0.5) == opens);
        if equal_ports {
            self.equal_ports += 1;
            self.equal_right += u32::from(right == Some(true));
            self.equal_wrong += u32::from(right == Some(false));
        } else {
            self.judged += 1;
            self.right += u32::from(right == Some(true));
            self.wrong += u32::from(right == Some(false));
        }
        if let (Some(p), Some(right)) = (said, right) {
            let confidence = p.max(1.0 - p);
            self.brier += (confidence - f64::from(u8::from(right))).powi(2);
            let bin = &mut self.bins[(((confidence - 0.5) * 20.0) as usize).min(9)];
            *bin = (bin.0 + 1, bin.1 + u32::from(right), bin.2 + confidence);
        }
    }

    /// Expected calibration error over what was stated.
    pub fn calibration_error(&self) -> f64 {
        let stated: u32 = self.bins.iter().map(|b| b.0).sum();
        self.bins.iter().map(|b| (f64::from(b.1) - b.2).abs()).sum::<f64>() / f64::from(stated.max(1))
    }

    /// One line: decidable, stated, right of stated, right of decidable, the equal ports, Brier, calibration.
    pub fn line(&self) -> String {
        let percent = |a: u32, b: u32| 100.0 * f64::from(a) / f64::from(b.max(1));
        let stated: u32 = self.bins.iter().map(|b| b.0).sum();
        format!(
            "{:>6} decidable, {:>5.1}% stated, {:>5.1}% of stated right, {:>5.1}% of decidable right; {:>4} equal ports ({} right, {} wrong); Brier {:.3}, ECE {:.3}",
            self.judged,
            percent(self.right + self.wrong, self.judged),
            percent(self.right, self.right + self.wrong),
            percent(self.right, self.judged),
            self.equal_ports,
            self.equal_right,
            self.equal_wrong,
            self.brier / f64::from(stated.max(1)),
            self.calibration_error(),
        )
    }
}

/// Scores of a family: by flow, and by conversation (one for each unordered tuple of a network; its flows must agree).
#[derive(Clone, Default, Debug)]
pub struct Family {
    /// Every flow counts.
    pub flows: Score,
    /// Every connection counts once.
    pub conversations: Score,
}

/// Judges what `say` states of each row, by family.
pub fn judge(
    networks: &[&Network],
    mut say: impl FnMut(&Network) -> Vec<Option<f64>>,
) -> BTreeMap<&'static str, Family> {
    let mut families: BTreeMap<&'static str, Family> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    for network in networks {
        let said = say(network);
        let family = families.entry(network.family).or_default();
        for (row, opens) in network.truth.iter().enumerate() {
            let Some(opens) = opens else { continue };
            let f = &network.flows;
            let equal = f.src_port[row] == f.dst_port[row];
            if f.present[row] & FlowBatch::HAS_PORTS == 0 {
                continue;
            }
            family.flows.add(said[row], *opens, equal);
            let tuple = (f.src[row], f.src_port[row], f.dst[row], f.dst_port[row], f.protocol[row]);
            if seen.insert((network.family, network.group, unordered(tuple).0)) {
                family.conversations.add(said[row], *opens, equal);
            }
        }
    }
    families
}

/// What the flow's columns state, as the probability that the source opened.
pub fn stated(flows: &FlowBatch) -> Vec<Option<f64>> {
    (0..flows.len())
        .map(|row| {
            let p = f64::from(flows.client_confidence[row]);
            match flows.client[row] {
                Client::Unknown => None,
                Client::Src => Some(p),
                Client::Dst => Some(1.0 - p),
            }
        })
        .collect()
}
