//! The way of a datagram from the socket to rolled-up conversations, against nfcapd: flows per core-second, and what was
//! lost, at a fixed rate over loopback.
//!
//! ```text
//! cargo run --release -p ringfence-bench --bin collect -- [DATAGRAMS_PER_SECOND] [SECONDS]
//! ```
//!
//! A sender (this program again, so that its processor time counts for nobody else) sends NetFlow v9 with 24 records a datagram (1,080 bytes) from
//! 64 source ports. Ours is everything that `ringfence collect` does before the lake: batched receives, decoding, the
//! queue, learning, orienting, rolling up by the hour; measured with one worker. nfcapd receives the same and writes its
//! files. CPU time, user and system; what the kernel does for a receiver on the sender's time is on nobody's bill here.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use converse::{Rollup, ServiceTable};
use intake::{Access, Delivery, Listener, ListenerOptions, listen_kind, queue};
use model::FlowBatch;

type Failure = Box<dyn std::error::Error>;

const RECORDS: usize = 24;
/// Addresses, ports, protocol, flags, bytes, packets, first, last; 54 bytes with a next hop, masks and interfaces beside.
const FIELDS: [(u16, u16); 15] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 4),
    (14, 4),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (9, 1),
    (13, 1),
];
const RECORD_BYTES: usize = 44;
const HOUR_US: i64 = 3_600_000_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [send, port, rate, seconds] = arguments.as_slice()
        && send == "send"
    {
        return sender(port.parse()?, rate.parse()?, seconds.parse()?);
    }
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (rate, seconds) = (number(0, 100_000)?, number(1, 10)?);
    println!("{rate} datagrams a second of {RECORDS} records for {seconds} s, load {}", load()?);
    ours(rate, seconds, false)?;
    ours(rate, seconds, true)?;
    if let Err(error) = nfcapd(rate, seconds) {
        println!("nfcapd not measured: {error}");
    }
    Ok(())
}

