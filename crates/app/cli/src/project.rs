//! Where a project's parts are, and where each setting came from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use lake::Lake;
use model::Micros;
use serde::Deserialize;

use crate::commands::CollectConfig;

/// Name of the project's configuration file.
pub(crate) const CONFIG_FILE: &str = "ringfence.toml";

/// One setting with its origin, for `doctor`.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) origin: String,
}

/// A project: a folder with configuration, inventory, policies and the lake.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// The folder; empty for the working directory.
    pub(crate) root: PathBuf,
    /// Flows, rollups and state.
    pub(crate) lake: PathBuf,
    /// Policy files.
    pub(crate) policies: PathBuf,
    /// By so many microseconds a workload may be seen before its source knows of it.
    pub(crate) late_resolve_us: Micros,
    /// Where each value came from.
    pub(crate) settings: Vec<Setting>,
    /// What `collect` is told.
    pub(crate) collect: CollectConfig,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Config {
    lake: Option<PathBuf>,
    policies: Option<PathBuf>,
    late_resolve: Option<String>,
    #[serde(default)]
    collect: CollectConfig,
}

impl Project {
    /// Finds the project: `--project`, else the nearest folder upwards with a `ringfence.toml`, else the working
    /// directory.
    pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("cannot read the working directory")?;
        let (root, origin) = match given {
            Some(folder) => {
                if !folder.is_dir() {
                    bail!(
                        "`{}` is not a folder; make the project with `ringfence init {}`",
                        folder.display(),
                        folder.display()
                    );
                }
                (folder.to_path_buf(), "--project or RINGFENCE_PROJECT".to_owned())
            }
            None => match here.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file()) {
                Some(folder) => (relative(&here, folder), format!("nearest {CONFIG_FILE}")),
                None => (PathBuf::new(), "working directory".to_owned()),
            },
        };
        let file = root.join(CONFIG_FILE);
        let config = if file.is_file() {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read `{}`", file.display()))?;
            toml::from_str::<Config>(&text).map_err(|error| {
                let said = error.to_string();
                anyhow::anyhow!(
                    "`{}` is not a valid configuration; known keys are `lake`, `policies`, `late_resolve` and the table `[collect]`: {}",
                    file.display(),
                    said.trim_end()
                )
            })?
        } else {
            Config::default()
        };
        let shown = here.join(&root).canonicalize().unwrap_or_else(|_| here.join(&root));
        let mut settings = vec![Setting { name: "project", value: shown.display().to_string(), origin }];
        let mut choose = |name: &'static str, variable: &str, configured: Option<PathBuf>, default: &str| {
            let (path, origin) = match (std::env::var_os(variable), configured) {
                (Some(value), _) => (PathBuf::from(value), variable.to_owned()),
                (None, Some(path)) => (root.join(path), file.display().to_string()),
                (None, None) => (root.join(default), "default".to_owned()),
            };
            settings.push(Setting { name, value: path.display().to_string(), origin });
            path
        };
        let lake = choose("lake", "RINGFENCE_LAKE", config.lake, ".ringfence");
        let policies = choose("policies", "RINGFENCE_POLICIES", config.policies, "policies");
        let late_resolve_us = match config.late_resolve {
            Some(span) => {
                let origin = file.display().to_string();
                let us = late(&span).with_context(|| format!("`late_resolve` in `{origin}`"))?;
                settings.push(Setting { name: "late_resolve", value: span, origin });
                us
            }
            None => 0,
        };
        Ok(Self { root, lake, policies, late_resolve_us, settings, collect: config.collect })
    }

    /// A project that lies wholly within its folder, whatever the environment says: what the demo writes must not end
    /// up in the lake or the policies of somebody's real project.
    pub(crate) fn within(root: &Path) -> Self {
        let (lake, policies) = (root.join(".ringfence"), root.join("policies"));
        Self {
            root: root.to_path_buf(),
            lake,
            policies,
            late_resolve_us: 0,
            settings: Vec::new(),
            collect: CollectConfig::default(),
        }
    }
}

/// A span such as `30s` or `2m`, an hour at most: beyond that it would give addresses to who never had them.
fn late(span: &str) -> anyhow::Result<Micros> {
    // A span before the epoch.
    match model::parse_time(span, 0) {
        Ok(before) if (-3_600_000_000..=0).contains(&before) => Ok(-before),
        _ => bail!("expected a span of an hour at most, such as `30s` or `2m`, found `{span}`"),
    }
}

/// How long a command waits for another that writes to the lake.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a lake for writing; while another process writes to it, says so and waits.
pub(crate) fn open_lake(path: &Path) -> anyhow::Result<Lake> {
    let lake = Lake::open_patiently(path, PATIENCE, |busy| {
        eprintln!("{busy} (waiting up to {} s)", PATIENCE.as_secs());
    })?;
    Ok(lake)
}

/// A folder above the working directory, as seen from there: people read it, and a plan that names policy files is the
/// same on every machine.
fn relative(here: &Path, above: &Path) -> PathBuf {
    let steps = here.strip_prefix(above).map_or(0, |rest| rest.components().count());
    std::iter::repeat_n("..", steps).collect()
}
