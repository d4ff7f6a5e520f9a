//! The same captures against NetGauze's expected records, and against pmacct's scaled counts.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::netflow_table::{Case, below_data};
use crate::reading::{files_below, read_file};

/// Each capture, record by record.
pub(crate) fn cases() -> Vec<Case> {
    let Some(folder) = testkit::shared("data/flow/netgauze/assets/pcaps") else { return Vec::new() };
    let mut cases = Vec::new();
    for expected in files_below(&folder, "-flow.json") {
        let name = expected.file_name().unwrap().to_string_lossy().replace("-flow.json", ".pcap");
        let beside = expected.with_file_name(&name);
        let test = expected.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let other = folder.join("../../../pmacct/tests").join(&test).join(&name);
        let Some(capture) = [beside, other].into_iter().find(|path| path.exists()) else { continue };
        let flows = read_file("netflow", &capture).flows;
        let ours = |row| {
            let flow = flows.get(row);
            let rate = u64::from(flow.sampling);
            format!("{} {} {}/{}", flow.src, flow.dst, flow.packets / rate, flow.bytes / rate)
        };
        let messages = fs::read_to_string(&expected).unwrap();
        let theirs = messages.lines().flat_map(|line| records(&serde_json::from_str(line).unwrap()));
        cases.push(Case {
            name: below_data(&capture.canonicalize().unwrap()),
            expected_by: "NetGauze",
            ours: (0..flows.len()).map(ours).collect(),
            theirs: theirs.filter_map(|record| their_record(&record)).collect(),
        });
    }
    cases
}

fn records(message: &Value) -> Vec<Value> {
    let sets =
        message.as_object().unwrap().values().flat_map(|packet| packet["sets"].as_array().unwrap().clone());
    sets.flat_map(|set| set["Data"]["records"].as_array().cloned().unwrap_or_default()).collect()
}

/// `None` for options records and records without addresses.
fn their_record(record: &Value) -> Option<String> {
    if record["scope_fields"].as_array().is_some_and(|scopes| !scopes.is_empty()) {
        return None;
    }
    let fields: Vec<(&String, &Value)> =
        record["fields"].as_array()?.iter().filter_map(|field| field.as_object()?.iter().next()).collect();
    let address = |v4: &str, v6: &str| {
        let found: Vec<&str> = fields
            .iter()
            .filter(|(name, _)| *name == v4 || *name == v6)
            .filter_map(|(_, value)| value.as_str())
            .collect();
        found
            .iter()
            .find(|text| !matches!(**text, "::" | "0.0.0.0"))
            .or(found.first())
            .map(|text| (*text).to_owned())
    };
    let number =
        |name: &str| fields.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_u64());
    Some(format!(
        "{} {} {}/{}",
        address("sourceIPv4Address", "sourceIPv6Address")?,
        address("destinationIPv4Address", "destinationIPv6Address")?,
        number("packetDeltaCount").unwrap_or(0),
        number("octetDeltaCount").unwrap_or(0),
    ))
}

#[test]
fn sampled_counts_are_scaled_as_pmacct_does() {
    let Some(folder) = testkit::shared("data/flow/pmacct/tests/104-IPFIXv10-IPv6-CISCO-sampling_option")
    else {
        return;
    };
    let outcome = read_file("netflow", &folder.join("traffic-00.pcap"));
    let mut ours: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for row in 0..outcome.flows.len() {
        let flow = outcome.flows.get(row);
        assert_eq!(flow.sampling, 256);
        let sum = ours.entry((flow.src.to_string(), flow.dst.to_string())).or_default();
        sum.0 += flow.packets;
        sum.1 += flow.bytes;
    }
    let expected = fs::read_to_string(folder.join("output-flow-00.json")).unwrap();
    for line in expected.lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        let key = (flow["ip_src"].as_str().unwrap().to_owned(), flow["ip_dst"].as_str().unwrap().to_owned());
        let counts = (flow["packets"].as_u64().unwrap(), flow["bytes"].as_u64().unwrap());
        assert_eq!(ours.remove(&key), Some(counts), "{key:?}");
    }
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn an_exporter_that_changes_its_port_is_read_as_by_pmacct() {
    let Some(folder) = testkit::shared("data/flow/pmacct/tests/112-IPFIXv10-CISCO-options-map-reassignment")
    else {
        return;
    };
    let flows = read_file("netflow", &folder.join("traffic-00.pcap")).flows;
    let mut ours: Vec<(u64, u64, u64)> = (0..flows.len())
        .map(|row| (u64::from(flows.src_port[row]), flows.packets[row], flows.bytes[row]))
        .collect();
    let expected = fs::read_to_string(folder.join("output-flow-00.json")).unwrap();
    let mut theirs: Vec<(u64, u64, u64)> = expected
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|flow| ["port_src", "packets", "bytes"].map(|name| flow[name].as_u64().unwrap()).into())
        .collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn several_samplers_of_one_exporter() {
    let Some(capture) = testkit::shared("data/flow/akvorado/paired/multisampling.pcap") else { return };
    let outcome = read_file("netflow", &capture);
    // akvorado's own test of this capture expects the rates 4000 and 2000, by the sampler each record names.
    let rates: std::collections::BTreeSet<u32> = outcome.flows.sampling.iter().copied().collect();
    assert_eq!(rates.into_iter().collect::<Vec<_>>(), [2_000, 4_000]);
}

#[test]
fn telegrafs_cases() {
    let Some(folder) = testkit::shared("data/flow/telegraf/plugins/inputs/netflow/testcases") else { return };
    // Interfaces described, no traffic.
    let options = read_file("auto", &folder.join("netflow_v9_options/message.bin"));
    let expected = fs::read_to_string(folder.join("netflow_v9_options/expected.out")).unwrap();
    let described = expected.lines().filter(|line| line.starts_with("netflow_options")).count() as u64;
    assert_eq!((options.flows.len(), options.summary.options_records), (0, described));
    // Template and data in messages of their own, with enterprise fields of ntop (35632).
    let messages: Vec<u8> = (1..=4)
        .flat_map(|number| fs::read(folder.join(format!("ipfix_pen_35632/message-{number}.bin"))).unwrap())
        .collect();
    let flows = crate::reading::read_bytes("auto", messages).flows;
    assert_eq!(flows.src_port, [51_413, 51_413]);
    assert_eq!((flows.dst_port.clone(), flows.bytes.clone()), (vec![44_400, 47_707], vec![122, 86]));
    assert_eq!(flows.start, [1_684_767_922_502_000; 2]);
}
