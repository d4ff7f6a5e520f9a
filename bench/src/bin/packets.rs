//! Sampled and captured packets: sFlow samples and packets of a trace per core-second, sFlow against other decoders.
//!
//! ```text
//! cargo run --release -p ringfence-bench --bin packets -- [COUNT] [ROUNDS]
//! ```
//!
//! sFlow: COUNT samples, seven in a datagram, each with the first 128 bytes of a TCP frame and the switch's VLANs, as switches
//! send them. Ours is the whole way from a capture file to columns, with the sampled headers read to their ports;
//! `sflow-parser` and `flowparser-sflow` are given the datagrams in memory and leave the headers as bytes. The trace: COUNT
//! packets of 20,000 connections under way at a time, with handshakes and ends, 600 bytes on the wire of which 96 were
//! captured, as flows in columns. CPU time, user and system; the decoders take turns.

use std::io::Cursor;
use std::sync::Arc;

use intake::Input;
use model::FlowBatch;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(2_000_000), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(7), |text| text.parse())?;
    sflow(count, rounds)?;
    trace(count, rounds)
}

fn sflow(count: usize, rounds: usize) -> Result<(), Failure> {
    let datagrams: Vec<Vec<u8>> = (0..count.div_ceil(SAMPLES)).map(datagram).collect();
    let samples = datagrams.len() * SAMPLES;
    let capture: Arc<[u8]> =
        capture(datagrams.iter().map(|payload| (udp(payload), 0, 42 + payload.len()))).into();
    println!(
        "sFlow: {samples} samples in {} datagrams, {} MB of capture",
        datagrams.len(),
        capture.len() / 1_000_000
    );
    let (mut ours, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(timed(|| {
            let (flows, _) = read(&capture)?;
            same(flows, samples)
        })?);
        first.push(timed(|| {
            let parsed =
                datagrams.iter().map(|bytes| sflow_parser::parse_datagram(bytes).map(|it| it.samples.len()));
            same(parsed.sum::<Result<usize, _>>()?, samples)
        })?);
        let parser = flowparser_sflow::SflowParser::default();
        second.push(timed(|| {
            let parsed = datagrams.iter().flat_map(|bytes| parser.parse_bytes(bytes).datagrams);
            same(parsed.map(|it| it.samples.len()).sum(), samples)
        })?);
    }
    let ours = report("ringfence, capture to columns", samples, ours);
    println!("  ratio {:.1}", ours / report("sflow-parser, datagrams to its records", samples, first));
    println!("  ratio {:.1}", ours / report("flowparser-sflow, datagrams to its records", samples, second));
    Ok(())
}

fn trace(count: usize, rounds: usize) -> Result<(), Failure> {
    let capture: Arc<[u8]> = capture((0..count).map(|index| {
        let (frame, at) = packet(index);
        (frame, at, 600)
    }))
    .into();
    println!("trace: {count} packets, {} MB of capture", capture.len() / 1_000_000);
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..rounds {
        times.push(timed(|| {
            let (flows, packets) = read(&capture)?;
            found = flows;
            same(packets as usize, count)
        })?);
    }
    report(&format!("ringfence, capture to {found} flows in columns"), count, times);
    Ok(())
}

/// Flows and their packets.
fn read(capture: &Arc<[u8]>) -> Result<(usize, u64), Failure> {
    let mut reader = intake::open("auto", Input::new("bench", Cursor::new(Arc::clone(capture))))?;
    let mut batch = FlowBatch::new(reader.source());
    let (mut flows, mut packets) = (0, 0);
    while reader.read(&mut batch)? {
        flows += batch.len();
        packets += batch.packets.iter().sum::<u64>() + batch.reverse_packets.iter().sum::<u64>();
        batch.clear();
    }
    Ok((flows, packets))
}

fn same(found: usize, expected: usize) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(format!("{found} decoded of {expected}").into()) }
}

