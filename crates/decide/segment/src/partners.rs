//! The same role in another application.
//!
//! Two stacks built alike (production and its rehearsal) offer and use the same services, each among themselves. What
//! tells them apart is whom they talk to. Within a segment the members are clustered once more, by their partners
//! alone, and part where less than a quarter is in common; members without partners that others have too stay where
//! the others are.

use crate::linkage::{Distances, average_linkage, cut};
use crate::signatures::Signatures;

/// Mean distance of the partners beyond which two parts of a segment are two segments.
const APART: f32 = 0.75;
/// The distance to a member that has no partner to compare: neither near nor far.
const NOT_COMPARABLE: f32 = 0.5;

/// The segment, or the parts that it falls into, in order of their first members. `members` gives the position in the
/// population of what the group's indexes stand for.
pub(crate) fn split(group: &[usize], members: &[usize], signatures: &Signatures) -> Vec<Vec<usize>> {
    let distances = Distances::from_pairs(group.len(), |i, j| {
        let similarity = signatures.partner_similarity(members[group[i]], members[group[j]]);
        similarity.map_or(NOT_COMPARABLE, |s| 1.0 - s)
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
