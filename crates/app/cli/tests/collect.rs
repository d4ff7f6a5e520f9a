//! `ringfence collect` as a process: stopped, killed, told to read its configuration again, beside other writers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use support::collector::Collector;
use support::{GOOD_FLOWS, datagrams, good, run, stored};

const ANYWHERE: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn send(port: u16, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
    }
}

/// A version 5 datagram with one flow, whose bytes are its number.
fn numbered(number: u32) -> Vec<u8> {
    let mut datagram = vec![0, 5, 0, 1];
    for word in [100_000, 1_789_974_000, 0, number, 0] {
        datagram.extend(u32::to_be_bytes(word));
    }
    datagram.resize(24 + 48, 0);
    let record = &mut datagram[24..];
    record[..8].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    record[16..20].copy_from_slice(&1_u32.to_be_bytes());
    record[20..24].copy_from_slice(&number.to_be_bytes());
    record[24..32].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x90, 0]);
    record[32..36].copy_from_slice(&[0xc3, 0x50, 0x01, 0xbb]);
    record[38] = 6;
    datagram
}

#[test]
fn a_collector_that_is_stopped_has_stored_what_it_received() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path(), &ANYWHERE);
    let port = collector.port();
    send(port, &datagrams());
    // What was received is stored in time, without a signal and without further traffic.
    collector.wait_for("stored 15 flows (15 in all)");
    assert_eq!(stored(folder.path()), GOOD_FLOWS);
    send(port, &datagrams());
    let (status, said) = collector.stop();
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("stopped; 6 datagrams received, 30 flows stored"), "{said}");
    assert_eq!(stored(folder.path()), 2 * GOOD_FLOWS);
}

