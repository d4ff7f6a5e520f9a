//! What a workload does, as weighted features.
//!
//! Features are (offers | uses, service), and the same with the partner named. A feature that `d` of `n` workloads have
//! weighs `1 - d / (n + 1)`: what everybody does says nothing of a role. This is gentler on rare features than the
//! logarithm of tf-idf (Spärck Jones, "A statistical interpretation of term specificity", 1972), for a workload's
//! stray connections are rare too, and must not outweigh what it shares with its like. For the same reason a service
//! that only one pair of workloads in the whole graph uses (ephemeral ports taken for a server's, one-off tools)
//! counts as one feature, "something else", for each protocol; and a partner that only one workload has is no feature.

use std::collections::BTreeMap;

use graph::Graph;
use model::{Protocol, Service};

/// What a named partner adds to the service alone.
const PARTNER_WEIGHT: f32 = 0.6;

/// Which side of a service a workload is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Side {
    /// It answers.
    Offers,
    /// It asks.
    Uses,
}

/// A service, or all those of a protocol that one pair alone uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// This service.
    Of(Service),
    /// Some service of this protocol that nobody else uses.
    Rare(Protocol),
}

/// One thing that a workload may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Feature {
    pub(crate) side: Side,
    pub(crate) kind: Kind,
    /// The partner's node, if the feature names it.
    pub(crate) partner: Option<u32>,
}

/// Why a workload cannot be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    /// It has no edges, or only noise.
    NoTraffic,
    /// It offers nothing and uses shared services alone.
    SharedOnly,
}

/// The signatures of a population, by position in it.
pub(crate) struct Signatures {
    features: Vec<Feature>,
    /// Sorted by feature; unit length.
    vectors: Vec<Vec<(u32, f32)>>,
    /// The partner features alone, at unit length.
    partner_vectors: Vec<Vec<(u32, f32)>>,
    /// All features that name a partner, also those that no other workload has; sorted.
    partners: Vec<Vec<Feature>>,
    doubts: Vec<Option<Doubt>>,
}

impl Signatures {
    /// Signatures of the given nodes from all edges that are not noise.
    pub(crate) fn of(graph: &Graph, population: &[u32]) -> Self {
        let mut place = vec![None; graph.nodes.len()];
        population.iter().enumerate().for_each(|(at, node)| place[*node as usize] = Some(at));
        let mut found: Vec<Vec<Feature>> = vec![Vec::new(); population.len()];
        let mut doubts = vec![Some(Doubt::NoTraffic); population.len()];
        let kinds = kinds(graph);
        for edge in graph.edges.iter().filter(|edge| edge.noise.is_none()) {
            let kind = kinds.get(&edge.service).copied().unwrap_or(Kind::Of(edge.service));
            let ends = [(edge.client, Side::Uses, edge.server), (edge.server, Side::Offers, edge.client)];
            for (node, side, partner) in ends {
                let Some(at) = place[node as usize] else { continue };
                found[at].push(Feature { side, kind, partner: None });
                found[at].push(Feature { side, kind, partner: Some(partner) });
                let telling = side == Side::Offers || !edge.shared;
                doubts[at] = match doubts[at] {
                    _ if telling => None,
                    Some(_) => Some(Doubt::SharedOnly),
                    None => None,
                };
            }
        }
        Self::weigh(found, doubts)
    }

    fn weigh(mut found: Vec<Vec<Feature>>, doubts: Vec<Option<Doubt>>) -> Self {
        let mut counts: BTreeMap<Feature, u32> = BTreeMap::new();
        for features in &mut found {
            features.sort_unstable();
            features.dedup();
            features.iter().for_each(|feature| *counts.entry(*feature).or_default() += 1);
        }
        counts.retain(|feature, count| feature.partner.is_none() || *count > 1);
        let n = found.len() as f32;
        let table: BTreeMap<Feature, (u32, f32)> = counts
            .iter()
            .zip(0..)
            .map(|((feature, count), index)| {
                let rarity = 1.0 - *count as f32 / (n + 1.0);
                let weight = if feature.partner.is_some() { PARTNER_WEIGHT * rarity } else { rarity };
                (*feature, (index, weight))
            })
            .collect();
        let vector = |features: &Vec<Feature>, wanted: fn(&Feature) -> bool| {
            let known = features.iter().filter(|f| wanted(f)).filter_map(|f| table.get(f).copied());
            unit(known.collect())
        };
        let vectors = found.iter().map(|f| vector(f, |_| true)).collect();
        let partner_vectors = found.iter().map(|f| vector(f, |f| f.partner.is_some())).collect();
        found.iter_mut().for_each(|features| features.retain(|feature| feature.partner.is_some()));
        Self { features: table.into_keys().collect(), vectors, partner_vectors, partners: found, doubts }
    }

    /// Why this one cannot be placed, if so.
    pub(crate) fn doubt(&self, at: usize) -> Option<Doubt> {
        self.doubts[at]
    }

    /// Cosine of two signatures, 0 to 1.
    pub(crate) fn similarity(&self, a: usize, b: usize) -> f32 {
        dot(&self.vectors[a], &self.vectors[b])
    }

    /// Cosine of the partners alone; `None` where one has no partner that anybody else has.
    pub(crate) fn partner_similarity(&self, a: usize, b: usize) -> Option<f32> {
        let (a, b) = (&self.partner_vectors[a], &self.partner_vectors[b]);
        if a.is_empty() || b.is_empty() { None } else { Some(dot(a, b)) }
    }

    /// Every feature of a workload that names a partner, also partners that only it has.
    pub(crate) fn partners(&self, at: usize) -> &[Feature] {
        &self.partners[at]
    }

    /// The features of one signature.
    pub(crate) fn features(&self, at: usize) -> impl Iterator<Item = Feature> {
        self.vectors[at].iter().map(|(index, _)| self.features[*index as usize])
    }
}

/// Services that one pair of nodes alone uses, in the whole graph.
fn kinds(graph: &Graph) -> BTreeMap<Service, Kind> {
    let mut pairs: BTreeMap<Service, Option<(u32, u32)>> = BTreeMap::new();
    for edge in &graph.edges {
        let pair = Some((edge.client, edge.server));
        pairs
            .entry(edge.service)
            .and_modify(|known| *known = known.filter(|_| *known == pair))
            .or_insert(pair);
    }
    let kind = |(service, pair): (Service, Option<(u32, u32)>)| {
        (service, if pair.is_some() { Kind::Rare(service.protocol) } else { Kind::Of(service) })
    };
    pairs.into_iter().map(kind).collect()
}

/// The vector at length 1.
pub(crate) fn unit(mut vector: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    let length = vector.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|(_, w)| *w /= length.max(f32::MIN_POSITIVE));
    vector
}

/// Cosine of two sparse vectors of length 1, sorted by index.
pub(crate) fn dot(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.0.cmp(&y.0) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                sum += x.1 * y.1;
                i += 1;
                j += 1;
            }
        }
    }
    sum.clamp(0.0, 1.0)
}
