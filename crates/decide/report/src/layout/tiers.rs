//! Which column each card belongs to.

use std::collections::BTreeMap;

use super::Link;

/// No more columns than people can follow; deeper graphs are compressed.
const MOST_TIERS: usize = 5;

/// Tier of every card: 0 for who only asks, one more than its furthest client for who is asked; the rail's
/// cards come after all others. Cycles are cut where they carry least.
pub(crate) fn tiers(rail: &[bool], links: &[Link]) -> Vec<usize> {
    let mut weights: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for link in links.iter().filter(|l| l.shapes_tiers && l.from != l.to && !rail[l.from] && !rail[l.to]) {
        *weights.entry((link.from, link.to)).or_default() += 1.0 + (1.0 + link.weight.max(0.0)).ln();
    }
    let ranked = acyclic_order(rail.len(), &weights);
    let mut rank = vec![0; rail.len()];
    for (at, card) in ranked.iter().enumerate() {
        rank[*card] = at;
    }
    let mut tier = vec![0_usize; rail.len()];
    for card in &ranked {
        for (to, _) in weights.range((*card, 0)..(*card + 1, 0)).map(|((_, to), w)| (*to, w)) {
            if rank[to] > rank[*card] {
                tier[to] = tier[to].max(tier[*card] + 1);
            }
        }
    }
    place_strangers(rail, links, &weights, &mut tier);
    merge_light_tiers(links, &mut tier);
    put_rail_last(rail, &mut tier);
    tier
}

/// Cards that no usual traffic places stand one to the right of whoever asks them for something else.
fn place_strangers(
    rail: &[bool],
    links: &[Link],
    weights: &BTreeMap<(usize, usize), f64>,
    tier: &mut [usize],
) {
    let mut known = vec![false; rail.len()];
    for (from, to) in weights.keys() {
        known[*from] = true;
        known[*to] = true;
    }
    for link in links.iter().filter(|l| l.from != l.to && !rail[l.from] && !rail[l.to]) {
        if !known[link.to] && known[link.from] {
            tier[link.to] = tier[link.to].max(tier[link.from] + 1);
        }
    }
}

/// While there are too many tiers, joins the two neighbours that the fewest flows pass between: a backup
/// server at the end of a long chain then stands beside what it copies, and the busy tiers stay apart.
fn merge_light_tiers(links: &[Link], tier: &mut [usize]) {
    loop {
        let deepest = tier.iter().copied().max().unwrap_or(0);
        if deepest < MOST_TIERS {
            return;
        }
        let mut between = vec![0.0_f64; deepest];
        for link in links.iter().filter(|link| link.shapes_tiers) {
            if tier[link.to] == tier[link.from] + 1 {
                between[tier[link.from]] += link.weight.max(0.0);
            }
        }
        let lightest =
            (0..deepest).rev().min_by(|a, b| between[*a].total_cmp(&between[*b])).unwrap_or(deepest - 1);
        for tier in tier.iter_mut().filter(|tier| **tier > lightest) {
            *tier -= 1;
        }
    }
}

fn put_rail_last(rail: &[bool], tier: &mut [usize]) {
    let others =
        tier.iter().zip(rail).filter(|(_, rail)| !**rail).map(|(tier, _)| *tier + 1).max().unwrap_or(0);
    for (tier, _) in tier.iter_mut().zip(rail).filter(|(_, rail)| **rail) {
        *tier = others;
    }
}

/// An order in which few and light arcs point backwards (Eades, Lin and Smyth, 1993).
fn acyclic_order(cards: usize, weights: &BTreeMap<(usize, usize), f64>) -> Vec<usize> {
    let mut left = Vec::new();
    let mut right = Vec::new();
    let mut remaining: Vec<usize> = (0..cards).collect();
    while !remaining.is_empty() {
        let mut asked = vec![0.0_f64; cards];
        let mut asks = vec![0.0_f64; cards];
        let here = |card: usize| remaining.binary_search(&card).is_ok();
        for ((from, to), weight) in weights.iter().filter(|((from, to), _)| here(*from) && here(*to)) {
            asks[*from] += weight;
            asked[*to] += weight;
        }
        let ends = |card: &usize| asks[*card] == 0.0;
        let starts = |card: &usize| asked[*card] == 0.0;
        let best = |a: &usize, b: &usize| {
            let score = |card: usize| asks[card] - asked[card];
            score(*a).total_cmp(&score(*b)).then(b.cmp(a))
        };
        let taken: Vec<usize> = if remaining.iter().any(ends) {
            let taken: Vec<usize> = remaining.iter().copied().filter(|card| ends(card)).collect();
            right.extend(taken.iter().copied());
            taken
        } else if remaining.iter().any(starts) {
            let taken: Vec<usize> = remaining.iter().copied().filter(|card| starts(card)).collect();
            left.extend(taken.iter().copied());
            taken
        } else {
            let taken: Vec<usize> = remaining.iter().copied().max_by(best).into_iter().collect();
            left.extend(taken.iter().copied());
            taken
        };
        remaining.retain(|card| !taken.contains(card));
    }
    right.reverse();
    left.extend(right);
    left
}
