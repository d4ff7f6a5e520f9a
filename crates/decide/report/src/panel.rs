//! Details of a card or a line: kept in `<template>`s, shown by the page's script when asked for.

use crate::markup::{Text, bytes, count, percent, plural, put, shorten, span};
use crate::matrix::services;
use crate::story::GroupKind;
use crate::verdict::{sample, tag};
use crate::view::{Bundle, View};

/// Entries of a list in a panel; the rest is counted.
const MOST_ENTRIES: usize = 24;

/// Writes the templates of all groups and bundles, and the empty panel.
pub(crate) fn panels(out: &mut String, view: &View<'_>) {
    for at in 0..view.groups.len() {
        group(out, view, at);
    }
    for (at, bundle) in view.bundles.iter().enumerate() {
        line(out, view, at, bundle);
    }
    out.push_str("<aside id=\"panel\" aria-label=\"Details\" tabindex=\"-1\" hidden><button type=\"button\" id=\"panel-close\" aria-label=\"Close details\">\u{d7}</button><div id=\"panel-body\" aria-live=\"polite\"></div></aside>");
}

fn group(out: &mut String, view: &View<'_>, at: usize) {
    let member = &view.groups[at];
    put!(out, "<template id=\"p-g{at}\"><h3>{}</h3><p class=\"sub\">", Text(&member.group.name));
    out.push_str(match member.group.kind {
        GroupKind::Segment => "Segment",
        GroupKind::Label => "Group by label",
        GroupKind::Internet => "Outside: routable addresses",
        GroupKind::Unknown => "Addresses that the inventory does not know",
        GroupKind::Unassigned => "No segment claims these",
    });
    put!(out, " \u{b7} {}", plural(member.flows, "flow", "flows"));
    if let Some(confidence) = member.group.confidence {
        put!(out, " \u{b7} confidence {}", percent(confidence));
    }
    out.push_str("</p>");
    if !member.nodes.is_empty() {
        put!(out, "<h4>{}</h4><ul class=\"chips\">", plural(member.nodes.len() as u64, "member", "members"));
        for node in member.nodes.iter().take(MOST_ENTRIES) {
            put!(out, "<li>{}</li>", Text(&shorten(&node.name, 40)));
        }
        more(out, member.nodes.len());
        out.push_str("</ul>");
    }
    let asked: Vec<&Bundle> = view.bundles.iter().filter(|b| b.to == at && b.from != at).collect();
    let asks: Vec<&Bundle> = view.bundles.iter().filter(|b| b.from == at && b.to != at).collect();
    let own: Vec<&Bundle> = view.bundles.iter().filter(|b| b.from == at && b.to == at).collect();
    neighbours(out, view, "Asked by", &asked, |bundle| bundle.from);
    neighbours(out, view, "Asks", &asks, |bundle| bundle.to);
    neighbours(out, view, "Within", &own, |bundle| bundle.to);
    out.push_str("</template>");
}

fn more(out: &mut String, entries: usize) {
    if entries > MOST_ENTRIES {
        put!(out, "<li>+{} more</li>", count((entries - MOST_ENTRIES) as u64));
    }
}

fn neighbours(out: &mut String, view: &View<'_>, title: &str, bundles: &[&Bundle], other: fn(&Bundle) -> usize) {
    if bundles.is_empty() {
        return;
    }
    let mut bundles = bundles.to_vec();
    bundles.sort_by_key(|bundle| std::cmp::Reverse((bundle.verdict, bundle.flows)));
    put!(out, "<h4>{title}</h4><ul class=\"near\">");
    for bundle in bundles.iter().take(MOST_ENTRIES) {
        out.push_str("<li>");
        sample(out, bundle.verdict);
        put!(out, "<span class=\"who\">{}</span>", Text(&shorten(&view.groups[other(bundle)].group.name, 40)));
        put!(out, "<code>{}</code><span class=\"num\">{}</span></li>", Text(&services(bundle, 2)), count(bundle.flows));
    }
    more(out, bundles.len());
    out.push_str("</ul>");
}

fn line(out: &mut String, view: &View<'_>, at: usize, bundle: &Bundle) {
    let name = |group: usize| shorten(&view.groups[group].group.name, 60);
    put!(out, "<template id=\"p-b{at}\"><h3>{} <span class=\"to\">\u{2192}</span> {}</h3><p class=\"sub\">", Text(&name(bundle.from)), Text(&name(bundle.to)));
    tag(out, bundle.verdict);
    if bundle.flows > 0 {
        put!(out, " {} \u{b7} {}", plural(bundle.flows, "flow", "flows"), bytes(bundle.bytes));
    }
    out.push_str("</p><ul class=\"near\">");
    for line in bundle.services.iter().take(MOST_ENTRIES) {
        put!(out, "<li><code>{}</code>", Text(&line.service));
        if line.clients > 0 {
            put!(out, "<span class=\"who\">{} to {} over {}</span>", plural(line.clients as u64, "client", "clients"),
                plural(line.servers as u64, "server", "servers"), span(line.first, line.last));
        } else {
            out.push_str("<span class=\"who\">never seen in use</span>");
        }
        put!(out, "<span class=\"num\">{}</span></li>", count(line.flows));
        if !line.rules.is_empty() {
            let rules: Vec<&str> = line.rules.iter().take(4).map(String::as_str).collect();
            put!(out, "<li class=\"by\">by {}</li>", Text(&rules.join(", ")));
        }
    }
    more(out, bundle.services.len());
    out.push_str("</ul></template>");
}
