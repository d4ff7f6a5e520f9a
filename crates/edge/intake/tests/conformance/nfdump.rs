//! Real exporters of some thirty vendors (the fixtures of logstash-codec-netflow) against nfdump 1.7.1.

use std::fs;
use std::path::{Path, PathBuf};

use model::{FlowBatch, format_time};
use serde_json::Value;

use crate::netflow_table::Case;
use crate::reading::{Outcome, files_below, read_bytes, read_file};

/// Contexts where the number of data records differs from nfdump's, and why ours is right.
const DIFFERENT_COUNTS: [(&str, u64, &str); 1] = [(
    "IPFIX",
    12,
    "the file is several messages one after the other; nfdump takes the second message's header for a set with the id 10 \
     and skips what follows",
)];

#[test]
fn data_records_are_as_many_as_nfdump_finds() {
    for (context, outcome, expected) in contexts() {
        let expected = match DIFFERENT_COUNTS.iter().find(|(name, ..)| *name == context) {
            Some((_, count, _)) => *count,
            None => expected.len() as u64,
        };
        assert_eq!(outcome.data_records(), expected, "{context}: {:?}", outcome.summary);
    }
}

#[test]
fn on_the_wire_data_records_are_as_many_as_nfdump_finds() {
    // nfdump took the same files as packets; so do the captures, and then there is no difference left.
    let Some(folder) = testkit::shared("data/flow/logstash-codec-netflow/contexts-pcap") else { return };
    let captures = files_below(&folder, ".pcap");
    for (context, _, expected) in contexts() {
        let wanted = words(&context);
        // Long names were cut: the longest name that the context's starts with.
        let name =
            |path: &&PathBuf| words(path.file_stem().unwrap().to_string_lossy().split_once('_').unwrap().1);
        let capture = captures
            .iter()
            .filter(|path| wanted.starts_with(&name(path)))
            .max_by_key(|path| name(path).len());
        let capture = capture.unwrap();
        let outcome = read_file("netflow", capture);
        assert_eq!(outcome.data_records(), expected.len() as u64, "{context}: {:?}", outcome.summary);
    }
}

/// A name without what stands between its words.
fn words(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Each context, flow by flow.
pub(crate) fn cases() -> Vec<Case> {
    let case = |(context, outcome, expected): (String, Outcome, Vec<Value>)| Case {
        name: format!("logstash-codec-netflow: {context}"),
        expected_by: "nfdump 1.7.1",
        ours: (0..outcome.flows.len()).map(|row| line(&outcome.flows, row)).collect(),
        theirs: expected.iter().map(|flow| their_line(flow, &context)).collect(),
    };
    contexts().into_iter().map(case).collect()
}

/// Each context with what we read and what nfdump read.
fn contexts() -> Vec<(String, Outcome, Vec<Value>)> {
    let Some(folder) = testkit::shared("data/flow/logstash-codec-netflow") else { return Vec::new() };
    let json = |name: &str| -> Vec<Value> {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let (contexts, nfdump) = (json("expected.json"), json("expected-nfdump-1.7.1.json"));
    nfdump
        .into_iter()
        .map(|expected| {
            let name = expected["context"].as_str().unwrap().to_owned();
            let context = contexts.iter().find(|context| context["context"] == name.as_str()).unwrap();
            let outcome = read_context(&folder.join("spec/codecs"), &context["files"]);
            let flows = expected["flows"].as_array().cloned().unwrap_or_default();
            (name, outcome, flows.into_iter().filter(|flow| flow.get("_bad").is_none()).collect())
        })
        .collect()
}

fn read_context(codecs: &Path, files: &Value) -> Outcome {
    let bytes: Vec<u8> = files
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|file| fs::read(codecs.join(file.as_str().unwrap())).unwrap())
        .collect();
    read_bytes("netflow", bytes)
}

fn line(flows: &FlowBatch, row: usize) -> String {
    let flow = flows.get(row);
    let time = |at| format_time(at).trim_end_matches('Z').to_owned();
    // nfdump keeps type and code of ICMP apart from the port.
    let port = if flow.present & FlowBatch::HAS_PORTS == 0 { 0 } else { flow.dst_port };
    format!(
        "{}:{} {}:{port} proto {} packets {} bytes {} flags {} {} {}",
        flow.src,
        flow.src_port,
        flow.dst,
        flow.protocol,
        flow.packets,
        flow.bytes,
        if flow.present & FlowBatch::HAS_TCP_FLAGS == 0 { 0 } else { flow.tcp_flags },
        time(flow.start),
        time(flow.end),
    )
}

fn their_line(flow: &Value, context: &str) -> String {
    let number = |name: &str| flow[name].as_u64().unwrap_or(0);
    let text =
        |names: [&str; 2]| names.iter().find_map(|name| flow[*name].as_str()).unwrap_or("::").to_owned();
    let protocol = number("proto");
    let ports = matches!(protocol, 6 | 17 | 132);
    let port = |name: &str| if ports { number(name) } else { 0 };
    let flags = flow["tcp_flags"].as_str().unwrap_or("");
    let flags: u64 = flags.bytes().rev().enumerate().map(|(bit, set)| u64::from(set != b'.') << bit).sum();
    let (first, mut last) = (flow["first"].as_str().unwrap(), flow["last"].as_str().unwrap());
    // ASA has no end of its own; the moment of the event stands in for it.
    if context.contains("ASA") && last.starts_with("1970") {
        last = flow["t_event"].as_str().unwrap();
    }
    format!(
        "{}:{} {}:{} proto {protocol} packets {} bytes {} flags {} {first} {last}",
        text(["src4_addr", "src6_addr"]),
        port("src_port"),
        text(["dst4_addr", "dst6_addr"]),
        port("dst_port"),
        number("in_packets"),
        number("in_bytes"),
        if protocol == 6 { flags } else { 0 },
    )
}
