//! Rows become workloads; what they say of one workload must agree, and no address has two owners at one time.

use std::collections::BTreeMap;

use model::{
    AddressClaim, Criticality, Inventory, Labels, Micros, SourceLocation, Workload, WorkloadId, parse_time,
};
use netset::{Ip, Prefix};

use crate::Assets;
use crate::problem::{Fault, Flaw, Problem};
use crate::row::{Address, Cell, Row};

/// Workloads as far as the rows so far say.
#[derive(Default)]
pub(crate) struct Assembly {
    drafts: BTreeMap<WorkloadId, Draft>,
}

struct Draft {
    location: SourceLocation,
    name: Option<String>,
    criticality: Option<Criticality>,
    labels: Labels,
    addresses: Vec<(AddressClaim, SourceLocation)>,
}

impl Assembly {
    /// Takes a row; what is wrong with it goes to `flaws`.
    pub(crate) fn add(&mut self, file: &str, row: Row, flaws: &mut Vec<Flaw>) {
        let at = |cell: &Cell| SourceLocation {
            file: file.to_owned(),
            line: cell.place.line,
            column: cell.place.column,
        };
        let Some(identity) = row.id.as_ref().or(row.name.as_ref()) else {
            flaws.push(Flaw::new(row.place, Fault::Nameless));
            return;
        };
        let id = WorkloadId(identity.text.clone());
        let draft = self.drafts.entry(id.clone()).or_insert_with(|| Draft {
            location: at(identity),
            name: None,
            criticality: None,
            labels: Labels::new(),
            addresses: Vec::new(),
        });
        let first = draft.location.clone();
        let mut disagree = |cell: &Cell, what: String, before: String| {
            let (workload, location) = (id.clone(), first.clone());
            let fault = |second| Fault::Disagree { workload, what, first: before, second, location };
            flaws.push(cell.flaw(fault));
        };
        if let Some(cell) = &row.name {
            match draft.name.replace(cell.text.clone()) {
                Some(before) if before != cell.text => disagree(cell, String::from("the name"), before),
                _ => {}
            }
        }
        for (key, cell) in &row.labels {
            match draft.labels.insert(key.clone(), cell.text.clone()) {
                Some(before) if before != cell.text => disagree(cell, format!("the label `{key}`"), before),
                _ => {}
            }
        }
        if let Some(cell) = &row.criticality {
            match (criticality(&cell.text), draft.criticality) {
                (Some(new), Some(old)) if new != old => {
                    disagree(cell, String::from("the criticality"), format!("{old:?}").to_lowercase());
                }
                (Some(new), _) => draft.criticality = Some(new),
                (None, _) => flaws.push(cell.flaw(Fault::Criticality)),
            }
        }
        for address in &row.addresses {
            if let Some(claim) = claim(address, &row, flaws) {
                draft.addresses.push((claim, at(&address.ip)));
            }
        }
    }

    /// The workloads, when no two own one address at one time.
    pub(crate) fn finish(self) -> Result<Assets, Vec<Problem>> {
        let mut workloads = Vec::with_capacity(self.drafts.len());
        for (id, draft) in &self.drafts {
            let mut addresses: Vec<AddressClaim> = draft.addresses.iter().map(|(claim, _)| *claim).collect();
            addresses.sort_unstable();
            addresses.dedup();
            workloads.push(Workload {
                id: id.clone(),
                name: draft.name.clone().unwrap_or_else(|| id.0.clone()),
                labels: draft.labels.clone(),
                criticality: draft.criticality,
                addresses,
            });
        }
        match Inventory::new(workloads.clone()) {
            Ok(_) => {
                let locations = self.drafts.into_iter().map(|(id, draft)| (id, draft.location)).collect();
                Ok(Assets { workloads, locations })
            }
            Err(conflicts) => Err(conflicts.into_iter().map(|conflict| self.shared(conflict)).collect()),
        }
    }

    /// A conflict with the two lines that make it: the later one is the problem's place.
    fn shared(&self, conflict: model::AddressConflict) -> Problem {
        let model::AddressConflict { ip, first, second, window } = conflict;
        let written = |id: &WorkloadId| {
            let draft = self.drafts.get(id);
            let overlaps =
                |claim: &AddressClaim| claim.ip == ip && claim.from < window.to && window.from < claim.to;
            draft
                .and_then(|d| d.addresses.iter().find(|(claim, _)| overlaps(claim)))
                .map(|(_, location)| location.clone())
                .or_else(|| draft.map(|d| d.location.clone()))
                .unwrap_or_default()
        };
        let (mut a, mut b) = ((written(&first), first), (written(&second), second));
        if b.0 < a.0 {
            std::mem::swap(&mut a, &mut b);
        }
        let fault = Fault::SharedAddress { ip, first: a.1, location: a.0, second: b.1, window };
        Problem { location: b.0, fault: Box::new(fault), line: String::new() }
    }
}

fn claim(address: &Address, row: &Row, flaws: &mut Vec<Flaw>) -> Option<AddressClaim> {
    let before = flaws.len();
    let Ok(ip) = address.ip.text.parse::<Ip>() else {
        let block = address.ip.text.parse::<Prefix>().is_ok();
        flaws.push(address.ip.flaw(if block { Fault::Block } else { Fault::Address }));
        return None;
    };
    let mut bound = |cell: Option<&Cell>, open: Micros| match cell {
        None => open,
        Some(cell) => time(&cell.text).unwrap_or_else(|| {
            flaws.push(cell.flaw(Fault::Time));
            open
        }),
    };
    let from = bound(address.from.as_ref().or(row.from.as_ref()), Micros::MIN);
    let to = bound(address.to.as_ref().or(row.to.as_ref()), Micros::MAX);
    if flaws.len() == before && from >= to {
        flaws.push(Flaw::new(address.ip.place, Fault::Backwards { from, to }));
    }
    (flaws.len() == before).then_some(AddressClaim { ip, from, to })
}

/// A moment, never a span before now: what a file says must not depend on when it is read.
fn time(text: &str) -> Option<Micros> {
    if text.contains('-') { parse_time(text, 0).ok() } else { None }
}

fn criticality(text: &str) -> Option<Criticality> {
    match text.to_lowercase().as_str() {
        "low" => Some(Criticality::Low),
        "medium" => Some(Criticality::Medium),
        "high" => Some(Criticality::High),
        "critical" => Some(Criticality::Critical),
        _ => None,
    }
}
