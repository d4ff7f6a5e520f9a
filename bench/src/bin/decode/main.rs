//! NetFlow v9 and IPFIX decoding against others: records per core-second, on the same records and machine.
//!
//! ```text
//! cargo run --release -p ringfence-bench --bin decode -- [RECORDS] [ROUNDS] [ours | PROGRAM]
//! ```
//!
//! Synthetic records (5,000 clients, 400 services, a few of them busy) are written to a capture of datagrams of at most
//! 1,400 bytes. Ours is the whole way from the capture file to columns, all of `intake`: file, frames, UDP, templates,
//! records. nfdump cannot read captures here, so `nfcapd` receives the same datagrams over loopback first, untimed, and
//! nfdump is timed reading its own, already decoded file (`nfdump -R DIR -o null -q`). The crate `netflow_parser` is given
//! the capture's packets, and so is PROGRAM, another decoder that takes the capture's path and prints how many records it
//! decoded. CPU time, user and system, of each; the decoders take turns, so that all see the same machine.

mod rivals;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use intake::Input;
use model::FlowBatch;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(5_000_000), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    // With `ours` the others are left alone: for profiling.
    let rival = arguments.next();
    let folder = std::env::temp_dir().join(format!("ringfence-bench-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = [Layout::V9, Layout::Ipfix]
        .into_iter()
        .try_for_each(|layout| compare(layout, records, rounds, &folder, rival.as_deref()));
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn compare(
    layout: Layout,
    records: usize,
    rounds: usize,
    folder: &Path,
    rival: Option<&str>,
) -> Result<(), Failure> {
    let capture = folder.join(format!("{}.pcap", layout.name()));
    let (datagrams, bytes) = write_capture(layout, records, &capture)?;
    println!(
        "{}: {records} records of {} bytes in {datagrams} datagrams, {} MB of capture",
        layout.name(),
        layout.record_bytes(),
        bytes / 1_000_000
    );
    let alone = rival == Some("ours");
    let (mut ours, mut parser, mut program) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(decode(&capture, records)?);
        if ours.len() == 1 {
            println!("  peak memory of this process {} MB", peak_memory_kb() / 1_000);
        }
        if !alone {
            parser.push(rivals::netflow_parser(&capture, records)?);
        }
        if let Some(name) = rival.filter(|_| !alone) {
            program.push(rivals::program(name, &capture, records)?);
        }
    }
    let ours = report("ringfence, capture to columns", records, ours);
    if alone {
        return Ok(());
    }
    println!("  ratio {:.1}", ours / report("netflow_parser, capture to its records", records, parser));
    if let Some(name) = rival {
        println!("  ratio {:.1}", ours / report(name, records, program));
    }
    match nfdump(&capture, layout, records, rounds, folder) {
        Ok(times) => {
            let theirs = report("nfdump, its own file to nothing", records, times);
            println!("  ratio {:.2}", ours / theirs);
        }
        Err(error) => println!("  nfdump not measured: {error}"),
    }
    std::fs::remove_file(&capture)?;
    Ok(())
}

/// Prints the best and the median rate; returns the median.
fn report(what: &str, records: usize, mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| records as f64 / seconds / 1e6;
    let median = seconds[seconds.len() / 2];
    println!(
        "  {what}: median {:.1} M records per core-second (best {:.1}), CPU {median:.2} s, {} rounds",
        rate(median),
        rate(seconds[0]),
        seconds.len()
    );
    rate(median)
}

/// CPU seconds to decode a capture to columns.
fn decode(capture: &Path, records: usize) -> Result<f64, Failure> {
    let before = cpu_seconds(false)?;
    let mut reader = intake::open("auto", Input::file(capture)?)?;
    let mut batch = FlowBatch::new(reader.source());
    let mut checksum = 0_u64;
    while reader.read(&mut batch)? {
        checksum = batch.bytes.iter().fold(checksum, |sum, bytes| sum.wrapping_add(*bytes));
        batch.clear();
    }
    let spent = cpu_seconds(false)? - before;
    let summary = reader.summary();
    if summary.flows != records as u64 || summary.dropped_bytes() != 0 || checksum == 0 {
        return Err(format!(
            "{records} records written, {} decoded, dropped {:?}",
            summary.flows, summary.dropped
        )
        .into());
    }
    Ok(spent)
}

/// CPU seconds of `nfdump` over what `nfcapd` made of the datagrams.
fn nfdump(
    capture: &Path,
    layout: Layout,
    records: usize,
    rounds: usize,
    folder: &Path,
) -> Result<Vec<f64>, Failure> {
    let store = folder.join(format!("nfcapd-{}", layout.name()));
    std::fs::create_dir_all(&store)?;
    feed(capture, &store)?;
    let stored = nfdump_flows(&store)?;
    if stored != records {
        return Err(format!("nfcapd stored {stored} of {records} records").into());
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        let before = cpu_seconds(true)?;
        let status = Command::new("nfdump")
            .arg("-R")
            .arg(&store)
            .args(["-o", "null", "-q"])
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("nfdump: {status}").into());
        }
        times.push(cpu_seconds(true)? - before);
    }
    Ok(times)
}

