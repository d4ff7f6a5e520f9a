//! Where to cut the tree.
//!
//! The cut with the best mean silhouette (Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
//! validation of cluster analysis", J. Comput. Appl. Math. 1987): how much closer a member is to its own cluster than
//! to the next. By that definition a member that is alone scores 0, which makes every cut that sets single workloads
//! apart look bad; but networks are full of roles that one host plays. Here a single member is judged as if it had a
//! cluster at distance [`ALONE`]: it scores well when all others are farther than that, and badly when one is nearer.

use crate::linkage::{Distances, Merge, average_linkage, cut};

/// The distance that a workload standing alone is taken to have to its own: half alike.
const ALONE: f32 = 0.5;
/// Cuts are tried at this many evenly spaced heights; those that part the workloads alike are tried once.
const HEIGHTS: usize = 200;

/// The label of each thing at the best cut, and its silhouette there.
pub(crate) fn best(distances: &Distances) -> (Vec<u32>, Vec<f32>) {
    let n = distances.len();
    let merges = average_linkage(distances);
    let mut best = (vec![0; n], vec![0.0; n]);
    let mut best_mean = match n {
        0 => return best,
        1 => return best,
        // One segment for all has no next one to compare with; it wins when no cut has any merit.
        _ => 0.0,
    };
    let mut tried = usize::MAX;
    for step in 0..HEIGHTS {
        let height = step as f32 / HEIGHTS as f32;
        let count = merges.partition_point(|merge: &Merge| merge.height <= height);
        if count == tried || count + 1 >= n {
            continue;
        }
        tried = count;
        let labels = cut(n, &merges[..count]);
        let silhouettes = silhouettes(distances, &labels);
        let mean = silhouettes.iter().map(|s| f64::from(*s)).sum::<f64>() / n as f64;
        if mean > best_mean {
            best_mean = mean;
            best = (labels, silhouettes);
        }
    }
    best
}

/// The silhouette of each thing, -1 to 1; all 0 when there is one cluster only.
pub(crate) fn silhouettes(distances: &Distances, labels: &[u32]) -> Vec<f32> {
    let count = labels.iter().max().map_or(0, |top| *top as usize + 1);
    let mut sizes = vec![0_u32; count];
    labels.iter().for_each(|label| sizes[*label as usize] += 1);
    if sizes.iter().filter(|size| **size > 0).count() < 2 {
        return vec![0.0; labels.len()];
    }
    let mut sums = vec![0.0_f32; count];
    let mut result = Vec::with_capacity(labels.len());
    for (at, own) in labels.iter().enumerate() {
        sums.fill(0.0);
        for (distance, label) in distances.row(at).iter().zip(labels) {
            sums[*label as usize] += distance;
        }
        let own = *own as usize;
        let mean_to = |cluster: usize| sums[cluster] / sizes[cluster] as f32;
        let next = (0..count).filter(|c| *c != own && sizes[*c] > 0).map(mean_to).fold(f32::MAX, f32::min);
        let inside = if sizes[own] > 1 { sums[own] / (sizes[own] - 1) as f32 } else { ALONE };
        result.push((next - inside) / next.max(inside).max(f32::MIN_POSITIVE));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(points: &[f32]) -> Vec<u32> {
        best(&Distances::from_pairs(points.len(), |i, j| (points[i] - points[j]).abs())).0
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
