//! What several sources say of who exists, made one inventory: accounts, their order, and where they contradict each other.

use std::collections::BTreeMap;
use std::fmt;

use netset::Ip;

use super::index::{IntervalIndex, Span};
use super::{AddressClaim, Inventory, Workload, WorkloadId, write_window};
use crate::time::{Micros, TimeWindow};

/// The source of lists that people write. Their word comes before every other's, and is taken literally.
pub const LIST: &str = "list";
/// The rank of [`LIST`].
pub const LIST_RANK: u8 = u8::MAX;

/// What one source says of one scope.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Who says it: [`LIST`], or the name of a connector.
    pub source: String,
    /// Where sources contradict each other, the greater rank's word counts; at one rank nobody's does.
    pub rank: u8,
    /// Within which the addresses are unique: a cluster, a virtual network. Empty when the source does not say.
    pub scope: String,
    /// Who exists.
    pub workloads: Vec<Workload>,
}

/// A name that an address was looked up or registered by, for as long as the answer was good. Names are for people: they
/// never say whose an address is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressName {
    /// The address.
    pub ip: Ip,
    /// From when.
    pub from: Micros,
    /// Until when, excluded.
    pub to: Micros,
    /// The name, without a closing dot.
    pub name: String,
}

/// One side of an [`Overlap`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Claimant {
    /// Whose the address is said to be.
    pub workload: WorkloadId,
    /// Who says it.
    pub source: String,
    /// In which scope; empty when unknown.
    pub scope: String,
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}", self.workload, self.source)?;
        if self.scope.is_empty() { f.write_str(")") } else { write!(f, ", {})", self.scope) }
    }
}

/// Two workloads that sources give one address at one time: a finding. The join with flows takes the word of the source
/// that comes first, and leaves the address unresolved when neither does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Overlap {
    /// The address.
    pub ip: Ip,
    /// Start of the time in question.
    pub from: Micros,
    /// Its end, excluded.
    pub to: Micros,
    /// The claim that begins earlier.
    pub first: Claimant,
    /// The other.
    pub second: Claimant,
    /// Whose the join takes it for.
    pub taken: Option<WorkloadId>,
}

impl Overlap {
    /// What a person can do about it.
    pub fn fix(&self) -> &'static str {
        match (&self.taken, self.first.scope == self.second.scope) {
            (Some(_), _) => "nothing, if that is right; else correct the other source, or say it in a list",
            (None, false) => {
                "networks that reuse addresses cannot be told apart by flows alone: say whose it is in a list"
            }
            (None, true) => {
                "say whose it is, from when and until when, in a list, which comes before every other source"
            }
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, from, to, first, second, taken } = self;
        write!(f, "{first} and {second} both claim {ip}")?;
        write_window(f, TimeWindow { from: *from, to: *to })?;
        match taken {
            Some(id) => {
                let (winner, other) = if *id == first.workload { (first, second) } else { (second, first) };
                write!(f, "; it is taken for `{id}`: {} comes before {}", winner.source, other.source)
            }
            None => f.write_str("; it is left unresolved"),
        }
    }
}

/// How an inventory is put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JoinOptions {
    /// By so many microseconds a workload may be seen on the wire before its source knows of it: an address that nobody
    /// held belongs to its next holder that long before.
    pub late_us: Micros,
}

