//! Which part of a set of traffic can be on a wire at all.

use model::{IntervalSet, IpSet, Protocol, Region, ServiceSet, TrafficSet};

/// The part of a set that packets can carry: both addresses of one family, ICMP between IPv4 addresses only and
/// ICMPv6 between IPv6 addresses only.
///
/// A plan's sets are products, so `any -> 10.0.0.1` also holds pairs such as `2001:db8::1 -> 10.0.0.1` that no packet
/// has. Every target's law is stated over the carried part. Packets with the wrong ICMP for their family do exist on
/// hostile networks; no target lets them through.
pub fn carried(traffic: &TrafficSet) -> TrafficSet {
    let without = |protocol: Protocol| {
        let one = ServiceSet::product(&IntervalSet::single(protocol.0), &IntervalSet::full());
        ServiceSet::full().subtract(&one)
    };
    let within =
        |family: IpSet, foreign| traffic.intersect(&TrafficSet::product(&family, &family, &without(foreign)));
    within(IpSet::all_v4(), Protocol::ICMPV6).union(&within(IpSet::all_v6(), Protocol::ICMP))
}

#[cfg(test)]
mod tests {
    use model::{Ip, Packet};

    use super::*;

    #[test]
    fn families_do_not_mix() {
        let all = carried(&TrafficSet::full());
        let (v4, v6): (Ip, Ip) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        for (source, destination, protocol, is_carried) in [
            (v4, v4, Protocol::TCP, true),
            (v6, v6, Protocol::TCP, true),
            (v4, v6, Protocol::TCP, false),
            (v4, v4, Protocol::ICMPV6, false),
            (v6, v6, Protocol::ICMPV6, true),
            (v6, v6, Protocol::ICMP, false),
        ] {
            let packet = Packet { source, destination, protocol, selector: 7 };
            assert_eq!(all.contains(&packet), is_carried, "{packet}");
        }
    }
}
