//! Groups become drafts of rules at a width, and a width gets its costs.
//!
//! The costs follow the minimum description length principle (Rissanen 1978, in two parts). A rule costs the bits
//! that name its sides and service; what it allows beyond the seen costs the bits that say which `n` of its `N`
//! triples were seen, `log2 C(N, n)`. Listing hosts costs rules, whole segments cost exceptions: the shortest sum
//! widens where members behave alike, and nowhere else.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use graph::Graph;
use model::Service;

use crate::cells::{CellKind, Cells};
use crate::group::{Governed, Group, Kind};
use crate::options::{ProposeOptions, Width};
use crate::proposal::FrontierPoint;
use crate::well_known::{is_admin, service_name};

/// One part of a rule's side.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    /// Every governed workload.
    Everybody,
    /// A whole cell.
    Cell(usize),
    /// One node.
    Node(u32),
}

/// A rule before it is written.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Draft {
    /// Who asks.
    pub(crate) from: Vec<Side>,
    /// Who is asked.
    pub(crate) to: Vec<Side>,
    /// For what, sorted: numbers that go by one name (DNS over TCP and UDP) share a rule.
    pub(crate) services: Vec<Service>,
    /// What it rests on: edges of the graph.
    pub(crate) edges: Vec<usize>,
    /// Where it came from.
    pub(crate) kind: Kind,
}

/// Everything that turning groups into rules looks at.
pub(crate) struct Drafter<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) cells: &'a Cells,
    pub(crate) governed: &'a Governed,
    pub(crate) groups: &'a [Group],
    pub(crate) options: &'a ProposeOptions,
}

/// Bits of a rule's existence: what one more line to read is worth.
const RULE_BITS: f64 = 8.0;
/// Least share of servers seen for the servers' side of an admin protocol to be a whole cell; the clients' never is.
const ADMIN_SUPPORT: u8 = 50;

/// One side of a group as counts: how many of the cell's members were seen.
#[derive(Clone, Copy)]
struct Seen {
    cell: usize,
    nodes: u64,
}

