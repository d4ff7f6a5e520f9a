//! `ringfence inventory check`.

use model::{Micros, Overlap, format_time};
use serde_json::{Value, json};

use crate::output::{Format, Listing};
use crate::world::{AsOfArgs, World};
use crate::{Exit, Global};

/// Where sources give one address to several workloads at one time.
#[derive(clap::Args)]
pub(super) struct Check {
    /// Only what overlaps at a moment: RFC 3339, a date, or a span before now.
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
}

impl Check {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let world = World::open(global)?;
        let at = AsOfArgs { as_of: self.as_of.clone() }.moment()?;
        let then = |o: &&Overlap| self.as_of.is_none() || (o.from <= at && at < o.to);
        let overlaps: Vec<&Overlap> = world.inventory.overlaps().iter().filter(then).collect();
        let mut listing = Listing::new(&["address", "from", "to", "first", "second", "taken", "fix"]);
        for overlap in &overlaps {
            let Overlap { ip, from, to, first, second, taken } = overlap;
            listing.objects.push(finding(overlap));
            listing.row([
                ip.to_string(),
                bound(*from, "always"),
                bound(*to, "open"),
                first.to_string(),
                second.to_string(),
                taken.as_ref().map_or_else(|| String::from("nobody"), ToString::to_string),
                overlap.fix().to_owned(),
            ]);
        }
        let unresolved = overlaps.iter().filter(|overlap| overlap.taken.is_none()).count();
        listing.summary = format!("{} claims overlap; {unresolved} leave an address unresolved", overlaps.len());
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

fn bound(at: Micros, open: &str) -> String {
    if at <= 0 || at == Micros::MAX { open.to_owned() } else { format_time(at) }
}

fn finding(overlap: &Overlap) -> Value {
    let claimant = |of: &model::Claimant| {
        let mut object = json!({ "workload": of.workload, "source": of.source });
        if !of.scope.is_empty() {
            object["scope"] = json!(of.scope);
        }
        object
    };
    let mut object = json!({
        "kind": "address-overlap",
        "severity": if overlap.taken.is_some() { "info" } else { "warning" },
        "address": overlap.ip,
        "first": claimant(&overlap.first),
        "second": claimant(&overlap.second),
        "message": overlap.to_string(),
        "fix": overlap.fix(),
    });
    if overlap.from > Micros::MIN {
        object["from"] = json!(format_time(overlap.from));
    }
    if overlap.to < Micros::MAX {
        object["to"] = json!(format_time(overlap.to));
    }
    if let Some(taken) = &overlap.taken {
        object["taken"] = json!(taken);
    }
    object
}
