//! Versions 1, 5 and 7, of which few captures are left, against tshark on datagrams made here.

use std::process::Command;

use model::FlowBatch;

use crate::reading::read_file;

/// Header and record bytes of a version, and where a record has the TCP flags.
const LAYOUTS: [(u16, usize, usize, usize); 3] = [(1, 16, 48, 40), (5, 24, 48, 37), (7, 24, 52, 37)];

const UPTIME_MS: u32 = 5_000_000;
const EXPORT_S: u32 = 1_600_000_000;

#[test]
fn fixed_layouts_are_those_of_tshark() {
    let version = Command::new("tshark").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: tshark is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("fixed.pcap");
    std::fs::write(&capture, made()).unwrap();
    let mut command = Command::new("tshark");
    command.args(["-d", "udp.port==2055,cflow", "-T", "fields", "-E", "occurrence=a", "-E", "separator=;"]);
    for field in ["srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "octets", "timedelta"] {
        command.args(["-e", &format!("cflow.{field}")]);
    }
    let output = command.arg("-r").arg(&capture).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<String> =
        String::from_utf8_lossy(&output.stdout).lines().flat_map(their_records).collect();
    let outcome = read_file("netflow", &capture);
    assert!(outcome.error.is_none() && outcome.summary.dropped.is_empty(), "{:?}", outcome.summary);
    let ours: Vec<String> = (0..outcome.flows.len()).map(|row| our_record(&outcome.flows, row)).collect();
    assert_eq!(ours.len(), 3 * 10 * 9);
    assert_eq!(ours, theirs);
}

/// One packet's columns, each with the values of all its records, into lines.
fn their_records(line: &str) -> Vec<String> {
    let columns: Vec<Vec<&str>> = line.split(';').map(|column| column.split(',').collect()).collect();
    (0..columns[0].len())
        .map(|record| {
            let value = |column: usize| columns[column][record];
            let took: f64 = value(7).parse().unwrap();
            format!(
                "{}:{} {}:{} {} {}/{} took {}",
                value(0),
                value(2),
                value(1),
                value(3),
                value(4),
                value(5),
                value(6),
                (took * 1e3).round() as i64
            )
        })
        .collect()
}

fn our_record(flows: &FlowBatch, row: usize) -> String {
    let flow = flows.get(row);
    assert_eq!(flow.present & FlowBatch::HAS_PORTS, FlowBatch::HAS_PORTS);
    format!(
        "{}:{} {}:{} {} {}/{} took {}",
        flow.src,
        flow.src_port,
        flow.dst,
        flow.dst_port,
        flow.protocol,
        flow.packets,
        flow.bytes,
        (flow.end - flow.start) / 1_000
    )
}

/// A capture of raw IPv4 packets: ten datagrams of each version with nine records of chance each.
fn made() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 32) as u32
    };
    for turn in 0..10_u32 {
        for (version, header, record, flags_at) in LAYOUTS {
            let mut datagram = [version, 9].map(u16::to_be_bytes).concat();
            datagram.extend([UPTIME_MS, EXPORT_S, 0, turn * 9].map(u32::to_be_bytes).concat());
            datagram.resize(header, 0);
            for _ in 0..9 {
                let mut bytes: Vec<u8> = (0..record).map(|_| next() as u8).collect();
                let start = next() % UPTIME_MS;
                let end = start + next() % (UPTIME_MS - start);
                bytes[24..28].copy_from_slice(&start.to_be_bytes());
                bytes[28..32].copy_from_slice(&end.to_be_bytes());
                bytes[38] = if next() % 2 == 0 { 6 } else { 17 };
                bytes[flags_at] &= 0x3f;
                datagram.extend(bytes);
            }
            packet(&datagram, &mut file);
        }
    }
    file
}

fn packet(payload: &[u8], file: &mut Vec<u8>) {
    let total = payload.len() + 28;
    for word in [EXPORT_S, 0, total as u32, total as u32] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
    file.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    for port in [40_000, 2_055, (8 + payload.len()) as u16, 0] {
        file.extend(port.to_be_bytes());
    }
    file.extend(payload);
}
