//! What goes in comes out: flows, edges, and exactly once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use lake::{Begun, DAY_US, EdgeQuery, FlowFilter, FlowKey, HOUR_US, Lake, LakeError};
use model::{FlowBatch, FlowDetails, Ip, Micros, RollupRow, TimeWindow};
use support::{Key, MONDAY, hour, import, source, sums, traffic};

const WEEK: TimeWindow = TimeWindow { from: MONDAY, to: MONDAY + 7 * DAY_US };

fn sorted(batch: &FlowBatch) -> Vec<String> {
    let mut rows: Vec<_> = (0..batch.len())
        .map(|row| {
            let flow = model::Flow { exporter: 0, ..batch.get(row) };
            (flow.start, format!("{flow:?} {:?}", batch.exporters[batch.exporter[row] as usize]))
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn flows_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let mut batch = traffic(1, 5_000, WEEK);
    let details = FlowDetails {
        process: Some("nginx".into()),
        nat_src_ip: "192.0.2.7".parse().ok(),
        nat_src_port: Some(61_000),
        ..FlowDetails::default()
    };
    batch.details.insert(17, Box::new(details.clone()));
    batch.bytes[3] = u64::MAX;
    import(&mut lake, "a", &batch);
    let found = lake.flows(&FlowFilter::of(TimeWindow::ALL)).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].start.is_sorted());
    batch.bytes[3] = i64::MAX as u64;
    assert_eq!(sorted(&found[0]), sorted(&batch));
    assert_eq!(found[0].details.values().collect::<Vec<_>>(), [&Box::new(details)]);
    let row = *found[0].details.keys().next().unwrap() as usize;
    assert_eq!((found[0].start[row], found[0].source), (batch.start[17], "test"));
}

#[test]
fn counters_beyond_reason_do_not_wrap_into_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let mut batch = traffic(1, 200, WEEK);
    batch.bytes.fill(u64::MAX);
    import(&mut lake, "a", &batch);
    let rows = lake.edges(&EdgeQuery { window: TimeWindow::ALL, cuts: Vec::new() }, &mut |_| ()).unwrap();
    assert!(rows.iter().any(|row| row.flows > 1));
    assert!(rows.iter().all(|row| row.flows == 0 || row.bytes >= 1 << 52));
}

#[test]
fn flows_are_found_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let batch = traffic(2, 3_000, WEEK);
    import(&mut lake, "a", &batch);
    let window = TimeWindow { from: MONDAY + HOUR_US / 3, to: MONDAY + 2 * DAY_US };
    let server = "10.0.1.1".parse().unwrap();
    let filter = FlowFilter {
        either: Some("10.0.1.1".parse().unwrap()),
        src: Some("10.0.1.0/24".parse().unwrap()),
        port: Some(443),
        protocol: Some(6),
        ..FlowFilter::of(window)
    };
    let rows: Vec<usize> = (0..batch.len())
        .filter(|row| {
            let flow = batch.get(*row);
            window.contains(flow.start) && flow.src == server && flow.src_port == 443
        })
        .collect();
    let found = lake.flows(&filter).unwrap();
    assert!(!rows.is_empty());
    assert_eq!(found[0].len(), rows.len());
    let latest = FlowFilter { limit: Some(3), latest_first: true, ..filter.clone() };
    let found = lake.flows(&latest).unwrap();
    let mut starts: Vec<Micros> = rows.iter().map(|row| batch.start[*row]).collect();
    starts.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(found[0].start, starts[..3]);
    let groups = lake.count_flows(&filter, &[FlowKey::SrcIp, FlowKey::SrcPort, FlowKey::Verdict]).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].key, ["10.0.1.1", "443", "unknown"]);
    assert_eq!(groups[0].flows, rows.len() as u64);
    assert_eq!(groups[0].bytes, rows.iter().map(|row| batch.bytes[*row]).sum::<u64>());
}

/// The window's sums as the lake gives them, added up over pieces that `piece` names.
fn asked(lake: &Lake, query: &EdgeQuery) -> (Vec<RollupRow>, FlowBatch) {
    let mut partial = FlowBatch::new("test");
    let rows = lake.edges(query, &mut |batch| partial.append(batch)).unwrap();
    (rows, partial)
}

