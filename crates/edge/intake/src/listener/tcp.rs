//! TCP connections that carry IPFIX messages one after the other (RFC 7011, 10.4).
//!
//! A thread and a decoder a connection, for templates live as long as their connection (RFC 7011, 8); one batch and one
//! ledger for all. Flow control is the kernel's: who waits for room in the queue does not read, and the exporter is held
//! back.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use netset::Ip;

use super::PATIENCE;
use super::worker::Worker;
use crate::datagram::Sender;
use crate::sources::netflow::{Limits, StreamDecoder};

/// What one read fetches.
const BUFFER: usize = 64 << 10;
/// A thread needs little: what is remembered lies on the heap.
const STACK: usize = 256 << 10;

const TOO_MANY: &str = "connection beyond the limit on connections";
const IDLE: &str = "connection closed for its silence";

/// Accepts connections until `stop` is set or nobody takes flows any more, then waits for them to come to their end.
pub(super) fn run(socket: &TcpListener, worker: Worker, stop: &AtomicBool) {
    let options = worker.options;
    let worker = Mutex::new(worker);
    let open = AtomicUsize::new(0);
    if let Err(error) = socket.set_nonblocking(true) {
        lock(&worker).fail("listen on", error);
        return;
    }
    std::thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) && !lock(&worker).abandoned {
            match socket.accept() {
                Ok((stream, from)) => {
                    if !admitted(&mut lock(&worker), from, &open, options.connections) {
                        continue;
                    }
                    open.fetch_add(1, Ordering::Relaxed);
                    let (worker, open) = (&worker, &open);
                    let sender = Sender { ip: from.ip().into(), port: from.port() };
                    let decoder = StreamDecoder::new(sender, Limits::CONNECTION);
                    let connection = Connection { exporter: sender.ip, decoder, worker, stop };
                    let serve = move || {
                        connection.serve(&stream);
                        open.fetch_sub(1, Ordering::Relaxed);
                    };
                    let name = format!("ipfix {from}");
                    let started = std::thread::Builder::new().name(name).stack_size(STACK);
                    if started.spawn_scoped(scope, serve).is_err() {
                        open.fetch_sub(1, Ordering::Relaxed);
                        lock(worker).refuse(TOO_MANY);
                    }
                }
                // Nobody there; or what accept says of a connection that is gone already, or of too few descriptors.
                Err(_) => std::thread::sleep(PATIENCE),
            }
            let mut worker = lock(&worker);
            worker.status().connections = open.load(Ordering::Relaxed);
            worker.keep_time();
        }
    });
    let mut worker = lock(&worker);
    worker.status().connections = 0;
    worker.finish();
}

fn admitted(worker: &mut Worker, from: SocketAddr, open: &AtomicUsize, limit: usize) -> bool {
    worker.status().connections_total += 1;
    if !worker.admits(from.ip().into()) {
        return false;
    }
    let room = open.load(Ordering::Relaxed) < limit;
    if !room {
        worker.refuse(TOO_MANY);
    }
    room
}

fn lock(worker: &Mutex<Worker>) -> MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Connection<'a> {
    exporter: Ip,
    decoder: StreamDecoder,
    worker: &'a Mutex<Worker>,
    stop: &'a AtomicBool,
}

impl Connection<'_> {
    /// Reads to the end: of the stream, of patience with a silent one, of what makes sense, or of all listening.
    fn serve(mut self, stream: &TcpStream) {
        // On some systems a connection inherits that its listener does not wait.
        let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        if ready.is_ok() {
            self.read(stream);
        }
        lock(self.worker).end_stream(&mut self.decoder);
    }

    fn read(&mut self, mut stream: &TcpStream) {
        let idle = lock(self.worker).options.idle;
        let mut buffer = vec![0; BUFFER];
        let mut heard = Instant::now();
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    heard = Instant::now();
                    let mut worker = lock(self.worker);
                    let sound = worker.take_stream(self.exporter, &mut self.decoder, &buffer[..length]);
                    worker.keep_time();
                    if !sound || worker.abandoned {
                        return;
                    }
                }
                Err(error) if waits(&error) => {
                    // At a stop, what had arrived was read by now.
                    if self.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if heard.elapsed() >= idle {
                        lock(self.worker).refuse(IDLE);
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn waits(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
