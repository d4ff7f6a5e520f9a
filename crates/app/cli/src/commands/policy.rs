//! `ringfence policy`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use graph::Graph;
use model::{Mode, Segmentation, Severity, TimeWindow};
use policy::PolicySet;
use propose::{Proposal, ProposeOptions, Width};
use serde_json::json;

use crate::output::{Format, Listing, grouped};
use crate::seen::Seen;
use crate::world::{AsOfArgs, WindowArgs, World, load_policy};
use crate::{Exit, Global, UsageError, policy_files, proposal_files};

#[derive(clap::Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Write policy files in their canonical form; comments stay with what they stand at
    Fmt(Fmt),
    /// Check that policies parse, and that their names mean somebody
    Check(Check),
    /// Propose a policy from the traffic of a window
    Propose(Propose),
    /// Show the exact traffic that one policy opens and closes against another
    Diff(Diff),
    /// Print the JSON Schema of policy files
    Schema(Schema),
}

impl Policy {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match &self.verb {
            Verb::Fmt(command) => command.run(global),
            Verb::Check(command) => command.run(global),
            Verb::Propose(command) => command.run(global),
            Verb::Diff(command) => command.run(global),
            Verb::Schema(_) => {
                crate::output::print(&format!("{:#}\n", policy::schema()))?;
                Ok(Exit::Ok)
            }
        }
    }
}

#[derive(clap::Args)]
struct Schema {}

#[derive(clap::Args)]
struct Fmt {
    /// Files or folders; the project's policies when none is given.
    paths: Vec<PathBuf>,
    /// Change nothing; exit with 2 when a file is not canonical.
    #[arg(long)]
    check: bool,
}

impl Fmt {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (files, _) = load_policy(&global.project()?, &self.paths)?;
        let mut different = 0;
        for (file, text) in &files {
            let canonical = policy::format_text(file, text).map_err(|problems| {
                policy_files::show(&problems);
                anyhow::anyhow!("`{file}` cannot be written in the canonical form")
            })?;
            if *text == canonical {
                continue;
            }
            different += 1;
            crate::output::print(&format!("{file}\n"))?;
            if !self.check {
                write(Path::new(file), &canonical)?;
            }
        }
        Ok(if self.check && different > 0 { Exit::Differences } else { Exit::Ok })
    }
}

/// Replaces a file whole: a reader sees the old or the new one.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let part = path.with_extension("yaml.part");
    std::fs::write(&part, text).with_context(failed)?;
    std::fs::rename(&part, path).with_context(failed)
}

#[derive(clap::Args)]
struct Check {
    /// Files or folders; the project's policies when none is given.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Warnings fail too: names that mean nobody, guardrails that contradict each other, expired rules.
    #[arg(long)]
    strict: bool,
}

impl Check {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (world, at) = self.as_of.open(global)?;
        let (files, set) = world.policy(&self.paths)?;
        let resolved = world.resolve(&files, &set, at)?;
        policy_files::show(&resolved.diagnostics);
        let warnings = resolved.diagnostics.iter().filter(|d| d.severity == Severity::Warning).count();
        let mut listing = Listing::new(&["severity", "file", "line", "message"]);
        for problem in &resolved.diagnostics {
            let severity = json!(problem.severity).as_str().unwrap_or_default().to_owned();
            listing.objects.push(json!(problem));
            listing.row([
                severity,
                problem.location.file.clone(),
                problem.location.line.to_string(),
                problem.message.clone(),
            ]);
        }
        listing.document(json!({
            "files": files.len(), "rules": resolved.rules.len(),
            "governed_workloads": resolved.governed_workloads().count(), "diagnostics": listing.objects,
        }));
        listing.summary = format!(
            "{} rules in {} files govern {} workloads; {warnings} warning{}",
            resolved.rules.len(),
            files.len(),
            resolved.governed_workloads().count(),
            if warnings == 1 { "" } else { "s" },
        );
        if global.format_or(Format::Table) == Format::Table {
            listing.rows.clear();
        }
        listing.print(global.format_or(Format::Table))?;
        if self.strict && warnings > 0 {
            bail!("{warnings} warnings, and --strict makes them fail");
        }
        Ok(Exit::Ok)
    }
}

