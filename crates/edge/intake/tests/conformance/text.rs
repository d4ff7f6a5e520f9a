//! Zeek's conn.log as published.

use std::fs;
use std::path::Path;

use model::{Client, FlowBatch, Verdict};

use crate::reading::{Outcome, files_below, read_bytes};

/// Zeek's published logs have their times masked.
const MASK: &str = "XXXXXXXXXX.XXXXXX";

fn zeek(text: &str) -> Outcome {
    read_bytes("zeek", text.as_bytes().to_vec())
}

fn is_log(path: &Path) -> bool {
    path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("conn"))
}

#[test]
fn every_published_conn_log_is_read_or_says_why_not() {
    let Some(folder) = testkit::shared("data/flow/zeek/Baseline") else { return };
    let (mut logs, mut rows) = (0, 0);
    for path in files_below(&folder, "").into_iter().filter(|path| is_log(path)) {
        let text = fs::read_to_string(&path).unwrap();
        let records: Vec<&str> =
            text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let outcome = zeek(&text.replace(MASK, "1600000000.000000"));
        let fields = text.lines().find(|line| line.starts_with("#fields")).unwrap_or_default();
        let has = |wanted: [&str; 3]| fields.split('\t').any(|name| wanted.contains(&name));
        let addressed = has(["id.orig_h", "src", "src_ip"]) && has(["ts", "ts", "ts"]);
        if !addressed {
            // Cut to a few columns, or another log.
            let error = outcome.error.unwrap().to_string();
            assert!(error.contains("expected"), "{}: {error}", path.display());
            continue;
        }
        assert!(outcome.error.is_none(), "{}: {:?}", path.display(), outcome.error);
        assert_eq!(outcome.flows.len(), records.len(), "{}: {:?}", path.display(), outcome.summary.rejects);
        check_counts(&outcome.flows, &text, &records);
        // Masked times are no reason to lose a connection.
        assert_eq!(zeek(&text).summary.flows, records.len() as u64);
        (logs, rows) = (logs + 1, rows + records.len());
    }
    println!("{logs} logs, {rows} connections");
}

/// Each row against the columns of its line.
fn check_counts(flows: &FlowBatch, text: &str, records: &[&str]) {
    let names: Vec<&str> =
        text.lines().find(|line| line.starts_with("#fields")).unwrap().split('\t').skip(1).collect();
    for (row, record) in records.iter().enumerate() {
        let values: Vec<&str> = record.split('\t').collect();
        let get = |name: &str| names.iter().position(|known| *known == name).map_or("-", |at| values[at]);
        let flow = flows.get(row);
        assert_eq!(flow.packets, get("orig_pkts").parse().unwrap_or(0), "{record}");
        let bytes = get("orig_ip_bytes").parse().or(get("orig_bytes").parse());
        assert_eq!(flow.bytes, bytes.unwrap_or(0), "{record}");
        let refused = matches!(get("conn_state"), "S0" | "REJ" | "RSTOS0" | "SH");
        let back: u64 = if refused { 0 } else { get("resp_pkts").parse().unwrap_or(0) };
        assert_eq!(flow.reverse_packets, back, "{record}");
        assert_eq!(flow.protocol.to_string(), get("ip_proto"), "{record}");
        let duration: f64 = get("duration").parse().unwrap_or(0.0);
        assert_eq!(flow.end - flow.start, (duration * 1e6).round() as i64, "{record}");
        assert_eq!((flow.client, flow.verdict), (Client::Src, Verdict::Unknown));
        let guessed = get("history").contains('^') || get("conn_state") == "OTH";
        assert_eq!(
            flow.client_confidence < 0.9,
            guessed || midstream(get("proto"), get("history")),
            "{record}"
        );
        if flow.present & FlowBatch::HAS_PORTS != 0 {
            let port = names.iter().position(|n| matches!(*n, "id.resp_p" | "dst_port")).map(|at| values[at]);
            assert_eq!(port, Some(flow.dst_port.to_string().as_str()));
        }
    }
}

fn midstream(protocol: &str, history: &str) -> bool {
    protocol == "tcp" && !history.contains('S')
}

#[test]
fn zeek_as_json_over_lines_and_in_one() {
    let pretty = "{\n  \"ts\": \"2024-10-16T04:07:01.489000Z\",\n  \"id\": {\"orig_h\": \"10.0.0.1\", \"orig_p\": 8,\n    \
                  \"resp_h\": \"10.0.0.2\", \"resp_p\": 0},\n  \"proto\": \"icmp\", \"note\": \"a } in a string\"\n}\n";
    let plain = "{\"ts\":1600000000.25,\"id_orig_h\":\"2001:db8::1\",\"id_orig_p\":5,\"id_resp_h\":\"2001:db8::2\",\
                 \"id_resp_p\":53,\"proto\":\"udp\",\"service\":\"dns\",\"duration\":0.5,\"history\":\"^Dd\"}\n";
    let outcome = zeek(&format!("{pretty}{plain}{{\"ts\": 1}}\n{{\"unfinished\": [\n"));
    let flows = outcome.flows;
    assert_eq!(flows.protocol, [1, 17]);
    assert_eq!((flows.dst_port[0], flows.present[0] & FlowBatch::HAS_ICMP != 0), (0x0800, true));
    assert_eq!(flows.start, [1_729_051_621_489_000, 1_600_000_000_250_000]);
    assert_eq!(flows.end[1] - flows.start[1], 500_000);
    assert_eq!(flows.details[&1].service_name.as_deref(), Some("dns"));
    assert!(flows.client_confidence[1] < 0.8);
    let rejects: Vec<String> = outcome.summary.rejects.iter().map(ToString::to_string).collect();
    let expected =
        ["input: line 8: the record has no `id.orig_h`", "input: line 9: the JSON object does not end"];
    assert_eq!(rejects, expected);
}

#[test]
fn zeek_with_other_separators_and_bad_rows() {
    let text = "#separator \\x2c\n#unset_field,NA\n#path,conn\n#fields,ts,id~orig_h,id~orig_p,id~resp_h,id~resp_p,proto,duration\n\
                1600000000.5,10.0.0.1,1,10.0.0.2,2,tcp,NA\n\
                1600000000.5,10.0.0.1,1,10.0.0.2,2,tcp\n\
                1600000000.5,10.0.0.1,1,10.0.0.999,2,tcp,1\n";
    let outcome = zeek(text);
    assert_eq!(outcome.flows.len(), 1);
    let rejects: Vec<String> = outcome.summary.rejects.iter().map(ToString::to_string).collect();
    let expected = [
        "input: line 6: the record has 6 values; expected 7 as named by `#fields`",
        "input: line 7: `10.0.0.999` is not an IPv4 or IPv6 address",
    ];
    assert_eq!(rejects, expected);
    let other = zeek("#separator \\x09\n#path\thttp\n").error.unwrap().to_string();
    assert_eq!(other, "`input`, line 2: this is Zeek's log `http`; expected `conn`");
}