fn check_edges(lake: &Lake, all: &FlowBatch, query: &EdgeQuery, piece: impl Fn(Micros) -> Micros) {
    let (rows, partial) = asked(lake, query);
    let TimeWindow { from, to } = query.window;
    let (first, last) = (hour(from + HOUR_US - 1), hour(to));
    let mut whole = FlowBatch::new("test");
    let mut rest = 0;
    for row in 0..all.len() {
        let start = all.start[row];
        if (first..last).contains(&start) {
            let mut flow = all.get(row);
            flow.exporter = whole.intern_exporter(&all.exporters[flow.exporter as usize]);
            whole.push(flow);
        } else if query.window.contains(start) {
            rest += 1;
        }
    }
    assert_eq!(partial.len(), rest);
    let mut hours: BTreeMap<Key, u32> = BTreeMap::new();
    for (client, server, service, at, exporter) in sums(&whole, hour).into_keys() {
        *hours.entry((client, server, service, piece(at), exporter)).or_default() += 1;
    }
    let expected: Vec<RollupRow> = sums(&whole, |at| piece(hour(at)))
        .into_iter()
        .map(|(key, row)| RollupRow { hours: hours[&key], ..row })
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(rows, expected);
}

#[test]
fn edges_are_the_sums_of_the_windows_flows() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let first = traffic(3, 4_000, WEEK);
    import(&mut lake, "a", &first);
    let from = WEEK.from;
    let whole = EdgeQuery { window: WEEK, cuts: vec![] };
    check_edges(&lake, &first, &whole, |_| from);
    // A second source over the same days: several files hold one key.
    let second = traffic(4, 4_000, WEEK);
    import(&mut lake, "b", &second);
    let mut all = first;
    all.append(&second);
    check_edges(&lake, &all, &whole, |_| from);
    let window = TimeWindow { from: from + HOUR_US * 5 / 2, to: WEEK.to - HOUR_US / 4 };
    let start = from + 3 * HOUR_US;
    check_edges(&lake, &all, &EdgeQuery { window, cuts: vec![] }, |_| start);
    let cut = from + 3 * DAY_US + HOUR_US * 3 / 2;
    let (a, b) = (hour(cut), hour(cut) + HOUR_US);
    let pieces = [start, a, b];
    let piece = |at: Micros| *pieces.iter().rev().find(|piece| **piece <= at).unwrap();
    let hosts = all.src.iter().chain(&all.dst).copied().collect::<BTreeSet<Ip>>();
    let cuts = hosts.iter().map(|ip| (*ip, cut)).collect();
    check_edges(&lake, &all, &EdgeQuery { window, cuts }, piece);
    // Sums of addresses that keep their owner are not cut.
    let one = *hosts.first().unwrap();
    let (rows, _) = asked(&lake, &EdgeQuery { window, cuts: vec![(one, cut)] });
    let (of_one, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| [row.client, row.server].contains(&one));
    let hours = |rows: &[&RollupRow]| rows.iter().map(|row| row.hour).collect::<BTreeSet<_>>();
    assert_eq!((hours(&of_one), hours(&others)), (pieces.into(), [start].into()));
    let (whole, _) = asked(&lake, &EdgeQuery { window, cuts: vec![] });
    let flows = |rows: &[RollupRow]| rows.iter().map(|row| row.flows + row.reverse_flows).sum::<u64>();
    assert_eq!(flows(&rows), flows(&whole));
    // Everything there is, without naming it.
    let (rows, partial) = asked(&lake, &EdgeQuery { window: TimeWindow::ALL, cuts: vec![] });
    assert!(partial.is_empty());
    assert_eq!(rows.iter().map(|row| row.flows + row.reverse_flows).sum::<u64>(), 8_000);
    let none = TimeWindow { from: WEEK.to + DAY_US, to: WEEK.to + 2 * DAY_US };
    assert!(asked(&lake, &EdgeQuery { window: none, cuts: vec![] }).0.is_empty());
}

