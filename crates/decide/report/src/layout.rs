//! A layered drawing, left to right from clients to servers: tiers, order within tiers, places, routes (after
//! Sugiyama, Tagawa and Toda, 1981). Everything is decided by the input's order, so the same input draws the
//! same picture.

mod order;
mod place;
mod tiers;

pub(crate) use tiers::tiers;

/// Width of a card, in user units (about pixels).
pub(crate) const CARD_WIDTH: f64 = 146.0;
/// Between two columns that lines cross: room for a curve and a label.
const GAP: f64 = 126.0;
/// Between the last column and a rail that no visible line reaches.
const QUIET_GAP: f64 = 48.0;
/// The same, when lines leave the last column and come back to it.
const ARC_GAP: f64 = 104.0;
/// Horizontal end of a line, which carries the label.
const STUB: f64 = 72.0;
/// Between two lines at one side of a card.
const PORT: f64 = 15.0;
const MARGIN: f64 = 16.0;
const CARD_HEIGHT: f64 = 58.0;

/// A line to draw from one card to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Flows: the busiest lines decide where cycles are cut.
    pub(crate) weight: f64,
    /// Whether it says what tier its ends belong to: only usual traffic does, an intruder's does not.
    pub(crate) shapes_tiers: bool,
}

/// Where a card stands.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Card {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) height: f64,
    pub(crate) tier: usize,
}

/// How a line goes: SVG path data from client to server, and where its label stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) label_x: f64,
    pub(crate) label_y: f64,
    /// The label's text ends at `label_x` rather than starts there.
    pub(crate) label_ends: bool,
}

/// The drawing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) cards: Vec<Card>,
    /// One for each link, in the links' order.
    pub(crate) routes: Vec<Route>,
    /// The frame around the rail's cards, 20 units wider than a card.
    pub(crate) rail: Option<Card>,
}

/// A card, or a line's passage through a column that it does not stop in.
#[derive(Clone, Debug, Default)]
struct Slot {
    tier: usize,
    card: Option<usize>,
    height: f64,
    /// Slots one tier to the left that a line joins to this one.
    left: Vec<usize>,
    /// The same to the right.
    right: Vec<usize>,
    /// Middle.
    y: f64,
}

/// The slots of a line, from the lower tier to the higher.
struct Chain {
    slots: Vec<usize>,
    /// The client is at the higher end.
    reversed: bool,
}

/// Draws cards (those with `rail` in a column of their own at the right) and links. A link from a card to
/// itself gets an empty route.
pub(crate) fn lay_out(rail: &[bool], links: &[Link]) -> Layout {
    if rail.is_empty() {
        return Layout::default();
    }
    let tier = tiers(rail, links);
    let mut slots: Vec<Slot> = tier
        .iter()
        .enumerate()
        .map(|(card, tier)| Slot { tier: *tier, card: Some(card), ..Slot::default() })
        .collect();
    let chains: Vec<Option<Chain>> = links.iter().map(|link| chain(link, &tier, &mut slots)).collect();
    size_cards(&mut slots, &chains);
    let columns = order::order(&mut slots, rail);
    place::place(&mut slots, &columns);
    finish(rail, slots, &columns, &chains, links)
}

fn chain(link: &Link, tier: &[usize], slots: &mut Vec<Slot>) -> Option<Chain> {
    if link.from == link.to {
        return None;
    }
    let reversed = tier[link.from] > tier[link.to];
    let (low, high) = if reversed { (link.to, link.from) } else { (link.from, link.to) };
    let mut path = vec![low];
    for between in tier[low] + 1..tier[high] {
        slots.push(Slot { tier: between, height: 10.0, ..Slot::default() });
        path.push(slots.len() - 1);
    }
    path.push(high);
    if tier[low] != tier[high] {
        for pair in path.windows(2) {
            slots[pair[0]].right.push(pair[1]);
            slots[pair[1]].left.push(pair[0]);
        }
    }
    Some(Chain { slots: path, reversed })
}

