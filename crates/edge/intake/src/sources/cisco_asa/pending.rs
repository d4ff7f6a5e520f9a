//! Connections that were built and not yet torn down.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use model::{Flow, FlowDetails};

/// How many open connections are remembered.
const OPEN_MAX: usize = 65_536;

/// A connection of which only the beginning is known.
pub(super) struct Open {
    pub(super) host: String,
    id: u64,
    pub(super) flow: Flow,
    pub(super) details: FlowDetails,
}

/// The open connections by their firewall and number, in the order in which they were built.
#[derive(Default)]
pub(super) struct Pending {
    order: BTreeMap<u64, Open>,
    places: HashMap<(String, u64), u64, FixedState>,
    next: u64,
}

impl Pending {
    /// Remembers a connection. Gives back what has to go for it: one of the same number, since numbers start anew after a
    /// restart, and the oldest when there are too many.
    pub(super) fn add(&mut self, host: &str, id: u64, flow: Flow, details: FlowDetails) -> Vec<Open> {
        let mut gone: Vec<Open> = self.take(host, id).into_iter().collect();
        if self.order.len() >= OPEN_MAX {
            gone.extend(self.oldest());
        }
        self.places.insert((host.to_owned(), id), self.next);
        self.order.insert(self.next, Open { host: host.to_owned(), id, flow, details });
        self.next += 1;
        gone
    }

    pub(super) fn take(&mut self, host: &str, id: u64) -> Option<Open> {
        let place = self.places.remove(&(host.to_owned(), id))?;
        self.order.remove(&place)
    }

    /// Takes out the connection that was built first.
    pub(super) fn oldest(&mut self) -> Option<Open> {
        let (_, open) = self.order.pop_first()?;
        self.places.remove(&(open.host.clone(), open.id));
        Some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut pending = Pending::default();
        let flow = |bytes: u64| Flow { bytes, ..Flow::default() };
        let count = OPEN_MAX as u64;
        for id in 0..count {
            assert!(pending.add("a", id, flow(id), FlowDetails::default()).is_empty());
        }
        let gone = pending.add("b", 0, flow(7), FlowDetails::default());
        assert_eq!(gone.iter().map(|open| open.flow.bytes).collect::<Vec<_>>(), [0]);
        let replaced = pending.add("b", 0, flow(8), FlowDetails::default());
        assert_eq!(replaced.iter().map(|open| open.flow.bytes).collect::<Vec<_>>(), [7]);
        assert!(pending.take("a", 0).is_none());
        assert_eq!(pending.oldest().map(|open| open.flow.bytes), Some(1));
        assert_eq!((pending.order.len(), pending.places.len()), (OPEN_MAX - 1, OPEN_MAX - 1));
    }
}
