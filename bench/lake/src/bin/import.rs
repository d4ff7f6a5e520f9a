//! What an import costs: flows per core-second into the lake, with and without what comes before it.
//!
//! ```text
//! cargo run --release -p ringfence-bench-lake --bin import -- [FLOWS]
//! ```
//!
//! NetFlow v5 datagrams in a capture (1,000 clients with 20 of 400 servers each, a day of traffic in the order of time), decoded by
//! `intake`, oriented and summed by `converse`, stored by `lake` with hourly and daily sums. Each stage is also measured
//! alone. CPU time, user and system, of the whole process, durable writes included.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bench_lake::{Dice, cpu_seconds, peak_memory_mb};
use converse::{Rollup, ServiceTable, orient};
use intake::Input;
use lake::{Begun, HOUR_US, ImportTx, Lake, SourceIdentity};
use model::FlowBatch;

/// Sums that wait before they are handed on.
const MOST_ROWS: usize = 200_000;

fn main() -> Result<()> {
    let flows: u64 = std::env::args().nth(1).map_or(Ok(5_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let capture = folder.path().join("flows.pcap");
    write_capture(&capture, flows)?;
    println!("{flows} flows, {} MB of capture", std::fs::metadata(&capture)?.len() / 1_000_000);
    stage("decode", &capture, flows, &mut Nothing)?;
    stage("decode, orient, sum", &capture, flows, &mut Conversations::default())?;
    let mut lake = Lake::open(&folder.path().join("plain"))?;
    stored("decode, store", &capture, flows, &mut lake, false)?;
    let mut lake = Lake::open(&folder.path().join("whole"))?;
    stored("decode, orient, sum, store", &capture, flows, &mut lake, true)?;
    let stats = lake.stats()?;
    println!(
        "  {:.1} bytes a flow in {} files, {} hourly sums; peak memory {:.0} MB",
        stats.bytes as f64 / flows as f64,
        stats.files,
        stats.hourly,
        peak_memory_mb()?
    );
    Ok(())
}

/// What is done with each batch.
trait Taker {
    fn take(&mut self, batch: &mut FlowBatch) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
}

struct Nothing;

impl Taker for Nothing {
    fn take(&mut self, _: &mut FlowBatch) -> Result<()> {
        Ok(())
    }
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Conversations {
    table: ServiceTable,
    rollup: Rollup,
}

impl Default for Conversations {
    fn default() -> Self {
        Self { table: ServiceTable::new(), rollup: Rollup::new(HOUR_US) }
    }
}

impl Taker for Conversations {
    fn take(&mut self, batch: &mut FlowBatch) -> Result<()> {
        self.table.learn(batch);
        orient(batch, &self.table);
        self.rollup.add(batch);
        Ok(())
    }
    fn finish(&mut self) -> Result<()> {
        self.rollup.drain();
        Ok(())
    }
}

struct Store<'lake> {
    import: Option<Box<ImportTx<'lake>>>,
    conversations: Option<Conversations>,
}

impl Taker for Store<'_> {
    fn take(&mut self, batch: &mut FlowBatch) -> Result<()> {
        let import = self.import.as_mut().context("committed")?;
        if let Some(conversations) = &mut self.conversations {
            conversations.take(batch)?;
            if conversations.rollup.len() > MOST_ROWS {
                import.append_rollups(&conversations.rollup.drain())?;
            }
        }
        Ok(import.append(batch)?)
    }

    fn finish(&mut self) -> Result<()> {
        let mut import = self.import.take().context("committed")?;
        if let Some(conversations) = &mut self.conversations {
            import.append_rollups(&conversations.rollup.drain())?;
        }
        import.commit()?;
        Ok(())
    }
}

fn stored(name: &str, capture: &Path, flows: u64, lake: &mut Lake, whole: bool) -> Result<()> {
    let source = SourceIdentity::of_stream("synthetic", name, 0, flows);
    let Begun::New(import) = lake.begin_import(source)? else { bail!("the lake is not new") };
    let conversations = whole.then(Conversations::default);
    stage(name, capture, flows, &mut Store { import: Some(import), conversations })
}

fn stage(name: &str, capture: &Path, flows: u64, taker: &mut dyn Taker) -> Result<()> {
    let (clock, before) = (Instant::now(), cpu_seconds()?);
    let mut reader = intake::open("auto", Input::file(capture)?)?;
    let mut batch = FlowBatch::new(reader.source());
    let mut seen = 0;
    while reader.read(&mut batch)? {
        seen += batch.len() as u64;
        taker.take(&mut batch)?;
        batch.clear();
    }
    taker.finish()?;
    if seen != flows {
        bail!("{flows} flows written, {seen} decoded");
    }
    let spent = cpu_seconds()? - before;
    println!(
        "  {name}: {:.2} M flows per core-second (CPU {spent:.2} s, wall {:.2} s)",
        flows as f64 / spent / 1e6,
        clock.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A classic capture of UDP datagrams with 30 NetFlow v5 records each, a day's worth.
fn write_capture(path: &Path, flows: u64) -> Result<()> {
    const DAY_MS: u64 = 86_400_000;
    let mut out = BufWriter::new(File::create(path)?);
    // Microseconds, version 2.4, raw IP.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut dice = Dice::new(11);
    let mut at = 0;
    while at < flows {
        let count = (flows - at).min(30);
        let now_ms = at * DAY_MS / flows;
        let (seconds, millis) = (1_793_577_600 + (now_ms / 1000) as u32, (now_ms % 1000) as u32);
        let mut datagram = Vec::with_capacity(24 + 48 * 30);
        datagram.extend([0, 5, 0, count as u8]);
        // The router has been up for one day at the start of the capture.
        for word in [(DAY_MS + now_ms) as u32, seconds, millis * 1_000_000, at as u32, 0] {
            datagram.extend(word.to_be_bytes());
        }
        for _ in 0..count {
            record(&mut datagram, &mut dice, (DAY_MS + now_ms) as u32);
        }
        packet(&mut out, &datagram, seconds, millis * 1000)?;
        at += count;
    }
    Ok(out.flush()?)
}

/// One record: of a request, or of an answer.
fn record(out: &mut Vec<u8>, dice: &mut Dice, up_ms: u32) {
    // Every client asks twenty servers of its own, some of them much more often than others.
    let client = dice.roll(1_000) as u32;
    let peer = (dice.roll(20) * dice.roll(20) / 20) as u32;
    let server = 0x0ac8_0000 + (client * 7 + peer * 31) % 400;
    let client = 0x0a00_0000 + client;
    let port = [443_u16, 53, 80, 5432, 8080, 22, 6379, 9100][(server % 8) as usize];
    let ephemeral = 32_768 + dice.roll(28_000) as u16;
    let answer = dice.roll(2) == 1;
    let (src, dst) = if answer { (server, client) } else { (client, server) };
    let (from, to) = if answer { (port, ephemeral) } else { (ephemeral, port) };
    let packets = 1 + dice.roll(60) as u32;
    let ended = up_ms - dice.roll(15_000) as u32;
    for word in [src, dst, 0, 0x0001_0002, packets, packets * (60 + dice.roll(1_000) as u32)] {
        out.extend(word.to_be_bytes());
    }
    for word in [ended - dice.roll(60_000) as u32, ended] {
        out.extend(word.to_be_bytes());
    }
    out.extend(from.to_be_bytes());
    out.extend(to.to_be_bytes());
    out.extend([0, 0x1b, if port == 53 { 17 } else { 6 }, 0]);
    out.extend([0; 8]);
}

fn packet(out: &mut impl Write, payload: &[u8], seconds: u32, micros: u32) -> Result<()> {
    let length = 28 + payload.len();
    for word in [seconds, micros, length as u32, length as u32] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut header = vec![0x45, 0];
    header.extend((length as u16).to_be_bytes());
    header.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    for word in [50_000_u16, 2_055, 8 + payload.len() as u16, 0] {
        header.extend(word.to_be_bytes());
    }
    out.write_all(&header)?;
    Ok(out.write_all(payload)?)
}
