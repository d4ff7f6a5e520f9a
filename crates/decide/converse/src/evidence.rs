//! What speaks for one side of a flow being the client: the terms of a sum of log odds.
//!
//! Every term is antisymmetric: of the two halves of a conversation one is judged by the negative of the other's.

use model::{FlowBatch, Ip, Protocol};

use crate::halves::Halves;
use crate::ports;
use crate::table::ServiceTable;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PUSH_OR_FIN: u8 = 0x09;
const ACK: u8 = 0x10;

/// Terms of the sum: one for each band of ports, then the others of [`WEIGHTS`].
pub const TERMS: usize = ports::BANDS + 14;

const LOWER: usize = ports::BANDS;
const FAN_PORTS: usize = ports::BANDS + 1;
const FAN_PEERS: usize = ports::BANDS + 2;
const PAIR: usize = ports::BANDS + 3;
const EQUAL_PEERS: usize = ports::BANDS + 4;
const BROADCAST: usize = ports::BANDS + 5;
const OUTWARD: usize = ports::BANDS + 6;
const ONE_SIDED_UDP: usize = ports::BANDS + 7;
const ONE_SIDED_TCP: usize = ports::BANDS + 8;
const ELSEWHERE: usize = ports::BANDS + 9;
const ASKED: usize = ports::BANDS + 10;
const LONE_SYN: usize = ports::BANDS + 11;
const REFUSAL: usize = ports::BANDS + 12;
const LATE: usize = ports::BANDS + 13;

/// What each term is and what it weighs, in order. Fitted offline: logistic regression over the conversations of networks
/// that others had labelled, none of them among softflowd's, drawn towards what was assumed before. `bench direction ... fit`
/// fits them again and says how many networks there were.
pub const WEIGHTS: [(&str, f32); TERMS] = [
    ("port 0", -3.00),
    ("ports below 512", 3.28),
    ("ports 512-1023", 0.80),
    ("registered ports", 2.42),
    ("ports 1024-4999", -0.10),
    ("ports 5000-9999", 1.66),
    ("ports 10000-32767", 0.28),
    ("ports 32768-49151", -1.67),
    ("ports 49152-60999", -1.40),
    ("ports 61000-65535", -1.79),
    ("first ports that Windows hands to services", 0.51),
    ("ftp data, the server's end", -2.50),
    ("bootp and dhcpv6, the client's end", -1.76),
    ("registered ports among those handed out", 1.00),
    ("lower port of one band", 0.46),
    ("distinct remote ports", 1.45),
    ("distinct peers", 1.25),
    ("habit of the two addresses", 2.29),
    ("distinct peers, equal ports", 0.17),
    ("broadcast", 4.00),
    ("towards the internet", 0.17),
    ("one-sided datagrams", 1.73),
    ("one-sided connection", 0.18),
    ("other hosts that serve the port", 0.46),
    ("a port that asks for known services", 1.87),
    ("a SYN that nobody acknowledged", 6.00),
    ("a refusal, or an unanswered SYN and ACK", 2.50),
    ("a SYN on one half only: the answer's", 2.00),
];

/// The terms of a flow with ports.
pub(crate) fn terms(batch: &FlowBatch, row: usize, table: &ServiceTable, halves: &Halves) -> [f32; TERMS] {
    let mut terms = [0.0; TERMS];
    let (src, dst, protocol) = (batch.src[row], batch.dst[row], batch.protocol[row]);
    let (from, to) = (batch.src_port[row], batch.dst_port[row]);
    let (from_band, to_band) = (ports::band_towards(from, to), ports::band_towards(to, from));
    terms[to_band] += 1.0;
    terms[from_band] -= 1.0;
    let (served, serves) = (table.fan_in(src, protocol, from), table.fan_in(dst, protocol, to));
    terms[FAN_PORTS] = serves.ports - served.ports;
    terms[if from == to { EQUAL_PEERS } else { FAN_PEERS }] = serves.peers - served.peers;
    if protocol == Protocol::TCP.0 && batch.present[row] & FlowBatch::HAS_TCP_FLAGS != 0 {
        flags(batch.tcp_flags[row], &mut terms);
    }
    if ports::plain(from, to) != 0 {
        return terms;
    }
    if from_band == to_band {
        terms[LOWER] = (f32::from(from) / f32::from(to.max(1))).ln().clamp(-1.0, 1.0);
    }
    terms[PAIR] = table.pair_habit(src, dst);
    terms[ASKED] = served.asked - serves.asked;
    terms[BROADCAST] = f32::from(i8::from(looks_broadcast(dst)) - i8::from(looks_broadcast(src)));
    if protocol == Protocol::TCP.0 {
        terms[LATE] = halves.late(batch, row);
    }
    terms[OUTWARD] = f32::from(i8::from(is_global(dst)) - i8::from(is_global(src)));
    terms[if protocol == 6 { ONE_SIDED_TCP } else { ONE_SIDED_UDP }] = halves.one_sided(batch, row);
    terms[ELSEWHERE] = table.elsewhere(protocol, to) - table.elsewhere(protocol, from);
    terms
}

/// The sum of the terms. Ports that speak for themselves have only a few, and are most of the traffic.
pub(crate) fn odds(batch: &FlowBatch, row: usize, table: &ServiceTable, halves: &Halves) -> f32 {
    let (from, to, protocol) = (batch.src_port[row], batch.dst_port[row], batch.protocol[row]);
    if ports::plain(from, to) == 0 {
        let terms = terms(batch, row, table, halves);
        return terms.iter().zip(&WEIGHTS).map(|(term, (_, weight))| term * weight).sum();
    }
    let (served, serves) =
        (table.fan_in(batch.src[row], protocol, from), table.fan_in(batch.dst[row], protocol, to));
    let mut odds = WEIGHTS[ports::band(to)].1 - WEIGHTS[ports::band(from)].1
        + WEIGHTS[FAN_PORTS].1 * (serves.ports - served.ports)
        + WEIGHTS[FAN_PEERS].1 * (serves.peers - served.peers);
    if protocol == Protocol::TCP.0 && batch.present[row] & FlowBatch::HAS_TCP_FLAGS != 0 {
        let mut terms = [0.0; TERMS];
        flags(batch.tcp_flags[row], &mut terms);
        odds += WEIGHTS[LONE_SYN].1 * terms[LONE_SYN] + WEIGHTS[REFUSAL].1 * terms[REFUSAL];
    }
    odds
}

/// Flags are OR-ed over the flow, so most say nothing: both sides of an ordinary connection carry SYN and ACK. A SYN
/// without any ACK is a client that was never answered; SYN with ACK and nothing after is a server whose answer was
/// never taken up; a reset without SYN and without data refuses.
const fn flags(flags: u8, terms: &mut [f32; TERMS]) {
    if flags & SYN != 0 && flags & ACK == 0 {
        terms[LONE_SYN] = 1.0;
    } else if flags == SYN | ACK || (flags & RST != 0 && flags & (SYN | PUSH_OR_FIN) == 0) {
        terms[REFUSAL] = -1.0;
    }
}

/// The last address of what is most likely a /24.
const fn looks_broadcast(ip: Ip) -> bool {
    ip.is_v4() && ip.0 & 0xff == 0xff
}

fn is_global(ip: Ip) -> bool {
    match ip.to_std() {
        std::net::IpAddr::V4(ip) => {
            // Nothing is reachable from 224.0.0.0 on.
            !(ip.octets()[0] >= 224
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified())
        }
        std::net::IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}
