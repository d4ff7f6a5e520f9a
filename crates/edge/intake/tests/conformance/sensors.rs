//! Sensors' logs: Zeek beyond its published logs, Suricata.

use intake::Summary;
use model::FlowBatch;

use crate::reading::{Outcome, read_bytes, read_file};

/// The canonical lines of what was read, without what all of them share.
pub(crate) fn canonical(flows: &FlowBatch) -> Vec<String> {
    (0..flows.len())
        .map(|row| {
            let mut line = Vec::new();
            model::canonical::write_flow(flows, row, &mut line);
            String::from_utf8(line).unwrap().trim_end().to_owned()
        })
        .collect()
}

/// Reads in a format and in `auto`, which must not differ.
pub(crate) fn read(format: &str, text: &str) -> Outcome {
    let named = read_bytes(format, text.as_bytes().to_vec());
    let auto = read_bytes("auto", text.as_bytes().to_vec());
    assert_eq!(auto.flows, named.flows, "`auto` reads another format");
    named
}

pub(crate) fn rejects(summary: &Summary) -> Vec<String> {
    summary.rejects.iter().map(ToString::to_string).collect()
}

#[test]
fn zeek_streams_mix_logs() {
    let text = "{\"_path\":\"dns\",\"ts\":1600000000.0,\"id.orig_h\":\"10.0.0.1\",\"id.resp_h\":\"10.0.0.2\",\"proto\":\"udp\"}\n\
        {\"_path\":\"conn\",\"_write_ts\":\"2020-09-13T12:26:41Z\",\"_system_name\":\"edge\",\"ts\":\"2020-09-13T12:26:40.5Z\",\
        \"id\":{\"orig_h\":\"10.0.0.1\",\"orig_p\":50000,\"resp_h\":\"10.0.0.2\",\"resp_p\":443,\"ctx\":{\"vlan\":7}},\
        \"proto\":\"tcp\",\"conn_state\":\"SF\",\"history\":\"ShAFf\",\"service\":\"ssl\\/x\",\"orig_pkts\":3,\"orig_ip_bytes\":180}\n\
        {\"_path\":\"conn_long\",\"ts\":1600000000.0,\"id.orig_h\":\"10.0.0.1\",\"id.resp_h\":\"10.0.0.2\",\"proto\":\"udp\"}\n\
        {\"_path\":\"capture_loss\",\"ts\":1600000900.0,\"ts_delta\":900.0,\"peer\":\"zeek\",\"gaps\":1,\"acks\":9,\"percent_lost\":11.1}\n\
        {\"_path\":\"capture_loss\",\"ts\":1600001800.0,\"ts_delta\":900.0,\"peer\":\"zeek\",\"gaps\":0,\"acks\":9,\"percent_lost\":0.0}\n";
    let outcome = read("zeek", text);
    assert_eq!(
        canonical(&outcome.flows),
        [
            "{\"start\":\"2020-09-13T12:26:40.500Z\",\"end\":\"2020-09-13T12:26:40.500Z\",\"source\":\"zeek\",\"exporter\":\"edge\",\
             \"protocol\":6,\"src_ip\":\"10.0.0.1\",\"src_port\":50000,\"dst_ip\":\"10.0.0.2\",\"dst_port\":443,\"packets\":3,\
             \"bytes\":180,\"sampling\":1,\"verdict\":\"unknown\",\"direction\":\"unknown\",\"client\":\"src\",\
             \"client_confidence\":0.99,\"service_name\":\"ssl/x\"}"
        ]
    );
    assert_eq!((outcome.summary.lost_intervals, outcome.summary.rejected), (1, 0));
    let skipped: Vec<_> =
        outcome.summary.dropped.iter().map(|(why, dropped)| (*why, dropped.count)).collect();
    assert_eq!(skipped, [("capture loss below one percent", 1), ("record of another of Zeek's logs", 2)]);
}

