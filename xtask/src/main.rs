//! The project's chores: `cargo xtask help` lists them.

mod demo;
mod fuzz;
mod lab;
mod packages;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo            the main job on the recorded lab, then the proof in the kernel when root
                  [--no-prove] [--out DIR]
  test            everything: formatting, lints, tests, and the proof in the kernel when root
                  [--no-prove]
  fuzz            fuzz the readers of flow formats and inventories, with cargo-fuzz and a nightly compiler
                  [FORMAT..] [--seconds N]
  lab record      record the lab's traffic again  [--seed N] [--out DIR]
  lab prove       load compiled artifacts in the lab, replay, attack  [--seed N] [--artifacts DIR]
  packages        install the Debian packages that the lab and the tests use
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let result = match arguments.first().map(String::as_str) {
        Some("demo") => demo::main(rest),
        Some("test") => suite::main(rest),
        Some("fuzz") => fuzz::main(rest),
        Some("lab") => lab::main(rest),
        Some("packages") => packages::ensure(packages::ALL).map(|_| ()),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => {
            eprint!("error: `{other}` is not a command\n\n{HELP}");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
