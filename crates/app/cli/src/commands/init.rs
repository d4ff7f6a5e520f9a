//! `ringfence init`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::project::CONFIG_FILE;
use crate::{Exit, Global};

const CONFIG: &str = "\
# Ringfence project. Paths are relative to this file.
lake = \".ringfence\"      # flows, rollups, inventory history
policies = \"policies\"    # what you review and keep in git
";

const INVENTORY: &str = "\
id,name,ip,from,to,criticality,role,app,env,loc
";

/// The folders and first files of a project; existing files are left alone.
pub(crate) fn make(folder: &std::path::Path) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| -> anyhow::Result<()> {
        let path = folder.join(name);
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot write `{}`", path.display())),
        }
    };
    for part in ["inventory", "policies"] {
        let path = folder.join(part);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    }
    write(CONFIG_FILE, CONFIG)?;
    write(".gitignore", ".ringfence/\n")?;
    write("inventory/assets.csv", INVENTORY)
}

#[derive(clap::Args)]
pub(crate) struct Init {
    /// The folder to make the project in.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Init {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        if self.dir.join(CONFIG_FILE).exists() {
            bail!("`{}` is a project already", self.dir.display());
        }
        make(&self.dir)?;
        let go_there = if self.dir.as_os_str() == "." {
            String::new()
        } else {
            format!("  cd {}\n", self.dir.display())
        };
        eprintln!(
            "made a project in `{}`. Next:\n{go_there}  ringfence inventory import inventory/assets.csv   (after \
             filling it in)\n  ringfence import auto FLOWS...\n  ringfence map",
            self.dir.display()
        );
        Ok(Exit::Ok)
    }
}