impl Drafter<'_> {
    /// The rules of a width, in the groups' order.
    pub(crate) fn drafts(&self, width: Width) -> Vec<Draft> {
        merged(match width {
            Width::Exact => self.groups.iter().flat_map(|group| self.exact(group)).collect(),
            Width::Flat => self.flat(),
            _ => self.joined(self.groups.iter().map(|group| self.wide(width, group))),
        })
    }

    /// Administrators of the same servers share a rule.
    fn joined(&self, drafts: impl Iterator<Item = Draft>) -> Vec<Draft> {
        let mut result: Vec<Draft> = Vec::new();
        for draft in drafts {
            let same = |other: &&mut Draft| {
                other.kind == draft.kind && other.to == draft.to && other.services == draft.services
            };
            let admin = draft.services.iter().any(|service| is_admin(*service));
            match result.iter_mut().rev().take_while(|other| other.kind == draft.kind).find(same) {
                Some(other) if admin => {
                    other.from.extend(draft.from);
                    other.edges.extend(draft.edges);
                    self.complete(&mut other.from);
                }
                _ => result.push(draft),
            }
        }
        result
    }

    /// A list of all members of a cell is the cell.
    fn complete(&self, sides: &mut Vec<Side>) {
        let Some(Side::Node(first)) = sides.first() else { return };
        let cell = self.cells.of[*first as usize];
        if sides.len() as u64 == self.cells.list[cell].population {
            *sides = vec![Side::Cell(cell)];
        }
    }

    /// What a width costs and gives. `sample_flows` counts the connections of the sample that are not noise.
    pub(crate) fn measure(&self, width: Width, drafts: &[Draft], sample_flows: u64) -> FrontierPoint {
        let names = (self.cells.list.len() + self.graph.nodes.len() + 2) as f64;
        let services: BTreeSet<Service> = self.groups.iter().map(|g| g.service).collect();
        let service_bits = (services.len() as f64 + 1.0).log2();
        let (mut bits, mut allowed, mut seen, mut terms, mut flows) = (0.0, 0_u64, 0_u64, 0, 0_u64);
        for draft in drafts {
            let (all, known) = (self.triples(draft), draft.edges.len() as u64);
            let sides = draft.from.len() + draft.to.len();
            let all = all.max(known);
            bits += RULE_BITS + sides as f64 * names.log2() + draft.services.len() as f64 * service_bits;
            bits += self.options.exception_weight * log2_binomial(all, known);
            (allowed, seen, terms) = (allowed + all, seen + known, terms + sides);
            flows += draft.edges.iter().map(|e| self.graph.edges[*e].flows).sum::<u64>();
        }
        let share = |part: u64, whole: u64| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        FrontierPoint {
            width: width.to_string(),
            rules: drafts.len(),
            terms,
            over_permission: rounded(share(allowed, seen)),
            coverage_in_sample: rounded(share(flows.min(sample_flows), sample_flows)),
            coverage_left_out: rounded(self.left_out(width)),
            bits: rounded(bits),
        }
    }

    /// Hosts on a side.
    pub(crate) fn hosts(&self, sides: &[Side]) -> u64 {
        let one = |side: &Side| match side {
            Side::Everybody => self.governed.population,
            Side::Cell(cell) => self.cells.list[*cell].population,
            Side::Node(_) => 1,
        };
        sides.iter().map(one).sum()
    }

    /// How many (host, host, service) triples a draft allows; a host does not count as its own peer.
    fn triples(&self, draft: &Draft) -> u64 {
        let product = self.hosts(&draft.from).saturating_mul(self.hosts(&draft.to));
        let inside = |side: &Side, others: &[Side]| match side {
            Side::Node(_) | Side::Cell(_) if others.contains(side) => self.hosts(std::slice::from_ref(side)),
            Side::Everybody if others.contains(side) => self.governed.population,
            _ => 0,
        };
        let pairs = product.saturating_sub(draft.from.iter().map(|side| inside(side, &draft.to)).sum());
        pairs.saturating_mul(draft.services.len() as u64)
    }

    fn exact(&self, group: &Group) -> Vec<Draft> {
        // Several ports of one dynamic range between the same two hosts are one rule.
        let mut by_pair: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for &index in &group.edges {
            let edge = &self.graph.edges[index];
            by_pair.entry((edge.client, edge.server)).or_default().push(index);
        }
        let draft = |((client, server), edges)| Draft {
            from: vec![self.node(client)],
            to: vec![self.node(server)],
            services: vec![group.service],
            edges,
            kind: Kind::Pair(self.cells.of[client as usize], self.cells.of[server as usize]),
        };
        by_pair.into_iter().map(draft).collect()
    }

    fn flat(&self) -> Vec<Draft> {
        let mut by_service: BTreeMap<Service, Draft> = BTreeMap::new();
        for group in self.groups {
            let draft = by_service.entry(group.service).or_insert_with(|| Draft {
                from: Vec::new(),
                to: Vec::new(),
                services: vec![group.service],
                edges: Vec::new(),
                kind: group.kind,
            });
            draft.edges.extend(&group.edges);
            let side = |node: &u32| {
                let cell = self.cells.of[*node as usize];
                if self.governed.cells.contains(&cell) { Side::Everybody } else { Side::Cell(cell) }
            };
            draft.from.extend(group.clients.keys().map(side));
            draft.to.extend(group.servers.keys().map(side));
        }
        let mut drafts: Vec<Draft> = by_service.into_values().collect();
        for draft in &mut drafts {
            for sides in [&mut draft.from, &mut draft.to] {
                sides.sort_unstable();
                sides.dedup();
            }
        }
        drafts
    }

    fn wide(&self, width: Width, group: &Group) -> Draft {
        let (from, to) = match group.kind {
            Kind::Pair(client, server) => {
                let (c, s) = (group.clients.len() as u64, group.servers.len() as u64);
                let seen = [Seen { cell: client, nodes: c }, Seen { cell: server, nodes: s }];
                let full = self.choose(width, group, seen, group.edges.len() as u64);
                (self.side(client, &group.clients, full.0), self.side(server, &group.servers, full.1))
            }
            Kind::SharedServer(server) => {
                let to = self.side(
                    server,
                    &group.servers,
                    group.may_widen[1] && self.is_supported(server, &group.servers),
                );
                (self.many(group, &group.clients), to)
            }
            Kind::SharedClient(client) => {
                let from = self.side(
                    client,
                    &group.clients,
                    group.may_widen[0] && self.is_supported(client, &group.clients),
                );
                (from, self.many(group, &group.servers))
            }
        };
        Draft { from, to, services: vec![group.service], edges: group.edges.clone(), kind: group.kind }
    }

    /// The many of a shared service: everybody known, or the cells seen. Addresses without identity stay single.
    fn many(&self, group: &Group, nodes: &BTreeMap<u32, u32>) -> Vec<Side> {
        let side = |node: &u32| {
            let cell = self.cells.of[*node as usize];
            match self.cells.list[cell].kind {
                CellKind::Subnet(_) => Side::Node(*node),
                _ if group.everybody && self.governed.cells.contains(&cell) => Side::Everybody,
                _ => Side::Cell(cell),
            }
        };
        let sides: BTreeSet<Side> = nodes.keys().map(side).collect();
        sides.into_iter().collect()
    }

    fn is_supported(&self, cell: usize, nodes: &BTreeMap<u32, u32>) -> bool {
        nodes.len() as u64 * 2 >= self.cells.list[cell].population
    }

    fn side(&self, cell: usize, nodes: &BTreeMap<u32, u32>, full: bool) -> Vec<Side> {
        if full {
            return vec![Side::Cell(cell)];
        }
        let mut sides = nodes.keys().map(|node| self.node(*node)).collect();
        self.complete(&mut sides);
        sides
    }

    /// A node by itself; the internet and a cell of one are the cell.
    fn node(&self, node: u32) -> Side {
        let cell = self.cells.of[node as usize];
        if self.cells.list[cell].population == 1 { Side::Cell(cell) } else { Side::Node(node) }
    }

    /// Whether each side of a pair is the whole cell.
    fn choose(&self, width: Width, group: &Group, seen: [Seen; 2], edges: u64) -> (bool, bool) {
        let admin = is_admin(group.service);
        let may = [
            group.may_widen[0] && !admin,
            group.may_widen[1] && (!admin || self.reaches(seen[1], ADMIN_SUPPORT)),
        ];
        match width {
            Width::Support(percent) => {
                (may[0] && self.reaches(seen[0], percent), may[1] && self.reaches(seen[1], percent))
            }
            Width::Fitted => self.shortest(seen, may, edges),
            Width::Exact => (false, false),
            Width::Flat => (true, true),
        }
    }

    fn reaches(&self, side: Seen, percent: u8) -> bool {
        side.nodes * 100 >= u64::from(percent) * self.cells.list[side.cell].population
    }

    /// The pair of sides with the least bits; on a tie the narrower one, which comes first.
    fn shortest(&self, seen: [Seen; 2], may: [bool; 2], edges: u64) -> (bool, bool) {
        let name = ((self.cells.list.len() + self.graph.nodes.len() + 2) as f64).log2();
        let mut best = ((false, false), f64::INFINITY);
        for full in [(false, false), (true, false), (false, true), (true, true)] {
            if full.0 && !may[0] || full.1 && !may[1] {
                continue;
            }
            let size = |side: Seen, full: bool| {
                if full { self.cells.list[side.cell].population } else { side.nodes }
            };
            let terms = |side: Seen, full: bool| if full { 1.0 } else { side.nodes as f64 };
            let all = size(seen[0], full.0).saturating_mul(size(seen[1], full.1)).max(edges);
            let bits = (terms(seen[0], full.0) + terms(seen[1], full.1)) * name
                + self.options.exception_weight * log2_binomial(all, edges);
            if bits < best.1 - 1e-9 {
                best = (full, bits);
            }
        }
        best.0
    }

    /// Leave-one-out: the share of taught triples that the rules learnt from all others would allow.
    fn left_out(&self, width: Width) -> f64 {
        let (mut covered, mut all) = (0_u64, 0_u64);
        let mut others: BTreeMap<Service, u64> = BTreeMap::new();
        for group in self.groups {
            *others.entry(group.service).or_default() += group.edges.len() as u64;
        }
        for group in self.groups {
            all += group.edges.len() as u64;
            let covers = |index: &&usize| match width {
                Width::Exact => false,
                Width::Flat => others[&group.service] > 1,
                _ => self.covers_without(width, group, **index),
            };
            covered += group.edges.iter().filter(covers).count() as u64;
        }
        if all == 0 { 1.0 } else { covered as f64 / all as f64 }
    }

    fn covers_without(&self, width: Width, group: &Group, index: usize) -> bool {
        let edge = &self.graph.edges[index];
        let others = group.edges.len() as u64 - 1;
        let again = |nodes: &BTreeMap<u32, u32>, node: u32| nodes.get(&node).is_some_and(|times| *times > 1);
        let (client, server) = (again(&group.clients, edge.client), again(&group.servers, edge.server));
        if others == 0 {
            return false;
        }
        match group.kind {
            Kind::SharedServer(cell) => {
                server || group.may_widen[1] && self.is_supported(cell, &group.servers)
            }
            Kind::SharedClient(cell) => {
                client || group.may_widen[0] && self.is_supported(cell, &group.clients)
            }
            Kind::Pair(from, to) => {
                let left = |nodes: &BTreeMap<u32, u32>, again: bool| nodes.len() as u64 - u64::from(!again);
                let seen = [
                    Seen { cell: from, nodes: left(&group.clients, client) },
                    Seen { cell: to, nodes: left(&group.servers, server) },
                ];
                let full = self.choose(width, group, seen, others);
                (full.0 || client) && (full.1 || server)
            }
        }
    }
}

