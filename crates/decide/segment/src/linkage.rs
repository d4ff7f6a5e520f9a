//! Agglomerative clustering with average linkage.
//!
//! UPGMA by the nearest-neighbour chain (Murtagh, "A survey of recent advances in hierarchical clustering algorithms",
//! The Computer Journal 1983): `O(n^2)` time and memory, exact because average linkage is reducible.

/// Distances between all pairs of `n` things, symmetric with a zero diagonal.
#[derive(Clone, Debug)]
pub struct Distances {
    n: usize,
    /// The full square, row by row.
    values: Vec<f32>,
}

impl Distances {
    /// From a function of two indexes, called once for each pair `i < j`.
    pub fn from_pairs(n: usize, mut distance: impl FnMut(usize, usize) -> f32) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in i + 1..n {
                let d = distance(i, j);
                values[i * n + j] = d;
                values[j * n + i] = d;
            }
        }
        Self { n, values }
    }

    /// How many things.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The distance of two things.
    pub fn get(&self, i: usize, j: usize) -> f32 {
        self.values[i * self.n + j]
    }

    /// One thing's distances to all.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.n..(i + 1) * self.n]
    }
}

/// One step of the agglomeration: the clusters that hold `a` and `b` join at a mean distance.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Merge {
    /// A member of one cluster.
    pub a: u32,
    /// A member of the other.
    pub b: u32,
    /// Mean distance between their members.
    pub height: f32,
}

/// All merges, sorted by height; `n - 1` of them. Ties go to the lower index, so the result is a function of the input.
pub fn average_linkage(distances: &Distances) -> Vec<Merge> {
    let n = distances.n;
    let mut d = distances.values.clone();
    let mut size = vec![1_u32; n];
    let mut alive: Vec<bool> = vec![true; n];
    let mut merges = Vec::with_capacity(n.saturating_sub(1));
    let mut chain: Vec<usize> = Vec::new();
    let mut start = 0;
    while merges.len() + 1 < n {
        if chain.is_empty() {
            while !alive[start] {
                start += 1;
            }
            chain.push(start);
        }
        let tip = chain[chain.len() - 1];
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        let near = nearest(&d[tip * n..(tip + 1) * n], &alive, tip, before);
        if Some(near) != before {
            chain.push(near);
            continue;
        }
        chain.truncate(chain.len() - 2);
        merges.push(Merge { a: tip as u32, b: near as u32, height: d[tip * n + near] });
        let (kept, gone) = (tip.min(near), tip.max(near));
        let (wide, narrow) = (size[kept] as f32, size[gone] as f32);
        alive[gone] = false;
        for other in 0..n {
            if alive[other] && other != kept {
                let mean = (wide * d[kept * n + other] + narrow * d[gone * n + other]) / (wide + narrow);
                d[kept * n + other] = mean;
                d[other * n + kept] = mean;
            }
        }
        size[kept] += size[gone];
    }
    merges.sort_by(|x, y| x.height.total_cmp(&y.height));
    merges
}

/// The nearest living cluster; the one before in the chain wins ties, or the chain would not end.
fn nearest(row: &[f32], alive: &[bool], tip: usize, before: Option<usize>) -> usize {
    let mut best = before;
    let mut least = before.map_or(f32::INFINITY, |at| row[at]);
    for (other, distance) in row.iter().enumerate() {
        if alive[other] && other != tip && (*distance < least || best.is_none()) {
            (least, best) = (*distance, Some(other));
        }
    }
    best.unwrap_or(tip)
}

/// The clusters after the first so many merges: for each thing the number of its cluster, numbered by first member.
pub fn cut(n: usize, merges: &[Merge]) -> Vec<u32> {
    let mut parent: Vec<usize> = (0..n).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    for merge in merges {
        let (a, b) = (root(&mut parent, merge.a as usize), root(&mut parent, merge.b as usize));
        parent[a.max(b)] = a.min(b);
    }
    let mut number = vec![u32::MAX; n];
    let mut next = 0;
    (0..n)
        .map(|at| {
            let top = root(&mut parent, at);
            if number[top] == u32::MAX {
                number[top] = next;
                next += 1;
            }
            number[top]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word.
    fn naive(distances: &Distances) -> Vec<f32> {
        let mut clusters: Vec<Vec<usize>> = (0..distances.len()).map(|i| vec![i]).collect();
        let mut heights = Vec::new();
        while clusters.len() > 1 {
            let mut best = (f32::INFINITY, 0, 0);
            for i in 0..clusters.len() {
                for j in i + 1..clusters.len() {
                    let sum: f32 = clusters[i]
                        .iter()
                        .flat_map(|a| clusters[j].iter().map(move |b| (a, b)))
                        .map(|(a, b)| distances.get(*a, *b))
                        .sum();
                    let mean = sum / (clusters[i].len() * clusters[j].len()) as f32;
                    if mean < best.0 {
                        best = (mean, i, j);
                    }
                }
            }
            let gone = clusters.remove(best.2);
            clusters[best.1].extend(gone);
            heights.push(best.0);
        }
        heights
    }

    #[test]
    fn the_chain_agrees_with_the_definition() {
        for seed in 0..20_u32 {
            let mut state = seed.wrapping_mul(2_654_435_769) | 1;
            let distances = Distances::from_pairs(17, |_, _| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 24) as f32
            });
            let heights: Vec<f32> = average_linkage(&distances).iter().map(|m| m.height).collect();
            for (ours, theirs) in heights.iter().zip(naive(&distances)) {
                assert!((ours - theirs).abs() < 1e-4, "{heights:?}");
            }
        }
    }

    #[test]
    fn equal_distances_end() {
        let merges = average_linkage(&Distances::from_pairs(9, |_, _| 0.5));
        assert_eq!(merges.len(), 8);
        assert_eq!(cut(9, &merges), vec![0; 9]);
        assert_eq!(cut(3, &[]), [0, 1, 2]);
        assert!(average_linkage(&Distances::from_pairs(0, |_, _| 0.0)).is_empty());
    }
}
