//! What systems say of who exists, kept as each of them said it: contradictions and late news are settled when the
//! inventory is read, so that what is learnt later is true of all of history.

use std::collections::BTreeMap;

use model::{Account, AddressClaim, AddressName, Ip, LIST, Labels, Micros, Workload, WorkloadId, later_end};
use rusqlite::{Connection, OptionalExtension, params};

use crate::Lake;
use crate::assets::Storing;
use crate::error::LakeError;
use crate::import::now;

/// What systems say, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Accounts of systems; those of [`LIST`] are passed over.
    pub accounts: &'a [Account],
    /// What things are known by.
    pub keys: &'a BTreeMap<String, WorkloadId>,
    /// Source, workload, and since when nothing is its own any more.
    pub ended: &'a [(String, WorkloadId, Micros)],
    /// Names of addresses.
    pub names: &'a [AddressName],
}

/// What storing the words of systems did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WordsReceipt {
    /// Workloads that some source had not spoken of before.
    pub added: usize,
    /// Those of which a source says something else now.
    pub updated: usize,
    /// Those of which it says the same.
    pub unchanged: usize,
    /// Claims that ended.
    pub ended: usize,
    /// Names of addresses that are new, or good for longer.
    pub names: usize,
}

impl Lake {
    /// Stores what systems say: all of it, or nothing. Claims add up; of those that begin together one that ends is known
    /// better. With [`Storing::Replace`], claims of the same sources and scopes that last and that are not among these end
    /// then.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn store_words(&mut self, words: Words<'_>, storing: Storing) -> Result<WordsReceipt, LakeError> {
        self.writable()?;
        let failed = self.state.failed("store what systems say of who exists");
        let step = self.state.connection.unchecked_transaction().map_err(&failed)?;
        let mut receipt = WordsReceipt::default();
        write(&step, words, storing, &mut receipt).map_err(&failed)?;
        step.commit().map_err(&failed)?;
        Ok(receipt)
    }

    /// What things are known by: keys of earlier readings, and `id:..` of every workload.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn known_things(&self) -> Result<BTreeMap<String, WorkloadId>, LakeError> {
        if !self.has_words()? {
            return Ok(BTreeMap::new());
        }
        let failed = self.state.failed("read what things are known by");
        let all = "SELECT 'id:' || workload, workload FROM workload_versions \
                   UNION SELECT 'id:' || workload, workload FROM workload_words \
                   UNION SELECT key, workload FROM workload_keys";
        let mut query = self.state.connection.prepare_cached(all).map_err(&failed)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, WorkloadId(row.get(1)?)))).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// A lake that only an earlier version wrote to has no tables for them, and a reader makes none.
    fn has_words(&self) -> Result<bool, LakeError> {
        let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'address_words'";
        let tables = self.state.connection.query_row(known, [], |row| row.get::<_, i64>(0));
        Ok(tables.map_err(self.state.failed("read what systems say of who exists"))? > 0)
    }

    /// The accounts of systems, with what was recorded last before a moment, else first; and the names.
    pub(crate) fn words(&self, as_of: Micros) -> Result<(Vec<Account>, Vec<AddressName>), LakeError> {
        if !self.has_words()? {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut found = self.described(as_of)?;
        self.claimed(&mut found)?;
        let account = |((source, scope), (rank, workloads)): ((String, String), (u8, ById))| Account {
            source,
            rank,
            scope,
            workloads: workloads.into_values().collect(),
        };
        Ok((found.into_iter().map(account).collect(), self.names()?))
    }

    /// Workloads by source and scope, without addresses.
    fn described(&self, as_of: Micros) -> Result<BySource, LakeError> {
        let failed = self.state.failed("read what systems say of who exists");
        // Of each workload the latest version up to the moment, else the earliest; the order of rows does that.
        let versions = "SELECT source, scope, workload, rank, name, labels FROM workload_words \
                        ORDER BY source, scope, workload, recorded_us <= ?1 DESC, abs(recorded_us - ?1)";
        let mut query = self.state.connection.prepare_cached(versions).map_err(&failed)?;
        let mut rows = query.query([as_of]).map_err(&failed)?;
        let mut found = BySource::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let of = |index: usize| row.get::<_, String>(index).map_err(&failed);
            let (id, labels) = (WorkloadId(of(2)?), of(5)?);
            let rank: u8 = row.get(3).map_err(&failed)?;
            let (_, workloads) = found.entry((of(0)?, of(1)?)).or_insert((rank, ById::new()));
            if workloads.contains_key(&id) {
                continue;
            }
            let labels: Labels =
                serde_json::from_str(&labels).map_err(|e| self.malformed(&format!("workload {id}"), &e))?;
            let (name, addresses) = (of(4)?, Vec::new());
            workloads.insert(id.clone(), Workload { id, name, labels, criticality: None, addresses });
        }
        Ok(found)
    }

    fn claimed(&self, found: &mut BySource) -> Result<(), LakeError> {
        let failed = self.state.failed("read what systems say of addresses");
        let claims = "SELECT source, scope, workload, ip, from_us, to_us FROM address_words";
        let mut query = self.state.connection.prepare_cached(claims).map_err(&failed)?;
        let mut rows = query.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let of = |index: usize| row.get::<_, String>(index).map_err(&failed);
            let id = WorkloadId(of(2)?);
            let ip: [u8; 16] = row.get(3).map_err(&failed)?;
            let (from, to) = (row.get(4).map_err(&failed)?, row.get(5).map_err(&failed)?);
            let account = found.get_mut(&(of(0)?, of(1)?));
            if let Some(workload) = account.and_then(|(_, workloads)| workloads.get_mut(&id)) {
                workload.addresses.push(AddressClaim { ip: Ip::from_bytes(ip), from, to });
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<AddressName>, LakeError> {
        let failed = self.state.failed("read the names of addresses");
        let all = "SELECT ip, from_us, to_us, name FROM address_names";
        let mut query = self.state.connection.prepare_cached(all).map_err(&failed)?;
        let name = |row: &rusqlite::Row<'_>| {
            let ip: [u8; 16] = row.get(0)?;
            Ok(AddressName { ip: Ip::from_bytes(ip), from: row.get(1)?, to: row.get(2)?, name: row.get(3)? })
        };
        let names = query.query_map([], name).map_err(&failed)?;
        names.collect::<Result<_, _>>().map_err(&failed)
    }
}

