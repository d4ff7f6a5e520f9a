//! A collector that runs beside a test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::ringfence;

/// How long anything may take before a test gives up: machines are slow, and none of this is about time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `ringfence collect`.
pub(crate) struct Collector {
    child: Child,
    lines: Receiver<String>,
    /// Everything that it has said and was read.
    pub(crate) said: Vec<String>,
}

impl Collector {
    /// Starts one in a folder with more options than that it stores every second.
    pub(crate) fn start(folder: &Path, options: &[&str]) -> Self {
        let arguments = [&["collect", "--every", "1"], options].concat();
        let mut command = ringfence(folder, &arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines, said: Vec::new() }
    }

    /// The port of the next listener that it names, or of its counters.
    pub(crate) fn port(&mut self) -> u16 {
        let line = self.wait_for("127.0.0.1:");
        let rest = line.split("127.0.0.1:").nth(1).unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("no port in `{line}`"))
    }

    /// Reads until a line has these words; gives the line.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let limit = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("it never said `{words}`: {:?}", self.said),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before `{words}`: {:?}", self.said),
            }
        }
    }

    /// What it said it has stored, by all lines that it wrote until now.
    pub(crate) fn reported(&mut self) -> u64 {
        self.said.extend(self.lines.try_iter());
        self.reported_last()
    }

    fn reported_last(&self) -> u64 {
        let mut totals =
            self.said.iter().rev().filter_map(|line| line.split_once(" flows (")?.1.split_once(" in all"));
        totals.next().map_or(0, |(total, _)| total.replace(',', "").parse().unwrap())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Stops it as Ctrl-C does; gives how it ended, and everything that it said.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("-INT");
        let status = self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        (status, self.said.join("\n"))
    }

    /// Kills it without warning; gives what it had reported as stored.
    pub(crate) fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        self.reported_last()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
