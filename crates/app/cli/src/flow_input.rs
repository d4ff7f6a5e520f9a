//! Flow files of a command line, read in chunks: conversations need more than one batch to be told apart.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use converse::ServiceTable;
use intake::{Input, Place, Reject, Summary};
use model::FlowBatch;
use remote::{Object, Remote};
use serde_json::json;

use crate::UsageError;

/// Rows that are oriented together, and the most that is held in memory (about 120 bytes each).
const CHUNK_ROWS: usize = 262_144;

/// Files, folders, patterns, objects or `-`, in a format.
#[derive(clap::Args)]
pub(crate) struct FlowArgs {
    /// Flow format, or `auto` to tell it by the content; `--list` shows them.
    #[arg(required_unless_present = "list")]
    format: Option<String>,
    /// Files, folders (their files, by name), patterns with `*` and `**`, objects and prefixes of object stores
    /// (`s3://bucket/prefix/`, `az://..`, `gs://..`), or `-` for standard input. What is compressed is unpacked.
    #[arg(required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// List the formats and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// Times without a zone (Windows firewall, kernel and audit logs) are so far from UTC.
    #[arg(long, value_name = "+HH:MM", default_value = "+00:00", allow_hyphen_values = true, value_parser = offset)]
    utc_offset: i32,
    /// Write rejected records to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

/// One input: where it is, and what it is called.
pub(crate) struct Piece {
    pub(crate) origin: Origin,
    pub(crate) label: String,
    /// How far times without a zone are from UTC, in seconds.
    pub(crate) utc_offset_s: i32,
}

/// Where an input is.
#[derive(Clone)]
pub(crate) enum Origin {
    Stdin,
    File(PathBuf),
    Object(Arc<Remote>, Box<Object>),
}

impl Piece {
    /// A file.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self { label: path.display().to_string(), origin: Origin::File(path), utc_offset_s: 0 }
    }

    /// Its bytes, from the beginning.
    pub(crate) fn open(&self) -> anyhow::Result<Input> {
        let input = match &self.origin {
            Origin::Stdin => Input::new(&self.label, std::io::stdin()),
            Origin::File(path) => Input::file(path).map_err(once)?,
            Origin::Object(remote, object) => Input::new(&self.label, remote.open(object, 0)?),
        };
        Ok(input.utc_offset(self.utc_offset_s))
    }
}

impl FlowArgs {
    /// The format's name.
    pub(crate) fn format(&self) -> &str {
        self.format.as_deref().unwrap_or("auto")
    }

    /// Every input, folders expanded; standard input is spooled to a file first, so that it can be read twice.
    pub(crate) fn pieces(&self) -> anyhow::Result<Vec<Piece>> {
        let mapped = self.format().starts_with("mapping:");
        if self.format() != "auto" && !mapped && intake::find(self.format()).is_none() {
            let known: Vec<_> = intake::SOURCES.iter().map(|s| s.name).collect();
            return Err(UsageError(format!(
                "no flow format is called `{}`; the formats are {}, or `auto`",
                self.format(),
                known.join(", ")
            ))
            .into());
        }
        let mut pieces = Vec::new();
        let mut remote = None;
        for path in &self.paths {
            let before = pieces.len();
            let word = path.to_string_lossy();
            if path == Path::new("-") {
                pieces.push(Piece { origin: Origin::Stdin, label: "stdin".to_owned(), utc_offset_s: 0 });
            } else if remote::is_url(&word) {
                objects(&word, &mut remote, &mut pieces)?;
            } else if path.is_dir() {
                expand(path, &mut pieces)?;
                if pieces.len() == before {
                    bail!("`{word}` is a folder without files");
                }
            } else if !path.exists() && word.contains(['*', '?', '[']) {
                matching(&word, &mut pieces)?;
                if pieces.len() == before {
                    bail!("no file matches `{word}`");
                }
            } else {
                pieces.push(Piece::file(path.clone()));
            }
        }
        pieces.iter_mut().for_each(|piece| piece.utc_offset_s = self.utc_offset);
        Ok(pieces)
    }

