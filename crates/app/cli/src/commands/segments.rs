//! `ringfence segments`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use graph::Graph;
use model::{Segmentation, Selector, WorkloadId};
use segment::DiscoverOptions;
use serde_json::{Value, json};

use crate::project::open_lake;
use crate::output::{Format, Listing, grouped};
use crate::world::{WindowArgs, World};
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Segments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Find segments from traffic alone: no labels, no number of segments
    Discover(Discover),
    /// List the segments that count
    List(List),
    /// Show a segment: members, reasons, services
    Show(Show),
    /// Say why a workload is in its segment, or in none
    Explain(Explain),
    /// Make the segments of a JSON file count
    Accept(Accept),
}

impl Segments {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match &self.verb {
            Verb::Discover(command) => command.run(global),
            Verb::List(_) => listing(&stored(&World::open(global)?)?)
                .print(global.format_or(Format::Table))
                .map(|()| Exit::Ok),
            Verb::Show(command) => command.run(global),
            Verb::Explain(command) => command.run(global),
            Verb::Accept(command) => command.run(global),
        }
    }
}

#[derive(clap::Args)]
struct List {}

#[derive(clap::Args)]
struct Discover {
    #[command(flatten)]
    window: WindowArgs,
    /// Read the graph from an edge list instead of the lake: client, server, service (`tcp/443`), packets; tabs or commas.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "accept", "scope"])]
    edges: Option<PathBuf>,
    /// Segment only these workloads, one id a line, with the whole graph as context.
    #[arg(long, value_name = "FILE")]
    only: Option<PathBuf>,
    /// Segment only workloads that match a label selector, with the whole graph as context.
    #[arg(long, value_name = "SELECTOR", conflicts_with = "only")]
    scope: Option<Selector>,
    /// Make what is found count: `map --group-by segment` and `policy propose` use it.
    #[arg(long)]
    accept: bool,
}

impl Discover {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let mut only = match &self.only {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
                let names =
                    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                Some(names.map(|name| WorkloadId(name.to_owned())).collect::<BTreeSet<_>>())
            }
            None => None,
        };
        let segmentation = match &self.edges {
            Some(path) => segment::discover(&edge_list(path)?, &DiscoverOptions { only, previous: None }),
            None => {
                let world = World::open(global)?;
                let window = self.window.window()?;
                let conversations = world.conversations(window)?;
                if conversations.is_empty() {
                    bail!(
                        "there are no flows in the window; `ringfence import` some, or widen --from and --to"
                    );
                }
                if world.inventory.workloads().is_empty() {
                    bail!("the inventory is empty, so there are no workloads to segment; `ringfence inventory import` them first");
                }
                let graph = world.graph(&conversations, world.end_of(window)?);
                if let Some(selector) = &self.scope {
                    let matching = graph.nodes.iter().filter(|node| selector.matches(&node.labels));
                    only = Some(matching.map(|node| node.id.clone()).collect());
                }
                segment::discover(&graph, &DiscoverOptions { only, previous: world.lake.segmentation()? })
            }
        };
        if self.accept {
            open_lake(&global.project()?.lake)?.put_segmentation(&segmentation)?;
        }
        listing(&segmentation).print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

fn edge_list(path: &std::path::Path) -> anyhow::Result<Graph> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let list = segment::edges::parse(&text);
    for reject in list.rejects.iter().take(5) {
        eprintln!("  rejected: {}: {reject}", path.display());
    }
    if list.rejected > 0 {
        eprintln!("  {} lines of `{}` are no edges", grouped(list.rejected), path.display());
    }
    if list.graph.edges.is_empty() {
        bail!(
            "`{}` holds no edges; a line is `client, server, service, packets`, such as `web-1,db-1,tcp/5432,10`",
            path.display()
        );
    }
    Ok(list.graph)
}

fn stored(world: &World) -> anyhow::Result<Segmentation> {
    world
        .lake
        .segmentation()?
        .context("there are no segments yet; find some with `ringfence segments discover --accept`")
}

/// Segments and who is in none, in the form that scripts score.
pub(crate) fn document(segmentation: &Segmentation) -> Value {
    json!({ "segments": segmentation.segments, "unassigned": segmentation.unassigned })
}

