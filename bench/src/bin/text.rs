//! Lines of the text formats a core-second: reads made-up lines of each format from memory, over and over.
//!
//! `text [MILLIONS] [FORMAT]`, or `text FILE` for a file of any format; prints a row for each. Time is the processor's, user and system together.

use std::fmt::Write as _;
use std::io::{self, Read};

use anyhow::{Context, Result};
use model::FlowBatch;

/// How many different lines there are.
const LINES: u32 = 20_000;

type Line = fn(u32) -> String;

const FORMATS: &[(&str, &str, Line)] =
    &[("aws-vpc", "", aws), ("azure", "", azure), ("gcp", "", gcp), ("csv", CSV_HEADER, csv)];

const CSV_HEADER: &str = "start,end,src_ip,src_port,dst_ip,dst_port,protocol,packets,bytes,action\n";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if let Some(path) = std::env::args().nth(1).map(std::path::PathBuf::from).filter(|path| path.is_file()) {
        let bytes = std::fs::metadata(&path)?.len() as f64;
        return measure("auto", intake::Input::file(&path)?, bytes);
    }
    let millions: f64 =
        arguments.next().map_or(Ok(5.0), |text| text.parse()).context("MILLIONS is not a number")?;
    let only = arguments.next();
    for (name, header, line) in FORMATS {
        if only.as_deref().is_some_and(|only| only != *name) || intake::find(name).is_none() {
            continue;
        }
        let lines = (0..LINES).map(line).collect::<String>();
        let times = ((millions * 1e6) / f64::from(LINES)).ceil() as usize;
        let input = header.bytes().collect::<Vec<_>>();
        let bytes = (input.len() + lines.len() * times) as f64;
        let input = io::Cursor::new(input).chain(Repeat { text: lines.into_bytes(), times, at: 0 });
        measure(name, intake::Input::new("made up", input), bytes)?;
    }
    Ok(())
}

/// Reads an input to its end and prints how fast that was.
fn measure(name: &str, input: intake::Input, bytes: f64) -> Result<()> {
    let before = cpu_seconds()?;
    let mut reader = intake::open(name, input)?;
    let mut batch = FlowBatch::new(reader.source());
    let mut flows = 0;
    while reader.read(&mut batch)? {
        flows += batch.len();
        batch.clear();
    }
    let seconds = cpu_seconds()? - before;
    let rejected = reader.summary().rejected;
    println!(
        "{name}: {:.2} million flows a core-second, {:.0} MB a core-second ({flows} flows, {rejected} rejected, {seconds:.2} s)",
        flows as f64 / seconds / 1e6,
        bytes / seconds / 1e6,
    );
    Ok(())
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

/// Numbers that look like a network's, made of the line's number.
struct Made {
    client: String,
    server: String,
    port: u32,
    service: u32,
    packets: u32,
    bytes: u32,
    start: u32,
}

fn made(line: u32) -> Made {
    let mixed = line.wrapping_mul(2_654_435_761) >> 8;
    Made {
        client: format!("10.{}.{}.{}", mixed % 8, mixed / 8 % 256, line % 256),
        server: format!("172.31.{}.{}", mixed % 4, mixed / 4 % 256),
        port: 32_768 + mixed % 28_000,
        service: [443, 5432, 22, 8080, 53][(mixed % 5) as usize],
        packets: 1 + mixed % 900,
        bytes: 60 + mixed % 900_000,
        start: 1_600_000_000 + line / 50,
    }
}

fn aws(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    let interface = line / 40 % 100;
    format!(
        "2 123456789010 eni-1235b8ca1234567{interface:02} {client} {server} {port} {service} 6 {packets} {bytes} {start} {} ACCEPT OK\n",
        start + 60
    )
}

/// One record of a VNet flow log in 20 lines; a line is a tuple.
fn azure(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    let mut text = String::new();
    if line.is_multiple_of(20) {
        let _ = write!(
            text,
            "{{\"time\":\"2022-09-14T09:00:52.5625085Z\",\"flowLogVersion\":4,\"macAddress\":\"00224871C205\",\"category\":\
             \"FlowLogFlowEvent\",\"targetResourceID\":\"/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v\",\
             \"flowRecords\":{{\"flows\":[{{\"aclID\":\"0\",\"flowGroups\":[{{\"rule\":\"UserRule_web\",\"flowTuples\":["
        );
    }
    let end = if line % 20 == 19 { "]}]}]}}\n" } else { "," };
    let _ = write!(
        text,
        "\"{start}123,{client},{server},{port},{service},6,O,E,NX,{packets},{bytes},{packets},{bytes}\"{end}"
    );
    text
}

fn gcp(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, .. } = made(line);
    format!(
        "{{\"insertId\":\"ut8lbrffooxyw\",\"jsonPayload\":{{\"bytes_sent\":\"{bytes}\",\"connection\":{{\"dest_ip\":\"{server}\",\
         \"dest_port\":{service},\"protocol\":6,\"src_ip\":\"{client}\",\"src_port\":{port}}},\"end_time\":\"2019-06-14T03:45:37.301953198Z\",\
         \"packets_sent\":\"{packets}\",\"reporter\":\"SRC\",\"rtt_msec\":\"36\",\"src_instance\":{{\"project_id\":\"p\",\"region\":\"us-east1\",\
         \"vm_name\":\"kibana\",\"zone\":\"us-east1-b\"}},\"src_vpc\":{{\"project_id\":\"p\",\"subnetwork_name\":\"default\",\"vpc_name\":\"default\"}},\
         \"start_time\":\"2019-06-14T03:45:37.186193305Z\"}},\"logName\":\"projects/p/logs/compute.googleapis.com%2Fvpc_flows\",\
         \"receiveTimestamp\":\"2019-06-14T03:50:10.845445834Z\",\"resource\":{{\"labels\":{{\"location\":\"us-east1-b\",\"project_id\":\"p\"}},\
         \"type\":\"gce_subnetwork\"}},\"timestamp\":\"2019-06-14T03:50:10.845445834Z\"}}\n"
    )
}

fn csv(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    format!("{start},{},{client},{port},{server},{service},tcp,{packets},{bytes},allow\n", start + 60)
}
