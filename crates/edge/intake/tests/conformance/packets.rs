//! Flows made of traces against Zeek's conn.log of the same traces: who talked to whom on which service, and how much.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use model::{Client, FlowBatch};

use crate::reading::{files_below, read_file};

/// What one side says that the other does not, and why. All else is equal: addresses, ports, protocol, packets and bytes of
/// both directions, summed over the pieces that either makes of a connection (Zeek gives up on the half-closed after
/// seconds). Zeek's own rows for tunnels that carried another row are left out: they are the tunnels that our flows name.
const ARGUED: &[(&str, &str, &[&str])] = &[
    (
        "softflowd-over-zeek-traces/smtp/",
        "captured where it was sent: checksums are still to be filled in by the network card, and Zeek takes such packets for \
         broken; softflowd's counts are ours, see below",
        &[
            "1 10.10.1.4 0 192.168.1.1 0: [0, 0, 4, 2304] [0, 0, 0, 0]",
            "6 10.10.1.4 1470 74.53.140.153 25: [28, 21673, 25, 1546] [1, 48, 1, 48]",
            "6 17.167.150.73 443 192.168.133.100 49655: [13, 4185, 15, 2873] [0, 0, 0, 0]",
            "6 17.172.238.21 5223 192.168.133.100 49153: [1, 52, 1, 766] [0, 0, 0, 0]",
            "6 192.168.133.100 49336 74.125.71.189 443: [3, 156, 3, 411] [0, 0, 0, 0]",
            "6 192.168.133.100 49648 192.168.133.102 25: [17, 1865, 10, 690] [1, 64, 1, 60]",
        ],
    ),
    (
        "tunnels_ayiya3",
        "the tunnel's own heartbeats, which carry nothing: Zeek counts them with the tunnel",
        &["17 192.168.3.101 53859 216.14.98.22 5072: [3, 216, 0, 0] [0, 0, 0, 0]"],
    ),
    (
        "gre-aruba-amsdu",
        "one 802.11 frame with two packets in it, of which we read the first",
        &["6 149.159.130.184 49392 157.240.18.16 443: [0, 0, 1, 281] [0, 0, 2, 356]"],
    ),
    (
        "teredo_bubble_with_payload",
        "two datagrams whose IPv6 packet is shorter than they are are no tunnel for us; a packet of IPv6 without anything in it \
         is no connection for Zeek",
        &[
            "17 192.168.2.16 3797 83.170.1.38 32900: [2, 144, 0, 0] [0, 0, 0, 0]",
            "59 2001:0:4137:9e50:8000:f12a:b9c8:2815 0 fe80::708d:fe83:4114:a512 0: [0, 0, 1, 44] [0, 0, 0, 0]",
        ],
    ),
    (
        "vxlan-encapsulated-igmp-v2",
        "IGMP inside: Zeek has no connections of it, and lists the tunnel with what it could not use, nothing",
        &[
            "17 172.30.0.1 36030 172.30.0.2 4789: [0, 0, 0, 0] [0, 0, 0, 0]",
            "17 172.30.0.1 45303 172.30.0.2 4789: [0, 0, 0, 0] [0, 0, 0, 0]",
            "17 172.30.0.1 48036 172.30.0.2 4789: [0, 0, 0, 0] [0, 0, 0, 0]",
            "2 192.168.9.123 0 224.0.0.251 0: [1, 32, 0, 0] [0, 0, 0, 0]",
            "2 192.168.9.80 0 224.0.0.251 0: [2, 64, 0, 0] [0, 0, 0, 0]",
        ],
    ),
];

#[test]
fn flows_are_zeeks_connections() {
    let (mut compared, mut tables) = (0, 0);
    for (trace, log) in pairs() {
        let name = trace.to_string_lossy();
        let Some(theirs) = connections(&log) else { continue };
        let outcome = read_file("auto", &trace);
        assert!(outcome.error.is_none(), "{name}: {:?}", outcome.error);
        assert_eq!(outcome.flows.source, "pcap", "{name}");
        let ours = flows(&outcome.flows);
        let mut differences = Vec::new();
        for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            match (ours.get(key), theirs.get(key)) {
                (our, their) if our == their => compared += 1,
                (our, their) => differences.push(format!(
                    "{key}: {:?} {:?}",
                    our.unwrap_or(&[0; 4]),
                    their.unwrap_or(&[0; 4])
                )),
            }
        }
        let argued = ARGUED.iter().find(|(case, ..)| name.contains(case));
        assert_eq!(differences, argued.map_or(&[][..], |(_, _, lines)| lines), "{name}");
        tables += 1;
    }
    println!("{compared} conversations of {tables} traces compared");
}

