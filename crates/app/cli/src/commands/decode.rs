//! `ringfence decode`.

use std::io::Write as _;

use anyhow::bail;
use converse::{ServiceTable, Stitcher};
use model::FlowBatch;
use model::canonical::write_flow;

use crate::flow_input::{FlowArgs, list_formats, malformed_text, print_losses, read_oriented};
use crate::output::{Format, Listing};
use crate::{Exit, Global};

/// Halves further apart than this are two conversations.
const STITCH_GAP_US: i64 = 120_000_000;

#[derive(clap::Args)]
pub(crate) struct Decode {
    #[command(flatten)]
    input: FlowArgs,
    /// Join the two halves of conversations into one record, client first.
    #[arg(long)]
    stitch: bool,
}

impl Decode {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.input.list {
            return list_formats(global.format_or(Format::Table)).map(|()| Exit::Ok);
        }
        let pieces = self.input.pieces()?;
        let rejects = self.input.reject_log()?;
        let mut table = ServiceTable::new();
        let mut printer = Printer::new(global.format_or(Format::Ndjson));
        let mut failures = 0;
        for piece in &pieces {
            let mut stitcher: Option<Stitcher> = None;
            let outcome = read_oriented(self.input.format(), piece, &rejects, &mut table, |chunk| {
                if self.stitch {
                    let stitcher =
                        stitcher.get_or_insert_with(|| Stitcher::new(chunk.source, STITCH_GAP_US));
                    printer.print(&stitcher.add(chunk))
                } else {
                    printer.print(chunk)
                }
            });
            if let Some(mut stitcher) = stitcher {
                printer.print(&stitcher.finish())?;
            }
            let damage = match outcome {
                Ok(outcome) => {
                    print_losses(&outcome.summary);
                    let malformed = malformed_text(&piece.label, &outcome.summary).map(anyhow::Error::msg);
                    outcome.damage.map(anyhow::Error::from).or(malformed)
                }
                Err(error) if crate::is_broken_pipe(&error) => return Err(error),
                Err(error) => Some(error),
            };
            if let Some(error) = damage {
                anstream::eprintln!("\u{1b}[1;31merror:\u{1b}[0m {error:#}");
                failures += 1;
            }
        }
        printer.finish()?;
        rejects.finish()?;
        if failures > 0 {
            let inputs = if pieces.len() == 1 {
                "the input".to_owned()
            } else {
                format!("{failures} of {} inputs", pieces.len())
            };
            bail!("{inputs} could not be read as a whole");
        }
        Ok(Exit::Ok)
    }
}

/// Prints flows as they come; only a table or one document needs them all.
pub(crate) struct Printer {
    format: Format,
    out: std::io::BufWriter<std::io::Stdout>,
    buffer: Vec<u8>,
    listing: Listing,
}

const COLUMNS: [&str; 13] = [
    "start",
    "end",
    "protocol",
    "src_ip",
    "src_port",
    "dst_ip",
    "dst_port",
    "packets",
    "bytes",
    "verdict",
    "client",
    "client_confidence",
    "exporter",
];

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            out: std::io::BufWriter::new(std::io::stdout()),
            buffer: Vec::new(),
            listing: Listing::new(&COLUMNS),
        }
    }

    pub(crate) fn print(&mut self, batch: &FlowBatch) -> anyhow::Result<()> {
        for row in 0..batch.len() {
            self.buffer.clear();
            write_flow(batch, row, &mut self.buffer);
            if self.format == Format::Ndjson {
                self.out.write_all(&self.buffer)?;
                continue;
            }
            let object: serde_json::Value = serde_json::from_slice(&self.buffer)?;
            let cell = |name: &str| match object.get(name) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            self.listing.row(COLUMNS.iter().map(|name| cell(name)));
            self.listing.objects.push(object);
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush()?;
        if self.format == Format::Ndjson { Ok(()) } else { self.listing.print(self.format) }
    }
}
