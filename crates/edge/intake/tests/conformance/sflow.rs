//! sFlow captures of switches, routers and hosts against what tshark 4.0.17, telegraf and tcpdump make of them, and sample by
//! sample against another decoder (`sflow-parser`) with another reader of packet headers (`etherparse`).

use std::fs;
use std::path::PathBuf;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use model::{FlowBatch, Ip, Verdict};
use sflow_parser::SampleData;
use sflow_parser::models::FlowData;

use crate::reading::{files_below, read_file};

const AKVORADO: &str = "akvorado/outlet/flow/decoder/sflow/testdata";
const TELEGRAF: &str = "telegraf/plugins/inputs/netflow/testcases";

/// By file: flow samples with their agent, protocol, addresses and ports, TCP flags, packets, bytes and verdict; and how many
/// counter samples. Transcribed from what tshark (akvorado's captures), telegraf's `expected.out` and tcpdump's `.out` say,
/// with frame lengths multiplied by sampling rates. Where we differ from them:
///
/// - `data-encap-vxlan`: tshark has the outer packet 192.168.108.40 > 192.168.15.14 too; the flow is the inner one.
/// - `sflow_issue_15918`: telegraf gives protocol 0 (hop-by-hop options) for the third sample; behind them it is ICMPv6.
/// - `sflow_issue_15375`: telegraf has a record of a discarded packet without addresses; that is no flow, but it is counted.
/// - `data-discard-interface`, `-local-interface`, `-multiple-interfaces`: their datagrams end after one of the five samples
///   that they were cut from; tshark shows one sample as well.
const EXPECTED: &[(&str, &str, &[&str], u64)] = &[
    (AKVORADO, "data-1140.pcap", DATA_1140, 0),
    (
        AKVORADO,
        "data-discard-interface.pcap",
        &[
            "172.16.0.3 6 [2a0c:8880:2:0:185:21:130:38]:46026 > [2a0c:8880:2:0:185:21:130:39]:22 16 1024 1554432 deny host_unreachable",
        ],
        0,
    ),
    (
        AKVORADO,
        "data-encap-vxlan.pcap",
        &["127.0.0.1/1402 58 [2001:db8:4::1]:0 > [2001:db8:4::3]:32768 0 1 172"],
        0,
    ),
    (AKVORADO, "data-icmpv4.pcap", &["127.0.0.1/1402 1 203.0.113.4:0 > 203.0.113.5:2048 0 1 102"], 0),
    (
        AKVORADO,
        "data-icmpv6.pcap",
        &["127.0.0.1/1402 58 [fe80::d05b:45ff:feee:5ecf]:0 > [2001:db8::]:34560 0 1 90"],
        0,
    ),
    (AKVORADO, "data-local-interface.pcap", DATA_1140.split_at(1).0, 0),
    (AKVORADO, "data-multiple-interfaces.pcap", DATA_1140.split_at(1).0, 0),
    (
        AKVORADO,
        "data-qinq.pcap",
        &["172.17.128.58/100 6 49.49.49.2:32017 > 49.49.49.109:443 16 4096 434176"],
        0,
    ),
    (
        AKVORADO,
        "data-sflow-expanded-sample.pcap",
        &["49.49.49.49 6 52.52.52.52:22 > 53.53.53.53:52237 24 1000 126000"],
        0,
    ),
    (
        AKVORADO,
        "data-sflow-ipv4-data.pcap",
        &["49.49.49.49/1 17 50.50.50.50:46622 > 51.51.51.51:58631 0 256 355840"],
        0,
    ),
    (
        AKVORADO,
        "data-sflow-raw-ipv4.pcap",
        &[
            "172.19.64.116/100000 1 69.58.92.107:0 > 92.222.186.1:0 0 1 50",
            "172.19.64.116/100000 1 69.58.92.107:0 > 92.222.184.1:0 0 1 50",
        ],
        0,
    ),
    (
        "tcpdump/tests",
        "sflow_expanded.pcap",
        &["49.49.49.49 6 52.52.52.52:22 > 53.53.53.53:52237 24 1000 126000"],
        0,
    ),
    ("tcpdump/tests", "sflow_multiple_counter_30_pdus.pcap", &[], 144),
    (TELEGRAF, "sflow_v5_example/sflow_v5.bin", &[], 1),
    (TELEGRAF, "sflow_issue_15375/sflow_drop_1036.bin", &[], 0),
    (
        TELEGRAF,
        "sflow_issue_15918/message.bin",
        &[
            "192.168.227.2 17 192.168.227.2:49469 > 192.168.101.2:2055 0 200 257200",
            "192.168.227.2 17 142.250.200.99:443 > 192.168.100.104:52851 0 200 112600",
            "192.168.227.2 58 [fe80::f3a8:9738:cab4:2286]:0 > [ff02::16]:36608 0 200 22800",
            "192.168.227.2 17 192.168.153.106:64969 > 142.250.185.14:443 0 200 15400",
            "192.168.227.2 17 142.250.185.14:443 > 192.168.153.106:64969 0 200 143800",
            "192.168.227.2 17 [fe80::f3a8:9738:cab4:2286]:49770 > [ff02::1:3]:5355 0 200 18600",
        ],
        1,
    ),
];

