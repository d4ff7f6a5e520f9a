//! What later fragments of an IP packet belong to: only the first one has ports.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use model::Micros;

use crate::frame::{FragmentKey, Selector};

/// Packets in pieces that are remembered. Real networks have a handful at a time.
const PACKETS_MAX: usize = 4_096;

/// How long the pieces of one packet may be apart (RFC 791 suggests 15 s, hosts wait for 30).
const PATIENCE_US: Micros = 30_000_000;

/// What the first fragment said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// The packet's ports, or ICMP type and code.
    Flow(Selector),
    /// The packet was a tunnel's: the packet inside counts in its whole length already.
    Tunnel,
}

/// The first fragments seen lately.
#[derive(Default)]
pub(super) struct Fragments {
    owners: HashMap<FragmentKey, (Owner, Micros), FixedState>,
    order: VecDeque<FragmentKey>,
}

impl Fragments {
    /// Remembers what a first fragment said.
    pub(super) fn first(&mut self, key: FragmentKey, owner: Owner, at: Micros) {
        if self.owners.insert(key, (owner, at)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > PACKETS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.owners.remove(&oldest);
        }
    }

    /// What the first fragment of a packet said, if it came before.
    pub(super) fn of(&self, key: &FragmentKey, at: Micros) -> Option<Owner> {
        let (owner, seen) = self.owners.get(key)?;
        (at.saturating_sub(*seen) <= PATIENCE_US).then_some(*owner)
    }
}
