//! `cargo xtask demo`: the main job on the recorded lab, then the proof in the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{lab, packages, repository};

/// Builds the program and runs the story; with root and the packages, proves it in the kernel too.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let (mut with_proof, mut out) = (true, repository().join("target/demo"));
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-prove" => with_proof = false,
            "--out" => out = PathBuf::from(arguments.next().context("--out needs a folder")?),
            other => {
                bail!("`{other}` is not an option of `cargo xtask demo`; known are --no-prove and --out DIR")
            }
        }
    }
    let program = build()?;
    // Without namespaces or root the story is still told, from the recording alone.
    let proof = with_proof && packages::ensure(packages::ALL)? && lab::possible();
    tell(&program, &out, None)?;
    if proof {
        let table = out.join("prove.json");
        lab::main(&strings(&[
            "prove",
            "--artifacts",
            &path(&out.join("artifacts/nftables")),
            "--out",
            &path(&table),
        ]))?;
        tell(&program, &out, Some(&table))?;
    } else if with_proof {
        eprintln!(
            "SKIPPED: the proof in the kernel needs root and network namespaces; run `sudo -E cargo xtask demo`"
        );
    }
    Ok(())
}

/// Compiles the demo's policy and proves it in the lab, as `cargo xtask test` does with the program that its tests built.
pub(crate) fn prove() -> anyhow::Result<()> {
    let program = program();
    if !program.exists() {
        build()?;
    }
    let out = repository().join("target/prove");
    tell(&program, &out, None)?;
    let table = out.join("prove.json");
    lab::main(&strings(&[
        "prove",
        "--artifacts",
        &path(&out.join("artifacts/nftables")),
        "--out",
        &path(&table),
    ]))
}

fn build() -> anyhow::Result<PathBuf> {
    eprintln!("building ringfence (the first time takes some minutes)");
    // The whole workspace is selected, as the tests do: another selection has other features, and the query engine
    // would be compiled once more.
    let status = Command::new("cargo")
        .args(["build", "--workspace", "--bin", "ringfence"])
        .current_dir(repository())
        .status()
        .context("cannot run cargo")?;
    if status.success() { Ok(program()) } else { bail!("the build failed") }
}

fn program() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("debug/ringfence")
}

fn tell(program: &Path, out: &Path, proof: Option<&Path>) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("demo").arg("--out").arg(out);
    if let Some(table) = proof {
        command.arg("--proof").arg(table);
    }
    let status = command.status().with_context(|| format!("cannot run `{}`", program.display()))?;
    if status.success() { Ok(()) } else { bail!("`ringfence demo` failed ({status})") }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}
