//! The same laws through a real kernel. Needs root and network namespaces; skipped loudly without.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic, in what they share too")]

mod support;

use compile::{ReadBack, Source, carried, find, read, render};
use model::PlanPoint;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use support::namespace::Namespace;
use support::{MODES, any_crowded_point, any_point, plan};

const LIST: &str = "nft list table inet ringfence";

fn artifact(point: &PlanPoint) -> String {
    render(&plan(vec![point.clone()]), find("nftables").unwrap()).unwrap()[0].text.clone()
}

fn read_text(text: &str) -> ReadBack {
    let source = Source { file_name: "listed".into(), text: text.into() };
    read(find("nftables").unwrap(), &[source], &[]).unwrap_or_else(|e| panic!("{e:?}\n{text}")).remove(0)
}

fn random_points(count: usize, strategy: &impl Strategy<Value = PlanPoint>) -> Vec<PlanPoint> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_kernel_prints_back_what_the_plan_allows() {
    if !testkit::namespaces() {
        return;
    }
    let namespace = Namespace::new("law");
    let crowded = random_points(12, &any_crowded_point());
    for point in random_points(40, &any_point(MODES.to_vec())).into_iter().chain(crowded) {
        let text = artifact(&point);
        namespace.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // Loading again replaces: nothing is left of the table before.
        namespace.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for list in [LIST, "nft list ruleset", "nft -j list ruleset"] {
            let listed = namespace.run(list);
            let back = read_text(&listed);
            assert_eq!(back.ingress, carried(&point.allowed_ingress()), "{list}: {listed}");
            assert_eq!(back.egress, carried(&point.allowed_egress()), "{list}: {listed}");
            assert_eq!(back.mode, point.mode);
        }
    }
}
