//! `ringfence report`.

use std::path::PathBuf;

use anyhow::Context as _;
use propose::ProposeOptions;
use report::{Story, StoryFrontierPoint, StoryNumbers, StoryQuarantined};

use crate::output::Format;
use crate::seen::learnt_within;
use crate::world::{AsOfArgs, WindowArgs};
use crate::{Exit, Global, UsageError, story};

#[derive(clap::Args)]
pub(crate) struct Report {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    /// Map, matrix, segments, policy with evidence, replay and proofs on one page
    Segmentation(Segmentation),
}

#[derive(clap::Args)]
struct Segmentation {
    /// Policy files or folders; the project's when none is given.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Write the page here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let Kind::Segmentation(command) = &self.kind;
        command.run(global)
    }
}

impl Segmentation {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let format = global.format_or(Format::Html);
        if !matches!(format, Format::Html | Format::Json) {
            return Err(UsageError("this report is written as html or json".to_owned()).into());
        }
        let (world, at) = self.as_of.open(global)?;
        let window = self.window.window()?;
        let (files, set) = world.policy(&self.paths)?;
        let resolved = world.resolve(&files, &set, at)?;
        let (graph, segmentation, proposal) =
            super::policy::propose(&world, window, ProposeOptions::default())?;
        let replay = super::simulate::replay(&world, &resolved, window, at)?;
        let outcomes = verify::check_assertions(&set, &resolved, &world.inventory.as_of(at));
        let mut map = story::map_story(&world, &graph, Some(&segmentation), &[], window);
        story::add_verdicts(&mut map, &graph, &world.conversations(window)?, &resolved);
        let story = Story {
            numbers: StoryNumbers {
                workloads: graph.nodes.iter().filter(|n| n.kind == graph::NodeKind::Workload).count() as u64,
                learnt_within: learnt_within(&set, window).0 as u64,
                ..story::numbers(&world, &replay)?
            },
            unassigned: story::unassigned(&segmentation),
            rules: story::rule_stories(&files, &set, None, Some(&replay)),
            blocked: story::blocked(&replay, None),
            quarantined: quarantined(&proposal),
            assertions: story::assertions(&outcomes),
            map,
            ..Story::default()
        };
        let text = if format == Format::Html {
            report::render(&story)
        } else {
            serde_json::to_string_pretty(&story)?
        };
        match &self.out {
            Some(path) => {
                std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
                eprintln!("wrote {}", path.display());
            }
            None => crate::output::print(&format!("{text}\n"))?,
        }
        Ok(Exit::Ok)
    }
}

/// The widths that a proposal tried.
pub(crate) fn frontier(proposal: &propose::Proposal) -> Vec<StoryFrontierPoint> {
    let point = |point: &propose::FrontierPoint| StoryFrontierPoint {
        name: point.width.clone(),
        rules: point.rules as u64,
        // The report speaks of the share that was never seen; the proposal of allowed for each one seen.
        over_permission: 1.0 - 1.0 / point.over_permission.max(1.0),
        coverage: point.coverage_left_out,
        chosen: point.width == proposal.chosen,
    };
    proposal.frontier.iter().map(point).collect()
}

/// What a proposal left out.
pub(crate) fn quarantined(proposal: &propose::Proposal) -> Vec<StoryQuarantined> {
    let one = |item: &propose::Quarantined| StoryQuarantined {
        client: item.client.clone(),
        server: item.server.clone(),
        service: item.service.map_or_else(|| "several".to_owned(), |s| s.to_string()),
        flows: item.flows,
        reason: item.detail.clone(),
    };
    proposal.quarantined.iter().map(one).collect()
}
