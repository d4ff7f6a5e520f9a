//! Which side of a flow is the client.
//!
//! In this order: the source's own word; what cannot be otherwise (groups are never asked by, requests of ICMP come
//! from clients); and for ports a sum of log odds ([`crate::WEIGHTS`]), fitted so that the confidence is how often such
//! a statement is right. Positive says that the source asks.

use model::{Client, FlowBatch, Ip, Protocol};

use crate::evidence::{TERMS, odds, terms};
use crate::halves::Halves;
use crate::table::ServiceTable;

/// Log odds below which a direction is not stated: a probability of 0.55. What is stated below 0.6 teaches no rule.
const UNDECIDED: f32 = 0.2;
/// Beyond this the evidence says no more: 0.9975.
const LIMIT: f32 = 6.0;
/// Given to a source's own statement that carries no confidence.
const STATED: f32 = 0.95;

/// Fills `client` and `client_confidence` wherever the source gave none; rows that the evidence does not decide stay
/// [`Client::Unknown`] with confidence 0.
pub fn orient(batch: &mut FlowBatch, table: &ServiceTable) {
    let halves = Halves::of(batch);
    for row in 0..batch.len() {
        if batch.client[row] != Client::Unknown {
            if batch.client_confidence[row] == 0.0 {
                batch.client_confidence[row] = STATED;
            }
            continue;
        }
        let odds = source_asks(batch, row, table, &halves).clamp(-LIMIT, LIMIT);
        if odds.abs() < UNDECIDED {
            continue;
        }
        batch.client[row] = if odds > 0.0 { Client::Src } else { Client::Dst };
        batch.client_confidence[row] = 1.0 / (1.0 + (-odds.abs()).exp());
    }
}

/// The terms of every row with ports, as far as nothing stronger decides: what [`orient`] weighs.
pub fn evidence(batch: &FlowBatch, table: &ServiceTable) -> Vec<Option<[f32; TERMS]>> {
    let halves = Halves::of(batch);
    (0..batch.len())
        .map(|row| {
            let ported =
                batch.present[row] & FlowBatch::HAS_PORTS != 0 && Protocol(batch.protocol[row]).has_ports();
            let open = ported && !is_group(batch.dst[row]) && !batch.src[row].to_std().is_unspecified();
            open.then(|| terms(batch, row, table, &halves))
        })
        .collect()
}

fn source_asks(batch: &FlowBatch, row: usize, table: &ServiceTable, halves: &Halves) -> f32 {
    let (src, dst, protocol) = (batch.src[row], batch.dst[row], batch.protocol[row]);
    // Nobody asks from a group's address, nor can a host without one be asked.
    if is_group(dst) || src.to_std().is_unspecified() {
        return LIMIT;
    }
    let present = batch.present[row];
    if Protocol(protocol).is_icmp() {
        return if present & FlowBatch::HAS_ICMP == 0 {
            0.0
        } else {
            icmp(protocol, (batch.dst_port[row] >> 8) as u8)
        };
    }
    if present & FlowBatch::HAS_PORTS == 0 || !Protocol(protocol).has_ports() {
        return 3.0 * table.pair_habit(src, dst);
    }
    odds(batch, row, table, halves)
}

/// Requests come from clients, answers from servers; errors belong to another conversation and say nothing.
pub(crate) const fn icmp(protocol: u8, kind: u8) -> f32 {
    match (protocol, kind) {
        (1, 8 | 10 | 13 | 15 | 17) | (58, 128 | 130 | 133 | 135 | 139) => LIMIT,
        (1, 0 | 9 | 14 | 16 | 18) | (58, 129 | 131 | 134 | 136 | 140) => -LIMIT,
        _ => 0.0,
    }
}

