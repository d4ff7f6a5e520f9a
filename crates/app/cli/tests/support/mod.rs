//! What the tests of the command share: running it, and traffic to feed it with.
#![allow(dead_code, reason = "every test binary takes its part")]

pub(crate) mod collector;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Bytes before the first packet of a pcap, and before the datagram in a packet of `good.pcap` (its own header, Ethernet,
/// IPv4, UDP).
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const BEFORE_DATAGRAM: usize = 14 + 20 + 8;

/// Flows in `good.pcap`.
pub(crate) const GOOD_FLOWS: u64 = 15;

/// A fixture of the story of bad input.
pub(crate) fn fixture(name: &str) -> PathBuf {
    testkit::repository().join("scenarios/bad-input.in").join(name)
}

/// The command, in a folder, with nothing of the caller's settings.
pub(crate) fn ringfence(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.current_dir(folder).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    for setting in ["RINGFENCE_PROJECT", "RINGFENCE_LAKE", "RINGFENCE_POLICIES", "RINGFENCE_LISTEN"] {
        command.env_remove(setting);
    }
    command
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the command to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ran {
    ringfence(folder, arguments).output().expect("the command starts").into()
}

/// Runs the command, which has to go well; gives its standard output.
pub(crate) fn good(folder: &Path, arguments: &[&str]) -> String {
    let ran = run(folder, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    ran.out
}

/// Runs the command, which has to fail with 1 and say all of these.
pub(crate) fn refused(folder: &Path, arguments: &[&str], said: &[&str]) {
    let ran = run(folder, arguments);
    assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
    for words in said {
        assert!(ran.err.contains(words), "{arguments:?} did not say `{words}`: {}", ran.err);
    }
}

/// How many flows the lake of a folder gives out; none while there is no lake.
pub(crate) fn stored(folder: &Path) -> u64 {
    let ran = run(folder, &["flows", "--aggregate-by", "protocol", "-o", "ndjson"]);
    if ran.code != Some(0) {
        assert!(ran.err.contains("no lake at"), "{}", ran.err);
        return 0;
    }
    let groups = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    groups.map(|group| group["flows"].as_u64().expect("a number")).sum()
}

/// The datagrams of `good.pcap`.
pub(crate) fn datagrams() -> Vec<Vec<u8>> {
    let bytes = std::fs::read(fixture("good.pcap")).expect("the fixture is there");
    packets(&bytes).map(|packet| packet[PACKET_HEADER + BEFORE_DATAGRAM..].to_vec()).collect()
}

fn packets(capture: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = &capture[FILE_HEADER..];
    std::iter::from_fn(move || {
        let length = rest.get(8..12)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (packet, behind) = rest.split_at(PACKET_HEADER + length);
        rest = behind;
        Some(packet)
    })
}

/// A capture that holds the datagrams of `good.pcap` so many times.
pub(crate) fn write_repeated(path: &Path, times: usize) {
    let bytes = std::fs::read(fixture("good.pcap")).expect("the fixture is there");
    let body = bytes[FILE_HEADER..].repeat(times);
    std::fs::write(path, [&bytes[..FILE_HEADER], &body].concat()).expect("the folder can be written to");
}

/// An AWS VPC flow log of so many records that no codec makes small.
pub(crate) fn write_log(path: &Path, records: u64) {
    let mut text = String::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    for _ in 0..records {
        let (a, b, c, d) = (dice(250), dice(250), dice(250), dice(250));
        let start = 1_789_974_000 + dice(3_000);
        let (port, packets, bytes) = (20_000 + dice(40_000), dice(1_000_000), dice(1_000_000_000));
        writeln!(
            text,
            "2 123456789012 eni-0a 10.{a}.{b}.{c} 10.0.2.{d} {port} 443 6 {packets} {bytes} {start} {} ACCEPT OK",
            start + dice(60)
        )
        .expect("a string takes all");
    }
    std::fs::write(path, text).expect("the folder can be written to");
}

/// A small file system of its own, taken down when this is dropped; none without root.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(folder: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output();
        let mounted = mount.is_ok_and(|out| out.status.success());
        if !mounted {
            eprintln!("SKIPPED: needs root and leave to mount a tmpfs (`mount -t tmpfs`)");
        }
        mounted.then(|| Self(folder.to_path_buf()))
    }

    pub(crate) fn again(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot mount again with {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
