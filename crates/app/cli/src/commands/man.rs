//! `ringfence man`.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{Exit, Global};

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Write a page for every command into this folder instead of printing the main one.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let tree = crate::command_tree();
        match &self.out {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .and_then(|()| clap_mangen::generate_to(tree, folder))
                    .with_context(|| format!("cannot write man pages to `{}`", folder.display()))?;
            }
            None => clap_mangen::Man::new(tree).render(&mut std::io::stdout().lock())?,
        }
        Ok(Exit::Ok)
    }
}