fn size_cards(slots: &mut [Slot], chains: &[Option<Chain>]) {
    let mut beside = vec![0_usize; slots.len()];
    for chain in chains.iter().flatten() {
        let (low, high) = (chain.slots[0], chain.slots[chain.slots.len() - 1]);
        if slots[low].tier == slots[high].tier {
            beside[low] += 1;
            beside[high] += 1;
        }
    }
    for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.card.is_some()) {
        let ports = slot.left.len().max(slot.right.len() + beside[at]);
        slot.height = CARD_HEIGHT.max(ports as f64 * PORT + 12.0);
    }
}

fn finish(
    rail: &[bool],
    mut slots: Vec<Slot>,
    columns: &[Vec<usize>],
    chains: &[Option<Chain>],
    links: &[Link],
) -> Layout {
    let top = slots.iter().map(|slot| slot.y - slot.height / 2.0).fold(f64::INFINITY, f64::min);
    for slot in &mut slots {
        slot.y += MARGIN + HEADER - top;
    }
    let bottom = slots.iter().map(|slot| slot.y + slot.height / 2.0).fold(0.0, f64::max);
    let has_rail = rail.contains(&true);
    let arcs = arcs(&slots, chains, columns.len());
    let xs = column_xs(&slots, &arcs, has_rail);
    let beyond = if arcs.last() == Some(&true) { ARC_GAP } else { MARGIN };
    let width = xs.last().copied().unwrap_or(0.0) + CARD_WIDTH + beyond;
    let ports = Ports::of(&slots, chains);
    let routes = (0..links.len())
        .map(|at| {
            chains[at].as_ref().map_or_else(Route::default, |chain| route(at, chain, &slots, &xs, &ports))
        })
        .collect();
    let cards: Vec<Card> = slots[..rail.len()]
        .iter()
        .map(|slot| Card {
            x: xs[slot.tier],
            y: slot.y - slot.height / 2.0,
            height: slot.height,
            tier: slot.tier,
        })
        .collect();
    let rail = rail_frame(rail, &cards);
    Layout { width, height: bottom + MARGIN + 8.0, cards, routes, rail }
}

/// A frame around the rail's cards.
fn rail_frame(rail: &[bool], cards: &[Card]) -> Option<Card> {
    let mut inside = cards.iter().zip(rail).filter(|(_, rail)| **rail).map(|(card, _)| card);
    let first = *inside.next()?;
    let (top, bottom) = inside.fold((first.y, first.y + first.height), |(top, bottom), card| {
        (top.min(card.y), bottom.max(card.y + card.height))
    });
    Some(Card { x: first.x - 10.0, y: top - 28.0, height: bottom - top + 38.0, tier: first.tier })
}

/// Room above the cards for the columns' titles.
const HEADER: f64 = 30.0;

fn column_xs(slots: &[Slot], arcs: &[bool], has_rail: bool) -> Vec<f64> {
    let columns = arcs.len();
    let mut xs = vec![MARGIN];
    for column in 1..columns {
        let crossed = slots.iter().any(|slot| slot.tier == column && !slot.left.is_empty());
        let quiet = has_rail && column + 1 == columns && !crossed;
        let gap = match (quiet, arcs[column - 1]) {
            (false, _) => GAP,
            (true, true) => ARC_GAP,
            (true, false) => QUIET_GAP,
        };
        xs.push(xs[column - 1] + CARD_WIDTH + gap);
    }
    xs
}

/// Columns with lines that leave and come back at the right.
fn arcs(slots: &[Slot], chains: &[Option<Chain>], columns: usize) -> Vec<bool> {
    let mut arcs = vec![false; columns];
    for chain in chains.iter().flatten() {
        let (low, high) = (chain.slots[0], chain.slots[chain.slots.len() - 1]);
        arcs[slots[low].tier] |= slots[low].tier == slots[high].tier;
    }
    arcs
}

/// Heights at which lines leave and enter cards.
struct Ports {
    /// For each line: at its lower end, at its higher end.
    ends: Vec<(f64, f64)>,
}

