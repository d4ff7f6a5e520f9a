//! The laws that every target keeps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic, in what they share too")]

mod support;

use compile::{Peer, Source, carried, find, read, render};
use model::{Plan, PlanPoint};
use proptest::prelude::*;
use support::{MODES, any_crowded_point, any_plan, any_point, plan};

fn nftables_round_trip(point: &PlanPoint) -> Result<(), TestCaseError> {
    let plan: Plan = plan(vec![point.clone()]);
    let target = find("nftables").unwrap();
    let artifacts = render(&plan, target).unwrap();
    prop_assert_eq!(&artifacts, &render(&plan, target).unwrap());
    let text = artifacts[0].text.clone();
    let source = Source { file_name: artifacts[0].file_name.clone(), text: text.clone() };
    let back = read(target, &[source], &Peer::of_plan(&plan));
    let back = back.map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{text}")))?;
    prop_assert_eq!(&back[0].ingress, &carried(&point.allowed_ingress()), "{}", text);
    prop_assert_eq!(&back[0].egress, &carried(&point.allowed_egress()), "{}", text);
    prop_assert_eq!(back[0].mode, point.mode);
    prop_assert_eq!(back[0].floor.len(), 20);
    Ok(())
}

/// Either the law or refusals; says which.
fn kubernetes_round_trip(plan: &Plan) -> Result<bool, TestCaseError> {
    let target = find("kubernetes").unwrap();
    let artifacts = match render(plan, target) {
        Ok(artifacts) => artifacts,
        Err(refusals) => {
            prop_assert!(!refusals.is_empty());
            return Ok(false);
        }
    };
    let sources: Vec<Source> = artifacts
        .iter()
        .map(|artifact| Source { file_name: artifact.file_name.clone(), text: artifact.text.clone() })
        .collect();
    let text: String = artifacts.iter().map(|artifact| format!("---\n{}", artifact.text)).collect();
    let whole = Source { file_name: "all.yaml".into(), text };
    let back = read(target, &sources, &Peer::of_plan(plan));
    let back = back.map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{}", whole.text)))?;
    let sets = |list: Vec<compile::ReadBack>| -> Vec<_> {
        list.into_iter().map(|back| (back.workload, back.ingress, back.egress)).collect()
    };
    let in_one_file = read(target, std::slice::from_ref(&whole), &Peer::of_plan(plan)).unwrap_or_default();
    prop_assert_eq!(sets(in_one_file), sets(back.clone()));
    prop_assert_eq!(back.len(), plan.points.len());
    for (point, back) in plan.points.iter().zip(&back) {
        prop_assert_eq!(Some(&point.workload), back.workload.as_ref());
        prop_assert_eq!(&back.ingress, &carried(&point.allowed_ingress()), "{}", whole.text);
        prop_assert_eq!(&back.egress, &carried(&point.allowed_egress()), "{}", whole.text);
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nftables_reads_back_what_the_plan_allows(point in any_point(MODES.to_vec())) {
        nftables_round_trip(&point)?;
    }

    #[test]
    fn nftables_reads_back_crowded_services(point in any_crowded_point()) {
        nftables_round_trip(&point)?;
    }

    #[test]
    fn kubernetes_reads_back_what_the_plan_allows_or_refuses(plan in any_plan(false)) {
        kubernetes_round_trip(&plan)?;
    }

    #[test]
    fn kubernetes_refuses_nothing_that_it_can_express(plan in any_plan(true)) {
        prop_assert!(kubernetes_round_trip(&plan)?, "{:?}", render(&plan, find("kubernetes").unwrap()));
    }
}
