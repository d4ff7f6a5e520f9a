//! Captures of Cisco, Huawei, Juniper, ipfixprobe and softflowd exporters against tshark 4.0.17.

use std::fs;
use std::path::{Path, PathBuf};

use model::{FlowBatch, Micros};
use serde_json::Value;

use crate::netflow_table::{Case, below_data};
use crate::reading::{files_below, read_file};

/// Each capture, record by record.
pub(crate) fn cases() -> Vec<Case> {
    pairs().into_iter().map(|(expected, capture)| case(&expected, &capture)).collect()
}

fn case(expected: &Path, capture: &Path) -> Case {
    let outcome = read_file("auto", capture);
    assert!(outcome.error.is_none(), "{}: {:?}", capture.display(), outcome.error);
    let records = fs::read_to_string(expected).unwrap();
    Case {
        name: below_data(capture),
        expected_by: "tshark 4.0.17",
        ours: (0..outcome.flows.len()).map(|row| our_record(&outcome.flows, row)).collect(),
        theirs: records
            .lines()
            .filter_map(|line| their_record(line, &serde_json::from_str(line).unwrap()))
            .collect(),
    }
}

/// tshark's records and the capture they are from.
pub(crate) fn pairs() -> Vec<(PathBuf, PathBuf)> {
    let mut pairs = Vec::new();
    if let Some(folder) = testkit::shared("data/flow/pmacct") {
        for expected in files_below(&folder.join("expected-tshark-4.0.17"), ".jsonl") {
            let name = stem(&expected);
            let (test, capture) = name.split_once("__").unwrap();
            pairs.push((expected, folder.join("tests").join(test).join(format!("{capture}.pcap"))));
        }
    }
    if let Some(folder) = testkit::shared("data/flow/akvorado") {
        for expected in files_below(&folder.join("expected-tshark-4.0.17"), ".jsonl") {
            let capture = stem(&expected).replace("akpairs__", "") + ".pcap";
            pairs.push((expected, folder.join("paired").join(capture)));
        }
    }
    if let Some(folder) = testkit::shared("data/flow/softflowd-over-zeek-traces") {
        for expected in files_below(&folder, "ipfix_biflow.tshark.jsonl") {
            let capture = expected.with_file_name("ipfix_biflow.pcap");
            pairs.push((expected, capture));
        }
    }
    pairs
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

pub(crate) fn our_record(flows: &FlowBatch, row: usize) -> String {
    let flow = flows.get(row);
    // Exporters' own counts: ours are scaled.
    let counts = [flow.packets, flow.bytes, flow.reverse_packets, flow.reverse_bytes];
    let [packets, bytes, back_packets, back_bytes] = counts.map(|count| count / u64::from(flow.sampling));
    let ports = flow.present & FlowBatch::HAS_PORTS != 0;
    format!(
        "{}:{} {}:{} proto {} {packets}/{bytes} back {back_packets}/{back_bytes} took {}",
        flow.src,
        flow.src_port,
        flow.dst,
        if ports { flow.dst_port } else { 0 },
        flow.protocol,
        (flow.end - flow.start) / 1_000,
    )
}

/// tshark's record in the same words; `None` for options and for records without addresses.
pub(crate) fn their_record(line: &str, record: &Value) -> Option<String> {
    let fields = &record["fields"];
    let all = |name: &str| {
        let again = format!("{name}#2");
        [fields[name].as_str().map(str::to_owned), fields[again.as_str()].as_str().map(str::to_owned)]
    };
    let nonzero = |values: Vec<Option<String>>| {
        let present: Vec<String> = values.into_iter().flatten().collect();
        present
            .iter()
            .find(|value| !matches!(value.as_str(), "0" | "::" | "0.0.0.0"))
            .or(present.first())
            .cloned()
    };
    // Both families in one record: the first of them that is not zero, as it stands in the record.
    let address = |v4: &str, v6: &str| {
        let place = |name: &str| line.find(&format!("\"{name}\"")).unwrap_or(usize::MAX);
        let (four, six) = (fields[v4].as_str().map(str::to_owned), fields[v6].as_str().map(str::to_owned));
        nonzero(if place(v4) < place(v6) { vec![four, six] } else { vec![six, four] })
    };
    let source = address("cflow.srcaddr", "cflow.srcaddrv6")?;
    let destination = address("cflow.dstaddr", "cflow.dstaddrv6")?;
    let number = |name: &str| nonzero(all(name).to_vec()).map_or(0, |text| text.parse::<u64>().unwrap());
    let protocol = number("cflow.protocol");
    let port = |name: &str| if matches!(protocol, 6 | 17 | 132) { number(name) } else { 0 };
    // A repeated counter of softflowd is the other direction's.
    let two_sided = fields.get("cflow.octets#2").is_some();
    let single = |name: &str| fields[name].as_str().map_or(0, |text| text.parse::<u64>().unwrap());
    let back = |name: &str| if two_sided { single(&format!("{name}#2")) } else { 0 };
    Some(format!(
        "{source}:{} {destination}:{} proto {protocol} {}/{} back {}/{} took {}",
        port("cflow.srcport"),
        port("cflow.dstport"),
        if two_sided { single("cflow.packets") } else { number("cflow.packets") },
        if two_sided { single("cflow.octets") } else { number("cflow.octets") },
        back("cflow.packets"),
        back("cflow.octets"),
        millis(fields["cflow.timedelta"].as_str().unwrap_or("0")),
    ))
}

/// Milliseconds of `1.551000000`.
fn millis(seconds: &str) -> i64 {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let fraction = format!("{fraction:0<3}");
    whole.parse::<i64>().unwrap() * 1_000 + fraction[..3].parse::<i64>().unwrap()
}

#[test]
fn absolute_times_are_those_of_tshark() {
    for (expected, capture) in pairs() {
        let outcome = read_file("auto", &capture);
        let mut theirs: Vec<Micros> = fs::read_to_string(&expected)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter_map(|record| absolute(record["fields"]["cflow.abstimestart"].as_str()?))
            .collect();
        if theirs.len() != outcome.flows.len() {
            // Uptimes: the nfdump comparison has those.
            continue;
        }
        let mut ours: Vec<Micros> = outcome.flows.start.iter().map(|at| at / 1_000 * 1_000).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{}", capture.display());
    }
}

/// `Oct  7, 2005 23:23:55.633000000 UTC`, to the millisecond.
fn absolute(text: &str) -> Option<Micros> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let month = MONTHS.iter().position(|month| *month == words[0])? + 1;
    let day: u32 = words[1].trim_end_matches(',').parse().ok()?;
    let rfc_3339 = format!("{}-{month:02}-{day:02}T{}Z", words[2], &words[3][..12]);
    model::parse_time(&rfc_3339, 0).ok()
}
