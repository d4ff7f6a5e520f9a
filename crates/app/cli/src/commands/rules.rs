//! `ringfence rules`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use compile::{Peer, ReadBack, Source};
use model::{Region as _, TrafficSet};
use serde_json::json;

use crate::output::{Format, Listing, grouped};
use crate::world::World;
use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Rules {
    /// The target; `ringfence compile --list` shows them.
    target: String,
    /// Files or folders of the target's own form: artifacts, `nft -j list ruleset`, manifests.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Say of each enforcement point whether its rules mean exactly what this plan means.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The connections between every pair of peers instead of rules.
    #[arg(long, conflicts_with = "plan")]
    connectivity: bool,
}

/// The files of a list, with folders expanded.
fn sources(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    files.sort();
    let read = |path: &PathBuf| -> anyhow::Result<Source> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Source { file_name: path.display().to_string(), text })
    };
    files.iter().map(read).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| format!("cannot read `{}`", path.display()))? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_path_buf());
    }
    Ok(())
}

/// Reads rules back; everything that is not understood is shown and refused. A file of a target that does not say
/// whom it guards is an artifact by its name.
pub(crate) fn read(
    target: &compile::Target,
    sources: &[Source],
    peers: &[Peer],
    plan: Option<&model::Plan>,
) -> anyhow::Result<Vec<ReadBack>> {
    let mut all = Vec::new();
    let mut errors = Vec::new();
    // One file of nftables is one host; manifests only make sense together.
    let portions: Vec<&[Source]> =
        if target.name == "kubernetes" { vec![sources] } else { sources.chunks(1).collect() };
    for portion in portions {
        match compile::read(target, portion, peers) {
            Ok(mut read) => {
                let stem = portion.first().and_then(|s| Path::new(&s.file_name).file_stem()).unwrap_or_default();
                let named = plan.into_iter().flat_map(|p| &p.points).find(|p| stem == p.workload.0.as_str());
                let stem = named.map_or_else(|| model::WorkloadId(stem.to_string_lossy().into_owned()), |p| p.workload.clone());
                read.iter_mut().filter(|back| back.workload.is_none()).for_each(|back| back.workload = Some(stem.clone()));
                all.extend(read);
            }
            Err(found) => errors.extend(found),
        }
    }
    for error in errors.iter().take(20) {
        anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {error}");
    }
    if !errors.is_empty() {
        bail!("{} place{} could not be understood", errors.len(), if errors.len() == 1 { "" } else { "s" });
    }
    Ok(all)
}

impl Rules {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let target = super::compile::target(&self.target)?;
        let plan = self.plan.as_deref().map(super::plan::load).transpose()?;
        let peers = match &plan {
            Some(plan) => Peer::of_plan(plan),
            None => peers(global),
        };
        let read = read(target, &sources(&self.paths)?, &peers, plan.as_ref())?;
        if let Some(plan) = &plan {
            return compare(plan, &read, global.format_or(Format::Table));
        }
        if self.connectivity {
            let mut listing = Listing::new(&["src", "dst", "connections"]);
            for row in compile::connectivity(&read, &peers) {
                listing.row([row.src, row.dst, row.connections]);
            }
            listing.print(global.format_or(Format::Table))?;
            return Ok(Exit::Ok);
        }
        let mut listing =
            Listing::new(&["workload", "side", "rule", "verdict", "sources", "destinations", "services", "packets", "line"]);
        for point in &read {
            for rule in &point.rules {
                let (sources, destinations, services) = sides(&rule.traffic);
                let workload = point.workload.as_ref().map_or("", |w| w.0.as_str()).to_owned();
                let verdict = format!("{:?}", rule.verdict).to_lowercase();
                listing.objects.push(json!({
                    "workload": workload, "side": rule.side.to_string(), "rule": rule.id, "verdict": verdict,
                    "sources": sources, "destinations": destinations, "services": services, "packets": rule.packets,
                    "bytes": rule.bytes, "line": rule.line,
                }));
                listing.row([
                    workload, rule.side.to_string(), rule.id.clone(), verdict, sources, destinations, services,
                    grouped(rule.packets), rule.line.to_string(),
                ]);
            }
        }
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

/// Who can be selected by label: the project's inventory, if there is one.
fn peers(global: &Global) -> Vec<Peer> {
    let Ok(world) = World::open(global) else { return Vec::new() };
    let view = world.inventory.as_of(crate::world::now());
    let peer = |(workload, _): &(&model::Workload, Vec<model::Ip>)| Peer {
        workload: workload.id.clone(),
        labels: workload.labels.clone(),
        addresses: view.addresses(&workload.id),
    };
    view.members.iter().map(peer).collect()
}

/// Whether what is installed means what the plan means, for every enforcement point. One that has rules twice, rules
/// without a place in the plan, and another mode are differences too.
fn compare(plan: &model::Plan, read: &[ReadBack], format: Format) -> anyhow::Result<Exit> {
    let mut listing = Listing::new(&["workload", "mode", "ingress", "egress"]);
    let mut wrong = 0;
    for point in &plan.points {
        let found: Vec<&ReadBack> = read.iter().filter(|r| r.workload.as_ref() == Some(&point.workload)).collect();
        let cells = match found.as_slice() {
            [] => ["missing".to_owned(), "missing".to_owned(), "missing".to_owned()],
            [one] => [
                if one.mode == point.mode { "same".to_owned() } else { format!("{:?} installed", one.mode).to_lowercase() },
                difference(&compile::carried(&point.allowed_ingress()), &one.ingress),
                difference(&compile::carried(&point.allowed_egress()), &one.egress),
            ],
            several => {
                let twice = format!("installed {} times", several.len());
                [twice.clone(), twice.clone(), twice]
            }
        };
        wrong += cells.iter().filter(|cell| *cell != "same").count();
        listing.row(std::iter::once(point.workload.to_string()).chain(cells));
    }
    let planned = |back: &&ReadBack| plan.points.iter().any(|p| back.workload.as_ref() == Some(&p.workload));
    for back in read.iter().filter(|back| !planned(back)) {
        wrong += 1;
        let name = back.workload.as_ref().map_or_else(String::new, ToString::to_string);
        listing.row([name, "not in the plan".to_owned(), String::new(), String::new()]);
    }
    listing.summary = format!("{} enforcement points, {wrong} differences", plan.points.len());
    listing.print(format)?;
    Ok(if wrong > 0 { Exit::TestFailed } else { Exit::Ok })
}

/// `same`, or a packet that is let through or blocked against the intention.
fn difference(intended: &TrafficSet, installed: &TrafficSet) -> String {
    if installed == intended {
        return "same".to_owned();
    }
    let witness = |set: TrafficSet, word: &str| set.witness().map(|packet| format!("{word} {packet}"));
    let opened = witness(installed.subtract(intended), "lets through");
    let closed = witness(intended.subtract(installed), "blocks");
    [opened, closed].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// A set of traffic in three words; a product of sets prints exactly, anything else as its outline.
fn sides(traffic: &TrafficSet) -> (String, String, String) {
    use std::collections::BTreeSet;
    let range = |(low, high): (model::Ip, model::Ip)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    let (mut from, mut to, mut on) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (sources, destinations, services) in traffic.boxes() {
        from.insert(range(sources));
        to.insert(range(destinations));
        if services.is_full() {
            on.insert("all".to_owned());
        } else {
            on.extend(services.services().iter().map(ToString::to_string));
        }
    }
    let join = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    (join(from), join(to), join(on))
}
