//! UDP sockets, and the thread of each.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use super::worker::{Worker, now};
use super::{PATIENCE, drops};

/// The sockets of one port.
pub(super) struct Sockets {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) address: SocketAddr,
}

#[cfg(target_os = "linux")]
use linux::Receiver;
#[cfg(target_os = "linux")]
pub(super) use linux::bind;
#[cfg(not(target_os = "linux"))]
use portable::Receiver;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::bind;

/// Receives and decodes until `stop` is set and nothing is left, or nobody takes flows any more.
pub(super) fn run(socket: &UdpSocket, mut worker: Worker, stop: &AtomicBool) {
    let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let mut receiver = Receiver::new(socket);
    worker.status().receive_buffer_bytes = receiver.buffer_bytes();
    // At a stop, what had arrived is still taken; on a port that never falls silent, as much as the buffer holds.
    let mut stopping_for = 0_u32;
    while !worker.abandoned {
        let received = match receiver.receive(socket) {
            Ok(received) => received,
            Err(error) if passes(&error) => 0,
            Err(error) => {
                worker.fail("receive on", error);
                break;
            }
        };
        let at = now();
        for (from, bytes) in receiver.datagrams() {
            worker.take(from.ip().into(), from.port(), at, bytes);
        }
        if worker.keep_time() {
            count_drops(&receiver, socket, address, &mut worker);
        }
        if stop.load(Ordering::Relaxed) {
            stopping_for += 1;
            if received == 0 || stopping_for > 10_000 {
                break;
            }
        } else {
            receiver.rest(received);
        }
    }
    count_drops(&receiver, socket, address, &mut worker);
    worker.finish();
}

fn count_drops(receiver: &Receiver, socket: &UdpSocket, address: SocketAddr, worker: &mut Worker) {
    // Two ways to the same counter. The table also tells of drops after the last datagram; the control message is there
    // where `/proc` is hidden.
    let told = receiver.drops().into_iter().chain(drops::of_socket(socket, address)).max();
    if let Some(total) = told {
        worker.kernel_drops(total);
    }
}

