//! Which flow has been silent for the longest: entries in the order of their last packet, one list for each patience.

use model::Micros;

/// No entry.
const NONE: u32 = u32::MAX;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The list plus one; 0 when it stands in none.
    list: u8,
}

/// Lists of entries by their last packet, oldest first. Everything is done in constant time: time never runs backwards, so
/// that the entry heard last goes to the end of its list.
#[derive(Default)]
pub(super) struct Ages {
    lists: Vec<List>,
    links: Vec<Link>,
}

struct List {
    /// How long its entries may be silent.
    silence_us: Micros,
    first: u32,
    last: u32,
}

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    behind: u32,
    /// When the entry was heard last.
    at: Micros,
}

impl Ages {
    /// Notes that an entry was heard now and may be silent for so long from now on. Few different patiences are expected.
    pub(super) fn touch(&mut self, slot: u32, place: Place, now: Micros, silence_us: Micros) -> Place {
        let known = self.lists.iter().position(|list| list.silence_us == silence_us);
        let list = known.unwrap_or_else(|| {
            self.lists.push(List { silence_us, first: NONE, last: NONE });
            self.lists.len() - 1
        });
        let place_now = Place { list: list as u8 + 1 };
        if place == place_now && self.lists[list].last == slot {
            self.links[slot as usize].at = now;
            return place;
        }
        self.remove(slot, place);
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link { before: NONE, behind: NONE, at: 0 });
        }
        let last = std::mem::replace(&mut self.lists[list].last, slot);
        self.links[slot as usize] = Link { before: last, behind: NONE, at: now };
        match last {
            NONE => self.lists[list].first = slot,
            last => self.links[last as usize].behind = slot,
        }
        place_now
    }

    /// Takes an entry out of its list.
    pub(super) fn remove(&mut self, slot: u32, place: Place) {
        let Some(list) = usize::from(place.list).checked_sub(1) else { return };
        let Link { before, behind, .. } = self.links[slot as usize];
        match before {
            NONE => self.lists[list].first = behind,
            before => self.links[before as usize].behind = behind,
        }
        match behind {
            NONE => self.lists[list].last = before,
            behind => self.links[behind as usize].before = before,
        }
    }

    /// An entry that has been silent for longer than it may.
    pub(super) fn expired(&self, now: Micros) -> Option<u32> {
        let mut expired = self.firsts().filter(|(at, silence_us, _)| now.saturating_sub(*at) > *silence_us);
        expired.next().map(|(_, _, slot)| slot)
    }

    /// The entry that has been silent for the longest.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.firsts().min_by_key(|(at, _, slot)| (*at, *slot)).map(|(_, _, slot)| slot)
    }

    fn firsts(&self) -> impl Iterator<Item = (Micros, Micros, u32)> {
        let present = self.lists.iter().filter(|list| list.first != NONE);
        present.map(|list| (self.links[list.first as usize].at, list.silence_us, list.first))
    }
}
