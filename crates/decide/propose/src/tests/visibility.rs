//! What was not seen well is not denied.

use super::*;

#[test]
fn what_was_sampled_alone_is_only_observed() {
    let (graph, segmentation) = office().build();
    let standing = |sampled_only| coverage::Standing { score: 0.4, members: 1, unseen: 0, sampled_only };
    let id = graph.nodes.iter().find(|node| node.id.0.starts_with("web")).unwrap().id.0.clone();
    let options = |standing: Vec<(String, coverage::Standing)>| ProposeOptions {
        mode: model::Mode::Enforce,
        standing: standing.into_iter().collect(),
        ..ProposeOptions::default()
    };
    let modes = |proposal: &Proposal| {
        let mode = |(_, document): &(String, policy::Document)| match document {
            policy::Document::SegmentPolicy(policy) => Some(policy.mode),
            _ => None,
        };
        proposal.policy.documents.iter().filter_map(mode).collect::<Vec<_>>()
    };
    let well = propose(&graph, &segmentation, &options(vec![(id.clone(), standing(0))]));
    assert!(modes(&well).iter().all(|mode| *mode == model::Mode::Enforce) && well.needs_review.is_empty());
    let sampled = propose(&graph, &segmentation, &options(vec![(id, standing(1))]));
    assert_eq!(sampled.needs_review.len(), 1);
    assert_eq!(modes(&sampled).iter().filter(|mode| **mode == model::Mode::Observe).count(), 1);
    assert!(sampled.needs_review[0].reason.contains("through sampling alone"));
    assert!(sampled.explanation.iter().any(|line| line.contains("only observed")));
    assert!(sampled.rules.iter().any(|rule| rule.evidence.visibility == Some(0.4)));
}
