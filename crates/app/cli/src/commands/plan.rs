//! `ringfence plan`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::output::{Format, Listing};
use crate::world::{AsOfArgs, World};
use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Plan {
    /// Policy files or folders; the project's when none is given.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Write the plan to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The plan that this one replaces: its id becomes the parent, and the differences are shown.
    #[arg(long, value_name = "FILE")]
    parent: Option<PathBuf>,
    /// Exit with 2 when the plan differs from its parent.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Reads a plan file.
pub(crate) fn load(path: &std::path::Path) -> anyhow::Result<model::Plan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    policy::plan_from_json(&text).with_context(|| format!("`{}` is not a plan", path.display()))
}

/// Makes a plan of policies at a moment.
pub(crate) fn make(
    world: &World,
    paths: &[PathBuf],
    at: model::Micros,
    parent: Option<String>,
) -> anyhow::Result<model::Plan> {
    let (files, set) = world.policy(paths)?;
    let resolved = world.resolve(&files, &set, at)?;
    let plan = policy::plan(&resolved, &world.inventory.as_of(at), parent);
    if plan.points.is_empty() {
        bail!("the policy governs no workload: no segment policy's scope matches anybody in the inventory");
    }
    Ok(plan)
}

impl Plan {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (world, at) = self.as_of.open(global)?;
        let parent = self.parent.as_deref().map(load).transpose()?;
        let plan = make(&world, &self.paths, at, parent.as_ref().map(|p| p.id.clone()))?;
        if let Some(path) = &self.out {
            std::fs::write(path, policy::plan_to_json(&plan))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        let mut listing = Listing::new(&["workload", "mode", "ingress_rules", "egress_rules", "change"]);
        let diff = parent.as_ref().map(|parent| policy::plan_diff(parent, &plan));
        for point in &plan.points {
            let change = match &diff {
                None => "",
                Some(diff) if diff.added.contains(&point.workload) => "added",
                Some(diff) if diff.changed.iter().any(|c| c.workload == point.workload) => "changed",
                Some(_) => "same",
            };
            listing.objects.push(json!({
                "workload": point.workload, "mode": point.mode, "ingress_rules": point.ingress.len(),
                "egress_rules": point.egress.len(), "change": change,
            }));
            listing.row([
                point.workload.to_string(),
                json!(point.mode).as_str().unwrap_or_default().to_owned(),
                point.ingress.len().to_string(),
                point.egress.len().to_string(),
                change.to_owned(),
            ]);
        }
        let differs = diff.as_ref().is_some_and(|diff| !diff.is_empty());
        let whole: serde_json::Value = serde_json::from_str(&policy::plan_to_json(&plan))?;
        listing.document(json!({ "plan": whole, "diff": diff }));
        listing.summary = format!("plan {} for {} workloads", &plan.id[..plan.id.len().min(16)], plan.points.len());
        listing.print(global.format_or(Format::Table))?;
        Ok(if differs && self.detailed_exitcode { Exit::Differences } else { Exit::Ok })
    }
}