fn load() -> Result<String, Failure> {
    Ok(std::fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// Receives and decodes, and with `whole` learns, orients and rolls up.
fn ours(rate: u64, seconds: u64, whole: bool) -> Result<(), Failure> {
    let (outlet, deliveries) = queue(32);
    let kind = listen_kind("netflow").ok_or("no such kind")?;
    let access = Arc::new(Access::default());
    let address = "127.0.0.1:0".parse()?;
    let listener = Listener::open(kind, address, ListenerOptions::default(), &access, &outlet, &[])?;
    drop(outlet);
    let before = cpu_seconds("self")?;
    let mut sending = start_sender(listener.address().port(), rate, seconds)?;
    let (mut table, mut rollup) = (ServiceTable::new(), Rollup::new(HOUR_US));
    let (mut flows, mut rows) = (0_u64, 0);
    let mut take = |batch: &mut FlowBatch| {
        flows += batch.len() as u64;
        if whole {
            table.learn(batch);
            converse::orient(batch, &table);
            rollup.add(batch);
        }
    };
    while sending.try_wait()?.is_none() {
        if let Ok(Some(Delivery::Flows(mut batch))) = deliveries.take(Duration::from_millis(20)) {
            take(&mut batch);
        }
    }
    let finishing = std::thread::spawn(move || listener.finish());
    while let Ok(delivery) = deliveries.take(Duration::from_secs(10)) {
        if let Some(Delivery::Flows(mut batch)) = delivery {
            take(&mut batch);
        }
    }
    let last = finishing.join().map_err(|_| "the listener failed")?;
    rows += rollup.drain().len();
    let spent = cpu_seconds("self")? - before;
    let sent = rate * seconds;
    let what = if whole { "ringfence, socket to rollups" } else { "ringfence, socket to columns" };
    println!(
        "  {what}: {:.2} M flows a core-second; CPU {spent:.2} s, {flows} of {} flows, {} datagrams lost ({} counted), {rows} sums",
        flows as f64 / spent / 1e6,
        sent * RECORDS as u64,
        sent + 1 - last.summary.packets,
        last.kernel_drops
    );
    Ok(())
}

fn nfcapd(rate: u64, seconds: u64) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("ringfence-bench-collect-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measured_nfcapd(rate, seconds, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measured_nfcapd(rate: u64, seconds: u64, folder: &Path) -> Result<(), Failure> {
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut collector = Command::new("nfcapd")
        .args(["-b", "127.0.0.1", "-t", "3600", "-B", "33554432", "-p", &port.to_string(), "-l"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    start_sender(port, rate, seconds)?.wait()?;
    std::thread::sleep(Duration::from_secs(1));
    let spent = cpu_seconds(&collector.id().to_string())?;
    Command::new("kill").args(["-TERM", &collector.id().to_string()]).status()?;
    collector.wait()?;
    let listing = Command::new("nfdump").arg("-R").arg(folder).arg("-I").output()?;
    let text = String::from_utf8_lossy(&listing.stdout);
    let fields: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let flows: u64 = fields.get("Flows").ok_or("nfdump -I said nothing of flows")?.trim().parse()?;
    println!(
        "  nfcapd, socket to its files: {:.2} M flows a core-second; CPU {spent:.2} s, {flows} of {} flows",
        flows as f64 / spent / 1e6,
        rate * seconds * RECORDS as u64
    );
    Ok(())
}

fn start_sender(port: u16, rate: u64, seconds: u64) -> Result<Child, Failure> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program)
        .args(["send", &port.to_string(), &rate.to_string(), &seconds.to_string()])
        .spawn()?)
}

/// Sends so many datagrams a second, a millisecond's worth at a time.
fn sender(port: u16, rate: u64, seconds: u64) -> Result<(), Failure> {
    let sockets = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    for socket in &sockets {
        socket.connect(("127.0.0.1", port))?;
    }
    let pool: Vec<Vec<u8>> = (0..4_096).map(datagram).collect();
    sockets[0].send(&template())?;
    let begun = Instant::now();
    let (total, mut sent) = (rate * seconds, 0);
    while sent < total {
        let due = (begun.elapsed().as_micros() as u64 * rate / 1_000_000).min(total);
        while sent < due {
            sockets[(sent / 16) as usize % sockets.len()].send(&pool[sent as usize % pool.len()])?;
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let late = begun.elapsed().as_secs_f64() - seconds as f64;
    if late > 0.05 * seconds as f64 {
        println!("  (the sender was {late:.1} s late: it did not reach the rate)");
    }
    Ok(())
}

fn header(sequence: u32) -> Vec<u8> {
    let mut datagram = vec![0, 9, 0, 1];
    for word in [3_600_000, 1_789_974_000, sequence, 0] {
        datagram.extend(u32::to_be_bytes(word));
    }
    datagram
}

fn template() -> Vec<u8> {
    let mut datagram = header(0);
    for word in [0, 8 + 4 * FIELDS.len() as u16, 256, FIELDS.len() as u16] {
        datagram.extend(u16::to_be_bytes(word));
    }
    for (element, length) in FIELDS {
        datagram.extend(element.to_be_bytes());
        datagram.extend(length.to_be_bytes());
    }
    datagram
}

fn datagram(number: u32) -> Vec<u8> {
    let mut datagram = header(number + 1);
    for word in [256, (4 + RECORDS * RECORD_BYTES) as u16] {
        datagram.extend(u16::to_be_bytes(word));
    }
    let mut state = u64::from(number) + 1;
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % sides) as u32
    };
    for _ in 0..RECORDS {
        // 5,000 clients, 400 services, the first of them busiest; every other record is an answer.
        let client = 0x0a00_0000 + dice(5_000);
        let service = dice(20) * dice(20);
        let (server, port) = (0x0a80_0000 + service, 1_024 + service as u16 % 40);
        let (remote, answer) = (32_768 + dice(28_000) as u16, dice(2) == 1);
        let (from, to) = if answer { (server, client) } else { (client, server) };
        for word in
            [from, to, 0, 1, 2, 1 + dice(100), 40 + dice(100_000), 3_500_000 + dice(50_000), 3_560_000]
        {
            datagram.extend(word.to_be_bytes());
        }
        let (a, b) = if answer { (port, remote) } else { (remote, port) };
        datagram.extend(a.to_be_bytes());
        datagram.extend(b.to_be_bytes());
        datagram.extend([0x1b, 6, 24, 24]);
    }
    datagram
}

/// CPU seconds, user and system, of a process.
fn cpu_seconds(process: &str) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // Fields 14 and 15 of the whole line, in hundredths of a second on Linux.
    Ok((ticks(11) + ticks(12)) as f64 / 100.0)
}
