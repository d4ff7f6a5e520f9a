//! Sets that came before their template.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;
use netset::Ip;

use super::decoder::Message;

/// What a waiting set costs beside its bytes: a queue of four is what the first of a template takes, and its places in the
/// map and in the order.
const OVERHEAD: usize = 640;

/// A set that waits for its template.
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) id: u16,
    pub(super) set: Vec<u8>,
}

type Key = (Ip, u32, u16);

/// The waiting sets, oldest first; the oldest go when there is no more room.
pub(super) struct Pending {
    room: usize,
    used: usize,
    sets: HashMap<Key, VecDeque<Waiting>, FixedState>,
    /// The keys in order of arrival; keys whose sets were taken stay until they come to the front.
    order: VecDeque<Key>,
}

impl Waiting {
    fn key(&self) -> Key {
        (self.message.sender.ip, self.message.domain, self.id)
    }

    fn cost(&self) -> usize {
        self.set.len() + OVERHEAD
    }
}

impl Pending {
    pub(super) fn new(room: usize) -> Self {
        Self { room, used: 0, sets: HashMap::default(), order: VecDeque::new() }
    }

    /// What the waiting sets cost.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Keeps a set; returns those that had to go for it.
    pub(super) fn add(&mut self, waiting: Waiting) -> Vec<Waiting> {
        let mut gone = Vec::new();
        if waiting.cost() > self.room {
            return vec![waiting];
        }
        while self.used + waiting.cost() > self.room {
            match self.oldest() {
                Some(oldest) => gone.push(oldest),
                None => break,
            }
        }
        self.used += waiting.cost();
        self.order.push_back(waiting.key());
        self.sets.entry(waiting.key()).or_default().push_back(waiting);
        gone
    }

    /// The sets that waited for a template.
    pub(super) fn take(&mut self, message: Message, id: u16) -> VecDeque<Waiting> {
        if self.used == 0 {
            return VecDeque::new();
        }
        let key = (message.sender.ip, message.domain, id);
        let taken = self.sets.remove(&key).unwrap_or_default();
        self.used -= taken.iter().map(Waiting::cost).sum::<usize>();
        if self.used == 0 {
            self.order.clear();
        } else if !taken.is_empty() {
            self.order.retain(|known| *known != key);
        }
        taken
    }

    /// All sets, oldest first; none are left.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        std::iter::from_fn(|| self.oldest()).collect()
    }

    fn oldest(&mut self) -> Option<Waiting> {
        let key = self.order.pop_front()?;
        let queue = self.sets.get_mut(&key)?;
        let oldest = queue.pop_front()?;
        if queue.is_empty() {
            self.sets.remove(&key);
        }
        self.used -= oldest.cost();
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Times;
    use super::*;
    use crate::datagram::Sender;

    fn waiting(domain: u32, id: u16, length: usize) -> Waiting {
        let sender = Sender { ip: Ip::v4(1), port: 1 };
        let message = Message { sender, version: 9, domain, times: Times::default(), offset: 0 };
        Waiting { message, id, set: vec![1; length] }
    }

    #[test]
    fn room_is_kept() {
        let mut pending = Pending::new(3 * OVERHEAD + 650);
        assert!(pending.add(waiting(1, 256, 200)).is_empty());
        assert!(pending.add(waiting(1, 257, 200)).is_empty());
        assert!(pending.add(waiting(1, 256, 200)).is_empty());
        let gone = pending.add(waiting(2, 256, 300));
        assert_eq!(gone.iter().map(|w| w.id).collect::<Vec<_>>(), [256, 257]);
        assert_eq!(pending.add(waiting(3, 1, 5_000)).len(), 1);
        assert_eq!(pending.take(waiting(1, 256, 0).message, 256).len(), 1);
        assert_eq!(pending.drain().len(), 1);
        assert_eq!((pending.used, pending.order.len(), pending.sets.len()), (0, 0, 0));
    }
}
