//! Damage that a story cannot make: files of the lake cut in half, a full disk, a file system that may not be written to.
//! Each is named, and nothing that was stored before is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use support::{GOOD_FLOWS, Mount, fixture, good, refused, run, stored, write_log};

const LOG_FLOWS: u64 = 400;

/// A project with one capture and one log in its lake.
fn project(folder: &Path) -> PathBuf {
    let log = folder.join("flows.log");
    write_log(&log, LOG_FLOWS);
    good(folder, &["init", "p"]);
    let project = folder.join("p");
    for source in [fixture("good.pcap"), log] {
        good(&project, &["import", "auto", &source.display().to_string()]);
    }
    assert_eq!(stored(&project), GOOD_FLOWS + LOG_FLOWS);
    project
}

/// The largest file below a folder.
fn largest(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap()) {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap()
}

fn cut_in_half(file: &Path) {
    let size = fs::metadata(file).unwrap().len();
    OpenOptions::new().write(true).open(file).unwrap().set_len(size / 2).unwrap();
}

#[test]
fn a_parquet_file_cut_in_half_is_named_set_aside_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let victim = largest(&project.join(".ringfence/flows"));
    let name = victim.strip_prefix(&project).unwrap().display().to_string();
    cut_in_half(&victim);
    refused(&project, &["flows"], &[&name, "is damaged: it has ", "ringfence doctor --repair"]);
    // What does not need the file still answers.
    assert!(good(&project, &["map"]).contains("tcp/5432"));
    let looked = run(&project, &["doctor"]);
    assert_eq!(looked.code, Some(1), "{looked:?}");
    assert!(looked.out.contains(&name) && looked.err.contains("1 file of the lake is damaged"), "{looked:?}");
    assert!(good(&project, &["doctor", "--repair"]).contains("set aside, below quarantine/"));
    assert_eq!(stored(&project), GOOD_FLOWS);
    let after = good(&project, &["doctor"]);
    assert!(
        after.contains("400 flows are set aside") && after.contains("ringfence import --again"),
        "{after}"
    );
    good(&project, &["import", "auto", "--again", "../flows.log"]);
    assert_eq!(stored(&project), GOOD_FLOWS + LOG_FLOWS);
    assert!(!good(&project, &["doctor", "--thorough"]).contains("set aside"));
}

#[test]
fn a_capture_that_was_cut_off_is_replaced_by_the_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("today.pcap");
    fs::copy(fixture("truncated.pcap"), &capture).unwrap();
    refused(folder.path(), &["import", "auto", "today.pcap"], &["`today.pcap` is cut off at byte"]);
    assert_eq!(stored(folder.path()), 10);
    fs::copy(fixture("good.pcap"), &capture).unwrap();
    let whole = run(folder.path(), &["import", "auto", "today.pcap"]);
    assert!(
        whole.code == Some(0) && whole.err.contains("holds more than when it was imported before"),
        "{whole:?}"
    );
    assert_eq!(stored(folder.path()), GOOD_FLOWS);
    // Other content under the same name is another source: a rotated log.
    write_log(&capture, LOG_FLOWS);
    good(folder.path(), &["import", "auto", "today.pcap"]);
    assert_eq!(stored(folder.path()), GOOD_FLOWS + LOG_FLOWS);
    good(folder.path(), &["doctor", "--thorough"]);
}

#[test]
fn damage_of_the_same_size_is_found_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let victim = largest(&project.join(".ringfence/flows"));
    let mut bytes = fs::read(&victim).unwrap();
    let middle = bytes.len() / 2;
    bytes[8..middle].fill(0xa5);
    fs::write(&victim, bytes).unwrap();
    good(&project, &["doctor"]);
    let name = victim.strip_prefix(&project).unwrap().display().to_string();
    let looked = run(&project, &["doctor", "--thorough", "-o", "json"]);
    assert_eq!(looked.code, Some(1));
    let items: serde_json::Value = serde_json::from_str(&looked.out).unwrap();
    let damage = items["items"].as_array().unwrap().iter().find(|item| item["name"] == "damage").unwrap();
    assert_eq!(damage["value"], name.as_str());
}

#[test]
fn a_state_that_is_no_state_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    fs::write(project.join(".ringfence/state.db"), "not a database ".repeat(500)).unwrap();
    for arguments in [&["flows"][..], &["doctor"], &["import", "auto", "../flows.log"]] {
        refused(&project, arguments, &[".ringfence/state.db"]);
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join(".ringfence");
    let Some(mount) = Mount::new(&lake, "size=1500k") else { return };
    let (small, large) = (folder.path().join("small.log"), folder.path().join("large.log"));
    write_log(&small, LOG_FLOWS);
    write_log(&large, 60_000);
    good(folder.path(), &["import", "auto", "small.log"]);
    for _ in 0..2 {
        let said = ["no space left while writing `.ringfence", "nothing of this import was stored"];
        refused(folder.path(), &["import", "auto", "large.log"], &said);
        assert_eq!(stored(folder.path()), LOG_FLOWS);
        good(folder.path(), &["doctor", "--thorough"]);
    }
    mount.again("remount,size=64m");
    good(folder.path(), &["import", "auto", "small.log", "large.log"]);
    assert_eq!(stored(folder.path()), LOG_FLOWS + 60_000);
}

#[test]
fn a_disk_that_may_not_be_written_to_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    let Some(mount) = Mount::new(&place, "size=16m") else { return };
    let project = project(&place);
    mount.again("remount,ro");
    refused(
        &project,
        &["import", "auto", &fixture("truncated.pcap").display().to_string()],
        &[".ringfence", "check its owner and mode"],
    );
    refused(
        &project,
        &["inventory", "import", &fixture("assets.csv").display().to_string()],
        &[".ringfence"],
    );
    refused(&project, &["man", "--out", "pages"], &["cannot write man pages to `pages`"]);
    refused(&place, &["init", "q"], &["q/inventory"]);
    let rejects = ["decode", "auto", "../flows.log", "--rejects", "rejects.ndjson"];
    refused(&project, &rejects, &["cannot write `rejects.ndjson`"]);
    assert_eq!(stored(&project), GOOD_FLOWS + LOG_FLOWS);
    mount.again("remount,rw");
    good(&project, &["inventory", "import", &fixture("assets.csv").display().to_string()]);
    assert_eq!(stored(&project), GOOD_FLOWS + LOG_FLOWS);
}
