use proptest::prelude::*;

use super::*;

fn link(from: usize, to: usize) -> Link {
    Link { from, to, weight: 10.0, shapes_tiers: true }
}

#[test]
fn tiers_follow_the_traffic() {
    let links = [link(0, 1), link(1, 2), link(2, 3), link(0, 3), link(3, 4)];
    assert_eq!(tiers(&[false, false, false, false, true], &links), [0, 1, 2, 3, 4]);
}

#[test]
fn a_cycle_is_cut_where_it_is_light() {
    let heavy = |from, to| Link { weight: 10_000.0, ..link(from, to) };
    let links = [heavy(0, 1), heavy(1, 2), Link { weight: 1.0, ..link(2, 0) }];
    assert_eq!(tiers(&[false; 3], &links), [0, 1, 2]);
}

#[test]
fn an_intruder_does_not_move_the_tiers() {
    let links = [link(0, 1), link(1, 2), Link { shapes_tiers: false, ..link(2, 0) }];
    assert_eq!(tiers(&[false; 3], &links), [0, 1, 2]);
}

#[test]
fn crossings_are_undone() {
    // Two parallel lines given in crossing order.
    let links = [link(0, 3), link(1, 2)];
    let layout = lay_out(&[false; 4], &links);
    let above = |a: usize, b: usize| layout.cards[a].y < layout.cards[b].y;
    assert_eq!(above(0, 1), above(3, 2));
}

proptest! {
    #[test]
    fn cards_never_overlap(
        cards in 1_usize..30,
        ends in proptest::collection::vec((0_usize..30, 0_usize..30, any::<bool>()), 0..80),
        rails in proptest::collection::vec(any::<bool>(), 30),
    ) {
        let links: Vec<Link> = ends
            .iter()
            .map(|(from, to, usual)| Link { shapes_tiers: *usual, ..link(from % cards, to % cards) })
            .collect();
        let layout = lay_out(&rails[..cards], &links);
        prop_assert_eq!(layout.cards.len(), cards);
        prop_assert_eq!(layout.routes.len(), links.len());
        for (at, a) in layout.cards.iter().enumerate() {
            prop_assert!(a.y >= 0.0 && a.y + a.height <= layout.height && a.x + CARD_WIDTH <= layout.width);
            for b in &layout.cards[at + 1..] {
                let apart = a.x != b.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
                prop_assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}
