//! Conversations that are the same traffic, seen before and after a translation.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use model::{Conversation, Ip, Micros, Service};

use super::Translations;

/// Combinations of a backend and an address shown that are looked for, of one conversation.
const COMBINATIONS_MAX: usize = 4_096;
/// Pairs found at most: 16 MB.
const PAIRS_MAX: usize = 1 << 20;

/// The same traffic twice: indexes into the conversations given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TranslatedPair {
    /// From the client to the address that it asked.
    pub before: usize,
    /// From the address that was shown to who answered.
    pub after: usize,
}

impl Translations {
    /// Which conversations are the same traffic before and after a translation that is known: their addresses and services
    /// go over into each other by the table, and both had traffic in one bucket of time. Sorted.
    ///
    /// A conversation stands for all its connections, so one behind a shared address is paired with that of every insider
    /// who asked for the same: they are its candidates together, and a pair alone is no proof of who asked.
    pub fn pairs(&self, conversations: &[Conversation], bucket_us: Micros) -> Vec<TranslatedPair> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut places: HashMap<(Ip, Ip, Service), Vec<usize>, FixedState> =
            HashMap::with_hasher(FixedState::with_seed(0x5472_616e));
        for (at, c) in conversations.iter().enumerate() {
            places.entry((c.client.ip, c.server.ip, c.service)).or_default().push(at);
        }
        let mut shown: BTreeMap<Ip, Vec<Ip>> = BTreeMap::new();
        for (ip, source) in &self.sources {
            source.insiders.iter().for_each(|insider| shown.entry(insider.ip).or_default().push(*ip));
        }
        let mut found = Vec::new();
        for (before, c) in conversations.iter().enumerate() {
            let shown = shown.get(&c.client.ip).map_or(&[][..], Vec::as_slice);
            for key in self.translated(c, shown) {
                let after = places.get(&key).map_or(&[][..], Vec::as_slice);
                let together = after.iter().filter(|after| overlap(c, &conversations[**after], bucket_us));
                found.extend(together.map(|after| TranslatedPair { before, after: *after }));
            }
            if found.len() >= PAIRS_MAX {
                break;
            }
        }
        found.truncate(PAIRS_MAX);
        found.sort_unstable();
        found
    }

    /// What a conversation may look like behind a translation.
    fn translated<'a>(
        &'a self,
        c: &'a Conversation,
        shown: &'a [Ip],
    ) -> impl Iterator<Item = (Ip, Ip, Service)> + 'a {
        let own = (c.client.ip, c.server.ip, c.service);
        let clients = std::iter::once(c.client.ip).chain(shown.iter().copied());
        let servers = move || {
            let backends = self.backends(c.server.ip, c.service).iter();
            std::iter::once((c.server.ip, c.service))
                .chain(backends.map(|backend| (backend.ip, backend.service)))
        };
        clients
            .flat_map(move |client| servers().map(move |(server, service)| (client, server, service)))
            .filter(move |key| *key != own)
            .take(COMBINATIONS_MAX)
    }
}

/// Whether both had traffic in one bucket, as far as their first and last packets say.
const fn overlap(a: &Conversation, b: &Conversation, bucket_us: Micros) -> bool {
    let bucket_us = if bucket_us < 1 { 1 } else { bucket_us };
    a.first.div_euclid(bucket_us) <= b.last.div_euclid(bucket_us)
        && b.first.div_euclid(bucket_us) <= a.last.div_euclid(bucket_us)
}
