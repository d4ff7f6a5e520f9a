//! A replay as numbers and rows of a report.

use report::{StoryBlocked, StoryEstimate, StoryNumbers};
use simulate::Replay;

use super::truth::Truth;
use crate::world::World;

/// What was measured.
pub(crate) fn numbers(world: &World, replay: &Replay) -> anyhow::Result<StoryNumbers> {
    let estimate = &replay.false_block_estimate;
    Ok(StoryNumbers {
        flows_read: world.lake.stats()?.flows,
        conversations: replay.conversations.total,
        workloads: world.inventory.workloads().len() as u64,
        ari: None,
        learnt_within: 0,
        holdout_flows: replay.flows_total,
        holdout_allowed: replay.allowed,
        holdout_would_block: replay.would_block,
        holdout_unknown: replay.unknown + replay.unmanaged,
        coverage: Some(replay.coverage_legitimate),
        over_permission: Some(1.0 - 1.0 / replay.over_permission.max(1.0)),
        false_block: Some(StoryEstimate { low: estimate.low, mid: estimate.mid, high: estimate.high }),
    })
}

/// What would have been blocked; with the truth at hand, whether it was legitimate.
pub(crate) fn blocked(replay: &Replay, truth: Option<&Truth>) -> Vec<StoryBlocked> {
    let one = |blocked: &simulate::BlockedConversation| StoryBlocked {
        client: blocked.client.clone(),
        server: blocked.server.clone(),
        service: blocked.service.to_string(),
        flows: blocked.flows,
        first: blocked.first,
        last: blocked.last,
        why: if blocked.note.is_empty() {
            blocked.why.clone()
        } else {
            format!("{} ({})", blocked.why, blocked.note)
        },
        legitimate: truth.and_then(|t| t.legitimate(&blocked.client, &blocked.server, blocked.service)),
    };
    replay.blocked.iter().map(one).collect()
}
