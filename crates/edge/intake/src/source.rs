//! The table of flow formats, and the reader that each of them gives.

use std::io::{self, Read};
use std::sync::Arc;

use model::{FlowBatch, Micros};

use crate::error::IntakeError;
use crate::ledger::{Ledger, OnReject, Reject, Summary};
use crate::sources::{
    argus, auditd, aws_network_firewall, aws_vpc, azure, calico, cisco_asa, conntrack, envoy, fortinet, gcp,
    hubble, illumio, mapped, netflow, nfdump, packets, paloalto, sflow, silk, suricata, sysmon, ulogd,
    windows_firewall, zeek,
};
use crate::unpack::Packing;

/// About how many rows a reader appends before it returns: small enough for the columns to stay in the processor's
/// cache, large enough that the cost of a call disappears.
pub const BATCH_ROWS: usize = 4_096;

/// How many bytes at the start of an input a source may look at to recognise itself.
const HEAD_BYTES: usize = 16_384;

/// Compression within compression is unpacked so deep.
const LAYERS_MAX: usize = 3;

/// Every flow format. Help, documentation and the conformance tests are driven by this table.
pub static SOURCES: &[&Source] = &[
    &netflow::SOURCE,
    &sflow::SOURCE,
    &packets::SOURCE,
    &aws_vpc::SOURCE,
    &aws_network_firewall::SOURCE,
    &azure::SOURCE,
    &gcp::SOURCE,
    &zeek::SOURCE,
    &suricata::SOURCE,
    &hubble::SOURCE,
    &nfdump::SOURCE,
    &silk::SOURCE,
    &argus::SOURCE,
    &paloalto::SOURCE,
    &fortinet::SOURCE,
    &cisco_asa::SOURCE,
    &illumio::SOURCE,
    &conntrack::SOURCE,
    &ulogd::SOURCE,
    &windows_firewall::SOURCE,
    &sysmon::SOURCE,
    &auditd::SOURCE,
    &calico::SOURCE,
    &envoy::SOURCE,
    &mapped::CSV,
    &mapped::JSON,
    &mapped::PARQUET,
];

/// A flow format.
pub struct Source {
    /// What `ringfence import` calls it.
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// One line for a list.
    pub title: &'static str,
    /// What is read and how, for the reference.
    pub description: &'static str,
    /// How well the reader is known to be right.
    pub status: Status,
    /// Whether an input that starts with these bytes (up to 16,384 of them) is in this format. Looks at content alone.
    pub detect: fn(head: &[u8]) -> bool,
    /// Starts reading. Reads no more than it must; content errors come from [`FlowReader::read`].
    pub open: fn(Input) -> Result<Box<dyn FlowReader>, IntakeError>,
}

/// What a format's reader was checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Records of real systems, against what an independent reader or the system's maker says that they hold.
    Verified,
    /// Examples of the maker's documentation or source code; no independent reader was at hand.
    Documented,
}

impl Status {
    /// The word that lists show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Documented => "documented",
        }
    }
}

/// An input being read.
pub trait FlowReader: Send {
    /// The name of the format: what [`FlowBatch::source`] is to be.
    fn source(&self) -> &'static str;

    /// Appends about [`BATCH_ROWS`] flows to the batch. `false` at the end of the input, when nothing was appended.
    ///
    /// # Errors
    /// When the input is damaged or cannot be read on. All flows before the damage were handed out by earlier calls;
    /// later calls return `false`.
    fn read(&mut self, batch: &mut FlowBatch) -> Result<bool, IntakeError>;

    /// What was read and lost so far.
    fn summary(&self) -> &Summary;

    /// Where a later reading of the same input, grown meanwhile, may go on: behind the last record that was used. `None`
    /// for formats that can only be read from their beginning.
    fn resume(&self) -> Option<Resume> {
        None
    }
}

/// Where to go on in an input that has grown since it was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resume {
    /// The header lines before, which say how the records are to be read.
    pub preamble: Vec<u8>,
    /// Bytes of the input that were used.
    pub offset: u64,
    /// Lines of the input that were used.
    pub line: u64,
}

/// Bytes to be read as flows.
pub struct Input {
    /// What errors and rejects call it: a path, a URL, `stdin`.
    pub label: Arc<str>,
    reader: Box<dyn Read + Send>,
    on_reject: Option<OnReject>,
    resume: Option<Resume>,
    growing: bool,
    offset: Micros,
}

impl Input {
    /// An input from anything that reads. Buffering is done by the sources.
    pub fn new(label: &str, reader: impl Read + Send + 'static) -> Self {
        Self {
            label: label.into(),
            reader: Box::new(reader),
            on_reject: None,
            resume: None,
            growing: false,
            offset: 0,
        }
    }

