//! A network as large as wanted.

use report::*;

use super::{minute, story, text};

/// A story with a given number of workloads in segments of four, each asking several others.
pub(crate) fn crowd(workloads: usize) -> Story {
    let mut story = story();
    let segments = workloads / 4;
    story.map.groups = (0..segments)
        .map(|n| StoryGroup {
            id: format!("s{n}"),
            name: format!("segment number {n} with a name"),
            confidence: Some(0.9),
            reasons: text(
                &["offers tcp/443 to many and asks tcp/5432 of few: 4 of 4 members, 2 of 196 others"; 3],
            ),
            ..StoryGroup::default()
        })
        .collect();
    story.map.nodes = (0..workloads)
        .map(|n| StoryNode {
            id: format!("w{n}"),
            name: format!("workload-{n:04}.example"),
            group: Some(format!("s{}", n / 4)),
            addresses: vec![format!("10.0.{}.{}", n / 250, n % 250)],
            ..StoryNode::default()
        })
        .collect();
    story.map.edges = (0..workloads * 30)
        .map(|n| {
            let (client, hop) = (n / 30, n % 30);
            StoryEdge {
                client: format!("w{client}"),
                server: format!("w{}", (client + hop * hop * 7 + 4) % workloads),
                service: format!("tcp/{}", [443, 8080, 5432, 6379, 9000][(client + hop) % 5]),
                flows: (n as u64 * 7919) % 100_000,
                bytes: n as u64 * 1_000,
                first: minute(0),
                last: minute(9),
                verdict: if n % 97 == 0 { Verdict::WouldBlock } else { Verdict::Allowed },
                rule: Some(format!("rule-{}", n % 60)),
            }
        })
        .collect();
    let rules = story.rules.clone();
    story.rules = (0..300)
        .map(|n| StoryRule {
            id: format!("rule-{n}"),
            scope: format!("segment:s{}", n / 6),
            ..rules[5 + n % 12].clone()
        })
        .collect();
    story
}
