//! Details of a card, a line or a cell: kept as data, shown by the page's script when asked for. Nothing is
//! only here: the tables have it too.

use serde::Serialize;

use crate::markup::{bytes, clean, degree, put, span};
use crate::story::GroupKind;
use crate::verdict::{class, word};
use crate::view::{Bundle, Member, View};

/// Entries of a list in a panel; the rest is counted.
const MOST_ENTRIES: usize = 24;

/// What the script reads. Tuples keep it small: the page holds one for every pair of groups.
#[derive(Serialize)]
struct Details {
    /// Class and word of each verdict, in the order of their numbers.
    verdicts: Vec<(&'static str, &'static str)>,
    groups: Vec<Group>,
    bundles: Vec<Pair>,
}

/// Name, kind, flows, confidence, members shown, members.
type Group = (String, &'static str, u64, String, Vec<String>, usize);

/// From, to, verdict, flows, bytes, services shown, services.
type Pair = (usize, usize, usize, u64, String, Vec<Line>, usize);

/// Service, flows, clients, servers, how long, rules.
type Line = (String, u64, usize, usize, String, Vec<String>);

/// Writes the data and the empty panel.
pub(crate) fn panels(out: &mut String, view: &View<'_>) {
    let details = Details {
        verdicts: crate::verdict::ALL.iter().map(|verdict| (class(*verdict), word(*verdict))).collect(),
        groups: view.groups.iter().map(group).collect(),
        bundles: view.bundles.iter().map(bundle).collect(),
    };
    // No `<` may stand in a script element: it could end it. In JSON it can only stand in a string.
    let json = serde_json::to_string(&details).unwrap_or_default().replace('<', "\\u003c");
    put!(out, "<script type=\"application/json\" id=\"details\">{json}</script>");
    out.push_str(
        "<aside id=\"panel\" aria-label=\"Details\" hidden>\
         <button type=\"button\" id=\"panel-close\" aria-label=\"Close details\">\u{d7}</button>\
         <div id=\"panel-body\" aria-live=\"polite\"></div></aside>",
    );
}

fn group(member: &Member<'_>) -> Group {
    let kind = match member.group.kind {
        GroupKind::Segment => "segment",
        GroupKind::Label => "group by label",
        GroupKind::Internet => "outside: routable addresses",
        GroupKind::Unknown => "addresses that the inventory does not know",
        GroupKind::Unassigned => "no segment claims these",
    };
    let confidence = member.group.confidence.map(degree).unwrap_or_default();
    let names = member.nodes.iter().take(MOST_ENTRIES).map(|node| clean(&node.name)).collect();
    (clean(&member.group.name), kind, member.flows, confidence, names, member.nodes.len())
}

fn bundle(bundle: &Bundle) -> Pair {
    let lines = bundle.services.iter().take(MOST_ENTRIES).map(|line| {
        let rules = line.rules.iter().take(3).map(|rule| clean(rule)).collect();
        (clean(&line.service), line.flows, line.clients, line.servers, span(line.first, line.last), rules)
    });
    let verdict = crate::verdict::ALL.iter().position(|v| *v == bundle.verdict).unwrap_or(0);
    let services = bundle.services.len();
    (bundle.from, bundle.to, verdict, bundle.flows, bytes(bundle.bytes), lines.collect(), services)
}