type ById = BTreeMap<WorkloadId, Workload>;
/// By source and scope, with the source's rank.
type BySource = BTreeMap<(String, String), (u8, ById)>;

fn write(
    step: &Connection,
    words: Words<'_>,
    storing: Storing,
    receipt: &mut WordsReceipt,
) -> rusqlite::Result<()> {
    let recorded = match storing {
        Storing::Merge => now(),
        Storing::Replace { at } => at,
    };
    let mut news: BTreeMap<&WorkloadId, News> = BTreeMap::new();
    for account in words.accounts.iter().filter(|account| account.source != LIST) {
        if let Storing::Replace { at } = storing {
            receipt.ended += end_unsaid(step, account, at)?;
        }
        for workload in &account.workloads {
            let new = write_workload(step, account, workload, recorded)?;
            let known = news.entry(&workload.id).or_insert(new);
            *known = (*known).max(new);
        }
    }
    let count = |which: News| news.values().filter(|new| **new == which).count();
    (receipt.added, receipt.updated) = (count(News::Added), count(News::Updated));
    receipt.unchanged = count(News::None);
    let mut end = step.prepare_cached(
        "UPDATE address_words SET to_us = ?3 WHERE source = ?1 AND workload = ?2 AND to_us = ?4 AND from_us < ?3",
    )?;
    for (source, workload, at) in words.ended {
        receipt.ended += end.execute(params![source, workload.0, at, Micros::MAX])?;
    }
    let mut key =
        step.prepare_cached("INSERT OR REPLACE INTO workload_keys (key, workload) VALUES (?1, ?2)")?;
    for (name, workload) in
        words.keys.iter().filter(|(name, _)| !name.starts_with("id:") || known_otherwise(words, name))
    {
        key.execute(params![name, workload.0])?;
    }
    receipt.names += write_names(step, words.names)?;
    Ok(())
}

/// What a source says of a workload that it did not say before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    None,
    Updated,
    Added,
}

/// An id in a source that is not the workload's own.
fn known_otherwise(words: Words<'_>, key: &str) -> bool {
    words.keys.get(key).is_some_and(|workload| key.strip_prefix("id:") != Some(workload.0.as_str()))
}

