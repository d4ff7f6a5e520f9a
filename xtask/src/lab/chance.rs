//! Seeded chance: the same seed gives the same schedule.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough to plan a lab with.
pub(super) struct Chance(u64);

impl Chance {
    /// A stream of its own for a seed and a purpose.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
        });
        Self(mixed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n; 0 when n is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// A gap of a bursty process with this mean: one in four gaps is short, the others make up for it.
    pub(super) fn gap(&mut self, mean_s: f64) -> f64 {
        let mean_s = if self.unit() < 0.25 { mean_s * 0.15 } else { mean_s * 1.283 };
        -(1.0 - self.unit()).ln() * mean_s
    }

    /// In any order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_have_their_mean_and_the_seed_decides() {
        let mut chance = Chance::new(1, "x");
        let mean = (0..20_000).map(|_| chance.gap(3.0)).sum::<f64>() / 20_000.0;
        assert!((2.85..3.15).contains(&mean), "{mean}");
        assert_eq!(Chance::new(5, "a").next(), Chance::new(5, "a").next());
        assert_ne!(Chance::new(5, "a").next(), Chance::new(5, "b").next());
    }
}
