//! Whom an intruder could reach, hop by hop.

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
/// followed. Costs a look-up for each pair of a workload that is reached and one that is not yet.
pub(crate) fn reached(verifier: &Verifier<'_>, start: &WorkloadId, hops: u32) -> Vec<Reached> {
    let mut list: Vec<Reached> = Vec::new();
    let mut rest: Vec<_> =
        verifier.view.members.iter().filter(|(workload, _)| workload.id != *start).collect();
    let mut frontier = vec![start.clone()];
    let mut hop = 0;
    while hop < hops && !frontier.is_empty() {
        hop += 1;
        let first = list.len();
        for via in &frontier {
            let sources = verifier.view.addresses(via);
            rest.retain(|(workload, ips)| {
                let services = services(verifier, &sources, ips);
                if services.is_empty() {
                    return true;
                }
                let services = if services.is_full() { Vec::new() } else { services.services() };
                list.push(Reached { hop, workload: workload.id.clone(), via: via.clone(), services });
                false
            });
        }
        list[first..].sort_by(|a, b| a.workload.cmp(&b.workload));
        frontier = list[first..].iter().map(|reached| reached.workload.clone()).collect();
    }
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
