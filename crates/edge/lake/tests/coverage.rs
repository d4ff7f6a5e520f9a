//! Coverage is kept with its import, and counts once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod support;

use lake::{Begun, DAY_US, EdgeQuery, FlowFilter, FlowKey, HOUR_US, ImportTx, Lake, SourceIdentity};
use model::{CoverageTable, Exporter, TimeWindow};
use support::{MONDAY, files, hour, source, sums, traffic};

const DAY: TimeWindow = TimeWindow { from: MONDAY, to: MONDAY + DAY_US };

fn received(name: &str, at: i64, missing: u64) -> CoverageTable {
    let mut table = CoverageTable::default();
    let row = table.at(&Exporter(name.into()), at);
    row.received = 10;
    row.missing_records = missing;
    row.gaps = 1;
    table
}

fn fill(import: &mut ImportTx<'_>, seed: u64) {
    import.append(&traffic(seed, 1_000, DAY)).unwrap();
    import.append_coverage(&received("router-1", MONDAY + HOUR_US, 7));
}

fn missing(lake: &Lake) -> (u64, u64) {
    let rows = lake.coverage(TimeWindow::ALL).unwrap();
    let sum = |of: fn(&model::Coverage) -> u64| rows.iter().map(|row| of(&row.coverage)).sum();
    (sum(|row| row.flows), sum(|row| row.missing_records))
}

#[test]
fn what_is_imported_again_or_continued_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let Begun::New(mut import) = lake.begin_import(source("a", b"one")).unwrap() else { panic!() };
    fill(&mut import, 1);
    assert_eq!(import.coverage().total().flows, 1_000);
    import.commit().unwrap();
    assert_eq!(missing(&lake), (1_000, 7));
    let mut again = lake.begin_import_again(source("a", b"one")).unwrap();
    fill(&mut again, 1);
    again.commit().unwrap();
    assert_eq!(missing(&lake), (1_000, 7));
    let grown = source("a", b"one and more");
    let earlier = lake.import_continued_by(&grown, |_| Ok(source("", b"one").sha256)).unwrap().unwrap();
    let mut continued = lake.begin_import_continuing(grown, earlier).unwrap();
    fill(&mut continued, 1);
    continued.commit().unwrap();
    assert_eq!(missing(&lake), (1_000, 7));
    // An import that is given up leaves nothing.
    let Begun::New(mut dropped) = lake.begin_import(source("b", b"two")).unwrap() else { panic!() };
    fill(&mut dropped, 2);
    drop(dropped);
    assert_eq!(missing(&lake), (1_000, 7));
}

#[test]
fn rows_are_found_by_the_hours_of_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let Begun::New(mut import) = lake.begin_import(source("a", b"one")).unwrap() else { panic!() };
    fill(&mut import, 1);
    let mut rest = CoverageTable::default();
    let nobody = rest.unattributed();
    rest.get_mut(nobody).lost.count = 3;
    import.append_coverage(&rest);
    import.commit().unwrap();
    let at = |from: i64, to: i64| {
        let window = TimeWindow { from: MONDAY + from, to: MONDAY + to };
        lake.coverage(window)
            .unwrap()
            .into_iter()
            .map(|row| (row.exporter.0.to_string(), row.hour))
            .collect::<Vec<_>>()
    };
    let named = |name: &str, hour: i64| (name.to_owned(), if hour < 0 { 0 } else { MONDAY + hour * HOUR_US });
    let nobody = named(model::UNATTRIBUTED, -1);
    assert_eq!(at(HOUR_US, 2 * HOUR_US), [nobody.clone(), named("router-1", 1), named("router-2", 1)]);
    assert_eq!(at(HOUR_US / 2, HOUR_US + 1).len(), 5, "hours that are cut are whole");
    assert_eq!(at(30 * HOUR_US, 40 * HOUR_US), [], "nothing of the import is in the window");
    let rows = lake.coverage(DAY).unwrap();
    let row = rows.iter().find(|row| &*row.exporter.0 == "router-1" && row.hour == MONDAY + HOUR_US).unwrap();
    assert_eq!((row.coverage.received, row.coverage.gaps, &*row.source), (10, 1, "test"));
}

