//! `ringfence simulate`.

use std::path::PathBuf;

use anyhow::bail;
use model::IpSet;
use simulate::{Replay, SimulateOptions};

use crate::output::{Format, Listing, grouped, percent};
use crate::seen::{Seen, learnt_text, learnt_within};
use crate::world::{AsOfArgs, WindowArgs, World};
use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Simulate {
    /// Policy files or folders; the project's when none is given.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Fail with 3 when less than this share of conversations would be allowed, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_coverage: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share from 0 to 1".to_owned()),
    }
}

/// Replays a window against a resolved policy. Clients that the graph marks as scanners are suspects.
pub(crate) fn replay(
    world: &World,
    resolved: &policy::Resolved,
    window: model::TimeWindow,
    at: model::Micros,
) -> anyhow::Result<Replay> {
    let conversations = world.conversations(window)?;
    let graph = world.graph(&conversations, world.end_of(window)?);
    let scanners = graph.nodes.iter().filter(|node| node.scanner.is_some());
    let suspects = IpSet::from_ranges(scanners.flat_map(|node| node.addresses.iter().map(|ip| (*ip, *ip))));
    let options = SimulateOptions { suspects, ..SimulateOptions::at(&world.inventory.as_of(at)) };
    Ok(simulate::simulate(resolved, &conversations, &options))
}

impl Simulate {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (world, at) = self.as_of.open(global)?;
        let (files, set) = world.policy(&self.paths)?;
        let resolved = world.resolve(&files, &set, at)?;
        let window = self.window.window()?;
        let replay = replay(&world, &resolved, window, at)?;
        let seen = Seen::of(&world.lake, window)?;
        listing(&replay, &seen, learnt_within(&set, window))?.print(global.format_or(Format::Table))?;
        if replay.conversations.total == replay.conversations.unmanaged {
            let problem = "nothing in the window is governed by a rule, so nothing can be said of coverage; widen --from and \
                           --to, or check the scopes of the policy";
            if self.min_coverage.is_some() {
                bail!("{problem}");
            }
            eprintln!("note: {problem}");
        }
        let short = self.min_coverage.is_some_and(|least| replay.coverage < least);
        Ok(if short { Exit::TestFailed } else { Exit::Ok })
    }
}

fn listing(replay: &Replay, seen: &Seen, learnt: (usize, usize)) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(&["would_block", "service", "flows", "why", "plausibility"]);
    for blocked in &replay.blocked {
        listing.objects.push(serde_json::to_value(blocked)?);
        let plausibility = serde_json::to_value(blocked.plausibility)?;
        listing.row([
            format!("{} -> {}", blocked.client, blocked.server),
            blocked.service.to_string(),
            grouped(blocked.flows),
            blocked.why.clone(),
            plausibility.as_str().unwrap_or_default().to_owned(),
        ]);
    }
    let mut document = serde_json::to_value(replay)?;
    if let Some(object) = document.as_object_mut() {
        object.insert("visibility".to_owned(), seen.json());
        object.insert("rules_learnt_in_window".to_owned(), learnt.0.into());
    }
    listing.document(document);
    let estimate = &replay.false_block_estimate;
    listing.summary = format!(
        "{} connections: {} allowed, {} would be blocked, {} unknown, {} unmanaged\n\
         {} conversations: {} of those that look legitimate are allowed ({} of all, {} of connections); \
         over-permission {:.1}\n\
         false blocks: {} of legitimate conversations (95% interval {} to {}); {} rules unused",
        grouped(replay.flows_total),
        grouped(replay.allowed),
        grouped(replay.would_block),
        grouped(replay.unknown),
        grouped(replay.unmanaged),
        grouped(replay.conversations.total),
        percent(replay.coverage_legitimate),
        percent(replay.coverage),
        percent(replay.coverage_flows),
        replay.over_permission,
        percent(estimate.mid),
        percent(estimate.low),
        percent(estimate.high),
        replay.unused_rules.len(),
    );
    listing.summary.push_str(&format!("\n{}", seen.line()));
    if let Some(text) = learnt_text(learnt) {
        listing.summary.push_str(&format!("\nnote: {text}"));
    }
    Ok(listing)
}