fn listing(segmentation: &Segmentation) -> Listing {
    let mut listing = Listing::new(&["segment", "members", "confidence", "who", "reasons"]);
    for segment in &segmentation.segments {
        listing.objects.push(json!(segment));
        let members: Vec<&str> = segment.members.iter().map(|m| m.0.as_str()).collect();
        listing.row([
            segment.name.clone(),
            segment.members.len().to_string(),
            format!("{:.2}", segment.confidence),
            members.join(" "),
            segment.reasons.join("; "),
        ]);
    }
    listing.document(document(segmentation));
    let workloads: usize = segmentation.segments.iter().map(|s| s.members.len()).sum();
    listing.summary = format!(
        "{} segments of {workloads} workloads; {} unassigned",
        segmentation.segments.len(),
        segmentation.unassigned.len()
    );
    for left in &segmentation.unassigned {
        listing.summary.push_str(&format!("\n  {}: {}", left.workload, left.reason));
    }
    listing
}

#[derive(clap::Args)]
struct Show {
    /// The segment's name or id.
    segment: String,
}

impl Show {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let all = stored(&World::open(global)?)?;
        let wanted = |s: &&model::Segment| s.name == self.segment || s.id.0 == self.segment;
        let Some(segment) = all.segments.iter().find(wanted) else {
            let known: Vec<&str> = all.segments.iter().map(|s| s.name.as_str()).collect();
            return Err(UsageError(format!(
                "no segment is called `{}`; there are {}",
                self.segment,
                known.join(", ")
            ))
            .into());
        };
        let one = Segmentation { segments: vec![segment.clone()], unassigned: Vec::new() };
        listing(&one).print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

#[derive(clap::Args)]
struct Explain {
    /// The workload's id.
    workload: String,
}

impl Explain {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let all = stored(&World::open(global)?)?;
        let id = WorkloadId(self.workload.clone());
        let mut listing = Listing::new(&[]);
        if let Some(segment) = all.segments.iter().find(|s| s.members.contains(&id)) {
            listing.document(json!({ "workload": id, "segment": segment }));
            listing.summary = format!(
                "`{id}` is in `{}` (confidence {:.2}) with {}, because\n  {}",
                segment.name,
                segment.confidence,
                match segment.members.len().saturating_sub(1) {
                    0 => "nobody else".to_owned(),
                    1 => "1 other".to_owned(),
                    others => format!("{others} others"),
                },
                segment.reasons.join("\n  ")
            );
        } else if let Some(left) = all.unassigned.iter().find(|u| u.workload == id) {
            listing.document(json!({ "workload": id, "unassigned": left }));
            let nearest: Vec<String> =
                left.nearest.iter().map(|(name, how)| format!("{name} ({how:.2})")).collect();
            listing.summary =
                format!("`{id}` is in no segment: {}\n  nearest: {}", left.reason, nearest.join(", "));
        } else {
            bail!("`{id}` was not in the graph that the segments were found in");
        }
        listing.objects = vec![listing.document.clone()];
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

#[derive(clap::Args)]
struct Accept {
    /// A file as `segments discover -o json` writes it, edited as you like.
    file: PathBuf,
}

impl Accept {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let shown = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read `{shown}`"))?;
        let segmentation: Segmentation = serde_json::from_str(&text).with_context(|| {
            format!(
                "`{shown}` is not a list of segments; write one with `ringfence segments discover -o json`"
            )
        })?;
        let mut seen: BTreeSet<&WorkloadId> = BTreeSet::new();
        let mut names = BTreeSet::new();
        for segment in &segmentation.segments {
            if !names.insert(&segment.name) {
                bail!("`{shown}` names two segments `{}`", segment.name);
            }
            for member in &segment.members {
                if !seen.insert(member) {
                    bail!("`{shown}` puts `{member}` into two segments");
                }
            }
        }
        open_lake(&global.project()?.lake)?.put_segmentation(&segmentation)?;
        eprintln!("{} segments count from now on", segmentation.segments.len());
        Ok(Exit::Ok)
    }
}
