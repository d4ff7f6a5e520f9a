//! Heights within columns: close to what a slot is joined to, never overlapping, in the given order.

use super::Slot;

const PASSES: usize = 10;

/// Gives every slot its `y`.
pub(super) fn place(slots: &mut [Slot], columns: &[Vec<usize>]) {
    for column in columns {
        let mut y = 0.0;
        for (at, slot) in column.iter().enumerate() {
            if at > 0 {
                y += between(&slots[column[at - 1]], &slots[*slot]);
            }
            slots[*slot].y = y;
        }
        let middle = y / 2.0;
        for slot in column {
            slots[*slot].y -= middle;
        }
    }
    for pass in 0..PASSES {
        let rightward = pass % 2 == 0;
        for step in 0..columns.len() {
            let column = if rightward { step } else { columns.len() - 1 - step };
            settle(slots, &columns[column]);
        }
    }
}

/// Distance between the middles of neighbours.
fn between(above: &Slot, below: &Slot) -> f64 {
    let air = if above.card.is_some() && below.card.is_some() { 24.0 } else { 10.0 };
    (above.height + below.height) / 2.0 + air
}

/// Moves a column's slots as near as possible to the mean of what they are joined to (least squares under the
/// order, by pooling adjacent violators).
fn settle(slots: &mut [Slot], column: &[usize]) {
    let mut pools: Vec<(f64, f64)> = Vec::new();
    let mut offsets = Vec::with_capacity(column.len());
    let mut offset = 0.0;
    for (at, slot) in column.iter().enumerate() {
        if at > 0 {
            offset += between(&slots[column[at - 1]], &slots[*slot]);
        }
        offsets.push(offset);
        pools.push((wish(slots, *slot) - offset, 1.0));
        while let [.., (above, above_weight), (below, below_weight)] = pools.as_mut_slice() {
            if *above <= *below {
                break;
            }
            let weight = *above_weight + *below_weight;
            *above = (*above * *above_weight + *below * *below_weight) / weight;
            *above_weight = weight;
            pools.pop();
        }
    }
    let fitted = pools.iter().flat_map(|(y, weight)| std::iter::repeat_n(*y, *weight as usize));
    for ((slot, offset), y) in column.iter().zip(offsets).zip(fitted) {
        slots[*slot].y = y + offset;
    }
}

fn wish(slots: &[Slot], slot: usize) -> f64 {
    let joined = slots[slot].left.iter().chain(&slots[slot].right);
    let (sum, n) = joined.fold((0.0, 0.0), |(sum, n), other| (sum + slots[*other].y, n + 1.0));
    if n == 0.0 { slots[slot].y } else { sum / n }
}
