//! A process that is killed while it imports loses nothing that it reported, and stores nothing twice on retry.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lake::{Begun, FlowFilter, HOUR_US, Lake};
use model::{FlowBatch, RollupRow, TimeWindow};
use support::{Dice, MONDAY, files, hour, source, sums, traffic};

const SOURCES: u64 = 40;
const ROWS: usize = 400;
const HOURS: TimeWindow = TimeWindow { from: MONDAY, to: MONDAY + 3 * HOUR_US };

/// Where the process that is killed has its lake; without it, the test of that name has nothing to do.
const LAKE: &str = "RINGFENCE_TEST_LAKE";

#[test]
fn imports_in_a_loop() {
    let Some(folder) = std::env::var_os(LAKE) else { return };
    let mut lake = Lake::open(Path::new(&folder)).unwrap();
    for number in 0..SOURCES {
        let name = format!("source-{number}");
        let Begun::New(mut import) = lake.begin_import(source(&name, name.as_bytes())).unwrap() else {
            continue;
        };
        let batch = traffic(number, ROWS, HOURS);
        import.append(&batch).unwrap();
        import.append_rollups(&sums(&batch, hour).into_values().collect::<Vec<RollupRow>>()).unwrap();
        import.commit().unwrap();
        // The line is out before the next import begins: what is read from it was reported.
        println!("accepted {name}");
    }
    println!("done");
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["imports_in_a_loop", "--exact", "--nocapture"])
        .env(LAKE, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_stored_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x5eed);
    let mut reported = BTreeSet::new();
    let (mut kills, mut done) = (0, false);
    while !done {
        let mut child = start(folder.path());
        let output = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).collect::<Vec<String>>()
        });
        // Later runs get longer, so that the last one comes to its end whatever the machine.
        std::thread::sleep(Duration::from_millis(20 + dice.roll(60 + 20 * kills)));
        let finished = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u64::from(!finished);
        for line in reader.join().unwrap() {
            // The first line shares its line with the harness's own words.
            reported.extend(line.split("accepted ").nth(1).map(str::to_owned));
            done |= line.ends_with("done");
        }
        let lake = Lake::open(folder.path()).unwrap();
        let stored: BTreeSet<String> = lake.imports().unwrap().into_iter().map(|i| i.name).collect();
        assert!(reported.is_subset(&stored), "lost: {:?}", reported.difference(&stored));
        assert!(stored.len() <= reported.len() + kills as usize);
        let flows: usize =
            lake.flows(&FlowFilter::of(TimeWindow::ALL)).unwrap().iter().map(FlowBatch::len).sum();
        assert_eq!(flows, stored.len() * ROWS);
        assert_eq!(files(folder.path()).len() as u64, lake.stats().unwrap().files);
    }
    assert!(kills >= 3, "killed {kills} times only");
    let lake = Lake::open(folder.path()).unwrap();
    assert_eq!(lake.stats().unwrap().flows, SOURCES * ROWS as u64);
    assert!(lake.check(true).unwrap().is_empty());
}