/// softflowd's NetFlow version 9 of traces without tunnels, whose checksums it does not look at. It counts the padding of
/// short Ethernet frames, up to six bytes, as the packet's.
#[test]
fn flows_count_what_softflowd_counts() {
    let Some(folder) = testkit::shared("data/flow/softflowd-over-zeek-traces") else { return };
    for name in [
        "smtp",
        "http_get",
        "ftp_bigtransfer",
        "http_zeek-image-post-1080-8000-x",
        "tcp_missing-syn",
        "dhcp_dhcp",
    ] {
        let theirs = flows(&read_file("netflow", &folder.join(name).join("v9.pcap")).flows);
        let ours = flows(&read_file("pcap", &folder.join(name).join("trace.pcap")).flows);
        assert!(ours.keys().eq(theirs.keys()), "{name}");
        for (key, ours) in ours {
            let theirs = theirs[&key];
            assert_eq!((ours[0], ours[2]), (theirs[0], theirs[2]), "{name}: {key}");
            for side in [0, 2] {
                let padded = ours[side + 1]..=ours[side + 1] + 6 * ours[side];
                assert!(padded.contains(&theirs[side + 1]), "{name}: {key}: {ours:?} {theirs:?}");
            }
        }
    }
}

/// Traces with Zeek's log of them.
fn pairs() -> Vec<(PathBuf, PathBuf)> {
    let Some(folder) = testkit::shared("data/flow") else { return Vec::new() };
    let traces = files_below(&folder.join("softflowd-over-zeek-traces"), "trace.pcap");
    let mut pairs: Vec<_> =
        traces.into_iter().map(|trace| (trace.clone(), trace.with_file_name("zeek-conn.log"))).collect();
    let map = fs::read(folder.join("zeek/test-to-trace-map.json")).unwrap();
    let map: serde_json::Value = serde_json::from_slice(&map).unwrap();
    for (test, entry) in map["simple"].as_object().unwrap() {
        let trace = folder.join("zeek/Traces").join(entry[0].as_str().unwrap());
        let log = folder.join("zeek/Baseline").join(test).join(entry[1][0].as_str().unwrap());
        if trace.exists() && log.exists() {
            pairs.push((trace, log));
        }
    }
    pairs
}

/// Packets and bytes there, packets and bytes back, by who with whom.
type Conversations = BTreeMap<String, [u64; 4]>;

/// Adds a conversation from its lower end to its higher one: who began it is compared elsewhere.
fn add(all: &mut Conversations, protocol: u8, ends: [(String, u16); 2], mut counts: [u64; 4]) {
    let mut ends = ends;
    if ends[0] > ends[1] {
        ends.swap(0, 1);
        counts.rotate_left(2);
    }
    let [(a, a_port), (b, b_port)] = ends;
    let sum = all.entry(format!("{protocol} {a} {a_port} {b} {b_port}")).or_default();
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

fn flows(flows: &FlowBatch) -> Conversations {
    let mut all = BTreeMap::new();
    for row in 0..flows.len() {
        let flow = flows.get(row);
        let ports = if matches!(flow.protocol, 1 | 58) { (0, 0) } else { (flow.src_port, flow.dst_port) };
        let ends = [(flow.src.to_string(), ports.0), (flow.dst.to_string(), ports.1)];
        let counts = [flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes];
        add(&mut all, flow.protocol, ends, counts);
    }
    all
}

/// The rows of a log with its header, read without any code of ours.
fn rows(log: &Path) -> Option<Vec<BTreeMap<String, String>>> {
    let text = fs::read_to_string(log).unwrap();
    let names: Vec<&str> =
        text.lines().find_map(|line| line.strip_prefix("#fields\t"))?.split('\t').collect();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        names.iter().zip(line.split('\t')).map(|(n, v)| ((*n).to_owned(), v.to_owned())).collect()
    };
    Some(lines.map(row).collect())
}

