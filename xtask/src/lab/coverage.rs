//! Checks a recording: what share of the true connections do the exporters' datagrams contain? The least of a decoder,
//! on purpose not the product's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::truth::Connection;

/// Protocol, client address and port, server address and port.
type Tuple = (u8, String, u16, String, u16);

/// What a capture holds.
#[derive(Default)]
pub(super) struct Capture {
    datagrams: usize,
    records: usize,
    bytes: u64,
    exporters: BTreeSet<String>,
    tuples: BTreeSet<Tuple>,
    templates: BTreeMap<(String, u16), Vec<(u16, usize)>>,
    unread: usize,
}

/// Prints the shares for each capture in a folder, and returns the least.
pub(super) fn check(folder: &Path, all: &[Connection]) -> anyhow::Result<f64> {
    let mut least = 1.0_f64;
    for name in ["netflow-v9", "ipfix"] {
        let capture = Capture::read(&folder.join(format!("{name}.pcap")))?;
        let counted = all.iter().filter(|c| matches!(c.protocol, 6 | 17));
        let (mut found, mut total) = (0usize, 0usize);
        let mut missing: BTreeMap<String, usize> = BTreeMap::new();
        for c in counted {
            total += 1;
            let (client, server) = ((c.client_ip.clone(), c.client_port), (c.server_ip.clone(), c.port));
            let there = (c.protocol, client.0.clone(), client.1, server.0.clone(), server.1);
            let back = (c.protocol, server.0, server.1, client.0, client.1);
            if capture.tuples.contains(&there) || capture.tuples.contains(&back) {
                found += 1;
            } else {
                *missing.entry(format!("{} -> {} port {}", c.client, c.server, c.port)).or_default() += 1;
            }
        }
        let share = found as f64 / total.max(1) as f64;
        least = least.min(share);
        eprintln!(
            "{name}: {} bytes, {} datagrams, {} records from {} exporters; {found} of {total} true connections ({:.2}%), \
             {} bytes not read",
            capture.bytes,
            capture.datagrams,
            capture.records,
            capture.exporters.len(),
            share * 100.0,
            capture.unread,
        );
        for (what, count) in missing.iter().take(12) {
            eprintln!("  not seen: {what} ({count})");
        }
    }
    Ok(least)
}

impl Capture {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if bytes.len() < 24 || bytes[..4] != [0xd4, 0xc3, 0xb2, 0xa1] {
            bail!("`{}` is not a little-endian pcap", path.display());
        }
        let mut capture = Self { bytes: bytes.len() as u64, ..Self::default() };
        let mut rest = &bytes[24..];
        while rest.len() >= 16 {
            let length = u32::from_le_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
            let Some(frame) = rest.get(16..16 + length) else { break };
            capture.frame(frame);
            rest = &rest[16 + length..];
        }
        Ok(capture)
    }

    /// Ethernet, IPv4 without options, UDP.
    fn frame(&mut self, frame: &[u8]) {
        if frame.len() < 42 || frame[12..14] != [8, 0] || frame[14] != 0x45 {
            self.unread += frame.len();
            return;
        }
        let exporter = dotted(&frame[26..30]);
        self.exporters.insert(exporter.clone());
        self.datagrams += 1;
        let length = usize::from(u16_at(frame, 38)).saturating_sub(8);
        let payload = &frame[42..(42 + length).min(frame.len())];
        let header = if u16_at(payload, 0) == 9 { 20 } else { 16 };
        let mut rest = payload.get(header..).unwrap_or_default();
        while rest.len() >= 4 {
            let (id, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
            let Some(set) = rest.get(4..length) else {
                self.unread += rest.len();
                return;
            };
            match id {
                0 | 2 => self.templates(&exporter, header == 16, set),
                1 | 3 => {}
                id => self.data(&exporter, id, set),
            }
            rest = &rest[length..];
        }
    }

    fn templates(&mut self, exporter: &str, ipfix: bool, mut set: &[u8]) {
        while set.len() >= 4 {
            let (id, count) = (u16_at(set, 0), usize::from(u16_at(set, 2)));
            let mut fields = Vec::new();
            let mut at = 4;
            for _ in 0..count {
                let (kind, length) = (u16_at(set, at), usize::from(u16_at(set, at + 2)));
                at += if ipfix && kind & 0x8000 != 0 { 8 } else { 4 };
                fields.push((kind, length));
            }
            self.templates.insert((exporter.to_owned(), id), fields);
            set = set.get(at..).unwrap_or_default();
        }
    }

    fn data(&mut self, exporter: &str, id: u16, mut set: &[u8]) {
        let Some(fields) = self.templates.get(&(exporter.to_owned(), id)) else {
            self.unread += set.len();
            return;
        };
        let size: usize = fields.iter().map(|f| f.1).sum();
        while size > 0 && set.len() >= size {
            let mut tuple = Tuple::default();
            let mut at = 0;
            for &(kind, length) in fields {
                let value = &set[at..at + length];
                match kind {
                    4 => tuple.0 = value[0],
                    8 => tuple.1 = dotted(value),
                    12 => tuple.3 = dotted(value),
                    27 => tuple.1 = v6(value),
                    28 => tuple.3 = v6(value),
                    7 => tuple.2 = u16_at(value, 0),
                    11 => tuple.4 = u16_at(value, 0),
                    _ => {}
                }
                at += length;
            }
            self.tuples.insert(tuple);
            self.records += 1;
            set = &set[size..];
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(pair) => u16::from_be_bytes([pair[0], pair[1]]),
        None => 0,
    }
}

fn dotted(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
}

fn v6(bytes: &[u8]) -> String {
    <[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |b| std::net::Ipv6Addr::from(b).to_string())
}