    /// Where rejects go.
    pub(crate) fn reject_log(&self) -> anyhow::Result<RejectLog> {
        let file = match &self.rejects {
            Some(path) => {
                let file =
                    File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
                Some(Arc::new(Mutex::new(BufWriter::new(file))))
            }
            None => None,
        };
        Ok(RejectLog { file })
    }
}

/// `+01:00`, `-05:30` or `+02` as seconds.
fn offset(text: &str) -> Result<i32, String> {
    let wrong = || format!("`{text}` is not an offset from UTC; expected one like `+01:00`");
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let number =
        |text: &str, most: i32| text.parse::<i32>().ok().filter(|n| (0..=most).contains(n)).ok_or_else(wrong);
    Ok(sign * (number(hours, 14)? * 3_600 + number(minutes, 59)? * 60))
}

/// The error as it says itself, which is with its cause: a chain would say that once more.
pub(crate) fn once(error: intake::IntakeError) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

/// The objects that a URL names.
fn objects(url: &str, remote: &mut Option<Arc<Remote>>, pieces: &mut Vec<Piece>) -> anyhow::Result<()> {
    let remote = match remote {
        Some(remote) => remote,
        None => remote.insert(Arc::new(Remote::new(std::env::vars())?)),
    };
    for object in remote.list(url)? {
        let label = object.url.clone();
        let origin = Origin::Object(Arc::clone(remote), Box::new(object));
        pieces.push(Piece { origin, label, utc_offset_s: 0 });
    }
    Ok(())
}

/// The files that match a pattern, and those in folders that do, by name. Shells do it too, but not in configuration,
/// not on Windows, and not for more names than fit a command line.
fn matching(pattern: &str, pieces: &mut Vec<Piece>) -> anyhow::Result<()> {
    let paths =
        glob::glob(pattern).map_err(|error| UsageError(format!("`{pattern}` is no pattern: {error}")))?;
    for path in paths {
        let path = path.with_context(|| format!("cannot look for `{pattern}`"))?;
        if path.is_dir() {
            expand(&path, pieces)?;
        } else {
            pieces.push(Piece::file(path));
        }
    }
    Ok(())
}

fn expand(folder: &Path, pieces: &mut Vec<Piece>) -> anyhow::Result<()> {
    let failed = || format!("cannot read the folder `{}`", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .with_context(failed)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(failed)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            expand(&path, pieces)?;
        } else if path.is_file() {
            pieces.push(Piece::file(path));
        }
    }
    Ok(())
}

/// A file of rejected records.
#[derive(Clone)]
pub(crate) struct RejectLog {
    file: Option<Arc<Mutex<BufWriter<File>>>>,
}

impl RejectLog {
    /// Rejects go nowhere; the summary still counts them.
    pub(crate) const fn none() -> Self {
        Self { file: None }
    }

    fn attach(&self, input: Input) -> Input {
        let Some(file) = self.file.clone() else { return input };
        input.on_reject(move |reject| {
            if let Ok(mut file) = file.lock() {
                // A full disk shows when the log is finished.
                let _ = writeln!(file, "{}", reject_json(reject));
            }
        })
    }

    /// Writes out what is buffered.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        if let Some(file) = &self.file
            && let Ok(mut file) = file.lock()
        {
            file.flush().context("cannot write the rejects")?;
        }
        Ok(())
    }
}

fn reject_json(reject: &Reject) -> serde_json::Value {
    let (key, at) = match reject.place {
        Place::Offset(at) => ("offset", at),
        Place::Line(at) => ("line", at),
    };
    json!({ "file": &*reject.file, key: at, "reason": reject.reason })
}

/// What reading one input gave.
pub(crate) struct Outcome {
    /// What was read and lost.
    pub(crate) summary: Summary,
    /// The format it was in.
    pub(crate) format: &'static str,
    /// Why it could not be read to its end.
    pub(crate) damage: Option<intake::IntakeError>,
    /// Up to which byte the input stays as it is when it grows, as far as its format tells.
    pub(crate) settled: Option<u64>,
}

impl Outcome {
    /// What was received and lost by exporter and hour, without the flows.
    pub(crate) fn coverage(&self) -> model::CoverageTable {
        self.summary.coverage()
    }
}

