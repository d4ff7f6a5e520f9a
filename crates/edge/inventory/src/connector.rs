//! The table of connectors: systems that know who exists, and the files that they write.

use std::collections::{BTreeMap, BTreeSet};

use model::{AddressClaim, AddressName, Labels, Micros};

use crate::connectors::{aws, azure, dhcpd, dns_names, dnsmasq, gcp, kea, kubernetes, list, nmap, zeek_dns};
use crate::problem::{Fault, Flaw};
use crate::row::{Place, Row};

/// How much of a file a connector may look at to recognise it, in bytes.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// Every connector. Help, documentation and the laws of the seam are driven by this table. Lists come last: `auto` takes
/// for a list what no system wrote.
pub static CONNECTORS: &[&Connector] = &[
    &kubernetes::CONNECTOR,
    &aws::CONNECTOR,
    &azure::CONNECTOR,
    &gcp::CONNECTOR,
    &dhcpd::CONNECTOR,
    &kea::CONNECTOR,
    &dnsmasq::CONNECTOR,
    &nmap::CONNECTOR,
    &zeek_dns::CONNECTOR,
    &dns_names::CONNECTOR,
    &list::CONNECTOR,
];

/// A system that knows who exists.
pub struct Connector {
    /// What `ringfence inventory import` calls it, and what its claims are said to come from.
    pub name: &'static str,
    /// Other names that are accepted.
    pub aliases: &'static [&'static str],
    /// One line for a list.
    pub title: &'static str,
    /// What is read and how, for the reference.
    pub description: &'static str,
    /// Where sources contradict each other, the greater rank's word counts.
    pub rank: u8,
    /// Whether a text is what this system writes. Looks at content alone.
    pub(crate) detect: fn(&Probe<'_>) -> bool,
    /// Reads a text; what is wrong with a record costs that record only.
    pub(crate) read: fn(&Text<'_>, &mut Sink),
}

/// The connector of a name or alias.
pub fn find(name: &str) -> Option<&'static Connector> {
    CONNECTORS.iter().copied().find(|connector| connector.name == name || connector.aliases.contains(&name))
}

/// The connector that recognises a text; a list when none does.
pub(crate) fn detect(text: &str) -> &'static Connector {
    let probe = Probe::of(text);
    CONNECTORS.iter().copied().find(|connector| (connector.detect)(&probe)).unwrap_or(&list::CONNECTOR)
}

/// What of a text connectors may recognise it by.
pub(crate) struct Probe<'a> {
    /// The first [`HEAD_BYTES`].
    pub(crate) head: &'a str,
    /// The keys of JSON objects in it, at any depth; none when it is not JSON.
    keys: BTreeSet<&'a str>,
}

impl<'a> Probe<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut end = text.len().min(HEAD_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let head = &text[..end];
        let keys = if head.trim_start().starts_with(['{', '[']) { keys(head) } else { BTreeSet::new() };
        Self { head, keys }
    }

    /// Whether it is JSON with all these keys.
    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.keys.contains(key))
    }

    /// Whether it is JSON with one of these keys.
    pub(crate) fn keys_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.keys.contains(key))
    }

    /// Lines that say something.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'a str> {
        self.head.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    }
}

/// The strings before a colon: they are told without parsing, so that a file that is cut off is recognised too.
fn keys(text: &str) -> BTreeSet<&str> {
    let bytes = text.as_bytes();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|b| *b == b'"').map(|n| at + n + 1) {
        let mut end = start;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        at = (end + 1).min(bytes.len());
        let colon = bytes[at..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
        if let Some(key) = text.get(start..end).filter(|_| colon) {
            found.insert(key);
        }
    }
    found
}

/// What is said once for all files of an import.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadOptions {
    /// The scope of sources that do not say theirs, such as the name of a Kubernetes cluster.
    pub scope: String,
    /// The moment of reading: what tells the year of a log line that has none.
    pub now: Micros,
}

