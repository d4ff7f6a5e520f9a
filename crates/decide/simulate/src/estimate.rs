//! How likely a policy is to break something legitimate, with an interval that does not flatter.

use serde::Serialize;

/// A share with its 95% interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Interval {
    /// Low end.
    pub low: f64,
    /// The share seen; 0 when nothing was seen.
    pub mid: f64,
    /// High end.
    pub high: f64,
}

/// Observations that stand or fall together: all conversations between one client and one server.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Cluster {
    /// Observations that hit.
    pub(crate) hits: f64,
    /// Observations that may hit: nobody can say.
    pub(crate) doubtful: f64,
    /// Observations in all.
    pub(crate) size: f64,
}

impl Cluster {
    /// Adds an observation that counts as many.
    pub(crate) fn add(&mut self, hit: f64, doubt: f64, weight: f64) {
        self.hits += hit * weight;
        self.doubtful += doubt * weight;
        self.size += weight;
    }
}

/// 97.5% point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The share of hits with its interval. The low end takes every doubtful observation as no hit, the high end as a
/// hit. Nothing observed means nothing known: the interval is all of 0 to 1.
pub(crate) fn share(clusters: &[Cluster]) -> Interval {
    let certain = ratio(clusters.iter().map(|c| (c.hits, c.size)));
    let doubted = ratio(clusters.iter().map(|c| (c.hits + c.doubtful, c.size)));
    let (Some((mid, n)), Some((worst, worst_n))) = (certain, doubted) else {
        return Interval { low: 0.0, mid: 0.0, high: 1.0 };
    };
    Interval { low: rounded(wilson(mid, n).0), mid: rounded(mid), high: rounded(wilson(worst, worst_n).1) }
}

/// The ratio of hits to sizes over clusters, and the number of independent observations that it is worth.
///
/// The variance is the ratio estimator's between clusters (Cochran, Sampling Techniques, 3rd ed., section 6.3); the
/// worth is the sample size at which independent observations would vary as much. A sample in which nothing varies
/// is worth Kish's effective number of clusters.
fn ratio(clusters: impl Iterator<Item = (f64, f64)> + Clone) -> Option<(f64, f64)> {
    let (mut hits, mut size, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0);
    for (h, s) in clusters.clone() {
        (hits, size, squares, count) = (hits + h, size + s, squares + s * s, count + 1.0);
    }
    if size <= 0.0 {
        return None;
    }
    let p: f64 = (hits / size).clamp(0.0, 1.0);
    let kish = size * size / squares;
    let residuals: f64 = clusters.map(|(h, s)| (h - p * s) * (h - p * s)).sum();
    let variance = if count > 1.0 { count / (count - 1.0) * residuals / (size * size) } else { 0.0 };
    let worth = if variance > 0.0 { (p * (1.0 - p) / variance).clamp(1.0, size.max(1.0)) } else { kish };
    Some((p, worth))
}

/// Wilson's score interval (1927) for a share `p` of `n` observations.
fn wilson(p: f64, n: f64) -> (f64, f64) {
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn independent(hits: usize, size: usize) -> Vec<Cluster> {
        let one =
            |index: usize| Cluster { hits: f64::from(u8::from(index < hits)), doubtful: 0.0, size: 1.0 };
        (0..size).map(one).collect()
    }

    #[test]
    fn independent_observations_give_wilsons_interval() {
        let Interval { low, mid, high } = share(&independent(10, 100));
        assert_eq!(mid, 0.1);
        assert!((low - 0.0552).abs() < 2e-3 && (high - 0.1744).abs() < 2e-3, "{low} {high}");
        let none = share(&independent(0, 100));
        assert!(
            none.low == 0.0 && (none.high - 0.037).abs() < 1e-3,
            "no hit in 100 is not a promise: {none:?}"
        );
    }

    #[test]
    fn clusters_and_doubt_widen_the_interval() {
        let clustered: Vec<Cluster> = (0..10)
            .map(|i| Cluster { hits: if i == 0 { 10.0 } else { 0.0 }, doubtful: 0.0, size: 10.0 })
            .collect();
        let (apart, together) = (share(&independent(10, 100)), share(&clustered));
        assert!(together.low < apart.low && together.high > apart.high, "{together:?}");
        let mut doubtful = independent(10, 100);
        doubtful[50].doubtful = 1.0;
        assert!(share(&doubtful).high > apart.high && share(&doubtful).mid == apart.mid);
        assert_eq!(share(&[]), Interval { low: 0.0, mid: 0.0, high: 1.0 });
    }
}
