//! AWS VPC flow logs as published, and our own small cases.

use model::{Client, Direction, FlowBatch, FlowDetails, Verdict};

use crate::reading::{read_bytes, read_file};

#[test]
fn aws_default_and_cloudwatch() {
    let Some(folder) = testkit::shared("data/flow") else { return };
    let inputs = folder.join("tenzir-library/amazon/tests/inputs");
    let outcome = read_file("auto", &inputs.join("cloudwatch-v2.ndjson"));
    assert_eq!(
        (outcome.flows.len(), outcome.summary.silent_intervals, outcome.summary.lost_intervals),
        (2, 1, 1)
    );
    assert_eq!(outcome.flows.verdict, [Verdict::Allow, Verdict::Deny]);
    assert_eq!(outcome.flows.start[0], 1_418_530_010_000_000);
    assert_eq!(outcome.flows.bytes, [4_249, 4_249]);
    let ecs = read_file("auto", &inputs.join("cloudwatch-v7-ecs.ndjson"));
    assert_eq!((ecs.summary.rejected, ecs.summary.lost_intervals), (0, 0));
    assert_eq!(ecs.flows.dst_port[0], 443);
    let samples = folder.join("elastic-integrations/aws_vpcflow");
    let extra = read_file("auto", &samples.join("test-extra-samples.log"));
    assert_eq!((extra.flows.len(), extra.summary.silent_intervals, extra.summary.lost_intervals), (5, 1, 1));
    // ICMP has neither ports nor a type here.
    assert_eq!((extra.flows.protocol[3], extra.flows.present[3]), (1, FlowBatch::HAS_COUNTS));
    let flags = read_file("auto", &samples.join("test-tcp-flag-sequence.log"));
    assert_eq!((flags.flows.client[0], flags.summary.datagrams), (Client::Src, 6));
    // A start of 1975 is a typing error, not a flow of 46 years.
    let typo = read_file("auto", &samples.join("test-v5-all-fields.log"));
    assert_eq!((typo.flows.len(), typo.summary.rejected), (0, 1));
    let gateways = read_file("auto", &samples.join("test-tgw-samples.log"));
    assert_eq!(
        (gateways.flows.len(), gateways.summary.silent_intervals, gateways.summary.lost_intervals),
        (3, 1, 6)
    );
    assert_eq!(&*gateways.flows.exporters[gateways.flows.exporter[0] as usize].0, "tgw-attach-0123abcd");
    assert_eq!((gateways.flows.bytes[2], gateways.flows.direction[2]), (4_534, Direction::Ingress));
    // All fields of version 8 with its containers: it says that there was no traffic, whatever else it holds.
    let containers = read_file("auto", &samples.join("test-v8-samples.log"));
    assert_eq!((containers.flows.len(), containers.summary.silent_intervals), (0, 1));
    // A format of one's own without its header line: every row says what is missing.
    let custom = read_bytes("aws-vpc", b"eni-1 10.0.0.1 10.0.0.2 443 6 1600000000 OK\n".to_vec());
    assert_eq!(custom.flows.len(), 0);
    assert!(custom.summary.rejects[0].reason.contains("put the flow log's format line in front"));
}

#[test]
fn aws_fields_by_name() {
    let text = "${flow-direction} ${pkt-srcaddr} ${srcaddr} ${dstaddr} ${pkt-dstaddr} ${srcport} ${dstport} ${protocol} \
                ${start} ${end} ${tcp-flags} ${action} ${log-status} ${instance-id} ${brand-new} ${reject-reason}\n\
                egress 10.9.9.9 10.0.0.1 10.0.0.2 - 443 50000 6 1600000000 1600000060 18 REJECT OK i-1 - BPA\n\
                ingress - 10.0.0.1 10.0.0.2 - 443 50000 6 1600000000 1600000060 4 ACCEPT OK i-1 two words -\n\
                ingress - 10.0.0.1 10.0.0.2 - 443 70000 6 1600000000 1600000060 4 ACCEPT OK i-1 - -\n\
                ingress - 10.0.0.1 10.0.0.2 - 443 50000 6 1600000060 1600000000 4 ACCEPT OK i-1 - -\n\
                ingress - - - - - - - 1600000000 1600000060 - - SKIPDATA - - -\n";
    let outcome = read_bytes("auto", text.as_bytes().to_vec());
    let flows = &outcome.flows;
    assert_eq!(flows.len(), 1);
    assert_eq!((flows.src[0].to_string(), flows.dst[0].to_string()), ("10.9.9.9".into(), "10.0.0.2".into()));
    assert_eq!(
        (flows.client[0], flows.verdict[0], flows.direction[0]),
        (Client::Dst, Verdict::Deny, Direction::Egress)
    );
    assert_eq!(flows.present[0] & FlowBatch::HAS_COUNTS, 0);
    let details = &flows.details[&0];
    assert_eq!((details.src_workload.as_deref(), details.rule.as_deref()), (Some("i-1"), Some("BPA")));
    assert_eq!(outcome.summary.lost_intervals, 1);
    let reasons: Vec<&str> = outcome.summary.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    let expected = [
        "the record has 17 values; expected 16 as named by the header",
        "`70000` is not a port",
        "the record starts after it ends",
    ];
    assert_eq!(reasons, expected);
}

