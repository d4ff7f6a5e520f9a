//! A reader that goes away ends a command quietly.

use std::process::{Command, Stdio};

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
