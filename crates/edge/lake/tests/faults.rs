//! What breaks is named, and nothing that was accepted is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod support;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use lake::{Begun, DAY_US, EdgeQuery, FlowFilter, HOUR_US, Lake, LakeError, Relation};
use model::TimeWindow;
use support::{MONDAY, files, import, source, traffic};

const HOURS: TimeWindow = TimeWindow { from: MONDAY, to: MONDAY + 3 * HOUR_US };
const ALL: FlowFilter = FlowFilter::of(TimeWindow::ALL);

fn found(lake: &Lake) -> usize {
    lake.flows(&ALL).unwrap().iter().map(model::FlowBatch::len).sum()
}

fn cut_in_half(path: &Path) {
    let size = fs::metadata(path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len(size / 2).unwrap();
}

#[test]
fn a_file_cut_in_half_is_named_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(1, 900, HOURS));
    let victim = files(&folder.path().join("flows")).remove(1);
    cut_in_half(&victim);
    let said = lake.flows(&ALL).unwrap_err().to_string();
    assert!(said.starts_with(&format!("`{}` is damaged: it has ", victim.display())), "{said}");
    assert!(said.contains("restore it from a backup, or run `ringfence doctor --repair`"), "{said}");
    // The sums are whole, and still answer.
    let query = EdgeQuery { window: HOURS, cuts: vec![] };
    assert!(!lake.edges(&query, &mut |_| {}).unwrap().is_empty());
    let damaged = lake.check(false).unwrap();
    assert_eq!((damaged.len(), damaged[0].relation), (1, Relation::Flows));
    lake.quarantine(&damaged[0]).unwrap();
    assert!(lake.check(true).unwrap().is_empty());
    let stats = lake.stats().unwrap();
    assert_eq!(stats.flows_lost, damaged[0].rows);
    assert_eq!(found(&lake) as u64, 900 - damaged[0].rows);
    assert_eq!(files(&folder.path().join("quarantine")).len(), 1);
    // Its source brings it back.
    let mut again = lake.begin_import_again(source("a", b"a")).unwrap();
    again.append(&traffic(1, 900, HOURS)).unwrap();
    again.commit().unwrap();
    assert_eq!(found(&lake), 900);
    assert_eq!(lake.stats().unwrap().flows_lost, 0);
}

#[test]
fn damage_that_keeps_the_size_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(2, 2_000, HOURS));
    let victim = files(&folder.path().join("edges_1h")).remove(0);
    let mut bytes = fs::read(&victim).unwrap();
    let middle = bytes.len() / 2;
    bytes[64..middle].fill(0xa5);
    fs::write(&victim, bytes).unwrap();
    assert!(lake.check(false).unwrap().is_empty());
    let query = EdgeQuery { window: HOURS, cuts: vec![] };
    let error = lake.edges(&query, &mut |_| {}).unwrap_err();
    let LakeError::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(folder.path().join(&damage.path), victim);
    assert_eq!(lake.check(true).unwrap(), std::slice::from_ref(damage));
    fs::remove_file(&victim).unwrap();
    let said = lake.edges(&query, &mut |_| {}).unwrap_err().to_string();
    assert!(said.contains("is damaged: it is missing"), "{said}");
}

#[test]
fn what_no_manifest_lists_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(3, 300, HOURS));
    drop(lake);
    let kept = files(folder.path());
    for name in ["00000009-00001.parquet", ".part-00000009-00002.parquet"] {
        fs::write(kept[0].parent().unwrap().join(name), "half of a file").unwrap();
    }
    let lake = Lake::open(folder.path()).unwrap();
    assert_eq!(files(folder.path()), kept);
    assert_eq!(found(&lake), 300);
}

