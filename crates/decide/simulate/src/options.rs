//! What a replay can be told.

use std::collections::BTreeMap;

use model::{InventoryView, IpSet, WorkloadId};

/// What [`crate::simulate`] can be told. There is no seed, for nothing here is left to chance.
#[derive(Clone, PartialEq, Debug)]
pub struct SimulateOptions {
    /// Below this confidence in the direction, a conversation is read both ways.
    pub min_confidence: f64,
    /// Addresses of the workloads at the moment that the policy was resolved for. A conversation of a workload that has
    /// moved since is replayed with its address of then; empty means addresses as recorded.
    pub addresses: BTreeMap<WorkloadId, IpSet>,
    /// Clients known to misbehave in the window: blocking them is no false block.
    pub suspects: IpSet,
    /// How many would-be blocked conversations to list, at most.
    pub blocked_limit: usize,
}

impl Default for SimulateOptions {
    fn default() -> Self {
        Self {
            min_confidence: 0.75,
            addresses: BTreeMap::new(),
            suspects: IpSet::default(),
            blocked_limit: 10_000,
        }
    }
}

impl SimulateOptions {
    /// The default, with the addresses of the view that the policy was resolved against.
    pub fn at(view: &InventoryView<'_>) -> Self {
        let addresses =
            view.members.iter().map(|(workload, _)| (workload.id.clone(), view.addresses(&workload.id)));
        Self { addresses: addresses.collect(), ..Self::default() }
    }
}
