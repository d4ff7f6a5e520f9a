//! A synthetic exporter: 5,000 clients, 400 services of which a few are busy, both directions.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Failure;

/// What records look like.
#[derive(Clone, Copy)]
pub enum Layout {
    /// NetFlow v9, 13 fields.
    V9,
    /// IPFIX, 16 fields.
    Ipfix,
}

/// Element and length of each field.
const V9_FIELDS: [(u16, u16); 13] = [
    (1, 4),
    (2, 4),
    (22, 4),
    (21, 4),
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (10, 4),
    (14, 4),
    (4, 1),
    (6, 1),
    (5, 1),
];
const IPFIX_FIELDS: [(u16, u16); 16] = [
    (152, 8),
    (153, 8),
    (1, 8),
    (2, 8),
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (10, 4),
    (14, 4),
    (4, 1),
    (6, 2),
    (5, 1),
    (61, 1),
    (136, 1),
    (58, 2),
];

/// When the synthetic exporter sends its first datagram, seconds since the epoch.
const EXPORT_S: u32 = 1_700_000_000;
/// How long it was up then, in milliseconds.
const UPTIME_MS: u32 = 3_600_000;

impl Layout {
    /// The format, as `ringfence import` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V9 => "netflow-v9",
            Self::Ipfix => "ipfix",
        }
    }

    fn fields(self) -> &'static [(u16, u16)] {
        match self {
            Self::V9 => &V9_FIELDS,
            Self::Ipfix => &IPFIX_FIELDS,
        }
    }

    /// Bytes of one record.
    pub fn record_bytes(self) -> usize {
        self.fields().iter().map(|(_, length)| usize::from(*length)).sum()
    }

    /// A datagram with the given sets of `count` records; `before` is how many data records came before it.
    fn datagram(self, (sets, count): (&[u8], usize), number: u32, before: u32, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::V9 => {
                out.extend(9_u16.to_be_bytes());
                out.extend((count as u16).to_be_bytes());
                for word in [UPTIME_MS, EXPORT_S, number, 0] {
                    out.extend(word.to_be_bytes());
                }
            }
            Self::Ipfix => {
                out.extend(10_u16.to_be_bytes());
                out.extend((16 + sets.len() as u16).to_be_bytes());
                for word in [EXPORT_S, before, 0] {
                    out.extend(word.to_be_bytes());
                }
            }
        }
        out.extend(sets);
    }

    fn template_set(self) -> Vec<u8> {
        let fields = self.fields();
        let id: u16 = if matches!(self, Self::V9) { 0 } else { 2 };
        let mut set = Vec::new();
        for word in [id, 8 + 4 * fields.len() as u16, 256, fields.len() as u16] {
            set.extend(word.to_be_bytes());
        }
        for (element, length) in fields {
            set.extend(element.to_be_bytes());
            set.extend(length.to_be_bytes());
        }
        set
    }

    fn record(self, chance: &mut Chance, out: &mut Vec<u8>) {
        let client = 0x0a00_0000 + chance.below(5_000);
        // Everybody has twenty services of its own; the product of two draws favours the low numbers, so that a few
        // services are busy and most are not.
        let mut habit = Chance(u64::from(client) << 8 | u64::from(chance.below(20)));
        let service = habit.below(400) * habit.below(400) / 400;
        let (server, server_port) = (0x0a01_0000 + service, [443, 5_432, 53, 8_080][(service % 4) as usize]);
        let client_port = 32_768 + chance.below(28_000);
        let udp = service % 4 == 2;
        let answer = chance.below(2) == 1;
        let (packets, ago) = (1 + chance.below(50), chance.below(60_000));
        for (element, length) in self.fields() {
            let value = match element {
                1 => u64::from(packets) * 700,
                2 => u64::from(packets),
                22 => u64::from(UPTIME_MS - 60_000 - ago),
                21 => u64::from(UPTIME_MS - ago),
                152 => u64::from(EXPORT_S) * 1_000 - 60_000 - u64::from(ago),
                153 => u64::from(EXPORT_S) * 1_000 - u64::from(ago),
                8 => u64::from(if answer { server } else { client }),
                12 => u64::from(if answer { client } else { server }),
                7 => u64::from(if answer { server_port } else { client_port }),
                11 => u64::from(if answer { client_port } else { server_port }),
                4 => {
                    if udp {
                        17
                    } else {
                        6
                    }
                }
                6 => {
                    if udp {
                        0
                    } else {
                        0x1b
                    }
                }
                _ => 1,
            };
            out.extend(&value.to_be_bytes()[8 - usize::from(*length)..]);
        }
    }
}

/// Writes a capture of raw IPv4 packets; returns datagrams and bytes.
pub fn write_capture(layout: Layout, records: usize, path: &Path) -> Result<(u32, usize), Failure> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101];
    for word in header {
        file.write_all(&word.to_le_bytes())?;
    }
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let per_datagram = (1_400 - 28 - 20 - 4) / layout.record_bytes();
    let (mut sets, mut datagram) = (Vec::new(), Vec::new());
    let (mut written, mut number, mut bytes) = (0, 0_u32, 24);
    while written < records {
        sets.clear();
        // Exporters repeat the template; here every 500 datagrams.
        if number.is_multiple_of(500) {
            sets.extend(layout.template_set());
        }
        let room = per_datagram - if number.is_multiple_of(500) { 3 } else { 0 };
        let count = room.min(records - written);
        let length = count * layout.record_bytes();
        let padding = (4 - length % 4) % 4;
        sets.extend(256_u16.to_be_bytes());
        sets.extend((4 + length as u16 + padding as u16).to_be_bytes());
        for _ in 0..count {
            layout.record(&mut chance, &mut sets);
        }
        sets.extend(std::iter::repeat_n(0, padding));
        let templates = usize::from(number.is_multiple_of(500));
        layout.datagram((&sets, count + templates), number, written as u32, &mut datagram);
        bytes += write_packet(&datagram, &mut file)?;
        written += count;
        number += 1;
    }
    file.flush()?;
    Ok((number, bytes))
}

fn write_packet(payload: &[u8], file: &mut impl Write) -> Result<usize, Failure> {
    let total = 28 + payload.len();
    for word in [EXPORT_S, 0, total as u32, total as u32] {
        file.write_all(&word.to_le_bytes())?;
    }
    let mut header = vec![0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    header.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    for port in [40_000_u16, 2_055, (8 + payload.len()) as u16, 0] {
        header.extend(port.to_be_bytes());
    }
    file.write_all(&header)?;
    file.write_all(payload)?;
    Ok(16 + total)
}

/// A small reproducible generator (SplitMix64, Steele and others 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ (mixed >> 31)) * u128::from(limit)) >> 64) as u32
    }
}
