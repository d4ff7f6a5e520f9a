//! Where to cut the tree.
//!
//! The cut with the best mean silhouette (Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
//! validation of cluster analysis", J. Comput. Appl. Math. 1987): how much closer a member is to its own cluster than
//! to the next. By that definition a member that is alone scores 0, which makes every cut that sets single workloads
//! apart look bad; but networks are full of roles that one host plays. Here a single member is judged as if it had a
//! cluster at distance [`ALONE`]: it scores well when all others are farther than that, and badly when one is nearer.

use std::collections::BTreeMap;

use crate::linkage::{Distances, Merge, average_linkage, cut};

/// The distance that a workload standing alone is taken to have to its own: half alike.
const ALONE: f32 = 0.5;
/// Cuts are tried at this many evenly spaced heights; those that part the workloads alike are tried once.
const HEIGHTS: usize = 200;
/// Rounds in which things may move to a nearer cluster.
const MOVES_MAX: usize = 4;

/// The label of each thing at the best cut.
pub(crate) fn best(distances: &Distances) -> Vec<u32> {
    let n = distances.len();
    // One segment for all has no next one to compare with; it wins when no cut has any merit.
    let mut best = vec![0; n];
    if n < 2 {
        return best;
    }
    let merges = average_linkage(distances);
    let mut clusters = Clusters::alone(distances);
    let (mut best_mean, mut done, mut tried) = (0.0, 0, usize::MAX);
    for step in 0..HEIGHTS {
        let height = step as f32 / HEIGHTS as f32;
        let count = merges.partition_point(|merge: &Merge| merge.height <= height);
        if count == tried || count + 1 >= n {
            continue;
        }
        merges[done..count].iter().for_each(|merge| clusters.merge(merge));
        (done, tried) = (count, count);
        let silhouettes = clusters.silhouettes();
        let mean = silhouettes.iter().map(|s| f64::from(*s)).sum::<f64>() / n as f64;
        if mean > best_mean {
            best_mean = mean;
            best = cut(n, &merges[..count]);
        }
    }
    best
}

/// Moves every thing that is clearly nearer to another cluster there, a few times over: average linkage never takes a
/// merge back, and an early one may have been wrong. Gives the silhouettes after that.
pub(crate) fn settle(distances: &Distances, labels: &mut [u32], silhouette_min: f32) -> Vec<f32> {
    for _ in 0..MOVES_MAX {
        let found = silhouettes(distances, labels);
        let moves: Vec<(usize, u32)> = (0..labels.len())
            .filter(|at| found[*at] < silhouette_min)
            .map(|at| (at, nearest(distances, labels, at)))
            .collect();
        if moves.is_empty() {
            return found;
        }
        moves.into_iter().for_each(|(at, label)| labels[at] = label);
    }
    silhouettes(distances, labels)
}

/// The label of the cluster, other than its own, with the least mean distance.
fn nearest(distances: &Distances, labels: &[u32], at: usize) -> u32 {
    let mut sums: BTreeMap<u32, (f32, f32)> = BTreeMap::new();
    for (distance, label) in distances.row(at).iter().zip(labels).filter(|(_, label)| **label != labels[at]) {
        let sum = sums.entry(*label).or_default();
        *sum = (sum.0 + distance, sum.1 + 1.0);
    }
    let mean = |(_, (sum, count)): &(&u32, &(f32, f32))| sum / count;
    let least = sums.iter().min_by(|a, b| mean(a).total_cmp(&mean(b)));
    least.map_or(labels[at], |(label, _)| *label)
}

/// The silhouette of each thing, -1 to 1; all 0 when there is one cluster only.
pub(crate) fn silhouettes(distances: &Distances, labels: &[u32]) -> Vec<f32> {
    let mut clusters = Clusters::alone(distances);
    let mut first = BTreeMap::new();
    for (at, label) in labels.iter().enumerate() {
        let leader = *first.entry(*label).or_insert(at);
        if leader != at {
            clusters.merge(&Merge { a: leader as u32, b: at as u32, height: 0.0 });
        }
    }
    clusters.silhouettes()
}