/// The numbers of the flows that are stored; each must be there once.
fn numbers(folder: &Path) -> BTreeSet<u64> {
    if !folder.join(".ringfence").exists() {
        return BTreeSet::new();
    }
    let ran = run(folder, &["flows", "--limit", "1000000", "-o", "ndjson"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut found = BTreeSet::new();
    for line in ran.out.lines() {
        let flow: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = flow["bytes"].as_u64().unwrap();
        assert!(found.insert(number), "flow {number} is stored twice");
    }
    found
}

#[test]
fn killed_at_any_moment_it_has_what_it_reported_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut before = BTreeSet::new();
    let mut state = 0x5eed_u64;
    for round in 0..6 {
        let mut collector = Collector::start(folder.path(), &ANYWHERE);
        let port = collector.port();
        let first = number + 1;
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // From before the first portion is stored to after the third, in the middle of sending.
        let pieces = 5 + (state >> 33) % 30;
        for _ in 0..pieces {
            let piece: Vec<_> = (0..20).map(|at| numbered(number + 1 + at)).collect();
            number += 20;
            send(port, &piece);
            std::thread::sleep(Duration::from_millis(100));
        }
        let reported = collector.kill();
        let now = numbers(folder.path());
        assert!(now.is_superset(&before), "round {round}: what was stored before is gone");
        let new: Vec<u64> = now.difference(&before).copied().collect();
        assert!(new.len() as u64 >= reported, "round {round}: reported {reported}, stored {}", new.len());
        // What is stored is what came first, without holes: portions are whole, and in order.
        let expected: Vec<u64> = (u64::from(first)..).take(new.len()).collect();
        assert_eq!(new, expected, "round {round}");
        before = now;
    }
    assert!(!before.is_empty(), "nothing was ever stored");
    good(folder.path(), &["doctor", "--thorough"]);
}

/// A version 9 datagram with a template, and one with a flow of it.
fn template_and_data() -> [Vec<u8>; 2] {
    let header = |sequence: u32| {
        let mut datagram = vec![0, 9, 0, 1];
        for word in [100_000, 1_789_974_000, sequence, 0] {
            datagram.extend(u32::to_be_bytes(word));
        }
        datagram
    };
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    // Addresses, ports, protocol, bytes.
    let template = words(&[0, 32, 256, 6, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 1, 4]);
    let data =
        [&words(&[256, 21])[..], &[10, 0, 0, 1, 10, 0, 0, 2, 0xc3, 0x50, 1, 0xbb, 6, 0, 0, 3, 0x84]].concat();
    [[header(1), template].concat(), [header(2), data].concat()]
}

#[test]
fn templates_outlive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let [template, data] = template_and_data();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let mut collector = Collector::start(folder.path(), &["--listen", &listen]);
    send(collector.port(), &[template, data.clone()]);
    collector.wait_for("stored 1 flows");
    let file = folder.path().join(".ringfence/collect.templates");
    for _ in 0..1_200 {
        if file.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    collector.kill();
    // A new process, data alone, from another port.
    let mut collector = Collector::start(folder.path(), &["--listen", &listen]);
    send(collector.port(), &[data]);
    let (_, said) = collector.stop();
    assert!(!said.contains("without a template"), "{said}");
    assert_eq!(stored(folder.path()), 2, "{said}");
}

#[test]
fn the_configuration_is_read_again_without_losing_a_datagram() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("ringfence.toml");
    let write = |ports: &[&str], allow: &str| {
        let text = format!("[collect]\nlisten = {ports:?}\nevery_s = 1\nworkers = 2\nallow = [{allow:?}]\n");
        std::fs::write(&config, text).unwrap();
    };
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (stays, comes) = (format!("netflow://127.0.0.1:{}", free()), format!("sflow://127.0.0.1:{}", free()));
    write(&[&stays, "ipfix-tcp://127.0.0.1:0"], "127.0.0.0/8");
    let mut collector = Collector::start(folder.path(), &[]);
    let port = collector.port();
    collector.wait_for("listening for ipfix-tcp");
    let sending = std::thread::spawn(move || {
        for number in 1..=2_000 {
            send(port, &[numbered(number)]);
            if number % 10 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    write(&[&stays, &comes], "127.0.0.0/8");
    collector.signal("-HUP");
    collector.wait_for("configuration read again");
    let said = collector.said.join("\n");
    assert!(
        said.contains("no longer listening to ipfix-tcp") && said.contains("listening for sflow"),
        "{said}"
    );
    // Nonsense changes nothing.
    std::fs::write(&config, "[collect]\nlisten = [\"snmp://127.0.0.1:161\"]\n").unwrap();
    collector.signal("-HUP");
    let line = collector.wait_for("the configuration stays as it was");
    assert!(line.contains("nothing to listen for is called `snmp`"), "{line}");
    sending.join().unwrap();
    // Who is not allowed any more is counted.
    write(&[&stays, &comes], "192.0.2.0/24");
    collector.signal("-HUP");
    collector.wait_for("configuration read again");
    std::thread::sleep(Duration::from_secs(3));
    send(port, &[numbered(9_999)]);
    let (_, said) = collector.stop();
    assert!(said.contains("2,001 datagrams received, 2,000 flows stored"), "{said}");
    assert!(said.contains("1 x sender is not among the allowed exporters"), "{said}");
}

#[test]
fn others_write_while_it_collects() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path(), &ANYWHERE);
    let port = collector.port();
    let capture = support::fixture("good.pcap").display().to_string();
    send(port, &datagrams());
    good(folder.path(), &["import", "auto", &capture]);
    collector.wait_for("stored 15 flows");
    let (status, said) = collector.stop();
    assert!(status.success(), "{said}");
    assert_eq!(stored(folder.path()), 2 * GOOD_FLOWS);
}

#[test]
fn beyond_loopback_exporters_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--listen", "0.0.0.0:0"][..], "name the exporters with `--allow 10.0.0.0/8`"),
        (&["--listen", "ipfix-tcp://[::]:0"], "name the exporters with `--allow 10.0.0.0/8`"),
        (&["--listen", "127.0.0.1:0", "--allow", "10.0.0.0/33"], "`10.0.0.0/33` is not a CIDR block"),
        (&["--listen", "127.0.0.1:0", "--metrics", "0.0.0.0:9404"], "use a loopback address"),
        (&["--listen", "snmp://127.0.0.1:161"], "nothing to listen for is called `snmp`"),
        (&["--listen", "netflow://2055"], "is not an address with a port"),
    ] {
        let ran = run(folder.path(), &[&["collect"], arguments].concat());
        assert_eq!(ran.code, Some(64), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
    let mut collector = Collector::start(folder.path(), &["--listen", "0.0.0.0:0", "--allow", "127.0.0.0/8"]);
    collector.wait_for("warning: flow exports carry no authentication");
}

/// Asks for a page over HTTP; gives head and body.
fn fetch(port: u16, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in `{answer}`"));
    (head.to_owned(), body.to_owned())
}

/// Reads the text format strictly: each family once, with help and type before its samples, names and labels of the
/// right letters, no sample twice. By name and labels as written.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let name_like = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (mut families, mut current, mut found) = (BTreeSet::new(), String::new(), BTreeMap::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(name_like(name) && !help.is_empty() && families.insert(name.to_owned()), "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}: {kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            current = name.to_owned();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("`{line}` is not of {current}"));
        assert!(["", "_sum", "_count"].contains(&suffix), "{line}");
        let labels = labels.strip_suffix('}').unwrap();
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (label, text) = label.split_once("=\"").unwrap();
            let text = text.strip_suffix('"').unwrap_or(text);
            assert!(name_like(label) && !text.contains(['"', '\n']), "{line}");
        }
        assert!(found.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    assert!(page.ends_with('\n'));
    found
}

