//! Azure's and Google Cloud's flow logs and AWS Network Firewall's, as their makers document them, and our own small cases.

use std::io::Cursor;

use intake::{Input, Resume};
use model::{Client, Direction, FlowBatch, Verdict};
use serde_json::{Value, json};

use crate::reading::{Outcome, read_bytes, read_file};

fn auto(value: &Value) -> Outcome {
    read_bytes("auto", value.to_string().into_bytes())
}

/// A virtual network's record with tuples under one rule.
fn network(tuples: &[&str]) -> Value {
    json!({"time": "2024-02-26T20:10:15Z", "flowLogVersion": 4, "macAddress": "00224871C205", "category": "FlowLogFlowEvent",
           "targetResourceID": "/subscriptions/0/virtualNetworks/vnet",
           "flowRecords": {"flows": [{"aclID": "0", "flowGroups": [{"rule": "UserRule_web", "flowTuples": tuples}]}]}})
}

/// A security group's record with tuples under one rule.
fn group(tuples: &[&str]) -> Value {
    json!({"time": "2024-02-26T20:10:15Z", "category": "NetworkSecurityGroupFlowEvent", "resourceId": "/A/B/web-nsg",
           "properties": {"Version": 2, "flows": [{"rule": "UserRule_web", "flows": [{"mac": "000D3A", "flowTuples": tuples}]}]}})
}

fn sums(flows: &FlowBatch) -> (u64, u64) {
    let sum = |there: &[u64], back: &[u64]| there.iter().sum::<u64>() + back.iter().sum::<u64>();
    (sum(&flows.packets, &flows.reverse_packets), sum(&flows.bytes, &flows.reverse_bytes))
}

#[test]
fn azures_worked_examples_add_up() {
    // What Microsoft's documentation works out for both: 9,125 packets and 5,256,000 bytes.
    let Some(path) = testkit::shared("data/flow/azure-docs/bandwidth-example-tuples.txt") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let (groups, networks): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.contains(",T,"));
    for (record, tuples) in [(group(&groups), groups), (network(&networks), networks)] {
        let outcome = auto(&json!({"records": [record]}));
        assert_eq!((outcome.flows.len(), tuples.len()), (3, 3));
        assert_eq!(sums(&outcome.flows), (9_125, 5_256_000));
        assert_eq!(
            outcome.flows.present[0] & FlowBatch::HAS_COUNTS,
            0,
            "nothing is counted at the beginning"
        );
        assert_eq!(outcome.flows.client, [Client::Src; 3]);
        assert_eq!(
            (outcome.flows.verdict[0], outcome.flows.direction[0]),
            (Verdict::Allow, Direction::Ingress)
        );
    }
}

#[test]
fn azures_documented_files() {
    let Some(folder) = testkit::shared("data/flow") else { return };
    let groups = read_file("auto", &folder.join("azure-docs/nsg-flow-log-v2.json"));
    let flows = &groups.flows;
    assert_eq!((flows.len(), groups.summary.rejected, flows.source), (11, 0, "azure"));
    let denied = flows.verdict.iter().filter(|verdict| **verdict == Verdict::Deny).count();
    assert_eq!((denied, flows.protocol[0], flows.protocol[1]), (7, 17, 6));
    assert_eq!(flows.details[&0].rule.as_deref(), Some("DefaultRule_DenyAllInBound"));
    assert_eq!(&*flows.exporters[0].0, "FABRIAKMVM1-NSG/000D3AF87856");
    assert_eq!(sums(flows), (1 + 1 + 30 + 24 + 15 + 12, 66 + 66 + 16_978 + 14_008 + 8_489 + 7_054));
    assert_eq!(flows.start[0], 1_542_110_402_000_000);
    let networks = read_file("auto", &folder.join("azure-docs/vnet-flow-log-v4.json"));
    let flows = &networks.flows;
    assert_eq!((flows.len(), networks.summary.rejected), (19, 0));
    assert_eq!((flows.start[0], flows.end[0]), (1_663_146_003_599_000, 1_663_146_003_599_000));
    let (packets, bytes) = (3 + 3 + 3 + 2 + 22, 767 + 705 + 705 + 134 + 2_217);
    assert_eq!((flows.packets.iter().sum::<u64>(), flows.bytes.iter().sum::<u64>()), (packets, bytes));
    assert_eq!(flows.verdict.iter().filter(|verdict| **verdict == Verdict::Deny).count(), 9);
    assert_eq!(&*flows.exporters[0].0, "myVNet/00224871C205");
    let line = read_file("auto", &folder.join("elastic-integrations/azure_nsg/test-nsg.log"));
    assert_eq!((line.flows.len(), sums(&line.flows)), (1, (2, 132)));
}

