//! Who holds an address at a moment: disjoint stretches of time for each address, found by binary search.
//!
//! Built once in `O(n log n)` by a sweep over the claims of each address, in which the claims that hold are kept sorted by
//! rank; asked in `O(log n)`, however often an address changed hands.

use std::collections::BTreeSet;

use netset::Ip;

use crate::time::{Micros, TimeWindow};

/// A claim: the owner is a number that means something to whoever builds the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Span {
    pub(super) ip: Ip,
    pub(super) from: Micros,
    /// Excluded; `Micros::MAX` while it lasts.
    pub(super) to: Micros,
    /// Among several that hold, the greatest rank wins.
    pub(super) rank: i64,
    pub(super) owner: u32,
    /// Where it was said; a number that the index hands back.
    pub(super) origin: u32,
}

/// Two owners that claim one address at one time. The first claim is the one that begins earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clash {
    pub(super) window: TimeWindow,
    pub(super) first: Span,
    pub(super) second: Span,
    /// Whose claim counts; nobody's when the two have one rank.
    pub(super) taken: Option<u32>,
}

/// Who holds an address for a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holder {
    One(u32),
    /// Several claim it, and none of them comes first.
    Disputed,
}

/// A stretch of time of one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) ip: Ip,
    pub(super) from: Micros,
    pub(super) to: Micros,
    pub(super) holder: Holder,
}

/// Sorted by address and time; the stretches of one address do not overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct IntervalIndex {
    stretches: Vec<Stretch>,
}

impl IntervalIndex {
    /// The index of all spans, and the clashes among them in order of address and time.
    pub(super) fn build(mut spans: Vec<Span>) -> (Self, Vec<Clash>) {
        spans.retain(|span| span.from < span.to);
        spans.sort_unstable();
        let (mut stretches, mut clashes) = (Vec::with_capacity(spans.len()), Vec::new());
        for of_one in spans.chunk_by(|a, b| a.ip == b.ip) {
            if let [only] = of_one {
                let Span { ip, from, to, owner, .. } = *only;
                stretches.push(Stretch { ip, from, to, holder: Holder::One(owner) });
            } else {
                sweep(&united(of_one), &mut stretches, &mut clashes);
            }
        }
        (Self { stretches }, clashes)
    }

    /// Who holds an address at a moment. What lasts has no last moment: it is held at `Micros::MAX` too.
    pub(super) fn holder(&self, ip: Ip, at: Micros) -> Option<Holder> {
        let after = self.stretches.partition_point(|s| (s.ip, s.from) <= (ip, at));
        let last = self.stretches.get(after.checked_sub(1)?)?;
        (last.ip == ip && (at < last.to || last.to == Micros::MAX)).then_some(last.holder)
    }

    /// Lets every holder begin by so much earlier where nobody held the address before.
    pub(super) fn begin_earlier(&mut self, by_us: Micros) {
        let mut before: Option<(Ip, Micros)> = None;
        for stretch in &mut self.stretches {
            let free = match before {
                Some((ip, to)) if ip == stretch.ip => to,
                _ => Micros::MIN,
            };
            stretch.from = stretch.from.saturating_sub(by_us.max(0)).max(free);
            before = Some((stretch.ip, stretch.to));
        }
    }

    /// The moments at which an address begins or ceases to be somebody's, sorted by address and time.
    pub(super) fn changes(&self) -> Vec<(Ip, Micros)> {
        let ends = self.stretches.iter().flat_map(|s| [(s.ip, s.from), (s.ip, s.to)]);
        let mut all: Vec<_> = ends.filter(|(_, at)| *at > Micros::MIN && *at < Micros::MAX).collect();
        all.dedup();
        all
    }
}

/// The spans of one address with those of one owner and rank joined where they overlap or touch.
fn united(spans: &[Span]) -> Vec<Span> {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable_by_key(|span| (span.owner, span.rank, span.from));
    let mut all: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match all.last_mut() {
            Some(last) if (last.owner, last.rank) == (span.owner, span.rank) && span.from <= last.to => {
                last.to = last.to.max(span.to);
            }
            _ => all.push(span),
        }
    }
    all
}

fn sweep(spans: &[Span], stretches: &mut Vec<Stretch>, clashes: &mut Vec<Clash>) {
    let mut moments: Vec<Micros> = spans.iter().flat_map(|s| [s.from, s.to]).collect();
    moments.sort_unstable();
    moments.dedup();
    let order = |key: fn(&Span) -> Micros| {
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_unstable_by_key(|index| key(&spans[*index]));
        order.into_iter().peekable()
    };
    let (mut starts, mut ends) = (order(|s| s.from), order(|s| s.to));
    let mut active: BTreeSet<(i64, u32, usize)> = BTreeSet::new();
    let entry = |index: usize| (spans[index].rank, spans[index].owner, index);
    for pair in moments.windows(2) {
        let window = TimeWindow { from: pair[0], to: pair[1] };
        while let Some(index) = ends.next_if(|index| spans[*index].to <= window.from) {
            active.remove(&entry(index));
        }
        while let Some(index) = starts.next_if(|index| spans[*index].from <= window.from) {
            active.insert(entry(index));
        }
        let Some(&(rank, owner, top)) = active.last() else { continue };
        // One owner has a claim of each rank at most, and there are few ranks: the rival is near.
        let rival = active.iter().rev().find(|(_, other, _)| *other != owner);
        let holder = match rival {
            Some((other, ..)) if *other == rank => Holder::Disputed,
            _ => Holder::One(owner),
        };
        extend(stretches, Stretch { ip: spans[top].ip, from: window.from, to: window.to, holder });
        if let Some(&(_, _, rival)) = rival {
            let (a, b) = (spans[top], spans[rival]);
            let taken = (a.rank > b.rank).then_some(a.owner);
            let (first, second) = if (a.from, a.owner) <= (b.from, b.owner) { (a, b) } else { (b, a) };
            report(clashes, Clash { window, first, second, taken });
        }
    }
}

