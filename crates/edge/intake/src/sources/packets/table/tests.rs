//! What holds for any packets in any order.

use proptest::prelude::*;

use super::*;
use crate::frame::Part;

/// Packets of few hosts and ports at uneven times, some of them earlier than the one before.
fn packets() -> impl Strategy<Value = Vec<(u8, u8, u16, u16, u8, Micros)>> {
    let one = (0_u8..4, 0_u8..4, 0_u16..3, 0_u16..3, 0_u8..32, -5_000_000_i64..90_000_000);
    prop::collection::vec(one, 0..300)
}

proptest! {
    #[test]
    fn every_packet_is_in_one_flow(packets in packets(), limit in 1_usize..20) {
        let mut table = Table::new(limit, Timeouts { active_us: 200_000_000, ..Timeouts::default() });
        let (mut ended, mut at) = (Vec::new(), 0);
        let mut sent = [0_u64; 2];
        for (from, to, source, destination, flags, later) in &packets {
            at += later;
            let packet = Packet {
                src: Ip::v4(u32::from(*from)),
                dst: Ip::v4(u32::from(*to)),
                protocol: 6,
                selector: Selector::Ports(*source, *destination),
                tcp_flags: Some(*flags),
                length: u32::from(*flags) + 40,
                payload: Part::default(),
            };
            sent[0] += 1;
            sent[1] += u64::from(packet.length);
            table.packet(&packet, &[], at, &mut |flow| ended.push(flow));
            prop_assert!(table.len() <= limit);
        }
        ended.extend(table.drain());
        let mut counted = [0; 2];
        for Ended { flow, .. } in &ended {
            prop_assert!(flow.start <= flow.end && flow.packets + flow.reverse_packets > 0);
            counted[0] += flow.packets + flow.reverse_packets;
            counted[1] += flow.bytes + flow.reverse_bytes;
        }
        prop_assert_eq!(counted, sent);
        prop_assert_eq!(table.len(), 0);
    }
}
