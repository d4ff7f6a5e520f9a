//! Services: protocol with destination port range or ICMP type, and exact sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::interval::IntervalSet;
use crate::map::{IntervalMap, Region};

/// An IANA protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// Whether the 16-bit selector of this protocol is a port (TCP, UDP, DCCP, SCTP, UDP-Lite).
    pub const fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }

    /// Whether the 16-bit selector of this protocol is an ICMP type and code.
    pub const fn is_icmp(self) -> bool {
        matches!(self.0, 1 | 58)
    }
}

const NAMES: [(u8, &str); 9] = [
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (58, "icmpv6"),
    (132, "sctp"),
    (136, "udplite"),
];

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "ip{}", self.0),
        }
    }
}

/// One protocol with one range of its 16-bit selector: the destination port, or for ICMP `type * 256 + code`.
/// Protocols without either carry the whole range.
///
/// As text: `tcp/443`, `udp/30000-32767`, `tcp` (every port), `icmp/8` (type), `icmp/3.1` (type and code), `ip47`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// Low end, included.
    pub low: u16,
    /// High end, included.
    pub high: u16,
}

impl Service {
    /// A protocol with one selector value.
    pub const fn new(protocol: Protocol, selector: u16) -> Self {
        Self { protocol, low: selector, high: selector }
    }
    /// A protocol with a range of selector values.
    pub const fn range(protocol: Protocol, low: u16, high: u16) -> Self {
        Self { protocol, low, high }
    }
    /// A protocol with every selector value.
    pub const fn all(protocol: Protocol) -> Self {
        Self { protocol, low: 0, high: u16::MAX }
    }
    /// `tcp/PORT`.
    pub const fn tcp(port: u16) -> Self {
        Self::new(Protocol::TCP, port)
    }
    /// `udp/PORT`.
    pub const fn udp(port: u16) -> Self {
        Self::new(Protocol::UDP, port)
    }
    /// Whether the other service lies within this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol && self.low <= other.low && other.high <= self.high
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, low, high } = *self;
        if (low, high) == (0, u16::MAX) {
            return write!(f, "{protocol}");
        }
        if protocol.is_icmp() {
            let ((from, code), (to, last)) = ((low >> 8, low & 255), (high >> 8, high & 255));
            return match (from == to, (code, last)) {
                (true, (0, 255)) => write!(f, "{protocol}/{from}"),
                (true, (a, b)) if a == b => write!(f, "{protocol}/{from}.{a}"),
                (_, (0, 255)) => write!(f, "{protocol}/{from}-{to}"),
                _ => write!(f, "{protocol}/{from}.{code}-{to}.{last}"),
            };
        }
        if low == high { write!(f, "{protocol}/{low}") } else { write!(f, "{protocol}/{low}-{high}") }
    }
}

/// Text that is not a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidService(pub String);

impl fmt::Display for InvalidService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a service; write `tcp/443`, `udp/30000-32767`, `tcp`, `icmp/8`, `ip47`",
            self.0
        )
    }
}
impl std::error::Error for InvalidService {}

impl FromStr for Service {
    type Err = InvalidService;
    fn from_str(text: &str) -> Result<Self, InvalidService> {
        let invalid = || InvalidService(text.to_owned());
        let (name, selector) = match text.split_once('/') {
            Some((name, selector)) => (name, Some(selector)),
            None => (text, None),
        };
        let name = name.trim().to_ascii_lowercase();
        let protocol = match NAMES.iter().find(|(_, known)| *known == name) {
            Some((number, _)) => Protocol(*number),
            None => Protocol(name.strip_prefix("ip").and_then(|n| n.parse().ok()).ok_or_else(invalid)?),
        };
        let Some(selector) = selector.map(str::trim) else { return Ok(Self::all(protocol)) };
        let bound = |part: &str, code: u16| -> Option<u16> {
            if !protocol.is_icmp() {
                return part.trim().parse().ok();
            }
            let (kind, code) = match part.trim().split_once('.') {
                Some((kind, code)) => (kind, code.parse::<u8>().ok()?.into()),
                None => (part.trim(), code),
            };
            Some(u16::from(kind.parse::<u8>().ok()?) << 8 | code)
        };
        if !protocol.has_ports() && !protocol.is_icmp() {
            return Err(invalid());
        }
        let (low, high) = selector.split_once('-').unwrap_or((selector, selector));
        let (low, high) = (bound(low, 0).ok_or_else(invalid)?, bound(high, 255).ok_or_else(invalid)?);
        if low > high { Err(invalid()) } else { Ok(Self { protocol, low, high }) }
    }
}

