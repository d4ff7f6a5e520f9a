//! What is printed is valid in every format, on whatever command, and plain where nobody asked for colour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{good, ringfence, run};

/// Reading commands, in a project that has everything.
const READING: [&[&str]; 16] = [
    &["import", "--list"],
    &["import", "auto", "flows"],
    &["decode", "auto", "flows"],
    &["flows"],
    &["flows", "--aggregate-by", "src_ip,dst_ip"],
    &["inventory", "list"],
    &["inventory", "show", "db-1"],
    &["map"],
    &["segments", "list"],
    &["segments", "explain", "web-1"],
    &["policy", "check"],
    &["test"],
    &["verify", "reach web-1 -> db-1 on tcp/5432"],
    &["simulate"],
    &["why", "web-1", "db-1", "5432"],
    &["doctor"],
];

fn project(folder: &Path) -> PathBuf {
    let source = testkit::repository().join("scenarios/own-network.in");
    let project = folder.join("p");
    std::fs::create_dir_all(project.join("flows")).unwrap();
    for file in ["assets.csv", "flows/aws-vpc.log", "flows/conn.log"] {
        std::fs::copy(source.join(file), project.join(file)).unwrap();
    }
    good(&project, &["init"]);
    good(&project, &["inventory", "import", "assets.csv"]);
    good(&project, &["import", "auto", "flows"]);
    good(&project, &["segments", "discover", "--accept"]);
    good(&project, &["policy", "propose", "--write"]);
    project
}

#[test]
fn every_format_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    for arguments in READING {
        let print = |format| good(&project, &[arguments, &["-o", format]].concat());
        let json: Value =
            serde_json::from_str(&print("json")).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
        assert_eq!(json["format_version"], 1, "{arguments:?}");
        let yaml: Value =
            serde_saphyr::from_str(&print("yaml")).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
        assert_eq!(yaml["format_version"], 1, "{arguments:?}");
        for line in print("ndjson").lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
            assert!(object.is_object(), "{arguments:?}: {line}");
        }
        let csv = print("csv");
        let widths: Vec<usize> = csv.lines().map(cells).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{arguments:?}: {csv}");
        assert!(!print("table").contains('\u{1b}'), "{arguments:?}");
    }
}

/// Cells of a line of CSV, none of which holds a line break.
fn cells(line: &str) -> usize {
    let mut quoted = false;
    1 + line
        .chars()
        .filter(|c| {
            quoted ^= *c == '"';
            *c == ',' && !quoted
        })
        .count()
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = ringfence(folder.path(), arguments);
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let red = "\u{1b}[1;31merror:";
    // Not a terminal: plain.
    assert!(error(&[], &["map"]).starts_with("error:"));
    assert!(error(&[("CLICOLOR_FORCE", "1")], &["map"]).starts_with(red));
    assert!(error(&[], &["map", "--color", "always"]).starts_with(red));
    assert!(error(&[("CLICOLOR_FORCE", "1")], &["map", "--color", "never"]).starts_with("error:"));
    assert!(error(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], &["map"]).starts_with("error:"));
}

#[test]
fn names_from_the_network_do_not_reach_the_terminal_raw() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "id,name,ip\nx,\u{1b}[2Jgone,10.0.0.1\n").unwrap();
    let ran = run(folder.path(), &["inventory", "import", "a.csv"]);
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
    if ran.code == Some(0) {
        assert!(!good(folder.path(), &["inventory", "list"]).contains('\u{1b}'));
    }
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let help = good(folder.path(), &["--help"]);
    let listed = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 20, "{help}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = good(folder.path(), &["completions", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell} does not complete {command}");
        }
    }
    good(folder.path(), &["man", "--out", "pages"]);
    for command in commands.iter().filter(|command| **command != "help") {
        let page =
            std::fs::read_to_string(folder.path().join(format!("pages/ringfence-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(good(folder.path(), &["man"]).contains(".TH ringfence"));
    assert_eq!(run(folder.path(), &["completions", "tcsh"]).code, Some(64));
    assert_eq!(run(folder.path(), &[]).code, Some(64));
    assert_eq!(run(folder.path(), &["--version"]).code, Some(0));
}
