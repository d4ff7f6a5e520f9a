//! `ringfence test`.

use std::fmt::Write as _;
use std::path::PathBuf;

use verify::AssertionOutcome;

use crate::output::{Format, Listing};
use crate::world::AsOfArgs;
use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Test {
    /// Policy files or folders; the project's when none is given.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    as_of: AsOfArgs,
}

impl Test {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (world, at) = self.as_of.open(global)?;
        let (files, set) = world.policy(&self.paths)?;
        let resolved = world.resolve(&files, &set, at)?;
        let outcomes = verify::check_assertions(&set, &resolved, &world.inventory.as_of(at));
        let failed = outcomes.iter().filter(|o| !o.holds).count();
        let format = global.format_or(Format::Table);
        if format == Format::Junit {
            crate::output::print(&junit(&outcomes))?;
        } else {
            listing(&outcomes, &resolved).print(format)?;
        }
        Ok(if failed > 0 { Exit::TestFailed } else { Exit::Ok })
    }
}

/// Why an assertion does not hold, with the packet that shows it.
pub(crate) fn explanation(outcome: &AssertionOutcome) -> Option<String> {
    let reason = outcome.reason.clone();
    let witness = outcome.witness.map(|packet| format!("for example {packet}"));
    match (reason, witness) {
        (Some(reason), Some(witness)) => Some(format!("{reason}; {witness}")),
        (one, other) => one.or(other),
    }
}

fn listing(outcomes: &[AssertionOutcome], resolved: &policy::Resolved) -> Listing {
    let mut listing = Listing::new(&["result", "test", "where", "why_not"]);
    for outcome in outcomes {
        let mut object = serde_json::to_value(outcome).unwrap_or_default();
        if let Some(rule) = outcome.rule.and_then(|index| resolved.rules.get(index)) {
            object["rule"] = serde_json::json!({ "id": rule.id, "location": rule.location });
        }
        listing.objects.push(object);
        listing.row([
            if outcome.holds { "✔ holds" } else { "✘ fails" }.to_owned(),
            outcome.sentence.clone(),
            outcome.location.to_string(),
            explanation(outcome).unwrap_or_default(),
        ]);
    }
    let failed = outcomes.iter().filter(|o| !o.holds).count();
    listing.document(serde_json::json!({
        "tests": listing.objects, "passed": outcomes.len() - failed, "failed": failed,
    }));
    listing.summary = if outcomes.is_empty() {
        "there is nothing to prove: the policy has no tests; write some below `tests:`, such as `env=dev cannot reach env=prod`"
            .to_owned()
    } else {
        format!("{} proven, {failed} failed", outcomes.len() - failed)
    };
    listing
}

fn junit(outcomes: &[AssertionOutcome]) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let failed = outcomes.iter().filter(|o| !o.holds).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"policy\" tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        let (name, file) = (escape(&outcome.sentence), escape(&outcome.location.to_string()));
        // Writing to a string cannot fail.
        let _ = match explanation(outcome) {
            _ if outcome.holds => writeln!(xml, "<testcase name=\"{name}\" classname=\"{file}\"/>"),
            why => writeln!(
                xml,
                "<testcase name=\"{name}\" classname=\"{file}\"><failure message=\"{}\"/></testcase>",
                escape(&why.unwrap_or_default())
            ),
        };
    }
    xml + "</testsuite>\n</testsuites>\n"
}
