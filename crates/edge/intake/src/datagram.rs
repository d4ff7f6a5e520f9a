//! A datagram of an exporter, whatever its format.

use model::Micros;
use netset::Ip;

/// Who sent a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) struct Sender {
    /// Its address; `::` when the datagrams come from a file without addresses.
    pub(crate) ip: Ip,
    /// Its UDP source port.
    pub(crate) port: u16,
}

/// A datagram to decode.
#[derive(Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) sender: Sender,
    /// When it was received or captured; 0 when not known.
    pub(crate) received: Micros,
    pub(crate) bytes: &'a [u8],
    pub(crate) framing: Framing,
    /// Where rejects say that it began.
    pub(crate) offset: u64,
}

/// Whether other datagrams may follow in the same buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// What came in one UDP packet: one datagram.
    Packet,
    /// Datagrams one after the other, as files of them have it.
    Concatenated,
}
