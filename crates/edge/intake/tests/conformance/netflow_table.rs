//! Every capture of exporters at hand, case by case: what we read is what an independent decoder reads, or the difference
//! stands in the table of deviations with its reason.

use std::collections::{BTreeMap, BTreeSet};

use model::FlowBatch;

use crate::reading::{files_below, read_file};
use crate::{netgauze, nfdump, tshark};

/// One capture (or several files of one exporter) and what two decoders make of it, a line for each flow.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) expected_by: &'static str,
    pub(crate) ours: Vec<String>,
    pub(crate) theirs: Vec<String>,
}

/// A case where we differ: how many flows of ours they lack, how many of theirs we lack, and why ours is right.
struct Deviation {
    name: &'static str,
    expected_by: &'static str,
    ours_only: usize,
    theirs_only: usize,
    because: &'static str,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "logstash-codec-netflow: Netflow 9 Cisco WLC",
        expected_by: "nfdump 1.7.1",
        ours_only: 0,
        theirs_only: 19,
        because: "the records name a station and an access point, but no two addresses: they are counted, not handed out",
    },
    Deviation {
        name: "logstash-codec-netflow: IPFIX",
        expected_by: "nfdump 1.7.1",
        ours_only: 12,
        theirs_only: 6,
        because: "the file is several messages one after the other; nfdump takes the second message's header for a set with \
                  the id 10 and skips what follows. In the first it swaps start and end: by logstash the flows begin with \
                  the exporter, 0 ms of uptime, and end 12,726 ms later",
    },
    Deviation {
        name: "akvorado/paired/datalink.pcap",
        expected_by: "tshark 4.0.17",
        ours_only: 1,
        theirs_only: 0,
        because: "the record holds the beginning of a packet (RFC 7133), which tshark leaves as it is; akvorado's own test \
                  expects the flow that we read from it",
    },
    Deviation {
        name: "pmacct/tests/112-IPFIXv10-CISCO-options-map-reassignment/traffic-00.pcap",
        expected_by: "tshark 4.0.17",
        ours_only: 9,
        theirs_only: 0,
        because: "the exporter changes its port after the templates, and some sets come before theirs, which tshark does not \
                  read; pmacct reads the nine flows that we read",
    },
];

#[test]
fn every_case_is_read_as_by_others_or_argued() {
    let cases: Vec<Case> = [nfdump::cases(), tshark::cases(), netgauze::cases(), softflowd_cases()]
        .into_iter()
        .flatten()
        .collect();
    let (mut met, mut compared, mut wrong) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for case in &cases {
        let (ours_only, theirs_only) = differences(case);
        let known = DEVIATIONS.iter().find(|d| (d.name, d.expected_by) == (&*case.name, case.expected_by));
        let (allowed_ours, allowed_theirs) = known.map_or((0, 0), |d| (d.ours_only, d.theirs_only));
        if (ours_only.len(), theirs_only.len()) != (allowed_ours, allowed_theirs) {
            wrong.push(format!(
                "{} ({}): only ours {:?}, only theirs {:?}",
                case.name,
                case.expected_by,
                &ours_only[..ours_only.len().min(3)],
                &theirs_only[..theirs_only.len().min(3)],
            ));
        }
        if let Some(deviation) = known {
            println!("{} deviates from {}: {}", case.name, case.expected_by, deviation.because);
            met.insert((deviation.name, deviation.expected_by));
        }
        *compared.entry(case.expected_by).or_insert(0) += case.ours.len();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if !cases.is_empty() {
        assert_eq!(met.len(), DEVIATIONS.len(), "a deviation that nobody met is to be taken out");
    }
    println!("{} cases, flows compared: {compared:?}", cases.len());
}

/// What only we read, and what only they read.
fn differences(case: &Case) -> (Vec<&str>, Vec<&str>) {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &case.ours {
        *balance.entry(line).or_default() += 1;
    }
    for line in &case.theirs {
        *balance.entry(line).or_default() -= 1;
    }
    let times = |sign: i64| {
        let lines = balance.iter().filter(move |(_, count)| **count * sign > 0);
        lines.flat_map(|(line, count)| std::iter::repeat_n(*line, count.unsigned_abs() as usize)).collect()
    };
    (times(1), times(-1))
}

/// One trace as version 5, version 9 and IPFIX of two halves, against what tshark reads of it in two-sided IPFIX: the halves
/// are the sides. Version 5 has no IPv6 and no other addresses than those, and 32 bits for a counter.
fn softflowd_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (expected, capture) in tshark::pairs() {
        if !capture.ends_with("ipfix_biflow.pcap") {
            continue;
        }
        let records = std::fs::read_to_string(&expected).unwrap();
        let halves: Vec<String> = records.lines().flat_map(halves_of_record).collect();
        for export in ["v5.pcap", "v9.pcap", "ipfix.pcap"] {
            let half = capture.with_file_name(export);
            if !half.exists() {
                continue;
            }
            let flows = read_file("netflow", &half).flows;
            let four_only = |line: &&String| export != "v5.pcap" || !line.contains("::");
            cases.push(Case {
                name: below_data(&half),
                expected_by: "tshark 4.0.17 of the two-sided export",
                ours: (0..flows.len()).map(|row| half_of(&flows, row)).collect(),
                theirs: halves.iter().filter(four_only).cloned().collect(),
            });
        }
    }
    cases
}

fn half_of(flows: &FlowBatch, row: usize) -> String {
    let record = tshark::our_record(flows, row);
    record.split(" back ").next().unwrap().to_owned()
}

/// The sides of a two-sided record that carried anything.
fn halves_of_record(line: &str) -> Vec<String> {
    let Some(record) = tshark::their_record(line, &serde_json::from_str(line).unwrap()) else {
        return Vec::new();
    };
    let words: Vec<&str> = record.split(' ').collect();
    let [from, to, "proto", protocol, there, "back", back, ..] = words[..] else {
        // No record of ours: it will show.
        return vec![record];
    };
    let sides = [(from, to, there), (to, from, back)];
    let carried = sides.into_iter().filter(|(.., counts)| *counts != "0/0");
    carried.map(|(from, to, counts)| format!("{from} {to} proto {protocol} {counts}")).collect()
}

/// Captures that no case is about, and why.
const WITHOUT_A_CASE: [(&str, &str); 3] = [
    (
        "akvorado/outlet/flow/decoder/netflow/testdata/",
        "single datagrams; `akvorado/paired` has them together with theirs",
    ),
    ("akvorado/outlet/flow/decoder/sflow/", "sFlow"),
    ("akvorado/outlet/flow/decoder/testdata/", "frames of tunnels, not of exporters"),
];

#[test]
fn every_capture_of_exporters_belongs_to_a_case() {
    let Some(data) = testkit::shared("data/flow") else { return };
    let all = [tshark::cases(), netgauze::cases(), softflowd_cases()];
    let cases: BTreeSet<String> = all.into_iter().flatten().map(|case| case.name).collect();
    for folder in ["akvorado", "pmacct", "netgauze", "softflowd-over-zeek-traces"] {
        for capture in files_below(&data.join(folder), ".pcap") {
            let name = below_data(&capture);
            let excused = WITHOUT_A_CASE.iter().any(|(start, _)| name.starts_with(start))
                || capture.ends_with("trace.pcap");
            assert!(excused || cases.contains(&name), "`{name}` is compared with nothing");
        }
    }
}

/// A path as it stands below the folder of captures.
pub(crate) fn below_data(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    text.split_once("data/flow/").map_or_else(|| text.clone().into_owned(), |(_, below)| below.to_owned())
}
