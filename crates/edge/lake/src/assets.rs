//! Who exists, kept over time.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Account, AddressClaim, Criticality, Inventory, Ip, JoinOptions, LIST, LIST_RANK, Micros, TimeWindow,
    Workload, WorkloadId,
};
use rusqlite::{Connection, params};

use crate::Lake;
use crate::error::LakeError;
use crate::import::now;

/// What a list of workloads means for those that are stored and that it does not name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storing {
    /// The list adds and updates. What it says of a workload's address counts; other addresses and workloads stay.
    Merge,
    /// The list is all there is from this moment on: addresses that it does not name end then, and an address that now
    /// belongs to somebody else does so from then, where the list does not say from when.
    Replace {
        /// The moment.
        at: Micros,
    },
}

/// What storing a list did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AssetReceipt {
    /// Workloads that were not stored before.
    pub added: usize,
    /// Workloads that were, and were changed.
    pub updated: usize,
    /// Workloads that were, and were not changed.
    pub unchanged: usize,
    /// Addresses that ended because the list no longer names them.
    pub ended: usize,
}

impl Lake {
    /// Stores workloads: all of them, or none.
    ///
    /// # Errors
    /// When two would own one address at one time, or the state cannot be written.
    pub fn store_workloads(
        &mut self,
        workloads: &[Workload],
        storing: Storing,
    ) -> Result<AssetReceipt, LakeError> {
        self.writable()?;
        let stored: BTreeMap<WorkloadId, Workload> =
            self.workloads(Micros::MAX)?.into_iter().map(|w| (w.id.clone(), w)).collect();
        let mut receipt = AssetReceipt::default();
        let merged = merge(&stored, workloads, storing, &mut receipt);
        Inventory::new(merged.values().cloned().collect()).map_err(LakeError::SharedAddress)?;
        let failed = self.state.failed("store workloads");
        let step = self.state.connection.unchecked_transaction().map_err(&failed)?;
        let at = match storing {
            Storing::Merge => now(),
            Storing::Replace { at } => at,
        };
        for (id, workload) in &merged {
            let before = stored.get(id);
            if before == Some(workload) {
                receipt.unchanged += 1;
                continue;
            }
            *if before.is_some() { &mut receipt.updated } else { &mut receipt.added } += 1;
            if before.is_none_or(|b| description(b) != description(workload)) {
                write_description(&step, workload, at).map_err(&failed)?;
            }
            write_claims(&step, workload).map_err(&failed)?;
        }
        step.commit().map_err(&failed)?;
        Ok(receipt)
    }

    /// The inventory of lists and of what systems say; with a moment, names, labels and criticality are those recorded
    /// last before it. What was first recorded later counts as having been so all along: lists are imported after the
    /// fact. Where sources contradict each other, see [`Inventory::overlaps`].
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn inventory(&self, as_of: Option<Micros>) -> Result<Inventory, LakeError> {
        let as_of = as_of.unwrap_or(Micros::MAX);
        let workloads = self.workloads(as_of)?;
        let (mut accounts, names) = self.words(as_of)?;
        accounts.push(Account { source: LIST.to_owned(), rank: LIST_RANK, scope: String::new(), workloads });
        Ok(Inventory::of(accounts, names, JoinOptions { late_us: self.late_us }))
    }

    fn workloads(&self, as_of: Micros) -> Result<Vec<Workload>, LakeError> {
        let failed = self.state.failed("read the workloads");
        let connection = &self.state.connection;
        // Of each workload the latest version up to the moment, else the earliest; the order of rows does that.
        let versions = "SELECT workload, name, criticality, labels FROM workload_versions \
                        ORDER BY workload, recorded_us <= ?1 DESC, abs(recorded_us - ?1)";
        let mut query = connection.prepare_cached(versions).map_err(&failed)?;
        let mut rows = query.query([as_of]).map_err(&failed)?;
        let mut found: BTreeMap<String, Workload> = BTreeMap::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let id: String = row.get(0).map_err(&failed)?;
            if found.contains_key(&id) {
                continue;
            }
            let (criticality, labels): (Option<String>, String) =
                (row.get(2).map_err(&failed)?, row.get(3).map_err(&failed)?);
            let read = |error: serde_json::Error| self.malformed(&format!("workload {id}"), &error);
            let criticality: Option<Criticality> =
                criticality.map(|text| serde_json::from_value(text.into())).transpose().map_err(read)?;
            let workload = Workload {
                id: WorkloadId(id.clone()),
                name: row.get(1).map_err(&failed)?,
                labels: serde_json::from_str(&labels).map_err(read)?,
                criticality,
                addresses: Vec::new(),
            };
            found.insert(id, workload);
        }
        let claims = "SELECT workload, ip, from_us, to_us FROM address_claims ORDER BY workload, ip, from_us";
        let mut query = connection.prepare_cached(claims).map_err(&failed)?;
        let mut rows = query.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let id: String = row.get(0).map_err(&failed)?;
            let ip: [u8; 16] = row.get(1).map_err(&failed)?;
            let (from, to) = (row.get(2).map_err(&failed)?, row.get(3).map_err(&failed)?);
            if let Some(workload) = found.get_mut(&id) {
                workload.addresses.push(AddressClaim { ip: Ip::from_bytes(ip), from, to });
            }
        }
        Ok(found.into_values().collect())
    }
}

