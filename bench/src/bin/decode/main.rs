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

use std::path::Path;
use std::process::{Command, Stdio};

use bench::Failure;
use bench::exporter::{Layout, write_capture};
use bench::nfcapd::{cpu_seconds, feed, nfdump_flows, peak_memory_kb};
use intake::Input;
use model::FlowBatch;

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
