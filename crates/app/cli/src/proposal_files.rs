//! Writing a proposal over an earlier one without losing what people made of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use policy::PolicySet;
use serde_json::json;

use crate::project::open_lake;

/// Kind of the state's document that remembers what was proposed, by folder.
const KIND: &str = "proposed-files";

/// Writes every file of a proposal into a folder. Files of the last proposal that this one no longer has are removed, for
/// their rules would still count. A file that people have changed since, or wrote themselves, stops it unless forced.
pub(crate) fn write(
    lake: &Path,
    folder: &Path,
    set: &PolicySet,
    force: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut lake = open_lake(lake)?;
    let key = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf()).display().to_string();
    let last: BTreeMap<String, String> = match lake.document(KIND, &key)?.and_then(|document| document.body) {
        Some(body) => {
            serde_json::from_value(body).context("the state's list of proposed files is not readable")?
        }
        None => BTreeMap::new(),
    };
    let mut wanted = BTreeMap::new();
    for (file, text) in policy::format(set) {
        let name = Path::new(&file).file_name().context("a policy file without a name")?;
        wanted.insert(name.to_string_lossy().into_owned(), text);
    }
    let stale: Vec<&String> = last.keys().filter(|name| !wanted.contains_key(*name)).collect();
    let changed = |name: &String| {
        let found = std::fs::read_to_string(folder.join(name)).ok();
        found.is_some_and(|text| last.get(name) != Some(&text) && wanted.get(name) != Some(&text))
    };
    let theirs: Vec<String> =
        wanted.keys().chain(stale.iter().copied()).filter(|name| changed(name)).cloned().collect();
    if !theirs.is_empty() && !force {
        bail!(
            "{} in `{}` not as proposed: people changed or wrote {}; keep that with `--keep FILE`, move it, or replace it \
             with --force. Nothing was written",
            theirs.join(", "),
            folder.display(),
            if theirs.len() == 1 { "it" } else { "them" }
        );
    }
    for name in stale {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
            eprintln!("removed {}, which is no longer proposed", path.display());
        }
    }
    let written = crate::commands::write_policy(set, folder)?;
    lake.put_document(KIND, &key, &json!(wanted))?;
    Ok(written)
}
