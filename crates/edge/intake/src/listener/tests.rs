//! Listeners over loopback: who gets what, and that nothing goes uncounted.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};

use model::FlowBatch;
use netset::{Ip, IpSet};

use super::*;
use crate::ledger::NO_TEMPLATE;
use crate::sources::netflow::tests::{ipfix, record, set, template, v9};

const FIELDS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];

fn options() -> ListenerOptions {
    ListenerOptions { flush_interval: Duration::from_millis(10), ..ListenerOptions::default() }
}

fn open(kind: &str, options: ListenerOptions, allowed: Allowed) -> (Listener, Deliveries) {
    let (outlet, deliveries) = queue(8);
    let access = Arc::new(Access::new(allowed));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let kind = listen_kind(kind).unwrap();
    (Listener::open(kind, address, options, &access, &outlet, &[]).unwrap(), deliveries)
}

/// Stops, and gives all flows and the last status.
fn finish(listener: Listener, deliveries: &Deliveries) -> (FlowBatch, Reception) {
    let finishing = std::thread::spawn(move || listener.finish());
    let mut all = FlowBatch::default();
    while let Ok(delivery) = deliveries.take(Duration::from_secs(60)) {
        match delivery {
            Some(Delivery::Flows(batch)) => all.append(&batch),
            Some(Delivery::Coverage(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    (all, finishing.join().unwrap())
}

fn flow(number: u32) -> Vec<u8> {
    record(0x0a00_0000 + number, 0x0a00_0002, (50_000, 443), 6, 900)
}

fn templates() -> Vec<u8> {
    v9(0, 1, &[set(0, &template(256, &FIELDS))])
}

fn data(number: u32) -> Vec<u8> {
    v9(0, 2, &[set(256, &flow(number))])
}

/// A socket of the exporter with this number; loopback is a whole /8.
fn exporter(number: u8) -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::new(127, 0, 1, number), 0)).unwrap()
}

#[test]
fn an_exporter_keeps_its_worker_whatever_its_port() {
    let (listener, deliveries) = open("netflow", ListenerOptions { workers: 3, ..options() }, Allowed::Any);
    for number in 0..48 {
        exporter(number).send_to(&templates(), listener.address()).unwrap();
        for port in 0..4 {
            // Another socket, so another port.
            exporter(number).send_to(&data(port), listener.address()).unwrap();
        }
    }
    let shared: Vec<_> = listener.shared.iter().map(Arc::clone).collect();
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!((flows.len(), status.summary.packets), (48 * 4, 48 * 5), "{:?}", status.summary.dropped);
    assert_eq!(status.exporters.len(), 48);
    assert!(status.exporters.values().all(|heard| (heard.datagrams, heard.flows) == (5, 4)));
    let by_worker: Vec<usize> = shared.iter().map(|shared| shared.read().exporters.len()).collect();
    assert!(by_worker.iter().all(|exporters| *exporters >= 5), "spread unevenly: {by_worker:?}");
}

#[test]
fn ipv6_exporters_are_spread_too() {
    let (outlet, deliveries) = queue(8);
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    let options = ListenerOptions { workers: 2, ..options() };
    let kind = listen_kind("netflow").unwrap();
    let Ok(listener) = Listener::open(kind, address, options, &Arc::default(), &outlet, &[]) else {
        eprintln!("SKIPPED: no IPv6 on this machine");
        return;
    };
    drop(outlet);
    let sender = UdpSocket::bind("[::1]:0").unwrap();
    sender.send_to(&templates(), listener.address()).unwrap();
    sender.send_to(&data(1), listener.address()).unwrap();
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!((flows.len(), status.exporters.len()), (1, 1));
}

#[test]
fn every_datagram_is_received_or_counted_as_dropped() {
    let options = ListenerOptions { receive_buffer_bytes: 32 << 10, ..options() };
    let (listener, deliveries) = open("netflow", options, Allowed::Any);
    let socket = exporter(1);
    socket.send_to(&templates(), listener.address()).unwrap();
    // Nobody takes anything out of the queue: it fills, the thread waits, the kernel's buffer overflows.
    let sets: Vec<_> = (0..24).map(|number| set(256, &flow(number))).collect();
    let datagram = v9(0, 3, &sets);
    for _ in 0..20_000 {
        socket.send_to(&datagram, listener.address()).unwrap();
    }
    let (flows, status) = finish(listener, &deliveries);
    assert!(status.kernel_drops > 0, "the buffer never overflowed");
    assert_eq!(status.summary.packets + status.kernel_drops, 20_001);
    assert_eq!(flows.len() as u64, 24 * (status.summary.packets - 1));
    assert_eq!(status.summary.dropped[worker::KERNEL].count, status.kernel_drops);
}

#[test]
fn strangers_are_counted_and_not_heard() {
    let allowed = IpSet::range(Ip::v4(0x7f00_0101), Ip::v4(0x7f00_0101));
    let (listener, deliveries) = open("netflow", options(), Allowed::Only(allowed.clone()));
    for number in [1, 2] {
        exporter(number).send_to(&templates(), listener.address()).unwrap();
        exporter(number).send_to(&data(7), listener.address()).unwrap();
    }
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!((flows.len(), status.exporters.len()), (1, 1));
    assert_eq!(status.summary.dropped[worker::STRANGER].count, 2);
    // Over TCP they are not let in.
    let (listener, deliveries) = open("ipfix-tcp", options(), Allowed::Only(allowed));
    let mut stream = TcpStream::connect(listener.address()).unwrap();
    let _ = stream.write_all(&messages());
    while listener.status().connections_total == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!((flows.len(), status.summary.dropped[worker::STRANGER].count), (0, 1));
}

#[test]
fn a_port_in_use_says_so() {
    for workers in [1, 2] {
        let (first, _deliveries) = open("netflow", ListenerOptions { workers, ..options() }, Allowed::Any);
        for others in [1, 2] {
            let options = ListenerOptions { workers: others, ..options() };
            let (outlet, _) = queue(1);
            let kind = listen_kind("netflow").unwrap();
            let error = Listener::open(kind, first.address(), options, &Arc::default(), &outlet, &[]);
            let said = error.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.starts_with(&format!("cannot listen on `udp {}`: ", first.address())), "{said}");
        }
    }
}

