//! Sentence tests: what the proposal keeps apart, said so that people can see it and machines can hold it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use model::IpSet;
use policy::{Assertion, PeerTerm, Verb};

use crate::cells::CellKind;
use crate::existing::Existing;
use crate::peers::{Peers, term_text, unwritten};
use crate::width::{Draft, Drafter, Side};

/// Which cells may reach which on anything, and what each server cell gives.
pub(crate) struct Sentences<'a> {
    drafter: &'a Drafter<'a>,
    drafts: &'a [Draft],
    existing: Option<&'a Existing>,
    reachable: BTreeSet<(usize, usize)>,
    /// Whether a rule lets every governed cell reach every other.
    open: bool,
    /// Cells that anybody may reach.
    asked: BTreeSet<usize>,
    /// Cells with whose name a test may begin, by how telling that is; the cell itself and the internet come before.
    tellers: Vec<usize>,
}

impl<'a> Sentences<'a> {
    pub(crate) fn new(drafter: &'a Drafter<'a>, drafts: &'a [Draft], existing: Option<&'a Existing>) -> Self {
        let cells = |sides: &[Side]| -> BTreeSet<usize> {
            let one = |side: &Side| match side {
                Side::Everybody => drafter.governed.cells.iter().copied().collect(),
                Side::Cell(cell) => vec![*cell],
                Side::Node(node) => vec![drafter.cells.of[*node as usize]],
            };
            sides.iter().flat_map(one).collect()
        };
        // A rule from everybody to everybody leaves nobody apart: no pair of governed cells needs to be listed.
        let both =
            |draft: &&Draft| draft.from.contains(&Side::Everybody) && draft.to.contains(&Side::Everybody);
        let open = drafts.iter().any(|draft| both(&draft));
        let mut reachable = BTreeSet::new();
        for draft in drafts.iter().filter(|draft| !both(draft)) {
            let to = cells(&draft.to);
            reachable.extend(cells(&draft.from).iter().flat_map(|from| to.iter().map(|to| (*from, *to))));
        }
        let asked: BTreeSet<usize> = reachable.iter().map(|(_, to)| *to).collect();
        let list = &drafter.cells.list;
        let eligible = |cell: &usize| {
            list[*cell].kind == CellKind::Internet || !open && drafter.governed.cells.contains(cell)
        };
        let mut tellers: Vec<usize> = (0..list.len()).filter(eligible).collect();
        tellers.sort_by_key(|cell| {
            let inside = list[*cell].kind != CellKind::Internet;
            // A segment that only asks is where people sit and where break-ins start.
            (inside, asked.contains(cell), Reverse(list[*cell].population), *cell)
        });
        Self { drafter, drafts, existing, reachable, open, asked, tellers }
    }

    /// The most telling tests of one segment's policy: its busiest rule must hold, and those who have no business
    /// with it must not get in: its own members among themselves, the internet, then the largest segments.
    pub(crate) fn of(&self, cell: usize, peers: &Peers<'_>) -> Vec<Assertion> {
        let Some(target) = single(peers.cell_terms(cell)) else { return Vec::new() };
        let limit = self.drafter.options.tests_per_segment;
        let mut tests: Vec<Assertion> = Vec::new();
        let asked = self.drafts.iter().filter(|draft| draft.to == [Side::Cell(cell)]);
        let whole = asked.filter_map(|draft| match draft.from.as_slice() {
            [Side::Cell(from)] if *from != cell && self.is_governed(*from) => Some((draft, *from)),
            _ => None,
        });
        if let Some((draft, from)) = whole.max_by_key(|(draft, from)| (self.flows(draft), usize::MAX - *from))
            && let Some(term) = single(peers.cell_terms(from))
        {
            tests.push(assertion(term, Verb::CanReach, &target, draft));
        }
        if !self.asked.contains(&cell) && self.drafter.cells.list[cell].population < 2 {
            return Vec::new();
        }
        for other in self.strangers(cell) {
            if tests.len() >= limit {
                break;
            }
            if let Some(term) = single(peers.cell_terms(other)) {
                tests.push(negative(term, &target));
            }
        }
        tests.truncate(limit);
        tests
    }

    fn is_governed(&self, cell: usize) -> bool {
        self.drafter.governed.cells.contains(&cell)
    }

    fn flows(&self, draft: &Draft) -> u64 {
        draft.edges.iter().map(|index| self.drafter.graph.edges[*index].flows).sum()
    }

    /// Cells that nothing lets in, most telling first.
    fn strangers(&self, cell: usize) -> impl Iterator<Item = usize> {
        let itself = (!self.open && self.drafter.cells.list[cell].population > 1).then_some(cell);
        let others = self.tellers.iter().copied().filter(move |other| *other != cell);
        itself.into_iter().chain(others).filter(move |other| {
            !self.reachable.contains(&(*other, cell)) && !self.people_allow(*other, cell)
        })
    }

    fn people_allow(&self, from: usize, to: usize) -> bool {
        let Some(existing) = self.existing else { return false };
        let addresses = |cell: usize| -> IpSet {
            let cell = &self.drafter.cells.list[cell];
            if cell.kind == CellKind::Internet {
                // Who else of the internet may come is not known yet.
                return IpSet::internet();
            }
            let nodes =
                cell.nodes.iter().flat_map(|node| &self.drafter.graph.nodes[*node as usize].addresses);
            IpSet::from_ranges(nodes.map(|ip| (*ip, *ip)))
        };
        existing.allows(&addresses(from), &addresses(to))
    }
}

fn single(terms: Vec<PeerTerm>) -> Option<PeerTerm> {
    let mut terms = terms.into_iter();
    terms.next().filter(|_| terms.next().is_none())
}

fn negative(from: PeerTerm, to: &PeerTerm) -> Assertion {
    Assertion {
        text: unwritten(format!("{} cannot reach {}", term_text(&from), term_text(to))),
        from: vec![unwritten(from)],
        verb: Verb::CannotReach,
        to: vec![unwritten(to.clone())],
        services: Vec::new(),
    }
}

fn assertion(from: PeerTerm, verb: Verb, to: &PeerTerm, draft: &Draft) -> Assertion {
    let services: Vec<String> = draft.services.iter().map(ToString::to_string).collect();
    let on = services.join(", ");
    Assertion {
        text: unwritten(format!("{} can reach {} on {on}", term_text(&from), term_text(to))),
        from: vec![unwritten(from)],
        verb,
        to: vec![unwritten(to.clone())],
        services: draft.services.clone(),
    }
}