#[test]
fn a_source_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let batch = traffic(5, 500, WEEK);
    let receipt = import(&mut lake, "a", &batch);
    assert_eq!((receipt.flows, receipt.id), (500, 1));
    let renamed = lake::SourceIdentity { name: "copy of a".into(), ..source("a", b"a") };
    let Begun::AlreadyImported(known) = lake.begin_import(renamed).unwrap() else { panic!("stored twice") };
    assert_eq!(known, receipt);
    assert_eq!(lake.imports().unwrap(), [receipt]);
    let mut again = lake.begin_import_again(source("a", b"a")).unwrap();
    again.append(&traffic(5, 400, WEEK)).unwrap();
    assert_eq!(again.commit().unwrap().id, 2);
    let stats = lake.stats().unwrap();
    assert_eq!((stats.flows, stats.imports, stats.hourly), (400, 1, 0));
    assert_eq!(support::files(folder.path()).len() as u64, stats.files);
}

#[test]
fn a_source_that_goes_on_replaces_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    support::import(&mut lake, "log", &traffic(5, 400, WEEK));
    let first = |text: &'static [u8]| {
        move |size: u64| Ok(lake::SourceIdentity::of_reader("", "", &text[..size as usize])?.sha256)
    };
    // `import` stores the name as the content.
    let more = source("log", b"log goes on");
    assert_eq!(lake.import_continued_by(&source("log", b"other"), first(b"other")).unwrap(), None);
    assert_eq!(lake.import_continued_by(&source("log", b"log"), first(b"log")).unwrap(), None);
    assert_eq!(
        lake.import_continued_by(&source("name", b"log goes on"), first(b"log goes on")).unwrap(),
        None
    );
    let earlier = lake.import_continued_by(&more, first(b"log goes on")).unwrap().unwrap();
    let mut import = lake.begin_import_continuing(more.clone(), earlier).unwrap();
    import.append(&traffic(5, 500, WEEK)).unwrap();
    import.commit().unwrap();
    assert_eq!((lake.stats().unwrap().flows, lake.imports().unwrap().len()), (500, 1));
    assert_eq!(lake.import_continued_by(&more, first(b"log goes on")).unwrap(), None);
}

#[test]
fn an_import_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let Begun::New(mut import) = lake.begin_import(source("a", b"a")).unwrap() else { panic!("not new") };
    // More than may wait, so that files are written.
    for seed in 0..3 {
        import.append(&traffic(seed, 200_000, TimeWindow { to: MONDAY + 4 * HOUR_US, ..WEEK })).unwrap();
    }
    assert!(!support::files(folder.path()).is_empty());
    drop(import);
    assert!(support::files(folder.path()).is_empty());
    assert_eq!(lake.stats().unwrap(), lake::Stats::default());
}

#[test]
fn one_writes_and_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Lake::open_read(folder.path()).unwrap_err();
    assert!(absent.to_string().starts_with("no lake at `"), "{absent}");
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(6, 100, WEEK));
    let busy = Lake::open(folder.path()).unwrap_err().to_string();
    let process = format!("(process {})", std::process::id());
    assert!(busy.contains("is being written to by another ringfence") && busy.contains(&process), "{busy}");
    let mut reader = Lake::open_read(folder.path()).unwrap();
    assert_eq!(reader.stats().unwrap().flows, 100);
    assert!(matches!(reader.begin_import(source("b", b"b")), Err(LakeError::ReadOnly)));
    import(&mut lake, "c", &traffic(7, 50, WEEK));
    assert_eq!(reader.stats().unwrap().flows, 150);
    drop(lake);
    Lake::open(folder.path()).unwrap();
}

#[test]
fn times_beyond_all_reason_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let mut batch = traffic(8, 4, WEEK);
    batch.start.copy_from_slice(&[Micros::MIN, Micros::MAX, -1, 0]);
    import(&mut lake, "a", &batch);
    let found = lake.flows(&FlowFilter::of(TimeWindow::ALL)).unwrap();
    assert_eq!(found[0].start, [Micros::MIN, -1, 0, Micros::MAX]);
}
