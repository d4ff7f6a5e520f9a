//! Segments with members, reasons and confidence; and who is in none.

use crate::charts::meter;
use crate::markup::{Text, count, degree, plural, put, shorten};
use crate::story::{GroupKind, Story, StoryNode};
use crate::table::Table;
use crate::view::{Member, View};

/// Members printed on a card; the panel and the inventory have the rest.
const MOST_MEMBERS: usize = 40;

/// Writes the section's body.
pub(crate) fn segments(out: &mut String, story: &Story, view: &View<'_>) {
    out.push_str("<ul class=\"cardsgrid\">");
    for member in view.groups.iter().filter(|m| matches!(m.group.kind, GroupKind::Segment | GroupKind::Label))
    {
        segment(out, member);
    }
    out.push_str("</ul>");
    if story.unassigned.is_empty() {
        out.push_str("<p class=\"hint\">Every workload with traffic found a segment.</p>");
        return;
    }
    out.push_str(
        "<h3>Unassigned</h3><p class=\"lead\">Left alone rather than guessed; name a segment for \
        them, or wait for more traffic.</p>",
    );
    let mut table =
        Table::new("t-unassigned", "Workloads without a segment", &["Workload", "Why", "Nearest segments"]);
    for unassigned in &story.unassigned {
        table.row(|cells| {
            cells.name(&unassigned.workload);
            cells.text(&unassigned.reason);
            let nearest: Vec<String> = unassigned
                .nearest
                .iter()
                .take(3)
                .map(|(name, near)| format!("{name} {}", degree(*near)))
                .collect();
            cells.text(&nearest.join(", "));
        });
    }
    table.finish(out);
}

fn segment(out: &mut String, member: &Member<'_>) {
    let group = &member.group;
    put!(
        out,
        "<li class=\"seg\"><h3>{}</h3><p class=\"sub\">{} \u{b7} {}",
        Text(&group.name),
        plural(member.nodes.len() as u64, "workload", "workloads"),
        plural(member.flows, "flow", "flows")
    );
    if group.shared {
        out.push_str(" \u{b7} shared service");
    }
    out.push_str("</p>");
    if let Some(confidence) = group.confidence {
        out.push_str("<div class=\"conf\">");
        meter(out, confidence);
        put!(out, "<span>{} confidence</span></div>", degree(confidence));
    }
    if !group.reasons.is_empty() {
        out.push_str("<ul class=\"why\">");
        for reason in group.reasons.iter().take(8) {
            put!(out, "<li>{}</li>", Text(reason));
        }
        out.push_str("</ul>");
    }
    out.push_str("<ul class=\"chips\">");
    for node in member.nodes.iter().take(MOST_MEMBERS) {
        chip(out, node);
    }
    if member.nodes.len() > MOST_MEMBERS {
        put!(out, "<li>+{} more</li>", count((member.nodes.len() - MOST_MEMBERS) as u64));
    }
    out.push_str("</ul></li>");
}

fn chip(out: &mut String, node: &StoryNode) {
    let mut about: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    about.extend(node.addresses.iter().take(4).cloned());
    about.extend(node.criticality.iter().map(|word| format!("criticality {word}")));
    about.extend(node.scanner.clone());
    let marked = match (&node.scanner, node.criticality.as_deref()) {
        (Some(_), _) => " <b>scanner</b>",
        (None, Some("critical" | "high")) => " <b>critical</b>",
        _ => "",
    };
    put!(out, "<li title=\"{}\">{}{marked}</li>", Text(&about.join(", ")), Text(&shorten(&node.name, 40)));
}
