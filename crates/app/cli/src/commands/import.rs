//! `ringfence import`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use converse::{Rollup, ServiceTable};
use indicatif::{ProgressBar, ProgressStyle};
use lake::{Begun, HOUR_US, ImportReceipt, Lake, SourceIdentity};
use model::CoverageTable;
use serde_json::json;

use crate::project::open_lake;
use crate::flow_input::{
    FlowArgs, Origin, Outcome, Piece, RejectLog, list_formats, malformed_text, once, print_losses, read_oriented,
};
use crate::output::{Format, Listing, bytes_text, grouped};
use crate::seen::Seen;
use crate::{Exit, Global};

/// Rollup rows held before they are handed to the lake (about 150 bytes each).
const ROLLUP_ROWS: usize = 500_000;

#[derive(clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    input: FlowArgs,
    /// Import again what was imported before: the flows are read anew and replace what is stored.
    #[arg(long)]
    again: bool,
}

/// What became of one input.
pub(crate) enum Done {
    /// Its flows are stored.
    Stored(ImportReceipt, Box<Outcome>, CoverageTable),
    /// They were stored before.
    Before(ImportReceipt),
}

impl Import {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.input.list {
            return list_formats(global.format_or(Format::Table)).map(|()| Exit::Ok);
        }
        let pieces = self.input.pieces()?;
        let project = global.project()?;
        let mut lake = open_lake(&project.lake)?;
        let rejects = self.input.reject_log()?;
        let mut table = ServiceTable::new();
        let mut listing = Listing::new(&["file", "format", "flows", "conversations", "status"]);
        let mut flows = 0;
        let mut stored = Vec::new();
        let mut trouble = Trouble { inputs: pieces.len(), ..Trouble::default() };
        for piece in &pieces {
            match store(&mut lake, self.input.format(), piece, &rejects, &mut table, self.again) {
                Ok(Done::Stored(receipt, outcome, coverage)) => {
                    flows += receipt.flows;
                    print_losses(&outcome.summary);
                    let damage = damage_of(piece, &outcome);
                    add(
                        &mut listing,
                        piece,
                        &receipt,
                        outcome.format,
                        if damage.is_some() { "damaged" } else { "stored" },
                    );
                    stored.push((receipt.format.clone(), coverage));
                    if let Some(damage) = damage {
                        anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {damage}");
                        trouble.damaged += 1;
                    }
                }
                Ok(Done::Before(receipt)) => {
                    add(&mut listing, piece, &receipt, &receipt.format, "stored before")
                }
                Err(error) => {
                    anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {error:#}");
                    trouble.failed += 1;
                }
            }
        }
        rejects.finish()?;
        listing.summary = format!("{} flows stored in `{}`", grouped(flows), project.lake.display());
        let seen = Seen::of_tables(stored.iter().map(|(format, table)| (format.as_str(), table)));
        if seen.assessment.score.is_some() {
            listing.summary.push_str(&format!("\nof this import: {}", seen.line()));
            let count = coverage::gaps(&seen.assessment, &seen.baseline).len();
            if count > 0 {
                listing.summary.push_str("; `ringfence doctor` says what is missing");
            }
            listing.document(json!({ "items": listing.objects, "visibility": seen.json() }));
        }
        listing.print(global.format_or(Format::Table))?;
        if let Some(sentence) = trouble.sentence() {
            bail!("{sentence}");
        }
        Ok(Exit::Ok)
    }
}

/// Inputs that did not go well.
#[derive(Default)]
struct Trouble {
    inputs: usize,
    /// Nothing of them is stored.
    failed: usize,
    /// What could be read of them is stored.
    damaged: usize,
}

