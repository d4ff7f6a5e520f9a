use model::{Coverage, CoverageRow, Dropped, Exporter, KERNEL, Micros, TimeWindow, UNATTRIBUTED};
use proptest::prelude::*;

use super::*;

/// 2026-11-02T00:00:00Z, a Monday.
const MONDAY: Micros = 1_793_577_600_000_000;

fn row(exporter: &str, hour: i64, coverage: Coverage) -> CoverageRow {
    let hour = if exporter == UNATTRIBUTED { 0 } else { MONDAY + hour * HOUR_US };
    CoverageRow { source: "netflow".into(), exporter: Exporter(exporter.into()), hour, coverage }
}

/// An hour with nothing missing.
fn whole(flows: u64) -> Coverage {
    Coverage { received: flows / 10 + 1, bytes: flows * 50 + 24, flows, ..Coverage::default() }
}

fn of(rows: &[CoverageRow]) -> Assessment {
    assess(rows, TimeWindow::ALL, &Baseline::learn(rows))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn nothing_lost_is_one_and_nothing_received_is_no_number() {
    let found = of(&[row("a", 0, whole(100)), row("a", 1, whole(10))]);
    assert_eq!(found.score, Some(1.0));
    assert_eq!(found.exporters[0].why, "1.000 of its records were kept");
    assert_eq!(of(&[]).score, None);
}

#[test]
fn each_loss_has_its_share() {
    let loss = |coverage| of(&[row("a", 0, coverage)]).hours[0].score;
    assert!(near(loss(Coverage { missing_records: 25, ..whole(75) }), 0.75));
    assert!(near(loss(Coverage { received: 9, missing_datagrams: 1, ..whole(75) }), 0.9));
    assert!(near(loss(Coverage { bytes: 100, lost: Dropped { count: 1, bytes: 40 }, ..whole(75) }), 0.6));
    assert!(near(loss(Coverage { lost_us: 15 * 60_000_000, lost_intervals: 15, ..whole(75) }), 0.75));
    // Half of the records lost on the way, half of the rest not understood.
    let twice =
        Coverage { missing_records: 50, bytes: 10, lost: Dropped { count: 1, bytes: 5 }, ..whole(50) };
    assert!(near(loss(twice), 0.25));
    // Padding is no loss.
    let padding = [("padding".into(), Dropped { count: 9, bytes: 900 })].into();
    assert!(near(loss(Coverage { dropped: padding, ..whole(75) }), 1.0));
}

#[test]
fn what_the_kernel_dropped_is_not_counted_twice() {
    let numbers = Coverage { received: 80, missing_datagrams: 20, ..whole(800) };
    let kernel = Coverage { missing_datagrams: 20, ..Coverage::default() };
    let both = of(&[row("a", 0, numbers.clone()), row(KERNEL, 0, kernel.clone())]);
    assert!(near(both.hours[0].score, 0.8), "{:?}", both.hours[0].factors);
    // An exporter without numbers of its own bears what the kernel says of all.
    let silent = of(&[row("a", 0, Coverage { received: 80, ..whole(800) }), row(KERNEL, 0, kernel)]);
    assert!(near(silent.hours[0].score, 0.8));
    assert_eq!(silent.exporters.len(), 1);
    // A listener that does not say when.
    let dropped = [(model::KERNEL_DROP.into(), Dropped { count: 20, bytes: 0 })].into();
    let rest = Coverage { dropped, lost: Dropped { count: 20, bytes: 0 }, ..Coverage::default() };
    let untimed = of(&[row("a", 0, Coverage { received: 80, ..whole(800) }), row(UNATTRIBUTED, 0, rest)]);
    assert!(near(untimed.hours[0].score, 0.8), "{:?}", untimed.hours[0].factors);
}

#[test]
fn what_nobody_is_known_for_lowers_everybody() {
    let rest =
        Coverage { received: 1, bytes: 1_000, lost: Dropped { count: 5, bytes: 500 }, ..Coverage::default() };
    let found =
        of(&[row("a", 0, Coverage { received: 0, bytes: 0, ..whole(10) }), row(UNATTRIBUTED, 0, rest)]);
    assert!(near(found.hours[0].score, 0.5));
    assert!(gaps(&found, &Baseline::default()).iter().any(|gap| gap.kind == GapKind::Undecoded));
}

#[test]
fn sampling_is_weighed_by_what_there_must_have_been() {
    let baseline = Baseline::default();
    // 1 - (1 - 1/1000)^20, the research's 1.98 %.
    assert!((baseline.sampled(1_000) - 0.0198).abs() < 1e-4);
    assert_eq!((baseline.sampled(0), baseline.sampled(1)), (1.0, 1.0));
    // A thousand flows that all show and ten that stand for 505 each: far from all.
    let mixed = Coverage { sampling: [(1, 1_000), (1_000, 10)].into(), ..whole(1_010) };
    let found = assess(&[row("a", 0, mixed)], TimeWindow::ALL, &baseline);
    let expected = 1_010.0 / (1_000.0 + 10.0 / baseline.sampled(1_000));
    assert!(near(found.hours[0].sampled, expected), "{} {expected}", found.hours[0].sampled);
    assert!(gaps(&found, &baseline).iter().any(|gap| gap.kind == GapKind::Sampling));
}

#[test]
fn sizes_that_were_measured_count() {
    let mut sizes = [0; model::SIZE_CLASSES];
    (sizes[0], sizes[10]) = (500, 500);
    let baseline = Baseline::learn(&[row("a", 0, Coverage { sizes, ..whole(1_000) })]);
    let half = |packets: i32| 0.5 * (1.0 - 0.99_f64.powi(packets));
    assert!(near(baseline.sampled(100), half(1) + half(1_024)));
    assert!(baseline.sizes_text().contains("measured"));
}

#[test]
fn silence_counts_where_reports_are_usual() {
    let day = |exporter: &str, hours: std::ops::Range<i64>| {
        let exporter = exporter.to_owned();
        hours.map(move |hour| row(&exporter, hour, whole(100))).collect::<Vec<_>>()
    };
    let mut rows = [day("a", 0..48), day("b", 0..40)].concat();
    rows.retain(|row| row.hour != MONDAY + 5 * HOUR_US || &*row.exporter.0 != "a");
    let found = of(&rows);
    let [a, b] = &found.exporters[..] else { panic!("two exporters") };
    assert_eq!((a.silent.as_slice(), a.reported), (&[MONDAY + 5 * HOUR_US][..], 47));
    assert!(near(a.score, 47.0 / 48.0));
    assert_eq!((b.silent.len(), b.reported), (8, 40));
    assert!(b.why.contains("silent in 8 of 48 hours"));
    // That there was nothing to say is a report.
    let nothing = Coverage { silent_intervals: 60, received: 60, bytes: 600, ..Coverage::default() };
    rows.push(row("a", 5, nothing));
    assert_eq!(of(&rows).exporters[0].score, 1.0);
    // A window looks at its own hours, and knows what is usual from all.
    let window = TimeWindow { from: MONDAY + 40 * HOUR_US, to: MONDAY + 48 * HOUR_US };
    let kinds: Vec<_> =
        assess(&rows, window, &Baseline::learn(&rows)).exporters.iter().map(|e| e.score).collect();
    assert_eq!(kinds, [1.0, 0.0], "b has no row in the window, and should");
}

#[test]
fn office_hours_and_single_captures_are_no_silence() {
    let mut rows: Vec<CoverageRow> =
        (0..5).flat_map(|day| (8..18).map(move |hour| row("office", day * 24 + hour, whole(100)))).collect();
    rows.push(row("capture", 30, whole(5)));
    rows.push(row("capture", 90, whole(5)));
    let found = of(&rows);
    assert!(found.exporters.iter().all(|e| e.silent.is_empty()), "{:?}", found.exporters);
    rows.retain(|row| row.hour != MONDAY + 58 * HOUR_US);
    assert_eq!(of(&rows).exporters[1].silent, [MONDAY + 58 * HOUR_US]);
}

#[test]
fn odd_hours_make_nobody_silent() {
    let mut rows: Vec<CoverageRow> = (0..48).map(|hour| row("a", hour, whole(100))).collect();
    rows.push(row("a", 24 * 365 * 8_000, whole(1)));
    rows.push(row("b", -24 * 365 * 1_000, whole(1)));
    let baseline = Baseline::learn(&rows);
    assert_eq!(baseline.body(), (MONDAY, MONDAY + 47 * HOUR_US));
    assert!(of(&rows).exporters.iter().all(|e| e.silent.is_empty()));
}

#[test]
fn a_busy_hour_weighs_more() {
    let busy = Coverage { missing_records: 90_000, ..whole(10_000) };
    let found = of(&[row("a", 0, whole(10)), row("a", 1, busy)]);
    let exporter = &found.exporters[0];
    assert!(near(exporter.by_hour, 0.55) && exporter.by_record < 0.101);
    assert_eq!(exporter.score, exporter.by_record);
    assert!(exporter.why.contains("the lower counts"), "{}", exporter.why);
}

#[test]
fn addresses_stand_as_well_as_their_best_exporter() {
    let sampled = Coverage { sampling: [(1_000, 10)].into(), ..whole(10) };
    let rows = [row("good", 0, whole(100)), row("coarse", 0, sampled)];
    let found = of(&rows);
    let mut watch = Watch::default();
    let ip = |last: u32| [model::Ip::v4(last)];
    for (exporter, client, server) in [("coarse", 1, 2), ("good", 1, 3)] {
        watch.add(&sum(exporter, client, server));
    }
    let one = |last: u32| watch.standing([&ip(last)[..]], &found).unwrap();
    assert_eq!((one(1).score, one(1).sampled_only), (1.0, 0));
    assert!(one(2).score < 0.02 && one(2).sampled_only == 1);
    assert_eq!((one(9).score, one(9).unseen), (0.0, 1));
    let all = watch.standing([&ip(1)[..], &ip(3)[..], &ip(9)[..]], &found).unwrap();
    assert!(near(all.score, 2.0 / 3.0));
    assert_eq!(watch.standing([], &found), None);
}

fn sum(exporter: &str, client: u32, server: u32) -> model::RollupRow {
    model::RollupRow {
        hour: MONDAY,
        hours: 1,
        exporter: Exporter(exporter.into()),
        client: model::Ip::v4(client),
        server: model::Ip::v4(server),
        service: model::Service::new(model::Protocol::TCP, 443),
        client_port: None,
        flows: 1,
        reverse_flows: 0,
        packets: 1,
        bytes: 1,
        reverse_packets: 0,
        reverse_bytes: 0,
        first: MONDAY,
        last: MONDAY,
        allowed: 0,
        denied: 0,
        confidence_sum: 1.0,
        tcp_flags: 0,
    }
}

#[test]
fn gaps_name_what_mends_them() {
    let templates = [("set without a template".into(), Dropped { count: 3, bytes: 300 })].into();
    let rows = [row(
        "a",
        0,
        Coverage {
            missing_datagrams: 50,
            gaps: 2,
            received: 50,
            bytes: 1_000,
            dropped: templates,
            lost: Dropped { count: 3, bytes: 300 },
            clock_behind_us: 90_000_000,
            lost_intervals: 2,
            lost_us: 120_000_000,
            ..whole(100)
        },
    )];
    let kinds: Vec<_> = gaps(&of(&rows), &Baseline::learn(&rows)).into_iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::Loss, GapKind::SourceLoss, GapKind::Templates, GapKind::Clock]);
    assert!(gaps(&of(&[row("a", 0, whole(10))]), &Baseline::default()).is_empty());
}