impl Serialize for Service {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An exact set of services: protocol to set of 16-bit selectors.
pub type ServiceSet = IntervalMap<u8, IntervalSet<u16>>;

impl ServiceSet {
    /// Every protocol and selector.
    pub fn full() -> Self {
        Self::product(&IntervalSet::full(), &IntervalSet::full())
    }

    /// The union of services.
    pub fn of(services: impl IntoIterator<Item = Service>) -> Self {
        let product = |service: Service| {
            let selectors = IntervalSet::range(service.low, service.high);
            Self::product(&IntervalSet::single(service.protocol.0), &selectors)
        };
        let each: Vec<Self> = services.into_iter().map(product).collect();
        Self::union_many(&each.iter().collect::<Vec<_>>())
    }

    /// Whether a protocol and selector are in the set.
    pub fn has(&self, protocol: Protocol, selector: u16) -> bool {
        self.get(protocol.0).is_some_and(|selectors| selectors.contains(selector))
    }

    /// The set as a sorted list of services, one for each protocol and run of selectors. A full set of 256 protocols
    /// lists each of them; test [`ServiceSet::is_full`] first where that would be read by a person.
    pub fn services(&self) -> Vec<Service> {
        let mut list = Vec::new();
        for (first, last, selectors) in self.runs() {
            for number in *first..=*last {
                let of = |&(low, high): &(u16, u16)| Service { protocol: Protocol(number), low, high };
                list.extend(selectors.runs().iter().map(of));
            }
        }
        list
    }

    /// Whether everything is in the set.
    pub fn is_full(&self) -> bool {
        *self == Self::full()
    }
}

impl fmt::Display for ServiceSet {
    /// `any`, `none`, or a list with commas of services, with runs of whole protocols as `ip10-ip20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() || self.is_full() {
            return f.write_str(if self.is_empty() { "none" } else { "any" });
        }
        let every = IntervalSet::full();
        let mut parts: Vec<String> = Vec::new();
        for (first, last, selectors) in self.runs() {
            if first < last && *selectors == every {
                parts.push(format!("ip{first}-ip{last}"));
                continue;
            }
            for number in *first..=*last {
                let service = |&(low, high)| Service { protocol: Protocol(number), low, high }.to_string();
                parts.extend(selectors.runs().iter().map(service));
            }
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_print_as_they_parse() {
        for text in
            ["tcp/443", "udp/30000-32767", "tcp", "icmp/8", "icmp/3.1", "icmpv6/128-129", "gre", "ip89"]
        {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        for text in ["", "tcp/", "tcp/99999", "tcp/5-4", "foo/1", "gre/3", "icmp/300", "tcp/-1"] {
            assert!(text.parse::<Service>().is_err(), "{text}");
        }
    }

    #[test]
    fn sets_list_their_services() {
        let set = ServiceSet::of(["tcp/80", "tcp/81-90", "udp/53"].map(|t| t.parse().unwrap()));
        let list: Vec<String> = set.services().iter().map(ToString::to_string).collect();
        assert_eq!(list, ["tcp/80-90", "udp/53"]);
        assert!(ServiceSet::full().is_full() && !set.is_full());
    }
}
