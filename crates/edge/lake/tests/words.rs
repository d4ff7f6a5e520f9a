//! What systems say of who exists, beside lists and beside each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;

use lake::{Lake, Storing, Words, WordsReceipt};
use model::{Account, AddressClaim, AddressName, Ip, Labels, Micros, Workload, WorkloadId};

fn workload(id: &str, role: &str, claims: &[(&str, Micros, Micros)]) -> Workload {
    let claim = |&(ip, from, to): &(&str, Micros, Micros)| AddressClaim { ip: ip.parse().unwrap(), from, to };
    Workload {
        id: WorkloadId(id.into()),
        name: id.into(),
        labels: Labels::from([("role".into(), role.into())]),
        criticality: None,
        addresses: claims.iter().map(claim).collect(),
    }
}

fn account(source: &str, rank: u8, workloads: Vec<Workload>) -> Account {
    Account { source: source.into(), rank, scope: String::new(), workloads }
}

fn store(lake: &mut Lake, accounts: &[Account], storing: Storing) -> WordsReceipt {
    let keys = BTreeMap::from([("mac:00".to_owned(), WorkloadId("a".into()))]);
    let words = Words { accounts, keys: &keys, ended: &[], names: &[] };
    lake.store_words(words, storing).unwrap()
}

fn owner(lake: &Lake, at: Micros) -> Option<String> {
    let inventory = lake.inventory(None).unwrap();
    inventory.owner("10.0.0.1".parse().unwrap(), at).map(|w| w.id.0.clone())
}

#[test]
fn words_add_up_in_any_order_and_twice_is_once() {
    let first = [account("dhcp", 30, vec![workload("a", "x", &[("10.0.0.1", 10, Micros::MAX)])])];
    let then = [account("dhcp", 30, vec![workload("b", "x", &[("10.0.0.1", 50, Micros::MAX)])])];
    let ended = [account("dhcp", 30, vec![workload("a", "x", &[("10.0.0.1", 10, 40)])])];
    for order in [[&first, &then, &ended], [&ended, &then, &first]] {
        let folder = tempfile::tempdir().unwrap();
        let mut lake = Lake::open(folder.path()).unwrap();
        for accounts in order {
            store(&mut lake, accounts, Storing::Merge);
        }
        assert_eq!([39, 40, 50].map(|at| owner(&lake, at)), [Some("a".into()), None, Some("b".into())]);
        let again = store(&mut lake, order[0], Storing::Merge);
        assert_eq!(again, WordsReceipt { unchanged: 1, ..WordsReceipt::default() });
        assert_eq!(lake.known_things().unwrap()["mac:00"].0, "a");
        assert_eq!(lake.known_things().unwrap()["id:b"].0, "b");
    }
}

#[test]
fn lists_come_before_systems_and_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let pods = [
        account("kubernetes", 50, vec![workload("pod", "web", &[("10.0.0.1", 10, 60)])]),
        account("aws", 40, vec![workload("i-1", "node", &[("10.0.0.1", 0, Micros::MAX)])]),
    ];
    store(&mut lake, &pods, Storing::Merge);
    assert_eq!([5, 10, 60].map(|at| owner(&lake, at).unwrap()), ["i-1", "pod", "i-1"]);
    lake.store_workloads(&[workload("mine", "db", &[("10.0.0.1", 30, 40)])], Storing::Merge).unwrap();
    assert_eq!([29, 30, 40].map(|at| owner(&lake, at).unwrap()), ["pod", "mine", "pod"]);
    let inventory = lake.inventory(None).unwrap();
    assert!(inventory.overlaps().iter().all(|overlap| overlap.taken.is_some()));
    // What is all there is ends what it does not name, of its own source only.
    let receipt = store(&mut lake, &[account("aws", 40, vec![])], Storing::Replace { at: 100 });
    assert_eq!((receipt.ended, owner(&lake, 99).unwrap(), owner(&lake, 100)), (1, "i-1".into(), None));
}

#[test]
fn what_a_workload_was_then_is_told_as_of_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    for (role, at) in [("web", 1_000), ("proxy", 2_000)] {
        store(&mut lake, &[account("aws", 40, vec![workload("a", role, &[])])], Storing::Replace { at });
    }
    let role = |as_of| lake.inventory(as_of).unwrap().workloads()[0].labels["role"].clone();
    assert_eq!((role(Some(1_500)), role(None)), ("web".into(), "proxy".into()));
    let ended = [("aws".to_owned(), WorkloadId("a".into()), 77)];
    store(
        &mut lake,
        &[account("aws", 40, vec![workload("a", "proxy", &[("10.0.0.1", 5, Micros::MAX)])])],
        Storing::Merge,
    );
    let words = Words { accounts: &[], keys: &BTreeMap::new(), ended: &ended, names: &[] };
    assert_eq!(lake.store_words(words, Storing::Merge).unwrap().ended, 1);
    assert_eq!((owner(&lake, 76), owner(&lake, 77)), (Some("a".into()), None));
    assert_eq!(owner(&lake, 4), None);
    lake.resolve_late(3);
    assert_eq!((owner(&lake, 2), owner(&lake, 1)), (Some("a".into()), None));
}

#[test]
fn names_are_good_for_as_long_as_they_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let name = |from, to| AddressName { ip: Ip::v4(1), from, to, name: "www.example.com".into() };
    let names = [name(10, 20), name(15, 40), name(60, 70)];
    for expected in [2, 0] {
        let words = Words { accounts: &[], keys: &BTreeMap::new(), ended: &[], names: &names };
        assert_eq!(lake.store_words(words, Storing::Merge).unwrap().names, expected);
    }
    let inventory = lake.inventory(None).unwrap();
    let told = [9, 10, 39, 40, 65].map(|at| inventory.name_of(Ip::v4(1), at).is_some());
    assert_eq!(told, [false, true, true, false, true]);
}