/// Rows of three exporters over two days, with losses of every kind.
fn rows() -> impl Strategy<Value = Vec<CoverageRow>> {
    let losses = (0_u64..50, 0_u64..20, 0_u64..2_000, 0_u64..4_000_000_000);
    let coverage = (1_u64..2_000, losses, prop::option::of(1_u32..2_000)).prop_map(|(flows, lost, rate)| {
        let (missing_records, missing_datagrams, bytes, lost_us) = lost;
        let sampling = [(model::rate_class(rate.unwrap_or(1)), flows)].into();
        let lost = Dropped { count: u64::from(bytes > 0), bytes };
        Coverage { missing_records, missing_datagrams, lost_us, sampling, lost, ..whole(flows) }
    });
    prop::collection::btree_map((0..3_usize, 0..48_i64), coverage, 1..40).prop_map(|cells| {
        cells.into_iter().map(|((who, hour), coverage)| row(["a", "b", "c"][who], hour, coverage)).collect()
    })
}

/// Makes one row worse. Records that are lost with a trace are no longer among the flows.
fn worsen(coverage: &mut Coverage, how: u8, much: u64) {
    match how {
        0 => coverage.missing_records += much,
        1 => coverage.missing_datagrams += much,
        2 => coverage.lost.bytes += much,
        3 => coverage.lost_us += much * 1_000_000,
        _ => {
            let gone = much.min(coverage.flows.saturating_sub(1));
            coverage.flows -= gone;
            coverage.missing_records += gone;
            let rate = coverage.sampling_worst();
            coverage.sampling = [(rate, coverage.flows)].into();
        }
    }
}

