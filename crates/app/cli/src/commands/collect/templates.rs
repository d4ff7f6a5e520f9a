//! The file that remembers templates and sampling rates over restarts, so that data can be read from the first datagram.
//!
//! A line that names the version, then for each port a line `PORT LENGTH..` with a length for each thread, then the bytes
//! of those lengths. It is only a convenience: whatever is wrong with it, exporters repeat what it held.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const VERSION: &str = "ringfence templates 1";
/// More than this is no file of ours.
const BYTES_MAX: u64 = 1 << 30;

/// What the threads of a port remember.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Remembered {
    /// As `KIND://ADDRESS:PORT`.
    pub(super) port: String,
    pub(super) states: Vec<Vec<u8>>,
}

/// What the file holds; nothing when there is none, or it is not ours or damaged.
pub(super) fn read(path: &Path) -> Vec<Remembered> {
    let small = fs::metadata(path).is_ok_and(|found| found.len() <= BYTES_MAX);
    let bytes = if small { fs::read(path).unwrap_or_default() } else { Vec::new() };
    parse(&bytes).unwrap_or_default()
}

/// Writes the file anew, wholly or not at all.
pub(super) fn write(path: &Path, remembered: &[Remembered]) -> io::Result<()> {
    let mut bytes = format!("{VERSION}\n").into_bytes();
    for Remembered { port, states } in remembered {
        let lengths: Vec<String> = states.iter().map(|state| state.len().to_string()).collect();
        writeln!(bytes, "{port} {}", lengths.join(" "))?;
        states.iter().for_each(|state| bytes.extend(state));
        bytes.push(b'\n');
    }
    let temporary: PathBuf = path.with_extension("templates.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn parse(bytes: &[u8]) -> Option<Vec<Remembered>> {
    let (version, mut rest) = line(bytes)?;
    let mut found = Vec::new();
    if version != VERSION {
        return None;
    }
    while !rest.is_empty() {
        let (head, after) = line(rest)?;
        rest = after;
        let mut words = head.split(' ');
        let port = words.next()?.to_owned();
        let mut states = Vec::new();
        for length in words.filter(|word| !word.is_empty()) {
            let (state, after) = rest.split_at_checked(length.parse().ok()?)?;
            states.push(state.to_vec());
            rest = after;
        }
        rest = rest.strip_prefix(b"\n")?;
        found.push(Remembered { port, states });
    }
    Some(found)
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("collect.templates");
        assert_eq!(read(&path), []);
        let one = Remembered { port: "netflow://[::1]:2055".into(), states: vec![vec![1, b'\n', 3], vec![]] };
        let two = Remembered { port: "ipfix-tcp://127.0.0.1:4739".into(), states: vec![] };
        let both = [one, two];
        write(&path, &both).unwrap();
        assert_eq!(read(&path), both);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            // Cut between ports, what is left is whole; anywhere else nothing is taken.
            assert!([0, 1].contains(&read(&path).len()), "cut at {cut}");
        }
        fs::write(&path, b"ringfence templates 1\nnetflow://a 18446744073709551615\n").unwrap();
        assert_eq!(read(&path), []);
    }
}
