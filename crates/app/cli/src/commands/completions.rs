//! `ringfence completions`.

use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        clap_complete::generate(self.shell, &mut crate::command_tree(), "ringfence", &mut std::io::stdout());
        Ok(Exit::Ok)
    }
}
