//! The canonical flow: one JSON object for each row of a batch, with the field names that scripts rely on.

use std::io::Write;

use netset::{Ip, Protocol};

use crate::batch::{FlowBatch, FlowDetails};
use crate::time::{Micros, format_time};

/// Appends a row as one JSON object on a line of its own (`\n` included).
///
/// What a flow does not have is left out, never null. Times are RFC 3339 in UTC with milliseconds. Panics when the row is
/// out of bounds, like a slice.
pub fn write_flow(batch: &FlowBatch, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    key(out, "start");
    time(out, batch.start[row]);
    key(out, "end");
    time(out, batch.end[row]);
    text(out, "source", batch.source);
    if let Some(exporter) = batch.exporters.get(batch.exporter[row] as usize) {
        text(out, "exporter", &exporter.0);
    }
    number(out, "protocol", u64::from(batch.protocol[row]));
    write_tuple(batch, row, out);
    write_counts(batch, row, out);
    text(out, "verdict", batch.verdict[row].name());
    text(out, "direction", batch.direction[row].name());
    text(out, "client", batch.client[row].name());
    key(out, "client_confidence");
    fraction(out, batch.client_confidence[row]);
    if let Some(details) = batch.details.get(&(row as u32)) {
        write_details(details, out);
    }
    out.extend_from_slice(b"}\n");
}

fn write_tuple(batch: &FlowBatch, row: usize, out: &mut Vec<u8>) {
    let has = |bit: u8| batch.present[row] & bit != 0;
    address(out, "src_ip", batch.src[row]);
    if has(FlowBatch::HAS_PORTS) {
        number(out, "src_port", u64::from(batch.src_port[row]));
    }
    address(out, "dst_ip", batch.dst[row]);
    if has(FlowBatch::HAS_PORTS) {
        number(out, "dst_port", u64::from(batch.dst_port[row]));
    }
    if has(FlowBatch::HAS_ICMP) && Protocol(batch.protocol[row]).is_icmp() {
        number(out, "icmp_type", u64::from(batch.dst_port[row] >> 8));
        number(out, "icmp_code", u64::from(batch.dst_port[row] & 0xff));
    }
    if has(FlowBatch::HAS_TCP_FLAGS) {
        number(out, "tcp_flags", u64::from(batch.tcp_flags[row]));
    }
}

fn write_counts(batch: &FlowBatch, row: usize, out: &mut Vec<u8>) {
    let has = |bit: u8| batch.present[row] & bit != 0;
    if has(FlowBatch::HAS_COUNTS) {
        number(out, "packets", batch.packets[row]);
        number(out, "bytes", batch.bytes[row]);
    }
    if has(FlowBatch::HAS_REVERSE) {
        number(out, "reverse_packets", batch.reverse_packets[row]);
        number(out, "reverse_bytes", batch.reverse_bytes[row]);
    }
    number(out, "sampling", u64::from(batch.sampling[row]));
}

fn write_details(details: &FlowDetails, out: &mut Vec<u8>) {
    let FlowDetails {
        src_workload,
        dst_workload,
        process,
        user,
        service_name,
        nat_src_ip,
        nat_dst_ip,
        nat_src_port,
        nat_dst_port,
        rule,
        tunnel,
    } = details;
    let texts = [
        ("src_workload", src_workload),
        ("dst_workload", dst_workload),
        ("process", process),
        ("user", user),
        ("service_name", service_name),
        ("rule", rule),
        ("tunnel", tunnel),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            text(out, name, value);
        }
    }
    for (name, value) in [("nat_src_ip", nat_src_ip), ("nat_dst_ip", nat_dst_ip)] {
        if let Some(value) = value {
            address(out, name, *value);
        }
    }
    for (name, value) in [("nat_src_port", nat_src_port), ("nat_dst_port", nat_dst_port)] {
        if let Some(value) = value {
            number(out, name, u64::from(*value));
        }
    }
}

/// A comma where one is due, and the name. Names are ours and need no escape.
fn key(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    digits(out, value);
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    key(out, name);
    let plain = value.bytes().all(|byte| byte >= 0x20 && !matches!(byte, b'"' | b'\\' | 0x7f));
    if plain {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        // Writing to a vector does not fail, and a string always has a JSON form.
        let _ = serde_json::to_writer(&mut *out, value);
    }
}

fn address(out: &mut Vec<u8>, name: &str, ip: Ip) {
    key(out, name);
    out.push(b'"');
    match ip.as_v4() {
        Some(bits) => {
            for (index, byte) in bits.to_be_bytes().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                digits(out, u64::from(byte));
            }
        }
        None => drop(write!(out, "{ip}")),
    }
    out.push(b'"');
}

