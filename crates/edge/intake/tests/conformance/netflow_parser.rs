//! The same datagrams through the crate `netflow_parser`, an independent decoder, where it is known to be right.
//!
//! It gives up a data set, without an error, at a field of variable length that is empty, and knows nothing of exporters
//! that change their port: captures with either are compared elsewhere. Generated datagrams have none of it.

use std::net::IpAddr;

use model::FlowBatch;
use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField, IPFixField};
use netflow_parser::variable_versions::v9::lookup::V9Field;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};
use proptest::prelude::*;

use crate::reading::read_bytes;

/// Addresses, ports, protocol, packets and bytes: element and the lengths that it may be encoded in.
const ELEMENTS: [(u16, &[u16]); 10] = [
    (8, &[4]),
    (12, &[4]),
    (27, &[16]),
    (28, &[16]),
    (7, &[2]),
    (11, &[2]),
    (4, &[1]),
    (2, &[1, 2, 3, 4, 8]),
    (1, &[1, 2, 3, 4, 8]),
    // Something that neither needs: a VLAN.
    (58, &[2]),
];

/// A template of some of the elements in any order, and records for it.
fn generated() -> impl Strategy<Value = (Vec<(u16, u16)>, Vec<u8>, usize)> {
    let four = prop::bool::ANY.prop_flat_map(|four| {
        let wanted: Vec<_> = ELEMENTS
            .iter()
            .filter(|(id, _)| !matches!((four, id), (true, 27 | 28) | (false, 8 | 12)))
            .collect();
        let lengths: Vec<_> =
            wanted.iter().map(|(id, lengths)| (Just(*id), prop::sample::select(lengths.to_vec()))).collect();
        lengths.prop_shuffle()
    });
    (four, 1_usize..6).prop_flat_map(|(fields, count)| {
        let size: usize = fields.iter().map(|(_, length)| usize::from(*length)).sum();
        (Just(fields), prop::collection::vec(any::<u8>(), size * count), Just(count))
    })
}

fn datagram(version: u16, fields: &[(u16, u16)], data: &[u8], count: usize) -> Vec<u8> {
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let template: Vec<u16> = fields.iter().flat_map(|(id, length)| [*id, *length]).collect();
    let mut sets = words(&[if version == 9 { 0 } else { 2 }, 8 + 4 * fields.len() as u16]);
    sets.extend(words(&[256, fields.len() as u16]));
    sets.extend(words(&template));
    sets.extend(words(&[256, 4 + data.len() as u16]));
    sets.extend(data);
    let mut message = match version {
        9 => words(&[9, 1 + count as u16, 0, 60_000]),
        _ => words(&[10, 16 + sets.len() as u16]),
    };
    message.extend(1_600_000_000_u32.to_be_bytes());
    message.extend([0; 8]);
    message.extend(sets);
    message
}

proptest! {
    #[test]
    fn generated_records_are_those_of_netflow_parser((fields, data, count) in generated()) {
        for version in [9, 10] {
            let bytes = datagram(version, &fields, &data, count);
            let theirs = their_records(&bytes);
            prop_assert_eq!(theirs.len(), count);
            let flows = read_bytes("netflow", bytes).flows;
            let ours: Vec<String> = (0..flows.len()).map(|row| our_record(&flows, row)).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}

fn our_record(flows: &FlowBatch, row: usize) -> String {
    let flow = flows.get(row);
    let ports = flow.present & FlowBatch::HAS_PORTS != 0;
    let (source, destination) = if ports { (flow.src_port, flow.dst_port) } else { (0, 0) };
    let (packets, bytes) = (flow.packets, flow.bytes);
    format!("{}:{source} {}:{destination} {} {packets}/{bytes}", flow.src, flow.dst, flow.protocol)
}

/// What of a record both decoders say.
#[derive(Default)]
struct Record {
    addresses: [Option<IpAddr>; 2],
    ports: [u64; 2],
    protocol: u64,
    counts: [u64; 2],
}

impl Record {
    fn put(&mut self, element: u16, value: &FieldValue) {
        let number = || value.as_u64().unwrap_or_default();
        match element {
            8 | 27 => self.addresses[0] = IpAddr::try_from(value).ok(),
            12 | 28 => self.addresses[1] = IpAddr::try_from(value).ok(),
            7 => self.ports[0] = number(),
            11 => self.ports[1] = number(),
            4 => self.protocol = protocol(value),
            2 => self.counts[0] = number(),
            1 => self.counts[1] = number(),
            _ => {}
        }
    }

    fn text(&self) -> String {
        let address = |at: usize| {
            let ip: netset::Ip = self.addresses[at].unwrap().into();
            ip.to_string()
        };
        let ports = matches!(self.protocol, 6 | 17 | 33 | 132 | 136);
        let [source, destination] = if ports { self.ports } else { [0, 0] };
        let [packets, bytes] = self.counts;
        format!("{}:{source} {}:{destination} {} {packets}/{bytes}", address(0), address(1), self.protocol)
    }
}

fn protocol(value: &FieldValue) -> u64 {
    match value {
        FieldValue::ProtocolType(known) => u64::from(u8::from(*known)),
        other => other.as_u64().unwrap_or_default(),
    }
}

fn their_records(bytes: &[u8]) -> Vec<String> {
    let result = NetflowParser::default().parse_bytes(bytes);
    assert!(result.error.is_none(), "{:?}", result.error);
    result.packets.iter().flat_map(their_message).collect()
}

fn their_message(packet: &NetflowPacket) -> Vec<String> {
    let mut records = Vec::new();
    match packet {
        NetflowPacket::V9(message) => {
            for set in &message.flowsets {
                let v9::FlowSetBody::Data(data) = &set.body else { continue };
                records.extend(data.fields.iter().map(|fields| {
                    let mut record = Record::default();
                    fields.iter().for_each(|(field, value)| record.put(v9_element(*field), value));
                    record.text()
                }));
            }
        }
        NetflowPacket::IPFix(message) => {
            for set in &message.flowsets {
                let ipfix::FlowSetBody::Data(data) = &set.body else { continue };
                records.extend(data.fields.iter().map(|fields| {
                    let mut record = Record::default();
                    fields.iter().for_each(|(field, value)| record.put(ipfix_element(*field), value));
                    record.text()
                }));
            }
        }
        _ => {}
    }
    records
}

fn v9_element(field: V9Field) -> u16 {
    u16::from(field)
}

fn ipfix_element(field: IPFixField) -> u16 {
    use IANAIPFixField::*;
    match field {
        IPFixField::IANA(SourceIpv4address) => 8,
        IPFixField::IANA(DestinationIpv4address) => 12,
        IPFixField::IANA(SourceIpv6address) => 27,
        IPFixField::IANA(DestinationIpv6address) => 28,
        IPFixField::IANA(SourceTransportPort) => 7,
        IPFixField::IANA(DestinationTransportPort) => 11,
        IPFixField::IANA(ProtocolIdentifier) => 4,
        IPFixField::IANA(PacketDeltaCount) => 2,
        IPFixField::IANA(OctetDeltaCount) => 1,
        _ => 0,
    }
}
