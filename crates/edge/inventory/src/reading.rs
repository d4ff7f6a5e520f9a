//! Files become accounts: each read by its connector, and what several say of one thing put together.

use std::collections::BTreeMap;

use model::{Account, AddressName, Labels, Micros, SourceLocation, Workload, WorkloadId};

use crate::assemble::Assembly;
use crate::connector::{self, Connector, ReadOptions, Sighting, Sink, Text};
use crate::problem::{Problem, Refused};
use crate::row;

/// What earlier readings knew things by: [`Reading::keys`].
pub type Known = BTreeMap<String, WorkloadId>;

/// What files say of who exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// One for each source and scope, sorted so. Workloads are sorted by id.
    pub accounts: Vec<Account>,
    /// Names of addresses, sorted.
    pub names: Vec<AddressName>,
    /// What each thing is known by: `mac:..`, `aws:i-..`, `id:..` for its own id in a source.
    pub keys: Known,
    /// What is gone.
    pub ended: Vec<Ended>,
    /// Where each workload is first written.
    pub locations: BTreeMap<WorkloadId, SourceLocation>,
    /// What was read, in order.
    pub files: Vec<FileReport>,
    /// Records that could not be read, at most [`Refused::MOST`], in order of file and line.
    pub rejects: Vec<Problem>,
    /// How many more of them there are.
    pub more_rejects: usize,
    /// Records that say nothing of use, by source and reason.
    pub skipped: BTreeMap<(&'static str, &'static str), u64>,
}

/// A workload of which a source says that nothing is its own any more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ended {
    /// Who says so.
    pub source: String,
    /// Which.
    pub workload: WorkloadId,
    /// Since when.
    pub at: Micros,
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileReport {
    /// As it was given.
    pub file: String,
    /// The name of the connector that read it.
    pub format: &'static str,
    /// Records that were looked at.
    pub records: u64,
    /// Those that could not be read.
    pub rejected: u64,
}

/// Reads the contents of files, in the given format or each in its own.
pub(crate) fn read(
    files: &[(String, Vec<u8>)],
    format: Option<&'static Connector>,
    options: &ReadOptions,
    known: &Known,
) -> Result<Reading, Refused> {
    let mut reading = Reading::default();
    let (mut problems, mut rejects) = (Vec::new(), Vec::new());
    let mut lists = Assembly::default();
    let mut seen = Vec::new();
    let mut groups: BTreeMap<String, Labels> = BTreeMap::new();
    for (file, bytes) in files {
        let text = match row::text(bytes) {
            Ok(text) => text,
            Err(flaw) => {
                problems.push(flaw.at(file, ""));
                continue;
            }
        };
        let connector = format.unwrap_or_else(|| connector::detect(text));
        let mut sink = Sink::default();
        (connector.read)(&Text { text, options }, &mut sink);
        let is_list = connector.name == model::LIST;
        for row in std::mem::take(&mut sink.rows) {
            lists.add(file, row, &mut sink.flaws);
        }
        reading.files.push(FileReport {
            file: file.clone(),
            format: connector.name,
            records: sink.records,
            rejected: sink.flaws.len() as u64,
        });
        let lines = Lines::of(text);
        let said = sink.flaws.into_iter().map(|flaw| flaw.in_lines(file, &lines.0));
        if is_list {
            problems.extend(said)
        } else {
            rejects.extend(said)
        };
        reading.names.append(&mut sink.names);
        for (name, labels) in sink.groups {
            groups.entry(name).or_default().extend(labels);
        }
        for (reason, count) in sink.skipped {
            *reading.skipped.entry((connector.name, reason)).or_default() += count;
        }
        seen.extend(sink.sightings.into_iter().map(|(sighting, place)| Seen {
            location: SourceLocation { file: file.clone(), line: place.line, column: place.column },
            connector,
            sighting,
        }));
    }
    if !problems.is_empty() {
        return Err(Refused::new(problems));
    }
    let list = lists.finish().map_err(Refused::new)?;
    if !list.workloads.is_empty() {
        reading.locations = list.locations;
        reading.accounts.push(Account {
            source: model::LIST.to_owned(),
            rank: model::LIST_RANK,
            scope: String::new(),
            workloads: list.workloads,
        });
    }
    put_together(seen, &groups, known, &mut reading);
    let Refused { problems, more } = Refused::new(rejects);
    (reading.rejects, reading.more_rejects) = (problems, more);
    reading.names.sort_unstable();
    reading.names.dedup();
    Ok(reading)
}

/// The lines of a text, so that many flaws are shown without searching for each.
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.lines().collect())
    }
}

