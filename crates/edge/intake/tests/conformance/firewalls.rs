//! Firewalls' traffic logs by syslog, and Illumio's summaries.

use crate::reading::{Outcome, read_file};
use crate::sensors::{read, rejects};

/// What matters of rows, one line each.
fn rows(outcome: &Outcome) -> Vec<String> {
    let row = |row: usize| {
        let (flow, details) =
            (outcome.flows.get(row), outcome.flows.details.get(&(row as u32)).cloned().unwrap_or_default());
        let mut line = format!(
            "{} {}+{} {} {}:{}>{}:{} {}/{} {}/{} {:02x} {} {}",
            outcome.flows.exporters[flow.exporter as usize].0,
            model::format_time(flow.start),
            (flow.end - flow.start) / 1_000_000,
            flow.protocol,
            flow.src,
            flow.src_port,
            flow.dst,
            flow.dst_port,
            flow.packets,
            flow.bytes,
            flow.reverse_packets,
            flow.reverse_bytes,
            flow.present,
            flow.client.name(),
            flow.verdict.name(),
        );
        let nat =
            |ip: Option<model::Ip>, port: Option<u16>| ip.map(|ip| format!("{ip}:{}", port.unwrap_or(0)));
        let more = [
            ("nat_src", nat(details.nat_src_ip, details.nat_src_port)),
            ("nat_dst", nat(details.nat_dst_ip, details.nat_dst_port)),
            ("rule", details.rule),
            ("app", details.service_name),
            ("user", details.user),
            ("process", details.process),
            ("from", details.src_workload),
            ("to", details.dst_workload),
        ];
        for (name, value) in more {
            line.push_str(&value.map(|value| format!(" {name}={value}")).unwrap_or_default());
        }
        line
    };
    (0..outcome.flows.len()).map(row).collect()
}

#[test]
fn fortigates_published_logs() {
    let Some(folder) = testkit::shared("data/flow/tenzir-library/fortinet/tests/fortigate/inputs") else {
        return;
    };
    let all = ["forward_1", "forward_3", "forward_4", "forward_9", "local", "multicast", "sniffer"];
    let found: Vec<String> = all
        .iter()
        .flat_map(|name| {
            let outcome = read_file("auto", &folder.join(format!("traffic_{name}.txt")));
            assert_eq!((outcome.flows.source, outcome.summary.rejected), ("fortinet", 0), "{name}");
            rows(&outcome)
        })
        .collect();
    assert_eq!(
        found,
        [
            "fortinet 2019-05-10T18:35:51.369Z+116 6 10.1.100.11:58012>23.59.154.35:80 17/1188 16/1224 19 src allow \
             nat_src=172.16.200.2:58012 rule=1 app=HTTP.BROWSER_Firefox",
            "fortinet 2019-05-13T23:29:45.452Z+5 6 10.1.100.11:44258>185.244.31.158:80 14/736 5/3138 19 src allow \
             nat_src=172.16.200.2:44258 rule=1 app=HTTP",
            "fortinet 2019-05-15T22:05:49.950Z+180 17 10.1.100.22:50002>172.16.100.100:53 1/67 1/207 19 src allow \
             nat_src=172.16.200.2:50002 rule=1 app=DNS",
            "fortinet 2019-05-16T17:08:21.763Z+5 6 10.1.100.66:38572>104.154.89.105:443 11/930 19/6832 19 src allow \
             nat_src=172.16.200.11:38572 rule=1 app=HTTPS",
            "fortinet 2019-05-10T18:50:43.379Z+5 6 172.16.200.254:62024>172.16.200.2:443 5/1247 6/1719 19 src allow \
             rule=0 app=Web Management(HTTPS)",
            "fortinet 2019-03-31T13:42:30.000Z+22 17 172.16.200.55:60660>230.1.1.2:7878 11/5940 0/0 19 src allow \
             rule=1 app=udp/7878",
            // A sniffer decides nothing; `transip` is nobody.
            "fortinet 2019-05-10T21:18:44.021Z+10 6 208.91.114.4:50463>104.80.88.154:443 0/0 0/0 19 src unknown \
             rule=3 app=HTTPS",
        ]
    );
}

