//! Who the names of a policy stand for at a moment.

use std::cell::RefCell;
use std::collections::BTreeMap;

use model::{InventoryView, IpSet, Region, Requirement, Selector, WorkloadId};

use crate::ast::{Document, Peer, PeerTerm, PolicySet, Spanned};
use crate::diagnostic::{Diagnostic, nearest};

/// Answers which addresses a peer means, from the policy's segments and the inventory at one moment.
///
/// Selectors are looked up once each: policies repeat few selectors over many rules.
#[derive(Debug)]
pub struct Directory<'a> {
    view: &'a InventoryView<'a>,
    segments: BTreeMap<&'a str, IpSet>,
    by_selector: RefCell<BTreeMap<Selector, IpSet>>,
}

impl<'a> Directory<'a> {
    /// A directory of the segments that the policy names and the workloads that had an address then.
    pub fn new(set: &'a PolicySet, view: &'a InventoryView<'a>) -> Self {
        let mut directory = Self { view, segments: BTreeMap::new(), by_selector: RefCell::default() };
        for (_, document) in &set.documents {
            if let Document::Segment(segment) = document {
                let listed = segment.members.iter().map(|id| view.addresses(&WorkloadId(id.value.clone())));
                let selected = segment.selector.iter().map(|selector| directory.labelled(&selector.value));
                let addresses = union_all(listed.chain(selected));
                directory.segments.insert(segment.name.value.as_str(), addresses);
            }
        }
        directory
    }

    /// The addresses that a term means inside a document of the given scope (empty outside of segment policies).
    ///
    /// A selector inherits from each label selector of the scope the keys that it omits; with several, it means the
    /// union. Other terms inherit nothing. Identity groups and domain names mean nobody here.
    pub fn term(&self, term: &PeerTerm, scope: &Peer) -> IpSet {
        match term {
            PeerTerm::Any => IpSet::full(),
            PeerTerm::Internet => IpSet::internet(),
            PeerTerm::Cidr(block) => block.to_set(),
            PeerTerm::Segment(name) => self.segments.get(name.as_str()).cloned().unwrap_or_default(),
            PeerTerm::Group(_) | PeerTerm::Fqdn(_) => IpSet::default(),
            PeerTerm::Labels(selector) => {
                union_all(effective(selector, scope).iter().map(|selector| self.labelled(selector)))
            }
        }
    }

    /// The addresses that any of the terms means. See [`Directory::term`].
    pub fn peer(&self, peer: &Peer, scope: &Peer) -> IpSet {
        union_all(peer.iter().map(|term| self.term(&term.value, scope)))
    }

    /// The workloads that own any of the addresses, sorted by id.
    pub fn workloads(&self, addresses: &IpSet) -> Vec<WorkloadId> {
        let owns = |ips: &[model::Ip]| ips.iter().any(|ip| addresses.contains(*ip));
        let members = self.view.members.iter().filter(|(_, ips)| owns(ips));
        members.map(|(workload, _)| workload.id.clone()).collect()
    }

    /// Every address that a workload owns.
    pub fn known(&self) -> IpSet {
        self.labelled(&Selector::default())
    }

    fn labelled(&self, selector: &Selector) -> IpSet {
        if let Some(known) = self.by_selector.borrow().get(selector) {
            return known.clone();
        }
        let matching = self.view.members.iter().filter(|(workload, _)| selector.matches(&workload.labels));
        let found = IpSet::from_ranges(matching.flat_map(|(_, ips)| ips.iter().map(|ip| (*ip, *ip))));
        self.by_selector.borrow_mut().insert(selector.clone(), found.clone());
        found
    }

