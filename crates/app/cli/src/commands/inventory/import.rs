//! `ringfence inventory import`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use inventory::{CONNECTORS, Known, ReadOptions, Reading};
use lake::{AssetReceipt, Lake, Storing, Words, WordsReceipt};
use model::LIST;
use serde_json::json;

use crate::project::open_lake;
use crate::output::{Format, Listing};
use crate::world::{AsOfArgs, now};
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(super) struct Import {
    /// A format or `auto`, which may be left out, and files or folders: lists (CSV, JSON) or what systems export. --list
    /// shows the formats.
    #[arg(value_name = "FORMAT|PATH", required_unless_present = "list")]
    inputs: Vec<String>,
    /// The files are all there is: addresses that they do not name end now (or at --at).
    #[arg(long)]
    replace: bool,
    /// The moment that --replace speaks of: RFC 3339, a date, or a span before now.
    #[arg(long, value_name = "TIME", requires = "replace")]
    at: Option<String>,
    /// Where the addresses are unique, for sources that do not say it: a cluster's name, a site.
    #[arg(long, value_name = "NAME", default_value = "")]
    scope: String,
    /// Show the formats and how they are read.
    #[arg(long)]
    list: bool,
}

impl Import {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.list {
            return list_formats(global.format_or(Format::Table)).map(|()| Exit::Ok);
        }
        let (format, paths) = self.what()?;
        let at = AsOfArgs { as_of: self.at.clone() }.moment()?;
        let project = global.project()?;
        let options = ReadOptions { scope: self.scope.clone(), now: now() };
        let reading = inventory::read_sources(&paths, format, &options, &known(&project.lake)?)?;
        let mut lake = open_lake(&project.lake)?;
        let storing = if self.replace { Storing::Replace { at } } else { Storing::Merge };
        let stored = store(&mut lake, &reading, storing)?;
        let overlaps = lake.inventory(None)?.overlaps().len();
        print(&reading, &stored, overlaps, global)?;
        Ok(Exit::Ok)
    }

    /// The first word is a format when it is one, and no file is called so.
    fn what(&self) -> anyhow::Result<(&str, Vec<PathBuf>)> {
        let paths = |inputs: &[String]| inputs.iter().map(PathBuf::from).collect::<Vec<_>>();
        let is_format = |word: &str| word == "auto" || inventory::find(word).is_some();
        match self.inputs.as_slice() {
            [only] if is_format(only) && !Path::new(only).exists() => {
                Err(UsageError(format!("`{only}` is a format; say which files or folders to read")).into())
            }
            [first, rest @ ..] if is_format(first) && !Path::new(first).exists() => Ok((first, paths(rest))),
            all => Ok(("auto", paths(all))),
        }
    }
}

/// What earlier imports knew things by; nothing before the first.
fn known(lake: &Path) -> anyhow::Result<Known> {
    if lake.exists() { Ok(Lake::open_read(lake)?.known_things()?) } else { Ok(Known::new()) }
}

/// What was stored of lists, and of what systems say.
type Stored = (Option<AssetReceipt>, Option<WordsReceipt>);

fn store(lake: &mut Lake, reading: &Reading, storing: Storing) -> anyhow::Result<Stored> {
    let mut stored = (None, None);
    // A list that cannot stand is refused before anything is stored. An empty one, with --replace, ends everything.
    let lists = reading.accounts.iter().find(|account| account.source == LIST);
    if lists.is_some() || reading.files.iter().any(|file| file.format == LIST) {
        let workloads = lists.map_or(&[][..], |account| &account.workloads);
        stored.0 = Some(lake.store_workloads(workloads, storing)?);
    }
    if reading.files.iter().any(|file| file.format != LIST) {
        let ended: Vec<_> = reading.ended.iter().map(|e| (e.source.clone(), e.workload.clone(), e.at)).collect();
        let words =
            Words { accounts: &reading.accounts, keys: &reading.keys, ended: &ended, names: &reading.names };
        stored.1 = Some(lake.store_words(words, storing)?);
    }
    Ok(stored)
}

fn print(reading: &Reading, stored: &Stored, overlaps: usize, global: &Global) -> anyhow::Result<()> {
    let (lists, systems) = (stored.0.unwrap_or_default(), stored.1);
    let said = systems.unwrap_or_default();
    let ids: BTreeSet<_> = reading.accounts.iter().flat_map(|a| &a.workloads).map(|w| &w.id).collect();
    let (added, updated) = (lists.added + said.added, lists.updated + said.updated);
    let (unchanged, ended) = (lists.unchanged + said.unchanged, lists.ended + said.ended);
    let mut document = json!({
        "workloads": ids.len(), "added": added, "updated": updated, "unchanged": unchanged, "addresses_ended": ended,
    });
    let mut summary = format!(
        "{} workloads read: {added} added, {updated} updated, {unchanged} unchanged; {ended} addresses ended",
        ids.len(),
    );
    if systems.is_some() {
        let rejected = reading.rejects.len() + reading.more_rejects;
        let skipped: BTreeMap<&str, u64> = reading.skipped.iter().map(|((_, reason), n)| (*reason, *n)).collect();
        let files: Vec<_> = reading
            .files
            .iter()
            .map(|f| json!({"file": f.file, "format": f.format, "records": f.records, "rejected": f.rejected}))
            .collect();
        document["names"] = json!(said.names);
        document["rejected"] = json!(rejected);
        document["skipped"] = json!(skipped);
        document["overlaps"] = json!(overlaps);
        document["files"] = json!(files);
        for file in &reading.files {
            summary.push_str(&format!("\n{}: {}, {} records", file.file, file.format, file.records));
        }
        if said.names > 0 {
            summary.push_str(&format!("\n{} names of addresses", said.names));
        }
        for (reason, count) in &skipped {
            summary.push_str(&format!("\npassed over: {count} {reason}"));
        }
        tell_rejects(reading);
    }
    let labels: BTreeSet<&str> = reading
        .accounts
        .iter()
        .flat_map(|account| &account.workloads)
        .flat_map(|w| w.labels.keys())
        .map(String::as_str)
        .collect();
    if !labels.is_empty() {
        // A misspelled column becomes a label: here it meets the eye.
        summary.push_str(&format!("\nlabels: {}", labels.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if overlaps > 0 {
        summary.push_str(&format!("\n{overlaps} claims overlap: `ringfence inventory check` shows them"));
    }
    let mut listing = Listing::new(&[]);
    listing.document(document);
    listing.objects = vec![listing.document.clone()];
    listing.summary = summary;
    listing.print(global.format_or(Format::Table))
}

/// How many rejected records are told one by one.
const TOLD: usize = 20;

fn tell_rejects(reading: &Reading) {
    for problem in reading.rejects.iter().take(TOLD) {
        anstream::eprintln!("\u{1b}[1;33mrejected:\u{1b}[0m {problem}");
    }
    let more = (reading.rejects.len() + reading.more_rejects).saturating_sub(TOLD);
    if more > 0 {
        eprintln!("and {more} rejected records more");
    }
}

fn list_formats(format: Format) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["format", "rank", "title", "description"]);
    for connector in CONNECTORS {
        let (rank, title, description) = (connector.rank, connector.title, connector.description);
        listing.objects.push(json!({
            "format": connector.name, "aliases": connector.aliases, "rank": rank, "title": title,
            "description": description,
        }));
        listing.row([connector.name.to_owned(), rank.to_string(), title.to_owned(), description.to_owned()]);
    }
    listing.summary =
        String::from("where sources contradict each other, the greater rank's word counts; at one rank nobody's does");
    listing.print(format)
}