/// Ends the lasting claims of an account's source and scope that it does not say.
fn end_unsaid(step: &Connection, account: &Account, at: Micros) -> rusqlite::Result<usize> {
    let Account { source, scope, workloads, .. } = account;
    let said: std::collections::BTreeSet<(&str, Ip)> =
        workloads.iter().flat_map(|w| w.addresses.iter().map(move |c| (w.id.0.as_str(), c.ip))).collect();
    let lasting = "SELECT workload, ip, from_us FROM address_words \
                   WHERE source = ?1 AND scope = ?2 AND to_us = ?3 AND from_us < ?4";
    let mut query = step.prepare_cached(lasting)?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, Micros>(2)?))
    };
    let stored =
        query.query_map(params![source, scope, Micros::MAX, at], row)?.collect::<Result<Vec<_>, _>>()?;
    let mut end = step.prepare_cached(
        "UPDATE address_words SET to_us = ?6 \
         WHERE workload = ?1 AND source = ?2 AND scope = ?3 AND ip = ?4 AND from_us = ?5",
    )?;
    let mut ended = 0;
    for (workload, ip, from) in stored {
        if !said.contains(&(workload.as_str(), Ip::from_bytes(ip))) {
            ended += end.execute(params![workload, source, scope, ip, from, at])?;
        }
    }
    Ok(ended)
}

fn write_workload(
    step: &Connection,
    account: &Account,
    workload: &Workload,
    recorded: Micros,
) -> rusqlite::Result<News> {
    let Account { source, rank, scope, .. } = account;
    let labels: serde_json::Map<String, serde_json::Value> =
        workload.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let labels = serde_json::Value::Object(labels).to_string();
    let mut last = step.prepare_cached(
        "SELECT name, labels FROM workload_words WHERE workload = ?1 AND source = ?2 AND scope = ?3 \
         ORDER BY recorded_us DESC LIMIT 1",
    )?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let before = last.query_row(params![workload.id.0, source, scope], row).optional()?;
    let same = before.as_ref().is_some_and(|(name, said)| (name, said) == (&workload.name, &labels));
    if !same {
        step.prepare_cached(
            "INSERT OR REPLACE INTO workload_words (workload, source, scope, recorded_us, rank, name, labels) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![workload.id.0, source, scope, recorded, rank, workload.name, labels])?;
    }
    let mut changed = 0;
    for claim in &workload.addresses {
        changed += write_claim(step, account, &workload.id, claim)?;
    }
    Ok(match before {
        None => News::Added,
        Some(_) if same && changed == 0 => News::None,
        Some(_) => News::Updated,
    })
}

fn write_claim(
    step: &Connection,
    account: &Account,
    id: &WorkloadId,
    claim: &AddressClaim,
) -> rusqlite::Result<usize> {
    let (Account { source, scope, .. }, ip) = (account, claim.ip.to_bytes());
    let mut stored = step.prepare_cached(
        "SELECT to_us FROM address_words \
         WHERE workload = ?1 AND source = ?2 AND scope = ?3 AND ip = ?4 AND from_us = ?5",
    )?;
    let key = params![id.0, source, scope, ip, claim.from];
    let before: Option<Micros> = stored.query_row(key, |row| row.get(0)).optional()?;
    let to = before.map_or(claim.to, |before| later_end(before, claim.to));
    if before == Some(to) {
        return Ok(0);
    }
    step.prepare_cached(
        "INSERT OR REPLACE INTO address_words (workload, source, scope, ip, from_us, to_us) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![id.0, source, scope, ip, claim.from, to])
}

/// An answer that was asked for again while it was good makes it good for longer.
fn write_names(step: &Connection, names: &[AddressName]) -> rusqlite::Result<usize> {
    let mut longer = step.prepare_cached(
        "UPDATE address_names SET to_us = max(to_us, ?4) WHERE ip = ?1 AND name = ?2 AND from_us <= ?3 AND to_us >= ?3",
    )?;
    let mut insert = step.prepare_cached(
        "INSERT OR REPLACE INTO address_names (ip, name, from_us, to_us) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut written = 0;
    for AddressName { ip, from, to, name } in names {
        let row = params![ip.to_bytes(), name, from, to];
        if longer.execute(row)? == 0 {
            written += insert.execute(row)?;
        }
    }
    Ok(written)
}
