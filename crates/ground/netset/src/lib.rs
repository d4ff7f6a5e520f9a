//! Exact sets of network traffic.
//!
//! A set of traffic is a set of points in the space *source address x destination address x protocol x
//! (destination port | ICMP type and code)*. It is kept as nested interval maps, one level a field, each level
//! canonical: intervals sorted, disjoint, with adjacent equal ones merged and empty ones dropped. Two sets are
//! equal exactly when their representations are, so equality, emptiness and a fingerprint cost nothing extra.
//!
//! Every level offers the same operations, those of [`Region`]: union, intersection, difference, subset, equality,
//! emptiness.
//!
//! Addresses are 128 bits wide; IPv4 lives in its mapped block `::ffff:0:0/96`, so one type holds both families.

mod interval;
mod ip;
mod map;
mod service;
mod traffic;

pub use interval::{IntervalSet, Point};
pub use ip::{InvalidIp, InvalidPrefix, Ip, IpSet, Prefix};
pub use map::{IntervalMap, Region};
pub use service::{InvalidService, Protocol, Service, ServiceSet};
pub use traffic::{Packet, TrafficSet};
