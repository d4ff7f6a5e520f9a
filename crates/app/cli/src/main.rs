//! The `ringfence` command.

mod commands;
mod flow_input;
mod output;
mod policy_files;
mod project;
mod proposal_files;
mod seen;
mod story;
mod world;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use crate::output::Format;
use crate::project::Project;

/// Micro-segmentation from evidence: see flows, learn segments, propose policy, prove it, enforce it.
#[derive(Parser)]
#[command(name = "ringfence", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 ok; 1 failed; 2 differences (--detailed-exitcode); 3 a test or guardrail failed; \
64 usage; 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: commands::Command,
}

/// Options that every command takes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Global {
    /// Project folder (default: the nearest one upwards with a ringfence.toml).
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "RINGFENCE_PROJECT",
        help_heading = "Global options"
    )]
    project: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", help_heading = "Global options")]
    output: Option<Format>,
    /// When to colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    color: Color,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Global {
    /// The chosen output format, or the command's default.
    pub(crate) fn format_or(&self, default: Format) -> Format {
        self.output.unwrap_or(default)
    }

    /// The project that the command works on.
    pub(crate) fn project(&self) -> anyhow::Result<Project> {
        Project::find(self.project.as_deref())
    }
}

/// How a command ended when it did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// All well.
    Ok,
    /// Differences, with `--detailed-exitcode`.
    Differences,
    /// A test, guardrail or property does not hold.
    TestFailed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Differences => 2,
            Exit::TestFailed => 3,
        })
    }
}

const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match cli.command.run(&cli.global) {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = output::printable(&format!("{error:#}"));
            anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {text}");
            if error.is::<UsageError>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The command line was understood by itself but makes no sense.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for UsageError {}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// The whole command tree, for completions and man pages.
pub(crate) fn command_tree() -> clap::Command {
    Cli::command()
}
