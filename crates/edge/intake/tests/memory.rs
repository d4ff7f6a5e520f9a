//! What hostile exporters can make us remember, in a process of its own: the memory that it takes, not the time.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::io::{self, Read};

use intake::{Input, Summary};
use model::FlowBatch;

const HEADER: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0];

/// A capture that is made while it is read: nothing of it lies in memory. Its datagrams are what a function makes of their
/// number: the sender's address and port, and the payload.
struct Made<F> {
    datagram: F,
    number: u32,
    count: u32,
    bytes: Vec<u8>,
    at: usize,
}

impl<F: FnMut(u32, &mut Vec<u8>) -> (u32, u16)> Made<F> {
    fn new(count: u32, datagram: F) -> Self {
        Self { datagram, number: 0, count, bytes: HEADER.to_vec(), at: 0 }
    }

    fn next(&mut self) {
        let mut payload = Vec::new();
        let (address, port) = (self.datagram)(self.number, &mut payload);
        self.number += 1;
        self.at = 0;
        self.bytes.clear();
        let total = payload.len() + 28;
        for word in [1_600_000_000, 0, total as u32, total as u32] {
            self.bytes.extend(word.to_le_bytes());
        }
        self.bytes.extend([0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
        self.bytes.extend(address.to_be_bytes());
        self.bytes.extend([192, 0, 2, 2]);
        for word in [port, 2_055, (8 + payload.len()) as u16, 0] {
            self.bytes.extend(word.to_be_bytes());
        }
        self.bytes.extend(payload);
    }
}

impl<F: FnMut(u32, &mut Vec<u8>) -> (u32, u16)> Read for Made<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() && self.number < self.count {
            self.next();
        }
        let count = (&self.bytes[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// A version 9 datagram, sent a second after the epoch of the captures.
fn v9(domain: u32, number: u32, sets: &[u8], out: &mut Vec<u8>) {
    out.extend([0, 9, 0, 1]);
    for word in [60_000_u32, 1_600_000_000, number, domain] {
        out.extend(word.to_be_bytes());
    }
    out.extend(sets);
}

/// A version 5 datagram with one record.
fn v5(engine: u16, out: &mut Vec<u8>) {
    out.extend([0, 5, 0, 1]);
    for word in [60_000_u32, 1_600_000_000, 0, 1] {
        out.extend(word.to_be_bytes());
    }
    out.extend(engine.to_be_bytes());
    out.extend([0; 2 + 48]);
}

/// A template set with one template of so many fields, addresses first.
fn template(id: u16, fields: u16) -> Vec<u8> {
    let mut words = vec![0, 8 + 4 * fields, id, fields, 8, 4, 12, 4];
    (2..fields).for_each(|field| words.extend([1_000 + field, 4]));
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An options template set with one template whose scope is the exporter.
fn options_template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let options = 4 * fields.len() as u16;
    let mut words = vec![1, 14 + options, id, 4, options, 1, 4];
    words.extend(fields.iter().flat_map(|(element, length)| [*element, *length]));
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A data set of so many bytes.
fn data(id: u16, length: u16) -> Vec<u8> {
    let mut set = [id, 4 + length].map(u16::to_be_bytes).concat();
    set.resize(usize::from(4 + length), 7);
    set
}

/// Reads all; returns the summary and by how many megabytes memory grew at most, looked at every few batches.
fn grown_by(made: impl Read + Send + 'static) -> (Summary, u64) {
    let before = resident_mb();
    let mut reader = intake::open("netflow", Input::new("made", made)).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    let (mut most, mut turn) = (before, 0_u32);
    while reader.read(&mut batch).unwrap() {
        assert!(batch.exporters.len() < 20_000, "{} exporters in a batch", batch.exporters.len());
        batch.clear();
        turn += 1;
        if turn.is_multiple_of(8) {
            most = most.max(resident_mb());
        }
    }
    (reader.summary().clone(), most.max(resident_mb()).saturating_sub(before))
}

/// Megabytes of this process that are in memory; by pages of 4 KB.
fn resident_mb() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4 / 1_024
}

/// What everything may take together, in megabytes: 20,000 exporters, a million fields of templates, 8 MB that wait, the
/// coverage of 65,536 exporters and hours.
const BOUND_MB: u64 = 160;

#[test]
fn memory_is_bounded_whatever_exporters_send() {
    if resident_mb() == 0 {
        println!("SKIPPED: this system does not say how much memory a process has");
        return;
    }
    // A million exporters, by address and by domain, each with a flow, some with a template.
    let exporters = Made::new(1_000_000, |number, out: &mut Vec<u8>| {
        match number % 20 {
            0 => v9(number, 1, &[template(256, 4), data(256, 16)].concat(), out),
            turn => v5(turn as u16, out),
        }
        (number, 2_055)
    });
    let (summary, grown) = grown_by(exporters);
    assert_eq!((summary.datagrams, summary.flows), (1_000_000, 1_000_000));
    assert!(summary.dropped["exporter forgotten, limit on exporters reached"].count > 900_000);
    assert!(grown < BOUND_MB, "a million exporters took {grown} MB");
    println!("a million exporters: {grown} MB");
    // Ever new templates of a few exporters, from ever other ports, as large as they are accepted.
    let templates = Made::new(6_000, |number, out: &mut Vec<u8>| {
        v9(number % 7, number, &template(256 + number as u16 % 60_000, 300), out);
        (number % 9, number as u16)
    });
    let (summary, grown) = grown_by(templates);
    assert!(summary.dropped["limit on templates reached"].count > 1_000, "{:?}", summary.dropped);
    assert!(grown < BOUND_MB, "templates took {grown} MB");
    println!("templates: {grown} MB");
    // Sets whose template never comes, small and large.
    let waiting = Made::new(60_000, |number, out: &mut Vec<u8>| {
        let length = if number % 3 == 0 { 1_300 } else { 4 };
        v9(number % 50_000, number, &data(300 + number as u16 % 1_000, length), out);
        (number % 1_000, 2_055)
    });
    let (summary, grown) = grown_by(waiting);
    assert_eq!(summary.dropped["set without a template"].count, 60_000);
    assert!(grown < BOUND_MB, "sets that wait took {grown} MB");
    println!("sets that wait: {grown} MB");
    // Options that name ever new samplers, interfaces and applications.
    let options = Made::new(60_000, |number, out: &mut Vec<u8>| {
        let mut sets = options_template(257, &[(48, 4), (34, 4)]);
        sets.extend(options_template(258, &[(95, 4), (96, 64)]));
        sets.extend([257_u16, 16].map(u16::to_be_bytes).concat());
        sets.extend([0_u32, number, 100].map(u32::to_be_bytes).concat());
        sets.extend([258_u16, 4 + 72].map(u16::to_be_bytes).concat());
        sets.extend([0_u32, number].map(u32::to_be_bytes).concat());
        sets.resize(sets.len() + 64, b'a' + (number % 26) as u8);
        v9(number % 30, number, &sets, out);
        (number % 20, 2_055)
    });
    let (summary, grown) = grown_by(options);
    assert!(summary.options_records >= 120_000, "{:?}", summary.dropped);
    assert!(grown < BOUND_MB, "options took {grown} MB");
    println!("options: {grown} MB");
}
