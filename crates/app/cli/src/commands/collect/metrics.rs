//! Counters for Prometheus: the text format, version 0.0.4, over HTTP on loopback.
//!
//! No HTTP library: one kind of request is answered, one at a time, bounded in bytes and time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use intake::{Reception, Sequence};

use super::ports::Ports;
use super::settings::Port;
use super::store::Progress;

/// How long a client may take, for its request and for our answer.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_MAX: usize = 8 << 10;
/// Exporters whose sequence numbers are shown apart; the others are shown together.
const EXPORTERS_MAX: usize = 1_000;

/// Everything that is shown.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) ports: Ports,
    pub(super) progress: Arc<Progress>,
    /// Flows gathered for the next portion.
    pub(super) gathered: Arc<AtomicU64>,
    /// When the oldest of them came, in microseconds; 0 for none.
    pub(super) oldest_us: Arc<AtomicU64>,
    pub(super) queue_capacity: usize,
}

/// Answers at an address until the process ends. Gives the address, with the port that was taken.
///
/// # Errors
/// When the address cannot be listened on.
pub(super) fn serve(address: SocketAddr, shown: Shown) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            match stream {
                // A client that goes away is its own loss.
                Ok(stream) => drop(answer(&stream, &shown)),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(bound)
}

fn answer(mut stream: &TcpStream, shown: &Shown) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; 1_024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..length]);
        if length == 0 || request.len() > REQUEST_MAX {
            break;
        }
    }
    let line = String::from_utf8_lossy(&request);
    let mut words = line.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", text(shown)),
        ("GET" | "HEAD", _) => ("404 Not Found", "the counters are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// The counters as text.
fn text(shown: &Shown) -> String {
    let receptions = shown.ports.receptions();
    let mut page = Page::default();
    received(&mut page, &receptions);
    lost(&mut page, &receptions);
    exporters(&mut page, &receptions);
    stored(&mut page, shown);
    page.0
}

/// A figure of a port: name, help, and where it is.
type Figure<T = Reception> = (&'static str, &'static str, fn(&T) -> u64);

const COUNTERS: &[Figure] = &[
    ("datagrams", "Datagrams received, readable or not.", |r| r.summary.packets),
    ("messages", "Exporter datagrams and messages decoded.", |r| r.summary.datagrams),
    ("bytes", "Bytes received.", |r| r.summary.bytes_read),
    ("flows", "Flows decoded.", |r| r.summary.flows),
    ("options_records", "Records about exporters rather than traffic.", |r| r.summary.options_records),
    ("template_definitions", "Template definitions received, repetitions included.", |r| r.summary.templates),
    ("rejected", "Records and datagrams that made no sense.", |r| r.summary.rejected),
    ("kernel_drops", "Datagrams the kernel dropped because its receive buffer was full.", |r| r.kernel_drops),
    ("connections", "TCP connections accepted or refused.", |r| r.connections_total),
];

const GAUGES: &[Figure] = &[
    ("templates", "Templates remembered now, under their port and under their exporter.", |r| r.templates as u64),
    ("pending_bytes", "Bytes of sets that wait for their template now.", |r| r.pending_bytes as u64),
    ("receive_buffer_bytes", "What the kernel keeps for the port's sockets.", |r| r.receive_buffer_bytes as u64),
    ("open_connections", "TCP connections open now.", |r| r.connections as u64),
];

fn received(page: &mut Page, receptions: &[(Port, Reception)]) {
    for (figures, kind) in [(COUNTERS, "counter"), (GAUGES, "gauge")] {
        for (name, help, of) in figures {
            let name = if kind == "counter" { format!("{name}_total") } else { (*name).to_owned() };
            page.family(&name, kind, help);
            for (port, reception) in receptions {
                page.sample(&name, &[("listener", &port.to_string())], of(reception));
            }
        }
    }
}

fn lost(page: &mut Page, receptions: &[(Port, Reception)]) {
    page.family("unused_total", "counter", "What was received and not used, by reason.");
    for (port, reception) in receptions {
        for (reason, dropped) in &reception.summary.dropped {
            page.sample("unused_total", &[("listener", &port.to_string()), ("reason", reason)], dropped.count);
        }
    }
    page.family("unused_bytes_total", "counter", "Bytes that were received and not used, by reason.");
    for (port, reception) in receptions {
        for (reason, dropped) in &reception.summary.dropped {
            let labels = [("listener", &*port.to_string()), ("reason", reason)];
            page.sample("unused_bytes_total", &labels, dropped.bytes);
        }
    }
}

fn exporters(page: &mut Page, receptions: &[(Port, Reception)]) {
    let mut all = Reception::default();
    receptions.iter().for_each(|(_, reception)| all.merge(reception));
    let mut heard: Vec<_> = all.exporters.iter().map(|(ip, heard)| (ip.to_string(), *heard)).collect();
    heard.push(("others".to_owned(), all.others));
    let figures: [Figure<intake::Heard>; 3] = [
        ("exporter_messages_total", "Datagrams and messages decoded, by exporter.", |h| h.datagrams),
        ("exporter_bytes_total", "Bytes received, by exporter.", |h| h.bytes),
        ("exporter_flows_total", "Flows decoded, by exporter.", |h| h.flows),
    ];
    for (name, help, of) in figures {
        page.family(name, "counter", help);
        heard.iter().for_each(|(exporter, heard)| page.sample(name, &[("exporter", exporter)], of(heard)));
    }
    let mut jumps: BTreeMap<&str, Sequence> = BTreeMap::new();
    for (exporter, sequence) in &all.summary.sequences {
        let room = jumps.len() < EXPORTERS_MAX;
        let sum = jumps.entry(if room { exporter } else { "others" }).or_default();
        sum.gaps += sequence.gaps;
        sum.missing += sequence.missing;
        sum.resets += sequence.resets;
    }
    let figures: [Figure<Sequence>; 3] = [
        ("sequence_gaps_total", "Jumps forward of sequence numbers: something was lost on the way.", |s| s.gaps),
        ("sequence_missing_total", "What those jumps skip, in the exporter's unit: flows, or datagrams for version 9.", |s| {
            s.missing
        }),
        ("sequence_resets_total", "Jumps back: a restart, or datagrams out of order.", |s| s.resets),
    ];
    for (name, help, of) in figures {
        page.family(name, "counter", help);
        jumps.iter().for_each(|(exporter, jumps)| page.sample(name, &[("exporter", exporter)], of(jumps)));
    }
}

fn stored(page: &mut Page, shown: &Shown) {
    let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let progress = &shown.progress;
    page.one("queue_depth", "gauge", "Batches that wait to be gathered.", shown.ports.queue_depth() as u64);
    page.one("queue_capacity", "gauge", "Batches that can wait before receiving stops.", shown.queue_capacity as u64);
    page.one("gathered_flows", "gauge", "Flows gathered and not yet given to the lake.", read(&shown.gathered));
    page.one("storing_flows", "gauge", "Flows that the lake is storing now.", read(&progress.storing));
    page.one("stored_flows_total", "counter", "Flows that the lake has accepted.", read(&progress.flows));
    page.one("commit_failures_total", "counter", "Attempts to store that failed and are repeated.", read(&progress.failures));
    page.family("commit_seconds", "summary", "Time that transactions of the lake took.");
    page.sample("commit_seconds_sum", &[], seconds(read(&progress.commit_us)));
    page.sample("commit_seconds_count", &[], read(&progress.commits));
    page.family("last_commit_timestamp_seconds", "gauge", "When the lake last accepted flows; 0 before.");
    page.sample("last_commit_timestamp_seconds", &[], seconds(read(&progress.last_us)));
    page.family("lag_seconds", "gauge", "Age of the oldest flow that was gathered and not yet given to the lake.");
    let (oldest, now) = (read(&shown.oldest_us), super::now().cast_unsigned());
    let lag = if oldest == 0 { 0 } else { now.saturating_sub(oldest) };
    page.sample("lag_seconds", &[], seconds(lag));
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The page being written.
#[derive(Default)]
struct Page(String);

impl Page {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP ringfence_collect_{name} {help}\n# TYPE ringfence_collect_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.0, "ringfence_collect_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{escaped}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}
