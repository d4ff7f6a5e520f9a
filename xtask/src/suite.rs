//! `cargo xtask test`: everything that must hold before a change lands.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::{lab, packages, repository};

/// Runs every stage, and ends with the line `N passed, N failed, N skipped`.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let mut prove = true;
    for argument in arguments {
        match argument.as_str() {
            "--no-prove" => prove = false,
            other => bail!("`{other}` is not an option of `cargo xtask test`; known is --no-prove"),
        }
    }
    let tools = packages::ensure(packages::ALL)?;
    packages::ensure_peers(&repository().join("target/peers"))?;
    let started = Instant::now();
    let mut stages = Stages::default();
    stages.run("format", "cargo", &["fmt", "--all", "--check"])?;
    stages.run(
        "lints",
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
    )?;
    let counts = cargo_test()?;
    stages.note("tests", counts.failed == 0);
    if prove && tools && lab::possible() {
        stages.note(
            "proof in the kernel",
            crate::demo::prove().inspect_err(|e| eprintln!("error: {e:#}")).is_ok(),
        );
    } else {
        eprintln!("SKIPPED: proof in the kernel (needs root, network namespaces and the Debian packages)");
        stages.skipped += 1;
    }
    eprintln!("{} s in all", started.elapsed().as_secs());
    for (name, passed) in &stages.results {
        println!("{} {name}", if *passed { "ok  " } else { "FAIL" });
    }
    let failed_stages = stages.results.iter().filter(|(name, ok)| !ok && name != "tests").count() as u64;
    let passed_stages = stages.results.iter().filter(|(name, ok)| *ok && name != "tests").count() as u64;
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed + passed_stages,
        counts.failed + failed_stages,
        counts.ignored + stages.skipped
    );
    if counts.failed + failed_stages > 0 { bail!("the suite failed") } else { Ok(()) }
}

#[derive(Default)]
struct Stages {
    results: Vec<(String, bool)>,
    skipped: u64,
}

impl Stages {
    fn run(&mut self, name: &str, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        eprintln!("== {name}: {program} {}", arguments.join(" "));
        let status = Command::new(program)
            .args(arguments)
            .current_dir(repository())
            .status()
            .with_context(|| format!("cannot run `{program}`"))?;
        self.note(name, status.success());
        Ok(())
    }

    fn note(&mut self, name: &str, passed: bool) {
        self.results.push((name.to_owned(), passed));
    }
}

#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs the workspace's tests, shows their output, and adds up the runner's closing lines.
fn cargo_test() -> anyhow::Result<Counts> {
    eprintln!("== tests: cargo test --workspace");
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(repository())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if let Some(rest) = line.strip_prefix("test result: ") {
                let number = |word: &str| -> u64 {
                    let before = rest.split(word).next().unwrap_or_default().trim_end();
                    before.rsplit([' ', ';', '.']).next().and_then(|n| n.parse().ok()).unwrap_or(0)
                };
                counts.passed += number(" passed");
                counts.failed += number(" failed");
                counts.ignored += number(" ignored");
            }
        }
    }
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        // A test binary that did not compile or was killed prints no closing line.
        counts.failed = 1;
    }
    Ok(counts)
}
