//! `cargo xtask fuzz`: cargo-fuzz over the readers of flow formats, over their detection, and over inventories.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::repository;

/// What is fuzzed beside each flow format: targets of their own.
const TARGETS: [&str; 2] = ["auto", "inventory"];

/// Fuzzes formats by name, one after the other, each for so many seconds; all of them without names.
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
    let known = known()?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        bail!("`{name}` is nothing to fuzz; there are {}", known.join(", "));
    }
    if names.is_empty() {
        names = known;
    }
    let mut broken = Vec::new();
    for name in &names {
        if !run(name, seconds)? {
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

/// The flow formats, as the target itself lists them, and the other targets.
fn known() -> anyhow::Result<Vec<String>> {
    let output = cargo_fuzz("source").output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cannot build the fuzz targets; `cargo install cargo-fuzz` and a nightly compiler are needed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().chain(TARGETS).map(str::to_owned).collect())
}

/// `cargo fuzz run TARGET`. The code under test has no `unsafe` of its own, so that runs go without the address sanitizer,
/// at twice the speed.
fn cargo_fuzz(target: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(repository()).args(["+nightly", "fuzz", "run", "--sanitizer", "none", target]);
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RINGFENCE_FUZZ_NAME");
    command
}

/// Whether nothing was found.
fn run(name: &str, seconds: u64) -> anyhow::Result<bool> {
    println!("{name} for {seconds} s");
    let corpus = repository().join("target/fuzz/corpus").join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot make `{}`", corpus.display()))?;
    let mut command = cargo_fuzz(if TARGETS.contains(&name) { name } else { "source" });
    command.env("RINGFENCE_FUZZ_NAME", name).arg(corpus).args(seeds());
    command.args([
        "--",
        &format!("-max_total_time={seconds}"),
        "-rss_limit_mb=2048",
        "-malloc_limit_mb=1024",
    ]);
    command.args(["-timeout=20", "-max_len=65536", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/fuzz/artifacts/{name}-", repository().display()));
    let status = command.status().context("cannot run cargo")?;
    Ok(status.success())
}

/// The samples of the formats, what was found before, and the captures of others where they are at hand. Every format
/// starts from all of them: the fuzzer keeps what reaches new code.
fn seeds() -> Vec<PathBuf> {
    let own = ["fuzz/seeds", "crates/edge/intake/samples", "crates/edge/intake/regressions"];
    let own = own.iter().map(|folder| repository().join(folder));
    own.chain(testkit::shared("data/flow")).filter(|folder: &PathBuf| Path::is_dir(folder)).collect()
}
