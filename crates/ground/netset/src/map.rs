//! Canonical maps from disjoint intervals to regions, the building block of multi-field sets.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

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
    /// What is in any of them.
    fn union_many(items: &[&Self]) -> Self
    where
        Self: Default,
    {
        match items {
            [] => Self::default(),
            [one] => (*one).clone(),
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                Self::union_many(left).union(&Self::union_many(right))
            }
        }
    }
    /// A number that two regions share only when they share their memory and so are equal; it holds while both
    /// live. Operations on many parts use it to do the same work once.
    fn identity(&self) -> Option<usize> {
        None
    }
}

impl<R: Region + Default> Region for Arc<R> {
    fn is_empty(&self) -> bool {
        (**self).is_empty()
    }
    fn union(&self, other: &Self) -> Self {
        if Self::ptr_eq(self, other) { Self::clone(self) } else { Self::new((**self).union(other)) }
    }
    fn intersect(&self, other: &Self) -> Self {
        if Self::ptr_eq(self, other) { Self::clone(self) } else { Self::new((**self).intersect(other)) }
    }
    fn subtract(&self, other: &Self) -> Self {
        if Self::ptr_eq(self, other) { Self::default() } else { Self::new((**self).subtract(other)) }
    }
    fn is_subset(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other) || (**self).is_subset(other)
    }
    fn is_disjoint(&self, other: &Self) -> bool {
        (**self).is_disjoint(other)
    }
    fn union_many(items: &[&Self]) -> Self {
        match items {
            [one] => Self::clone(one),
            many => Self::new(R::union_many(&many.iter().map(|item| &***item).collect::<Vec<_>>())),
        }
    }
    fn identity(&self) -> Option<usize> {
        Some(Self::as_ptr(self).cast::<u8>() as usize)
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
    /// The map with every region replaced; regions that share their memory are replaced once.
    pub(crate) fn replace(&self, replacement: impl Fn(&V) -> V) -> Self {
        let mut done: HashMap<usize, V, FixedState> = HashMap::default();
        let mut result = Self::default();
        for (low, high, region) in &self.runs {
            let new = match region.identity() {
                Some(identity) => done.entry(identity).or_insert_with(|| replacement(region)).clone(),
                None => replacement(region),
            };
            result.push(*low, *high, new);
        }
        result
    }

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

    /// Walks both maps together and merges the regions of each elementary interval; the same two regions once.
    fn combine(&self, other: &Self, merge: impl Fn(Option<&V>, Option<&V>) -> Option<V>) -> Self {
        let mut result = Self::default();
        let mut done: HashMap<(usize, usize), Option<V>, FixedState> = HashMap::default();
        let mut merge =
            |a: Option<&V>, b: Option<&V>| match a.zip(b).map(|(a, b)| a.identity().zip(b.identity())) {
                Some(Some(pair)) => done.entry(pair).or_insert_with(|| merge(a, b)).clone(),
                _ => merge(a, b),
            };
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

impl<K: Point, V: Region + Default> Region for IntervalMap<K, V> {
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.union(b)),
            (a, b) => a.or(b).cloned(),
        })
    }

    /// Sweeps over the boundaries of all maps at once. The regions on one elementary interval are united once for
    /// each distinct set of them, so the cost follows how many kinds of keys there are, not how many keys: rules
    /// between segments give every member of a segment the same set.
    fn union_many(items: &[&Self]) -> Self {
        if let [one] = items {
            return (*one).clone();
        }
        let regions: Vec<&V> = items.iter().flat_map(|map| &map.runs).map(|(_, _, region)| region).collect();
        let mut result = Self::default();
        let mut united: HashMap<Vec<usize>, V, FixedState> = HashMap::default();
        // Of each class that is open here, by how many runs.
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        let mut from: Option<K> = None;
        for (key, closes, class) in edges(items, &classes(&regions)) {
            let to = if closes { Some(key) } else { key.prev() };
            if let Some((low, high)) = from.zip(to).filter(|(low, high)| low <= high && !open.is_empty()) {
                let classes: Vec<usize> = open.keys().copied().collect();
                let unite = |classes: &Vec<usize>| {
                    V::union_many(&classes.iter().map(|class| regions[*class]).collect::<Vec<_>>())
                };
                result.push(low, high, united.entry(classes).or_insert_with_key(unite).clone());
            }
            from = if closes { key.next() } else { Some(key) };
            let count = open.entry(class).or_default();
            *count = if closes { count.saturating_sub(1) } else { *count + 1 };
            if *count == 0 {
                open.remove(&class);
            }
        }
        result
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

/// For each region the first of those that share its memory.
fn classes<V: Region>(regions: &[&V]) -> Vec<usize> {
    let mut first: HashMap<usize, usize, FixedState> = HashMap::default();
    let class = |(index, region): (usize, &&V)| match region.identity() {
        Some(identity) => *first.entry(identity).or_insert(index),
        None => index,
    };
    regions.iter().enumerate().map(class).collect()
}

/// Where runs open (before their first key) and close (after their last), sorted, each with its run's class.
fn edges<K: Point, V>(items: &[&IntervalMap<K, V>], classes: &[usize]) -> Vec<(K, bool, usize)> {
    let runs = items.iter().flat_map(|map| &map.runs).zip(classes);
    let mut edges: Vec<(K, bool, usize)> =
        runs.flat_map(|((low, high, _), class)| [(*low, false, *class), (*high, true, *class)]).collect();
    edges.sort_unstable();
    edges
}
