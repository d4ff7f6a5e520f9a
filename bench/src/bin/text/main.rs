//! Lines of the text formats a core-second: reads made-up lines of each format from memory, over and over.
//!
//! `text [MILLIONS] [FORMAT..]`, or `text FILE` for a file of any format; prints a row for each. Time is the processor's,
//! user and system together; the median of five rounds, the formats in turn.

mod lines;

use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};
use model::FlowBatch;

use self::lines::FORMATS;

/// How many different lines there are.
const LINES: u32 = 20_000;

/// How often each format is read; the median counts.
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if let Some(path) = std::env::args().nth(1).map(PathBuf::from).filter(|path| path.is_file()) {
        let bytes = std::fs::metadata(&path)?.len();
        let rounds = (0..ROUNDS).map(|_| measure("auto", intake::Input::file(&path)?, bytes));
        print("auto", &mut rounds.collect::<Result<Vec<_>>>()?);
        return Ok(());
    }
    let millions: f64 =
        arguments.next().map_or(Ok(2.0), |text| text.parse()).context("MILLIONS is not a number")?;
    let only: Vec<String> = arguments.collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let formats: Vec<_> =
        FORMATS.iter().filter(|format| wanted(format.0) && intake::find(format.1).is_some()).collect();
    let mut rounds = vec![Vec::new(); formats.len()];
    for _ in 0..ROUNDS {
        // In turn, so that a loud neighbour is loud to all.
        for ((_, source, header, line), rounds) in formats.iter().zip(&mut rounds) {
            let lines = (0..LINES).map(line).collect::<String>();
            let times = ((millions * 1e6) / f64::from(LINES)).ceil() as usize;
            let bytes = header.len() + lines.len() * times;
            let input = Repeat { text: lines.into_bytes(), times, at: 0 };
            let input = io::Cursor::new(header.as_bytes().to_vec()).chain(input);
            rounds.push(measure(source, intake::Input::new("made up", input), bytes as u64)?);
        }
    }
    for ((name, ..), rounds) in formats.iter().zip(&mut rounds) {
        print(name, rounds);
    }
    Ok(())
}

/// What reading an input to its end took.
#[derive(Clone, Copy)]
struct Round {
    seconds: f64,
    bytes: u64,
    records: u64,
    flows: u64,
    rejected: u64,
}

fn measure(source: &str, input: intake::Input, bytes: u64) -> Result<Round> {
    let before = cpu_seconds()?;
    let mut reader = intake::open(source, input)?;
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch)? {
        batch.clear();
    }
    let seconds = cpu_seconds()? - before;
    let summary = reader.summary();
    let (records, flows, rejected) = (summary.datagrams, summary.flows, summary.rejected);
    Ok(Round { seconds, bytes, records, flows, rejected })
}

/// The median of the rounds, and the best.
fn print(name: &str, rounds: &mut [Round]) {
    rounds.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (best, median) = (rounds[0], rounds[rounds.len() / 2]);
    let Round { seconds, bytes, records, flows, rejected } = median;
    println!(
        "{name}: {:.2} million flows a core-second (best {:.2}), {:.0} MB a core-second, {:.0} bytes a flow \
         ({records} records, {flows} flows, {rejected} rejected, {seconds:.2} s)",
        flows as f64 / seconds / 1e6,
        flows as f64 / best.seconds / 1e6,
        bytes as f64 / seconds / 1e6,
        bytes as f64 / flows as f64,
    );
}

/// A text over and over.
struct Repeat {
    text: Vec<u8>,
    times: usize,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.times == 0 {
            return Ok(0);
        }
        let rest = &self.text[self.at..];
        let bytes = rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        self.at += bytes;
        if self.at == self.text.len() {
            (self.at, self.times) = (0, self.times - 1);
        }
        Ok(bytes)
    }
}

/// User and system time of this process so far, in ticks of a hundredth of a second.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().context("no name in /proc/self/stat")?;
    let ticks = after.split_ascii_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
