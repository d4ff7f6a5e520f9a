//! What collectors' tools print: nfdump, SiLK's rwcut, Argus's ra.

use std::process::Command;

use model::FlowBatch;

use crate::reading::{Outcome, read_bytes};
use crate::sensors::{read, rejects};

/// What matters of rows, one line each.
fn rows(outcome: &Outcome) -> Vec<String> {
    let row = |row: usize| {
        let flow = outcome.flows.get(row);
        format!(
            "{} {} {}+{} {}:{}>{}:{} {}/{} {}/{} {:02x} {} {:02x} {}",
            outcome.flows.exporters[flow.exporter as usize].0,
            flow.protocol,
            flow.start,
            flow.end - flow.start,
            flow.src,
            flow.src_port,
            flow.dst,
            flow.dst_port,
            flow.packets,
            flow.bytes,
            flow.reverse_packets,
            flow.reverse_bytes,
            flow.tcp_flags,
            flow.client.name(),
            flow.present,
            flow.verdict.name(),
        )
    };
    (0..outcome.flows.len()).map(row).collect()
}

#[test]
fn nfdump_prints_csv_in_many_ways() {
    let text = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,ra\n\
        2009-10-05 06:06:07,2009-10-05 06:06:08,1.034,10.10.1.1,10.10.1.4,53,56166,UDP,........,0,0,1,128,2,300,192.0.2.1\n\
        2009-10-05 06:06:10,2009-10-05 06:06:10,0.001,192.168.1.1,10.10.1.4,0,772,ICMP,........,0,192,4,2304,0,0,0.0.0.0\n\
        2009-10-05 06:06:10,2009-10-05 06:06:10,0.001,fe80::1,ff02::1,0,135.0,ICMP6,........,0,0,0,0,1,72,::\n\
        Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n3,2504,6,1,1,1\n\
        firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flags,event,srcXIP,srcXPort\n\
        1362692526.789,1d 00:00:00.211,TCP,141.142.228.5,59856,192.150.187.43,80,7,512,...AP.SF,DENIED,198.51.100.7,1024\n\
        cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,dstAS,input,output,flags,srcTos,packets,bytes\n\
        1,2,1600000000250,1600000001750,132,10.0.0.1,49152,10.0.0.2,443,0,0,0,0,........,0,6,900\n\
        2,2,1600000000250,1600000001750,6,10.0.0..2,49152,10.0.0.2,443,0,0,0,0,........,0,6,900\n\
        3,2,1600000000250\n";
    let outcome = read("nfdump", text);
    assert_eq!(
        rows(&outcome),
        [
            "192.0.2.1 17 1254722767000000+1034000 10.10.1.1:53>10.10.1.4:56166 1/128 2/300 00 unknown 19 unknown",
            "nfdump 1 1254722770000000+1000 192.168.1.1:0>10.10.1.4:772 4/2304 0/0 00 unknown 12 unknown",
            "nfdump 58 1254722770000000+1000 fe80::1:0>ff02::1:34560 1/72 0/0 00 unknown 12 unknown",
            "nfdump 6 1362692526789000+86400211000 141.142.228.5:59856>192.150.187.43:80 7/512 0/0 1b unknown 15 deny",
            "nfdump 132 1600000000250000+1500000 10.0.0.1:49152>10.0.0.2:443 6/900 0/0 00 unknown 11 unknown",
        ]
    );
    let details = &outcome.flows.details[&3];
    assert_eq!(
        (details.nat_src_ip.map(|ip| ip.to_string()), details.nat_src_port),
        (Some("198.51.100.7".into()), Some(1024))
    );
    assert_eq!(outcome.summary.dropped["nfdump's summary"].count, 3);
    assert_eq!(
        rejects(&outcome.summary),
        [
            "input: line 12: `10.0.0..2` is not an IPv4 or IPv6 address; let nfdump print whole addresses (`-6` or `long6`)",
            "input: line 13: the record has 3 values; expected 17 as named by the first line",
        ]
    );
}

