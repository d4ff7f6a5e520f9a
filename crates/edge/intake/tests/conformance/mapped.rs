//! Tables with well-known names, and with mapping files.

use std::io::Cursor;

use intake::Input;
use model::{Client, Direction, FlowBatch, Verdict};

use crate::reading::{Outcome, read_bytes, read_file};

/// Reads text as a mapping says; an error where it says so.
fn mapped(mapping: &str, text: &str) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.toml");
    std::fs::write(&file, mapping).unwrap();
    let format = format!("mapping:{}", file.display());
    if let Err(error) = intake::open(&format, Input::new("t", Cursor::new(text.as_bytes().to_vec()))) {
        return Err(error.to_string().replace(&file.display().to_string(), "m.toml"));
    }
    Ok(read_bytes(&format, text.as_bytes().to_vec()))
}

fn canonical(flows: &FlowBatch) -> String {
    let mut lines = Vec::new();
    for row in 0..flows.len() {
        model::canonical::write_flow(flows, row, &mut lines);
    }
    String::from_utf8(lines).unwrap()
}

/// The blocks of a language in a page of documentation.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    page.split(&open).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_documentations_example_is_true() {
    let page = include_str!("../../../../../docs/mapping.md");
    let (csv, toml, json) = (blocks(page, "csv")[0], blocks(page, "toml")[0], blocks(page, "json")[0]);
    let outcome = mapped(toml, csv).unwrap();
    assert_eq!(outcome.summary.rejected, 0, "{:?}", outcome.summary.rejects);
    assert_eq!(canonical(&outcome.flows), json);
}

#[test]
fn what_decode_prints_is_read_again() {
    let Some(folder) = testkit::shared("data/flow") else { return };
    for file in [
        "azure-docs/vnet-flow-log-v4.json",
        "elastic-integrations/gcp_vpcflow/vpcflow-7.jsonl",
        "elastic-integrations/aws_vpcflow/test-extra-samples.log",
    ] {
        let first = read_file("auto", &folder.join(file));
        let text = canonical(&first.flows);
        let again = read_bytes("auto", text.clone().into_bytes());
        assert_eq!((again.flows.source, again.summary.rejected), ("json", 0), "{:?}", again.summary.rejects);
        assert_eq!(
            canonical(&again.flows)
                .replace("\"source\":\"json\"", &format!("\"source\":\"{}\"", first.flows.source)),
            text
        );
    }
}

#[test]
fn well_known_names() {
    for (text, expected) in [
        ("src_ip,dst_ip,proto\n10.0.0.1,10.0.0.2,udp\n", "10.0.0.1 10.0.0.2 17 0 0"),
        (
            "sourceIPv4Address\tdestinationIPv4Address\tprotocolIdentifier\tsourceTransportPort\tdestinationTransportPort\n\
          10.0.0.1\t10.0.0.2\t6\t1\t2\n",
            "10.0.0.1 10.0.0.2 6 1 2",
        ),
        (
            "SRC_IP|DST_IP|SRC_PORT|DST_PORT|PROTOCOL\n2001:db8::1|2001:db8::2|5|6|tcp\n",
            "2001:db8::1 2001:db8::2 6 5 6",
        ),
        (
            "jsonPayload_connection_src_ip,jsonPayload_connection_dest_ip,jsonPayload_connection_protocol,\
          jsonPayload_connection_src_port,jsonPayload_connection_dest_port\n10.0.0.1,10.0.0.2,6,7,8\n",
            "10.0.0.1 10.0.0.2 6 7 8",
        ),
        (
            "{\"source.ip\":\"10.0.0.1\",\"destination.ip\":\"10.0.0.2\",\"network.transport\":\"tcp\",\"source.port\":1,\"destination.port\":2}",
            "10.0.0.1 10.0.0.2 6 1 2",
        ),
        (
            "{\"source\":{\"ip\":[\"10.0.0.1\",\"10.0.0.9\"]},\"destination\":{\"ip\":\"10.0.0.2\"},\"network\":{\"iana_number\":\"47\"}}",
            "10.0.0.1 10.0.0.2 47 0 0",
        ),
    ] {
        let flows = read_bytes("auto", text.as_bytes().to_vec()).flows;
        assert_eq!(flows.len(), 1, "{text}");
        let found = format!(
            "{} {} {} {} {}",
            flows.src[0], flows.dst[0], flows.protocol[0], flows.src_port[0], flows.dst_port[0]
        );
        assert_eq!(found, expected, "{text}");
    }
    // Several columns that would do: the best name is taken, the next where it is empty.
    let text = "timestamp,event.start,src,source.ip,dst,proto\n2020-09-13T12:26:50Z,1600000000,host,10.0.0.1,10.0.0.2,tcp\n\
                2020-09-13T12:26:50Z,,10.0.0.3,,10.0.0.2,tcp\n";
    let flows = read_bytes("csv", text.as_bytes().to_vec()).flows;
    assert_eq!(flows.start, [1_600_000_000_000_000, 1_600_000_010_000_000]);
    assert_eq!((flows.src[0].to_string(), flows.src[1].to_string()), ("10.0.0.1".into(), "10.0.0.3".into()));
}