#[test]
fn a_state_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Lake::open(folder.path()).unwrap());
    let store = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    store.execute("INSERT INTO migrations VALUES (7, 'from the future', 0)", []).unwrap();
    drop(store);
    for error in [Lake::open(folder.path()).unwrap_err(), Lake::open_read(folder.path()).unwrap_err()] {
        let said = error.to_string();
        assert!(said.contains("newer ringfence (state version 7, this one knows up to 3)"), "{said}");
    }
}

#[test]
fn a_state_that_was_never_finished_is_no_lake() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.db"), "").unwrap();
    assert!(matches!(Lake::open_read(folder.path()), Err(LakeError::Absent(root)) if root == folder.path()));
    drop(Lake::open(folder.path()).unwrap());
    assert_eq!(found(&Lake::open_read(folder.path()).unwrap()), 0);
}

#[test]
fn a_state_that_is_no_state_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.db"), "this is not a database, nor was it ever one".repeat(50))
        .unwrap();
    let said = Lake::open(folder.path()).unwrap_err().to_string();
    assert!(said.starts_with("cannot open the state in `") && said.contains("not a database"), "{said}");
}

/// A small file system of its own, taken down when this is dropped; none without root.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder)
            .output()
            .is_ok_and(|out| out.status.success());
        if !mounted {
            eprintln!("SKIPPED: needs root and leave to mount a tmpfs (`mount -t tmpfs`)");
        }
        mounted.then(|| Self(folder.to_path_buf()))
    }

    fn again(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(folder.path(), "size=3m") else { return };
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(4, 2_000, HOURS));
    let before = files(folder.path());
    for attempt in 0..2 {
        let Begun::New(mut import) = lake.begin_import(source("b", b"b")).unwrap() else { panic!("stored") };
        let result = (0..20).try_for_each(|seed| import.append(&traffic(seed, 20_000, HOURS)));
        let error = result.and_then(|()| import.commit().map(|_| ())).unwrap_err();
        assert!(matches!(error, LakeError::DiskFull(_)), "{attempt}: {error}");
        let said = error.to_string();
        assert!(said.contains("no space left while writing `") && said.contains("kept"), "{said}");
        assert_eq!(files(folder.path()), before);
        assert_eq!(found(&lake), 2_000);
    }
    // The state itself may be what does not fit.
    let filler = folder.path().join("filler");
    let written = fs::write(&filler, vec![0_u8; 4 << 20]);
    assert!(written.is_err());
    let error = lake.put_document("note", "k", &"x".repeat(4 << 20).into()).unwrap_err();
    assert!(matches!(error, LakeError::DiskFull(_)), "{error}");
    fs::remove_file(filler).unwrap();
    import(&mut lake, "c", &traffic(5, 1_000, HOURS));
    drop(lake);
    let lake = Lake::open(folder.path()).unwrap();
    assert_eq!((found(&lake), lake.stats().unwrap().imports), (3_000, 2));
    drop(mount);
}

#[test]
fn without_leave_to_write_a_lake_can_still_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(folder.path(), "size=8m") else { return };
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(6, 500, HOURS));
    drop(lake);
    mount.again("remount,ro");
    let error = Lake::open(folder.path()).unwrap_err();
    assert!(matches!(error, LakeError::Permission { .. }), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("may not write `") && said.contains("check its owner and mode"), "{said}");
    let lake = Lake::open_read(folder.path()).unwrap();
    assert_eq!(found(&lake), 500);
    let new = Lake::open(&folder.path().join("new")).unwrap_err().to_string();
    assert!(new.starts_with("may not make the folder `"), "{new}");
    drop(lake);
    drop(mount);
}

#[test]
fn a_query_that_may_not_have_its_memory_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    import(&mut lake, "a", &traffic(7, 3_000, TimeWindow { from: MONDAY, to: MONDAY + DAY_US }));
    lake.limit_query_memory(1 << 10);
    let error = lake.edges(&EdgeQuery { window: TimeWindow::ALL, cuts: vec![] }, &mut |_| {}).unwrap_err();
    assert!(matches!(error, LakeError::Memory { .. }), "{error}");
}
