//! What the tests of several crates share.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// A path below the folder of third-party test data that stands beside the repository (`../shared`, or the folder that
/// `RINGFENCE_SHARED` names). Says loudly on stderr that the test is skipped when it is not there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let base = match std::env::var_os("RINGFENCE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => repository().parent()?.join("shared"),
    };
    let full = base.join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!(
        "SKIPPED: no third-party test data at `{}`; set RINGFENCE_SHARED to its folder",
        full.display()
    );
    None
}

/// Whether tests that need network namespaces can run: root, `ip` and `nft`. Says loudly why not. Tried once in each
/// process, for tests run side by side and would take each other's probe away.
pub fn namespaces() -> bool {
    static WORKS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let works = *WORKS.get_or_init(try_namespace);
    if !works {
        eprintln!("SKIPPED: needs root, network namespaces and nftables (`ip netns add`, `nft`)");
    }
    works
}

fn try_namespace() -> bool {
    let works = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
    };
    let probe = format!("rf-probe-{}", std::process::id());
    if !works("ip", &["netns", "add", &probe]) {
        return false;
    }
    let nft = works("ip", &["netns", "exec", &probe, "nft", "list", "ruleset"]);
    works("ip", &["netns", "delete", &probe]);
    nft
}
