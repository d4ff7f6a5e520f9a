//! Policy files of a project: found, read, parsed, with problems shown as their authors need them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use model::Severity;
use policy::{Diagnostic, PolicySet};

/// Policy files larger than this are refused (16 MiB).
const MAX_BYTES: u64 = 16 << 20;

/// The text of every `.yaml` and `.yml` file below the paths, in order of name.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    files.sort();
    files.dedup();
    let mut texts = Vec::new();
    for file in files {
        let shown = file.display().to_string();
        let size = std::fs::metadata(&file).with_context(|| format!("cannot read `{shown}`"))?.len();
        if size > MAX_BYTES {
            bail!("`{shown}` has {size} bytes; a policy file may have {MAX_BYTES}: split it");
        }
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read `{shown}`"))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            anyhow::anyhow!("`{shown}` is not UTF-8 at byte {}", e.utf8_error().valid_up_to())
        })?;
        texts.push((shown, text));
    }
    Ok(texts)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        if !path.exists() {
            bail!(
                "there are no policies at `{}`; write some, or run `ringfence policy propose --write`",
                path.display()
            );
        }
        files.push(path.to_path_buf());
        return Ok(());
    }
    let failed = || format!("cannot read the folder `{}`", path.display());
    for entry in std::fs::read_dir(path).with_context(failed)? {
        let inner = entry.with_context(failed)?.path();
        let is_yaml = inner.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if inner.is_dir() {
            collect(&inner, files)?;
        } else if is_yaml {
            files.push(inner);
        }
    }
    Ok(())
}

/// Parses the files; every problem is shown on stderr.
pub(crate) fn parse(files: &[(String, String)]) -> anyhow::Result<PolicySet> {
    match policy::parse(files) {
        Ok(set) => Ok(set),
        Err(problems) => {
            show(&problems);
            bail!("the policy has {} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" })
        }
    }
}

/// Shows problems on stderr, each with its line quoted.
pub(crate) fn show(problems: &[Diagnostic]) {
    for problem in problems {
        let colour = match problem.severity {
            Severity::Error => "\u{1b}[1;31m",
            Severity::Warning => "\u{1b}[1;33m",
            Severity::Info => "\u{1b}[1;34m",
        };
        let text = problem.to_string();
        let (word, rest) = text.split_once(':').unwrap_or(("", &text));
        anstream::eprintln!("{colour}{word}\u{1b}[0m:{}\n", crate::output::printable(rest));
    }
}