#[test]
fn zeek_logs_joined_to_one_and_cut_to_columns() {
    let joined = "#separator \\x09\n#unset_field\t-\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n\
        1600000000.5\t10.0.0.1\t1\t10.0.0.2\t2\ttcp\n#close\t2020-09-13\n\
        #separator \\x20\n#unset_field -\n#path conn\n#fields proto ts id.resp_h id.resp_p id.orig_h id.orig_p\n\
        udp 1600000001 2001:db8::2 53 2001:db8::1 9\n";
    let outcome = read("zeek", joined);
    let ends: Vec<_> = (0..2)
        .map(|row| outcome.flows.get(row))
        .map(|flow| (flow.start, flow.protocol, flow.dst_port))
        .collect();
    assert_eq!(ends, [(1_600_000_000_500_000, 6, 2), (1_600_000_001_000_000, 17, 53)]);
    assert_eq!(outcome.flows.src[1].to_string(), "2001:db8::1");
    let cut = "ts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n1600000000.5\t10.0.0.1\t8\t10.0.0.2\t0\ticmp\n";
    assert_eq!(read("zeek", cut).flows.dst_port, [0x0800]);
    let long = read_bytes("zeek", b"#separator \\x09\n#path\tconn_long\n".to_vec());
    assert!(long.error.unwrap().to_string().contains("repeats connections of conn.log"));
    let loss = "#separator \\x09\n#path\tcapture_loss\n#fields\tts\tts_delta\tpeer\tgaps\tacks\tpercent_lost\n\
        1600000900.0\t900.000000\tzeek\t10\t100\t10.000000\n";
    assert_eq!(read("zeek", loss).summary.lost_intervals, 1);
}

#[test]
fn corelights_json_is_read_as_another_reader_does() {
    let Some(folder) = testkit::shared("data/flow/tenzir-library/zeek/tests/inputs") else { return };
    let outcome = read_file("auto", &folder.join("conn.log"));
    assert!(outcome.error.is_none() && outcome.summary.rejected == 0);
    let flow = outcome.flows.get(0);
    assert_eq!((flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes), (6, 416, 5, 417));
    assert_eq!((flow.start, flow.end), (1_729_051_621_489_619, 1_729_051_686_827_772));
    assert_eq!(&*outcome.flows.exporters[0].0, "sensor");
}

const TUPLE: &str =
    "\"src_ip\":\"10.0.0.1\",\"src_port\":50000,\"dest_ip\":\"10.0.0.2\",\"dest_port\":443,\"proto\":\"TCP\"";

