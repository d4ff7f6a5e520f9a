//! `ringfence collect --follow`: log files that grow and are rotated while the collector is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use support::collector::Collector;
use support::{good, run};

const HEAD: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\torig_pkts\torig_ip_bytes\n";

/// Records whose bytes are their numbers.
fn append(path: &Path, numbers: std::ops::Range<u64>) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    if file.metadata().unwrap().len() == 0 {
        file.write_all(HEAD.as_bytes()).unwrap();
    }
    for number in numbers {
        let line = format!("1600000000.5\t10.0.0.1\t49152\t10.0.0.2\t443\ttcp\t1\t{number}\n");
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// The numbers that are stored, in order.
fn numbers(folder: &Path) -> Vec<u64> {
    let ran = run(folder, &["flows", "--limit", "1000000", "-o", "ndjson"]);
    let mut found: Vec<u64> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["bytes"].as_u64().unwrap())
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn every_record_is_stored_once_over_rotation_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("conn.log");
    let followed = format!("zeek:{}", log.display());
    append(&log, 1..1_000);
    let mut next = 1_000;
    for round in 0..4 {
        let collector = Collector::start(folder.path(), &["--follow", &followed]);
        for _ in 0..4 {
            append(&log, next..next + 50);
            next += 50;
            std::thread::sleep(Duration::from_millis(300));
        }
        if round % 2 == 1 {
            fs::rename(&log, folder.path().join(format!("conn.log.{round}"))).unwrap();
            append(&log, next..next + 10);
            next += 10;
        }
        collector.kill();
    }
    let collector = Collector::start(folder.path(), &["--follow", &followed]);
    let patience = Instant::now();
    while numbers(folder.path()).len() + 1 < next as usize && patience.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let (status, said) = collector.stop();
    assert!(status.success() && said.contains("from where it was left"), "{said}");
    assert_eq!(numbers(folder.path()), (1..next).collect::<Vec<_>>());
    good(folder.path(), &["doctor", "--thorough"]);
}