#[test]
fn tables_of_nobodys_names_say_so() {
    let error = read_bytes("csv", b"from,to,what\n1,2,3\n".to_vec()).error.unwrap().to_string();
    assert_eq!(
        error,
        "`input`, line 1: no columns are known as the addresses of a flow; the columns are `from`, `to`, `what`; say which is \
         which in a mapping file"
    );
    for text in [
        "name,src,dst\nx,alice,bob\n",
        "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\"}",
        "{\"source\":{\"ip\":1}}",
        "a,b\n",
    ] {
        assert!(intake::detect(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn rows_that_are_bad_lose_none_of_the_others() {
    let text = "start,src_ip,src_port,dst_ip,dst_port,protocol,bytes,tcp_flags,action\n\
                1600000000,10.0.0.1,1,10.0.0.2,2,tcp,10,SA,Permit\n\
                1600000000,10.0.0.1,1,10.0.0.2,2,tcp,10,0x12\n\
                1600000000,10.0.0.1,1,10.0.0.2,70000,tcp,10,0x12,x\n\
                1600000000,10.0.0.1,1,10.0.0.2,2,what,10,18,x\n\
                yesterday,10.0.0.1,1,10.0.0.2,2,tcp,10,18,x\n\
                start,src_ip,src_port,dst_ip,dst_port,protocol,bytes,tcp_flags,action\n\
                1600000000,10.0.0.1,1,10.0.0.2,2,tcp,,.AP.S.,REJECTED\n";
    let outcome = read_bytes("auto", text.as_bytes().to_vec());
    assert_eq!(outcome.flows.tcp_flags, [18, 26]);
    assert_eq!(outcome.flows.verdict, [Verdict::Allow, Verdict::Deny]);
    assert_eq!(outcome.flows.present[1] & FlowBatch::HAS_COUNTS, 0);
    let reasons: Vec<String> = outcome.summary.rejects.iter().map(ToString::to_string).collect();
    let expected = [
        "input: line 3: the record has 8 values; the header names 9",
        "input: line 4: `70000` is not a port",
        "input: line 5: `what` is not a protocol",
        "input: line 6: `yesterday` is not a time in the form that was said",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn mappings_of_json_and_of_tables_without_a_header() {
    let json = "[time]\nformat = \"nanoseconds\"\n[columns]\nsrc_ip = \"peer.from\"\ndst_ip = [\"peer.to\", \"fallback\"]\n\
                start = \"when\"\nduration = { column = \"took\", unit = \"ms\" }\npackets = \"n\"\nsampling = \"rate\"\nclient = \"who\"\n\
                [constants]\nprotocol = \"udp\"\ndirection = \"inbound\"\n";
    let text = "{\"when\":1600000000000000000,\"took\":1500,\"peer\":{\"from\":\"10.0.0.1\",\"to\":\"10.0.0.2\"},\"n\":3,\"rate\":10,\"who\":\"dst\"}\n\
                {\"when\":1600000000000000000,\"peer\":{\"from\":\"10.0.0.1\"},\"fallback\":\"10.0.0.3\"}\n";
    let flows = mapped(json, text).unwrap().flows;
    assert_eq!((flows.end[0] - flows.start[0], flows.packets[0], flows.sampling[0]), (1_500_000, 30, 10));
    assert_eq!(
        (flows.client[0], flows.direction[1], flows.protocol[1]),
        (Client::Dst, Direction::Ingress, 17)
    );
    assert_eq!(flows.dst[1].to_string(), "10.0.0.3");
    let numbers = "format = \"csv\"\nheader = false\ndelimiter = \"tab\"\nscaled = true\n[columns]\nsrc_ip = 1\ndst_ip = 3\nprotocol = 2\nsampling = 4\nbytes = 5\n";
    let flows = mapped(numbers, "10.0.0.1\t6\t10.0.0.2\t100\t7\textra\n").unwrap().flows;
    assert_eq!((flows.len(), flows.bytes[0], flows.sampling[0]), (1, 7, 100));
}

#[test]
fn mistakes_in_a_mapping_are_said_with_their_line() {
    for (mapping, expected) in [
        ("format = \"xml\"\n", "`m.toml`, line 1: `xml` is not a form; expected `csv`, `json` or `parquet`"),
        (
            "[columns]\nsrc_ip = \"a\"\nsource = \"b\"\n",
            "`m.toml`, line 3: `source` is not a field of a flow; expected one of start, end,",
        ),
        (
            "[columns]\nsrc_ip = \"a\"\n",
            "`m.toml`, line 1: no column is `dst_ip`; every flow has to have one: say which under `[columns]`",
        ),
        (
            "\n[time]\nzone = \"CET\"\n",
            "`m.toml`, line 3: `CET` is not a zone; expected `UTC` or an offset like `+01:00`",
        ),
        ("[time]\nformat = \"%Q\"\n", "`m.toml`, line 2: `%Q` has a part that is not known; expected %Y %y"),
        ("[columns]\nbytes = { times = 2 }\n", "`m.toml`, line 2: `bytes` names no `column`"),
        (
            "[columns]\nbytes = { column = \"b\", times = -2 }\n",
            "`m.toml`, line 2: expected a number above zero",
        ),
        ("colour = 1\n", "`m.toml`, line 1: `colour` is not known here; expected `format`"),
        ("a = \n", "`m.toml`, line 1: "),
        (
            "delimiter = \"ab\"\n",
            "`m.toml`, line 1: `ab` is not a delimiter; expected one character or `tab`",
        ),
    ] {
        let error = mapped(mapping, "x\n").err().unwrap_or_default();
        assert!(error.starts_with(expected), "{mapping}: {error}");
    }
    let mapping = "[columns]\nsrc_ip = \"a\"\ndst_ip = \"b\"\n";
    let error = mapped(mapping, "a,c\n10.0.0.1,10.0.0.2\n").unwrap().error.unwrap().to_string();
    assert_eq!(
        error,
        "`input`, line 1: the mapping says that `dst_ip` is the column `b`, and the header has none of that name; it has `a`, `c`"
    );
    let missing =
        intake::open("mapping:/nowhere/m.toml", Input::new("t", &b"x"[..])).err().unwrap().to_string();
    assert!(missing.starts_with("cannot open `/nowhere/m.toml`: "), "{missing}");
}
