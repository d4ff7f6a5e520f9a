//! `ringfence doctor`.

use serde_json::json;

use crate::output::{Format, Listing};
use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let project = global.project()?;
        let mut listing = Listing::new(&["name", "value", "from", "advice"]);
        for setting in &project.settings {
            let path = std::path::Path::new(&setting.value);
            let advice = match setting.name {
                "lake" if !path.exists() => "empty: `ringfence import auto FLOWS...`",
                "policies" if !path.exists() => "none: `ringfence policy propose --write`",
                "project" if !path.join(crate::project::CONFIG_FILE).exists() => "no ringfence.toml: `ringfence init`",
                _ => "",
            };
            listing.row([setting.name.to_owned(), setting.value.clone(), setting.origin.clone(), advice.to_owned()]);
            listing.objects.push(json!({
                "name": setting.name, "value": setting.value, "from": setting.origin, "advice": advice,
            }));
        }
        listing.print(global.format_or(Format::Table))?;
        Ok(Exit::Ok)
    }
}