#[test]
fn suricatas_alerts_add_a_verdict_and_no_traffic() {
    let event = |kind: &str, id: u32, rest: &str| {
        format!(
            "{{\"timestamp\":\"2020-09-13T12:26:41+0000\",\"flow_id\":{id},\"event_type\":\"{kind}\",{TUPLE},{rest}}}\n"
        )
    };
    let alert = |action: &str| {
        format!("\"alert\":{{\"action\":\"{action}\",\"signature_id\":7,\"signature\":\"s\"}}")
    };
    let counts = "\"flow\":{\"pkts_toserver\":3,\"pkts_toclient\":2,\"bytes_toserver\":180,\"bytes_toclient\":120,\
        \"start\":\"2020-09-13T12:26:40+0000\",\"end\":\"2020-09-13T12:26:41+0000\",\"state\":\"closed\"},\
        \"tcp\":{\"tcp_flags\":\"16\",\"tcp_flags_ts\":\"02\",\"tcp_flags_tc\":\"14\"}";
    let text = [
        event("dns", 1, "\"dns\":{}"),
        event("alert", 1, &alert("allowed")),
        event("alert", 1, &alert("allowed")),
        event("alert", 1, &alert("blocked")),
        event("drop", 1, "\"drop\":{\"len\":60}"),
        event("flow", 1, counts),
        event("netflow", 1, "\"netflow\":{\"pkts\":3,\"bytes\":180}"),
        event(
            "flow",
            2,
            &counts
                .replace("\"02\"", "\"1b\"")
                .replace("\"14\"", "\"1b\"")
                .replace("{\"pkts", "{\"action\":\"pass\",\"pkts"),
        ),
    ];
    let outcome = read("suricata", &text.concat());
    let rows: Vec<_> = (0..outcome.flows.len())
        .map(|row| {
            (outcome.flows.get(row), outcome.flows.details.get(&(row as u32)).and_then(|d| d.rule.clone()))
        })
        .map(|(flow, rule)| {
            (flow.verdict.name(), flow.packets, flow.reverse_packets, flow.client_confidence, rule)
        })
        .collect();
    let rule = Some("7 s".to_owned());
    assert_eq!(
        rows,
        [
            ("allow", 0, 0, 0.0, rule.clone()),
            ("deny", 0, 0, 0.0, rule),
            // The refusal is known by the alert; a reset alone is no answer.
            ("deny", 3, 0, 0.99, None),
            ("allow", 3, 2, 0.99, None),
        ]
    );
    assert_eq!(outcome.flows.present[0] & FlowBatch::HAS_COUNTS, 0);
    let skipped: Vec<_> =
        outcome.summary.dropped.iter().map(|(why, dropped)| (*why, dropped.count)).collect();
    assert_eq!(
        skipped,
        [
            ("event of another kind", 1),
            ("netflow event beside flow events", 1),
            ("repeated alert of a connection", 2)
        ]
    );
}

#[test]
fn suricatas_other_protocols_and_losses() {
    let line =
        |second: u32, rest: &str| format!("{{\"timestamp\":\"2020-09-13T12:26:{second}.5+0000\",{rest}}}\n");
    let stats = |packets: u64, drops: u64| {
        format!(
            "\"event_type\":\"stats\",\"stats\":{{\"capture\":{{\"kernel_packets\":{packets},\"kernel_drops\":{drops}}}}}"
        )
    };
    let text = [
        line(
            10,
            "\"host\":\"ids1\",\"event_type\":\"flow\",\"flow_id\":1,\"src_ip\":\"2001:db8::1\",\"dest_ip\":\"2001:db8::2\",\
                  \"proto\":\"IPv6-ICMP\",\"icmp_type\":128,\"icmp_code\":0,\"flow\":{\"pkts_toserver\":1,\"bytes_toserver\":80}",
        ),
        line(
            11,
            "\"event_type\":\"flow\",\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.2\",\"proto\":\"047\",\"flow\":{}",
        ),
        line(
            12,
            "\"event_type\":\"flow\",\"src_ip\":\"\",\"dest_ip\":\"10.0.0.2\",\"proto\":\"UDP\",\"flow\":{}",
        ),
        line(13, "\"event_type\":\"alert\",\"alert\":{\"action\":\"allowed\"}"),
        line(20, &stats(1_000, 0)),
        line(30, &stats(2_000, 10)),
        line(40, &stats(3_000, 11)),
        line(50, &stats(10, 1)),
    ];
    let outcome = read("suricata", &text.concat());
    let rows: Vec<_> = (0..outcome.flows.len()).map(|row| outcome.flows.get(row)).collect();
    assert_eq!(
        (rows[0].protocol, rows[0].dst_port, rows[0].present),
        (58, 0x8000, FlowBatch::HAS_ICMP | FlowBatch::HAS_COUNTS)
    );
    assert_eq!((rows[1].protocol, rows[1].present, rows.len()), (47, 0, 2));
    assert_eq!(&*outcome.flows.exporters[0].0, "ids1");
    assert_eq!(outcome.summary.lost_intervals, 2);
    assert_eq!(rejects(&outcome.summary), ["input: line 3: the record has no address in `src_ip`"]);
}