struct Seen {
    location: SourceLocation,
    connector: &'static Connector,
    sighting: Sighting,
}

type ById = BTreeMap<WorkloadId, Workload>;

/// Sightings that share a key are of one thing. Its id is the one that it is known by already, else that of the source
/// that comes first.
fn put_together(
    mut seen: Vec<Seen>,
    groups: &BTreeMap<String, Labels>,
    known: &Known,
    reading: &mut Reading,
) {
    // The newest last; in any order of files the same.
    seen.sort_by(|a, b| {
        let order = |s: &Seen| (s.sighting.seen, s.connector.name, s.location.clone());
        order(a).cmp(&order(b))
    });
    let things = things(&seen);
    let mut ids: BTreeMap<usize, (bool, u8, &str)> = BTreeMap::new();
    for (index, of) in seen.iter().enumerate() {
        let candidates =
            keys(&of.sighting).filter_map(|key| known.get(&key)).map(|id| (true, u8::MAX, id.0.as_str()));
        for new in candidates.chain([(false, of.connector.rank, of.sighting.id.as_str())]) {
            let best = ids.entry(things[index]).or_insert(new);
            // What is known, then the greatest rank, then the first in the alphabet.
            if (new.0, new.1, std::cmp::Reverse(new.2)) > (best.0, best.1, std::cmp::Reverse(best.2)) {
                *best = new;
            }
        }
    }
    let mut accounts: BTreeMap<(&str, &str), (u8, ById)> = BTreeMap::new();
    for (index, of) in seen.iter().enumerate() {
        let id = WorkloadId(ids.get(&things[index]).map_or_else(String::new, |best| best.2.to_owned()));
        let Seen { location, connector, sighting } = of;
        reading.keys.extend(keys(sighting).map(|key| (key, id.clone())));
        let first = reading.locations.entry(id.clone()).or_insert_with(|| location.clone());
        if location < first {
            first.clone_from(location);
        }
        if let Some(at) = sighting.gone {
            let source = connector.name.to_owned();
            reading.ended.push(Ended { source, workload: id.clone(), at });
        }
        let (_, workloads) = accounts
            .entry((connector.name, &sighting.scope))
            .or_insert_with(|| (connector.rank, ById::new()));
        let workload = workloads.entry(id.clone()).or_insert_with(|| Workload {
            name: id.0.clone(),
            id,
            labels: Labels::new(),
            criticality: None,
            addresses: Vec::new(),
        });
        add(workload, sighting, groups);
    }
    for ((source, scope), (rank, workloads)) in accounts {
        let workloads = workloads.into_values().map(settled).collect();
        reading.accounts.push(Account {
            source: source.to_owned(),
            rank,
            scope: scope.to_owned(),
            workloads,
        });
    }
    reading.ended.sort();
    reading.ended.dedup();
}

/// Adds what is newer than all before.
fn add(workload: &mut Workload, sighting: &Sighting, groups: &BTreeMap<String, Labels>) {
    if let Some(name) = &sighting.name {
        workload.name.clone_from(name);
    }
    let of_groups = sighting.groups.iter().filter_map(|group| groups.get(group)).flatten();
    for (key, value) in of_groups {
        workload.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    workload.labels.extend(sighting.labels.clone());
    workload.addresses.extend(&sighting.claims);
}

fn settled(mut workload: Workload) -> Workload {
    workload.addresses.sort_unstable();
    workload.addresses.dedup_by(|next, kept| {
        if next.ip != kept.ip || next.from > kept.to {
            return false;
        }
        // Of claims that begin together, one that ends is known better; others add up.
        let together = next.from == kept.from;
        kept.to = if together { model::later_end(kept.to, next.to) } else { kept.to.max(next.to) };
        true
    });
    workload
}

fn keys(sighting: &Sighting) -> impl Iterator<Item = String> {
    sighting.keys.iter().cloned().chain([format!("id:{}", sighting.id)])
}

/// For each sighting the number of the first one of the same thing: a union-find over keys.
fn things(seen: &[Seen]) -> Vec<usize> {
    fn root(of: &mut [usize], mut index: usize) -> usize {
        while of[index] != index {
            of[index] = of[of[index]];
            index = of[index];
        }
        index
    }
    let mut of: Vec<usize> = (0..seen.len()).collect();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (index, one) in seen.iter().enumerate() {
        for key in keys(&one.sighting) {
            let other = *first.entry(key).or_insert(index);
            let (a, b) = (root(&mut of, other), root(&mut of, index));
            of[a.max(b)] = a.min(b);
        }
    }
    (0..seen.len()).map(|index| root(&mut of, index)).collect()
}