impl Inventory {
    /// One inventory of what several sources say. Workloads with one id are one; of names, labels and criticality the
    /// word of the greatest rank counts, and labels add up. What contradicts each other is in [`Inventory::overlaps`].
    ///
    /// Of every source but [`LIST`], a claim without an end ends when the same source gives the address to somebody else,
    /// and one without a beginning begins when the source's earlier holder ended: sources that look at the present
    /// know no more. The order of accounts does not matter.
    pub fn of(mut accounts: Vec<Account>, mut names: Vec<AddressName>, options: JoinOptions) -> Self {
        accounts.sort_by(|a, b| (b.rank, &a.source, &a.scope).cmp(&(a.rank, &b.source, &b.scope)));
        let mut merged: BTreeMap<WorkloadId, Workload> = BTreeMap::new();
        let mut said: Vec<(WorkloadId, AddressClaim, u32)> = Vec::new();
        for group in by_source(&accounts) {
            let claims = claims_of(group.iter().map(|(_, account)| *account));
            let claims = if group[0].1.source == LIST { claims } else { settle(claims) };
            said.extend(claims.into_iter().map(|(id, claim)| (id.clone(), claim, group[0].0)));
            group.iter().flat_map(|(_, account)| &account.workloads).for_each(|w| add(&mut merged, w));
        }
        said.iter().for_each(|(id, claim, _)| {
            merged.entry(id.clone()).and_modify(|w| w.addresses.push(*claim));
        });
        let mut workloads: Vec<Workload> = merged.into_values().collect();
        for workload in &mut workloads {
            workload.addresses.sort_unstable();
            workload.addresses.dedup();
        }
        let number = |id: &WorkloadId| workloads.binary_search_by(|w| w.id.cmp(id)).ok().map(|n| n as u32);
        let spans: Vec<Span> = said
            .iter()
            .filter_map(|(id, claim, origin)| {
                let rank = i64::from(accounts[*origin as usize].rank);
                let AddressClaim { ip, from, to } = *claim;
                Some(Span { ip, from, to, rank, owner: number(id)?, origin: *origin })
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        let scoped = scoped(&spans, &accounts, options);
        let (mut index, clashes) = IntervalIndex::build(spans);
        index.begin_earlier(options.late_us);
        let id = |owner: u32| workloads[owner as usize].id.clone();
        let claimant = |span: &Span| {
            let Account { source, scope, .. } = &accounts[span.origin as usize];
            Claimant { workload: id(span.owner), source: source.clone(), scope: scope.clone() }
        };
        let overlaps = clashes.iter().map(|clash| Overlap {
            ip: clash.first.ip,
            from: clash.window.from,
            to: clash.window.to,
            first: claimant(&clash.first),
            second: claimant(&clash.second),
            taken: clash.taken.map(id),
        });
        let overlaps = overlaps.collect();
        let name_index = name_index(&names);
        label_names(&mut workloads, &names);
        Self { workloads, index, scoped, overlaps, names, name_index }
    }

    /// Where sources contradict each other, in order of address and time.
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    /// Who owned an address of a scope at a moment; what is said without a scope counts in all of them.
    pub fn owner_in(&self, scope: &str, ip: Ip, at: Micros) -> Option<&Workload> {
        self.held_by(self.scoped.get(scope).or_else(|| self.scoped.get(""))?, ip, at)
    }

    /// The latest name that was good for an address at a moment.
    pub fn name_of(&self, ip: Ip, at: Micros) -> Option<&str> {
        match self.name_index.holder(ip, at)? {
            super::index::Holder::One(index) => self.names.get(index as usize).map(|name| name.name.as_str()),
            super::index::Holder::Disputed => None,
        }
    }

    /// The moments at which an address begins or ceases to be somebody's, sorted by address and time.
    pub fn changes(&self) -> Vec<(Ip, Micros)> {
        self.index.changes()
    }
}

/// Runs of accounts of one source and scope, with their numbers.
fn by_source(accounts: &[Account]) -> Vec<Vec<(u32, &Account)>> {
    let numbered: Vec<(u32, &Account)> = (0..).zip(accounts).collect();
    let same = |a: &(u32, &Account), b: &(u32, &Account)| {
        (a.1.rank, &a.1.source, &a.1.scope) == (b.1.rank, &b.1.source, &b.1.scope)
    };
    numbered.chunk_by(same).map(<[_]>::to_vec).collect()
}

/// Of the claims of one owner that begin together, one that ends is known better than one that lasts.
fn claims_of<'a>(accounts: impl Iterator<Item = &'a Account>) -> Vec<(&'a WorkloadId, AddressClaim)> {
    let mut ends: BTreeMap<(&WorkloadId, Ip, Micros), Micros> = BTreeMap::new();
    for workload in accounts.flat_map(|account| &account.workloads) {
        for claim in workload.addresses.iter().filter(|claim| claim.from < claim.to) {
            let end = ends.entry((&workload.id, claim.ip, claim.from)).or_insert(claim.to);
            *end = later_end(*end, claim.to);
        }
    }
    ends.into_iter().map(|((id, ip, from), to)| (id, AddressClaim { ip, from, to })).collect()
}

/// The end of two claims that are one: the later, but any that is known rather than none.
pub fn later_end(a: Micros, b: Micros) -> Micros {
    if a == Micros::MAX || b == Micros::MAX { a.min(b) } else { a.max(b) }
}

fn add(merged: &mut BTreeMap<WorkloadId, Workload>, new: &Workload) {
    let known = merged.entry(new.id.clone()).or_insert_with(|| Workload {
        addresses: Vec::new(),
        name: new.id.0.clone(),
        labels: Default::default(),
        ..new.clone()
    });
    if known.name == known.id.0 {
        known.name.clone_from(&new.name);
    }
    known.criticality = known.criticality.or(new.criticality);
    for (key, value) in &new.labels {
        known.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Ends claims that last where the source gives the address to somebody else later, and begins those without a beginning
/// where an earlier holder's ended.
fn settle(mut claims: Vec<(&WorkloadId, AddressClaim)>) -> Vec<(&WorkloadId, AddressClaim)> {
    claims.sort_unstable_by_key(|(id, claim)| (claim.ip, *id, claim.from));
    let mut settled: Vec<(&WorkloadId, AddressClaim)> = Vec::with_capacity(claims.len());
    for (id, claim) in claims {
        match settled.last_mut() {
            Some((of, last)) if *of == id && last.ip == claim.ip && claim.from <= last.to => {
                last.to = last.to.max(claim.to);
            }
            _ => settled.push((id, claim)),
        }
    }
    for of_one in settled.chunk_by_mut(|a, b| a.1.ip == b.1.ip).filter(|of_one| of_one.len() > 1) {
        of_one.sort_unstable_by_key(|(id, claim)| (claim.from, *id));
        let starts: Vec<Micros> = of_one.iter().map(|(_, claim)| claim.from).collect();
        for (_, claim) in of_one.iter_mut().filter(|(_, claim)| claim.to == Micros::MAX) {
            let next = starts.partition_point(|start| *start <= claim.from);
            claim.to = starts.get(next).copied().unwrap_or(Micros::MAX);
        }
        let mut ends: Vec<(Micros, &WorkloadId)> = of_one.iter().map(|(id, claim)| (claim.to, *id)).collect();
        ends.sort_unstable();
        for (id, claim) in of_one.iter_mut().take_while(|(_, claim)| claim.from == Micros::MIN) {
            let before = &ends[..ends.partition_point(|(end, _)| *end < claim.to)];
            claim.from =
                before.iter().rev().find(|(_, other)| other != id).map_or(claim.from, |(end, _)| *end);
        }
    }
    settled
}

/// An index for each scope that somebody names; what is said without a scope is in all of them.
fn scoped(spans: &[Span], accounts: &[Account], options: JoinOptions) -> BTreeMap<String, IntervalIndex> {
    let scope = |span: &Span| accounts[span.origin as usize].scope.as_str();
    let mut of_scope: BTreeMap<&str, Vec<Span>> = BTreeMap::from([("", Vec::new())]);
    spans.iter().for_each(|span| of_scope.entry(scope(span)).or_default().push(*span));
    if of_scope.len() == 1 {
        of_scope.clear();
    }
    let everywhere = of_scope.get("").cloned().unwrap_or_default();
    let build = |(name, mut spans): (&str, Vec<Span>)| {
        if !name.is_empty() {
            spans.extend_from_slice(&everywhere);
        }
        let (mut index, _) = IntervalIndex::build(spans);
        index.begin_earlier(options.late_us);
        (name.to_owned(), index)
    };
    of_scope.into_iter().map(build).collect()
}

/// The label `dns` of workloads that have none: the latest name that was good for an address while it was theirs.
fn label_names(workloads: &mut [Workload], names: &[AddressName]) {
    for workload in workloads.iter_mut().filter(|w| !names.is_empty() && !w.labels.contains_key("dns")) {
        let of_claim = |claim: &AddressClaim| {
            let of_ip = &names[names.partition_point(|n| n.ip < claim.ip)..];
            // Sorted by time: the last that begins before the claim ends, if it still was good when the claim began.
            let before = of_ip.partition_point(|n| n.ip == claim.ip && n.from < claim.to);
            of_ip[..before].last().filter(|n| n.to > claim.from).map(|n| (n.from, &n.name))
        };
        if let Some((_, name)) = workload.addresses.iter().filter_map(of_claim).max() {
            workload.labels.insert(String::from("dns"), name.clone());
        }
    }
}

/// Names by address and time: the one that was good last counts, the first in the alphabet of several.
fn name_index(names: &[AddressName]) -> IntervalIndex {
    let spans = names.iter().enumerate().map(|(index, name)| Span {
        ip: name.ip,
        from: name.from,
        to: name.to,
        rank: name.from,
        owner: index as u32,
        origin: 0,
    });
    let mut spans: Vec<Span> = spans.collect();
    // Those that begin together: only the first in the alphabet is indexed.
    spans.dedup_by_key(|span| (span.ip, span.from));
    IntervalIndex::build(spans).0
}
