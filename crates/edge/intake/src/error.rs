//! Why an input could not be read to its end.

use std::io;

/// Why an input could not be read to its end. Flows decoded before the damage were already handed out.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The operating system refused.
    #[error("cannot {action} `{file}`: {source}")]
    Io {
        /// What was tried: `read`, `open`, `listen on`.
        action: &'static str,
        /// The input's label.
        file: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("`{file}` is empty; expected {expected}; look at what wrote or copied it")]
    Empty {
        /// The input's label.
        file: String,
        /// What would have been read.
        expected: &'static str,
    },
    /// No source knows the format by its name.
    #[error("no flow format is called `{name}`; the formats are {known}, or `auto`")]
    UnknownFormat {
        /// What was asked for.
        name: String,
        /// The names of the table, listed.
        known: String,
    },
    /// No source recognises the content.
    #[error("`{file}` is in no known flow format: {hint}")]
    Unrecognised {
        /// The input's label.
        file: String,
        /// What it looks like, and what to do.
        hint: String,
    },
    /// The format has no place where a later reading could go on.
    #[error("`{file}` cannot be followed: {format} can only be read whole; import it when it is complete")]
    NotFollowable {
        /// The input's label.
        file: String,
        /// The format's name.
        format: &'static str,
    },
    /// The input ends within a record. What came before was kept.
    #[error(
        "`{file}` is cut off at byte {offset}: {what} needs {expected} bytes and {got} are left; \
         {}", kept(.flows)
    )]
    Truncated {
        /// The input's label.
        file: String,
        /// Where the unfinished record begins, in bytes from the start of the input.
        offset: u64,
        /// What was being read.
        what: &'static str,
        /// How many bytes it needs.
        expected: u64,
        /// How many bytes there are.
        got: u64,
        /// Flows handed out before.
        flows: u64,
    },
    /// The input stops making sense. What came before was kept.
    #[error("`{file}` is damaged at byte {offset}: {reason}; {}", kept(.flows))]
    Damaged {
        /// The input's label.
        file: String,
        /// Where, in bytes from the start of the input.
        offset: u64,
        /// What was found and what was expected.
        reason: String,
        /// Flows handed out before.
        flows: u64,
    },
    /// A capture that holds no exporter's datagrams.
    #[error(
        "no {what} datagrams in {packets} packets of `{file}`; is this a capture of raw traffic? Expected a capture of what \
         an exporter sends to its collector; to make flows of raw traffic, read it as `pcap`"
    )]
    NoDatagrams {
        /// The input's label.
        file: String,
        /// Packets looked at.
        packets: u64,
        /// What was looked for.
        what: &'static str,
    },
    /// A text file without a usable header.
    #[error("`{file}`, line {line}: {reason}")]
    Header {
        /// The input's label.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What was found, what was expected, what to do.
        reason: String,
    },
}

fn kept(flows: &u64) -> String {
    match flows {
        0 => "no flows came before it".to_owned(),
        1 => "the flow before it was kept".to_owned(),
        _ => format!("the {flows} flows before it were kept"),
    }
}