proptest! {
    #[test]
    fn scores_are_probabilities(rows in rows()) {
        let found = of(&rows);
        let all = found.hours.iter().map(|hour| hour.score).chain(found.exporters.iter().map(|e| e.score));
        for score in all.chain(found.score) {
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
        }
    }

    #[test]
    fn more_loss_is_never_better(rows in rows(), at: prop::sample::Index, how in 0_u8..5, much in 1_u64..500) {
        let baseline = Baseline::learn(&rows);
        let before = assess(&rows, TimeWindow::ALL, &baseline);
        let mut worse = rows;
        let at = at.index(worse.len());
        worsen(&mut worse[at].coverage, how, much);
        let after = assess(&worse, TimeWindow::ALL, &baseline);
        prop_assert!(after.score <= before.score.map(|score| score + 1e-12));
        for (a, b) in after.exporters.iter().zip(&before.exporters) {
            prop_assert!(a.score <= b.score + 1e-12, "{} {}", a.score, b.score);
        }
        for (a, b) in after.hours.iter().zip(&before.hours) {
            prop_assert!(a.score <= b.score + 1e-12);
        }
    }

    #[test]
    fn coarser_sampling_is_never_better(rows in rows(), rate in 2_u32..100_000) {
        let baseline = Baseline::learn(&rows);
        let before = assess(&rows, TimeWindow::ALL, &baseline);
        let mut coarser = rows;
        for row in &mut coarser {
            let worst = row.coverage.sampling_worst().max(rate);
            row.coverage.sampling = [(worst, row.coverage.flows)].into();
        }
        let after = assess(&coarser, TimeWindow::ALL, &baseline);
        for (a, b) in after.exporters.iter().zip(&before.exporters) {
            prop_assert!(a.score <= b.score + 1e-12);
        }
    }

    #[test]
    fn an_hour_that_is_missing_is_never_better(losses in prop::collection::vec((1_u64..2_000, 0_u64..5_000), 48), at in 0_usize..48) {
        let coverage = |(flows, missing_records)| Coverage { missing_records, ..whole(flows) };
        let mut rows: Vec<_> =
            losses.into_iter().enumerate().map(|(hour, loss)| row("a", hour as i64, coverage(loss))).collect();
        let baseline = Baseline::learn(&rows);
        let before = assess(&rows, TimeWindow::ALL, &baseline).exporters[0].score;
        let gone = rows.remove(at);
        let after = assess(&rows, TimeWindow::ALL, &baseline);
        prop_assert_eq!(&after.exporters[0].silent[..], &[gone.hour][..]);
        prop_assert!(after.exporters[0].score <= before + 1e-12);
        prop_assert!(after.score <= Some(before + 1e-12));
    }
}
