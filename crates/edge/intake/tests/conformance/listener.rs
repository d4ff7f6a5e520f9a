//! Datagrams over loopback.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use intake::{Access, Delivery, Listener, ListenerOptions, Reception, Transport, listen_kind, queue};
use model::FlowBatch;

use crate::reading::read_file;

/// What a listener of a kind makes of what `send` sends to it.
fn heard(kind: &str, send: impl FnOnce(std::net::SocketAddr)) -> (FlowBatch, Reception) {
    let (outlet, deliveries) = queue(4);
    let kind = listen_kind(kind).unwrap();
    let options = ListenerOptions { flush_interval: Duration::from_millis(20), ..ListenerOptions::default() };
    let address = "127.0.0.1:0".parse().unwrap();
    let listener =
        Listener::open(kind, address, options, &Arc::new(Access::default()), &outlet, &[]).unwrap();
    drop(outlet);
    send(listener.address());
    // Stopping takes what has arrived; loopback delivers before a send returns.
    let finish = std::thread::spawn(move || listener.finish());
    let mut all = FlowBatch::new(kind.source);
    while let Ok(delivery) = deliveries.take(Duration::from_secs(60)) {
        match delivery {
            Some(Delivery::Flows(batch)) => all.append(&batch),
            Some(Delivery::Coverage(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    (all, finish.join().unwrap())
}

#[test]
fn what_is_sent_is_what_a_file_of_it_gives() {
    let Some(path) =
        testkit::shared("data/flow/logstash-codec-netflow/spec/codecs/netflow9_test_valid01.dat")
    else {
        return;
    };
    let expected = read_file("netflow", &path).flows;
    let (flows, status) = heard("netflow", |address| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&std::fs::read(&path).unwrap(), address).unwrap();
        socket.send_to(b"nothing of the kind", address).unwrap();
    });
    let summary = &status.summary;
    assert_eq!((flows.src, flows.bytes), (expected.src, expected.bytes));
    // Export times of 2015 are an old recording's, not a wrong clock's.
    assert_eq!(flows.start, expected.start);
    assert!(summary.exporters.is_empty());
    assert_eq!(&*flows.exporters[0].0, "127.0.0.1");
    assert_eq!((summary.packets, summary.datagrams, summary.flows), (2, 1, 7));
    assert_eq!(summary.dropped["datagram is not netflow or ipfix"].bytes, 19);
}

#[test]
fn every_kind_of_datagrams_takes_nonsense() {
    for kind in intake::LISTENERS.iter().filter(|kind| kind.transport == Transport::Udp) {
        let (flows, status) = heard(kind.name, |address| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for length in [0, 1, 3, 28, 1_400, 65_507] {
                socket.send_to(&vec![0xff; length], address).unwrap();
            }
        });
        assert_eq!((flows.len(), status.summary.packets, status.kernel_drops), (0, 6, 0), "{}", kind.name);
        assert_eq!(status.summary.bytes_read, 1 + 3 + 28 + 1_400 + 65_507, "{}", kind.name);
        assert!(status.summary.rejected >= 5, "{}: {:?}", kind.name, status.summary);
    }
}