const DATA_1140: &[&str] = &[
    "172.16.0.3 6 [2a0c:8880:2:0:185:21:130:38]:46026 > [2a0c:8880:2:0:185:21:130:39]:22 16 1024 1554432",
    "172.16.0.3 6 104.26.8.24:443 > 45.90.161.46:56876 24 1024 449536",
    "172.16.0.3 6 [2a0c:8880:2:0:185:21:130:38]:46026 > [2a0c:8880:2:0:185:21:130:39]:22 16 1024 1554432",
    "172.16.0.3 6 45.90.161.148:55658 > 191.87.91.27:5555 2 1024 65536",
    "172.16.0.3 6 [2a0c:8880:2:0:185:21:130:38]:46026 > [2a0c:8880:2:0:185:21:130:39]:22 16 1024 1554432",
];

#[test]
fn samples_are_those_of_other_decoders() {
    for (folder, file, samples, counters) in EXPECTED {
        let Some(path) = testkit::shared(&format!("data/flow/{folder}/{file}")) else { return };
        let outcome = read_file("auto", &path);
        assert!(outcome.error.is_none(), "{file}: {:?}", outcome.error);
        assert_eq!(outcome.flows.source, "sflow", "{file}");
        let ours: Vec<String> = (0..outcome.flows.len()).map(|row| sample(&outcome.flows, row)).collect();
        assert_eq!(ours, *samples, "{file}");
        assert_eq!(outcome.summary.options_records, *counters, "{file}");
    }
}

fn sample(flows: &FlowBatch, row: usize) -> String {
    let flow = flows.get(row);
    let socket = |ip: Ip, port| std::net::SocketAddr::from((ip.to_std(), port));
    let mut text = format!(
        "{} {} {} > {} {} {} {}",
        flows.exporters[flow.exporter as usize].0,
        flow.protocol,
        socket(flow.src, flow.src_port),
        socket(flow.dst, flow.dst_port),
        flow.tcp_flags,
        flow.packets,
        flow.bytes
    );
    if flow.verdict == Verdict::Deny {
        let rule = flows.details[&(row as u32)].rule.clone().unwrap();
        text = format!("{text} deny {rule}");
    }
    text
}

#[test]
fn datagrams_and_samples_are_as_many_as_tcpdump_prints() {
    let Some(folder) = testkit::shared("data/flow/tcpdump/tests") else { return };
    for capture in files_below(&folder, ".pcap").into_iter().filter(|path| is_sflow(path)) {
        let printed = fs::read_to_string(capture.with_extension("out")).unwrap();
        let count = |what: &str| printed.lines().filter(|line| line.contains(what)).count() as u64;
        let outcome = read_file("sflow", &capture);
        let summary = outcome.summary;
        // The one that made tcpdump fail: a header cut off after eight bytes.
        let invalid = count("(invalid)");
        assert_eq!(summary.datagrams, count("sFlowv5") - invalid, "{}", capture.display());
        assert_eq!(
            summary.options_records,
            count("counter sample (2)") + count("expanded counter sample (4)")
        );
        assert_eq!(
            summary.flows,
            count("flow sample (1)") + count("flow sample (3)"),
            "{}",
            capture.display()
        );
        // Five datagrams on the port are of another protocol, whose first word is no version of sFlow.
        assert_eq!(summary.rejected, invalid + count("packet not supported"));
    }
}

#[test]
fn a_capture_without_a_whole_datagram() {
    let Some(path) = testkit::shared("data/flow/tcpdump/tests/sflow_print-segv.pcap") else { return };
    let outcome = read_file("auto", &path);
    let text = outcome.error.unwrap().to_string();
    assert!(
        text.starts_with("no sFlow datagrams in 1 packets of `input`; is this a capture of raw traffic?"),
        "{text}"
    );
    assert_eq!(outcome.summary.rejects[0].reason, "datagram shorter than its header: 8 bytes");
}

fn is_sflow(path: &std::path::Path) -> bool {
    path.file_name().unwrap().to_string_lossy().contains("sflow")
}