#[test]
fn what_listeners_receive_adds_up_in_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    for sequence in 0..5 {
        let identity = SourceIdentity::of_stream("netflow", "udp", MONDAY, sequence);
        let Begun::New(mut import) = lake.begin_import(identity.clone()).unwrap() else { panic!() };
        import.append_coverage(&received("router-1", MONDAY, 2));
        import.commit().unwrap();
        assert!(matches!(lake.begin_import(identity).unwrap(), Begun::AlreadyImported(_)));
    }
    let rows = lake.coverage(TimeWindow::ALL).unwrap();
    assert_eq!((rows.len(), rows[0].coverage.received, rows[0].coverage.missing_records), (1, 50, 10));
}

#[test]
fn times_all_over_the_calendar_share_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    // A flow in each of 6,000 hours, and one busy hour.
    let years = TimeWindow { from: MONDAY, to: MONDAY + 6_000 * HOUR_US };
    let mut batch = traffic(1, 6_000, years);
    for (row, start) in batch.start.iter_mut().enumerate() {
        *start = MONDAY + (row as i64 * 7_919 % 6_000) * HOUR_US;
    }
    batch.end.clone_from(&batch.start);
    batch.append(&traffic(2, 3_000, TimeWindow { from: MONDAY, to: MONDAY + HOUR_US }));
    let Begun::New(mut import) = lake.begin_import(source("a", b"one")).unwrap() else { panic!() };
    import.append(&batch).unwrap();
    let rows: Vec<_> = sums(&batch, hour).into_values().collect();
    import.append_rollups(&rows).unwrap();
    import.commit().unwrap();
    let stored = files(folder.path());
    assert!(stored.len() < 100, "{} files", stored.len());
    assert!(stored.iter().any(|path| path.to_string_lossy().contains("dt=spread/hr=spread")));
    // They are found by their times all the same.
    let window = TimeWindow { from: MONDAY + 2_000 * HOUR_US, to: MONDAY + 2_010 * HOUR_US };
    let inside = batch.start.iter().filter(|at| window.contains(**at)).count();
    assert_eq!(
        lake.flows(&FlowFilter::of(window)).unwrap().iter().map(model::FlowBatch::len).sum::<usize>(),
        inside
    );
    let all = EdgeQuery { window: TimeWindow::ALL, cuts: Vec::new() };
    let found = lake.edges(&all, &mut |_| ()).unwrap();
    let flows: u64 = found.iter().map(|row| row.flows + row.reverse_flows).sum();
    assert_eq!(flows, 9_000);
    let hours = |rows: &[model::RollupRow]| rows.iter().map(|row| u64::from(row.hours)).sum::<u64>();
    assert_eq!(hours(&found), rows.len() as u64, "every hour of every conversation counts once");
    drop(lake);
    let lake = Lake::open(folder.path()).unwrap();
    assert_eq!(files(lake.root()).len(), stored.len(), "none of them is taken for a leftover");
}

#[test]
fn sums_beyond_what_fits_are_the_most_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let mut batch = traffic(1, 100, DAY);
    batch.bytes.fill(u64::MAX);
    batch.packets.fill(1 << 61);
    let Begun::New(mut import) = lake.begin_import(source("a", b"one")).unwrap() else { panic!() };
    import.append(&batch).unwrap();
    import.commit().unwrap();
    let groups = lake.count_flows(&FlowFilter::of(TimeWindow::ALL), &[FlowKey::Protocol]).unwrap();
    assert_eq!((groups[0].flows, groups[0].bytes, groups[0].packets), (100, u64::MAX, u64::MAX));
}
