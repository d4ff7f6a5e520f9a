//! Damaged, foreign and empty inputs: what was before the damage stays, and the error says where and what to do.

use std::fs;

use crate::reading::{files_below, read_bytes};

fn smtp(name: &str) -> Option<Vec<u8>> {
    let path = testkit::shared(&format!("data/flow/softflowd-over-zeek-traces/smtp/{name}"))?;
    Some(fs::read(path).unwrap())
}

#[test]
fn a_truncated_capture_keeps_what_came_before() {
    let Some(folder) = testkit::shared("data/flow/pmacct/tests/100-IPFIXv10-CISCO") else { return };
    let whole = fs::read(folder.join("traffic-00.pcap")).unwrap();
    let all = read_bytes("auto", whole.clone());
    assert!(all.error.is_none());
    let mut kept_some = false;
    for length in 24..whole.len() {
        let cut = read_bytes("auto", whole[..length].to_vec());
        let kept = cut.flows.len();
        assert_eq!(cut.flows.src, all.flows.src[..kept], "cut at {length}");
        let Some(error) = cut.error else {
            // Cut between two packets: there is nothing to see.
            continue;
        };
        let text = error.to_string();
        if length > 24 && !text.starts_with("no NetFlow") && !text.contains("is empty") {
            assert!(text.starts_with("`input` is cut off at byte "), "{text}");
            let said = match kept {
                0 => "no flows came before it".to_owned(),
                1 => "the flow before it was kept".to_owned(),
                _ => format!("the {kept} flows before it were kept"),
            };
            assert!(text.ends_with(&said), "{text}");
            kept_some |= kept > 0;
        }
    }
    assert!(kept_some);
    let text = read_bytes("auto", whole[..whole.len() - 1].to_vec()).error.unwrap().to_string();
    assert!(text.contains("a packet needs ") && text.contains(" bytes and "), "{text}");
}

#[test]
fn a_file_header_that_is_cut() {
    let text = read_bytes("netflow", vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0]).error.unwrap().to_string();
    let expected = "`input` is cut off at byte 0: the pcap file header needs 24 bytes and 6 are left; \
                    no flows came before it";
    assert_eq!(text, expected);
}

#[test]
fn a_capture_of_raw_traffic_is_foreign_to_readers_of_exports() {
    let Some(trace) = smtp("trace.pcap") else { return };
    for (format, what) in [("netflow", "NetFlow or IPFIX"), ("sflow", "sFlow")] {
        let text = read_bytes(format, trace.clone()).error.unwrap().to_string();
        let expected =
            format!("no {what} datagrams in 125 packets of `input`; is this a capture of raw traffic?");
        assert!(text.starts_with(&expected) && text.ends_with("read it as `pcap`"), "{text}");
    }
}

#[test]
fn a_capture_without_packets_is_empty() {
    let Some(capture) = smtp("v9.pcap") else { return };
    let text = read_bytes("auto", capture[..24].to_vec()).error.unwrap().to_string();
    assert_eq!(text, "`input` is empty; expected packets in the capture; look at what wrote or copied it");
}

#[test]
fn a_packet_header_that_makes_no_sense() {
    let Some(mut capture) = smtp("v9.pcap") else { return };
    let second = capture.len();
    let first = read_bytes("auto", capture.clone()).flows.len();
    capture.extend([0xff; 16]);
    let outcome = read_bytes("auto", capture);
    let text = outcome.error.unwrap().to_string();
    assert!(
        text.starts_with(&format!(
            "`input` is damaged at byte {second}: a packet says that it has 4294967295"
        )),
        "{text}"
    );
    assert_eq!(outcome.flows.len(), first);
}

#[test]
fn pcapng_is_read_like_pcap() {
    let Some(capture) = smtp("v9.pcap") else { return };
    let plain = read_bytes("auto", capture.clone());
    let converted = read_bytes("auto", to_pcapng(&capture));
    assert!(converted.error.is_none(), "{:?}", converted.error);
    assert_eq!(converted.flows, plain.flows);
    let mut cut = to_pcapng(&capture);
    cut.truncate(cut.len() - 3);
    let text = read_bytes("auto", cut).error.unwrap().to_string();
    assert!(text.contains("a pcapng block needs "), "{text}");
    let mut odd = to_pcapng(&capture);
    odd.extend([6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    let text = read_bytes("auto", odd).error.unwrap().to_string();
    assert!(text.contains("a pcapng block says that it has 9 bytes"), "{text}");
}

/// The packets of a little-endian pcap as a pcapng file, with nanosecond timestamps.
fn to_pcapng(pcap: &[u8]) -> Vec<u8> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len() as u32).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat());
    let link = word(pcap, 20).to_le_bytes();
    file.extend(block(1, &[&link[..], &[0; 4], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat()));
    let mut at = 24;
    while at < pcap.len() {
        let (seconds, micros, length) = (word(pcap, at), word(pcap, at + 4), word(pcap, at + 8));
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1_000;
        let mut body = vec![0; 4];
        for part in [(nanos >> 32) as u32, nanos as u32, length, length] {
            body.extend(part.to_le_bytes());
        }
        body.extend(&pcap[at + 16..at + 16 + length as usize]);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
        at += 16 + length as usize;
    }
    file
}

