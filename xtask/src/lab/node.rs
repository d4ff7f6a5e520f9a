//! Small servers that run inside the lab: a metrics exporter, an application, a sink.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Runs one of them until killed: `exporter PORT NAME`, `app PORT DATABASE NAME CACHE PAYMENTS`, `sink PORT`,
/// `datagrams PORT..`.
pub(super) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exporter", port, name] => {
            let body = format!("# a metric of {name}\nup{{host=\"{name}\"}} 1\n{}", "load 0.5\n".repeat(60));
            serve(port, move |_| Ok(body.clone()))
        }
        ["app", port, database, name, cache, payments] => {
            let app = App {
                database: (*database).to_owned(),
                name: (*name).to_owned(),
                cache: (*cache).to_owned(),
                payments: payments.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect(),
            };
            serve(port, move |path| app.answer(path))
        }
        ["sink", port] => sink(port),
        ["datagrams", ports @ ..] => datagrams(ports),
        _ => bail!("no such node: {words:?}"),
    }
}

/// An application that really asks its cache, its database and its payment service.
struct App {
    database: String,
    name: String,
    cache: String,
    payments: Vec<String>,
}

impl App {
    fn answer(&self, path: &str) -> anyhow::Result<String> {
        let mut body = String::new();
        let number: usize =
            path.chars().filter(char::is_ascii_digit).fold(0, |n, d| (n * 10 + d as usize) % 4001);
        if self.cache != "-" {
            body += &run("redis-cli", &["-h", &self.cache, "incr", "hits"])?;
        }
        let asks_database = !path.contains("catalog");
        if asks_database {
            let target = format!("host={} user=app dbname={} connect_timeout=5", self.database, self.name);
            let sql = format!("select * from orders where id % 1000 = {}", number % 1000);
            body += &run("psql", &["-XAtc", &sql, &target])?;
        }
        if path.contains("order") && !self.payments.is_empty() {
            let target = &self.payments[number % self.payments.len()];
            body += &run("curl", &["-sf", "-m", "8", &format!("http://{target}:8080/api/pay/{number}")])?;
        }
        Ok(body)
    }
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let out = Command::new(program)
        .args(arguments)
        .env("PGPASSWORD", super::daemons::PASSWORD)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !out.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The least of an HTTP server: one thread a connection, one request a connection.
fn serve<F>(port: &str, answer: F) -> anyhow::Result<()>
where
    F: Fn(&str) -> anyhow::Result<String> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    for connection in listen(port)?.incoming() {
        let Ok(connection) = connection else { continue };
        let answer = Arc::clone(&answer);
        std::thread::spawn(move || {
            if let Err(error) = respond(connection, answer.as_ref()) {
                eprintln!("{error:#}");
            }
        });
    }
    Ok(())
}

fn respond(mut connection: TcpStream, answer: &dyn Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(connection.try_clone()?).take(16_384).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match answer(path) {
        Ok(body) => ("200 OK", body),
        Err(error) => {
            eprintln!("{path}: {error:#}");
            ("502 Bad Gateway", format!("{error:#}\n"))
        }
    };
    let length = body.len();
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    Ok(())
}

/// Reads and forgets.
fn sink(port: &str) -> anyhow::Result<()> {
    for connection in listen(port)?.incoming().flatten() {
        std::thread::spawn(move || {
            let mut connection = connection;
            std::io::copy(&mut connection, &mut std::io::sink())
        });
    }
    Ok(())
}

/// Receives datagrams and forgets them, so that exporters meet no "port unreachable".
fn datagrams(ports: &[&str]) -> anyhow::Result<()> {
    let mut threads = Vec::new();
    for port in ports {
        let socket = UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], port.parse::<u16>()?)))?;
        threads.push(std::thread::spawn(move || {
            let mut buffer = [0u8; 65_536];
            while socket.recv(&mut buffer).is_ok() {}
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn listen(port: &str) -> anyhow::Result<TcpListener> {
    let port: u16 = port.parse().with_context(|| format!("`{port}` is not a port"))?;
    TcpListener::bind(("0.0.0.0", port)).with_context(|| format!("cannot listen on tcp/{port}"))
}
