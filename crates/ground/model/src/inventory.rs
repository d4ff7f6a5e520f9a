//! Who exists: workloads, their labels, and the addresses they own over time.

use std::collections::BTreeMap;
use std::fmt;

use netset::{IntervalSet, Ip, IpSet};
use serde::{Deserialize, Serialize};

use crate::time::{Micros, TimeWindow};

mod account;
mod index;

use index::{Holder, IntervalIndex};

pub use account::{Account, AddressName, Claimant, JoinOptions, LIST, LIST_RANK, Overlap, later_end};

/// A workload's identity: stable over time, unique in the inventory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkloadId(pub String);

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels of a workload; `role`, `app`, `env`, `loc` are conventional, any key is legal.
pub type Labels = BTreeMap<String, String>;

/// How much it matters if this workload fails or leaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// The business stops.
    Critical,
}

/// An address owned from one moment up to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressClaim {
    /// The address.
    pub ip: Ip,
    /// First moment of ownership.
    pub from: Micros,
    /// End of ownership, excluded; `Micros::MAX` while it lasts.
    pub to: Micros,
}

impl AddressClaim {
    /// Whether the address is owned at a moment. What lasts has no last moment: `Micros::MAX`, which a broken clock can
    /// report, is in it too.
    pub const fn holds(&self, at: Micros) -> bool {
        self.from <= at && (at < self.to || self.to == Micros::MAX)
    }
}

/// A thing with an identity over time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// Identity.
    pub id: WorkloadId,
    /// What it is called now.
    pub name: String,
    /// See [`Labels`].
    pub labels: Labels,
    /// See [`Criticality`].
    pub criticality: Option<Criticality>,
    /// Addresses and when.
    pub addresses: Vec<AddressClaim>,
}

/// Two workloads that own one address at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressConflict {
    /// The address.
    pub ip: Ip,
    /// Who claims it.
    pub first: WorkloadId,
    /// Who claims it too.
    pub second: WorkloadId,
    /// When both do.
    pub window: TimeWindow,
}

impl fmt::Display for AddressConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, first, second, window } = self;
        write!(f, "`{first}` and `{second}` both own {ip}")?;
        write_window(f, *window)
    }
}

fn write_window(f: &mut fmt::Formatter<'_>, window: TimeWindow) -> fmt::Result {
    // Claims without a beginning start at or before the epoch.
    match (window.from > 0, window.to < Micros::MAX) {
        (false, false) => f.write_str(" at all times"),
        (true, false) => write!(f, " from {}", crate::format_time(window.from)),
        (false, true) => write!(f, " until {}", crate::format_time(window.to)),
        (true, true) => {
            write!(f, " from {} to {}", crate::format_time(window.from), crate::format_time(window.to))
        }
    }
}

/// All workloads, with an index from address and moment to owner.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Sorted by id.
    workloads: Vec<Workload>,
    /// Owners are numbers of workloads.
    index: IntervalIndex,
    /// The same for each scope, where sources name scopes.
    scoped: BTreeMap<String, IntervalIndex>,
    overlaps: Vec<Overlap>,
    /// Sorted by address and time.
    names: Vec<AddressName>,
    /// Owners are numbers of names.
    name_index: IntervalIndex,
}

impl Inventory {
    /// The inventory of one list. Workloads are sorted by id; with overlapping claims the list is refused, for whom an
    /// address belongs to must never be a guess. Several sources that contradict each other: [`Inventory::of`].
    ///
    /// # Errors
    /// With every overlap.
    pub fn new(workloads: Vec<Workload>) -> Result<Self, Vec<AddressConflict>> {
        let list = Account { source: LIST.to_owned(), rank: LIST_RANK, scope: String::new(), workloads };
        let inventory = Self::of(vec![list], Vec::new(), JoinOptions::default());
        let conflict = |overlap: &Overlap| AddressConflict {
            ip: overlap.ip,
            first: overlap.first.workload.clone(),
            second: overlap.second.workload.clone(),
            window: TimeWindow { from: overlap.from, to: overlap.to },
        };
        let conflicts: Vec<AddressConflict> = inventory.overlaps.iter().map(conflict).collect();
        if conflicts.is_empty() { Ok(inventory) } else { Err(conflicts) }
    }

    /// Every workload, sorted by id.
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// A workload by id.
    pub fn get(&self, id: &WorkloadId) -> Option<&Workload> {
        self.workloads.binary_search_by(|w| w.id.cmp(id)).ok().map(|index| &self.workloads[index])
    }

    /// Who owned an address at a moment, in `O(log n)`. Nobody, where sources contradict each other and none of them
    /// comes first.
    pub fn owner(&self, ip: Ip, at: Micros) -> Option<&Workload> {
        self.held_by(&self.index, ip, at)
    }