fn is_group(ip: Ip) -> bool {
    match ip.as_v4() {
        Some(bits) => bits >> 28 == 0xe || bits == u32::MAX,
        None => ip.0 >> 120 == 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Flow;
    use proptest::prelude::*;

    fn flow(src: &str, dst: &str, protocol: u8, ports: (u16, u16), tcp_flags: u8) -> Flow {
        let icmp = Protocol(protocol).is_icmp();
        Flow {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol,
            src_port: ports.0,
            dst_port: ports.1,
            tcp_flags,
            present: if icmp { FlowBatch::HAS_ICMP } else { FlowBatch::HAS_PORTS | FlowBatch::HAS_TCP_FLAGS },
            ..Flow::default()
        }
    }

    fn oriented(flows: &[Flow]) -> Vec<Client> {
        let mut batch = FlowBatch::new("test");
        flows.iter().for_each(|flow| batch.push(flow.clone()));
        let mut table = ServiceTable::new();
        table.learn(&batch);
        orient(&mut batch, &table);
        batch.client
    }

    #[test]
    fn each_kind_of_evidence_decides_where_it_is_alone() {
        use Client::{Dst, Src, Unknown};
        let (a, b) = ("10.0.0.1", "10.0.0.2");
        for (flow, client) in [
            (flow(a, b, 6, (40_000, 443), 0x1b), Src),
            (flow(a, b, 6, (443, 40_000), 0x1b), Dst),
            (flow(a, b, 6, (443, 40_000), 0x02), Src),
            (flow(a, b, 6, (50_001, 50_002), 0x12), Dst),
            (flow(a, b, 6, (31_337, 50_002), 0x14), Dst),
            (flow(a, b, 6, (20, 40_000), 0x1b), Src),
            (flow(a, b, 17, (68, 67), 0), Src),
            (flow(a, "224.0.0.251", 17, (5_353, 5_353), 0), Src),
            (flow("0.0.0.0", "10.0.0.9", 17, (68, 67), 0), Src),
            (flow(a, b, 1, (0, 8 << 8), 0), Src),
            (flow(a, b, 1, (0, 0), 0), Dst),
            (flow(a, b, 1, (0, 3 << 8), 0), Unknown),
            (flow(a, b, 17, (123, 123), 0), Src),
            (flow(a, "10.0.0.255", 17, (138, 138), 0), Src),
            (flow(a, b, 47, (0, 0), 0), Unknown),
        ] {
            assert_eq!(oriented(std::slice::from_ref(&flow)), [client], "{flow:?}");
        }
    }

    #[test]
    fn the_server_of_an_equal_port_service_is_the_one_that_many_ask() {
        let server = "10.0.0.123";
        let mut flows: Vec<Flow> =
            (1..9).map(|n| flow(&format!("10.0.1.{n}"), server, 17, (123, 123), 0)).collect();
        flows.push(flow(server, "10.0.1.1", 17, (123, 123), 0));
        let clients = oriented(&flows);
        assert!(clients[..8].iter().all(|c| *c == Client::Src), "{clients:?}");
        assert_eq!(clients[8], Client::Dst);
    }

    #[test]
    fn peers_on_equal_ports_that_hear_each_other_stay_open() {
        let there = flow("10.0.0.1", "10.0.0.2", 17, (2_152, 2_152), 0);
        let back = Flow { src: there.dst, dst: there.src, ..there.clone() };
        assert_eq!(oriented(&[there, back]), [Client::Unknown; 2]);
    }

    #[test]
    fn a_socket_that_asked_a_known_service_is_a_clients() {
        let (host, peer) = ("192.168.2.16", "83.170.1.38");
        let flows = [
            flow(host, "65.54.227.120", 17, (3_797, 3_544), 0),
            flow(host, peer, 17, (3_797, 32_900), 0),
            flow(peer, host, 17, (32_900, 3_797), 0),
        ];
        assert_eq!(oriented(&flows), [Client::Src, Client::Src, Client::Dst]);
    }

    #[test]
    fn data_connections_follow_the_control_connection() {
        let (client, server) = ("10.0.0.5", "10.0.0.21");
        let flows = [
            flow(client, server, 6, (45_678, 21), 0x1b),
            flow(client, server, 6, (41_000, 50_123), 0x1b),
            flow(server, client, 6, (50_123, 41_000), 0x1b),
        ];
        assert_eq!(oriented(&flows), [Client::Src, Client::Src, Client::Dst]);
    }

    #[test]
    fn a_scanners_one_source_port_is_not_a_server() {
        let scanner = "10.0.0.66";
        let flows: Vec<Flow> = (1..200_u16)
            // Port 20 speaks for itself: the FTP server's data connection starts there.
            .filter(|port| *port != 20)
            .map(|port| flow(scanner, &format!("10.0.1.{port}"), 17, (54_321, port), 0))
            .collect();
        assert!(oriented(&flows).iter().all(|client| *client == Client::Src));
    }

    #[test]
    fn an_address_that_ends_in_zeros_may_serve() {
        let (server, client) = ("2001:db8::1:0:0", "2001:db8::7");
        let answer = flow(server, client, 6, (443, 50_000), 0x1b);
        assert_eq!(oriented(&[answer]), [Client::Dst]);
        assert_eq!(oriented(&[flow("::", "ff02::1", 58, (0, 135 << 8), 0)]), [Client::Src]);
    }

    #[test]
    fn a_sources_own_statement_stands() {
        let mut stated = flow("10.0.0.1", "10.0.0.2", 6, (40_000, 443), 0);
        stated.client = Client::Dst;
        assert_eq!(oriented(&[stated]), [Client::Dst]);
    }

    proptest! {
        #[test]
        fn both_halves_agree(from in 1_u16.., to in 1_u16.., a in 1_u32..200, b in 1_u32..200, flags in 0_u8..64) {
            let there = Flow {
                src: Ip::v4(a), dst: Ip::v4(b), protocol: 6, src_port: from, dst_port: to,
                tcp_flags: flags | 0x1a, present: 5, ..Flow::default()
            };
            let back = Flow {
                src: there.dst, dst: there.src, src_port: to, dst_port: from, ..there.clone()
            };
            let clients = oriented(&[there, back]);
            let turned = match clients[1] {
                Client::Src => Client::Dst, Client::Dst => Client::Src, Client::Unknown => Client::Unknown,
            };
            prop_assert_eq!(clients[0], turned);
        }
    }
}