#[test]
fn nfdump_prints_json_in_arrays_and_lines() {
    let text = "[\n{\n\t\"type\" : \"FLOW\",\n\t\"first\" : \"2013-03-07T21:42:06.789\",\n\t\"last\" : \"2013-03-07T21:42:07.000\",\n\
        \t\"in_packets\" : 7,\n\t\"in_bytes\" : 512,\n\t\"proto\" : 6,\n\t\"tcp_flags\" : \"...AP.SF\",\n\t\"src_port\" : 59856,\n\
        \t\"dst_port\" : 80,\n\t\"src4_addr\" : \"141.142.228.5\",\n\t\"dst4_addr\" : \"192.150.187.43\",\n\
        \t\"ip4_router\" : \"127.0.0.1\",\n\t\"label\" : \"<none>\"\n},\n{\"first\":\"2013-03-07T21:42:06.789\",\"in_packets\":7,\
        \"in_bytes\":7,\"proto\":58,\"icmp_type\":128,\"icmp_code\":0,\"src6_addr\":\"::1\",\"dst6_addr\":\"::2\"}\n]\n";
    let outcome = read("nfdump", text);
    assert_eq!(outcome.summary.rejected, 0);
    assert_eq!(
        rows(&outcome),
        [
            "127.0.0.1 6 1362692526789000+211000 141.142.228.5:59856>192.150.187.43:80 7/512 0/0 1b unknown 15 unknown",
            // A release that prints packets for bytes.
            "nfdump 58 1362692526789000+0 ::1:0>::2:32768 7/0 0/0 00 unknown 12 unknown",
        ]
    );
}

#[test]
fn rwcut_prints_any_fields_in_any_order() {
    let text = "   sTime+msec|sensor|            sIP|            dIP|sPort|dPort|protocol|initialF|   flags|   dur|packets| bytes|  type|\n\
        2009/02/12T00:00:01.500|    S1|       10.0.0.1|     10.0.0.002|40000|   22|   6| S      |FSRPA   | 2.250|     5|   300|    in|\n\
        02/12/2009 00:00:01.500|    S1|        167772161|     10.0.0.2|   22|40000|   6| S  A   | S  A   | 2.250|     5|   300|outnull|\n\
            1234396801.5|     |    2001:db8::1|    2001:db8::2|    0|32768|  58|        |        | 0.000|     1|    72|int2int|\n\
        2009/02/12T00:00:01.500|    S1|       10.0.0.300|     10.0.0.2|   22|40000|   6|        |        | 2.250|     5|   300|out|\n";
    let outcome = read("silk", text);
    assert_eq!(
        rows(&outcome),
        [
            "S1 6 1234396801500000+2250000 10.0.0.1:40000>10.0.0.2:22 5/300 0/0 1f src 15 unknown",
            "S1 6 1234396801500000+2250000 10.0.0.1:22>10.0.0.2:40000 5/300 0/0 12 dst 15 deny",
            "silk 58 1234396801500000+0 2001:db8::1:0>2001:db8::2:32768 1/72 0/0 00 unknown 12 unknown",
        ]
    );
    assert_eq!(rejects(&outcome.summary), ["input: line 5: `10.0.0.300` is not an IPv4 or IPv6 address"]);
    let delimited =
        "sIP,dIP,pro,iType,iCode,eTime,duration\n10.0.0.1,10.0.0.2,1,8,0,2009-02-12T00:00:02Z,1\n";
    assert_eq!(
        rows(&read("silk", delimited)),
        ["silk 1 1234396801000000+1000000 10.0.0.1:0>10.0.0.2:2048 0/0 0/0 00 unknown 02 unknown"]
    );
}

