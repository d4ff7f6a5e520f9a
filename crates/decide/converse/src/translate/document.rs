//! The table as a document that is stored beside an import.

use model::{Ip, Micros, Service};
use serde::{Deserialize, Serialize};

use super::{Backend, Frontend, Insider, Source, Translations};

/// Version of the document.
const FORMAT_VERSION: u32 = 1;

/// What is written: lists, for names of JSON objects cannot be addresses with services.
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    format_version: u32,
    services: Vec<ServiceEntry>,
    sources: Vec<SourceEntry>,
    undecided: u64,
    left_out: u64,
}

#[derive(Serialize, Deserialize)]
struct ServiceEntry {
    ip: Ip,
    service: Service,
    backends: Vec<Backend>,
}

#[derive(Serialize, Deserialize)]
struct SourceEntry {
    ip: Ip,
    records: u64,
    balanced: u64,
    insiders: Vec<Insider>,
}

impl From<Translations> for Document {
    fn from(table: Translations) -> Self {
        let service = |((ip, service), frontend): ((Ip, Service), Frontend)| ServiceEntry {
            ip,
            service,
            backends: frontend.backends,
        };
        let source = |(ip, source): (Ip, Source)| SourceEntry {
            ip,
            records: source.records,
            balanced: source.balanced,
            insiders: source.insiders,
        };
        Self {
            format_version: FORMAT_VERSION,
            services: table.services.into_iter().map(service).collect(),
            sources: table.sources.into_iter().map(source).collect(),
            undecided: table.undecided,
            left_out: table.left_out,
        }
    }
}

impl TryFrom<Document> for Translations {
    type Error = String;

    /// Everything is added anew, so that a document that was tampered with is held to the same bounds.
    fn try_from(document: Document) -> Result<Self, String> {
        if document.format_version != FORMAT_VERSION {
            return Err(format!(
                "a table of translations in format `{}`; this version reads {FORMAT_VERSION}: import the source again",
                document.format_version
            ));
        }
        let mut table =
            Self { undecided: document.undecided, left_out: document.left_out, ..Self::default() };
        for entry in document.services {
            entry.backends.iter().for_each(|backend| table.add_backend(entry.ip, entry.service, backend));
        }
        for SourceEntry { ip, records, balanced, insiders } in document.sources {
            let last = insiders.iter().map(|insider| insider.seen.last).max().unwrap_or(Micros::MIN);
            table.add_source(ip, &Source { insiders, records, balanced, last });
        }
        Ok(table)
    }
}