#[test]
fn suricatas_flows_as_another_reader_has_them() {
    let Some(folder) = testkit::shared("data/flow/tenzir-library/suricata/tests") else { return };
    let outcome = read_file("auto", &folder.join("inputs/flow.json"));
    assert!(outcome.error.is_none() && outcome.summary.rejected == 0, "{:?}", outcome.summary.rejects);
    let expected = std::fs::read_to_string(folder.join("ocsf/flow.txt")).unwrap();
    let values = |name: &str| -> Vec<String> {
        let name = format!(" {name}: ");
        let lines = expected.lines().filter_map(|line| line.split_once(&name));
        lines.map(|(_, value)| value.trim_end_matches(',').to_owned()).collect()
    };
    let flows = &outcome.flows;
    let rows = || (0..flows.len()).map(|row| flows.get(row));
    let sorted = |mut texts: Vec<String>| {
        texts.sort_unstable();
        texts
    };
    assert!(flows.len() > 3);
    // The expectation is not in the order of the input.
    for (name, ours) in [
        ("packets_in", rows().map(|flow| flow.reverse_packets.to_string()).collect()),
        ("packets_out", rows().map(|flow| flow.packets.to_string()).collect()),
        ("bytes_in", rows().map(|flow| flow.reverse_bytes.to_string()).collect()),
        ("bytes_out", rows().map(|flow| flow.bytes.to_string()).collect()),
        ("protocol_num", rows().map(|flow| flow.protocol.to_string()).collect()),
    ] {
        assert_eq!(sorted(ours), sorted(values(name)), "{name}");
    }
    let at = |time| model::format_time(time).trim_end_matches('Z').to_owned();
    for (name, ours) in [
        ("start_time", rows().map(|flow| at(flow.start)).collect()),
        ("end_time", rows().map(|flow| at(flow.end)).collect::<Vec<_>>()),
    ] {
        let theirs = values(name).into_iter().map(|text| text[..23].to_owned()).collect();
        assert_eq!(sorted(ours), sorted(theirs), "{name}");
    }
}

/// What matters of Hubble's rows, one line each.
fn hubble_rows(flows: &FlowBatch) -> Vec<String> {
    let row = |row: usize| {
        let (flow, details) = (flows.get(row), flows.details.get(&(row as u32)).cloned().unwrap_or_default());
        let word = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {}>{} {} {} {}>{} {} {}",
            flow.protocol,
            flow.src,
            flow.dst,
            flow.verdict.name(),
            flow.client.name(),
            word(details.src_workload),
            word(details.dst_workload),
            word(details.rule),
            word(details.service_name),
        )
    };
    (0..flows.len()).map(row).collect()
}

#[test]
fn hubbles_published_events() {
    let Some(folder) = testkit::shared("data/flow/cilium-hubble") else { return };
    let outcome = read_file("auto", &folder.join("hubble-export-1.19.jsonl"));
    assert_eq!((outcome.summary.rejected, outcome.flows.source), (0, "hubble"));
    assert_eq!(
        hubble_rows(&outcome.flows),
        [
            "6 169.254.128.9>10.20.0.4 allow dst reserved:kube-apiserver>kube-system/csi-cbs-controller[Deployment] - -",
            "6 10.10.21.241>9.134.108.44 allow src reserved:host>- - -",
            "6 10.10.21.241>183.47.117.75 allow src reserved:host>- - -",
            "6 10.0.1.235>10.0.0.21 deny src net-lab/traffic-generator[Deployment]>net-lab/echo-server-65887564dc-jjw7k[Pod] \
             net-lab/deny-tg-to-echo -",
        ]
    );
    let flow = outcome.flows.get(0);
    assert_eq!((flow.tcp_flags, flow.direction.name(), flow.start), (0x18, "egress", 1_771_922_878_042_012));
    assert_eq!(flow.present, FlowBatch::HAS_PORTS | FlowBatch::HAS_TCP_FLAGS);
    let exporters: Vec<&str> = outcome.flows.exporters.iter().map(|exporter| &*exporter.0).collect();
    assert_eq!(exporters, ["10.10.21.166", "10.10.21.241", "topgun/cilium-w1"]);
}