/// Sends the capture's datagrams to an `nfcapd` that writes to `store`.
fn feed(capture: &Path, store: &Path) -> Result<(), Failure> {
    let probe = UdpSocket::bind("127.0.0.1:0")?;
    let port = probe.local_addr()?.port();
    drop(probe);
    let mut nfcapd = Command::new("nfcapd")
        .args(["-b", "127.0.0.1", "-t", "3600", "-B", "16000000", "-p", &port.to_string(), "-l"])
        .arg(store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let sent = send(capture, port);
    std::thread::sleep(Duration::from_secs(1));
    stop(&mut nfcapd)?;
    sent
}

fn send(capture: &Path, port: u16) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", port))?;
    let mut file = BufReader::with_capacity(1 << 20, File::open(capture)?);
    file.read_exact(&mut [0; 24])?;
    let (mut count, mut packet) = (0_u32, Vec::new());
    let started = Instant::now();
    let mut header = [0; 16];
    while file.read_exact(&mut header).is_ok() {
        packet.resize(u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize, 0);
        file.read_exact(&mut packet)?;
        socket.send(&packet[28..])?;
        count += 1;
        // 4,000 a second: what nfcapd was measured to take without loss.
        let due = Duration::from_micros(u64::from(count) * 250);
        if let Some(early) = due.checked_sub(started.elapsed()).filter(|early| early.as_millis() > 2) {
            std::thread::sleep(early);
        }
    }
    Ok(())
}

fn stop(child: &mut Child) -> Result<(), Failure> {
    // nfcapd names its file properly only when it is asked to end.
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    child.wait()?;
    Ok(())
}

fn nfdump_flows(store: &Path) -> Result<usize, Failure> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(store)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    let mut flows = 0;
    for file in files {
        let output = Command::new("nfdump").arg("-I").arg("-r").arg(&file).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("Flows: ")).unwrap_or("0");
        flows += line.trim().parse::<usize>()?;
    }
    Ok(flows)
}

/// User and system CPU seconds of this process, or of its children that ended.
fn cpu_seconds(children: bool) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The fields after the command's closing bracket: state is the first of them, utime the twelfth.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let from = if children { 13 } else { 11 };
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    // A tick is 10 ms on Linux wherever this runs.
    Ok((ticks(from) + ticks(from + 1)) / 100.0)
}

fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// What records look like.
#[derive(Clone, Copy)]
enum Layout {
    V9,
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
    fn name(self) -> &'static str {
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

    fn record_bytes(self) -> usize {
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
        // The product of two draws favours the low numbers: a few services are busy, most are not.
        let service = chance.below(400) * chance.below(400) / 400;
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
fn write_capture(layout: Layout, records: usize, path: &Path) -> Result<(u32, usize), Failure> {
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
