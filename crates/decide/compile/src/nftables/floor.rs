//! What passes, or is dropped, apart from any rule: the least that a host needs to have a network at all.
//!
//! The texts are exactly what `nft list` prints back, so that reading is comparing.

use model::Mode;

use crate::target::Side;

/// One line of the floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FloorRule {
    /// Its name, in the rule's comment.
    pub name: &'static str,
    /// The matches, as printed.
    pub matches: &'static str,
    /// The least mode that drops what matches; without one it is accepted.
    dropped_from: Option<Mode>,
}

impl FloorRule {
    /// Everything but the comment, without counts.
    pub(super) fn statement(&self, mode: Mode) -> String {
        match self.dropped_from {
            None => format!("{} accept", self.matches),
            Some(from) if mode >= from => format!("{} counter drop", self.matches),
            Some(_) => format!("{} counter accept", self.matches),
        }
    }
}

const fn pass(name: &'static str, matches: &'static str) -> FloorRule {
    FloorRule { name, matches, dropped_from: None }
}

const fn stop(name: &'static str, matches: &'static str, from: Mode) -> FloorRule {
    FloorRule { name, matches, dropped_from: Some(from) }
}

/// The lines of one side, in order.
pub(super) fn floor(side: Side) -> [FloorRule; 10] {
    let ingress = side == Side::Ingress;
    let by_side = |name, input, output| pass(name, if ingress { input } else { output });
    [
        by_side("loopback", "iif \"lo\"", "oif \"lo\""),
        pass("established", "ct state established"),
        // Errors about conversations that were allowed. Not what a connection helper expects: an FTP server's data
        // port would open without a rule.
        pass("related-errors", "ct state related meta l4proto { icmp, ipv6-icmp }"),
        // Hop limit 255 proves that the sender is on the link (RFC 4861, 6.1 and 7.1). No redirects.
        pass(
            "neighbour-discovery",
            "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } \
             ip6 hoplimit 255",
        ),
        // Switches that snoop forward neighbour solicitations only to those who report (RFC 2710, RFC 3810).
        pass(
            "multicast-listener",
            "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } \
             ip6 hoplimit 1",
        ),
        by_side(
            "dhcp-client",
            "meta nfproto ipv4 udp sport 67 udp dport 68",
            "meta nfproto ipv4 udp sport 68 udp dport 67",
        ),
        by_side(
            "dhcpv6-client",
            "ip6 daddr fe80::/10 udp sport 547 udp dport 546",
            "ip6 daddr ff02::1:2 udp sport 546 udp dport 547",
        ),
        // Belongs to no conversation: a late reset, a forged reply.
        stop("invalid", "ct state invalid", Mode::Enforce),
        stop("icmpv6-in-ipv4", "meta nfproto ipv4 meta l4proto ipv6-icmp", Mode::Selective),
        stop("icmp-in-ipv6", "meta nfproto ipv6 meta l4proto icmp", Mode::Selective),
    ]
}

/// Broadcast and multicast that no rule allows is not worth a line in the log. Ingress goes by the kind of frame,
/// which knows the subnet's broadcast address; a packet that leaves has none yet.
pub(super) fn quiet(side: Side) -> &'static [&'static str] {
    match side {
        Side::Ingress => &["meta pkttype { broadcast, multicast }"],
        Side::Egress => &["ip daddr { 224.0.0.0/4, 255.255.255.255 }", "ip6 daddr ff00::/8"],
    }
}
