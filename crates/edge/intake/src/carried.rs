//! What a capture carries: exporters' datagrams of one format or another, or traffic itself.

use std::io::{Cursor, Read};

use crate::capture::{Capture, Window, is_capture};
use crate::frame::{self, Datagram};
use crate::sources::{netflow, sflow};

/// What a capture's packets are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carried {
    /// Datagrams of NetFlow or IPFIX exporters.
    NetFlow,
    /// Datagrams of sFlow agents.
    Sflow,
    /// Neither, in what is seen of it: a trace of traffic, to be read as flows.
    Traffic,
}

/// A packet or pcapng block longer than this is not looked at.
const BEYOND: u64 = 70_000;

/// A packet of which less than this was seen says nothing: a record's header, IPv4 and UDP.
const HEADERS: u64 = 44;

/// What the capture that starts with these bytes carries; `None` when they start no capture. The format with the most
/// datagrams wins, so that a trace of a network in which somebody also exports is not mistaken for the exports.
pub(crate) fn carried(head: &[u8]) -> Option<Carried> {
    if !is_capture(head) {
        return None;
    }
    // The last packet of the head is mostly cut; its beginning is enough, and the rest of it is made of zeroes.
    let bytes = Cursor::new(head.to_vec()).chain(std::io::repeat(0).take(BEYOND));
    let (mut netflow, mut sflow, mut traffic) = (0, 0, 0);
    if let Ok(mut capture) = Capture::new(Window::new(Box::new(bytes)), "".into()) {
        while let Ok(Some(packet)) = capture.next(0)
            && packet.offset + HEADERS < head.len() as u64
        {
            match frame::datagram(packet.link, packet.bytes) {
                Datagram::Udp { payload, .. } if netflow::is_datagram(payload) => netflow += 1,
                Datagram::Udp { payload, .. } if sflow::is_datagram(payload) => sflow += 1,
                _ => traffic += 1,
            }
        }
    }
    // A collector's port sees names being looked up and hosts being found, too: half is enough.
    let exports: u32 = netflow + sflow;
    Some(match netflow.cmp(&sflow) {
        _ if exports == 0 || exports * 2 < traffic => Carried::Traffic,
        std::cmp::Ordering::Less => Carried::Sflow,
        _ => Carried::NetFlow,
    })
}
