//! `ringfence verify`.

use std::path::PathBuf;

use serde_json::json;
use verify::{Outcome, PROPERTIES, Property, Verifier};

use crate::output::{Format, Listing};
use crate::world::AsOfArgs;
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Verify {
    /// Properties: `reach web -> db on tcp/5432`, `isolate env=dev -> env=prod`, `shadowed`, `redundant`,
    /// `blast-radius WORKLOAD [hops N]`. `--list` explains them.
    #[arg(required_unless_present = "list")]
    properties: Vec<String>,
    /// Policy files or folders; the project's when none is given.
    #[arg(long, value_name = "PATH")]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// List the properties and stop.
    #[arg(long)]
    list: bool,
}

impl Verify {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.list {
            let mut listing = Listing::new(&["property", "proves_that"]);
            for form in PROPERTIES {
                listing.row([form.form.to_owned(), form.help.to_owned()]);
            }
            listing.print(global.format_or(Format::Table))?;
            return Ok(Exit::Ok);
        }
        let properties = self
            .properties
            .iter()
            .map(|text| text.parse::<Property>().map(|p| (text, p)).map_err(|e| UsageError(format!("{e}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let (world, at) = self.as_of.open(global)?;
        let (files, set) = world.policy(&self.policies)?;
        let resolved = world.resolve(&files, &set, at)?;
        let view = world.inventory.as_of(at);
        let verifier = Verifier::new(&set, &resolved, &view);
        let mut listing = Listing::new(&["result", "property", "detail", "rules"]);
        let mut violated = false;
        for (text, property) in properties {
            let outcome = verifier.check(&property);
            violated |= outcome.is_violated();
            listing.objects.push(json!({ "property": text, "outcome": outcome }));
            rows(&mut listing, text, &outcome, &resolved);
        }
        listing.print(global.format_or(Format::Table))?;
        Ok(if violated { Exit::TestFailed } else { Exit::Ok })
    }
}

fn rows(listing: &mut Listing, text: &str, outcome: &Outcome, resolved: &policy::Resolved) {
    match outcome {
        Outcome::Holds => {
            listing.row([
                "✔ holds".to_owned(),
                text.to_owned(),
                "proven for all traffic".to_owned(),
                String::new(),
            ]);
        }
        Outcome::Violated(violations) => {
            for violation in violations {
                let rules = violation.rules.iter().filter_map(|index| resolved.rules.get(*index));
                let rules: Vec<String> =
                    rules.map(|rule| format!("{} ({})", rule.id, rule.location)).collect();
                let witness = violation.witness.map(|p| format!("; for example {p}")).unwrap_or_default();
                listing.row([
                    "✘ violated".to_owned(),
                    text.to_owned(),
                    format!("{}{witness}", violation.reason),
                    rules.join(", "),
                ]);
            }
        }
        Outcome::Reaches(reached) => {
            for one in reached {
                let services = if one.services.is_empty() {
                    "every service".to_owned()
                } else {
                    one.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                };
                listing.row([
                    format!("hop {}", one.hop),
                    text.to_owned(),
                    format!("{} via {} on {services}", one.workload, one.via),
                    String::new(),
                ]);
            }
            if reached.is_empty() {
                listing.row([
                    "○ nobody".to_owned(),
                    text.to_owned(),
                    "reaches no other workload".to_owned(),
                    String::new(),
                ]);
            }
        }
    }
}