/// Every sFlow input at hand.
fn inputs() -> Vec<PathBuf> {
    let mut inputs = Vec::new();
    for (folder, ending) in [(AKVORADO, ".pcap"), ("tcpdump/tests", ".pcap"), (TELEGRAF, ".bin")] {
        let Some(folder) = testkit::shared(&format!("data/flow/{folder}")) else { continue };
        let found = files_below(&folder, ending);
        let ours = |path: &PathBuf| {
            !folder.ends_with("testcases") && !folder.ends_with("tests")
                || path.to_string_lossy().contains("/sflow")
        };
        inputs.extend(found.into_iter().filter(ours));
    }
    inputs
}

#[test]
fn samples_are_those_of_an_independent_decoder_and_header_reader() {
    let mut compared = 0;
    for path in inputs() {
        let bytes = fs::read(&path).unwrap();
        let datagrams = if path.to_string_lossy().ends_with(".bin") { vec![bytes] } else { payloads(&bytes) };
        let mut theirs: Vec<String> = datagrams.iter().flat_map(|datagram| their_samples(datagram)).collect();
        let outcome = read_file("sflow", &path);
        let mut ours: Vec<String> =
            (0..outcome.flows.len()).map(|row| our_sample(&outcome.flows, row)).collect();
        if path.to_string_lossy().contains("encap-vxlan") {
            // etherparse stops at the first transport header.
            assert_eq!(theirs, ["17 192.168.108.40:45833 > 192.168.15.14:4789 0 1 172"]);
            continue;
        }
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "{}", path.display());
        compared += ours.len();
    }
    println!("{compared} samples compared");
}

fn our_sample(flows: &FlowBatch, row: usize) -> String {
    let text = sample(flows, row);
    let text = text.split_once(' ').unwrap().1;
    text.split(" deny").next().unwrap().to_owned()
}

fn their_samples(datagram: &[u8]) -> Vec<String> {
    let Ok(datagram) = sflow_parser::parse_datagram(datagram) else { return Vec::new() };
    let mut found = Vec::new();
    for sample in datagram.samples {
        let (rate, records) = match sample.sample_data {
            SampleData::FlowSample(sample) => (sample.sampling_rate, sample.flow_records),
            SampleData::FlowSampleExpanded(sample) => (sample.sampling_rate, sample.flow_records),
            SampleData::DiscardedPacket(packet) => (1, packet.flow_records),
            _ => continue,
        };
        found.extend(records.iter().find_map(|record| match &record.flow_data {
            FlowData::SampledHeader(header) => {
                let ethernet = header.protocol as u32 == 1;
                Some(their_packet(&header.header, ethernet, rate, header.frame_length))
            }
            _ => None,
        }));
    }
    found
}

/// The outermost packet of a header, by etherparse.
fn their_packet(header: &[u8], ethernet: bool, rate: u32, length: u32) -> String {
    let lax = if ethernet {
        etherparse::LaxSlicedPacket::from_ethernet(header).unwrap()
    } else {
        etherparse::LaxSlicedPacket::from_ip(header).unwrap()
    };
    let (src, dst, protocol) = match lax.net.unwrap() {
        etherparse::LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload().ip_number.0)
        }
        etherparse::LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to): (std::net::IpAddr, std::net::IpAddr) =
                (header.source_addr().into(), header.destination_addr().into());
            (from, to, ip.payload().ip_number.0)
        }
        other => panic!("not ip: {other:?}"),
    };
    let (from, to, flags) = match lax.transport {
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port(), tcp.slice()[13]),
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port(), 0),
        Some(TransportSlice::Icmpv4(icmp)) => {
            (0, u16::from(icmp.type_u8()) << 8 | u16::from(icmp.code_u8()), 0)
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            (0, u16::from(icmp.type_u8()) << 8 | u16::from(icmp.code_u8()), 0)
        }
        _ => (0, 0, 0),
    };
    let socket = |ip: std::net::IpAddr, port| std::net::SocketAddr::from((ip, port));
    let bytes = u64::from(rate) * u64::from(length);
    format!("{protocol} {} > {} {flags} {rate} {bytes}", socket(src, from), socket(dst, to))
}

/// The UDP payloads of a little-endian pcap of Ethernet frames, without any code of ours.
fn payloads(pcap: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1));
    let (mut payloads, mut at) = (Vec::new(), 24);
    while at < pcap.len() {
        let frame = &pcap[at + 16..at + 16 + word(at + 8)];
        at += 16 + frame.len();
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else { continue };
        if let (Some(NetSlice::Ipv4(_) | NetSlice::Ipv6(_)), Some(TransportSlice::Udp(udp))) =
            (packet.net, packet.transport)
        {
            payloads.push(udp.payload().to_vec());
        }
    }
    payloads
}