    /// Says why a term means nobody, or nothing when it means somebody.
    pub(crate) fn explain_nobody(&self, term: &Spanned<PeerTerm>, scope: &Peer) -> Option<Diagnostic> {
        if !self.term(&term.value, scope).is_empty() {
            return None;
        }
        let at = term.at.clone();
        Some(match &term.value {
            PeerTerm::Group(name) => Diagnostic::warning(at, format!("`group:{name}` means nobody"))
                .with_help("identity groups need an identity source, and none is connected"),
            PeerTerm::Fqdn(name) => Diagnostic::warning(at, format!("`fqdn:{name}` means nobody"))
                .with_help("domain names need DNS evidence, and none is there; name the block with `cidr:`"),
            PeerTerm::Segment(name) => match self.segments.contains_key(name.as_str()) {
                true => Diagnostic::warning(at, format!("segment `{name}` has no member with an address"))
                    .with_help("check the segment's members against the inventory"),
                false => self.unknown_segment(at, name),
            },
            PeerTerm::Labels(selector) => self.unmatched(at, selector, scope),
            PeerTerm::Any | PeerTerm::Internet | PeerTerm::Cidr(_) => return None,
        })
    }

    fn unknown_segment(&self, at: model::SourceLocation, name: &str) -> Diagnostic {
        let help = match nearest(name, self.segments.keys().copied()) {
            Some(meant) => format!("did you mean `segment:{meant}`?"),
            None => format!("add a document `kind: Segment` with `name: {name}`"),
        };
        Diagnostic::error(at, format!("no segment is called `{name}`")).with_help(help)
    }

    fn unmatched(&self, at: model::SourceLocation, selector: &Selector, scope: &Peer) -> Diagnostic {
        let meant =
            effective(selector, scope).iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ");
        let message = match scope.is_empty() {
            true => format!("the selector {meant} matches no workload"),
            false => {
                format!("the selector `{selector}` matches no workload; with its scope it means {meant}")
            }
        };
        let advice = selector.requirements.iter().find_map(|requirement| self.advice(requirement));
        let help = advice.unwrap_or_else(|| {
            String::from(
                "each label exists, but no workload has all; `key=*` lifts what the scope says of a key",
            )
        });
        Diagnostic::warning(at, message).with_help(help)
    }

    /// Advice for a requirement whose key or values no workload has.
    fn advice(&self, requirement: &Requirement) -> Option<String> {
        let (Requirement::In(key, _) | Requirement::Exists(key)) = requirement else { return None };
        let labels = || self.view.members.iter().map(|(workload, _)| &workload.labels);
        let values = || labels().filter_map(|labels| labels.get(key)).map(String::as_str);
        if values().next().is_none() {
            if matches!(requirement, Requirement::Exists(_)) && self.segments.contains_key(key.as_str()) {
                return Some(format!("no workload has a label `{key}`; did you mean `segment:{key}`?"));
            }
            let help = match nearest(key, labels().flat_map(|labels| labels.keys()).map(String::as_str)) {
                Some(meant) => format!("no workload has a label `{key}`; did you mean `{meant}`?"),
                None => format!("no workload has a label `{key}`"),
            };
            return Some(help);
        }
        let Requirement::In(_, wanted) = requirement else { return None };
        let missing = wanted.iter().find(|value| values().all(|known| known != value.as_str()))?;
        Some(match nearest(missing, values()) {
            Some(meant) => format!("no workload has `{key}={missing}`; did you mean `{key}={meant}`?"),
            None => format!("no workload has `{key}={missing}`"),
        })
    }
}

/// The selectors that a selector stands for inside a scope. See [`Directory::term`].
fn effective(selector: &Selector, scope: &Peer) -> Vec<Selector> {
    let lenders = scope.iter().filter_map(|term| match &term.value {
        PeerTerm::Labels(scope) => Some(selector.within(scope)),
        _ => None,
    });
    let effective: Vec<Selector> = lenders.collect();
    if effective.is_empty() { vec![selector.clone()] } else { effective }
}

/// The union of many address sets, sorted once.
pub(crate) fn union_all(sets: impl IntoIterator<Item = IpSet>) -> IpSet {
    let mut sets: Vec<IpSet> = sets.into_iter().collect();
    match sets.len() {
        0 | 1 => sets.pop().unwrap_or_default(),
        _ => IpSet::from_ranges(sets.iter().flat_map(|set| set.runs().iter().copied())),
    }
}
