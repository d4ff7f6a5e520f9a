//! The lab: a network of namespaces with real daemons, real clients and a real intruder.

mod activity;
mod attack;
mod chance;
mod coverage;
mod daemons;
mod denials;
mod net;
mod node;
mod observe;
mod prove;
mod record;
mod schedule;
mod site;
mod table;
mod truth;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// `lab record|prove|up|down`.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("record") => {
            let options = Options::read(rest, &["seed", "minutes", "out"])?;
            record::record(&record::Order {
                seed: options.number("seed", 1)?,
                minutes: options.number("minutes", 15.0)?,
                out: options.path("out").unwrap_or_else(|| crate::repository().join("lab/recordings/first")),
            })
        }
        Some("prove") => {
            let options = Options::read(rest, &["seed", "artifacts", "truth", "out"])?;
            let recording = crate::repository().join("lab/recordings/first");
            prove::prove(&prove::Order {
                seed: options.number("seed", 2)?,
                artifacts: options
                    .path("artifacts")
                    .context("--artifacts needs the folder of compiled artifacts")?,
                truth: options.path("truth").unwrap_or_else(|| recording.join("truth.json")),
                out: options.path("out"),
            })
        }
        Some("up") => up(),
        Some("down") => net::clean(),
        Some("guard") => net::guard(rest.first().map_or("", String::as_str)),
        Some("node") => node::main(rest),
        other => bail!("`lab {}`: expected record, prove, up or down", other.unwrap_or_default()),
    }
}

/// Whether the lab can come up here: root, network namespaces, nftables. Says loudly why not.
pub(crate) fn possible() -> bool {
    testkit::namespaces()
}

/// Brings the lab up and leaves it so until Enter.
fn up() -> anyhow::Result<()> {
    let net = net::Net::up()?;
    daemons::start(&net)?;
    eprintln!("the lab is up in {}; press Enter to end it", net.run().display());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// `--name value` pairs.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(arguments: &[String], known: &[&str]) -> anyhow::Result<Self> {
        let mut pairs = Vec::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|n| known.contains(n));
            let name = name
                .with_context(|| format!("`{word}` is not an option; known are --{}", known.join(", --")))?;
            let value = words.next().with_context(|| format!("--{name} needs a value"))?;
            pairs.push((name.to_owned(), value.clone()));
        }
        Ok(Self(pairs))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> anyhow::Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().with_context(|| format!("--{name}: `{text}` is not a number")),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }
}
