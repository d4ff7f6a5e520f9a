//! Datagrams over loopback.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use intake::{IntakeError, ListenerOptions, UdpListener};
use model::FlowBatch;

use crate::reading::{read_bytes, read_file};

#[test]
fn what_is_sent_is_what_a_file_of_it_gives() {
    let Some(path) =
        testkit::shared("data/flow/logstash-codec-netflow/spec/codecs/netflow9_test_valid01.dat")
    else {
        return;
    };
    let expected = read_file("netflow", &path).flows;
    let options = ListenerOptions { flush_interval: Duration::from_millis(20), ..ListenerOptions::default() };
    let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let address = listener.address();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let received = std::thread::spawn(move || {
        let mut all = FlowBatch::new("netflow");
        listener
            .run(&flag, |batch| {
                all.append(batch);
                Ok::<(), IntakeError>(())
            })
            .unwrap();
        (all, listener.summary().clone())
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&std::fs::read(&path).unwrap(), address).unwrap();
    socket.send_to(b"nothing of the kind", address).unwrap();
    // Stopping takes what has arrived; loopback delivers before `send_to` returns.
    stop.store(true, Ordering::Relaxed);
    let (flows, summary) = received.join().unwrap();
    assert_eq!((flows.src, flows.bytes), (expected.src, expected.bytes));
    // The exporter's clock stands in 2015: all its times are moved by as much as it is behind.
    let shift = summary.exporters["127.0.0.1"].clock_shift_us;
    assert!(shift > 10 * 365 * 86_400 * 1_000_000, "{shift}");
    assert_eq!(flows.start, expected.start.iter().map(|at| at + shift).collect::<Vec<_>>());
    assert_eq!(&*flows.exporters[0].0, "127.0.0.1");
    assert_eq!((summary.packets, summary.datagrams, summary.flows), (2, 1, 7));
    assert_eq!(summary.dropped["datagram is not netflow or ipfix"].bytes, 19);
}

#[test]
fn an_error_of_the_taker_ends_the_run() {
    let options = ListenerOptions { flush_interval: Duration::ZERO, ..ListenerOptions::default() };
    let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagram = vec![0, 5, 0, 1];
    datagram.resize(24 + 48, 0);
    socket.send_to(&datagram, listener.address()).unwrap();
    let full = || IntakeError::Io {
        action: "write",
        file: "lake".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    };
    let outcome = listener.run(&AtomicBool::new(false), |_| Err(full()));
    assert_eq!(outcome.unwrap_err().to_string(), full().to_string());
    // The same datagram in a file, for comparison.
    assert_eq!(read_bytes("netflow", datagram).flows.len(), 1);
}

#[test]
fn an_address_in_use_says_so() {
    let first = UdpListener::bind("127.0.0.1:0".parse().unwrap(), ListenerOptions::default()).unwrap();
    let error = UdpListener::bind(first.address(), ListenerOptions::default()).err().unwrap();
    assert!(error.to_string().starts_with(&format!("cannot listen on `{}`: ", first.address())), "{error}");
}
