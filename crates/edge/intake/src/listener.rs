//! Exporters' datagrams and messages from the network: sockets, the threads that decode what they receive, and the queue
//! that their flows leave by.
//!
//! One exporter is always decoded by one thread. A UDP listener may have several sockets on its port, each with a thread
//! and a decoder; a filter in the kernel chooses the socket by the exporter's address alone (see [`steer`]). The kernel's
//! own choice would also look at the exporter's port, and would spread templates, sampling rates and sequence numbers of
//! exporters that change it over decoders that know nothing of each other.
//!
//! Memory is bounded: by the decoders' [`Limits`], one batch a thread, and the queue. When the queue is full the threads
//! stop receiving: TCP then holds its senders back, and what UDP sends meanwhile waits in the kernel's buffer; what does
//! not fit there is dropped by the kernel, and counted.

mod access;
mod drops;
mod kind;
mod queue;
mod status;
mod steer;
mod tcp;
mod udp;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub use access::{Access, Allowed};
pub use kind::{LISTENERS, ListenKind, Transport, listen_kind};
pub use queue::{Deliveries, Delivery, Ended, Outlet, queue};
pub use status::{Heard, Reception};

use crate::error::IntakeError;
use crate::sources::netflow::Limits;
use status::Shared;
use worker::Worker;

/// How long a receive waits before it looks at the stop flag and at the flush interval.
const PATIENCE: Duration = Duration::from_millis(100);

/// How a [`Listener`] behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerOptions {
    /// Bounds on what each thread remembers of exporters.
    pub limits: Limits,
    /// A batch goes out when it is full or this old.
    pub flush_interval: Duration,
    /// Sockets and threads of a UDP port; exporters are spread over them by their address.
    pub workers: usize,
    /// Bytes that the kernel is asked to keep for each UDP socket while we are busy. What it granted is in
    /// [`Reception::receive_buffer_bytes`].
    pub receive_buffer_bytes: usize,
    /// TCP connections at once; more are closed at once, and counted.
    pub connections: usize,
    /// A TCP connection that is silent for so long is closed.
    pub idle: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            flush_interval: Duration::from_secs(1),
            workers: 1,
            receive_buffer_bytes: 32 << 20,
            connections: 64,
            idle: Duration::from_secs(30 * 60),
        }
    }
}

/// A port that is listened on until it is stopped.
pub struct Listener {
    kind: &'static ListenKind,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    shared: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    /// Listens on an address such as `0.0.0.0:2055` (port 0 takes any free one), and puts flows of the exporters that
    /// `access` allows into the queue. `states` are what [`Reception::states`] of an earlier run gave, if anything.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a thread cannot be started.
    pub fn open(
        kind: &'static ListenKind,
        address: SocketAddr,
        options: ListenerOptions,
        access: &Arc<Access>,
        outlet: &Outlet,
        states: &[Vec<u8>],
    ) -> Result<Self, IntakeError> {
        let failed = |source| IntakeError::Io {
            action: "listen on",
            file: format!("{} {address}", kind.transport.name()),
            source,
        };
        let mut listener =
            Self { kind, address, stop: Arc::default(), shared: Vec::new(), threads: Vec::new() };
        match kind.transport {
            Transport::Udp => {
                let sockets = udp::bind(address, options.workers.max(1), options.receive_buffer_bytes)
                    .map_err(failed)?;
                listener.address = sockets.address;
                let same = states.len() == sockets.sockets.len();
                for (index, socket) in sockets.sockets.into_iter().enumerate() {
                    let mut worker = listener.worker(options, access, outlet);
                    // Each thread goes on with its own exporters; were there other threads, with all of them.
                    let own = states.iter().enumerate().filter(|(from, _)| !same || *from == index);
                    own.for_each(|(_, state)| worker.restore(state));
                    let stop = Arc::clone(&listener.stop);
                    listener.start(move || udp::run(&socket, worker, &stop)).map_err(failed)?;
                }
            }
            Transport::Tcp => {
                let socket = TcpListener::bind(address).map_err(failed)?;
                listener.address = socket.local_addr().map_err(failed)?;
                let mut worker = listener.worker(options, access, outlet);
                states.iter().for_each(|state| worker.restore(state));
                let stop = Arc::clone(&listener.stop);
                listener.start(move || tcp::run(&socket, worker, &stop)).map_err(failed)?;
            }
        }
        Ok(listener)
    }

    /// What it listens for.
    pub fn kind(&self) -> &'static ListenKind {
        self.kind
    }

    /// Where it listens: the address asked for, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was received and lost so far, as of a second ago at most while anything is received.
    pub fn status(&self) -> Reception {
        let mut status = Reception::default();
        self.shared.iter().for_each(|shared| status.merge(&shared.read()));
        status
    }

    /// Asks the threads to stop. What the kernel has received by then is still taken; [`Listener::finish`] waits for it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has come to its end, after [`Listener::stop`] or a failure; [`Listener::finish`] then waits for nothing.
    pub fn ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Stops, and waits until everything received is in the queue, which somebody must empty meanwhile. Gives the last
    /// word on what was received and lost.
    pub fn finish(mut self) -> Reception {
        self.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.status()
    }

    fn worker(&mut self, options: ListenerOptions, access: &Arc<Access>, outlet: &Outlet) -> Worker {
        let shared = Arc::new(Shared::default());
        self.shared.push(Arc::clone(&shared));
        let label = format!("{} {}", self.kind.transport.name(), self.address);
        Worker::new(self.kind, &label, options, Arc::clone(access), outlet.clone(), shared)
    }

    fn start(&mut self, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let name = format!("{} {}", self.kind.name, self.threads.len());
        self.threads.push(std::thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