    fn held_by(&self, index: &IntervalIndex, ip: Ip, at: Micros) -> Option<&Workload> {
        match index.holder(ip, at)? {
            Holder::One(owner) => self.workloads.get(owner as usize),
            Holder::Disputed => None,
        }
    }

    /// The inventory as it was at a moment.
    pub fn as_of(&self, at: Micros) -> InventoryView<'_> {
        let mut members = Vec::new();
        for (number, workload) in self.workloads.iter().enumerate() {
            let is_owner = |ip: Ip| self.index.holder(ip, at) == Some(Holder::One(number as u32));
            let held = workload.addresses.iter().filter(|claim| claim.holds(at)).map(|claim| claim.ip);
            let mut ips: Vec<Ip> = held.filter(|ip| is_owner(*ip)).collect();
            ips.dedup();
            if !ips.is_empty() {
                members.push((workload, ips));
            }
        }
        InventoryView { at, members }
    }
}

/// The workloads that had an address at one moment, with those addresses.
#[derive(Clone, Debug)]
pub struct InventoryView<'a> {
    /// The moment.
    pub at: Micros,
    /// Workloads sorted by id, each with its addresses then.
    pub members: Vec<(&'a Workload, Vec<Ip>)>,
}

impl InventoryView<'_> {
    /// The addresses of one workload.
    pub fn addresses(&self, id: &WorkloadId) -> IpSet {
        match self.members.binary_search_by(|(w, _)| w.id.cmp(id)) {
            Ok(index) => IntervalSet::from_ranges(self.members[index].1.iter().map(|ip| (*ip, *ip))),
            Err(_) => IpSet::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(id: &str, claims: &[(&str, Micros, Micros)]) -> Workload {
        Workload {
            id: WorkloadId(id.into()),
            name: id.into(),
            labels: Labels::new(),
            criticality: None,
            addresses: claims
                .iter()
                .map(|&(ip, from, to)| AddressClaim { ip: ip.parse().unwrap(), from, to })
                .collect(),
        }
    }

    #[test]
    fn addresses_belong_for_an_interval() {
        let inventory = Inventory::new(vec![
            workload("b", &[("10.0.0.1", 10, 20)]),
            workload("a", &[("10.0.0.1", 0, 10)]),
        ])
        .unwrap();
        let owner = |at| inventory.owner("10.0.0.1".parse().unwrap(), at).map(|w| w.id.0.as_str());
        assert_eq!((owner(9), owner(10), owner(20)), (Some("a"), Some("b"), None));
        assert_eq!(inventory.as_of(15).members.len(), 1);
    }

    #[test]
    fn what_lasts_is_held_at_the_end_of_time_too() {
        let inventory = Inventory::new(vec![workload("a", &[("10.0.0.1", 0, Micros::MAX)])]).unwrap();
        assert!(inventory.owner("10.0.0.1".parse().unwrap(), Micros::MAX).is_some());
        assert_eq!(inventory.as_of(Micros::MAX).members.len(), 1);
    }

    #[test]
    fn two_owners_at_one_time_are_refused() {
        let conflicts = Inventory::new(vec![
            workload("a", &[("10.0.0.1", 0, 100)]),
            workload("b", &[("10.0.0.1", 10, 20)]),
            workload("c", &[("10.0.0.1", 50, Micros::MAX)]),
        ])
        .unwrap_err();
        assert_eq!(conflicts.len(), 2);
        assert_eq!(conflicts[0].window, TimeWindow { from: 10, to: 20 });
        assert_eq!((conflicts[1].first.0.as_str(), conflicts[1].second.0.as_str()), ("a", "c"));
    }

    fn account(source: &str, rank: u8, scope: &str, workloads: Vec<Workload>) -> Account {
        Account { source: source.into(), rank, scope: scope.into(), workloads }
    }

    fn of(accounts: Vec<Account>) -> Inventory {
        Inventory::of(accounts, Vec::new(), JoinOptions::default())
    }

    fn owner(inventory: &Inventory, at: Micros) -> Option<&str> {
        inventory.owner("10.0.0.1".parse().unwrap(), at).map(|w| w.id.0.as_str())
    }

    #[test]
    fn the_source_that_comes_first_is_believed_and_the_overlap_told() {
        let node = account("aws", 40, "vpc-1", vec![workload("i-1", &[("10.0.0.1", 0, Micros::MAX)])]);
        let pod = account("kubernetes", 50, "blue", vec![workload("web", &[("10.0.0.1", 10, 20)])]);
        let joined = of(vec![node.clone(), pod.clone()]);
        assert_eq!(
            (owner(&joined, 9), owner(&joined, 10), owner(&joined, 20)),
            (Some("i-1"), Some("web"), Some("i-1"))
        );
        let told: Vec<String> = joined.overlaps().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "`i-1` (aws, vpc-1) and `web` (kubernetes, blue) both claim 10.0.0.1 from 1970-01-01T00:00:00.000Z to \
              1970-01-01T00:00:00.000Z; it is taken for `web`: kubernetes comes before aws"
            ]
        );
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!(joined.owner_in("vpc-1", ip, 15).unwrap().id.0, "i-1");
        assert!(joined.owner_in("green", ip, 15).is_none());
        assert_eq!(joined.as_of(15).members.len(), 1);
        let turned = of(vec![pod, node]);
        assert_eq!((turned.workloads(), turned.overlaps()), (joined.workloads(), joined.overlaps()));
    }

    #[test]
    fn sources_of_one_rank_leave_an_address_unresolved() {
        let blue = account("kubernetes", 50, "blue", vec![workload("a", &[("10.0.0.1", 0, 20)])]);
        let green = account("kubernetes", 50, "green", vec![workload("b", &[("10.0.0.1", 10, 30)])]);
        let joined = of(vec![blue, green]);
        assert_eq!((owner(&joined, 5), owner(&joined, 15), owner(&joined, 25)), (Some("a"), None, Some("b")));
        assert!(joined.overlaps()[0].to_string().ends_with("; it is left unresolved"));
        assert_eq!(joined.as_of(15).members.len(), 0);
        assert_eq!(joined.owner_in("green", "10.0.0.1".parse().unwrap(), 15).unwrap().id.0, "b");
    }

    #[test]
    fn a_claim_that_lasts_ends_when_its_source_gives_the_address_away() {
        let first = account("dhcp", 30, "", vec![workload("a", &[("10.0.0.1", 10, Micros::MAX)])]);
        let then = account("dhcp", 30, "", vec![workload("b", &[("10.0.0.1", 30, Micros::MAX)])]);
        let early = account("dhcp", 30, "", vec![workload("c", &[("10.0.0.1", Micros::MIN, 10)])]);
        let late = account("dhcp", 30, "", vec![workload("a", &[("10.0.0.1", 10, 25)])]);
        let joined = of(vec![first.clone(), then.clone(), early.clone()]);
        assert_eq!(
            [9, 10, 29, 30].map(|at| owner(&joined, at)),
            [Some("c"), Some("a"), Some("a"), Some("b")]
        );
        assert!(joined.overlaps().is_empty());
        // The end is learnt later, or earlier: it counts.
        for order in [[&first, &then, &late], [&late, &then, &first]] {
            let joined = of(order.into_iter().cloned().collect());
            assert_eq!([24, 25, 30].map(|at| owner(&joined, at)), [Some("a"), None, Some("b")]);
        }
        let unknown = account("dhcp", 30, "", vec![workload("d", &[("10.0.0.1", Micros::MIN, 60)])]);
        let joined = of(vec![late, unknown]);
        assert_eq!([24, 25].map(|at| owner(&joined, at)), [Some("a"), Some("d")]);
        let late_us = JoinOptions { late_us: 3 };
        let joined = Inventory::of(vec![then], Vec::new(), late_us);
        assert_eq!([26, 27].map(|at| owner(&joined, at)), [None, Some("b")]);
        assert_eq!(joined.changes(), [("10.0.0.1".parse().unwrap(), 27)]);
    }

    #[test]
    fn labels_add_up_and_the_first_source_names() {
        let with = |id: &str, name: &str, role: &str| {
            let labels = Labels::from([("role".into(), role.into()), (role.into(), "yes".into())]);
            Workload { name: name.into(), labels, ..workload(id, &[]) }
        };
        let joined = of(vec![
            account("aws", 40, "", vec![with("a", "ip-10-0-0-1", "proxy")]),
            account(LIST, LIST_RANK, "", vec![with("a", "a", "web")]),
        ]);
        let merged = &joined.workloads()[0];
        assert_eq!(
            (merged.name.as_str(), merged.labels["role"].as_str(), merged.labels.len()),
            ("ip-10-0-0-1", "web", 3)
        );
    }

    #[test]
    fn the_latest_name_that_was_good_is_told_and_owns_nothing() {
        let ip: Ip = "10.0.0.1".parse().unwrap();
        let name = |from, to, name: &str| AddressName { ip, from, to, name: name.into() };
        let names =
            vec![name(10, 100, "old.example"), name(50, 60, "new.example"), name(50, 60, "other.example")];
        let inventory = Inventory::of(Vec::new(), names, JoinOptions::default());
        let told = [9, 10, 50, 60, 100].map(|at| inventory.name_of(ip, at));
        assert_eq!(told, [None, Some("old.example"), Some("new.example"), Some("old.example"), None]);
        assert!(inventory.owner(ip, 50).is_none());
        let owned = account(LIST, LIST_RANK, "", vec![workload("a", &[("10.0.0.1", 20, 30)])]);
        let names = vec![name(10, 25, "old.example"), name(50, 60, "new.example")];
        let inventory = Inventory::of(vec![owned], names, JoinOptions::default());
        assert_eq!(inventory.workloads()[0].labels["dns"], "old.example");
    }
}
