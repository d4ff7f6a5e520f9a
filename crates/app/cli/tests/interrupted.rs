//! Runs that do not come to their end: killed imports, a collector that is stopped, a reader that goes away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{GOOD_FLOWS, datagrams, good, ringfence, run, stored, write_repeated};

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

/// A collector on a free port, and the port.
struct Collector {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    port: u16,
}

impl Collector {
    fn start(folder: &Path) -> Self {
        let mut command = ringfence(folder, &["collect", "--listen", "127.0.0.1:0", "--every", "1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(';').next());
        let port = port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in `{line}`"));
        Self { child, said, port }
    }

    fn send(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in datagrams() {
            socket.send_to(&datagram, ("127.0.0.1", self.port)).unwrap();
        }
    }

    /// Reads until a line starts so.
    fn wait_for(&mut self, start: &str) {
        let limit = Instant::now() + Duration::from_secs(60);
        let mut line = String::new();
        while !line.starts_with(start) {
            assert!(Instant::now() < limit, "the collector never said `{start}`");
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "the collector ended before `{start}`");
        }
    }
}

#[test]
fn a_collector_that_is_stopped_has_stored_what_it_received() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path());
    collector.send();
    // What was received is stored in time, without a signal and without further traffic.
    collector.wait_for("stored 15 flows (15 in all)");
    assert_eq!(stored(folder.path()), GOOD_FLOWS);
    collector.send();
    std::thread::sleep(Duration::from_millis(200));
    let pid = collector.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = collector.child.wait().unwrap();
    let mut rest = String::new();
    collector.said.read_to_string(&mut rest).unwrap();
    assert!(status.success(), "{status}: {rest}");
    assert!(rest.contains("stopped; 6 datagrams received, 30 flows stored"), "{rest}");
    assert_eq!(stored(folder.path()), 2 * GOOD_FLOWS);
}

#[test]
fn a_collector_that_is_killed_has_what_it_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path());
    collector.send();
    collector.wait_for("stored 15 flows");
    collector.child.kill().unwrap();
    collector.child.wait().unwrap();
    assert_eq!(stored(folder.path()), GOOD_FLOWS);
}

#[test]
fn two_do_not_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path());
    let capture = support::fixture("good.pcap").display().to_string();
    let refused = run(folder.path(), &["import", "auto", &capture]);
    assert_eq!(refused.code, Some(1));
    let holder = format!("(process {})", collector.child.id());
    assert!(
        refused.err.contains("being written to by another ringfence") && refused.err.contains(&holder),
        "{}",
        refused.err
    );
    collector.child.kill().unwrap();
    collector.child.wait().unwrap();
    good(folder.path(), &["import", "auto", &capture]);
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
