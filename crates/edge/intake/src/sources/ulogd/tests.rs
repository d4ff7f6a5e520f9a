use model::{Client, Direction, FlowBatch, format_time};

use super::*;

fn read(text: &str) -> (FlowBatch, crate::Summary) {
    let mut reader = open(Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()))).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().clone())
}

#[test]
fn prefixes_say_what_they_say() {
    for (prefix, expected, name) in [
        ("[UFW BLOCK] ", Verdict::Deny, "UFW BLOCK"),
        ("[UFW AUDIT] ", Verdict::Unknown, "UFW AUDIT"),
        ("filter_IN_public_REJECT: ", Verdict::Deny, "filter_IN_public_REJECT"),
        ("fw-drop: ", Verdict::Deny, "fw-drop"),
        ("Shorewall:net2fw:ACCEPT:", Verdict::Allow, "Shorewall:net2fw:ACCEPT"),
        ("backdrop ", Verdict::Unknown, "backdrop"),
        ("drop-or-accept ", Verdict::Unknown, "drop-or-accept"),
        ("", Verdict::Unknown, ""),
    ] {
        assert_eq!(verdict(prefix), expected, "{prefix}");
        assert_eq!(rule(prefix).unwrap_or_default(), name);
    }
}

#[test]
fn lines_of_the_kernel() {
    let (batch, summary) = read(
        "2020-09-13T14:26:40+02:00 gw kernel: [    1.5] DROP-IN: IN=eth0 OUT= MAC=02 SRC=10.0.0.9 DST=10.0.0.1 LEN=52 PROTO=TCP SPT=50000 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0\n\
         Sep 13 12:26:41 gw kernel: IN= OUT=eth0 SRC=2001:db8::1 DST=2001:db8::2 LEN=104 PROTO=ICMPv6 TYPE=128 CODE=0 ID=7 SEQ=1 UID=1000 GID=1000\n\
         Sep 13 12:26:42 gw kernel: ACCEPT IN=eth0 OUT=eth1 SRC=10.0.0.1 DST=10.1.0.1 LEN=88 PROTO=ICMP TYPE=3 CODE=1 [SRC=10.1.0.1 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=1 DPT=2 ]\n\
         Sep 13 12:26:43 gw kernel: IN=eth0 OUT= MAC=02 SRC=10.0.0.1 DST=224.0.0.22 LEN=40 PROTO=2\n\
         Sep 13 12:26:44 gw kernel: IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 MACSRC=02 IPSRC=10.0.0.1 MACDST=00 IPDST=10.0.0.2\n\
         Sep 13 12:26:45 gw sshd[7]: Accepted publickey for root\n\
         Sep 13 12:26:46 gw kernel: IN=eth0 OUT= SRC=10.0.0.1 DS\n\
         [  12.5] IN=eth0 OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=60 PROTO=UDP SPT=5353 DPT=53 LEN=40\n",
    );
    assert_eq!(batch.protocol, [6, 58, 1, 2, 17]);
    assert_eq!(batch.dst_port, [22, 128 << 8, 3 << 8 | 1, 0, 53]);
    assert_eq!(format_time(batch.start[0]), "2020-09-13T12:26:40.000Z");
    assert_eq!(
        format_time(batch.start[2]),
        "2020-09-13T12:26:42.000Z",
        "the year is that of the line before"
    );
    assert_eq!(batch.tcp_flags[0], 2);
    assert_eq!(batch.verdict[..3], [Verdict::Deny, Verdict::Unknown, Verdict::Allow]);
    assert_eq!(batch.direction[..3], [Direction::Ingress, Direction::Egress, Direction::Unknown]);
    assert_eq!(batch.details[&0].rule.as_deref(), Some("DROP-IN"));
    assert_eq!(batch.details[&1].user.as_deref(), Some("1000"));
    assert!(batch.present.iter().all(|present| present & FlowBatch::HAS_COUNTS == 0));
    assert_eq!((&*batch.exporters[0].0, summary.untimed), ("gw", 1));
    let dropped: Vec<_> = summary.dropped.keys().copied().collect();
    assert_eq!(dropped, ["frame that is no IP packet", "line of another program", "record cannot be read"]);
}

#[test]
fn packets_and_connections_of_ulogd() {
    let (batch, summary) = read(
        r#"{"timestamp": "2020-09-13T12:26:40.5", "dvc": "Netfilter", "oob.prefix": "accept in", "oob.family": 10, "ip6.nexthdr": 58, "icmpv6.type": 135, "icmpv6.code": 0, "oob.in": "eth0", "src_ip": "2001:db8::1", "dest_ip": "2001:db8::2"}
{"timestamp": "2020-09-13T14:26:40+0200", "dvc": "gw", "raw.label": 0, "action": "blocked", "oob.family": 2, "ip.protocol": 17, "udp.sport": 5353, "udp.dport": 53, "oob.in": "eth0", "oob.out": "eth1", "src_ip": "10.0.0.1", "dest_ip": "10.0.0.2", "oob.uid": 33}
{"timestamp": "2020-09-13T12:26:50", "dvc": "gw", "src_ip": "10.0.0.1", "dest_ip": "192.0.2.1", "orig.ip.protocol": 6, "orig.l4.sport": 49152, "orig.l4.dport": 443, "orig.raw.pktlen": 0, "orig.raw.pktcount": 0, "reply.ip.saddr.str": "10.1.0.1", "reply.ip.daddr.str": "10.0.0.1", "reply.l4.sport": 8443, "reply.l4.dport": 49152, "reply.raw.pktlen": 0, "reply.raw.pktcount": 0, "ct.event": 1, "flow.start.sec": 1600000010, "flow.start.usec": 7}
{"orig.ip.protocol": 6, "ct.event": 2, "src_ip": "10.0.0.1", "dest_ip": "10.0.0.2"}
{"oob.family": 3, "oob.prefix": "arp"}
{"oob.family": 2, "ip.protocol": 6, "src_ip": "10.0.0.1"}
"#,
    );
    assert_eq!(batch.protocol, [58, 17, 6]);
    assert_eq!(batch.dst_port, [135 << 8, 53, 443]);
    assert_eq!(batch.verdict, [Verdict::Allow, Verdict::Deny, Verdict::Unknown]);
    assert_eq!(format_time(batch.start[1]), "2020-09-13T12:26:40.000Z");
    assert_eq!((batch.start[2], batch.end[2]), (1_600_000_010_000_007, 1_600_000_010_000_007));
    assert_eq!(batch.present[2], FlowBatch::HAS_PORTS, "zeros everywhere mean that nothing was counted");
    assert_eq!(batch.client, [Client::Unknown, Client::Unknown, Client::Src]);
    let details = &batch.details[&2];
    assert_eq!(details.nat_dst_ip.map(|ip| ip.to_string()).as_deref(), Some("10.1.0.1"));
    assert_eq!((details.nat_dst_port, details.nat_src_ip, details.nat_src_port), (Some(8_443), None, None));
    let names: Vec<_> = batch.exporters.iter().map(|exporter| &*exporter.0).collect();
    assert_eq!(names, ["netfilter", "gw"]);
    assert_eq!(summary.rejects.len(), 1);
}

#[test]
fn ends_have_the_counts() {
    let sample = include_str!("../../../samples/ulogd.nfct.json");
    let (batch, _) = read(sample);
    assert_eq!((batch.packets[0], batch.bytes[0]), (18, 2_214));
    assert_eq!((batch.reverse_packets[0], batch.reverse_bytes[0]), (16, 8_102));
    assert_eq!(batch.end[0], 1_600_000_001_000_005);
}