#[test]
fn a_file_of_datagrams_that_goes_wrong() {
    let Some(folder) = testkit::shared("data/flow/logstash-codec-netflow/spec/codecs") else { return };
    let mut bytes = fs::read(folder.join("netflow9_test_valid01.dat")).unwrap();
    let length = bytes.len();
    bytes.extend(b"not a datagram");
    let outcome = read_bytes("netflow", bytes);
    assert_eq!(outcome.flows.len(), 7);
    // The decoder cannot know where the last set of the datagram ends and rubbish begins; every byte is accounted for.
    let lost = outcome.summary.dropped_bytes();
    assert!(outcome.error.is_some() || lost > 0, "{:?}", outcome.summary);
    let invalid = read_bytes("netflow", fs::read(folder.join("netflow5_test_invalid02.dat")).unwrap());
    assert_eq!(invalid.flows.len(), 0);
    let text = invalid.error.unwrap().to_string();
    assert!(text.contains("damaged at byte 0: a version 5 header that counts 163 records"), "{text}");
    let _ = length;
}

#[test]
fn an_invalid_version_5_datagram_on_the_wire_gives_nothing_and_is_counted() {
    let Some(folder) = testkit::shared("data/flow/logstash-codec-netflow/contexts-pcap") else { return };
    let outcome = read_bytes("netflow", fs::read(folder.join("02_Netflow_5_invalid_02.pcap")).unwrap());
    assert_eq!(outcome.flows.len(), 0);
    assert_eq!(
        outcome.summary.dropped["count of a v1, v5 or v7 header does not fit the datagram"].bytes,
        1_464
    );
    assert!(outcome.summary.rejects[0].reason.starts_with("the header counts 163 records; expected 1 to 30"));
}

#[test]
fn damaged_fixtures_never_panic_and_never_grow() {
    let Some(folder) = testkit::shared("data/flow") else { return };
    let mut inputs = Vec::new();
    for (below, ending, format) in [
        ("logstash-codec-netflow", ".dat", "netflow"),
        ("logstash-codec-netflow", ".pcap", "netflow"),
        ("akvorado/paired", ".pcap", "netflow"),
        ("pmacct/tests", ".pcap", "netflow"),
        ("softflowd-over-zeek-traces/smtp", ".pcap", "netflow"),
        ("softflowd-over-zeek-traces/smtp", "trace.pcap", "pcap"),
        ("softflowd-over-zeek-traces/tunnels_gtp_gtp2_different_udp_port", "trace.pcap", "pcap"),
        ("zeek/Traces/tcp", ".pcapng", "pcap"),
        ("akvorado/outlet/flow/decoder/sflow", ".pcap", "sflow"),
        ("tcpdump/tests", ".pcap", "sflow"),
        ("telegraf/plugins/inputs/netflow/testcases/sflow_issue_15918", ".bin", "sflow"),
        ("elastic-integrations/aws_vpcflow", ".log", "aws-vpc"),
        ("tenzir-library/amazon/tests/inputs", ".ndjson", "aws-vpc"),
        ("softflowd-over-zeek-traces", "zeek-conn.log", "zeek"),
    ] {
        inputs.extend(files_below(&folder.join(below), ending).into_iter().map(|path| (path, format)));
    }
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % limit.max(1)
    };
    for (path, format) in inputs {
        let whole = fs::read(&path).unwrap();
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..=below(8) {
                let at = below(bytes.len());
                match below(4) {
                    // Lengths, counts and ids are what hurts: small values and all ones more often than any other.
                    0 => bytes[at] = [0, 1, 2, 4, 5, 8, 0x7f, 0xff][below(8)],
                    1 => bytes[at] = below(256) as u8,
                    2 => bytes.truncate(at.max(1)),
                    _ => drop(bytes.drain(at..(at + 1 + below(9)).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            let length = bytes.len();
            let outcome = read_bytes(format, bytes);
            assert!(
                outcome.flows.len() <= length,
                "{}: {} rows of {length} bytes",
                path.display(),
                outcome.flows.len()
            );
            assert!(outcome.summary.bytes_read <= length as u64);
            assert!(
                outcome.summary.dropped_bytes() <= length as u64,
                "{}: {:?}",
                path.display(),
                outcome.summary
            );
        }
    }
}
