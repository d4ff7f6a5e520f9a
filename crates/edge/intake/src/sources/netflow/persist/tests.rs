use model::FlowBatch;
use proptest::prelude::*;

use super::super::memory::Limits;
use super::super::tests::{ipfix, record, set, template, v9};
use super::*;
use crate::datagram::{Datagram, Framing, Sender};
use crate::ledger::Ledger;

const FIELDS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];

fn take(decoder: &mut Decoder, port: u16, bytes: &[u8]) -> FlowBatch {
    let (mut flows, mut ledger) = (FlowBatch::default(), Ledger::new("test".into(), None));
    let sender = Sender { ip: Ip::v4(0xc000_0201), port };
    let datagram = Datagram { sender, received: 0, bytes, framing: Framing::Packet, offset: 0 };
    decoder.datagram(datagram, &mut flows, &mut ledger);
    flows
}

/// An exporter with two templates of the same number from two ports, a sampling rate and a named application.
fn taught() -> Decoder {
    let mut decoder = Decoder::default();
    let options = [1, 1, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0];
    let names = [1, 2, 0, 4, 0, 8, 0, 1, 0, 0, 0, 95, 0, 4, 0, 96, 0, 4];
    let rate = [0, 0, 0, 0, 0, 0, 0, 100];
    let name = [3, 0, 0, 80, b'h', b't', b't', b'p'];
    let with_application = [&FIELDS[..], &[(95, 4)]].concat();
    take(&mut decoder, 1, &v9(7, 1, &[set(0, &template(300, &[(8, 4), (12, 4), (1, 2)]))]));
    take(&mut decoder, 2, &v9(7, 1, &[set(0, &template(300, &with_application)), set(1, &options)]));
    take(&mut decoder, 2, &v9(7, 2, &[set(257, &rate), set(1, &names), set(258, &name)]));
    take(&mut decoder, 2, &ipfix(8, 2, &[set(2, &template(400, &FIELDS))]));
    decoder
}

fn flow() -> Vec<u8> {
    let data = [record(1, 2, (3, 80), 6, 5), vec![3, 0, 0, 80]].concat();
    v9(7, 3, &[set(300, &data)])
}

#[test]
fn what_was_learnt_outlives_a_restart() {
    let mut before = taught();
    let saved = before.export_state();
    let mut after = Decoder::default();
    assert_eq!(after.import_state(&saved), Ok(5));
    assert_eq!(after.export_state(), saved, "the same memory gives the same bytes");
    assert_eq!(after.held(), before.held());
    for port in [1, 2, 3] {
        assert_eq!(take(&mut after, port, &flow()), take(&mut before, port, &flow()));
    }
    let flows = take(&mut after, 3, &flow());
    assert_eq!((flows.bytes.clone(), flows.sampling.clone()), (vec![500], vec![100]));
    assert_eq!(flows.details[&0].service_name.as_deref(), Some("http"));
    assert_eq!(take(&mut after, 1, &ipfix(8, 0, &[set(400, &record(1, 2, (3, 4), 6, 5))])).bytes, [5]);
}

#[test]
fn what_is_known_already_stays() {
    let saved = taught().export_state();
    let mut after = Decoder::default();
    take(&mut after, 2, &v9(7, 1, &[set(0, &template(300, &[(8, 4), (12, 4), (2, 4)]))]));
    after.import_state(&saved).unwrap();
    let flows = take(&mut after, 2, &v9(7, 1, &[set(300, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9])]));
    assert_eq!(flows.packets, [900]);
    // And again: nothing is new.
    assert_eq!(after.import_state(&saved), Ok(0));
}

#[test]
fn limits_hold_for_what_is_read_back_too() {
    let saved = taught().export_state();
    for limits in [
        Limits { exporters: 1, ..Limits::default() },
        Limits { templates_per_exporter: 2, ..Limits::default() },
        Limits { fields_per_template: 7, ..Limits::default() },
        Limits { fields: 60, ..Limits::default() },
    ] {
        let mut decoder = Decoder::new(limits);
        let taken = decoder.import_state(&saved).unwrap();
        assert!((1..5).contains(&taken), "{taken} of {limits:?}");
        assert!(decoder.held().1 <= limits.fields && decoder.memory.exporters.len() <= limits.exporters);
    }
}

#[test]
fn damaged_states_are_refused_whole() {
    let saved = taught().export_state();
    let refused = |bytes: &[u8]| {
        let mut decoder = Decoder::default();
        let error = decoder.import_state(bytes).unwrap_err();
        assert_eq!(decoder.held(), (0, 0, 0));
        error.to_string()
    };
    assert!(refused(b"").ends_with("at byte 0: expected templates saved by this version"));
    assert!(refused(&saved[..20]).contains("it ends within its header"));
    assert!(refused(&saved[..saved.len() - 1]).contains("it says that it has "));
    assert!(refused(&[&saved[..], &[0]].concat()).contains("it says that it has "));
    let mut newer = saved.clone();
    newer[15] = 2;
    assert!(refused(&newer).contains("saved by this version"));
    for at in 16..saved.len() {
        let mut changed = saved.clone();
        changed[at] ^= 1;
        refused(&changed);
    }
}

/// A body with the right length and hash around it.
fn sealed(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u64).to_be_bytes();
    [&MAGIC[..], &length, body, &fnv_1a(body).to_be_bytes()].concat()
}

proptest! {
    #[test]
    fn hostile_states_are_refused_or_fit(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..8),
    ) {
        let saved = taught().export_state();
        let mut body = saved[24..saved.len() - 8].to_vec();
        for (place, value, kind) in edits {
            let at = place.index(body.len());
            match kind {
                0 => body[at] = value,
                1 => body.truncate(at.max(1)),
                _ => body.insert(at, value),
            }
        }
        let mut decoder = Decoder::default();
        if decoder.import_state(&sealed(&body)).is_err() {
            prop_assert_eq!(decoder.held(), (0, 0, 0));
        }
        take(&mut decoder, 1, &flow());
    }

    #[test]
    fn any_bytes_are_no_state(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
        let _ = read(&sealed(&bytes));
    }
}