#[test]
fn ra_prints_arrows_totals_and_its_own_status() {
    let text = "StartTime,Flgs,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,TotPkts,TotBytes,SrcBytes,State\n\
        1795230447.649015,          ,man,0,0,,0,0,0,0,0,STA\n\
        1362692526.869344, e        ,tcp,141.142.228.5,59856,   ->,192.150.187.43,80,14,6087,610,FIN\n\
        2011/08/10 09:46:53.058760, e,tcp,147.32.3.93,443,  <?>,147.32.84.59,51790,133,81929,67597,CON\n\
        06:06:07.492060, e        ,udp,10.10.1.4,56166,  <->,10.10.1.1,53,2,218,76,CON\n\
        1254722770.695115, e,icmp,192.168.1.1,0x0403,   ->,10.10.1.4,0x0000,4,2360,2360,URF\n\
        1254722770.695115, e,tcp,192.168.1.1,55,   <-,10.10.1.4,60000,1,60,60,RST\n\
        1254722770.695115, e,arp,192.168.1.1,,  who,192.168.1.2,,1,60,60,INT\n\
        1254722770.695115, e,tcp,192.168.1.1,http,   ->,10.10.1.4,60000,1,60,60,RST\n";
    let outcome = read("argus", text);
    assert_eq!(
        rows(&outcome),
        [
            "argus 6 1362692526869344+0 141.142.228.5:59856>192.150.187.43:80 13/610 1/5477 00 src 19 unknown",
            "argus 6 1312969613058760+0 147.32.3.93:443>147.32.84.59:51790 132/67597 1/14332 00 unknown 19 unknown",
            "argus 17 0+0 10.10.1.4:56166>10.10.1.1:53 1/76 1/142 00 src 19 unknown",
            "argus 1 1254722770695115+0 192.168.1.1:0>10.10.1.4:772 4/2360 0/0 00 src 1a unknown",
            "argus 6 1254722770695115+0 192.168.1.1:55>10.10.1.4:60000 1/60 0/0 00 dst 19 unknown",
        ]
    );
    assert_eq!(outcome.summary.untimed, 1);
    assert_eq!(
        rejects(&outcome.summary),
        ["input: line 9: `http` is not a port; let ra print numbers (`-n`)"]
    );
}

/// Argus itself, where it is installed, over the traces of which Zeek's connections are known.
#[test]
fn argus_over_zeeks_traces_counts_as_zeek_does() {
    let Some(folder) = testkit::shared("data/flow/softflowd-over-zeek-traces") else { return };
    if Command::new("ra").arg("-h").output().is_err() || Command::new("argus").arg("-h").output().is_err() {
        println!("skipped: argus and ra are not installed");
        return;
    }
    for name in ["http_get", "dhcp_dhcp"] {
        let trace = folder.join(name);
        let argus =
            Command::new("argus").arg("-r").arg(trace.join("trace.pcap")).args(["-w", "-"]).output().unwrap();
        let file = std::env::temp_dir().join(format!("ringfence-{}-{name}.argus", std::process::id()));
        std::fs::write(&file, argus.stdout).unwrap();
        let fields = "stime dur proto saddr sport dir daddr dport spkts dpkts sbytes dbytes";
        let ra = Command::new("ra")
            .args(["-n", "-u", "-p6", "-c", ",", "-r"])
            .arg(&file)
            .arg("-s")
            .args(fields.split(' '))
            .output();
        std::fs::remove_file(&file).unwrap();
        let ours = read_bytes("auto", ra.unwrap().stdout);
        let zeek = read_bytes("zeek", std::fs::read(trace.join("zeek-conn.log")).unwrap());
        assert_eq!((ours.flows.source, ours.summary.rejected), ("argus", 0), "{:?}", ours.summary.rejects);
        let sums = |flows: &FlowBatch| {
            let mut keys: Vec<_> = (0..flows.len())
                .map(|row| flows.get(row))
                .filter(|flow| flow.protocol == 6)
                .map(|flow| {
                    (flow.src, flow.src_port, flow.dst, flow.dst_port, flow.packets, flow.reverse_packets)
                })
                .collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(sums(&ours.flows), sums(&zeek.flows), "{name}");
    }
}
