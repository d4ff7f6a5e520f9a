//! Runs that do not come to their end: killed imports, a reader that goes away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use support::{GOOD_FLOWS, good, ringfence, stored, write_repeated};

/// Times that each file of the killed import holds the good capture; no two files alike.
const FILES: [usize; 6] = [310, 320, 330, 340, 350, 360];

#[test]
fn an_import_killed_at_any_moment_stores_whole_files_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let flows = folder.path().join("flows");
    std::fs::create_dir(&flows).unwrap();
    let mut totals = vec![0];
    for (index, times) in FILES.iter().enumerate() {
        write_repeated(&flows.join(format!("{index}.pcap")), *times);
        totals.push(totals[index] + *times as u64 * GOOD_FLOWS);
    }
    let (mut kills, mut before, mut state) = (0, 0, 0x5eed_u64);
    loop {
        let mut child = ringfence(folder.path(), &["import", "auto", "flows"]);
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Later runs get longer, so that the last one comes to its end whatever the machine.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(5 + (state >> 33) % (20 + 30 * kills)));
        let finished = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let now = stored(folder.path());
        assert!(totals.contains(&now), "{now} flows are no whole number of files: {totals:?}");
        assert!(now >= before, "{before} flows were stored, and {now} are left");
        before = now;
        match finished {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => kills += 1,
        }
    }
    assert!(kills >= 3, "killed {kills} times only");
    assert_eq!(Some(&before), totals.last());
    let again = good(folder.path(), &["import", "auto", "flows"]);
    assert_eq!(again.matches("stored before").count(), FILES.len(), "{again}");
    assert_eq!(Some(&stored(folder.path())), totals.last());
    good(folder.path(), &["doctor", "--thorough"]);
}

/// Reads one line of the output and goes away; gives how the command ended and what it said.
fn read_one_line(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child =
        ringfence(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "{arguments:?} printed nothing");
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    write_repeated(&folder.path().join("many.pcap"), 300);
    good(folder.path(), &["import", "auto", "many.pcap"]);
    for arguments in [
        &["decode", "auto", "many.pcap"][..],
        &["decode", "auto", "many.pcap", "-o", "csv"],
        &["flows", "--limit", "4000"],
        &["flows", "--limit", "4000", "-o", "json"],
        &["map", "-o", "html"],
        &["completions", "bash"],
        &["man"],
        &["policy", "schema"],
    ] {
        assert_eq!(read_one_line(folder.path(), arguments), (Some(0), String::new()), "{arguments:?}");
    }
}
