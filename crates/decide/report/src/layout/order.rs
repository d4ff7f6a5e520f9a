//! The order within each column: fewest crossings found by sweeping means back and forth.

use super::Slot;

const SWEEPS: usize = 16;

/// Slots of each column from top to bottom. The rail's column keeps the input's order.
pub(super) fn order(slots: &mut [Slot], rail: &[bool]) -> Vec<Vec<usize>> {
    let columns_count = slots.iter().map(|slot| slot.tier + 1).max().unwrap_or(0);
    let mut columns = vec![Vec::new(); columns_count];
    for (at, slot) in slots.iter().enumerate() {
        columns[slot.tier].push(at);
    }
    let fixed = rail.contains(&true).then(|| columns_count - 1);
    let mut best = columns.clone();
    let mut fewest = crossings(slots, &columns);
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let rightward = sweep % 2 == 0;
        for step in 1..columns_count {
            let column = if rightward { step } else { columns_count - 1 - step };
            if Some(column) != fixed {
                sort_by_means(slots, &mut columns, column, rightward);
            }
        }
        let found = crossings(slots, &columns);
        if found < fewest {
            fewest = found;
            best.clone_from(&columns);
        }
    }
    best
}

fn sort_by_means(slots: &[Slot], columns: &mut [Vec<usize>], column: usize, rightward: bool) {
    let beside = if rightward { column - 1 } else { column + 1 };
    let rank = ranks(slots.len(), &columns[beside]);
    let own = ranks(slots.len(), &columns[column]);
    let share = columns[beside].len() as f64 / columns[column].len().max(1) as f64;
    let mean = |slot: usize| {
        let others = if rightward { &slots[slot].left } else { &slots[slot].right };
        if others.is_empty() {
            return own[slot] as f64 * share;
        }
        others.iter().map(|other| rank[*other] as f64).sum::<f64>() / others.len() as f64
    };
    let mut keyed: Vec<(f64, usize, usize)> =
        columns[column].iter().map(|slot| (mean(*slot), own[*slot], *slot)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    columns[column] = keyed.into_iter().map(|(_, _, slot)| slot).collect();
}

fn ranks(slots: usize, column: &[usize]) -> Vec<usize> {
    let mut rank = vec![0; slots];
    for (at, slot) in column.iter().enumerate() {
        rank[*slot] = at;
    }
    rank
}

/// How many pairs of lines cross between neighbouring columns.
pub(super) fn crossings(slots: &[Slot], columns: &[Vec<usize>]) -> usize {
    let mut total = 0;
    for pair in columns.windows(2) {
        let rank = ranks(slots.len(), &pair[1]);
        let lines: Vec<(usize, usize)> = pair[0]
            .iter()
            .enumerate()
            .flat_map(|(at, slot)| slots[*slot].right.iter().map(move |to| (at, *to)))
            .map(|(at, to)| (at, rank[to]))
            .collect();
        for (at, a) in lines.iter().enumerate() {
            total += lines[at + 1..]
                .iter()
                .filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1))
                .count();
        }
    }
    total
}