#[test]
fn fortigate_counts_by_deltas_and_denies() {
    let line = |id: &str, rest: &str| {
        format!(
            "<189>Sep 13 12:26:42 relay date=2020-09-13 time=14:26:42 tz=\"+0200\" devname=\"fw 1\" logid=\"{id}\" type=\"traffic\" \
             srcip=10.0.0.1 srcport=1024 dstip=10.0.0.2 dstport=80 proto=6 policyid=5 {rest}\n"
        )
    };
    let text = [
        line("0000000011", "action=\"start\" sentbyte=0 rcvdbyte=0"),
        line("0000000020", "action=\"accept\" duration=120 sentbyte=900 rcvdbyte=90 sentdelta=400 rcvddelta=40 sentpkt=9 rcvdpkt=9"),
        line("0000000013", "action=\"close\" duration=130 sentbyte=1000 rcvdbyte=95 sentdelta=100 rcvddelta=5 sentpkt=10 rcvdpkt=10"),
        line("0000000013", "action=\"deny\" user=\"bob\" policyname=\"no, \\\"never\\\"\" srcname=\"pc1\" trandisp=\"snat+dnat\" \
             transip=192.0.2.1 transport=7 tranip=192.0.2.2 tranport=8"),
        line("0000000013", "action=\"deny\" sentbyte=-1"),
        "date=2020-09-13 logid=\"1\" type=\"utm\" subtype=\"ips\" srcip=10.0.0.1\n".to_owned(),
        "date=2020-09-13 time=12:26:42 logid=1 type=traffic srcip=fd00::1 dstip=fd00::2 proto=58 service=\"icmp6/128/0\" action=ip-conn\n"
            .to_owned(),
    ];
    let outcome = read("fortinet", &text.concat());
    assert_eq!(
        rows(&outcome),
        [
            "fw 1 2020-09-13T12:26:42.000Z+0 6 10.0.0.1:1024>10.0.0.2:80 0/0 0/0 01 src allow rule=5",
            "fw 1 2020-09-13T12:24:42.000Z+120 6 10.0.0.1:1024>10.0.0.2:80 0/400 0/40 19 src allow rule=5",
            "fw 1 2020-09-13T12:24:32.000Z+130 6 10.0.0.1:1024>10.0.0.2:80 10/100 10/5 19 src allow rule=5",
            "fw 1 2020-09-13T12:26:42.000Z+0 6 10.0.0.1:1024>10.0.0.2:80 0/0 0/0 01 src deny nat_src=192.0.2.1:7 \
             nat_dst=192.0.2.2:8 rule=no, \\\"never\\\" user=bob from=pc1",
            "fortinet 2020-09-13T12:26:42.000Z+0 58 fd00::1:0>fd00::2:32768 0/0 0/0 02 src allow app=icmp6/128/0",
        ]
    );
    assert_eq!(rejects(&outcome.summary), ["input: line 5: `-1` is not a number"]);
    assert_eq!(outcome.summary.dropped["log of another kind"].count, 1);
}

#[test]
fn pan_os_in_its_order() {
    let line = |subtype: &str, action: &str, tail: &str| {
        format!(
            "Sep 13 12:26:42 panorama 1,2020/09/13 20:26:42,0125,TRAFFIC,{subtype},2561,2020/09/13 20:26:42,10.0.0.1,203.0.113.5,\
             198.51.100.1,10.9.9.9,\"web, out\",corp\\alice,,ssl,vsys1,trust,untrust,e1,e2,log,2020/09/13 20:26:42,72,1,49152,443,\
             50464,8443,0x40,tcp,{action},7312,2228,5084,22,2020/09/13 20:26:40,16,any,,7253,0x80,a,b,,{tail}\n"
        )
    };
    let new = "12,10,tcp-fin,34,0,0,0,,fw-7,from-policy,,,0,,0,,N/A,0,0,0,0,90431d13,0,0,,,,2020-09-13T20:26:41.443+08:00,,,x";
    let text = [
        line("end", "allow", new),
        line("start", "allow", "0,0,n/a"),
        line("deny", "reset-both", "1,0,policy-deny"),
        "1,2020/09/13 12:26:42,0125,THREAT,url,1,2020/09/13 12:26:42,10.0.0.1,10.0.0.2\n".to_owned(),
        "1,2020/09/13 12:26:42,0125,TRAFFIC,end,1\n".to_owned(),
        "Jul 13 20:39:44 1,2017/07/13 20:39:44,0009,TRAFFIC,drop,1,2017/07/13 20:39:44,10.183.12.108,10.183.51.49,0.0.0.0,0.0.0.0,R1,,\
         ,ping,vsys1,A,B,i1,i2,S,2017/07/13 20:39:44,0,1,0,0,0,0,0x0,icmp,deny,98,98,0,1,2017/07/13 20:39:40,0,any,0,32,0x0,x,y,0,1,0\n"
            .to_owned(),
    ];
    let outcome = read("paloalto", &text.concat());
    let details = "nat_src=198.51.100.1:50464 nat_dst=10.9.9.9:8443 rule=web, out app=ssl user=corp\\alice";
    assert_eq!(
        rows(&outcome),
        [
            // The high-resolution time says that the device is eight hours ahead.
            format!("fw-7 2020-09-13T12:26:40.000Z+16 6 10.0.0.1:49152>203.0.113.5:443 12/2228 10/5084 19 src allow {details}"),
            format!("panorama 2020-09-13T20:26:40.000Z+16 6 10.0.0.1:49152>203.0.113.5:443 0/0 0/0 01 src allow {details}"),
            format!("panorama 2020-09-13T20:26:40.000Z+16 6 10.0.0.1:49152>203.0.113.5:443 1/2228 0/5084 19 src deny {details}"),
            "paloalto 2017-07-13T20:39:40.000Z+0 1 10.183.12.108:0>10.183.51.49:0 1/98 0/0 18 src deny rule=R1 app=ping".to_owned(),
        ]
    );
    assert_eq!(rejects(&outcome.summary), ["input: line 5: the record has 6 values; expected 37 or more"]);
}