impl Ports {
    /// Spreads the lines at each side of each card, in the order of where they come from, so that they do not
    /// cross there.
    fn of(slots: &[Slot], chains: &[Option<Chain>]) -> Self {
        // For each slot and side: (height of the other end, line, whether it is the line's lower end).
        let mut sides: Vec<[Vec<(f64, usize, bool)>; 2]> = vec![[Vec::new(), Vec::new()]; slots.len()];
        for (line, chain) in chains.iter().enumerate() {
            let Some(Chain { slots: path, .. }) = chain else { continue };
            let (low, high) = (path[0], path[path.len() - 1]);
            let same = slots[low].tier == slots[high].tier;
            sides[low][1].push((slots[path[1]].y, line, true));
            sides[high][usize::from(same)].push((slots[path[path.len() - 2]].y, line, false));
        }
        let mut ends = vec![(0.0, 0.0); chains.len()];
        for (slot, sides) in slots.iter().zip(&mut sides) {
            for side in sides {
                side.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let middle = (side.len() as f64 - 1.0) / 2.0;
                for (at, (_, line, low)) in side.iter().enumerate() {
                    let y = slot.y + (at as f64 - middle) * PORT;
                    if *low { ends[*line].0 = y } else { ends[*line].1 = y }
                }
            }
        }
        Self { ends }
    }
}

fn route(line: usize, chain: &Chain, slots: &[Slot], xs: &[f64], ports: &Ports) -> Route {
    let (low_y, high_y) = ports.ends[line];
    let (low, high) = (chain.slots[0], chain.slots[chain.slots.len() - 1]);
    if slots[low].tier == slots[high].tier {
        return beside(xs[slots[low].tier] + CARD_WIDTH, low_y, high_y, line);
    }
    let right = |slot: usize| xs[slots[slot].tier] + CARD_WIDTH;
    let left = |slot: usize| xs[slots[slot].tier];
    // Points from the lower to the higher end: leave at the right, pass straight through columns, enter at
    // the left.
    let mut points = vec![(right(low), low_y)];
    for slot in &chain.slots[1..chain.slots.len() - 1] {
        points.push((left(*slot), slots[*slot].y));
        points.push((right(*slot), slots[*slot].y));
    }
    points.push((left(high), high_y));
    if chain.reversed {
        points.reverse();
        let end = points[points.len() - 1];
        return Route { path: path(&points), label_x: end.0 + 10.0, label_y: end.1 - 4.0, label_ends: false };
    }
    let end = points[points.len() - 1];
    Route { path: path(&points), label_x: end.0 - 10.0, label_y: end.1 - 4.0, label_ends: true }
}

fn beside(x: f64, from_y: f64, to_y: f64, line: usize) -> Route {
    let bulge = 36.0 + ((from_y - to_y).abs() * 0.12).min(50.0) + (line % 4) as f64 * 5.0;
    let path =
        format!("M{x:.1} {from_y:.1}C{c:.1} {from_y:.1} {c:.1} {to_y:.1} {x:.1} {to_y:.1}", c = x + bulge);
    Route { path, label_x: x + 12.0, label_y: to_y - 4.0, label_ends: false }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut data = format!("M{:.1} {:.1}", points[0].0, points[0].1);
    for (at, pair) in points.windows(2).enumerate() {
        let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
        if at % 2 == 1 {
            data.push_str(&format!("H{to_x:.1}"));
            continue;
        }
        let toward = (to_x - x).signum();
        let last = at + 2 == points.len();
        let bend_x = to_x - if last { STUB * toward } else { 0.0 };
        let middle = (x + bend_x) / 2.0;
        data.push_str(&format!("C{middle:.1} {y:.1} {middle:.1} {to_y:.1} {bend_x:.1} {to_y:.1}"));
        if last {
            data.push_str(&format!("H{to_x:.1}"));
        }
    }
    data
}

#[cfg(test)]
mod tests;
