//! Traffic that passed a load balancer or a NAT gateway: who stands for others, and the edges that are the same traffic
//! seen from its two sides.
//!
//! An edge behind such an address says that somebody asked, not who. A policy that took the address for the client would
//! let in all that it stands for; so the edge carries its partners, and whoever proposes can tell whether there are any.

use std::collections::{BTreeMap, BTreeSet};

use converse::{Role, Translations, Translator};
use model::{Conversation, Endpoint, Ip, Micros};
use serde::{Deserialize, Serialize};

/// Partners that an edge names.
const PARTNERS_NAMED_MAX: usize = 8;
/// Rollups tell times by the hour.
const BUCKET_US: Micros = 3_600_000_000;

/// On which side of a translation an edge was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The client under its own address; the server may be an address that others answer for.
    Before,
    /// The server under its own address; the client may be an address that others ask under.
    After,
}

/// What is known of the other side of an edge that was translated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Translated {
    /// See [`Side`].
    pub side: Side,
    /// What the edge's client does, where it stands for several others: `a NAT gateway for 12 addresses`. Absent where
    /// the client is who it seems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_stands_for: Option<String>,
    /// The same traffic on the other side, `client -> server tcp/443`, sorted, at most eight. Of several clients behind
    /// one address all are named that asked for the same.
    pub partners: Vec<String>,
}

impl Translated {
    /// Adds what another conversation of the edge says.
    pub(crate) fn add(&mut self, other: &Self) {
        self.side = self.side.max(other.side);
        if self.client_stands_for.is_none() {
            self.client_stands_for.clone_from(&other.client_stands_for);
        }
        self.partners.extend(other.partners.iter().cloned());
        self.partners.sort_unstable();
        self.partners.dedup();
        self.partners.truncate(PARTNERS_NAMED_MAX);
    }
}

/// Adds what one edge knows of a translation to another.
pub(crate) fn merge(kept: &mut Option<Translated>, next: Option<&Translated>) {
    match (kept, next) {
        (Some(kept), Some(next)) => kept.add(next),
        (kept @ None, Some(next)) => *kept = Some(next.clone()),
        (_, None) => {}
    }
}

/// What a translator does, in words.
pub(crate) fn words(translator: &Translator) -> String {
    let addresses = |n: usize| if n == 1 { String::from("1 address") } else { format!("{n} addresses") };
    match (translator.role, translator.insiders, translator.backends) {
        (Role::NatGateway, insiders, 0) => format!("a NAT gateway for {}", addresses(insiders)),
        (Role::NatGateway, insiders, backends) => {
            format!("a NAT gateway for {}, in front of {}", addresses(insiders), addresses(backends))
        }
        (Role::LoadBalancer, 0, backends) => format!("a load balancer in front of {}", addresses(backends)),
        (Role::LoadBalancer, insiders, 0) => format!("a load balancer's address for {}", addresses(insiders)),
        (Role::LoadBalancer, insiders, backends) => {
            format!("a load balancer for {}, in front of {}", addresses(insiders), addresses(backends))
        }
    }
}

/// What is known of every conversation, in their order.
pub(crate) fn marks(
    conversations: &[Conversation],
    translations: &Translations,
    translators: &BTreeMap<Ip, Translator>,
) -> Vec<Option<Translated>> {
    let mut marks: Vec<Option<Translated>> = vec![None; conversations.len()];
    if translations.is_empty() {
        return marks;
    }
    let mut partners: BTreeMap<(usize, Side), BTreeSet<usize>> = BTreeMap::new();
    for pair in translations.pairs(conversations, BUCKET_US) {
        partners.entry((pair.before, Side::Before)).or_default().insert(pair.after);
        partners.entry((pair.after, Side::After)).or_default().insert(pair.before);
    }
    for (c, (at, mark)) in conversations.iter().zip(marks.iter_mut().enumerate()) {
        let hidden = translators.get(&c.client.ip);
        let after = partners.get(&(at, Side::After));
        let before = partners.get(&(at, Side::Before));
        // Between two translators an edge is both; who asked is what matters.
        let (side, found) = match (hidden, after, before) {
            (Some(_), found, _) | (None, found @ Some(_), _) => (Side::After, found),
            (None, None, found @ Some(_)) => (Side::Before, found),
            (None, None, None) if !translations.backends(c.server.ip, c.service).is_empty() => {
                (Side::Before, None)
            }
            (None, None, None) => continue,
        };
        let mut names: Vec<String> =
            found.into_iter().flatten().map(|other| text(&conversations[*other])).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(PARTNERS_NAMED_MAX);
        *mark = Some(Translated { side, client_stands_for: hidden.map(words), partners: names });
    }
    marks
}

fn text(c: &Conversation) -> String {
    let name = |end: &Endpoint| end.workload.as_ref().map_or_else(|| end.ip.to_string(), |id| id.0.clone());
    format!("{} -> {} {}", name(&c.client), name(&c.server), c.service)
}
