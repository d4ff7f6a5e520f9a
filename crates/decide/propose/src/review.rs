//! Segments that were not seen well enough to deny what was not seen.

use coverage::Standing;

use crate::proposal::NeedsReview;
use crate::width::Drafter;

/// What a person should know before a cell is denied anything by default; none where it was seen well enough, or nothing
/// is known of how well.
pub(crate) fn of(drafter: &Drafter<'_>, cell: usize, file: &str) -> Option<NeedsReview> {
    let entry = &drafter.cells.list[cell];
    let ids = entry.nodes.iter().map(|node| &drafter.graph.nodes[*node as usize].id.0);
    let members: Vec<&Standing> = ids.filter_map(|id| drafter.options.standing.get(id)).collect();
    let sampled_only: u32 = members.iter().map(|standing| standing.sampled_only).sum();
    if sampled_only == 0 {
        return None;
    }
    let count = members.len() as u32;
    let standing = Standing {
        score: members.iter().map(|standing| standing.score).sum::<f64>() / f64::from(count.max(1)),
        members: count,
        unseen: members.iter().map(|standing| standing.unseen).sum(),
        sampled_only,
    };
    let reason = format!(
        "{sampled_only} of {count} members were seen through sampling alone, which shows {:.1} % of their conversations: \
         what was not seen may happen every day. Proposed in mode `observe`; add a second source for them, or set the mode by \
         hand",
        standing.score * 100.0
    );
    Some(NeedsReview { segment: entry.name.clone(), file: file.to_owned(), standing, reason })
}