/// The details of the only flow under a header.
fn details(header: &str, record: &str) -> (FlowBatch, FlowDetails) {
    let outcome = read_bytes("auto", format!("{header}\n{record}\n").into_bytes());
    assert_eq!(outcome.flows.len(), 1, "{:?}", outcome.summary.rejects);
    let details = outcome.flows.details.get(&0).map(|details| (**details).clone()).unwrap_or_default();
    (outcome.flows, details)
}

#[test]
fn aws_details_by_version() {
    let base = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status";
    let flow = "eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 OK";
    for (more, values, expected) in [
        // Version 3 and 5: the interface of a NAT gateway stands in for the packet's destination.
        (
            "pkt-srcaddr pkt-dstaddr flow-direction instance-id",
            "10.0.0.1 203.0.113.5 egress i-1",
            FlowDetails {
                src_workload: Some("i-1".into()),
                nat_dst_ip: Some("10.0.0.2".parse().unwrap()),
                ..FlowDetails::default()
            },
        ),
        (
            "pkt-src-aws-service pkt-dst-aws-service",
            "- S3",
            FlowDetails { service_name: Some("S3".into()), ..FlowDetails::default() },
        ),
        // Version 7: the container is whose interface it is.
        (
            "flow-direction ecs-cluster-name ecs-service-name ecs-task-id instance-id",
            "ingress shop cart 0a1b -",
            FlowDetails { dst_workload: Some("shop/cart".into()), ..FlowDetails::default() },
        ),
        (
            "flow-direction ecs-service-name ecs-task-id",
            "egress - 0a1b",
            FlowDetails { src_workload: Some("0a1b".into()), ..FlowDetails::default() },
        ),
        // Version 8 to 10.
        (
            "reject-reason resource-id encryption-status",
            "BPA nat-1 0",
            FlowDetails { rule: Some("BPA".into()), ..FlowDetails::default() },
        ),
    ] {
        let (_, found) = details(&format!("{base} {more}"), &format!("{flow} {values}"));
        assert_eq!(found, expected, "{more}");
    }
    // A regional NAT gateway has no interface.
    let (flows, _) =
        details(&format!("{base} resource-id"), &format!("{} nat-1", flow.replace("eni-1", "-")));
    assert_eq!(&*flows.exporters[0].0, "nat-1");
}

#[test]
fn aws_transit_gateways() {
    let header = "version tgw-id tgw-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
                  tcp-flags packets-lost-no-route packets-lost-blackhole";
    let record = |flags: &str| {
        format!(
            "6 tgw-1 tgw-attach-1 2001:db8::1 2001:db8::2 49152 443 6 3 180 1600000000 1600000060 {flags}"
        )
    };
    // Every ACK is shown here, so that SYN and ACK are both sides'.
    for (flags, client, verdict, rule) in [
        ("2 0 0", Client::Src, Verdict::Unknown, None),
        ("18 0 0", Client::Unknown, Verdict::Unknown, None),
        ("2 1 0", Client::Src, Verdict::Unknown, None),
        ("2 3 0", Client::Src, Verdict::Deny, Some("packets-lost-no-route")),
        ("2 0 3", Client::Src, Verdict::Deny, Some("packets-lost-blackhole")),
    ] {
        let (flows, details) = details(header, &record(flags));
        assert_eq!(
            (flows.client[0], flows.verdict[0], details.rule.as_deref()),
            (client, verdict, rule),
            "{flags}"
        );
        assert_eq!(&*flows.exporters[0].0, "tgw-attach-1");
    }
}

#[test]
fn aws_layouts_without_a_header_may_change() {
    let default = "2 123456789010 eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 ACCEPT OK";
    let five = "5 123456789010 eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 ACCEPT OK vpc-1 subnet-1 i-1 2 \
                IPv4 10.0.0.1 10.0.0.2 us-east-1 use1-az5 - - - - egress 1";
    let text = format!("{default}\n{five}\n{five} x\nnonsense\n{default}\n");
    let outcome = read_bytes("auto", text.into_bytes());
    assert_eq!(outcome.flows.client, [Client::Unknown, Client::Src, Client::Unknown, Client::Unknown]);
    assert_eq!((outcome.summary.rejected, outcome.flows.details.len()), (1, 1));
}

#[test]
fn cloudwatch_control_messages_and_bad_events() {
    let good = "2 1 eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 ACCEPT OK";
    let text = format!(
        "{{\"messageType\":\"CONTROL_MESSAGE\",\"logEvents\":[{{\"id\":\"\",\"message\":\"CWL CONTROL MESSAGE\"}}]}}\
         {{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{{\"message\":\"{good}\"}},{{\"message\":\"nonsense\"}},\
         {{\"message\":\"{good}\"}}]}}"
    );
    let outcome = read_bytes("aws-vpc", text.into_bytes());
    assert_eq!((outcome.flows.len(), outcome.summary.rejected), (2, 1));
    assert_eq!(outcome.summary.dropped["control message of CloudWatch"].count, 1);
}