/// Between 0 and 1; anything else is cut to that, and what is no number is 0.
fn fraction(out: &mut Vec<u8>, value: f32) {
    if value > 0.0 && value < 1.0 {
        drop(write!(out, "{value}"));
    } else {
        out.push(if value >= 1.0 { b'1' } else { b'0' });
    }
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [0_u8; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// As [`format_time`], several times faster for the times that flows have.
fn time(out: &mut Vec<u8>, at: Micros) {
    let days = at.div_euclid(MICROS_PER_DAY);
    out.push(b'"');
    // Years 1970 to 2099, where the calendar is simple.
    if (0..47_482).contains(&days) {
        let (year, month, day) = civil(days);
        let millis = at.rem_euclid(MICROS_PER_DAY) / 1_000;
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        padded(out, year, 4, b'-');
        padded(out, month, 2, b'-');
        padded(out, day, 2, b'T');
        padded(out, seconds / 3_600, 2, b':');
        padded(out, seconds / 60 % 60, 2, b':');
        padded(out, seconds % 60, 2, b'.');
        padded(out, millis, 3, b'Z');
    } else {
        out.extend_from_slice(format_time(at).as_bytes());
    }
    out.push(b'"');
}

/// Year, month and day of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn padded(out: &mut Vec<u8>, value: i64, width: u32, then: u8) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10_i64.pow(place) % 10) as u8);
    }
    out.push(then);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{Client, Direction, Exporter, Flow, Verdict};

    fn written(batch: &FlowBatch, row: usize) -> Value {
        let mut out = b"earlier line\n".to_vec();
        let before = out.len();
        write_flow(batch, row, &mut out);
        assert_eq!(out.last(), Some(&b'\n'));
        assert_eq!(out[before..].iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&out[before..]).unwrap()
    }

    #[test]
    fn a_flow_in_full() {
        let mut batch = FlowBatch::new("netflow");
        let exporter = batch.intern_exporter(&Exporter("192.0.2.1/7".into()));
        batch.push(Flow {
            start: 1_795_248_000_123_999,
            end: 1_795_248_001_000_000,
            src: "10.0.0.1".parse().unwrap(),
            dst: "2001:db8::2".parse().unwrap(),
            protocol: 6,
            src_port: 49_152,
            dst_port: 443,
            tcp_flags: 27,
            packets: 10,
            bytes: u64::MAX,
            reverse_packets: 8,
            reverse_bytes: 900,
            sampling: 100,
            verdict: Verdict::Allow,
            direction: Direction::Egress,
            client: Client::Src,
            client_confidence: 0.98,
            present: FlowBatch::HAS_PORTS
                | FlowBatch::HAS_COUNTS
                | FlowBatch::HAS_REVERSE
                | FlowBatch::HAS_TCP_FLAGS,
            exporter,
        });
        let details = FlowDetails {
            user: Some("a \"quoted\"\n\u{7f} user".into()),
            nat_src_ip: Some("198.51.100.1".parse().unwrap()),
            nat_src_port: Some(1),
            ..FlowDetails::default()
        };
        batch.details.insert(0, Box::new(details));
        let expected = serde_json::json!({
            "start": "2026-11-21T08:00:00.123Z", "end": "2026-11-21T08:00:01.000Z", "source": "netflow",
            "exporter": "192.0.2.1/7", "protocol": 6, "src_ip": "10.0.0.1", "src_port": 49152,
            "dst_ip": "2001:db8::2", "dst_port": 443, "tcp_flags": 27, "packets": 10, "bytes": u64::MAX,
            "reverse_packets": 8, "reverse_bytes": 900, "sampling": 100, "verdict": "allow",
            "direction": "egress", "client": "src", "client_confidence": 0.98,
            "user": "a \"quoted\"\n\u{7f} user", "nat_src_ip": "198.51.100.1", "nat_src_port": 1,
        });
        assert_eq!(written(&batch, 0), expected);
    }

    #[test]
    fn absent_is_absent() {
        let mut batch = FlowBatch::new("x");
        batch.push(Flow {
            protocol: 1,
            dst_port: 0x0803,
            present: FlowBatch::HAS_ICMP,
            sampling: 1,
            ..Flow::default()
        });
        let flow = written(&batch, 0);
        let names: Vec<_> = flow.as_object().unwrap().keys().cloned().collect();
        let mut expected = [
            "start",
            "end",
            "source",
            "protocol",
            "src_ip",
            "dst_ip",
            "icmp_type",
            "icmp_code",
            "sampling",
            "verdict",
            "direction",
            "client",
            "client_confidence",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!((flow["icmp_type"].clone(), flow["icmp_code"].clone()), (8.into(), 3.into()));
    }

    proptest! {
        #[test]
        fn times_are_those_of_the_slow_way(at in any::<i64>(), near in 0_i64..5_000_000_000_000_000) {
            for at in [at, near] {
                let mut out = Vec::new();
                time(&mut out, at);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", format_time(at)));
            }
        }

        #[test]
        fn every_row_is_valid_json(
            (start, end, src, dst) in any::<(i64, i64, u128, u32)>(),
            (protocol, present, port, count) in any::<(u8, u8, u16, u64)>(),
            confidence in any::<f32>(),
            (name, user) in any::<(String, Option<String>)>(),
        ) {
            let mut batch = FlowBatch::new("netflow");
            let exporter = batch.intern_exporter(&Exporter(name.clone().into()));
            batch.push(Flow {
                start, end, src: Ip(src), dst: Ip::v4(dst), protocol, src_port: port, dst_port: port, tcp_flags: present,
                packets: count, bytes: count, reverse_packets: count, sampling: 1, client_confidence: confidence,
                present, exporter, ..Flow::default()
            });
            batch.details.insert(0, Box::new(FlowDetails { user: user.clone(), ..FlowDetails::default() }));
            let flow = written(&batch, 0);
            prop_assert_eq!(flow["exporter"].as_str(), Some(name.as_str()));
            prop_assert_eq!(flow.get("user").and_then(Value::as_str), user.as_deref());
            prop_assert_eq!(flow["src_ip"].as_str().unwrap().parse::<Ip>().unwrap(), Ip(src));
            let confidence = flow["client_confidence"].as_f64().unwrap();
            prop_assert!((0.0..=1.0).contains(&confidence));
        }
    }
}
