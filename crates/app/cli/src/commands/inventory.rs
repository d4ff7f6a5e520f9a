//! `ringfence inventory`.

mod check;
mod import;

use model::{Micros, Selector, Workload, format_time};
use serde_json::{Value, json};

use crate::output::{Format, Listing};
use crate::world::{AsOfArgs, World};
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Inventory {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Read who exists: lists (CSV, JSON: id, name, ip, from, to, criticality; other columns are labels), and what systems
    /// export
    Import(import::Import),
    /// List workloads as of a moment
    List(List),
    /// Show one workload with the history of its addresses
    Show(Show),
    /// Show where sources give one address to several workloads at one time, and what is made of it
    Check(check::Check),
}

impl Inventory {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match &self.verb {
            Verb::Import(command) => command.run(global),
            Verb::List(command) => command.run(global),
            Verb::Show(command) => command.run(global),
            Verb::Check(command) => command.run(global),
        }
    }
}

#[derive(clap::Args)]
struct List {
    /// Only workloads that match a label selector, such as `env=prod,role in (web,api)`.
    selector: Option<Selector>,
    #[command(flatten)]
    as_of: AsOfArgs,
}

impl List {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let mut world = World::open(global)?;
        let at = self.as_of.moment()?;
        if self.as_of.as_of.is_some() {
            world.inventory = world.lake.inventory(Some(at))?;
        }
        let mut listing = Listing::new(&["id", "name", "addresses", "criticality", "labels"]);
        let view = world.inventory.as_of(at);
        for (workload, ips) in &view.members {
            if self.selector.as_ref().is_some_and(|selector| !selector.matches(&workload.labels)) {
                continue;
            }
            listing.objects.push(describe(workload, at));
            let addresses: Vec<String> = ips.iter().map(ToString::to_string).collect();
            let labels: Vec<String> = workload.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            listing.row([
                workload.id.to_string(),
                workload.name.clone(),
                addresses.join(" "),
                criticality(workload),
                labels.join(","),
            ]);
        }
        listing.summary = format!("{} workloads as of {}", listing.rows.len(), format_time(at));
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

#[derive(clap::Args)]
struct Show {
    /// A workload's id or name, or an address.
    workload: String,
    #[command(flatten)]
    as_of: AsOfArgs,
}

impl Show {
    fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let world = World::open(global)?;
        let at = self.as_of.moment()?;
        let owner = self.workload.parse().ok().and_then(|ip| world.inventory.owner(ip, at));
        let named = |w: &&Workload| w.id.0 == self.workload || w.name == self.workload;
        let Some(workload) = owner.or_else(|| world.inventory.workloads().iter().find(named)) else {
            return Err(UsageError(format!(
                "`{}` is neither a workload nor an address of one at {}",
                self.workload,
                format_time(at)
            ))
            .into());
        };
        let mut listing = Listing::new(&["address", "from", "to"]);
        for claim in &workload.addresses {
            listing.row([claim.ip.to_string(), bound(claim.from, "always"), bound(claim.to, "open")]);
        }
        listing.document(describe(workload, at));
        listing.objects = vec![listing.document.clone()];
        let labels: Vec<String> = workload.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        listing.summary =
            format!("{} ({}) {} {}", workload.id, workload.name, criticality(workload), labels.join(","));
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}

fn criticality(workload: &Workload) -> String {
    json!(workload.criticality).as_str().unwrap_or_default().to_owned()
}

fn bound(at: Micros, open: &str) -> String {
    if at == Micros::MIN || at == Micros::MAX || at == 0 { open.to_owned() } else { format_time(at) }
}

fn describe(workload: &Workload, at: Micros) -> Value {
    let mut addresses = Vec::new();
    for claim in &workload.addresses {
        let mut object = json!({ "ip": claim.ip, "held": claim.from <= at && at < claim.to });
        for (key, moment) in [("from", claim.from), ("to", claim.to)] {
            if moment != Micros::MIN && moment != Micros::MAX {
                object[key] = json!(format_time(moment));
            }
        }
        addresses.push(object);
    }
    let mut object = json!({
        "id": workload.id, "name": workload.name, "labels": workload.labels, "addresses": addresses,
    });
    if let Some(criticality) = workload.criticality {
        object["criticality"] = json!(criticality);
    }
    object
}