#[derive(clap::Args)]
struct Diff {
    /// The policy before: files or a folder.
    before: PathBuf,
    /// The policy after: files or a folder.
    after: PathBuf,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Exit with 2 when they differ.
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Diff {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        use model::Region as _;
        let (world, at) = self.as_of.open(global)?;
        let permitted = |path: &PathBuf| -> anyhow::Result<model::TrafficSet> {
            let (files, set) = world.policy(std::slice::from_ref(path))?;
            Ok(world.resolve(&files, &set, at)?.permitted())
        };
        let (before, after) = (permitted(&self.before)?, permitted(&self.after)?);
        let mut listing = Listing::new(&["change", "sources", "destinations", "services"]);
        let range = |(low, high): (model::Ip, model::Ip)| model::IpSet::range(low, high).to_string();
        for (word, set) in [("opened", after.subtract(&before)), ("closed", before.subtract(&after))] {
            for (sources, destinations, services) in set.boxes() {
                let services = if services.is_full() {
                    "all".to_owned()
                } else {
                    services.services().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                };
                listing.row([word.to_owned(), range(sources), range(destinations), services]);
            }
        }
        let differs = !listing.rows.is_empty();
        listing.summary = if differs { String::new() } else { "the same traffic passes".to_owned() };
        listing.print(global.format_or(Format::Table))?;
        Ok(if differs && self.detailed_exitcode { Exit::Differences } else { Exit::Ok })
    }
}

#[derive(clap::Args)]
struct Propose {
    #[command(flatten)]
    window: WindowArgs,
    /// Write the proposal into the project's policies folder (or --out); files of the proposal's names are replaced.
    #[arg(long)]
    write: bool,
    /// Another folder to write to.
    #[arg(long, value_name = "DIR", requires = "write")]
    out: Option<PathBuf>,
    /// Replace files that people changed since they were proposed.
    #[arg(long, requires = "write")]
    force: bool,
    /// Policies of people, which the proposal must keep, not repeat and not contradict.
    #[arg(long, value_name = "PATH")]
    keep: Vec<PathBuf>,
    /// Who answers for the proposed rules.
    #[arg(long, default_value = "unowned")]
    owner: String,
    /// Mode of the proposed policies: observe, test, selective or enforce.
    #[arg(long, default_value = "test", value_parser = mode)]
    mode: Mode,
    /// How wide rules are: exact, fitted, flat, or segment-50 (any percentage). Chosen by itself when not given.
    #[arg(long, value_parser = width)]
    width: Option<Width>,
}

pub(crate) fn mode(text: &str) -> Result<Mode, String> {
    serde_json::from_value(json!(text)).map_err(|_| "observe, test, selective or enforce".to_owned())
}

fn width(text: &str) -> Result<Width, String> {
    text.parse::<Width>().map_err(|e| e.to_string())
}

/// Graph, segments and proposal of a window.
pub(crate) fn propose(
    world: &World,
    window: TimeWindow,
    options: ProposeOptions,
) -> anyhow::Result<(Graph, Segmentation, Proposal)> {
    let conversations = world.conversations(window)?;
    if conversations.is_empty() {
        bail!("there are no flows in the window; `ringfence import` some, or widen --from and --to");
    }
    if world.inventory.workloads().is_empty() {
        bail!("the inventory is empty, so there is nobody to write rules for; `ringfence inventory import` it first");
    }
    let as_of = world.end_of(window)?;
    let graph = world.graph(&conversations, as_of);
    let segmentation = match world.lake.segmentation()? {
        Some(stored) => stored,
        None => segment::discover(&graph, &segment::DiscoverOptions::default()),
    };
    let seen = Seen::of(&world.lake, window)?;
    let standing = seen.standing(&world.lake, window, &graph)?.into_iter().collect();
    let proposal = propose::propose(&graph, &segmentation, &ProposeOptions { as_of, standing, ..options });
    Ok((graph, segmentation, proposal))
}

