//! Ids and names that stay from run to run.

use std::collections::BTreeSet;

use model::{Segment, SegmentId, Segmentation};

/// Share of members, of both segments together, that must be the same for a segment to be the same (Jaccard).
const SAME_MIN: f64 = 0.5;

/// Gives every segment an id and a unique name: those of the earlier segment that it largely is, else new ones. The
/// best overlaps are taken first; no two segments take one name.
pub(crate) fn keep_names(segmentation: &mut Segmentation, previous: Option<&Segmentation>) {
    let segments = &mut segmentation.segments;
    let earlier: &[Segment] = previous.map_or(&[], |p| &p.segments);
    let mut overlaps: Vec<(f64, usize, usize)> = Vec::new();
    for (new, segment) in segments.iter().enumerate() {
        for (old, known) in earlier.iter().enumerate() {
            let overlap = jaccard(segment, known);
            if overlap >= SAME_MIN {
                overlaps.push((overlap, new, old));
            }
        }
    }
    overlaps.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut heirs = vec![None; segments.len()];
    let mut taken = vec![false; earlier.len()];
    for (_, new, old) in overlaps {
        if heirs[new].is_none() && !taken[old] {
            (heirs[new], taken[old]) = (Some(old), true);
        }
    }
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (segment, heir) in segments.iter_mut().zip(&heirs) {
        if let Some(old) = heir {
            segment.id.clone_from(&earlier[*old].id);
            segment.name.clone_from(&earlier[*old].name);
            names.insert(segment.name.clone());
            ids.insert(segment.id.clone());
        }
    }
    for (segment, _) in segments.iter_mut().zip(&heirs).filter(|(_, heir)| heir.is_none()) {
        segment.name = unused(&segment.name, &names);
        names.insert(segment.name.clone());
        segment.id = new_id(segment, &ids);
        ids.insert(segment.id.clone());
    }
}

/// Both member lists are sorted.
fn jaccard(a: &Segment, b: &Segment) -> f64 {
    let both = a.members.iter().filter(|m| b.members.binary_search(m).is_ok()).count();
    both as f64 / (a.members.len() + b.members.len() - both).max(1) as f64
}

fn unused(name: &str, names: &BTreeSet<String>) -> String {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|n| !names.contains(n)).unwrap_or_default()
}

/// An id from the first members that the segment had: 32 bits of FNV-1a, counted up past those in use.
fn new_id(segment: &Segment, ids: &BTreeSet<SegmentId>) -> SegmentId {
    let bytes = segment.members.iter().flat_map(|m| m.0.bytes().chain([0]));
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let id = |n: u32| SegmentId(format!("seg-{:08x}", hash.wrapping_add(n)));
    (0..=u32::MAX).map(id).find(|id| !ids.contains(id)).unwrap_or_else(|| id(0))
}
