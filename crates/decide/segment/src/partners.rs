//! The same role in another application.
//!
//! Two stacks built alike (production and its rehearsal, shop and billing) offer and use the same services, each among
//! themselves. What tells them apart is whom they talk to. Each segment is looked at twice more, by average linkage:
//!
//! * by the partners themselves: members part where less than a quarter is in common;
//! * by the partners' segments, over the services that at least half of the members have: databases that serve
//!   different applications have no client in common, nor are their clients of one segment, while the members of one
//!   farm may each serve clients of their own. New segments tell more about their partners' partners, so this is
//!   repeated a few times.

use std::collections::BTreeMap;

use crate::linkage::{Distances, average_linkage, cut};
use crate::signatures::{Feature, Kind, Side, Signatures, dot, unit};

/// Mean distance beyond which two parts of a segment are two segments.
const APART: f32 = 0.75;
/// The distance to a member that has no partner to compare: neither near nor far.
const NOT_COMPARABLE: f32 = 0.5;
/// Applications have few tiers; each round reaches one tier further.
const ROUNDS_MAX: usize = 3;

/// Splits groups of `members` (positions in the population, whose nodes `population` gives), in order of their first
/// members.
pub(crate) fn split(
    groups: &[Vec<usize>],
    members: &[usize],
    population: &[u32],
    signatures: &Signatures,
) -> Vec<Vec<usize>> {
    let by_partner = |i: usize, j: usize| signatures.partner_similarity(members[i], members[j]);
    let mut groups: Vec<Vec<usize>> = groups.iter().flat_map(|group| parts(group, by_partner)).collect();
    for _ in 0..ROUNDS_MAX {
        let views = Views::new(&groups, members, population, signatures);
        let finer: Vec<Vec<usize>> = groups
            .iter()
            .flat_map(|group| {
                let vectors: BTreeMap<usize, _> = group.iter().copied().zip(views.of_group(group)).collect();
                parts(group, |i, j| {
                    let (a, b) = (vectors.get(&i)?, vectors.get(&j)?);
                    if a.is_empty() || b.is_empty() { None } else { Some(dot(a, b)) }
                })
            })
            .collect();
        let done = finer.len() == groups.len();
        groups = finer;
        if done {
            break;
        }
    }
    groups
}

fn parts(group: &[usize], similarity: impl Fn(usize, usize) -> Option<f32>) -> Vec<Vec<usize>> {
    let distances = Distances::from_pairs(group.len(), |i, j| {
        similarity(group[i], group[j]).map_or(NOT_COMPARABLE, |s| 1.0 - s)
    });
    let merges = average_linkage(&distances);
    let labels = cut(group.len(), &merges[..merges.partition_point(|merge| merge.height <= APART)]);
    let count = labels.iter().max().map_or(0, |top| *top as usize + 1);
    let mut parts = vec![Vec::new(); count];
    for (member, label) in group.iter().zip(labels) {
        parts[label as usize].push(*member);
    }
    parts
}

/// A service seen from one side, with the partner's segment; `None` for all partners that are in no segment.
type Place = (Side, Kind, Option<usize>);

/// What each member does with which segments.
struct Views {
    places: Vec<Vec<Place>>,
    /// Index and weight.
    table: BTreeMap<Place, (u32, f32)>,
}

impl Views {
    fn new(groups: &[Vec<usize>], members: &[usize], population: &[u32], signatures: &Signatures) -> Self {
        let mut homes: BTreeMap<u32, usize> = BTreeMap::new();
        for (segment, group) in groups.iter().enumerate() {
            homes.extend(group.iter().map(|member| (population[members[*member]], segment)));
        }
        let place = |feature: &Feature| -> Place {
            (feature.side, feature.kind, feature.partner.and_then(|partner| homes.get(&partner).copied()))
        };
        let mut places = vec![Vec::new(); members.len()];
        let mut counts: BTreeMap<Place, u32> = BTreeMap::new();
        for member in groups.iter().flatten() {
            let mut own: Vec<Place> = signatures.partners(members[*member]).iter().map(place).collect();
            own.sort_unstable();
            own.dedup();
            own.iter().for_each(|place| *counts.entry(*place).or_default() += 1);
            places[*member] = own;
        }
        let weight = |count: u32| 1.0 - count as f32 / (members.len() as f32 + 1.0);
        let table = counts
            .into_iter()
            .zip(0..)
            .map(|((place, count), index)| (place, (index, weight(count))))
            .collect();
        Self { places, table }
    }

    /// One vector for each member of a group, over the services that at least half of them have.
    fn of_group(&self, group: &[usize]) -> Vec<Vec<(u32, f32)>> {
        let mut having: BTreeMap<(Side, Kind), usize> = BTreeMap::new();
        for member in group {
            let mut services: Vec<(Side, Kind)> = self.places[*member].iter().map(|p| (p.0, p.1)).collect();
            services.dedup();
            services.into_iter().for_each(|service| *having.entry(service).or_default() += 1);
        }
        let common = |p: &&Place| having.get(&(p.0, p.1)).is_some_and(|count| 2 * count >= group.len());
        let vector = |member: &usize| {
            let known = self.places[*member].iter().filter(common);
            unit(known.filter_map(|place| self.table.get(place).copied()).collect())
        };
        group.iter().map(vector).collect()
    }
}
