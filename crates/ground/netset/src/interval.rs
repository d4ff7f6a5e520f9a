//! Canonical sets of closed intervals over an ordered, discrete domain.

use std::fmt::Debug;
use std::sync::Arc;

use crate::map::Region;

/// A value of a discrete, totally ordered, finite domain.
pub trait Point: Copy + Ord + Debug {
    /// The least value.
    const MIN: Self;
    /// The greatest value.
    const MAX: Self;
    /// The value just above, unless this is [`Point::MAX`].
    fn next(self) -> Option<Self>;
    /// The value just below, unless this is [`Point::MIN`].
    fn prev(self) -> Option<Self>;
}

macro_rules! integer_point {
    ($($t:ty),*) => {$(
        impl Point for $t {
            const MIN: Self = <$t>::MIN;
            const MAX: Self = <$t>::MAX;
            fn next(self) -> Option<Self> { self.checked_add(1) }
            fn prev(self) -> Option<Self> { self.checked_sub(1) }
        }
    )*};
}
integer_point!(u8, u16, u32, u64, u128);

/// A set of values as sorted, disjoint, non-adjacent closed intervals. Copies share them: a plan names the same
/// addresses in many rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntervalSet<T> {
    runs: Arc<[(T, T)]>,
}

impl<T> Default for IntervalSet<T> {
    fn default() -> Self {
        Self { runs: Arc::from([]) }
    }
}

impl<T: Point> IntervalSet<T> {
    /// The set of every value.
    pub fn full() -> Self {
        Self::range(T::MIN, T::MAX)
    }

    /// The values from `low` to `high`, both included; empty when `low > high`.
    pub fn range(low: T, high: T) -> Self {
        if low > high { Self::default() } else { Self { runs: Arc::from([(low, high)]) } }
    }

    /// The set of one value.
    pub fn single(value: T) -> Self {
        Self::range(value, value)
    }

    /// The union of any intervals, in any order. `O(n log n)`.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut runs: Vec<(T, T)> = ranges.into_iter().filter(|(low, high)| low <= high).collect();
        runs.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(runs.len());
        for (low, high) in runs {
            match merged.last_mut() {
                // Overlapping or adjacent: `next` is None only when the last run already reaches MAX.
                Some(last) if last.1.next().is_none_or(|n| low <= n) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self { runs: merged.into() }
    }

    /// The intervals, sorted.
    pub fn runs(&self) -> &[(T, T)] {
        &self.runs
    }

    /// Whether the set holds `value`. `O(log n)`.
    pub fn contains(&self, value: T) -> bool {
        let after = self.runs.partition_point(|(low, _)| *low <= value);
        after > 0 && self.runs[after - 1].1 >= value
    }

    /// The least value of the set.
    pub fn first(&self) -> Option<T> {
        self.runs.first().map(|r| r.0)
    }

    /// Every value that the set lacks.
    pub fn complement(&self) -> Self {
        Self::full().subtract(self)
    }
}

impl<T: Point> Region for IntervalSet<T> {
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn union(&self, other: &Self) -> Self {
        if Arc::ptr_eq(&self.runs, &other.runs) || other.is_empty() {
            return self.clone();
        }
        Self::from_ranges(self.runs.iter().chain(other.runs.iter()).copied())
    }

    fn union_many(items: &[&Self]) -> Self {
        match items {
            [] => Self::default(),
            [one] => (*one).clone(),
            many => Self::from_ranges(many.iter().flat_map(|set| set.runs.iter().copied())),
        }
    }

    fn identity(&self) -> Option<usize> {
        Some(self.runs.as_ptr() as usize)
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        let (mut i, mut j) = (0, 0);
        while let (Some(a), Some(b)) = (self.runs.get(i), other.runs.get(j)) {
            if a.0.max(b.0) <= a.1.min(b.1) {
                return false;
            }
            if a.1 <= b.1 { i += 1 } else { j += 1 }
        }
        true
    }

    fn intersect(&self, other: &Self) -> Self {
        let (mut i, mut j, mut runs) = (0, 0, Vec::new());
        while i < self.runs.len() && j < other.runs.len() {
            let (a, b) = (self.runs[i], other.runs[j]);
            let (low, high) = (a.0.max(b.0), a.1.min(b.1));
            if low <= high {
                runs.push((low, high));
            }
            if a.1 <= b.1 { i += 1 } else { j += 1 }
        }
        Self { runs: runs.into() }
    }

    fn subtract(&self, other: &Self) -> Self {
        let (mut runs, mut j) = (Vec::new(), 0);
        for &(low, high) in self.runs.iter() {
            while j < other.runs.len() && other.runs[j].1 < low {
                j += 1;
            }
            let (mut start, mut k) = (Some(low), j);
            while let Some(at) = start {
                match other.runs.get(k) {
                    Some(&(from, to)) if from <= high => {
                        if let Some(before) = from.prev().filter(|before| at <= *before) {
                            runs.push((at, before));
                        }
                        start = to.next().filter(|next| *next <= high);
                        k += 1;
                    }
                    _ => {
                        runs.push((at, high));
                        start = None;
                    }
                }
            }
        }
        Self { runs: runs.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u8, u8)]) -> IntervalSet<u8> {
        IntervalSet::from_ranges(ranges.iter().copied())
    }

    #[test]
    fn adjacent_and_overlapping_runs_merge() {
        assert_eq!(set(&[(5, 9), (1, 4), (8, 12), (20, 255)]).runs(), &[(1, 12), (20, 255)]);
    }

    #[test]
    fn operations_agree_with_membership() {
        let samples = [
            set(&[]),
            set(&[(0, 255)]),
            set(&[(0, 0), (255, 255)]),
            set(&[(3, 7), (9, 9), (200, 210)]),
            set(&[(0, 5), (7, 9), (205, 255)]),
        ];
        for a in &samples {
            for b in &samples {
                let (union, both, less) = (a.union(b), a.intersect(b), a.subtract(b));
                for v in 0..=255 {
                    assert_eq!(union.contains(v), a.contains(v) || b.contains(v));
                    assert_eq!(both.contains(v), a.contains(v) && b.contains(v));
                    assert_eq!(less.contains(v), a.contains(v) && !b.contains(v), "{a:?} - {b:?} at {v}");
                }
                assert_eq!(a.is_subset(b), less.is_empty());
            }
        }
    }
}