fn connections(log: &Path) -> Option<Conversations> {
    let rows = rows(log)?;
    let parents: BTreeSet<&str> =
        rows.iter().filter_map(|row| row.get("tunnel_parents")).flat_map(|ids| ids.split(',')).collect();
    let mut all = BTreeMap::new();
    for row in &rows {
        if parents.contains(&*row["uid"]) {
            continue;
        }
        let protocol = match &*row["proto"] {
            "tcp" => 6,
            "udp" => 17,
            "icmp" if row["id.orig_h"].contains(':') => 58,
            "icmp" => 1,
            _ => continue,
        };
        let port = |name: &str| if matches!(protocol, 1 | 58) { 0 } else { row[name].parse().unwrap() };
        let count = |name: &str| row[name].parse().unwrap_or(0);
        let ends =
            [(row["id.orig_h"].clone(), port("id.orig_p")), (row["id.resp_h"].clone(), port("id.resp_p"))];
        let counts = [count("orig_pkts"), count("orig_ip_bytes"), count("resp_pkts"), count("resp_ip_bytes")];
        add(&mut all, protocol, ends, counts);
    }
    Some(all)
}

/// Frames in tunnels: the innermost packet and the tunnel, as tshark 4.0.17 takes them apart.
#[test]
fn tunnels_are_those_of_tshark() {
    let Some(folder) = testkit::shared("data/flow/akvorado/outlet/flow/decoder/testdata") else { return };
    for (file, expected) in [
        ("gre-v4-key.pcap", "1 192.168.1.101:0 > 192.168.2.102:2048 1 1, gre 1 192.168.12.1 > 192.168.12.2"),
        (
            "gre-v4-plain.pcap",
            "17 66.59.111.190:123 > 66.59.111.182:123 1 0, gre 172.27.1.66 > 66.59.109.137",
        ),
        ("gre-v6-plain.pcap", "6 2001:db8::2:18716 > 2001:db8::1:23 1 0, gre 172.16.23.2 > 192.168.47.1"),
        ("ipv4-ipv4.pcap", "1 192.168.0.1:0 > 192.168.0.2:2048 1 0, ip-in-ip 10.1.2.1 > 10.1.2.2"),
        (
            "ipv4-ipv6.pcap",
            "6 2001:610:1908:a000::149:20:80 > 2002:2470:9ffa:fa9:0:dd:ed00:2:35673 1 0, 6in4 216.66.80.30 > 192.168.2.2",
        ),
    ] {
        let outcome = read_file("auto", &folder.join(file));
        assert_eq!((outcome.flows.source, outcome.flows.len()), ("pcap", 1), "{file}");
        let flow = outcome.flows.get(0);
        let tunnel = outcome.flows.details[&0].tunnel.clone().unwrap();
        let ours = format!(
            "{} {}:{} > {}:{} {} {}, {tunnel}",
            flow.protocol,
            flow.src,
            flow.src_port,
            flow.dst,
            flow.dst_port,
            flow.packets,
            flow.reverse_packets
        );
        assert_eq!(ours, expected, "{file}");
    }
}

#[test]
fn clients_are_zeeks_originators() {
    let (mut right, mut unknown) = (0, 0);
    for (trace, log) in pairs() {
        let Some(rows) = rows(&log) else { continue };
        let outcome = read_file("pcap", &trace);
        for row in 0..outcome.flows.len() {
            let flow = outcome.flows.get(row);
            let (client, server) = match flow.client {
                Client::Src => ((flow.src, flow.src_port), (flow.dst, flow.dst_port)),
                Client::Dst => ((flow.dst, flow.dst_port), (flow.src, flow.src_port)),
                Client::Unknown => {
                    unknown += usize::from(flow.protocol == 6);
                    continue;
                }
            };
            let is = |row: &BTreeMap<String, String>, host: &str, port: &str, end: (model::Ip, u16)| {
                row[host] == end.0.to_string() && row[port] == end.1.to_string()
            };
            let from_to = |row: &&BTreeMap<String, String>| {
                is(row, "id.orig_h", "id.orig_p", client) && is(row, "id.resp_h", "id.resp_p", server)
            };
            let to_from = |row: &&BTreeMap<String, String>| {
                is(row, "id.orig_h", "id.orig_p", server) && is(row, "id.resp_h", "id.resp_p", client)
            };
            let known = rows.iter().any(|row| from_to(&row));
            assert!(known || !rows.iter().any(|row| to_from(&row)), "{}: {client:?}", trace.display());
            right += usize::from(known);
        }
    }
    println!("{right} clients are Zeek's originators, of {unknown} TCP flows nothing is claimed");
}
