//! Who exists: workloads, their labels, and the addresses they own over time.

use std::collections::BTreeMap;
use std::fmt;

use netset::{IntervalSet, Ip, IpSet};
use serde::{Deserialize, Serialize};

use crate::time::{Micros, TimeWindow};

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
}

/// All workloads, with an index from address and moment to owner.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    workloads: Vec<Workload>,
    /// Sorted by (ip, from); value is the workload's index.
    claims: Vec<(AddressClaim, u32)>,
}

impl Inventory {
    /// Builds the index. Workloads are sorted by id; with overlapping claims the inventory is refused, for whom an
    /// address belongs to must never be a guess.
    pub fn new(mut workloads: Vec<Workload>) -> Result<Self, Vec<AddressConflict>> {
        workloads.sort_by(|a, b| a.id.cmp(&b.id));
        let mut claims: Vec<(AddressClaim, u32)> = workloads
            .iter()
            .enumerate()
            .flat_map(|(index, w)| w.addresses.iter().map(move |claim| (*claim, index as u32)))
            .filter(|(claim, _)| claim.from < claim.to)
            .collect();
        claims.sort_unstable();
        let mut conflicts = Vec::new();
        // The claim that reaches furthest among those before, for each address.
        let mut reach: Option<(AddressClaim, u32)> = None;
        for &(claim, owner) in &claims {
            match reach {
                Some((before, other)) if before.ip == claim.ip => {
                    if claim.from < before.to && other != owner {
                        let name = |index: u32| workloads[index as usize].id.clone();
                        conflicts.push(AddressConflict {
                            ip: claim.ip,
                            first: name(other),
                            second: name(owner),
                            window: TimeWindow { from: claim.from, to: claim.to.min(before.to) },
                        });
                    }
                    if claim.to > before.to {
                        reach = Some((claim, owner));
                    }
                }
                _ => reach = Some((claim, owner)),
            }
        }
        if conflicts.is_empty() { Ok(Self { workloads, claims }) } else { Err(conflicts) }
    }

    /// Every workload, sorted by id.
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// A workload by id.
    pub fn get(&self, id: &WorkloadId) -> Option<&Workload> {
        self.workloads.binary_search_by(|w| w.id.cmp(id)).ok().map(|index| &self.workloads[index])
    }

    /// Who owned an address at a moment. `O(log n)` plus the address's earlier claims.
    pub fn owner(&self, ip: Ip, at: Micros) -> Option<&Workload> {
        let after = self.claims.partition_point(|(claim, _)| (claim.ip, claim.from) <= (ip, at));
        self.claims[..after]
            .iter()
            .rev()
            .take_while(|(claim, _)| claim.ip == ip)
            .find(|(claim, _)| claim.holds(at))
            .map(|(_, index)| &self.workloads[*index as usize])
    }

    /// The inventory as it was at a moment.
    pub fn as_of(&self, at: Micros) -> InventoryView<'_> {
        let mut members = Vec::new();
        for workload in &self.workloads {
            let held = workload.addresses.iter().filter(|claim| claim.holds(at));
            let ips: Vec<Ip> = held.map(|claim| claim.ip).collect();
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
}