/// Writes every file of a policy below a folder; gives their paths.
pub(crate) fn write_policy(set: &PolicySet, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut written = Vec::new();
    for (file, text) in policy::format(set) {
        let name = Path::new(&file).file_name().context("a policy file without a name")?;
        let path = folder.join(name);
        write(&path, &text)?;
        written.push(path);
    }
    Ok(written)
}

impl Propose {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let world = World::open(global)?;
        let existing = if self.keep.is_empty() { None } else { Some(world.policy(&self.keep)?.1) };
        let options = ProposeOptions {
            owner: self.owner.clone(),
            mode: self.mode,
            width: self.width,
            existing: existing.clone(),
            ..ProposeOptions::default()
        };
        let window = self.window.window()?;
        let (_, _, mut proposal) = propose(&world, window, options)?;
        let seen = Seen::of(&world.lake, window)?;
        if let Some(existing) = &existing {
            // What people wrote stays where it is.
            proposal.policy.documents.retain(|entry| !existing.documents.contains(entry));
        }
        if self.write {
            let folder = self.out.clone().unwrap_or_else(|| world.project.policies.clone());
            let written = proposal_files::write(&world.project.lake, &folder, &proposal.policy, self.force)?;
            for path in &written {
                eprintln!("wrote {}", path.display());
            }
            for (file, _) in policy_files::read(std::slice::from_ref(&folder))? {
                if !written.iter().any(|path| path.display().to_string() == file) {
                    eprintln!("note: {file} was there before and still counts");
                }
            }
        }
        match global.format_or(Format::Table) {
            Format::Yaml if !self.write => {
                for (index, (file, text)) in policy::format(&proposal.policy).iter().enumerate() {
                    let between = if index > 0 { "---\n" } else { "" };
                    crate::output::print(&format!("{between}# {file}\n{text}\n"))?;
                }
            }
            Format::Html | Format::Dot | Format::Mermaid | Format::Junit => {
                return Err(UsageError("a proposal prints as table, json, ndjson, csv or yaml".to_owned()).into());
            }
            format => listing(&proposal, &seen)?.print(format)?,
        }
        Ok(Exit::Ok)
    }
}

fn listing(proposal: &Proposal, seen: &Seen) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(&["rule", "from", "to", "services", "flows", "clients", "servers", "confidence", "why"]);
    for rule in &proposal.rules {
        let services: Vec<String> = rule.services.iter().map(ToString::to_string).collect();
        listing.objects.push(serde_json::to_value(rule)?);
        listing.row([
            rule.id.clone(),
            rule.from.join(" + "),
            rule.to.join(" + "),
            services.join(","),
            grouped(rule.evidence.flows),
            rule.evidence.clients.to_string(),
            rule.evidence.servers.to_string(),
            format!("{:.2}", rule.evidence.confidence),
            rule.why.clone(),
        ]);
    }
    let mut document = serde_json::to_value(proposal)?;
    if let Some(object) = document.as_object_mut() {
        let files: serde_json::Map<_, _> =
            policy::format(&proposal.policy).into_iter().map(|(file, text)| (file, json!(text))).collect();
        object.insert("files".to_owned(), files.into());
        object.insert("visibility".to_owned(), seen.json());
    }
    listing.document(document);
    let mut summary = format!("\n{} rules, width {}\n", proposal.rules.len(), proposal.chosen);
    for sentence in &proposal.explanation {
        summary.push_str(&format!("{sentence}\n"));
    }
    summary.push_str(&format!("{}\n", seen.line()));
    for review in &proposal.needs_review {
        summary.push_str(&format!("needs review: {}: {}\n", review.segment, review.reason));
    }
    if !proposal.quarantined.is_empty() {
        summary.push_str(&format!("\nnot allowed, for a person to look at ({}):\n", proposal.quarantined.len()));
        for item in proposal.quarantined.iter().take(20) {
            summary.push_str(&format!("  {}: {}\n", item.edge, item.detail));
        }
    }
    listing.summary = summary;
    Ok(listing)
}
