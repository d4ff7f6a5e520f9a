//! The house rules that a machine can check: layers, sizes, licences, and what files may not say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::repository;

/// (layer, crate name without prefix) of every workspace member, with its normal dependencies inside the workspace
/// and outside of it.
struct Member {
    layer: String,
    name: String,
    inside: Vec<String>,
    outside: Vec<String>,
}

fn members() -> Vec<Member> {
    let root = repository();
    let mut manifests =
        vec![root.join("xtask/Cargo.toml"), root.join("testkit/Cargo.toml"), root.join("bench/Cargo.toml")];
    for layer in std::fs::read_dir(root.join("crates")).unwrap() {
        for member in std::fs::read_dir(layer.unwrap().path()).unwrap() {
            let manifest = member.unwrap().path().join("Cargo.toml");
            if manifest.is_file() {
                manifests.push(manifest);
            }
        }
    }
    manifests.sort();
    let table: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let shared = table["workspace"]["dependencies"].as_table().unwrap();
    let is_inside = |name: &str| shared.get(name).and_then(|d| d.get("path")).is_some();
    manifests.iter().map(|manifest| member(manifest, is_inside)).collect()
}

fn member(manifest: &Path, is_inside: impl Fn(&str) -> bool) -> Member {
    let table: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let folder = manifest.parent().unwrap();
    let layer = folder.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let names =
        table.get("dependencies").and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect::<Vec<_>>());
    let (inside, outside) = names.unwrap_or_default().into_iter().partition(|n: &String| is_inside(n));
    Member { layer, name: folder.file_name().unwrap().to_string_lossy().into_owned(), inside, outside }
}

#[test]
fn layers_depend_only_downwards() {
    let members = members();
    let layer_of: BTreeMap<&str, &str> =
        members.iter().map(|m| (m.name.as_str(), m.layer.as_str())).collect();
    let allowed = |from: &str, to: &str| match from {
        "ground" => to == "ground",
        "decide" => matches!(to, "ground" | "decide"),
        "edge" => matches!(to, "ground" | "edge"),
        "app" => matches!(to, "ground" | "decide" | "edge"),
        _ => true,
    };
    let mut wrong = Vec::new();
    for member in &members {
        for dependency in &member.inside {
            let layer = layer_of.get(dependency.as_str()).copied().unwrap_or("outside the layers");
            if !allowed(&member.layer, layer) {
                wrong.push(format!("{}/{} -> {layer}/{dependency}", member.layer, member.name));
            }
            for (a, b) in [("verify", "propose"), ("propose", "verify")] {
                if member.name == a && dependency == b {
                    wrong.push(format!(
                        "{a} -> {b}: a checker that shares code with the generator shares its bugs"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden dependencies: {wrong:#?}");
    assert!(members.len() > 10, "found only {} manifests", members.len());
}

#[test]
fn what_decides_has_no_world() {
    const WORLD: [&str; 14] = [
        "tokio",
        "async-std",
        "smol",
        "reqwest",
        "hyper",
        "axum",
        "socket2",
        "mio",
        "getrandom",
        "rand",
        "fastrand",
        "chrono",
        "datafusion",
        "rusqlite",
    ];
    let mut wrong = Vec::new();
    for member in members().iter().filter(|m| m.layer == "ground" || m.layer == "decide") {
        for dependency in member.outside.iter().filter(|d| WORLD.contains(&d.as_str())) {
            wrong.push(format!("{} -> {dependency}", member.name));
        }
        let source = repository().join("crates").join(&member.layer).join(&member.name).join("src");
        for file in files_below(&source, &["rs"]) {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in [
                "SystemTime::now",
                "Instant::now",
                "Timestamp::now",
                "std::fs::",
                "std::net::Udp",
                "std::net::Tcp",
            ] {
                if text.contains(word) {
                    wrong.push(format!("{}: {word}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "clock, files, sockets or chance in ground or decide: {wrong:#?}");
}

#[test]
fn files_stay_small() {
    let root = repository();
    let mut long = Vec::new();
    let mut sources = files_below(&root.join("crates"), &["rs", "js", "css"]);
    sources.extend(files_below(&root.join("xtask"), &["rs"]));
    sources.extend(files_below(&root.join("bench"), &["rs"]));
    for file in sources.iter().filter(|f| !f.components().any(|c| c.as_os_str() == "tests")) {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
        if code > 600 && file.file_name().is_none_or(|name| name != "tests.rs") {
            long.push(format!("{}: {code} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "split these: {long:#?}");
    assert!(sources.len() > 30);
}

#[test]
fn files_speak_of_the_product_alone() {
    let root = repository();
    // Where this checkout lies is nobody's business; neither is where packages came from. The second is joined here, so
    // that this file does not hold it itself.
    let banned = [root.display().to_string(), concat!("crates", ".io/api").to_owned()];
    let mut wrong = Vec::new();
    for file in tracked_files() {
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        for word in banned.iter().filter(|word| text.contains(word.as_str())) {
            wrong.push(format!("{file}: {word}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn licences_are_allowed() {
    let root = repository();
    let deny: toml::Table = std::fs::read_to_string(root.join("deny.toml")).unwrap().parse().unwrap();
    let list = |path: [&str; 2]| -> Vec<String> {
        deny[path[0]][path[1]]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| match v {
                toml::Value::String(text) => text.clone(),
                other => other["crate"].as_str().unwrap().to_owned(),
            })
            .collect()
    };
    let (allow, bans) = (list(["licenses", "allow"]), list(["bans", "deny"]));
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        // An expression holds when one of its alternatives holds with all its parts.
        let holds = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| allow.iter().any(|a| a == part.trim_matches(['(', ')', ' '])))
        });
        if !holds {
            wrong.push(format!("{name}: {licence}"));
        }
        if bans.iter().any(|ban| ban == name) {
            wrong.push(format!("{name} is banned"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn tracked_files() -> Vec<String> {
    let output = Command::new("git").args(["ls-files"]).current_dir(repository()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn files_below(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, endings));
        } else if path.extension().is_some_and(|e| endings.iter().any(|known| e == *known)) {
            found.push(path);
        }
    }
    found.sort();
    found
}
