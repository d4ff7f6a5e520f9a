//! What is missing is just what was cut out, and it is put to whose it was and when.

use model::{Coverage, UNATTRIBUTED};

use crate::reading::{Outcome, read_bytes};

/// 2020-09-13T12:00:00Z, the start of an hour.
const NOON: u32 = 1_599_998_400;
const RECORDS: u16 = 4;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Version {
    V5,
    V9,
    Ipfix,
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn shorts(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// The `n`-th datagram of an exporter with four flows in each, ten minutes apart.
fn datagram(version: Version, n: u32) -> Vec<u8> {
    let time = NOON + n * 600;
    let records = u32::from(RECORDS);
    // Addresses, octets, packets.
    let fields = shorts(&[256, 4, 8, 4, 12, 4, 1, 4, 2, 4]);
    let data = |start: u32| {
        (0..records)
            .flat_map(move |row| words(&[0x0a00_0001, 0x0a00_0002, start + row, 1]))
            .collect::<Vec<_>>()
    };
    let template = |id: u16| [shorts(&[id, 24]), fields.clone()].concat();
    let set = [shorts(&[256, 4 + RECORDS * 16]), data(100)].concat();
    match version {
        Version::V5 => {
            let header = [shorts(&[5, RECORDS]), words(&[1_000, time, 0, n * records, 0])].concat();
            let record = [
                words(&[0x0a00_0001, 0x0a00_0002, 0, 0, 1, 100, 0, 0]),
                shorts(&[40_000, 443]),
                vec![0, 2, 6, 0],
                vec![0; 8],
            ]
            .concat();
            [header, record.repeat(usize::from(RECORDS))].concat()
        }
        Version::V9 => {
            let header = [shorts(&[9, 1 + RECORDS]), words(&[1_000, time, n, 7])].concat();
            [header, template(0), set].concat()
        }
        Version::Ipfix => {
            let body = [template(2), set].concat();
            let header = [shorts(&[10, 16 + body.len() as u16]), words(&[time, n * records, 7])].concat();
            [header, body].concat()
        }
    }
}

fn read(version: Version, without: &[u32]) -> Outcome {
    let kept = (0..24).filter(|n| !without.contains(n));
    read_bytes("netflow", kept.flat_map(|n| datagram(version, n)).collect())
}

/// The rows of the exporter, hour by hour.
fn hours(outcome: &Outcome) -> Vec<Coverage> {
    let table = outcome.summary.coverage();
    let mut rows = table.rows();
    rows.retain(|row| &*row.0.0 != UNATTRIBUTED);
    assert!(rows.iter().all(|row| row.1 % 3_600_000_000 == 0));
    rows.into_iter().map(|row| row.2.clone()).collect()
}

#[test]
fn what_was_cut_out_is_missing_in_its_hour() {
    for version in [Version::V5, Version::V9, Version::Ipfix] {
        let whole = read(version, &[]);
        assert_eq!(whole.summary.flows, 24 * u64::from(RECORDS), "{version:?}: {:?}", whole.error);
        assert_eq!(hours(&whole).len(), 4);
        assert!(hours(&whole).iter().all(|row| row.gaps == 0 && row.received == 6 && row.lost.count == 0));
        // Two of the second hour, one of the third.
        let cut = read(version, &[7, 8, 15]);
        let missing: Vec<_> =
            hours(&cut).iter().map(|row| (row.missing_datagrams, row.missing_records, row.gaps)).collect();
        let (datagrams, records) = if version == Version::V9 { (1, 0) } else { (0, u64::from(RECORDS)) };
        let of = |n: u64, gaps| (n * datagrams, n * records, gaps);
        assert_eq!(missing, [of(0, 0), of(2, 1), of(1, 1), of(0, 0)], "{version:?}");
    }
}

#[test]
fn flows_and_what_is_missing_of_them_add_up_to_what_was_sent() {
    // Real exporters: whatever one datagram is cut out of, its flows are missing and no other.
    for (trace, version) in [("ftp_bigtransfer", "v5"), ("smtp", "v5")] {
        let Some(path) =
            testkit::shared(&format!("data/flow/softflowd-over-zeek-traces/{trace}/{version}.pcap"))
        else {
            return;
        };
        let bytes = std::fs::read(path).unwrap();
        let whole = read_bytes("netflow", bytes.clone());
        let total = whole.summary.coverage().total();
        assert_eq!((total.missing_records, total.missing_datagrams), (0, 0), "{trace}");
        let packets = packets(&bytes);
        for cut in 1..packets.len().saturating_sub(1) {
            let kept = packets.iter().enumerate().filter(|(at, _)| *at != cut);
            let kept =
                [&bytes[..24], &kept.flat_map(|(_, packet)| packet.to_vec()).collect::<Vec<_>>()].concat();
            let rest = read_bytes("netflow", kept);
            let missing = rest.summary.coverage().total().missing_records;
            assert_eq!(rest.summary.flows + missing, whole.summary.flows, "{trace} without {cut}");
        }
    }
}

/// The packets of a little-endian pcap, with their headers.
fn packets(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut at, mut found) = (24, Vec::new());
    while let Some(length) = bytes.get(at + 8..at + 12) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        found.push(&bytes[at..at + 16 + length]);
        at += 16 + length;
    }
    found
}

#[test]
fn sets_without_a_template_are_lost_to_their_exporter() {
    let bytes: Vec<u8> = (0..3)
        .flat_map(|n| {
            // Without the template: its 24 bytes after the header.
            let whole = datagram(Version::V9, n);
            [&whole[..20], &whole[44..]].concat()
        })
        .collect();
    let outcome = read_bytes("netflow", bytes);
    let rows = hours(&outcome);
    assert_eq!((rows.len(), rows[0].received, rows[0].lost.count), (1, 3, 3));
    assert_eq!(rows[0].dropped["set without a template"].count, 3);
    assert!(rows[0].lost.bytes * 10 > rows[0].bytes * 7, "most of the bytes: {rows:?}");
}

#[test]
fn intervals_that_the_source_lost_are_its_interfaces() {
    let line = |interface: &str, start: u32, status: &str| {
        format!("2 123456789012 {interface} - - - - - - - {start} {} - {status}\n", start + 600)
    };
    let text = [
        "2 123456789012 eni-a 10.0.0.1 10.0.0.2 49152 443 6 3 180 1599998400 1599998460 ACCEPT OK\n"
            .to_owned(),
        line("eni-a", NOON, "SKIPDATA"),
        line("eni-a", NOON + 600, "SKIPDATA"),
        line("eni-b", NOON + 3_600, "NODATA"),
        "2 123456789012 eni-b what is this\n".to_owned(),
    ]
    .concat();
    let outcome = read_bytes("aws-vpc", text.into_bytes());
    let rows = hours(&outcome);
    assert_eq!((rows[0].lost_intervals, rows[0].lost_us, rows[0].received), (2, 1_200_000_000, 3));
    assert_eq!((rows[1].silent_intervals, rows[1].lost_intervals), (1, 0));
    let table = outcome.summary.coverage();
    let nobody = table.rows().into_iter().find(|row| &*row.0.0 == UNATTRIBUTED).unwrap().2.clone();
    assert_eq!((nobody.lost.count, nobody.received), (1, 1));
}
