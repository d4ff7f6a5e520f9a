//! Laws of the language, on random policies and random text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod arbitrary;

use arbitrary::{inventory, packets, policy_set, strip};
use model::Region;
use policy::{Verdict, format, parse, plan, plan_from_json, plan_to_json, resolve};
use proptest::prelude::*;

/// Text that is sometimes nearly a policy.
fn policy_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("kind: Guardrail\n"),
        Just("kind: SegmentPolicy\n"),
        Just("kind: Segment\n"),
        Just("---\n"),
        Just("deny:\n"),
        Just("allow:\n  - "),
        Just("tests:\n  - "),
        Just("id: a\n"),
        Just("    from: "),
        Just("    to: role=\u{e9}\n"),
        Just("role in (a,"),
        Just("cidr:"),
        Just("segment:"),
        Just(" can reach "),
        Just(" on tcp/"),
        Just("[1, {"),
        Just("]"),
        Just("\t"),
        Just("&a *a !t "),
        Just("\"\\u"),
        Just("'"),
        Just("|\n"),
        Just("# note\n"),
        Just(" # side\n"),
        Just("name: s\n"),
        Just("selector: a=b\n"),
        Just("? "),
        Just(": "),
        Just("%YAML 9\n"),
        Just("\u{feff}"),
        Just("expires: 20"),
        Just("\r\n"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(problems) = parse(&[("x.yaml".into(), text)]) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn reading_what_looks_like_a_policy_never_panics(text in policy_like()) {
        let files = [("x.yaml".into(), text)];
        match parse(&files) {
            Ok(set) => {
                let text = policy::format_text("x.yaml", &files[0].1).unwrap();
                prop_assert_eq!(strip(parse(&[("x.yaml".into(), text)]).unwrap()), strip(set.clone()));
                prop_assert_eq!(strip(parse(&format(&set)).unwrap()), strip(set)); }
            Err(problems) => for problem in problems {
                prop_assert!(!problem.to_string().is_empty());
                prop_assert!(problem.location.line > 0);
            }
        }
    }

    #[test]
    fn what_is_formatted_reads_back(set in policy_set()) {
        let files = format(&set);
        let back = parse(&files);
        let back = back.map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            TestCaseError::fail(format!("{}\n{}", files[0].1, all.join("\n")))
        })?;
        prop_assert_eq!(format(&back), files);
        prop_assert_eq!(strip(back), strip(set));
    }

    #[test]
    fn the_exact_set_agrees_with_the_naive_evaluator(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(arbitrary::NOW);
        let resolved = resolve(&set, &view);
        let permitted = resolved.permitted();
        let unmanaged = resolved.unmanaged();
        prop_assert!(unmanaged.is_disjoint(&resolved.allowed));
        for packet in packets(&resolved) {
            let decision = resolved.decide(&packet);
            prop_assert_eq!(resolved.allowed.contains(&packet), decision.verdict == Verdict::Allow, "{}", packet);
            prop_assert_eq!(unmanaged.contains(&packet), decision.verdict == Verdict::Unmanaged, "{}", packet);
            prop_assert_eq!(permitted.contains(&packet), decision.verdict != Verdict::Deny, "{}", packet);
        }
    }

    #[test]
    fn enforcement_points_together_do_what_the_policy_says(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(arbitrary::NOW);
        let resolved = resolve(&set, &view);
        let plan = plan(&resolved, &view, None);
        let points: Vec<_> = plan.points.iter().map(|p| (p, p.allowed_ingress(), p.allowed_egress())).collect();
        for packet in packets(&resolved) {
            if !resolved.governs(&packet) {
                continue;
            }
            let passes = points.iter().all(|(point, ingress, egress)| {
                (!point.addresses.contains(packet.source) || egress.contains(&packet))
                    && (!point.addresses.contains(packet.destination) || ingress.contains(&packet))
            });
            prop_assert_eq!(passes, resolved.decide(&packet).verdict == Verdict::Allow, "{}", packet);
        }
    }

    #[test]
    fn plan_files_read_back(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(arbitrary::NOW);
        let resolved = resolve(&set, &view);
        let made = plan(&resolved, &view, Some("parent".into()));
        let text = plan_to_json(&made);
        let back = plan_from_json(&text).unwrap();
        prop_assert_eq!(&back, &made);
        prop_assert_eq!(plan_to_json(&back), text);
        prop_assert!(policy::plan_diff(&made, &back).is_empty());
    }

    #[test]
    fn a_guardrail_deny_never_opens_anything(set in policy_set(), inventory in inventory()) {
        let view = inventory.as_of(arbitrary::NOW);
        let mut without = set.clone();
        for (_, document) in &mut without.documents {
            if let policy::Document::Guardrail(guardrail) = document {
                guardrail.deny.clear();
            }
        }
        prop_assert!(resolve(&set, &view).permitted().is_subset(&resolve(&without, &view).permitted()));
    }
}
