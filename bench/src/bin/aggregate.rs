//! Flows to conversations against `nfdump -A` on the same records, in one run: `aggregate [RECORDS] [ROUNDS] [ours|pairs]`.
//! With `pairs`, ours alone, once as the records are and once with every flow a conversation of its own.
//!
//! Ours is everything that happens to decoded flows on the way to rollups: learning who serves, orienting, summing by
//! (exporter, client, server, service, hour), in batches as an import makes them. nfdump reads its own file and sums by
//! protocol, addresses and destination port, as they are. CPU time, user and system, of each; its reading alone is
//! measured too and taken off.

use std::path::Path;
use std::process::{Command, Stdio};

use bench::Failure;
use bench::exporter::{Layout, write_capture};
use bench::nfcapd::{cpu_seconds, feed, nfdump_flows, peak_memory_kb};
use converse::{Rollup, ServiceTable, orient};
use model::{FlowBatch, Ip};

/// Rows that an import orients together.
const CHUNK_ROWS: usize = 262_144;
const HOUR_US: i64 = 3_600_000_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(5_000_000), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let mode = arguments.next().unwrap_or_default();
    let folder = std::env::temp_dir().join(format!("ringfence-bench-aggregate-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = compare(records, rounds, &mode, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn compare(records: usize, rounds: usize, mode: &str, folder: &Path) -> Result<(), Failure> {
    let capture = folder.join("flows.pcap");
    write_capture(Layout::V9, records, &capture)?;
    let chunks = decoded(&capture)?;
    let ours = (0..rounds).map(|_| aggregate(&chunks)).collect::<Result<Vec<_>, _>>()?;
    for (at, step) in ["learn", "orient", "roll up"].into_iter().enumerate() {
        report(step, records, ours.iter().map(|times| times[at]).collect());
    }
    let ours =
        report("ringfence, columns to rollups", records, ours.iter().map(|t| t.iter().sum()).collect());
    println!("peak memory with all flows held {} MB", peak_memory_kb() / 1_000);
    if mode == "pairs" {
        let apart = apart(&chunks);
        let alone = (0..rounds).map(|_| aggregate(&apart)).collect::<Result<Vec<_>, _>>()?;
        let alone = report(
            "the same, no two flows of one conversation",
            records,
            alone.iter().map(|t| t.iter().sum()).collect(),
        );
        println!("share {:.2}", alone / ours);
    }
    if !mode.is_empty() {
        return Ok(());
    }
    let store = folder.join("nfcapd");
    std::fs::create_dir_all(&store)?;
    feed(&capture, &store)?;
    let stored = nfdump_flows(&store)?;
    if stored != records {
        return Err(format!("nfcapd stored {stored} of {records} records").into());
    }
    let read = nfdump(&store, &["-o", "null", "-q"], rounds)?;
    let whole = nfdump(&store, &["-A", "proto,srcip,dstip,dstport", "-o", "null", "-q"], rounds)?;
    let without = whole.iter().zip(&read).map(|(whole, read)| whole - read).collect();
    report("nfdump, reading only", records, read);
    let theirs = report("nfdump -A proto,srcip,dstip,dstport, with reading", records, whole);
    let alone = report("the same without reading", records, without);
    println!("ratio {:.1}, without nfdump's reading {:.1}", ours / theirs, ours / alone);
    Ok(())
}

/// The capture as an import hands it on.
fn decoded(capture: &Path) -> Result<Vec<FlowBatch>, Failure> {
    let mut reader = intake::open("auto", intake::Input::file(capture)?)?;
    let mut batch = FlowBatch::new(reader.source());
    let mut chunks = vec![FlowBatch::new(reader.source())];
    while reader.read(&mut batch)? {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ROWS => chunk.append(&batch),
            _ => chunks.push(batch.clone()),
        }
        batch.clear();
    }
    Ok(chunks)
}

/// The same flows, each from a client of its own.
fn apart(chunks: &[FlowBatch]) -> Vec<FlowBatch> {
    let mut chunks = chunks.to_vec();
    let all = chunks.iter_mut().flat_map(|chunk| &mut chunk.src);
    // An odd factor turns numbers into others one to one, and leaves no order.
    all.zip(0_u32..).for_each(|(src, n)| *src = Ip::v4(n.wrapping_mul(0x9e37_79b1)));
    chunks
}

/// CPU seconds to learn, orient and roll up.
fn aggregate(chunks: &[FlowBatch]) -> Result<[f64; 3], Failure> {
    let mut chunks = chunks.to_vec();
    let (mut table, mut rollup) = (ServiceTable::new(), Rollup::new(HOUR_US));
    let mut spent = [0.0; 3];
    let mut before = cpu_seconds(false)?;
    let mut lap = |at: usize| -> Result<(), Failure> {
        let now = cpu_seconds(false)?;
        spent[at] += now - before;
        before = now;
        Ok(())
    };
    chunks.iter().for_each(|chunk| table.learn(chunk));
    lap(0)?;
    chunks.iter_mut().for_each(|chunk| orient(chunk, &table));
    lap(1)?;
    chunks.iter().for_each(|chunk| rollup.add(chunk));
    let rows = rollup.drain().len();
    lap(2)?;
    println!("  {rows} conversations, {} service table entries", table.len());
    Ok(spent)
}

fn nfdump(store: &Path, arguments: &[&str], rounds: usize) -> Result<Vec<f64>, Failure> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let before = cpu_seconds(true)?;
        let status =
            Command::new("nfdump").arg("-R").arg(store).args(arguments).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("nfdump: {status}").into());
        }
        times.push(cpu_seconds(true)? - before);
    }
    Ok(times)
}

/// Prints the median rate, and returns it.
fn report(what: &str, records: usize, mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| records as f64 / seconds.max(0.01) / 1e6;
    let median = seconds[seconds.len() / 2];
    println!(
        "{what}: median {:.2} M flows per core-second (best {:.2}), CPU {median:.2} s, {} rounds",
        rate(median),
        rate(seconds[0]),
        seconds.len()
    );
    rate(median)
}
