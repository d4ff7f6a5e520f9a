//! Whom an intruder could reach, hop by hop.

use std::collections::BTreeMap;

use model::{IpSet, Region, Service, ServiceSet, WorkloadId};
use serde::Serialize;

use crate::verifier::Verifier;

/// A workload that an intruder could reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reached {
    /// In how many hops; 1 is directly.
    pub hop: u32,
    /// Who.
    pub workload: WorkloadId,
    /// From where the last hop starts; the first by id where several do.
    pub via: WorkloadId,
    /// On what the last hop goes, sorted; empty means every service.
    pub services: Vec<Service>,
}

/// Breadth first over workloads, so each is reached in the fewest hops. Addresses outside of the inventory are not
/// followed. Costs one look-up for each pair of addresses of a reached workload and any workload.
pub(crate) fn reached(verifier: &Verifier<'_>, start: &WorkloadId, hops: u32) -> Vec<Reached> {
    let mut found: BTreeMap<&WorkloadId, Reached> = BTreeMap::new();
    let mut frontier = vec![start];
    let mut hop = 0;
    while hop < hops && !frontier.is_empty() {
        hop += 1;
        let mut next = Vec::new();
        for via in frontier {
            let sources = verifier.view.addresses(via);
            for (workload, ips) in &verifier.view.members {
                if workload.id == *start || found.contains_key(&workload.id) {
                    continue;
                }
                let services = services(verifier, &sources, ips);
                if services.is_empty() {
                    continue;
                }
                let listed = if services.is_full() { Vec::new() } else { services.services() };
                let id = &workload.id;
                found.insert(id, Reached { hop, workload: id.clone(), via: via.clone(), services: listed });
                next.push(id);
            }
        }
        next.sort_unstable();
        frontier = next;
    }
    let mut list: Vec<Reached> = found.into_values().collect();
    list.sort_by(|a, b| (a.hop, &a.workload).cmp(&(b.hop, &b.workload)));
    list
}

/// What passes from any of the sources to any of the addresses.
fn services(verifier: &Verifier<'_>, sources: &IpSet, destinations: &[model::Ip]) -> ServiceSet {
    let singles = sources.runs().iter().flat_map(|(low, high)| (low.0..=high.0).map(model::Ip));
    let pairs = singles.flat_map(|source| destinations.iter().map(move |destination| (source, *destination)));
    pairs
        .filter_map(|(source, destination)| verifier.permitted().services(source, destination))
        .fold(ServiceSet::default(), |all, services| all.union(services))
}