/// CPU seconds that something takes.
fn timed(what: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let before = cpu_seconds()?;
    what()?;
    Ok(cpu_seconds()? - before)
}

/// User and system CPU seconds of this process, from Linux's scheduler, in nanoseconds.
fn cpu_seconds() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanos: f64 = text.split_whitespace().next().ok_or("no CPU time in schedstat")?.parse()?;
    Ok(nanos / 1e9)
}

/// Prints the best and the median rate; returns the median.
fn report(what: &str, count: usize, mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let rate = |seconds: f64| count as f64 / seconds / 1e6;
    let median = rate(seconds[seconds.len() / 2]);
    println!(
        "  {what}: median {median:.2} M per core-second (best {:.2}), {} rounds",
        rate(seconds[0]),
        seconds.len()
    );
    median
}

/// Samples of one datagram: what fits an Ethernet frame.
const SAMPLES: usize = 7;

fn datagram(number: usize) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let agent = 0x0a00_0001 + (number % 16) as u32;
    let mut bytes = words(&[5, 1, agent, 0, (number / 16) as u32, number as u32, SAMPLES as u32]);
    for index in 0..SAMPLES {
        let sequence = (number / 16 * SAMPLES + index) as u32;
        bytes.extend(words(&[1, 208, sequence, 7, 1_000, sequence * 1_000, 0, 7, 8, 2]));
        bytes.extend(words(&[1_001, 16, 100, 0, 100, 0, 1, 144, 1, 1_518, 4, 128]));
        bytes.extend(frame(number * SAMPLES + index, 0x10, 128));
    }
    bytes
}

/// A TCP frame of one of many connections, cut to a length.
fn frame(connection: usize, flags: u8, length: usize) -> Vec<u8> {
    let connection = connection as u32;
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0x02, 0x4a, 0, 7, 0, 0, 64, 6, 0, 0]);
    frame.extend((0x0a01_0000 + connection % 5_003).to_be_bytes());
    frame.extend((0x0a02_0000 + connection % 397).to_be_bytes());
    frame.extend((10_000 + (connection % 50_000) as u16).to_be_bytes());
    frame.extend([1, 187, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    frame.resize(length, 0x2a);
    frame
}

/// A packet of the trace, and when it was seen: connections of 25 packets that take turns, 20,000 at a time.
fn packet(index: usize) -> (Vec<u8>, u64) {
    let (round, place) = (index / 20_000, index % 20_000);
    let (generation, step) = (round / 25, round % 25);
    let flags = [0x02, 0x12, 0x10].get(step).copied().unwrap_or(if step >= 23 { 0x11 } else { 0x18 });
    let mut frame = frame(place + generation * 20_000, flags, 96);
    if step % 2 == 1 {
        let (there, back) = frame[26..34].split_at(4);
        let ends = [back, there].concat();
        frame[26..34].copy_from_slice(&ends);
        let ports = [&frame[36..38], &frame[34..36]].concat();
        frame[34..38].copy_from_slice(&ports);
    }
    (frame, index as u64 * 20)
}

/// A datagram to the collector as an Ethernet frame.
fn udp(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((28 + length).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40]);
    frame.extend(6_343_u16.to_be_bytes());
    frame.extend((8 + length).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A capture of frames with the microseconds and the length on the wire of each.
fn capture(frames: impl Iterator<Item = (Vec<u8>, u64, usize)>) -> Vec<u8> {
    let words = |words: [u32; 4]| words.into_iter().flat_map(u32::to_le_bytes);
    let mut file: Vec<u8> =
        words([0xa1b2_c3d4, 0x0004_0002, 0, 0]).chain(words([65_535, 1, 0, 0]).take(8)).collect();
    for (frame, micros, wire) in frames {
        let seconds = 1_600_000_000 + (micros / 1_000_000) as u32;
        file.extend(words([seconds, (micros % 1_000_000) as u32, frame.len() as u32, wire as u32]));
        file.extend(frame);
    }
    file
}
