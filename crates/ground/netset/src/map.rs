//! Canonical maps from disjoint intervals to regions, the building block of multi-field sets.

use std::sync::Arc;

use crate::interval::{IntervalSet, Point};

/// A set with exact algebra: the same operations at every level of nesting.
pub trait Region: Clone + PartialEq {
    /// Whether nothing is in the set.
    fn is_empty(&self) -> bool;
    /// What is in either.
    fn union(&self, other: &Self) -> Self;
    /// What is in both.
    fn intersect(&self, other: &Self) -> Self;
    /// What is in this and not in the other.
    fn subtract(&self, other: &Self) -> Self;
    /// Whether all of this is in the other.
    fn is_subset(&self, other: &Self) -> bool {
        self.subtract(other).is_empty()
    }
    /// Whether the two have nothing in common.
    fn is_disjoint(&self, other: &Self) -> bool {
        self.intersect(other).is_empty()
    }
}

impl<R: Region> Region for Arc<R> {
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
    fn union(&self, other: &Self) -> Self {
        if Arc::ptr_eq(self, other) { Arc::clone(self) } else { Arc::new((**self).union(other)) }
    }
    fn intersect(&self, other: &Self) -> Self {
        if Arc::ptr_eq(self, other) { Arc::clone(self) } else { Arc::new((**self).intersect(other)) }
    }
    fn subtract(&self, other: &Self) -> Self {
        Arc::new((**self).subtract(other))
    }
}

/// A partial map from a discrete domain to non-empty regions, constant on intervals.
///
/// As a set it holds the pairs `(k, x)` with `x` in the region at `k`. Canonical: intervals sorted and disjoint,
/// regions non-empty, adjacent intervals with equal regions merged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IntervalMap<K, V> {
    runs: Vec<(K, K, V)>,
}

impl<K, V> Default for IntervalMap<K, V> {
    fn default() -> Self {
        Self { runs: Vec::new() }
    }
}

impl<K: Point, V: Region> IntervalMap<K, V> {
    /// The product of a set of keys and one region.
    pub fn product(keys: &IntervalSet<K>, region: &V) -> Self {
        if region.is_empty() {
            return Self::default();
        }
        Self { runs: keys.runs().iter().map(|&(low, high)| (low, high, region.clone())).collect() }
    }

    /// The intervals with their regions, sorted.
    pub fn runs(&self) -> &[(K, K, V)] {
        &self.runs
    }

    /// The region at a key. `O(log n)`.
    pub fn get(&self, key: K) -> Option<&V> {
        let after = self.runs.partition_point(|(low, _, _)| *low <= key);
        let (_, high, region) = self.runs.get(after.checked_sub(1)?)?;
        (*high >= key).then_some(region)
    }

    /// The keys that have a region.
    pub fn keys(&self) -> IntervalSet<K> {
        IntervalSet::from_ranges(self.runs.iter().map(|(low, high, _)| (*low, *high)))
    }

    fn push(&mut self, low: K, high: K, region: V) {
        if region.is_empty() {
            return;
        }
        match self.runs.last_mut() {
            Some((_, last, same)) if last.next() == Some(low) && *same == region => *last = high,
            _ => self.runs.push((low, high, region)),
        }
    }

    /// Walks both maps together and merges the regions of each elementary interval.
    fn combine(&self, other: &Self, mut merge: impl FnMut(Option<&V>, Option<&V>) -> Option<V>) -> Self {
        let mut result = Self::default();
        let (mut i, mut j) = (0, 0);
        let mut at = K::MIN;
        loop {
            while self.runs.get(i).is_some_and(|r| r.1 < at) {
                i += 1;
            }
            while other.runs.get(j).is_some_and(|r| r.1 < at) {
                j += 1;
            }
            let (a, b) = (self.runs.get(i), other.runs.get(j));
            if a.is_none() && b.is_none() {
                return result;
            }
            // The elementary interval starting at `at` ends before the next boundary of either map.
            let mut end = K::MAX;
            let mut here = [None, None];
            for (slot, run) in here.iter_mut().zip([a, b]) {
                match run {
                    Some((low, high, region)) if *low <= at => {
                        end = end.min(*high);
                        *slot = Some(region);
                    }
                    Some((low, _, _)) => end = low.prev().map_or(end, |before| end.min(before)),
                    None => {}
                }
            }
            if let Some(region) = merge(here[0], here[1]) {
                result.push(at, end, region);
            }
            match end.next() {
                Some(next) => at = next,
                None => return result,
            }
        }
    }
}

impl<K: Point, V: Region> Region for IntervalMap<K, V> {
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.union(b)),
            (a, b) => a.or(b).cloned(),
        })
    }

    fn intersect(&self, other: &Self) -> Self {
        self.combine(other, |a, b| Some(a?.intersect(b?)))
    }

    fn subtract(&self, other: &Self) -> Self {
        self.combine(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.subtract(b)),
            (a, _) => a.cloned(),
        })
    }
}