/// Drafts between the same sides for services of one name become one.
fn merged(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut places: BTreeMap<(Kind, Vec<Side>, Vec<Side>, String), usize> = BTreeMap::new();
    let mut result: Vec<Draft> = Vec::new();
    for draft in drafts {
        let name = draft.services.first().map(|service| service_name(*service)).unwrap_or_default();
        match places.entry((draft.kind, draft.from.clone(), draft.to.clone(), name)) {
            Entry::Occupied(place) => {
                let kept = &mut result[*place.get()];
                kept.services.extend(draft.services);
                kept.services.sort_unstable();
                kept.edges.extend(draft.edges);
            }
            Entry::Vacant(place) => {
                place.insert(result.len());
                result.push(draft);
            }
        }
    }
    result
}

pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// `log2` of the binomial coefficient, by Stirling's series.
fn log2_binomial(n: u64, k: u64) -> f64 {
    if k >= n || k == 0 {
        return 0.0;
    }
    ((ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)) / std::f64::consts::LN_2).max(0.0)
}

fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomials_are_counted_in_bits() {
        assert_eq!(log2_binomial(12, 12), 0.0);
        assert!((log2_binomial(12, 6) - 924_f64.log2()).abs() < 1e-9);
        assert!((log2_binomial(40, 20) - 137_846_528_820_f64.log2()).abs() < 1e-6);
    }
}
