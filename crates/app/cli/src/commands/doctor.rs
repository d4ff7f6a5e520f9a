//! `ringfence doctor`.

use anyhow::bail;
use lake::{Damage, Lake};
use model::TimeWindow;
use serde_json::json;

use crate::output::{Format, Listing, bytes_text, grouped};
use crate::project::{CONFIG_FILE, Project, open_lake};
use crate::seen::{Seen, share};
use crate::{Exit, Global};

/// Gaps that are told one by one.
const GAPS: usize = 50;

#[derive(clap::Args)]
pub(crate) struct Doctor {
    /// Read every stored file to its end, which takes as long as it takes; without it, sizes are compared.
    #[arg(long)]
    thorough: bool,
    /// Set damaged files of the lake aside, so that the rest can be used.
    #[arg(long)]
    repair: bool,
}

impl Doctor {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let project = global.project()?;
        let mut listing = Listing::new(&["name", "value", "from", "advice"]);
        for setting in &project.settings {
            let path = std::path::Path::new(&setting.value);
            let advice = match setting.name {
                "lake" if !path.exists() => "empty: `ringfence import auto FLOWS...`",
                "policies" if !path.exists() => "none: `ringfence policy propose --write`",
                "project" if !path.join(CONFIG_FILE).exists() => "no ringfence.toml: `ringfence init`",
                _ => "",
            };
            add(&mut listing, [setting.name, &setting.value, &setting.origin, advice]);
        }
        let damaged = if project.lake.exists() { self.look_at(&project, &mut listing)? } else { 0 };
        listing.print(global.format_or(Format::Table))?;
        match (damaged, self.repair) {
            (0, _) | (_, true) => Ok(Exit::Ok),
            (1, false) => bail!(
                "1 file of the lake is damaged; restore it from a backup, or set it aside with `ringfence doctor --repair`"
            ),
            (_, false) => bail!(
                "{damaged} files of the lake are damaged; restore them from a backup, or set them aside with `ringfence doctor --repair`"
            ),
        }
    }

    /// What the lake holds, and what of it is damaged; with `--repair`, set aside. Gives the number of damaged files.
    fn look_at(&self, project: &Project, listing: &mut Listing) -> anyhow::Result<usize> {
        // A repair writes, and must be alone; a look must not disturb whoever imports.
        let mut lake = if self.repair { open_lake(&project.lake)? } else { Lake::open_read(&project.lake)? };
        let damages = lake.check(self.thorough || self.repair)?;
        for damage in &damages {
            if self.repair {
                lake.quarantine(damage)?;
            }
            add(listing, ["damage", &shown(damage), &damage.reason, self.advice()]);
        }
        let stats = lake.stats()?;
        let holds = format!(
            "{} flows of {} imports in {} files, {}",
            grouped(stats.flows),
            grouped(stats.imports),
            grouped(stats.files),
            bytes_text(stats.bytes)
        );
        let (lost, advice) = match stats.flows_lost {
            0 => (String::new(), ""),
            lost => (
                format!("{} flows are set aside", grouped(lost)),
                "bring them back with `ringfence import --again` of their source",
            ),
        };
        add(listing, ["holds", &holds, &lost, advice]);
        coverage(&lake, listing)?;
        who(&lake, listing)?;
        Ok(damages.len())
    }

    const fn advice(&self) -> &'static str {
        if self.repair { "set aside, below quarantine/" } else { "`ringfence doctor --repair`" }
    }
}

/// What was not seen, each with what mends it.
fn coverage(lake: &Lake, listing: &mut Listing) -> anyhow::Result<()> {
    let seen = Seen::of(lake, TimeWindow::ALL)?;
    let Some(score) = seen.assessment.score else { return Ok(()) };
    let gaps = coverage::gaps(&seen.assessment, &seen.baseline);
    let advice = if gaps.is_empty() { "" } else { "`ringfence flows --coverage` shows each hour" };
    add(listing, ["visibility", &share(score), &seen.assessment.why, advice]);
    for gap in gaps.iter().take(GAPS) {
        let kind = json!(gap.kind);
        let whose = format!("{}: {}", gap.exporter.0, gap.what);
        add(listing, [kind.as_str().unwrap_or_default(), &whose, &gap.source, &gap.remedy]);
    }
    if gaps.len() > GAPS {
        let more = format!("{} more", gaps.len() - GAPS);
        add(listing, ["gaps", &more, "", "`ringfence flows --coverage -o json` lists them all"]);
    }
    let (from, to) = seen.baseline.body();
    let odd = |at: i64| at < from || at > to;
    let odd: u64 = seen.assessment.hours.iter().filter(|h| odd(h.row.hour)).map(|h| h.row.coverage.flows).sum();
    if odd > 0 {
        let what = format!("{} flows lie more than a month away from all others", grouped(odd));
        let advice = "clocks that are wrong: `ringfence flows --coverage --by hour` shows whose, --from and --to leave them out";
        add(listing, ["odd-times", &what, "", advice]);
    }
    Ok(())
}

/// Who exists, and whether sources contradict each other about it.
fn who(lake: &Lake, listing: &mut Listing) -> anyhow::Result<()> {
    let inventory = lake.inventory(None)?;
    let (told, advice) = match inventory.overlaps().len() {
        0 => (String::new(), ""),
        count => (format!("{} claims overlap", grouped(count as u64)), "`ringfence inventory check`"),
    };
    let workloads = format!("{} workloads", grouped(inventory.workloads().len() as u64));
    add(listing, ["inventory", &workloads, &told, advice]);
    Ok(())
}

fn shown(damage: &Damage) -> String {
    damage.root.join(&damage.path).display().to_string()
}

fn add(listing: &mut Listing, cells: [&str; 4]) {
    let [name, value, from, advice] = cells;
    listing.objects.push(json!({ "name": name, "value": value, "from": from, "advice": advice }));
    listing.row(cells.map(str::to_owned));
}