    /// A file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn file(path: &std::path::Path) -> Result<Self, IntakeError> {
        let label = path.display().to_string();
        match std::fs::File::open(path) {
            Ok(file) => Ok(Self::new(&label, file)),
            Err(source) => Err(IntakeError::Io { action: "open", file: label, source }),
        }
    }

    /// Calls `hear` with every rejected record, also beyond those that [`Summary::rejects`] keeps.
    #[must_use]
    pub fn on_reject(mut self, hear: impl FnMut(&Reject) + Send + 'static) -> Self {
        self.on_reject = Some(Box::new(hear));
        self
    }

    /// Goes on where an earlier reading of the same input stopped; what is read must begin at that offset. Only for
    /// inputs whose reader gave the [`Resume`] itself.
    #[must_use]
    pub fn resume(mut self, at: Resume) -> Self {
        self.resume = Some(at);
        self
    }

    /// More may be written behind the end: half a record there is left for later, and nothing is final yet.
    #[must_use]
    pub fn growing(mut self) -> Self {
        self.growing = true;
        self
    }

    /// What the clock of the input's times is ahead of UTC, in seconds. Only for formats that write local times and do not say
    /// so; all others have no use for it.
    #[must_use]
    pub fn utc_offset(mut self, seconds: i32) -> Self {
        self.offset = Micros::from(seconds) * 1_000_000;
        self
    }

    /// The offset of [`Input::utc_offset`].
    pub(crate) fn offset_from_utc(&self) -> Micros {
        self.offset
    }

    /// The bytes, where they begin, whether more comes, and the ledger.
    pub(crate) fn into_text_parts(self) -> (Box<dyn Read + Send>, Option<Resume>, bool, Ledger) {
        (self.reader, self.resume, self.growing, Ledger::new(self.label, self.on_reject))
    }

    /// The bytes, and the ledger to keep while reading them.
    pub(crate) fn into_parts(self) -> (Box<dyn Read + Send>, Ledger) {
        (self.reader, Ledger::new(self.label, self.on_reject))
    }

    /// Unpacks what is compressed (gzip, zstd, xz, bzip2, one within another) and makes UTF-8 of UTF-16 with its mark, as
    /// told by the content.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn unpacked(mut self) -> Result<Self, IntakeError> {
        for _ in 0..LAYERS_MAX {
            let head = self.peek()?;
            let Some(packing) = Packing::of(&head) else { return Ok(self) };
            let packed = std::mem::replace(&mut self.reader, Box::new(io::empty()));
            self.reader = packing.unpack(packed).map_err(|source| self.unreadable(source))?;
        }
        Ok(self)
    }

    /// The format that the content is in, unpacked if need be; nothing is consumed.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn recognise(&mut self) -> Result<Option<&'static Source>, IntakeError> {
        Ok(detect(&self.peek()?))
    }

    /// Reads the first bytes without consuming them. An error behind them waits for whoever reads that far.
    pub(crate) fn peek(&mut self) -> Result<Vec<u8>, IntakeError> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let mut reader = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        let outcome = reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head);
        let first = io::Cursor::new(head.clone());
        match outcome {
            Ok(_) => self.reader = Box::new(first.chain(reader)),
            Err(source) if head.is_empty() => return Err(self.unreadable(source)),
            Err(source) => self.reader = Box::new(first.chain(Broken(Some(source)))),
        }
        Ok(head)
    }

    fn unreadable(&self, source: io::Error) -> IntakeError {
        IntakeError::Io { action: "read", file: self.label.to_string(), source }
    }
}

/// An input that breaks here.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The source of a name or alias.
pub fn find(name: &str) -> Option<&'static Source> {
    SOURCES.iter().copied().find(|source| source.name == name || source.aliases.contains(&name))
}

/// The source that recognises an input by its first bytes (16,384 are enough). Names are never looked at.
pub fn detect(head: &[u8]) -> Option<&'static Source> {
    SOURCES.iter().copied().find(|source| (source.detect)(head))
}

/// Starts reading an input in a named format, by its content when the format is `auto`, or as a mapping file says when it is
/// `mapping:FILE`. What is compressed is unpacked.
///
/// # Errors
/// When no format has the name, or `auto` recognises nothing, or the input cannot be read or is empty.
pub fn open(format: &str, mut input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    if let Some(file) = format.strip_prefix(mapped::PREFIX) {
        return mapped::open_mapped(file, input.unpacked()?);
    }
    if format != "auto" {
        let source = find(format).ok_or_else(|| IntakeError::UnknownFormat {
            name: format.to_owned(),
            known: SOURCES.iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", "),
        })?;
        return (source.open)(input.unpacked()?);
    }
    input = input.unpacked()?;
    let head = input.peek()?;
    if head.is_empty() {
        return Err(IntakeError::Empty {
            file: input.label.to_string(),
            expected: "flows: exporter datagrams, a capture of them, or a flow log",
        });
    }
    match detect(&head) {
        Some(source) => (source.open)(input),
        None => Err(IntakeError::Unrecognised { file: input.label.to_string(), hint: hint(&head) }),
    }
}

fn hint(head: &[u8]) -> String {
    let known: Vec<_> = SOURCES.iter().map(|source| source.title).collect();
    let looks = match head {
        [b'P', b'K', 3, 4, ..] => "it is a ZIP archive; unpack it first".to_owned(),
        _ => {
            let shown: String = head
                .iter()
                .take(24)
                .map(|b| char::from(*b))
                .map(|c| if c.is_ascii_graphic() { c } else { '.' })
                .collect();
            format!("it starts with `{shown}`")
        }
    };
    format!(
        "{looks}; expected {}; name the format instead of `auto` if it is one of them",
        known.join("; or ")
    )
}
