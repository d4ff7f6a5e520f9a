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
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command_tree(), "ringfence", &mut script);
        crate::output::print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Ok)
    }
}
