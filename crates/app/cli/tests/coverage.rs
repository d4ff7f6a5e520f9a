//! From an exporter that samples and loses to a proposal that knows it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall stop")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::good;

/// 2026-09-21T07:00:00Z.
const SEVEN: u32 = 1_789_974_000;

/// Version 5 datagrams of a web server that asks its database, one packet in `sampling`; some of them never arrive.
fn datagrams(sampling: u16, lost: &[u32]) -> Vec<u8> {
    let address = |last: u8| [10, 20, 1, last];
    let record = |n: u32, answer: bool| {
        let (source, destination) = if answer { (address(2), address(1)) } else { (address(1), address(2)) };
        let client = (40_000 + n as u16).to_be_bytes();
        let server = 5_432_u16.to_be_bytes();
        let ports = if answer { [server, client] } else { [client, server] }.concat();
        let counts = [0, 5, 600, 1_000, 1_000].map(u32::to_be_bytes).concat();
        [&source[..], &destination, &[0; 4], &counts, &ports, &[0, 0x1b, 6, 0], &[0; 8]].concat()
    };
    let datagram = |n: u32| {
        let header =
            [&[0, 5, 0, 2][..], &1_000_u32.to_be_bytes(), &(SEVEN + n * 30).to_be_bytes(), &[0; 4]].concat();
        let rest = [&(n * 2).to_be_bytes()[..], &[0, 0], &sampling.to_be_bytes()].concat();
        [header, rest, record(n, false), record(n, true)].concat()
    };
    (0..40).filter(|n| !lost.contains(n)).flat_map(datagram).collect()
}

fn project(folder: &Path, flows: &[u8]) {
    std::fs::write(folder.join("flows.bin"), flows).unwrap();
    let assets = "id,address,role\nweb-1,10.20.1.1,web\ndb-1,10.20.1.2,db\n";
    std::fs::write(folder.join("assets.csv"), assets).unwrap();
    good(folder, &["init", "."]);
    good(folder, &["inventory", "import", "assets.csv"]);
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(folder, &[arguments, &["-o", "json"]].concat())).unwrap()
}

#[test]
fn what_never_arrived_is_said_and_lowers_the_score() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    project(folder, &datagrams(0, &[10, 11, 30]));
    let imported = json(folder, &["import", "netflow", "flows.bin"]);
    assert_eq!(imported["visibility"]["score"], 74.0 / 80.0);
    let coverage = json(folder, &["flows", "--coverage"]);
    let row = &coverage["rows"][0];
    assert_eq!((&row["missing_records"], &row["gaps"], &row["decoded"]), (&6.into(), &2.into(), &74.into()));
    let gaps = coverage["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["kind"] == "loss"), "{gaps:?}");
    assert!(good(folder, &["doctor"]).contains("6 records never arrived (7.5 %, 2 gaps in its numbers)"));
    let proposal = json(folder, &["policy", "propose"]);
    assert_eq!(proposal["visibility"]["score"], 74.0 / 80.0);
    assert_eq!(proposal["rules"][0]["evidence"]["visibility"], 0.925);
    assert!(proposal["needs_review"].as_array().unwrap().is_empty());
    // Imported again, it counts once.
    good(folder, &["import", "netflow", "flows.bin", "--again"]);
    assert_eq!(json(folder, &["flows", "--coverage"])["rows"][0]["missing_records"], 6);
}

#[test]
fn what_was_sampled_alone_is_not_denied_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    project(folder, &datagrams(1_000, &[]));
    good(folder, &["import", "netflow", "flows.bin"]);
    let coverage = json(folder, &["flows", "--coverage", "--by", "exporter"]);
    let row = &coverage["rows"][0];
    assert_eq!((&row["sampling_typical"], &row["sampling_worst"]), (&1_000.into(), &1_000.into()));
    let score = row["score"].as_f64().unwrap();
    assert!((score - (1.0 - 0.999_f64.powi(20))).abs() < 1e-9, "{score}");
    let proposal = json(folder, &["policy", "propose", "--mode", "enforce"]);
    let review = proposal["needs_review"].as_array().unwrap();
    assert!(!review.is_empty() && review[0]["reason"].as_str().unwrap().contains("sampling alone"));
    let files = proposal["files"].as_object().unwrap();
    let text: String = files.values().map(|file| file.as_str().unwrap()).collect();
    assert!(text.contains("mode: observe") && !text.contains("mode: enforce"), "{text}");
    assert!(good(folder, &["doctor"]).contains("no default-deny is proposed from it"));
    let page = good(folder, &["map", "-o", "html"]);
    assert!(page.contains("What was seen, and what was missed"));
}