/// Clusters under way: each is known by its first member, and carries the sum of the distances from its members to
/// every thing, so that a merge is one addition of rows and a cut's silhouettes are one pass over the rows that live.
struct Clusters {
    n: usize,
    sums: Vec<f32>,
    sizes: Vec<u32>,
    leaders: Vec<u32>,
}

impl Clusters {
    fn alone(distances: &Distances) -> Self {
        let n = distances.len();
        let sums = (0..n).flat_map(|at| distances.row(at)).copied().collect();
        Self { n, sums, sizes: vec![1; n], leaders: (0..n as u32).collect() }
    }

    fn merge(&mut self, merge: &Merge) {
        let (a, b) = (self.leaders[merge.a as usize], self.leaders[merge.b as usize]);
        let (kept, gone) = (a.min(b) as usize, a.max(b) as usize);
        if kept == gone {
            return;
        }
        let (before, after) = self.sums.split_at_mut(gone * self.n);
        let into = &mut before[kept * self.n..(kept + 1) * self.n];
        into.iter_mut().zip(&after[..self.n]).for_each(|(sum, more)| *sum += more);
        self.sizes[kept] += self.sizes[gone];
        self.sizes[gone] = 0;
        let old = gone as u32;
        self.leaders.iter_mut().filter(|leader| **leader == old).for_each(|leader| *leader = kept as u32);
    }

    fn silhouettes(&self) -> Vec<f32> {
        let living = || (0..self.n).filter(|c| self.sizes[*c] > 0);
        if living().count() < 2 {
            return vec![0.0; self.n];
        }
        let mut next = vec![f32::MAX; self.n];
        for cluster in living() {
            let share = 1.0 / self.sizes[cluster] as f32;
            let row = &self.sums[cluster * self.n..(cluster + 1) * self.n];
            for ((least, sum), leader) in next.iter_mut().zip(row).zip(&self.leaders) {
                let mean = if *leader == cluster as u32 { f32::MAX } else { sum * share };
                *least = least.min(mean);
            }
        }
        (0..self.n).map(|at| self.silhouette(at, next[at])).collect()
    }

    fn silhouette(&self, at: usize, next: f32) -> f32 {
        let own = self.leaders[at] as usize;
        let inside = match self.sizes[own] {
            1 => ALONE,
            size => self.sums[own * self.n + at] / (size - 1) as f32,
        };
        (next - inside) / next.max(inside).max(f32::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(points: &[f32]) -> Vec<u32> {
        best(&Distances::from_pairs(points.len(), |i, j| (points[i] - points[j]).abs()))
    }

    #[test]
    fn groups_and_loners_are_found() {
        assert_eq!(labels(&[0.0, 0.02, 0.98, 1.0, 0.01]), [0, 0, 1, 1, 0]);
        assert_eq!(labels(&[0.0, 0.01, 0.02, 1.0]), [0, 0, 0, 1]);
        // All alike: one segment. Two that have nothing in common: two.
        assert_eq!(labels(&[0.5, 0.5, 0.5]), [0, 0, 0]);
        assert_eq!(labels(&[0.0, 1.0]), [0, 1]);
        assert_eq!(labels(&[0.0]), [0]);
        assert!(labels(&[]).is_empty());
    }

    #[test]
    fn what_is_nearer_to_another_cluster_moves() {
        let points = [0.0_f32, 0.1, 0.9, 1.0, 0.2];
        let distances = Distances::from_pairs(5, |i, j| (points[i] - points[j]).abs());
        let mut labels = [0, 0, 1, 1, 1];
        let found = settle(&distances, &mut labels, -0.1);
        assert_eq!(labels, [0, 0, 1, 1, 0]);
        assert!(found.iter().all(|s| *s > 0.5), "{found:?}");
    }

    #[test]
    fn a_silhouette_by_hand() {
        let points = [0.0_f32, 0.2, 1.0];
        let distances = Distances::from_pairs(3, |i, j| (points[i] - points[j]).abs());
        let found = silhouettes(&distances, &[0, 0, 1]);
        // (1 - 0.2) / 1, (0.8 - 0.2) / 0.8, (0.9 - 0.5) / 0.9
        for (ours, by_hand) in found.iter().zip([0.8, 0.75, 0.4444]) {
            assert!((ours - by_hand).abs() < 1e-3, "{found:?}");
        }
    }
}