#[test]
fn counters_are_prometheus_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector =
        Collector::start(folder.path(), &["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let port = collector.port();
    let counters = collector.port();
    send(port, &datagrams());
    send(port, &[b"nonsense".to_vec()]);
    collector.wait_for("stored 15 flows");
    std::thread::sleep(Duration::from_secs(3));
    let (head, page) = fetch(counters, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    let samples = samples(&page);
    let of = |name: &str| {
        let found = samples.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
        found.map(|(_, value)| *value).sum::<f64>()
    };
    for (name, value) in [
        ("ringfence_collect_datagrams_total", 4.0),
        ("ringfence_collect_messages_total", 3.0),
        ("ringfence_collect_flows_total", 15.0),
        ("ringfence_collect_stored_flows_total", 15.0),
        ("ringfence_collect_exporter_flows_total", 15.0),
        ("ringfence_collect_unused_bytes_total", 8.0),
        ("ringfence_collect_kernel_drops_total", 0.0),
        ("ringfence_collect_queue_depth", 0.0),
        ("ringfence_collect_lag_seconds", 0.0),
    ] {
        assert!((of(name) - value).abs() < 1e-9, "{name} is {}, not {value}:\n{page}", of(name));
    }
    assert!(of("ringfence_collect_commit_seconds_count") >= 1.0);
    let (head, body) = fetch(counters, "HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty());
    assert!(fetch(counters, "GET / HTTP/1.0\r\n\r\n").0.starts_with("HTTP/1.1 404"));
    assert!(fetch(counters, "POST /metrics HTTP/1.0\r\n\r\n").0.starts_with("HTTP/1.1 405"));
    let (status, said) = collector.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn two_collectors_do_not_share_a_port_unawares() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Collector::start(folder.path(), &["--listen", "127.0.0.1:0", "--workers", "2"]);
    let address = format!("127.0.0.1:{}", first.port());
    let refused = run(folder.path(), &["collect", "--listen", &address, "--workers", "2"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains(&format!("cannot listen on `udp {address}`")), "{}", refused.err);
    assert!(first.id() > 0);
}