/// Reads one input, orients its flows chunk by chunk with all evidence so far, and hands each chunk out.
///
/// Damage in the middle is part of the outcome: what came before it was handed out.
pub(crate) fn read_oriented(
    format: &str,
    piece: &Piece,
    rejects: &RejectLog,
    table: &mut ServiceTable,
    mut chunk_ready: impl FnMut(&mut FlowBatch) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut reader = intake::open(format, rejects.attach(piece.open()?)).map_err(once)?;
    let mut chunk = FlowBatch::new(reader.source());
    let mut batch = FlowBatch::new(reader.source());
    let mut damage = None;
    loop {
        let more = match reader.read(&mut batch) {
            Ok(more) => more,
            Err(error) => {
                damage = Some(error);
                false
            }
        };
        table.learn(&batch);
        chunk.append(&batch);
        batch.clear();
        let last = !more;
        if chunk.len() >= CHUNK_ROWS || (last && !chunk.is_empty()) {
            converse::orient(&mut chunk, table);
            chunk_ready(&mut chunk)?;
            chunk.clear();
        }
        if last {
            break;
        }
    }
    let settled = reader.resume().map(|resume| resume.offset);
    Ok(Outcome { summary: reader.summary().clone(), format: reader.source(), damage, settled })
}

/// What was read and lost, for people, on stderr.
pub(crate) fn print_losses(summary: &Summary) {
    for (reason, dropped) in &summary.dropped {
        eprintln!("  not used: {} x {reason} ({})", dropped.count, crate::output::bytes_text(dropped.bytes));
    }
    for (exporter, sequence) in summary.sequences.iter().filter(|(_, s)| s.missing > 0) {
        eprintln!(
            "  lost on the way: {} from exporter {exporter}, in {} gaps",
            sequence.missing, sequence.gaps
        );
    }
    for (exporter, notes) in &summary.exporters {
        if notes.shifted_datagrams > 0 {
            eprintln!(
                "  exporter {exporter} has a wrong clock: {} s were added to the times of {} datagrams",
                notes.clock_shift_us / 1_000_000,
                crate::output::grouped(notes.shifted_datagrams)
            );
        }
        if notes.restarts > 0 {
            eprintln!(
                "  exporter {exporter} started anew {} times; its templates were asked for again",
                notes.restarts
            );
        }
        if notes.unlikely_records > 0 {
            eprintln!(
                "  exporter {exporter} sent {} records with times that cannot be; look whether its templates are its own",
                crate::output::grouped(notes.unlikely_records)
            );
        }
    }
    if summary.untimed > 0 {
        eprintln!("  without a time: {} flows, kept at 1970-01-01", summary.untimed);
    }
    if summary.lost_intervals > 0 {
        eprintln!("  the source itself lost records in {} intervals", summary.lost_intervals);
    }
    for reject in summary.rejects.iter().take(5) {
        eprintln!("  rejected: {reject}");
    }
    if summary.rejected > 5 {
        eprintln!("  and {} more rejected records (--rejects FILE lists them)", summary.rejected - 5);
    }
}

/// What is said of an input with records that make no sense; nothing when all of them do.
pub(crate) fn malformed_text(label: &str, summary: &Summary) -> Option<String> {
    let (count, flows) = (summary.malformed(), crate::output::grouped(summary.flows));
    let records = if count == 1 {
        "1 malformed record"
    } else {
        &format!("{} malformed records", crate::output::grouped(count))
    };
    (count > 0).then(|| {
        format!(
            "`{label}` has {records} (--rejects FILE lists where and why); the {flows} flows beside were kept"
        )
    })
}

/// The table of formats. `verified`: read against real systems' records and an independent reader; `documented`: against
/// their maker's documentation.
pub(crate) fn list_formats(format: crate::output::Format) -> anyhow::Result<()> {
    let mut listing = crate::output::Listing::new(&["format", "status", "title", "description"]);
    for source in intake::SOURCES {
        let cells = [source.name, source.status.name(), source.title, source.description];
        listing.row(cells.map(str::to_owned));
    }
    listing.print(format)
}
