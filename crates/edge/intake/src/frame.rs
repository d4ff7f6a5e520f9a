//! A frame of the wire down to the packet that two hosts exchange: link headers, IP, tunnels, transport.
//!
//! Captures, sFlow samples and IPFIX frame sections share it. The innermost IP packet is what makes a flow; the tunnels
//! that carried it are named beside it. A tunnel is believed when what it carries is an IP packet that fits: anything
//! else on a tunnel's port is an ordinary datagram.
//!
//! Our own rather than `etherparse`: that library stops at the first transport header and knows no MPLS, PPPoE, GRE or
//! UDP tunnel, so it would replace the hundred easy lines and none of the rest, at the price of a second error type.

mod link;
mod network;
mod part;
mod tunnel;

use netset::{Ip, Protocol};

pub(crate) use link::Link;
pub(crate) use part::Part;
pub(crate) use tunnel::Tunnel;

use crate::datagram::Sender;

/// A frame that was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The innermost IP packet.
    pub(crate) packet: Packet<'a>,
    /// The tunnels around it, outermost first; mostly none.
    pub(crate) tunnels: Vec<Tunnel>,
    /// The 802.1Q identifier next to the outermost IP packet.
    pub(crate) vlan: Option<u16>,
    /// Set when an IP packet of the frame, outermost first, is one of several fragments.
    pub(crate) fragment: Option<Fragment>,
}

/// An IP packet, as far as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// Source address.
    pub(crate) src: Ip,
    /// Destination address.
    pub(crate) dst: Ip,
    /// IANA protocol number, behind IPv6's extension headers.
    pub(crate) protocol: u8,
    /// Ports, or ICMP type and code.
    pub(crate) selector: Selector,
    /// TCP flags, where the header was captured that far.
    pub(crate) tcp_flags: Option<u8>,
    /// Length of the IP packet in bytes, header included, as it says itself.
    pub(crate) length: u32,
    /// What follows the UDP header, or the IP header of other protocols.
    pub(crate) payload: Part<'a>,
}

/// What names the service of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// Source and destination port.
    Ports(u16, u16),
    /// ICMP `type * 256 + code`.
    Icmp(u16),
    /// The protocol has neither, or they were not captured, or are in another fragment.
    Absent,
}

/// Which fragment of which IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// What all fragments of a packet share.
    pub(crate) key: FragmentKey,
    /// Whether it is the first, which has the transport header.
    pub(crate) first: bool,
}

/// What all fragments of an IP packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FragmentKey {
    pub(crate) src: Ip,
    pub(crate) dst: Ip,
    pub(crate) protocol: u8,
    pub(crate) id: u32,
}

/// The frame carries something else than IP.
pub(crate) const NOT_IP: &str = "frame is not ip";
/// The capture ends before the addresses.
pub(crate) const CUT: &str = "packet cut by the capture's snap length";
/// Nobody nests so deep but to make trouble.
pub(crate) const NESTED: &str = "too many headers inside each other";
/// Link types of radios, buses and the like.
pub(crate) const LINK: &str = "link type is not supported";

/// Takes a frame apart. `wire` is its length on the wire in bytes, of which `frame` may hold only the beginning.
///
/// # Errors
/// A reason to count the frame by, when there is no IP packet in it or its addresses were not captured.
pub(crate) fn dissect(link: Link, frame: &[u8], wire: usize) -> Result<Frame<'_>, &'static str> {
    let mut walk = Walk::default();
    let packet = walk.link(link, Part::new(frame, wire))?;
    let Walk { vlan, tunnels, fragment, .. } = walk;
    Ok(Frame { packet, tunnels, vlan, fragment })
}

/// What was seen on the way inwards.
#[derive(Default)]
struct Walk {
    steps: u8,
    vlan: Option<u16>,
    tunnels: Vec<Tunnel>,
    fragment: Option<Fragment>,
}

/// Headers inside each other: the real maximum is about ten (Q-in-Q, MPLS, IP, UDP, VXLAN, Ethernet, VLAN, IP).
const STEPS: u8 = 24;

impl Walk {
    /// Counts a header against the bound.
    fn step(&mut self) -> Result<(), &'static str> {
        self.steps += 1;
        if self.steps > STEPS { Err(NESTED) } else { Ok(()) }
    }

    /// Tries to read further inwards; when that fails, nothing of the attempt remains but the steps it took.
    fn attempt<'a>(
        &mut self,
        inwards: impl FnOnce(&mut Self) -> Result<Packet<'a>, &'static str>,
    ) -> Option<Packet<'a>> {
        let (vlan, tunnels, fragment) = (self.vlan, self.tunnels.len(), self.fragment);
        let found = inwards(self);
        if found.is_err() {
            self.vlan = vlan;
            self.tunnels.truncate(tunnels);
            self.fragment = fragment;
        }
        found.ok()
    }
}

/// What a captured frame is to a reader of exporters' datagrams.
#[derive(Debug, PartialEq)]
pub(crate) enum Datagram<'a> {
    /// A UDP datagram, whole.
    Udp {
        /// Who sent it.
        sender: Sender,
        /// The port it was sent to.
        port: u16,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Something else, and why it is not used.
    Other(&'static str),
}

/// IP fragments are not put together: an exporter's datagram fits its network, or the exporter is set up wrongly.
const FRAGMENT: &str = "ip fragment";
const NOT_UDP: &str = "packet is not udp";

/// Unwraps a frame of a capture's link type (`LINKTYPE_*` of the pcap format) down to its UDP payload.
pub(crate) fn datagram(link: i32, bytes: &[u8]) -> Datagram<'_> {
    let Some(link) = Link::of_capture(link) else { return Datagram::Other(LINK) };
    let frame = match dissect(link, bytes, bytes.len()) {
        Ok(frame) => frame,
        Err(reason) => return Datagram::Other(reason),
    };
    let packet = frame.packet;
    if frame.fragment.is_some() {
        return Datagram::Other(FRAGMENT);
    }
    match packet.selector {
        _ if packet.protocol != Protocol::UDP.0 => Datagram::Other(NOT_UDP),
        Selector::Ports(from, port) if packet.payload.is_whole() => {
            let sender = Sender { ip: packet.src, port: from };
            Datagram::Udp { sender, port, payload: packet.payload.bytes() }
        }
        _ => Datagram::Other(CUT),
    }
}

#[cfg(test)]
pub(crate) mod tests;
