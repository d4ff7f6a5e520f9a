use proptest::prelude::*;

use super::*;
use crate::batch::Flow;

fn exporter(name: &str) -> Exporter {
    Exporter(name.into())
}

#[test]
fn rates_keep_their_class_or_get_coarser() {
    let rates = [0, 1, 9, 10, 11, 64, 1_000, 1_001, 1_500, 4_096, 4_097, 999_999, u32::MAX];
    let classes = [1, 1, 9, 10, 20, 64, 1_000, 2_000, 2_000, 4_096, 5_000, 1_000_000, u32::MAX];
    assert_eq!(rates.map(rate_class), classes);
}

#[test]
fn flows_are_counted_by_exporter_and_hour() {
    let mut batch = FlowBatch::new("test");
    let hour = HOUR_US;
    for (who, start, end, sampling, packets) in [
        ("a", 10, 20, 1, 1),
        ("a", 5, hour - 1, 1, 3),
        ("a", hour - 1, hour, 1_000, 9_000),
        ("b", 1, 2, 1, 1_000_000_000),
        ("a", 1, 30, 1, 4),
    ] {
        let exporter = batch.intern_exporter(&exporter(who));
        let present = FlowBatch::HAS_COUNTS;
        batch.push(Flow { start, end, sampling, packets, exporter, present, ..Flow::default() });
    }
    let mut table = CoverageTable::default();
    table.count_flows(&batch);
    let rows = table.rows();
    let shown: Vec<_> = rows.iter().map(|(who, hour, row)| (&*who.0, *hour, row.flows, row.span)).collect();
    let expected =
        [("a", 0, 3, Some((1, hour - 1))), ("a", hour, 1, Some((hour - 1, hour))), ("b", 0, 1, Some((1, 2)))];
    assert_eq!(shown, expected);
    assert_eq!(rows[0].2.sizes[..4], [1, 1, 1, 0]);
    assert_eq!(rows[2].2.sizes[SIZE_CLASSES - 1], 1);
    assert_eq!((rows[1].2.sampling_worst(), rows[1].2.sampling_typical()), (1_000, 1_000));
    assert_eq!(rows[1].2.sizes, [0; SIZE_CLASSES], "sampled flows do not tell how large flows are");
}

#[test]
fn exporter_hours_are_bounded_and_nothing_goes_uncounted() {
    let mut table = CoverageTable::default();
    for hour in 0..ROWS_MAX as i64 + 1_000 {
        table.at(&exporter("a"), hour * HOUR_US).flows += 1;
    }
    assert_eq!(table.cells.len(), ROWS_MAX + 1);
    assert_eq!(table.total().flows, ROWS_MAX as u64 + 1_000);
    let index = table.unattributed();
    assert_eq!(table.get_mut(index).flows, 1_000);
}

#[test]
fn extreme_times_are_hours_too() {
    let mut batch = FlowBatch::new("test");
    batch.intern_exporter(&exporter("a"));
    for at in [Micros::MIN, Micros::MAX, 0, -1] {
        batch.push(Flow { start: at, end: at, ..Flow::default() });
    }
    let mut table = CoverageTable::default();
    table.count_flows(&batch);
    assert_eq!((table.total().flows, table.rows().len()), (4, 4));
}

#[test]
fn the_median_rate_is_typical() {
    let row = Coverage { sampling: [(1, 10), (100, 5), (1_000, 6)].into(), ..Coverage::default() };
    assert_eq!((row.sampling_typical(), row.sampling_worst()), (100, 1_000));
    assert_eq!((Coverage::default().sampling_typical(), Coverage::default().sampling_worst()), (1, 1));
}

fn coverage() -> impl Strategy<Value = Coverage> {
    let counts = prop::array::uniform12(0_u64..1_000);
    let dropped = prop::collection::btree_map(
        prop::sample::select(vec!["a", "b"]).prop_map(Cow::Borrowed),
        (0_u64..9, 0_u64..9).prop_map(|(count, bytes)| Dropped { count, bytes }),
        0..3,
    );
    let sampling = prop::collection::btree_map((1_u32..20).prop_map(rate_class), 0_u64..9, 0..3);
    (counts, dropped, sampling, prop::option::of((-9_i64..9, -9_i64..9))).prop_map(
        |(n, dropped, sampling, span)| Coverage {
            received: n[0],
            bytes: n[1],
            flows: n[2],
            lost: Dropped { count: n[3], bytes: n[4] },
            missing_datagrams: n[5],
            missing_records: n[6],
            gaps: n[7],
            resets: n[8],
            silent_intervals: n[9],
            lost_intervals: n[10],
            lost_us: n[11],
            clock_ahead_us: n[0],
            clock_behind_us: n[1],
            dropped,
            sampling,
            sizes: [n[2]; SIZE_CLASSES],
            span,
        },
    )
}

fn table() -> impl Strategy<Value = CoverageTable> {
    let row = (prop::sample::select(vec!["a", "b"]), 0_i64..3, coverage());
    prop::collection::vec(row, 0..5).prop_map(|rows| {
        let mut table = CoverageTable::default();
        rows.iter().for_each(|(who, hour, row)| table.at(&exporter(who), hour * HOUR_US).merge(row));
        table
    })
}

proptest! {
    #[test]
    fn merging_is_commutative_and_associative(a in table(), b in table(), c in table()) {
        let sum = |parts: &[&CoverageTable]| {
            let mut sum = CoverageTable::default();
            parts.iter().for_each(|part| sum.merge(part));
            sum
        };
        prop_assert_eq!(sum(&[&a, &b]), sum(&[&b, &a]));
        prop_assert_eq!(sum(&[&sum(&[&a, &b]), &c]), sum(&[&a, &sum(&[&b, &c])]));
    }

    #[test]
    fn rows_read_back_as_they_were_written(row in coverage()) {
        let text = serde_json::to_string(&row).unwrap();
        prop_assert_eq!(serde_json::from_str::<Coverage>(&text).unwrap(), row);
    }
}