/// A text to be read.
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) options: &'a ReadOptions,
}

/// One source's word on one workload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sighting {
    /// How the source identifies it, over time.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// By what it is the same thing as in other sources: `mac:..`, `aws:i-..`. Never a name.
    pub(crate) keys: Vec<String>,
    pub(crate) scope: String,
    pub(crate) labels: Labels,
    /// Names of groups whose labels are its labels too: see [`Sink::group`].
    pub(crate) groups: Vec<String>,
    pub(crate) claims: Vec<AddressClaim>,
    /// From when on nothing is its own any more.
    pub(crate) gone: Option<Micros>,
    /// How new this is; of several words on one label the newest counts.
    pub(crate) seen: Micros,
}

/// Takes what a connector reads in one text.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) sightings: Vec<(Sighting, Place)>,
    pub(crate) names: Vec<AddressName>,
    /// Rows of lists, which are taken literally.
    pub(crate) rows: Vec<Row>,
    pub(crate) groups: BTreeMap<String, Labels>,
    pub(crate) flaws: Vec<Flaw>,
    /// Records that say nothing of use, by reason.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    /// Records that were looked at.
    pub(crate) records: u64,
}

impl Sink {
    /// A workload, and where it is written.
    pub(crate) fn sight(&mut self, mut sighting: Sighting, place: Place) {
        sighting.claims.retain(|claim| claim.from < claim.to);
        sighting.labels = legal(sighting.labels);
        conventional(&mut sighting.labels);
        self.sightings.push((sighting, place));
    }

    /// Labels that a group gives to its members, whichever file they are in.
    pub(crate) fn group(&mut self, name: String, labels: Labels) {
        self.groups.entry(name).or_default().extend(legal(labels));
    }

    /// A name that was good for an address for a time.
    pub(crate) fn name(&mut self, ip: model::Ip, name: &str, from: Micros, to: Micros) {
        let name = name.trim_end_matches('.');
        if from < to && !name.is_empty() && name.len() <= 253 {
            self.names.push(AddressName { ip, from, to, name: name.to_ascii_lowercase() });
        } else {
            self.skip("names that were good for no time, or are none");
        }
    }

    /// A record that says nothing of use.
    pub(crate) fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// A record that cannot be read.
    pub(crate) fn reject(&mut self, place: Place, why: impl Into<String>) {
        self.flaws.push(Flaw::new(place, Fault::Record(why.into())));
    }
}

/// Keys that a selector can name, values of bearable length.
fn legal(labels: Labels) -> Labels {
    let key = |key: &str| -> String {
        let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/') { c } else { '_' };
        key.trim().chars().take(128).map(plain).collect()
    };
    let pairs = labels.into_iter().map(|(k, v)| (key(&k), v.trim().chars().take(256).collect::<String>()));
    pairs.filter(|(k, v)| !k.is_empty() && !v.is_empty()).collect()
}

/// The conventional labels, where only their usual synonyms are there.
fn conventional(labels: &mut Labels) {
    const SYNONYMS: [(&str, &[&str]); 4] = [
        ("app", &["app.kubernetes.io/part-of", "app.kubernetes.io/name", "k8s-app", "application", "app"]),
        ("role", &["app.kubernetes.io/component", "component", "tier", "role"]),
        ("env", &["app.kubernetes.io/environment", "environment", "stage", "env"]),
        ("loc", &["topology.kubernetes.io/zone", "location", "zone", "loc"]),
    ];
    for (key, synonyms) in SYNONYMS {
        if labels.contains_key(key) {
            continue;
        }
        let said = |synonym: &&str| {
            labels.iter().find(|(key, _)| key.eq_ignore_ascii_case(synonym)).map(|(_, value)| value.clone())
        };
        if let Some(value) = synonyms.iter().find_map(said) {
            labels.insert(key.to_owned(), value);
        }
    }
}