/// Two messages: a template, and two flows.
fn messages() -> Vec<u8> {
    let first = ipfix(7, 0, &[set(2, &template(256, &FIELDS))]);
    let second = ipfix(7, 0, &[set(256, &[flow(1), flow(2)].concat())]);
    [first, second].concat()
}

/// Waits until the listener has said so much.
fn wait_until(listener: &Listener, done: impl Fn(&Reception) -> bool) {
    for _ in 0..12_000 {
        if done(&listener.status()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never came to it: {:?}", listener.status());
}

#[test]
fn connections_are_read_however_their_bytes_are_cut() {
    let (listener, deliveries) = open("ipfix-tcp", options(), Allowed::Any);
    let mut streams: Vec<_> = (0..3).map(|_| TcpStream::connect(listener.address()).unwrap()).collect();
    wait_until(&listener, |status| status.connections == 3);
    for piece in messages().chunks(5) {
        for stream in &mut streams {
            stream.set_nodelay(true).unwrap();
            stream.write_all(piece).unwrap();
        }
    }
    // One ends within a message, one sends nonsense, one goes on: they do not disturb each other.
    streams[0].write_all(&messages()[..20]).unwrap();
    streams[0].shutdown(Shutdown::Write).unwrap();
    streams[1].write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_until(&listener, |status| status.connections == 1);
    streams[2].write_all(&messages()).unwrap();
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!((flows.len(), status.connections_total), (8, 3));
    assert_eq!(status.exporters[&Ip::v4(0x7f00_0001)].flows, 8);
    assert_eq!(status.summary.rejected, 2, "{:?}", status.summary.rejects);
    assert!(!status.summary.dropped.contains_key(NO_TEMPLATE));
}

#[test]
fn connections_are_limited_in_number_and_patience() {
    let options = ListenerOptions { connections: 1, idle: Duration::from_millis(50), ..options() };
    let (listener, deliveries) = open("ipfix-tcp", options, Allowed::Any);
    let _silent = TcpStream::connect(listener.address()).unwrap();
    let _refused = TcpStream::connect(listener.address()).unwrap();
    wait_until(&listener, |status| status.connections_total == 2 && status.connections == 0);
    let (flows, status) = finish(listener, &deliveries);
    assert_eq!(flows.len(), 0);
    assert_eq!(status.summary.dropped.values().map(|dropped| dropped.count).sum::<u64>(), 2);
}
