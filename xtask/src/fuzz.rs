//! `cargo xtask fuzz`: cargo-fuzz over the readers of flow formats.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::repository;

/// Fuzzes formats by name, one after the other, each for so many seconds; all of the table without names.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let mut seconds = 600_u64;
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let text = rest.next().context("--seconds needs a number")?;
                seconds = text.parse().with_context(|| format!("`{text}` is not a number of seconds"))?;
            }
            name => names.push(name.to_owned()),
        }
    }
    let (fuzz, corpus) = (repository().join("fuzz"), repository().join("target/fuzz/corpus"));
    seed(&fuzz, &corpus)?;
    if names.is_empty() {
        names = folders(&corpus)?;
    }
    let mut broken = Vec::new();
    for name in &names {
        if !run(&fuzz, &corpus, name, seconds)? {
            broken.push(name.as_str());
        }
    }
    if broken.is_empty() {
        println!("nothing found in {} for {seconds} s each", names.join(", "));
        return Ok(());
    }
    bail!(
        "found something in {}: mend it, and keep the input below fuzz/artifacts as \
         crates/edge/intake/regressions/FORMAT/WHAT-IT-IS",
        broken.join(", ")
    )
}

/// The samples of the formats, and the captures of others where they are at hand.
fn seed(fuzz: &Path, corpus: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command.current_dir(fuzz).args(["run", "--quiet", "--release", "--bin", "seed", "--"]).arg(corpus);
    command.arg(repository().join("crates/edge/intake/samples"));
    command.arg(repository().join("crates/edge/intake/regressions"));
    if let Some(shared) = testkit::shared("data/flow") {
        command.arg(shared);
    }
    works(&mut command, "the seeds")
}

fn folders(corpus: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(corpus).with_context(|| format!("cannot read `{}`", corpus.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Whether nothing was found.
fn run(fuzz: &Path, corpus: &Path, name: &str, seconds: u64) -> anyhow::Result<bool> {
    println!("{name} for {seconds} s");
    let mut command = Command::new("cargo");
    command.current_dir(fuzz.parent().unwrap_or(fuzz)).args(["+nightly", "fuzz", "run", "source"]);
    command.arg(corpus.join(name)).env("RINGFENCE_FUZZ_SOURCE", name);
    command.args([
        "--",
        &format!("-max_total_time={seconds}"),
        "-rss_limit_mb=2048",
        "-timeout=20",
        "-max_len=65536",
    ]);
    command.arg("-print_final_stats=1");
    let status =
        command.status().context("cannot run cargo; cargo-fuzz comes with `cargo install cargo-fuzz`")?;
    Ok(status.success())
}

fn works(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}
