//! Addresses, prefixes and sets of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::interval::{IntervalSet, Point};
use crate::map::Region;

const V4_BASE: u128 = 0xffff_0000_0000;

/// An IPv4 or IPv6 address in 128 bits; IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ip(pub u128);

impl Ip {
    /// An IPv4 address from its 32 bits in host order.
    pub const fn v4(bits: u32) -> Self {
        Self(V4_BASE | bits as u128)
    }

    /// Whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        self.0 >> 32 == V4_BASE >> 32
    }

    /// The 32 bits of an IPv4 address, in host order.
    pub const fn as_v4(self) -> Option<u32> {
        if self.is_v4() { Some(self.0 as u32) } else { None }
    }

    /// The standard library's form.
    pub fn to_std(self) -> IpAddr {
        match self.as_v4() {
            Some(bits) => IpAddr::V4(Ipv4Addr::from(bits)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }

    /// 16 bytes in network order.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From 16 bytes in network order.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Multicast, broadcast, unspecified, loopback or link-local: never a peer that a rule should name.
    pub fn is_special(self) -> bool {
        match self.to_std() {
            IpAddr::V4(a) => {
                a.is_multicast()
                    || a.is_broadcast()
                    || a.is_unspecified()
                    || a.is_loopback()
                    || a.is_link_local()
            }
            IpAddr::V6(a) => {
                a.is_multicast() || a.is_unspecified() || a.is_loopback() || a.is_unicast_link_local()
            }
        }
    }
}

impl From<IpAddr> for Ip {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => a.into(),
            IpAddr::V6(a) => a.into(),
        }
    }
}
impl From<Ipv4Addr> for Ip {
    fn from(ip: Ipv4Addr) -> Self {
        Self::v4(u32::from(ip))
    }
}
impl From<Ipv6Addr> for Ip {
    fn from(ip: Ipv6Addr) -> Self {
        Self(u128::from(ip))
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_std().fmt(f)
    }
}
impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIp(pub String);

impl fmt::Display for InvalidIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an IPv4 or IPv6 address", self.0)
    }
}
impl std::error::Error for InvalidIp {}

impl FromStr for Ip {
    type Err = InvalidIp;
    fn from_str(text: &str) -> Result<Self, InvalidIp> {
        text.parse::<IpAddr>().map(Self::from).map_err(|_| InvalidIp(text.to_owned()))
    }
}

impl Serialize for Ip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Ip {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Point for Ip {
    const MIN: Self = Self(0);
    const MAX: Self = Self(u128::MAX);
    fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
    fn prev(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

/// A CIDR block: an address with its host bits cleared, and a length in bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    base: Ip,
    /// Length in the 128-bit space (an IPv4 /24 is 120).
    bits: u8,
}

impl Prefix {
    /// A block from an address and a length in the address's own family (0-32 or 0-128). Host bits are cleared.
    pub fn new(ip: Ip, length: u8) -> Option<Self> {
        let bits = if ip.is_v4() { length.checked_add(96)? } else { length };
        if bits > 128 {
            return None;
        }
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - u32::from(bits)) };
        Some(Self { base: Ip(ip.0 & mask), bits })
    }

    /// First address.
    pub fn first(self) -> Ip {
        self.base
    }

    /// Last address.
    pub fn last(self) -> Ip {
        Ip(self.base.0
            | if self.bits == 0 { u128::MAX } else { (1_u128 << (128 - u32::from(self.bits))) - 1 })
    }

    /// The length in the block's own family.
    pub fn length(self) -> u8 {
        if self.base.is_v4() && self.bits >= 96 { self.bits - 96 } else { self.bits }
    }

    /// Its addresses. A block of IPv6 holds no IPv4: `::/0` means all of IPv6, though the mapped block lies within.
    pub fn to_set(self) -> IpSet {
        let all = IpSet::range(self.first(), self.last());
        if self.base.is_v4() { all } else { all.subtract(&IpSet::all_v4()) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length())
    }
}
impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a CIDR block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPrefix(pub String);

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a CIDR block such as `10.0.0.0/8` or `2001:db8::/32`", self.0)
    }
}
impl std::error::Error for InvalidPrefix {}

impl FromStr for Prefix {
    type Err = InvalidPrefix;
    /// Takes `address/length`, or a bare address as a block of one.
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(text.to_owned());
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let ip: Ip = ip.parse().map_err(|_| invalid())?;
        Self::new(ip, length.unwrap_or(if ip.is_v4() { 32 } else { 128 })).ok_or_else(invalid)
    }
}

/// A set of addresses.
pub type IpSet = IntervalSet<Ip>;

impl IpSet {
    /// All of IPv4.
    pub fn all_v4() -> Self {
        Self::range(Ip::v4(0), Ip::v4(u32::MAX))
    }

    /// All of IPv6 (everything outside the mapped IPv4 block).
    pub fn all_v6() -> Self {
        Self::full().subtract(&Self::all_v4())
    }