#[test]
fn hubbles_verdicts_points_and_other_events() {
    let event = |rest: &str| {
        format!(
            "{{\"flow\":{{\"time\":\"2020-09-13T12:26:40Z\",\"IP\":{{\"source\":\"fd00::1\",\"destination\":\"fd00::2\",\
             \"ipVersion\":\"IPv6\"}},{rest}}},\"node_name\":\"n1\"}}\n"
        )
    };
    let udp = "\"l4\":{\"UDP\":{\"source_port\":5,\"destination_port\":53}}";
    let text = [
        event(&format!("\"verdict\":\"FORWARDED\",\"trace_observation_point\":\"FROM_ENDPOINT\",\"is_reply\":false,{udp}")),
        event(&format!("\"verdict\":\"REDIRECTED\",\"is_reply\":true,{udp}")),
        event(&format!("\"verdict\":\"AUDIT\",\"reply\":false,\"is_reply\":null,{udp}")),
        event(&format!("\"verdict\":\"ERROR\",{udp}")),
        event(&format!(
            "\"verdict\":\"FORWARDED\",\"Type\":\"L7\",\"l7\":{{\"type\":\"REQUEST\",\"dns\":{{\"query\":\"a.\"}}}},\
             \"egress_allowed_by\":[{{\"name\":\"all\"}},{{\"name\":\"dns\",\"namespace\":\"x\"}}],{udp}"
        )),
        event(&format!("\"verdict\":\"FORWARDED\",\"destination_service\":{{\"name\":\"dns\",\"namespace\":\"kube-system\"}},{udp}")),
        event("\"verdict\":\"DROPPED\",\"drop_reason_desc\":\"POLICY_DENIED\",\"l4\":{\"ICMPv6\":{\"type\":128}}"),
        event(&format!("\"verdict\":\"TRANSLATED\",\"Type\":\"SOCK\",{udp}")),
        event("\"verdict\":\"DROPPED\""),
        "{\"flow\":{\"verdict\":\"DROPPED\",\"drop_reason_desc\":\"UNSUPPORTED_L2_PROTOCOL\"},\"node_name\":\"n1\"}\n".to_owned(),
        "{\"node_status\":{\"state_change\":\"NODE_CONNECTED\"},\"node_name\":\"n1\"}\n".to_owned(),
        "{\"lost_events\":{\"source\":\"HUBBLE_RING_BUFFER\",\"num_events_lost\":\"5\"},\"node_name\":\"n1\",\
         \"time\":\"2020-09-13T12:26:40Z\"}\n".to_owned(),
    ];
    let outcome = read("hubble", &text.concat());
    assert_eq!(
        hubble_rows(&outcome.flows),
        [
            "17 fd00::1>fd00::2 unknown src ->- - -",
            "17 fd00::1>fd00::2 allow dst ->- - -",
            "17 fd00::1>fd00::2 allow unknown ->- - -",
            "17 fd00::1>fd00::2 unknown unknown ->- - -",
            "17 fd00::1>fd00::2 allow unknown ->- all, x/dns dns",
            "17 fd00::1>fd00::2 allow unknown ->- - kube-system/dns",
            "58 fd00::1>fd00::2 deny unknown ->- POLICY_DENIED -",
        ]
    );
    assert_eq!((outcome.flows.dst_port[6], outcome.flows.present[6]), (0x8000, FlowBatch::HAS_ICMP));
    assert_eq!((outcome.summary.lost_intervals, outcome.summary.rejected), (1, 0));
    let skipped: Vec<_> =
        outcome.summary.dropped.iter().map(|(why, dropped)| (*why, dropped.count)).collect();
    assert_eq!(
        skipped,
        [
            ("event of another kind", 1),
            ("event without a protocol", 1),
            ("event without addresses", 1),
            ("translation of a socket's address", 1),
        ]
    );
}