#[test]
fn asa_connections_are_paired_and_denials_stand_alone() {
    let text = "\
<166>Sep 13 2020 12:26:40 fw1 : %ASA-6-302013: Built inbound TCP connection 7 for outside:198.51.100.9/49152 (198.51.100.9/49152) to inside:10.0.0.2/443 (203.0.113.5/443)
<166>Sep 13 2020 12:26:40 fw1 : %ASA-6-302015: Built outbound UDP connection 8 for outside:8.8.8.8/53 (8.8.8.8/53)(LOCAL\\x) to inside:10.0.0.3/5353 (203.0.113.1/1024) (corp\\bob)
<166>Sep 13 2020 12:26:40 fw1 : %ASA-6-305011: Built dynamic UDP translation from inside:10.0.0.3/5353 to outside:203.0.113.1/1024
<166>Sep 13 2020 12:26:50 fw1 : %ASA-6-302014: Teardown TCP connection 7 for outside:198.51.100.9/49152 to inside:10.0.0.2/443 duration 0:00:10 bytes 5100 TCP FINs from inside
<166>Sep 13 2020 12:26:51 fw1 : %ASA-6-302016: Teardown UDP connection 99 for outside:2001:db8::1/53 to inside:2001:db8::2/5353 duration 1:00:01 bytes 90
<166>Sep 13 2020 12:26:52 fw1 : %ASA-6-302020: Built outbound ICMP connection for faddr 192.0.2.7/0 gaddr 203.0.113.1/1 laddr 10.0.0.3/1 type 8 code 0
<164>Sep 13 2020 12:26:53 fw1 : %ASA-4-106023: Deny tcp src outside:192.0.2.7/4000 dst inside:10.0.0.2/22 by access-group \"outside_in\" [0x0, 0x0]
<164>Sep 13 2020 12:26:53 fw1 : %ASA-4-106023: Deny icmp src outside:192.0.2.7 dst inside:10.0.0.2 (type 3, code 1) by access-group \"outside_in\" [0x0, 0x0]
<162>Sep 13 2020 12:26:53 fw1 : %ASA-2-106001: Inbound TCP connection denied from 192.0.2.7/4000 to 10.0.0.2/23 flags SYN on interface outside
<166>Sep 13 2020 12:26:53 fw1 : %ASA-6-106015: Deny TCP (no connection) from 192.0.2.7/80 to 10.0.0.2/4001 flags RST on interface outside
<162>Sep 13 2020 12:26:53 fw1 : %ASA-2-106006: Deny inbound UDP from 192.0.2.7/4000 to 10.0.0.2/161 on interface outside
<166>Sep 13 2020 12:26:53 fw1 : %ASA-6-106100: access-list in permitted tcp inside/10.0.0.3(4000) -> outside/192.0.2.7(80) hit-cnt 1 first hit [0x1, 0x0]
<113>Sep 13 2020 12:26:54 ftd1 %FTD-1-430003: DeviceUUID: a-b, AccessControlRuleAction: Block with reset, SrcIP: 10.0.0.3, DstIP: 192.0.2.7, SrcPort: 4000, DstPort: 80, Protocol: tcp, AccessControlRuleName: no web, ApplicationProtocol: HTTP, InitiatorPackets: 3, ResponderPackets: 2, InitiatorBytes: 300, ResponderBytes: 200, FirstPacketSecond: 2020-09-13T12:26:44Z, ConnectionDuration: 9
<164>Sep 13 2020 12:26:53 fw1 : %ASA-4-106023: Deny tcp src outside:192.0.2.777/4000 dst inside:10.0.0.2/22
";
    let outcome = read("cisco-asa", text);
    assert_eq!(
        rows(&outcome),
        [
            "fw1 2020-09-13T12:26:40.000Z+10 6 198.51.100.9:49152>203.0.113.5:443 0/5100 0/0 11 src allow nat_dst=10.0.0.2:443",
            // Nobody saw it being built: who opened it is not known.
            "fw1 2020-09-13T11:26:50.000Z+3601 17 2001:db8::1:53>2001:db8::2:5353 0/90 0/0 11 unknown allow",
            "fw1 2020-09-13T12:26:52.000Z+0 1 10.0.0.3:0>192.0.2.7:2048 0/0 0/0 02 src allow nat_src=203.0.113.1:0",
            "fw1 2020-09-13T12:26:53.000Z+0 6 192.0.2.7:4000>10.0.0.2:22 0/0 0/0 01 src deny rule=outside_in",
            "fw1 2020-09-13T12:26:53.000Z+0 1 192.0.2.7:0>10.0.0.2:769 0/0 0/0 02 src deny rule=outside_in",
            "fw1 2020-09-13T12:26:53.000Z+0 6 192.0.2.7:4000>10.0.0.2:23 0/0 0/0 01 src deny",
            "fw1 2020-09-13T12:26:53.000Z+0 6 192.0.2.7:80>10.0.0.2:4001 0/0 0/0 01 unknown deny",
            "fw1 2020-09-13T12:26:53.000Z+0 17 192.0.2.7:4000>10.0.0.2:161 0/0 0/0 01 src deny",
            "fw1 2020-09-13T12:26:53.000Z+0 6 10.0.0.3:4000>192.0.2.7:80 0/0 0/0 01 src allow rule=in",
            "ftd1 2020-09-13T12:26:44.000Z+9 6 10.0.0.3:4000>192.0.2.7:80 3/300 2/200 19 src deny rule=no web app=HTTP",
            // Built, and not torn down when the log ended.
            "fw1 2020-09-13T12:26:40.000Z+0 17 10.0.0.3:5353>8.8.8.8:53 0/0 0/0 01 src allow nat_src=203.0.113.1:1024 user=corp\\bob",
        ]
    );
    assert_eq!(outcome.summary.dropped["message that is no connection"].count, 1);
    assert!(
        rejects(&outcome.summary)[0]
            .starts_with("input: line 14: message 106023 is not in its usual form: `Deny tcp")
    );
}