impl Trouble {
    fn sentence(&self) -> Option<String> {
        let Self { inputs, failed, damaged } = *self;
        let mut parts = Vec::new();
        if inputs == 1 {
            let only = ["nothing was stored", "the input is damaged; what could be read of it is stored"];
            return (failed + damaged > 0).then(|| only[damaged].to_owned());
        }
        if failed > 0 {
            parts.push(format!("nothing was stored of {failed} of {inputs} inputs"));
        }
        if damaged > 0 {
            parts.push(format!(
                "{damaged} of {inputs} inputs are damaged, and what could be read of them is stored"
            ));
        }
        let sound = inputs - failed - damaged;
        if sound > 0 && !parts.is_empty() {
            parts.push(format!("the other {sound} went well"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What is wrong with an input whose flows are stored, as far as they could be read.
fn damage_of(piece: &Piece, outcome: &Outcome) -> Option<String> {
    if let Some(damage) = &outcome.damage {
        return Some(damage.to_string());
    }
    malformed_text(&piece.label, &outcome.summary)
}

fn add(listing: &mut Listing, piece: &Piece, receipt: &ImportReceipt, format: &str, status: &str) {
    listing.objects.push(json!({
        "file": piece.label, "format": format, "flows": receipt.flows, "conversations": receipt.edges,
        "bytes_stored": receipt.bytes, "status": status,
    }));
    listing.row([
        piece.label.clone(),
        format.to_owned(),
        grouped(receipt.flows),
        grouped(receipt.edges),
        status.to_owned(),
    ]);
}

/// Stores one input: all of it in one transaction.
pub(crate) fn store(
    lake: &mut Lake,
    format: &str,
    piece: &Piece,
    rejects: &RejectLog,
    table: &mut ServiceTable,
    again: bool,
) -> anyhow::Result<Done> {
    let failed = || format!("cannot read `{}`", piece.label);
    // Standard input is known by its content like any other source, so it has to be there as a whole first.
    let spooled;
    let piece = match piece.origin {
        Origin::Stdin => {
            spooled = spool(lake.root())?;
            &Piece {
                origin: Origin::File(spooled.path().to_path_buf()),
                label: piece.label.clone(),
                utc_offset_s: piece.utc_offset_s,
            }
        }
        _ => piece,
    };
    // A source is the same whether its format was named or recognised.
    let known = match format {
        "auto" => piece.open()?.unpacked().and_then(|mut input| input.recognise()).map_err(once)?,
        name => intake::find(name),
    };
    let format_name = known.map_or(format, |source| source.name);
    let (identity, size) = match &piece.origin {
        Origin::Object(_, object) => {
            let of = SourceIdentity::of_version(format_name, &piece.label, &object.version, object.size);
            (of, object.size)
        }
        Origin::File(path) => {
            let file = File::open(path).with_context(failed)?;
            let of = SourceIdentity::of_reader(format_name, &piece.label, file).with_context(failed)?;
            let size = of.size;
            (of, size)
        }
        Origin::Stdin => bail!("standard input was not kept"),
    };
    let beginning = |size| match &piece.origin {
        Origin::File(path) => {
            let first = File::open(path)?.take(size);
            SourceIdentity::of_reader("", "", first).map(|identity| identity.sha256)
        }
        _ => Ok([0; 32]),
    };
    let earlier = match &piece.origin {
        // What an object was before is gone from its store, whatever changed in it.
        Origin::Object(..) => lake.import_superseded_by(&identity)?,
        _ => lake.import_continued_by(&identity, &beginning)?,
    };
    let mut transaction = if again {
        lake.begin_import_again(identity)?
    } else if let Some(earlier) = earlier {
        eprintln!(
            "`{}` holds more than when it was imported before; its flows replace those of then",
            piece.label
        );
        lake.begin_import_continuing(identity, earlier)?
    } else {
        match lake.begin_import(identity)? {
            Begun::AlreadyImported(receipt) => return Ok(Done::Before(receipt)),
            Begun::New(transaction) => transaction,
        }
    };
    let progress = progress(&piece.label, size);
    let mut rollup = Rollup::new(HOUR_US);
    let outcome = read_oriented(format, piece, rejects, table, |chunk| {
        rollup.add(chunk);
        if rollup.len() >= ROLLUP_ROWS {
            transaction.append_rollups(&rollup.drain())?;
        }
        transaction.append(chunk)?;
        progress.set_message(format!("{} flows", grouped(transaction.flows())));
        progress.tick();
        Ok(())
    })?;
    transaction.append_rollups(&rollup.drain())?;
    transaction.append_coverage(&outcome.coverage());
    // A store that could not be reached to the end says nothing about the object: it is read again the next time.
    let unreachable = outcome.damage.as_ref().is_some_and(|damage| {
        matches!(damage, intake::IntakeError::Io { source, .. } if remote::is_store_failure(source))
    });
    if unreachable || outcome.damage.is_some() && transaction.flows() == 0 {
        // Nothing was gained: the error is all there is to say, and a mended file may be imported under this name.
        return Err(outcome.damage.map_or_else(|| anyhow::anyhow!("nothing was read"), Into::into));
    }
    // Of what is packed, the offsets are not those of the file.
    if let Some(settled) = outcome.settled.filter(|at| *at < size && outcome.summary.bytes_read == size) {
        transaction.settle(settled, &beginning(settled).with_context(failed)?);
    }
    let coverage = transaction.coverage().clone();
    let receipt = transaction.commit()?;
    progress.finish_and_clear();
    Ok(Done::Stored(receipt, Box::new(outcome), coverage))
}

fn spool(folder: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file =
        tempfile::NamedTempFile::new_in(folder).context("cannot keep standard input in the lake's folder")?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file).context("cannot read standard input")?;
    Ok(file)
}

/// Shown on a terminal only.
fn progress(label: &str, size: u64) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(format!("{label} ({})", bytes_text(size)));
    bar
}
