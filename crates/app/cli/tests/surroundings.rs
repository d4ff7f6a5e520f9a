//! The command among others: a reader that goes away, variables that are meant for another project.

use std::process::{Command, Stdio};

/// The demo has a project of its own: it once wrote into the lake that `RINGFENCE_LAKE` names.
#[test]
fn the_demo_leaves_the_project_of_the_environment_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (demo, lake, policies) =
        (folder.path().join("demo"), folder.path().join("lake"), folder.path().join("p"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(["demo", "--out"]).arg(&demo);
    let done = command.env("RINGFENCE_LAKE", &lake).env("RINGFENCE_POLICIES", &policies).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!lake.exists() && !policies.exists());
    assert!(demo.join(".ringfence").exists() && demo.join("report.html").exists());
}

#[test]
fn a_closed_pipe_is_quiet() {
    for arguments in [&["policy", "schema"][..], &["completions", "bash"], &["man"], &["import", "--list"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        let done = command.args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && told.is_empty(), "{arguments:?}: {} {told}", done.status);
    }
}