#[test]
fn illumios_summaries() {
    let text = "Sep 13 12:36:50 pce illumio_pce/collector[9]: sec=1 sev=INFO {\"version\":4,\"count\":3,\"interval_sec\":600,\
        \"timestamp\":\"2020-09-13T05:26:40-07:00\",\"dir\":\"O\",\"src_ip\":\"10.0.0.1\",\"dst_ip\":\"10.0.0.2\",\"proto\":17,\
        \"dst_port\":53,\"state\":\"T\",\"pd\":1,\"pn\":\"dig\",\"un\":\"root\",\"src_hostname\":\"web-1\",\"dst_hostname\":\"dns-1\"}\n\
        {\"interval_sec\":60,\"timestamp\":\"2020-09-13T12:26:40Z\",\"dir\":\"I\",\"src_ip\":\"fe80::1\",\"dst_ip\":\"fe80::2\",\"proto\":58,\
        \"type\":135,\"code\":0,\"pd\":2}\n\
        {\"event_type\":\"user.sign_in\",\"severity\":\"info\",\"src_ip\":null,\"interval_sec\":0,\"dst_ip\":\"\"}\n";
    let outcome = read("illumio", text);
    assert_eq!(
        rows(&outcome),
        [
            "web-1 2020-09-13T12:26:40.000Z+600 17 10.0.0.1:0>10.0.0.2:53 0/0 0/0 01 src allow user=root process=dig from=web-1 to=dns-1",
            "illumio 2020-09-13T12:26:40.000Z+60 58 fe80::1:0>fe80::2:34560 0/0 0/0 02 src deny",
        ]
    );
    assert_eq!((outcome.summary.rejected, outcome.summary.dropped["event of another kind"].count), (0, 1));
}