/// Whether receiving may go on: interrupted, timed out, or an earlier ICMP error that has nothing to do with receiving.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::time::{Duration, Instant};

    use nix::sys::socket::{
        self, AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType,
        SockaddrIn, SockaddrIn6, SockaddrStorage, setsockopt, sockopt,
    };

    use super::{PATIENCE, Sockets};
    use crate::listener::steer;

    /// Datagrams that one call of the system fetches.
    const AT_ONCE: usize = 64;
    /// The largest UDP payload.
    const DATAGRAM_MAX: usize = 65_535;
    /// Bytes from one datagram's place to the next: not a power of two, or all of them would contend for the same lines
    /// of the processor's cache.
    const STRIDE: usize = DATAGRAM_MAX + 1_601;
    /// How long to let datagrams gather when a call fetched few of them, and the least buffer that has room for that.
    const REST: Duration = Duration::from_millis(1);
    const REST_BUFFER_BYTES: usize = 4 << 20;
    const FEW: usize = AT_ONCE / 4;

    /// Sockets that share a port, exporters spread over them by address.
    pub(in super::super) fn bind(
        address: SocketAddr,
        count: usize,
        buffer_bytes: usize,
    ) -> io::Result<Sockets> {
        let shared = count > 1;
        if shared {
            // Sockets that share a port would also share it with another collector, each getting some of the datagrams
            // without a word. One that does not share finds out.
            drop(UdpSocket::bind(address)?);
        }
        let first = one(address, shared, buffer_bytes)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(one(address, shared, buffer_bytes)?);
        }
        if shared {
            steer::by_address(&sockets[0], u32::try_from(count).unwrap_or(1))?;
        }
        Ok(Sockets { sockets, address })
    }

    fn one(address: SocketAddr, shared: bool, buffer_bytes: usize) -> io::Result<UdpSocket> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let descriptor: OwnedFd =
            socket::socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp)?;
        if shared {
            setsockopt(&descriptor, sockopt::ReusePort, &true)?;
        }
        // With the privilege beyond `net.core.rmem_max`, else up to it.
        if setsockopt(&descriptor, sockopt::RcvBufForce, &buffer_bytes).is_err() {
            setsockopt(&descriptor, sockopt::RcvBuf, &buffer_bytes)?;
        }
        // A kernel without it still has the table in `/proc`.
        let _ = setsockopt(&descriptor, sockopt::RxqOvfl, &1);
        match address {
            SocketAddr::V4(v4) => socket::bind(descriptor.as_raw_fd(), &SockaddrIn::from(v4))?,
            SocketAddr::V6(v6) => socket::bind(descriptor.as_raw_fd(), &SockaddrIn6::from(v6))?,
        }
        let socket = UdpSocket::from(descriptor);
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Fetches datagrams by the dozen.
    pub(super) struct Receiver {
        headers: MultiHeaders<SockaddrStorage>,
        /// When the headers last had room for control messages: the kernel takes the room away with each use.
        asked: Instant,
        places: Vec<u8>,
        received: Vec<(SocketAddr, usize)>,
        buffer_bytes: usize,
        drops: Option<u64>,
    }

    impl Receiver {
        pub(super) fn new(socket: &UdpSocket) -> Self {
            Self {
                headers: headers(),
                asked: Instant::now(),
                places: vec![0; STRIDE * AT_ONCE],
                received: Vec::with_capacity(AT_ONCE),
                buffer_bytes: socket::getsockopt(socket, sockopt::RcvBuf).unwrap_or(0),
                drops: None,
            }
        }

        /// What the kernel granted.
        pub(super) fn buffer_bytes(&self) -> usize {
            self.buffer_bytes
        }

        /// The kernel's count of drops, when the latest control message came.
        pub(super) fn drops(&self) -> Option<u64> {
            self.drops
        }

        /// Waits for a datagram, and fetches those behind it that are there. How many.
        pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
            self.received.clear();
            let ask = self.asked.elapsed() >= Duration::from_secs(1);
            if ask {
                // The count is a running total: now and then is enough.
                self.headers = headers();
                self.asked = Instant::now();
            }
            let mut places: Vec<[IoSliceMut<'_>; 1]> = self
                .places
                .chunks_exact_mut(STRIDE)
                .map(|place| [IoSliceMut::new(&mut place[..DATAGRAM_MAX])])
                .collect();
            let flags = MsgFlags::MSG_WAITFORONE;
            let (descriptor, headers) = (socket.as_raw_fd(), &mut self.headers);
            let messages = socket::recvmmsg(descriptor, headers, places.iter_mut(), flags, None)?;
            for message in messages {
                self.received.push((sender(message.address), message.bytes));
                if ask && let Ok(controls) = message.cmsgs() {
                    for control in controls {
                        if let ControlMessageOwned::RxqOvfl(drops) = control {
                            self.drops = Some(u64::from(drops));
                        }
                    }
                }
            }
            Ok(self.received.len())
        }

        /// What the last call fetched.
        pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
            let places = self.places.chunks_exact(STRIDE);
            self.received.iter().zip(places).map(|((from, length), place)| (*from, &place[..*length]))
        }

        /// Lets a few datagrams gather when the last call found few: most of what a datagram costs is the call.
        pub(super) fn rest(&self, received: usize) {
            if (1..FEW).contains(&received) && self.buffer_bytes >= REST_BUFFER_BYTES {
                std::thread::sleep(REST);
            }
        }
    }

    fn headers() -> MultiHeaders<SockaddrStorage> {
        MultiHeaders::preallocate(AT_ONCE, Some(nix::cmsg_space!(u32)))
    }

    fn sender(address: Option<SockaddrStorage>) -> SocketAddr {
        let v4 = || Some(SocketAddr::V4((*address?.as_sockaddr_in()?).into()));
        let v6 = || Some(SocketAddr::V6((*address?.as_sockaddr_in6()?).into()));
        v4().or_else(v6).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::net::{SocketAddr, UdpSocket};

    use super::{PATIENCE, Sockets};

    /// One socket, whatever the count: only Linux lets a filter choose among several.
    pub(in super::super) fn bind(address: SocketAddr, _: usize, _: usize) -> io::Result<Sockets> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Sockets { address: socket.local_addr()?, sockets: vec![socket] })
    }

    pub(super) struct Receiver {
        place: Vec<u8>,
        received: Option<(SocketAddr, usize)>,
    }

    impl Receiver {
        pub(super) fn new(_: &UdpSocket) -> Self {
            Self { place: vec![0; 65_535], received: None }
        }

        pub(super) fn buffer_bytes(&self) -> usize {
            0
        }

        pub(super) fn drops(&self) -> Option<u64> {
            None
        }

        pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
            self.received = None;
            let (length, from) = socket.recv_from(&mut self.place)?;
            self.received = Some((from, length));
            Ok(1)
        }

        pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
            self.received.iter().map(|(from, length)| (*from, &self.place[..*length]))
        }

        pub(super) fn rest(&self, _: usize) {}
    }
}
