//! Exporters' datagrams from the network.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{FlowBatch, Micros};

use crate::datagram::{Datagram, Framing, Sender};
use crate::error::IntakeError;
use crate::ledger::{Ledger, OnReject, Reject, Summary};
use crate::source::BATCH_ROWS;
use crate::sources::netflow::{Decoder, Limits, SOURCE};

/// The largest UDP payload.
const DATAGRAM_MAX: usize = 65_535;

/// How long a receive waits before it looks at the stop flag and at the flush interval.
const PATIENCE: Duration = Duration::from_millis(100);

/// How a [`UdpListener`] behaves.
#[derive(Clone, Copy, Debug)]
pub struct ListenerOptions {
    /// Bounds on what is remembered of exporters.
    pub limits: Limits,
    /// A batch goes out when it is full or this old.
    pub flush_interval: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), flush_interval: Duration::from_secs(1) }
    }
}

/// Receives NetFlow v5, v9 and IPFIX over UDP.
///
/// Memory is bounded by one batch and the decoder's [`Limits`]. What the process is too slow for is dropped by the kernel:
/// it is counted in [`Summary::dropped`] where the system tells (Linux), and shows as gaps in [`Summary::sequences`].
pub struct UdpListener {
    socket: UdpSocket,
    address: SocketAddr,
    decoder: Decoder,
    ledger: Ledger,
    options: ListenerOptions,
    buffer: Vec<u8>,
    kernel_drops: u64,
}

/// What the kernel could not keep for us; the remedy is a larger `net.core.rmem_max` or a faster disk.
const KERNEL: &str = "datagram dropped by the kernel, receive buffer full";

impl UdpListener {
    /// Listens on an address such as `0.0.0.0:2055`; port 0 takes any free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(address: SocketAddr, options: ListenerOptions) -> Result<Self, IntakeError> {
        let io = |source| IntakeError::Io { action: "listen on", file: address.to_string(), source };
        let socket = UdpSocket::bind(address).map_err(io)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(io)?;
        let bound = socket.local_addr().map_err(io)?;
        let label = format!("udp {bound}");
        Ok(Self {
            socket,
            address: bound,
            decoder: Decoder::new(options.limits).mending_clocks(),
            ledger: Ledger::new(label.into(), None),
            options,
            buffer: vec![0; DATAGRAM_MAX],
            kernel_drops: 0,
        })
    }

    /// Calls `hear` with every rejected datagram or record.
    #[must_use]
    pub fn on_reject(mut self, hear: impl FnMut(&Reject) + Send + 'static) -> Self {
        let hear: OnReject = Box::new(hear);
        self.ledger = Ledger::new(self.ledger.file, Some(hear));
        self
    }

    /// Where it listens: the address asked for, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was received and lost so far.
    pub fn summary(&self) -> &Summary {
        &self.ledger.summary
    }

    /// Receives until `stop` is set, and hands out each batch when it is full or old; `give` may take the rows out and
    /// need not empty the batch. On a quiet network it is given an empty batch instead, so that it can act on time.
    /// Returns at most a tenth of a second after `stop`, when everything received was given.
    ///
    /// # Errors
    /// When the socket fails, or with the first error of `give`.
    pub fn run<E: From<IntakeError>>(
        &mut self,
        stop: &AtomicBool,
        mut give: impl FnMut(&mut FlowBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut batch = FlowBatch::new(SOURCE.name);
        let mut since = Instant::now();
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            let quiet = !self.receive(&mut batch)?;
            let old = since.elapsed() >= self.options.flush_interval;
            if batch.len() >= BATCH_ROWS || old || stopping && quiet {
                self.count_kernel_drops();
                give(&mut batch)?;
                batch.clear();
                since = Instant::now();
            }
            // What had arrived before the stop is still taken, unless it never ends.
            if stopping && (quiet || old) {
                self.decoder.give_up_waiting(&mut self.ledger);
                self.count_kernel_drops();
                return Ok(());
            }
        }
    }

    /// One datagram into the batch; `false` when none came in time.
    fn receive(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError> {
        let (length, from) = match self.socket.recv_from(&mut self.buffer) {
            Ok(received) => received,
            // Interrupted, timed out, or an earlier ICMP error that has nothing to do with receiving.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                        | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(false);
            }
            Err(source) => {
                return Err(IntakeError::Io { action: "receive on", file: self.address.to_string(), source });
            }
        };
        let offset = self.ledger.summary.bytes_read;
        self.ledger.summary.packets += 1;
        self.ledger.summary.bytes_read += length as u64;
        // An IPv4 exporter on a dual-stack socket comes as ::ffff:a.b.c.d, which is how addresses are stored anyway.
        let sender = Sender { ip: from.ip().into(), port: from.port() };
        let bytes = &self.buffer[..length];
        let datagram = Datagram { sender, received: now(), bytes, framing: Framing::Packet, offset };
        self.decoder.datagram(datagram, batch, &mut self.ledger);
        Ok(true)
    }
}

impl UdpListener {
    /// Takes over the kernel's count for this socket. Its bytes are nobody's to count.
    fn count_kernel_drops(&mut self) {
        let table = if self.address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
        let total = std::fs::read_to_string(table).ok().and_then(|text| drops_of(&text, self.address.port()));
        if let Some(new) = total.and_then(|total| total.checked_sub(self.kernel_drops)).filter(|new| *new > 0)
        {
            self.kernel_drops += new;
            self.ledger.drop_many(KERNEL, usize::try_from(new).unwrap_or(usize::MAX), 0);
        }
    }
}

/// The drops of the sockets on a port, by the table in `/proc/net/udp`: the local address is its second column, in
/// hexadecimal with the port behind a colon, the drops its last.
fn drops_of(table: &str, port: u16) -> Option<u64> {
    let ours = format!(":{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let drops = lines
        .filter(|columns| columns.get(1).is_some_and(|local| local.ends_with(&ours)))
        .filter_map(|columns| columns.last()?.parse::<u64>().ok());
    drops.reduce(|sum, more| sum + more)
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_port() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                     1: 0100007F:0807 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 17\n\
                     2: 0100007F:1234 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 5\n";
        assert_eq!(drops_of(table, 2_055), Some(17));
        assert_eq!(drops_of(table, 9), None);
    }
}