fn extend(stretches: &mut Vec<Stretch>, next: Stretch) {
    match stretches.last_mut() {
        Some(last) if (last.ip, last.to, last.holder) == (next.ip, next.from, next.holder) => {
            last.to = next.to
        }
        _ => stretches.push(next),
    }
}

fn report(clashes: &mut Vec<Clash>, next: Clash) {
    let same = |last: &Clash| {
        (last.first, last.second, last.taken, last.window.to)
            == (next.first, next.second, next.taken, next.window.from)
    };
    match clashes.last_mut() {
        Some(last) if same(last) => last.window.to = next.window.to,
        _ => clashes.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(ip: u32, from: Micros, to: Micros, rank: i64, owner: u32) -> Span {
        Span { ip: Ip::v4(ip), from, to, rank, owner, origin: 0 }
    }

    /// Every claim looked at for every question.
    fn naive(spans: &[Span], ip: Ip, at: Micros) -> Option<Holder> {
        let holds =
            |s: &&Span| s.ip == ip && s.from <= at && (at < s.to || s.to == Micros::MAX) && s.from < s.to;
        let top = spans.iter().filter(holds).map(|s| s.rank).max()?;
        let owners: BTreeSet<u32> =
            spans.iter().filter(holds).filter(|s| s.rank == top).map(|s| s.owner).collect();
        Some(if owners.len() == 1 { Holder::One(*owners.first()?) } else { Holder::Disputed })
    }

    fn some_spans() -> impl Strategy<Value = Vec<Span>> {
        let moment = prop_oneof![8 => 0..40_i64, 1 => Just(Micros::MIN), 1 => Just(Micros::MAX)];
        let one = (0..3_u32, moment.clone(), moment, 0..3_i64, 0..5_u32);
        proptest::collection::vec(
            one.prop_map(|(ip, from, to, rank, owner)| span(ip, from, to, rank, owner)),
            0..24,
        )
    }

    proptest! {
        #[test]
        fn the_index_answers_as_a_look_at_every_claim(spans in some_spans()) {
            let (index, clashes) = IntervalIndex::build(spans.clone());
            let moments = (-1..41).chain([Micros::MIN, Micros::MAX - 1, Micros::MAX]);
            for (ip, at) in (0..3).flat_map(|ip| moments.clone().map(move |at| (Ip::v4(ip), at))) {
                let found = index.holder(ip, at);
                prop_assert_eq!(found, naive(&spans, ip, at), "{} at {}", ip, at);
                if found == Some(Holder::Disputed) && at < Micros::MAX {
                    let told = |c: &Clash| c.first.ip == ip && c.window.contains(at) && c.taken.is_none();
                    prop_assert!(clashes.iter().any(told), "a dispute that nobody is told of");
                }
            }
        }

        #[test]
        fn the_order_of_claims_does_not_matter(spans in some_spans(), turn in 0..24_usize) {
            let mut turned = spans.clone();
            turned.reverse();
            turned.rotate_left(turn.min(spans.len()));
            turned.extend(spans.clone());
            let (a, b) = (IntervalIndex::build(spans), IntervalIndex::build(turned));
            prop_assert_eq!((a.0.stretches, a.1), (b.0.stretches, b.1));
        }
    }

    #[test]
    fn many_claims_of_one_address_take_no_square_time() {
        let many =
            |count: u32| (0..count).map(|n| span(1, i64::from(n), i64::from(n + count), 0, n)).collect();
        let (index, clashes) = IntervalIndex::build(many(100_000));
        assert_eq!(index.holder(Ip::v4(1), 50_000), Some(Holder::Disputed));
        assert!(clashes.len() <= 200_000);
    }

    #[test]
    fn holders_begin_earlier_only_where_nobody_was() {
        let (mut index, _) =
            IntervalIndex::build(vec![span(1, 10, 20, 0, 1), span(1, 23, 30, 0, 2), span(2, 5, 9, 0, 3)]);
        index.begin_earlier(5);
        let at = |ip, at| index.holder(Ip::v4(ip), at);
        assert_eq!((at(1, 5), at(1, 4), at(1, 19)), (Some(Holder::One(1)), None, Some(Holder::One(1))));
        assert_eq!(
            (at(1, 20), at(1, 29), at(2, 0)),
            (Some(Holder::One(2)), Some(Holder::One(2)), Some(Holder::One(3)))
        );
        assert_eq!(index.changes().len(), 5);
    }
}
