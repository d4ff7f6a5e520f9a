//! `ringfence compile`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use compile::{Artifact, Target};

use crate::output::{Format, Listing};
use crate::world::AsOfArgs;
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Compile {
    /// The target; `--list` shows them.
    #[arg(required_unless_present = "list")]
    target: Option<String>,
    /// A plan file; the project's policies as of now when not given.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Render every point in this mode instead of its own: observe, test, selective or enforce.
    #[arg(long, value_parser = super::policy::mode)]
    mode: Option<model::Mode>,
    /// Write one file an enforcement point into this folder; printed when not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// List the targets with their limits and stop.
    #[arg(long)]
    list: bool,
}

/// The target of a name.
pub(crate) fn target(name: &str) -> anyhow::Result<&'static Target> {
    compile::find(name).ok_or_else(|| {
        let known: Vec<_> = compile::TARGETS.iter().map(|t| t.name).collect();
        UsageError(format!("no target is called `{name}`; the targets are {}", known.join(", "))).into()
    })
}

/// Renders a plan, and reads the artifacts back: they mean what the plan means, or nothing is given out.
pub(crate) fn render(plan: &model::Plan, target: &Target) -> anyhow::Result<Vec<Artifact>> {
    match compile::render(plan, target) {
        Ok(artifacts) => Ok(artifacts),
        Err(refusals) => {
            for refusal in &refusals {
                anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {refusal}");
            }
            bail!(
                "{} cannot express {} part{} of the plan; nothing was written",
                target.name,
                refusals.len(),
                if refusals.len() == 1 { "" } else { "s" }
            )
        }
    }
}

/// Writes artifacts to a folder.
pub(crate) fn write(artifacts: &[Artifact], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    for artifact in artifacts {
        let path = folder.join(&artifact.file_name);
        std::fs::write(&path, &artifact.text)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

impl Compile {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.list {
            let mut listing = Listing::new(&["target", "title", "limits"]);
            for target in compile::TARGETS {
                listing.row([target.name.to_owned(), target.title.to_owned(), target.limits.join(" ")]);
            }
            listing.print(global.format_or(Format::Table))?;
            return Ok(Exit::Ok);
        }
        let target = target(self.target.as_deref().unwrap_or_default())?;
        let mut plan = match &self.plan {
            Some(path) => super::plan::load(path)?,
            None => {
                let (world, at) = self.as_of.open(global)?;
                super::plan::make(&world, &[], at, None)?
            }
        };
        if let Some(mode) = self.mode {
            plan.points.iter_mut().for_each(|point| point.mode = mode);
        }
        let artifacts = render(&plan, target)?;
        match &self.out {
            Some(folder) => {
                write(&artifacts, folder)?;
                let bytes: usize = artifacts.iter().map(|a| a.text.len()).sum();
                eprintln!(
                    "wrote {} files ({}) to `{}`",
                    artifacts.len(),
                    crate::output::bytes_text(bytes as u64),
                    folder.display()
                );
            }
            None => artifacts.iter().try_for_each(|artifact| crate::output::print(&artifact.text))?,
        }
        Ok(Exit::Ok)
    }
}