    /// Globally routable unicast addresses: what `internet` means in a policy.
    pub fn internet() -> Self {
        // RFC 6890 and its successors; multicast and reserved space are nobody's server.
        const INSIDE_V4: [&str; 10] = [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/3",
        ];
        // IPv6 unicast is handed out of 2000::/3 alone.
        let blocks = |texts: &[&str]| {
            Self::from_ranges(texts.iter().filter_map(|text| {
                let block: Prefix = text.parse().ok()?;
                Some((block.first(), block.last()))
            }))
        };
        let v4 = Self::all_v4().subtract(&blocks(&INSIDE_V4));
        let v6 = blocks(&["2000::/3"]).subtract(&blocks(&["2001:db8::/32"]));
        v4.union(&v6)
    }

    /// The runs, those that mix families cut at the edges of the IPv4 block, so that each prints in its own.
    fn runs_of_one_family(&self) -> Vec<(Ip, Ip)> {
        let families = [Self::all_v4(), Self::all_v6()];
        let mut runs: Vec<(Ip, Ip)> =
            families.iter().flat_map(|family| self.intersect(family).runs().to_vec()).collect();
        runs.sort_unstable();
        runs
    }

    /// The least list of CIDR blocks that covers exactly this set, sorted.
    pub fn to_prefixes(&self) -> Vec<Prefix> {
        let mut blocks = Vec::new();
        for (low, high) in self.runs_of_one_family() {
            let (mut at, high) = (low.0, high.0);
            loop {
                let aligned = if at == 0 { 128 } else { at.trailing_zeros() };
                let span = high - at;
                let fits = if span == u128::MAX { 128 } else { 127 - (span + 1).leading_zeros() };
                let host_bits = aligned.min(fits);
                blocks.push(Prefix { base: Ip(at), bits: (128 - host_bits) as u8 });
                let step = if host_bits == 128 { break } else { 1_u128 << host_bits };
                match at.checked_add(step) {
                    Some(next) if next <= high => at = next,
                    _ => break,
                }
            }
        }
        blocks
    }
}

impl fmt::Display for IpSet {
    /// `any`, `none`, or a list with commas of addresses, blocks and, where a run is neither, `first-last`. IPv4 lies
    /// in the midst of IPv6 here, which nobody needs to know: a run of both prints as a run of each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runs() {
            [] => return f.write_str("none"),
            [(Ip::MIN, Ip::MAX)] => return f.write_str("any"),
            _ => {}
        }
        for (index, (low, high)) in self.runs_of_one_family().into_iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match Self::range(low, high).to_prefixes().as_slice() {
                _ if low == high => write!(f, "{low}")?,
                [block] => write!(f, "{block}")?,
                _ => write!(f, "{low}-{high}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_print_in_one_family() {
        let low = IpSet::range(Ip(0), "9.255.255.255".parse().unwrap());
        assert_eq!(low.to_string(), "::-::fffe:ffff:ffff, 0.0.0.0-9.255.255.255");
        assert_eq!(IpSet::all_v4().to_string(), "0.0.0.0/0");
    }

    #[test]
    fn a_block_of_ipv6_holds_no_ipv4() {
        for text in ["::/0", "::/1", "::/80"] {
            let set = text.parse::<Prefix>().unwrap().to_set();
            assert!(set.is_disjoint(&IpSet::all_v4()) && set.contains("::1".parse().unwrap()), "{text}");
        }
        assert_eq!("0.0.0.0/0".parse::<Prefix>().unwrap().to_set(), IpSet::all_v4());
        assert_eq!("::/0".parse::<Prefix>().unwrap().to_set(), IpSet::all_v6());
    }

    #[test]
    fn prefixes_cover_exactly() {
        for text in ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/33", "::1"] {
            let set = text.parse::<Prefix>().unwrap().to_set();
            assert_eq!(set.to_prefixes().len(), 1, "{text}");
            assert_eq!(set.to_prefixes()[0].to_set(), set);
        }
        let odd = IpSet::range(Ip::v4(0x0a00_0003), Ip::v4(0x0a00_0010));
        let back = odd.to_prefixes().iter().fold(IpSet::default(), |all, p| all.union(&p.to_set()));
        assert_eq!(back, odd);
        let all = IpSet::full();
        let back = all.to_prefixes().iter().fold(IpSet::default(), |all, p| all.union(&p.to_set()));
        assert_eq!(back, all);
    }

    #[test]
    fn internet_is_public_unicast() {
        let internet = IpSet::internet();
        for (ip, public) in [
            ("8.8.8.8", true),
            ("10.1.2.3", false),
            ("192.168.0.1", false),
            ("172.32.0.1", true),
            ("224.0.0.251", false),
            ("255.255.255.255", false),
            ("2606:4700::1", true),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::1", false),
            ("2001:db8::1", false),
            ("1.1.1.1", true),
        ] {
            assert_eq!(internet.contains(ip.parse().unwrap()), public, "{ip}");
        }
    }
}
