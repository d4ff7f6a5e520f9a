//! Log files that somebody writes, followed beside the listeners.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use intake::{IntakeError, Looked, Position, Summary, Tail};
use lake::Lake;

use super::store::Portion;

/// How often to look whether files have grown.
const EVERY: Duration = Duration::from_secs(1);
/// Rows taken from one file at a time: the listeners' flows must not wait for a log of last year.
const MOST_ROWS: usize = 32_768;
/// The kind of the documents that say how far a file was read; the key is its path.
const KIND: &str = "followed";

/// A format and a file, as `FORMAT:PATH`, or a path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    format: String,
    path: PathBuf,
}

impl FromStr for Followed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = match text.split_once(':') {
            Some((format, path)) if format == "auto" || intake::find(format).is_some() => (format, path),
            Some((format, _)) if !format.is_empty() && format.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => {
                return Err(format!("no flow format is called `{format}`; `ringfence import --list` shows them"));
            }
            _ => ("auto", text),
        };
        if path.is_empty() {
            return Err(format!("`{text}` names no file; expected FORMAT:PATH"));
        }
        Ok(Self { format: format.to_owned(), path: path.into() })
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.format, self.path.display())
    }
}

/// The files that are followed now.
pub(super) struct Follower {
    tails: Vec<(Followed, Tail, Option<String>)>,
    looked: Option<Instant>,
    ended: Summary,
}

impl Follower {
    pub(super) fn new() -> Self {
        Self { tails: Vec::new(), looked: None, ended: Summary::default() }
    }

    /// Follows what is wanted and nothing else. A file that is new here is taken up where it was left, if it was ever
    /// followed into this lake.
    pub(super) fn change(&mut self, wanted: &[Followed], lake: &Path) -> anyhow::Result<()> {
        let (stay, leave) = std::mem::take(&mut self.tails).into_iter().partition(|(one, ..)| wanted.contains(one));
        self.tails = stay;
        for (one, tail, _) in leave as Vec<(Followed, Tail, Option<String>)> {
            eprintln!("no longer following {one}");
            self.ended.merge(tail.summary());
        }
        for one in wanted {
            if self.tails.iter().all(|(known, ..)| known != one) {
                let stored = Lake::open_read(lake)?.document(KIND, &key(&one.path))?;
                let body = stored.and_then(|document| document.body);
                let position: Option<Position> = body.and_then(|body| serde_json::from_value(body).ok());
                eprintln!("following {one}{}", if position.is_some() { ", from where it was left" } else { "" });
                self.tails.push((one.clone(), Tail::new(&one.format, &one.path, position), None));
            }
        }
        Ok(())
    }

    /// Takes what is new, if it is time to look; a file that holds more than one look takes is looked at again at once.
    pub(super) fn turn(&mut self, portion: &mut Portion) {
        if self.looked.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        let mut more = false;
        for (one, tail, told) in &mut self.tails {
            let looked = tail.look(MOST_ROWS, |batch, position| {
                portion.add(batch.clone());
                if let Ok(body) = serde_json::to_value(position) {
                    portion.remember(KIND, &key(&one.path), body);
                }
                Ok::<(), IntakeError>(())
            });
            portion.cover(&tail.take_coverage());
            match looked {
                Ok(looked) => {
                    *told = None;
                    more |= matches!(looked, Looked::More | Looked::Rotated);
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_deref() != Some(&error) {
                        eprintln!("warning: {error}; looked at again every second");
                        *told = Some(error);
                    }
                }
            }
        }
        self.looked = (!more).then(Instant::now);
    }

    /// What was read and lost.
    pub(super) fn summary(&self) -> Summary {
        let mut all = self.ended.clone();
        self.tails.iter().for_each(|(_, tail, _)| all.merge(tail.summary()));
        all
    }
}

fn key(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}
