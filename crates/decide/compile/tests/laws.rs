//! The laws that every target keeps.

mod support;

use compile::{Peer, Source, carried, find, read, render};
use model::{Plan, PlanPoint};
use proptest::prelude::*;
use support::{MODES, any_point, plan};

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nftables_reads_back_what_the_plan_allows(point in any_point(MODES.to_vec())) {
        nftables_round_trip(&point)?;
    }
}