#[test]
fn azure_tuples_that_are_bad_lose_none_of_the_others() {
    let outcome = auto(&network(&[
        "1663146003599,10.0.0.6,2001:db8::1,23956,443,6,O,C,X,1,2,3,4",
        "1663146003599,10.0.0.6,52.239.184.180,23956,443,6,O,C,X,1,2,3",
        "1663146003599,10.0.0.6,52.239.184.999,23956,443,6,O,C,X,1,2,3,4",
        "1663146003599,10.0.0.6,52.239.184.180,23956,443,6,X,C,X,1,2,3,4",
        "1663146003599,10.0.0.6,52.239.184.180,0,0,1,O,E,NX,1,84,1,84",
    ]));
    assert_eq!((outcome.flows.len(), outcome.summary.rejected), (2, 3));
    let reasons: Vec<&str> = outcome.summary.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    let expected = [
        "the tuple has 12 values; expected 13",
        "`52.239.184.999` is not an IPv4 or IPv6 address",
        "`X` is not a direction; expected `I` or `O`",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(outcome.flows.present[1], FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE, "no ports, no type");
    let first = auto(&group(&["1600000000,10.0.0.1,10.0.0.2,49152,443,U,O,D"]));
    assert_eq!(
        (first.flows.verdict[0], first.flows.protocol[0], first.flows.present[0]),
        (Verdict::Deny, 17, 1)
    );
    let empty = auto(&json!({"records": [network(&[])]}));
    assert_eq!((empty.flows.len(), empty.summary.dropped["record without tuples"].count), (0, 1));
}

#[test]
fn azures_hour_file_gives_each_tuple_once_while_it_grows() {
    let tuple = |minute: u64| {
        format!("{},10.0.0.1,10.0.0.2,49152,443,6,O,C,NX,1,60,1,60", 1_663_146_000_000 + minute * 60_000)
    };
    let records: Vec<Value> =
        (0..5).map(|minute| network(&[&tuple(2 * minute), &tuple(2 * minute + 1)])).collect();
    let mut resume: Option<Resume> = None;
    let mut all = FlowBatch::new("azure");
    for minutes in [1, 1, 2, 4, 5, 5] {
        // The closing brackets are written anew with every block.
        let bytes = json!({"records": records[..minutes]}).to_string().into_bytes();
        let rest = bytes[resume.as_ref().map_or(0, |resume| resume.offset as usize)..].to_vec();
        let mut input = Input::new("PT1H.json", Cursor::new(rest)).growing();
        if let Some(resume) = resume.take() {
            input = input.resume(resume);
        }
        let mut reader = intake::open("azure", input).unwrap();
        while reader.read(&mut all).unwrap() {}
        assert_eq!(reader.summary().rejected, 0, "{:?}", reader.summary().rejects);
        resume = reader.resume();
    }
    let minutes: Vec<i64> =
        all.start.iter().map(|start| (start - 1_663_146_000_000_000) / 60_000_000).collect();
    assert_eq!(minutes, (0..10).collect::<Vec<_>>());
}

#[test]
fn gcps_pairs_come_from_two_observers() {
    let Some(folder) = testkit::shared("data/flow") else { return };
    let path = folder.join("elastic-integrations/gcp_vpcflow/vpcflow-7.jsonl");
    let outcome = read_file("auto", &path);
    let flows = &outcome.flows;
    assert_eq!((flows.len(), outcome.summary.rejected, flows.source), (7, 0, "gcp"));
    let text = std::fs::read_to_string(path).unwrap();
    for (row, line) in text.lines().enumerate() {
        let value: Value = serde_json::from_str(line).unwrap();
        let payload = &value["jsonPayload"];
        let number = |name: &str| payload[name].as_str().unwrap().parse::<u64>().unwrap();
        let flow = flows.get(row);
        assert_eq!((flow.packets, flow.bytes), (number("packets_sent"), number("bytes_sent")));
        assert_eq!(flow.src.to_string(), payload["connection"]["src_ip"].as_str().unwrap());
        assert_eq!(u64::from(flow.dst_port), payload["connection"]["dest_port"].as_u64().unwrap());
        let start = model::parse_time(payload["start_time"].as_str().unwrap(), 0).unwrap();
        assert_eq!(flow.start, start);
        let source = payload["reporter"] == "SRC";
        assert_eq!(flow.direction, if source { Direction::Egress } else { Direction::Ingress });
        let near = &payload[if source { "src_instance" } else { "dest_instance" }];
        let name = format!("{}/{}", near["project_id"].as_str().unwrap(), near["vm_name"].as_str().unwrap());
        assert_eq!(*flows.exporters[flow.exporter as usize].0, *name);
        assert_eq!((flow.verdict, flow.client), (Verdict::Unknown, Client::Unknown));
    }
}

/// A flow log's entry between two pods.
fn pods(reporter: &str) -> Value {
    let pod = |name: &str| {
        json!({"cluster": {"cluster_name": "c"}, "pod": {"pod_name": format!("{name}-1"), "pod_namespace": "shop",
               "pod_workload": {"workload_name": name, "workload_type": "DEPLOYMENT"}}})
    };
    let node = |name: &str| json!({"project_id": "p", "vm_name": name});
    let mut api = pod("api");
    api["service"] = json!([{"service_name": "api-svc", "service_namespace": "shop"}]);
    json!({"jsonPayload": {
        "connection": {"src_ip": "10.4.0.1", "src_port": 40_000, "dest_ip": "10.4.1.1", "dest_port": 8_080, "protocol": 6},
        "reporter": reporter, "bytes_sent": "100", "packets_sent": "2", "start_time": "2026-11-19T08:00:00.123456789Z",
        "end_time": "2026-11-19T08:00:05Z", "src_instance": node("node-1"), "dest_instance": node("node-2"),
        "src_gke_details": pod("web"), "dest_gke_details": api}})
}

#[test]
fn gcp_workloads_services_and_reporters() {
    let outcome = auto(&json!([pods("SRC"), pods("DEST"), {"jsonPayload": {"message": "hello"}}]));
    let flows = &outcome.flows;
    assert_eq!(flows.len(), 2);
    let exporters: Vec<&str> = flows.exporters.iter().map(|exporter| &*exporter.0).collect();
    assert_eq!((exporters, flows.exporter.clone()), (vec!["p/node-1", "p/node-2"], vec![0, 1]));
    for details in flows.details.values() {
        assert_eq!(details.src_workload.as_deref(), Some("shop/web"));
        assert_eq!(details.dst_workload.as_deref(), Some("shop/api"));
        assert_eq!(details.service_name.as_deref(), Some("shop/api-svc"));
    }
    assert_eq!(outcome.summary.dropped["log entry of another kind"].count, 1);
    // Without metadata the two ends are still told apart.
    let mut bare = pods("DEST");
    for name in ["src_instance", "dest_instance"] {
        bare["jsonPayload"].as_object_mut().unwrap().remove(name);
    }
    bare["logName"] = json!("projects/host/logs/compute.googleapis.com%2Fvpc_flows");
    assert_eq!(&*auto(&bare).flows.exporters[0].0, "host/DEST");
}

#[test]
fn gcp_firewall_attempts() {
    let entry = |disposition: &str, direction: &str| {
        json!({"timestamp": "2026-11-19T08:00:00.5Z", "jsonPayload": {
            "connection": {"src_ip": "10.0.0.1", "src_port": 40_000, "dest_ip": "10.0.0.2", "dest_port": 22, "protocol": 6},
            "disposition": disposition, "instance": {"project_id": "p", "vm_name": "near"}, "remote_instance": {"vm_name": "far"},
            "rule_details": {"reference": "network:vpc/firewall:ssh", "direction": direction}}})
    };
    for (disposition, direction, verdict, seen, workloads) in [
        ("DENIED", "INGRESS", Verdict::Deny, Direction::Ingress, ("far", "near")),
        ("ALLOWED", "EGRESS", Verdict::Allow, Direction::Egress, ("near", "far")),
        ("INTERCEPTED", "EGRESS", Verdict::Unknown, Direction::Egress, ("near", "far")),
    ] {
        let flows = auto(&entry(disposition, direction)).flows;
        assert_eq!((flows.verdict[0], flows.direction[0], flows.client[0]), (verdict, seen, Client::Src));
        let details = &flows.details[&0];
        assert_eq!(details.rule.as_deref(), Some("network:vpc/firewall:ssh"));
        let found = (details.src_workload.as_deref().unwrap(), details.dst_workload.as_deref().unwrap());
        assert_eq!(found, workloads);
        assert_eq!(flows.present[0], FlowBatch::HAS_PORTS, "an attempt has no counts");
    }
}

#[test]
fn aws_network_firewall_events() {
    let event = |event: Value| json!({"firewall_name": "edge", "availability_zone": "z", "event_timestamp": "1", "event": event});
    let base = json!({"timestamp": "2020-10-01T21:26:05.007515+0000", "src_ip": "10.0.0.1", "src_port": 47_047,
                      "dest_ip": "10.0.0.2", "dest_port": 443, "proto": "TCP"});
    let with = |more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event(all)
    };
    let alert = |action: &str, more: Value| {
        let mut value = with(
            json!({"event_type": "alert", "alert": {"action": action, "signature_id": 5, "signature": "s"}}),
        );
        value["event"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let netflow = json!({"pkts": 1, "bytes": 60, "start": "2020-10-01T21:25:04.070479+0000", "end": "2020-10-01T21:25:05+0000"});
    for (value, client, verdict, rule, counts) in [
        (
            with(json!({"event_type": "netflow", "netflow": netflow, "tcp": {"tcp_flags": "02"}})),
            Client::Src,
            Verdict::Unknown,
            None,
            Some((1, 60)),
        ),
        (
            with(
                json!({"event_type": "netflow", "netflow": netflow, "tcp": {"tcp_flags": "1b"}, "app_proto": "tls"}),
            ),
            Client::Unknown,
            Verdict::Unknown,
            None,
            Some((1, 60)),
        ),
        (alert("allowed", json!({})), Client::Unknown, Verdict::Allow, Some("5 s"), None),
        (alert("blocked", json!({"direction": "to_server"})), Client::Src, Verdict::Deny, Some("5 s"), None),
        (
            alert("allowed", json!({"direction": "to_client", "verdict": {"action": "drop"}})),
            Client::Dst,
            Verdict::Deny,
            Some("5 s"),
            None,
        ),
    ] {
        let flows = auto(&value).flows;
        let details = flows.details.get(&0).map(|details| (**details).clone()).unwrap_or_default();
        assert_eq!(
            (flows.client[0], flows.verdict[0], details.rule.as_deref()),
            (client, verdict, rule),
            "{value}"
        );
        let counted = flows.present[0] & FlowBatch::HAS_COUNTS != 0;
        assert_eq!(counted.then(|| (flows.packets[0], flows.bytes[0])), counts);
        assert_eq!(&*flows.exporters[0].0, "edge/z");
        let start = if counted { 1_601_587_504_070_479 } else { 1_601_587_565_007_515 };
        assert_eq!(flows.start[0], start);
    }
    let other = auto(&with(json!({"event_type": "tls", "tls": {}})));
    assert_eq!((other.flows.len(), other.summary.dropped["event that is no flow"].count), (0, 1));
    // In CloudWatch the event is a text in a `message`.
    let message = alert("blocked", json!({})).to_string();
    let wrapped = auto(&json!({"events": [{"logStreamName": "x", "message": message}, {"message": "{}"}]}));
    assert_eq!(
        (wrapped.flows.len(), wrapped.summary.rejected, wrapped.flows.source),
        (1, 1, "aws-network-firewall")
    );
}