/// The addresses that change hands within a window, its ends left out, and when: where a query for edges has to keep sums
/// apart. Sorted.
pub fn identity_changes(inventory: &Inventory, window: TimeWindow) -> Vec<(Ip, Micros)> {
    let changes = inventory.changes().into_iter();
    changes.filter(|(_, at)| window.from < *at && *at < window.to).collect()
}

fn description(workload: &Workload) -> (&str, Option<Criticality>, &model::Labels) {
    (&workload.name, workload.criticality, &workload.labels)
}

fn merge(
    stored: &BTreeMap<WorkloadId, Workload>,
    list: &[Workload],
    storing: Storing,
    receipt: &mut AssetReceipt,
) -> BTreeMap<WorkloadId, Workload> {
    let mut merged = stored.clone();
    let said: BTreeSet<(&WorkloadId, Ip)> =
        list.iter().flat_map(|w| w.addresses.iter().map(move |claim| (&w.id, claim.ip))).collect();
    if let Storing::Replace { at } = storing {
        for workload in merged.values_mut() {
            for claim in &mut workload.addresses {
                if claim.to > at && !said.contains(&(&workload.id, claim.ip)) {
                    claim.to = at;
                    receipt.ended += 1;
                }
            }
            workload.addresses.retain(|claim| claim.from < claim.to);
        }
    }
    // When an address was last somebody else's.
    let mut last_held: BTreeMap<Ip, Vec<(WorkloadId, Micros)>> = BTreeMap::new();
    if let Storing::Replace { .. } = storing {
        for workload in merged.values() {
            for claim in &workload.addresses {
                last_held.entry(claim.ip).or_default().push((workload.id.clone(), claim.to));
            }
        }
    }
    for new in list {
        let mut workload = new.clone();
        let known = stored.get(&new.id);
        for claim in &mut workload.addresses {
            let held = known.is_some_and(|known| known.addresses.contains(claim));
            let others = last_held.get(&claim.ip).into_iter().flatten().filter(|(id, _)| *id != new.id);
            if let Some(ended) =
                others.map(|(_, to)| *to).max().filter(|_| claim.from == Micros::MIN && !held)
            {
                claim.from = ended;
            }
        }
        // What is stored of addresses that the list does not name of this workload stays.
        let before = merged.get(&new.id).map(|known| known.addresses.clone()).unwrap_or_default();
        workload.addresses.extend(before.into_iter().filter(|claim| !said.contains(&(&new.id, claim.ip))));
        workload.addresses.sort_unstable();
        workload.addresses.dedup();
        merged.insert(new.id.clone(), workload);
    }
    merged
}

fn write_description(step: &Connection, workload: &Workload, at: Micros) -> rusqlite::Result<()> {
    let criticality = workload.criticality.map(|level| match level {
        Criticality::Low => "low",
        Criticality::Medium => "medium",
        Criticality::High => "high",
        Criticality::Critical => "critical",
    });
    let labels: serde_json::Map<String, serde_json::Value> =
        workload.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    step.execute(
        "INSERT OR REPLACE INTO workload_versions (workload, recorded_us, name, criticality, labels) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![workload.id.0, at, workload.name, criticality, serde_json::Value::Object(labels).to_string()],
    )?;
    Ok(())
}

fn write_claims(step: &Connection, workload: &Workload) -> rusqlite::Result<()> {
    step.execute("DELETE FROM address_claims WHERE workload = ?1", [&workload.id.0])?;
    let insert =
        "INSERT OR REPLACE INTO address_claims (workload, ip, from_us, to_us) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = step.prepare_cached(insert)?;
    for AddressClaim { ip, from, to } in &workload.addresses {
        insert.execute(params![workload.id.0, ip.to_bytes(), from, to])?;
    }
    Ok(())
}
