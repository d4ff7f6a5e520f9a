//! Clients down, servers across, services within.

use crate::markup::{Text, compact, plural, put, shorten};
use crate::table::Table;
use crate::verdict::{class, tag, word};
use crate::view::{Bundle, View};

/// Beyond this many groups cells show only their verdicts.
const ROOMY: usize = 15;
/// Beyond this many groups the matrix shows the busiest.
const MOST_GROUPS: usize = 80;

/// Writes the matrix.
pub(crate) fn matrix(out: &mut String, view: &View<'_>) {
    let mut shown: Vec<usize> = (0..view.groups.len()).filter(|at| touched(view, *at)).collect();
    shown.sort_by_key(|at| (std::cmp::Reverse(view.groups[*at].flows), *at));
    let hidden = shown.len().saturating_sub(MOST_GROUPS);
    shown.truncate(MOST_GROUPS);
    shown.sort_unstable();
    let compact_cells = shown.len() > ROOMY;
    out.push_str("<div class=\"legend\">");
    for verdict in crate::verdict::ALL.into_iter().filter(|v| view.bundles.iter().any(|b| b.verdict == *v)) {
        tag(out, verdict);
    }
    out.push_str("<span class=\"hint\">Rows ask, columns answer.</span></div>");
    out.push_str(
        "<div class=\"scroll grid\" tabindex=\"0\" role=\"region\" aria-label=\"Matrix of groups\">",
    );
    put!(out, "<table class=\"matrix{}\"><caption class=\"vh\">", if compact_cells { " tight" } else { "" });
    out.push_str(
        "Services from the group of each row to the group of each column</caption><thead><tr><td></td>",
    );
    for group in &shown {
        put!(
            out,
            "<th scope=\"col\"><span>{}</span></th>",
            Text(&shorten(&view.groups[*group].group.name, 34))
        );
    }
    out.push_str("</tr></thead><tbody>");
    for from in &shown {
        put!(out, "<tr><th scope=\"row\">{}</th>", Text(&view.groups[*from].group.name));
        for to in &shown {
            cell(out, view, (*from, *to), compact_cells);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if hidden > 0 {
        put!(
            out,
            "<p class=\"hint\">{} with fewer flows not shown; the table has them.</p>",
            plural(hidden as u64, "group", "groups")
        );
    }
}

fn touched(view: &View<'_>, group: usize) -> bool {
    view.bundles.iter().any(|bundle| bundle.from == group || bundle.to == group)
}

fn cell(out: &mut String, view: &View<'_>, pair: (usize, usize), compact_cells: bool) {
    let start = view.bundles.partition_point(|bundle| (bundle.from, bundle.to) < pair);
    let bundles: Vec<&Bundle> =
        view.bundles[start..].iter().take_while(|bundle| (bundle.from, bundle.to) == pair).collect();
    let own = if pair.0 == pair.1 { " class=\"own\"" } else { "" };
    if bundles.is_empty() {
        put!(out, "<td{own}></td>");
        return;
    }
    put!(out, "<td{own} data-b=\"{start}\">");
    for bundle in bundles {
        put!(out, "<span class=\"svc {}\"><i></i>", class(bundle.verdict));
        if compact_cells {
            put!(
                out,
                "<span class=\"vh\">{} {}</span></span>",
                word(bundle.verdict),
                Text(&services(bundle, 1))
            );
        } else {
            put!(out, "{}</span>", Text(&services(bundle, 1)));
        }
    }
    out.push_str("</td>");
}

/// The busiest services, and how many more.
pub(crate) fn services(bundle: &Bundle, most: usize) -> String {
    let shown: Vec<String> =
        bundle.services.iter().take(most).map(|line| shorten(&line.service, 16)).collect();
    let more = bundle.services.len().saturating_sub(most);
    if more == 0 { shown.join(", ") } else { format!("{} +{more}", shown.join(", ")) }
}

/// Writes the table that holds everything of map and matrix. `rule` turns a rule's id into a link.
pub(crate) fn twin(out: &mut String, view: &View<'_>, rule: &dyn Fn(&mut String, &str)) {
    let columns =
        ["From", "To", "Service", "Verdict", "#Flows", "#Bytes", "#Clients", "#Servers", "Last seen", "Rule"];
    let mut table = Table::new("t-flows", "Traffic between groups by service and verdict", &columns);
    let mut bundles: Vec<&Bundle> = view.bundles.iter().collect();
    bundles.sort_by_key(|bundle| (std::cmp::Reverse(bundle.verdict), bundle.from, bundle.to));
    for bundle in bundles {
        for line in &bundle.services {
            table.row(|cells| {
                cells.name(&view.groups[bundle.from].group.name);
                cells.name(&view.groups[bundle.to].group.name);
                cells.code(&line.service);
                cells.html(|out| tag(out, bundle.verdict));
                let used = line.clients > 0;
                let shown = |n: u64, text: String| (n, if used { text } else { String::from("\u{2013}") });
                for (key, text) in [
                    shown(line.flows, crate::markup::count(line.flows)),
                    shown(line.bytes, crate::markup::bytes(line.bytes)),
                    shown(line.clients as u64, compact(line.clients as u64)),
                    shown(line.servers as u64, compact(line.servers as u64)),
                ] {
                    cells.number(key, &text);
                }
                cells.time(line.last, (!used).then_some("never"));
                cells.html(|out| {
                    for (at, id) in line.rules.iter().enumerate() {
                        out.push_str(if at > 0 { ", " } else { "" });
                        rule(out, id);
                    }
                });
            });
        }
    }
    table.finish(out);
}
