//! The map: a card for each group, a line for each pair of groups and verdict.

use crate::layout::{CARD_WIDTH, Card, Layout, Link, Route, lay_out};
use crate::lettering::{two_lines, width};
use crate::markup::{Text, compact, count, plural, put, shorten};
use crate::story::{GroupKind, Verdict};
use crate::verdict::{class, word};
use crate::view::{Bundle, Member, View};

/// More lines than this are a hairball; the table has the rest.
const MOST_LINES: usize = 200;
/// With more lines than this their labels would collide: they show with the pointer.
const MOST_LABELS: usize = 70;
/// Lines that are drawn only on request.
const MOST_FOLDED_LINES: usize = 300;
/// More cards than this are not a map.
const MOST_CARDS: usize = 120;

/// Which bundles are drawn, and how.
struct Lines {
    /// Indices of bundles with a route.
    drawn: Vec<usize>,
    /// Indices of bundles that are shown on request.
    folded: Vec<usize>,
    /// How many bundles are not on the map.
    left_out: usize,
}

/// Writes the figure: legend, SVG, note about what is not drawn.
pub(crate) fn map(out: &mut String, view: &View<'_>) {
    let shown = cards_shown(view);
    let lines = lines(view, &shown);
    let number: Vec<Option<usize>> = numbering(&shown);
    let rail: Vec<bool> = shown.iter().map(|group| view.groups[*group].rail).collect();
    let links: Vec<Link> = lines.drawn.iter().filter_map(|at| link(&view.bundles[*at], &number)).collect();
    let layout = lay_out(&rail, &links);
    out.push_str("<figure class=\"mapbox\">");
    legend(out, view);
    out.push_str("<div class=\"mapscroll\" tabindex=\"-1\">");
    svg(out, view, &shown, &lines, &layout);
    out.push_str("</div>");
    caption(out, view, &shown, &lines);
    out.push_str("</figure>");
}

/// Groups on the map: all, or the busiest when there are too many.
fn cards_shown(view: &View<'_>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..view.groups.len())
        .filter(|at| !view.groups[*at].nodes.is_empty() || view.groups[*at].flows > 0)
        .collect();
    order.sort_by_key(|at| (std::cmp::Reverse(view.groups[*at].flows), *at));
    order.truncate(MOST_CARDS);
    order.sort_unstable();
    order
}

fn numbering(shown: &[usize]) -> Vec<Option<usize>> {
    let mut number = vec![None; shown.last().map_or(0, |last| last + 1)];
    for (at, group) in shown.iter().enumerate() {
        number[*group] = Some(at);
    }
    number
}

fn link(bundle: &Bundle, number: &[Option<usize>]) -> Option<Link> {
    let find = |group: usize| number.get(group).copied().flatten();
    Some(Link {
        from: find(bundle.from)?,
        to: find(bundle.to)?,
        weight: bundle.flows as f64,
        shapes_tiers: matches!(bundle.verdict, Verdict::Observed | Verdict::Allowed),
    })
}

fn lines(view: &View<'_>, shown: &[usize]) -> Lines {
    let on_map = |group: usize| shown.binary_search(&group).is_ok();
    let usual = |bundle: &Bundle| matches!(bundle.verdict, Verdict::Observed | Verdict::Allowed);
    let folds = |bundle: &Bundle| {
        bundle.verdict == Verdict::Unused
            || (usual(bundle) && (view.groups[bundle.from].rail || view.groups[bundle.to].rail))
    };
    let outer = (0..view.bundles.len()).filter(|at| view.bundles[*at].from != view.bundles[*at].to);
    let (mut folded, mut drawn): (Vec<usize>, Vec<usize>) =
        outer.clone().partition(|at| folds(&view.bundles[*at]));
    for list in [&mut drawn, &mut folded] {
        list.retain(|at| on_map(view.bundles[*at].from) && on_map(view.bundles[*at].to));
        list.sort_by_key(|at| {
            let bundle = &view.bundles[*at];
            (std::cmp::Reverse((bundle.verdict, bundle.flows)), *at)
        });
    }
    drawn.truncate(MOST_LINES);
    folded.truncate(MOST_FOLDED_LINES);
    drawn.sort_unstable();
    folded.sort_unstable();
    Lines { left_out: outer.count() - drawn.len() - folded.len(), drawn, folded }
}

fn legend(out: &mut String, view: &View<'_>) {
    out.push_str("<div class=\"legend\" role=\"group\" aria-label=\"Layers of the map\">");
    for verdict in crate::verdict::ALL {
        let pairs = view
            .bundles
            .iter()
            .filter(|bundle| bundle.verdict == verdict && bundle.from != bundle.to)
            .count();
        if pairs == 0 {
            continue;
        }
        let class = class(verdict);
        let on = if verdict == Verdict::Unused { "" } else { " checked" };
        put!(out, "<label class=\"layer {class}\"><input type=\"checkbox\" id=\"on-{class}\"{on}>");
        put!(out, "<i></i>{} <span class=\"num\">{pairs}</span></label>", word(verdict));
    }
    if view.groups.iter().any(|member| member.rail) {
        out.push_str(
            "<label class=\"layer\"><input type=\"checkbox\" id=\"on-shared\">lines to shared \
            services</label>",
        );
    }
    out.push_str(
        "<span class=\"hint\">Counts are pairs of groups. Arrows point from client to server, \
        wider with the logarithm of flows.</span></div>",
    );
}

fn caption(out: &mut String, view: &View<'_>, shown: &[usize], lines: &Lines) {
    out.push_str(
        "<figcaption class=\"hint\"><span class=\"js-only\">Select a card, a line or a cell for \
        its details. Keyboard: Tab enters the map, \
        arrow keys follow the lines, Enter opens, Esc closes. </span>",
    );
    let hidden = view.groups.len() - shown.len();
    if hidden > 0 {
        put!(
            out,
            "{} not drawn: idle, or beyond the {MOST_CARDS} busiest. ",
            plural(hidden as u64, "group is", "groups are")
        );
    }
    if lines.left_out > 0 {
        put!(
            out,
            "+{} more in the table. ",
            plural(lines.left_out as u64, "pair of groups", "pairs of groups")
        );
    }
    out.push_str("Everything on the map is in the <a href=\"#flows\">table</a>.</figcaption>");
}

fn svg(out: &mut String, view: &View<'_>, shown: &[usize], lines: &Lines, layout: &Layout) {
    let wide = layout.width.max(1180.0);
    let shift = (wide - layout.width) / 2.0;
    put!(
        out,
        "<svg class=\"map{}\" role=\"group\" aria-label=\"Map of {}\" ",
        if lines.drawn.len() > MOST_LABELS { " dense" } else { "" },
        plural(shown.len() as u64, "group", "groups")
    );
    put!(
        out,
        "viewBox=\"{:.1} 0 {wide:.1} {:.1}\" width=\"{wide:.0}\" height=\"{:.0}\">",
        -shift,
        layout.height,
        layout.height
    );
    titles(out, layout);
    let place = |group: usize| shown.binary_search(&group).ok().map(|at| layout.cards[at]);
    out.push_str("<g class=\"folded\" aria-hidden=\"true\">");
    for at in &lines.folded {
        let bundle = &view.bundles[*at];
        if let (Some(from), Some(to)) = (place(bundle.from), place(bundle.to)) {
            line(out, *at, bundle, &Route { path: direct(from, to), ..Route::default() }, true);
        }
    }
    out.push_str("</g><g class=\"lines\" aria-hidden=\"true\">");
    for (at, route) in lines.drawn.iter().zip(&layout.routes) {
        line(out, *at, &view.bundles[*at], route, false);
    }
    out.push_str("</g><g class=\"labels\" aria-hidden=\"true\">");
    for (at, route) in lines.drawn.iter().zip(&layout.routes) {
        label(out, *at, &view.bundles[*at], route);
    }
    out.push_str("</g><g class=\"cards\">");
    for (group, card) in shown.iter().zip(&layout.cards) {
        draw_card(out, view, *group, *card);
    }
    out.push_str("</g></svg>");
}

fn titles(out: &mut String, layout: &Layout) {
    put!(out, "<text class=\"colname\" x=\"16\" y=\"22\">who asks \u{2192} who is asked</text>");
    if let Some(rail) = layout.rail {
        put!(
            out,
            "<rect class=\"rail\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"12\"/>",
            rail.x,
            rail.y,
            CARD_WIDTH + 20.0,
            rail.height
        );
        put!(
            out,
            "<text class=\"colname\" x=\"{:.1}\" y=\"{:.1}\">shared services</text>",
            rail.x + 12.0,
            rail.y + 18.0
        );
    }
}

/// A curve between the middles of two cards, for lines that are shown only on request.
fn direct(from: Card, to: Card) -> String {
    let (from_y, to_y) = (from.y + from.height / 2.0, to.y + to.height / 2.0);
    let (from_x, to_x) = match from.x.total_cmp(&to.x) {
        std::cmp::Ordering::Less => (from.x + CARD_WIDTH, to.x),
        std::cmp::Ordering::Greater => (from.x, to.x + CARD_WIDTH),
        std::cmp::Ordering::Equal => (from.x + CARD_WIDTH, to.x + CARD_WIDTH),
    };
    let pull = ((to_x - from_x) / 2.0).abs().clamp(30.0, 160.0);
    let out_x = if from_x >= from.x + CARD_WIDTH { from_x + pull } else { from_x - pull };
    let in_x = if to_x <= to.x { to_x - pull } else { to_x + pull };
    format!("M{from_x:.1} {from_y:.1}C{out_x:.1} {from_y:.1} {in_x:.1} {to_y:.1} {to_x:.1} {to_y:.1}")
}

fn line(out: &mut String, at: usize, bundle: &Bundle, route: &Route, folded: bool) {
    let class = class(bundle.verdict);
    let shared = if folded && bundle.verdict != Verdict::Unused { " shared" } else { "" };
    let width = (1.2 + 0.75 * (1.0 + bundle.flows as f64).log10()).min(5.5);
    put!(
        out,
        "<g class=\"ln {class}{shared}\" data-b=\"{at}\" data-f=\"{}\" data-t=\"{}\">",
        bundle.from,
        bundle.to
    );
    if !folded {
        put!(out, "<path class=\"hit\" d=\"{}\"/>", route.path);
    }
    put!(
        out,
        "<path class=\"wire\" d=\"{}\" stroke-width=\"{width:.1}\" marker-end=\"url(#a-{class})\"/></g>",
        route.path
    );
}

fn label(out: &mut String, at: usize, bundle: &Bundle, route: &Route) {
    if route.path.is_empty() {
        return;
    }
    let more = bundle.services.len().saturating_sub(1);
    let name = bundle.services.first().map_or("", |line| line.service.as_str());
    let text = if more == 0 { shorten(name, 14) } else { format!("{} +{more}", shorten(name, 10)) };
    let anchor = if route.label_ends { " text-anchor=\"end\"" } else { "" };
    put!(
        out,
        "<text class=\"lb {}\" data-b=\"{at}\" data-f=\"{}\" data-t=\"{}\" ",
        class(bundle.verdict),
        bundle.from,
        bundle.to
    );
    put!(out, "x=\"{:.1}\" y=\"{:.1}\"{anchor}>{}</text>", route.label_x, route.label_y, Text(&text));
}

fn draw_card(out: &mut String, view: &View<'_>, group: usize, card: Card) {
    let member = &view.groups[group];
    let kind = match member.group.kind {
        GroupKind::Internet | GroupKind::Unknown => " outside",
        GroupKind::Unassigned => " loose",
        GroupKind::Segment | GroupKind::Label => "",
    };
    put!(
        out,
        "<g class=\"card{kind}\" role=\"button\" tabindex=\"0\" data-g=\"{group}\" data-tier=\"{}\" ",
        card.tier
    );
    put!(
        out,
        "aria-label=\"{}\" transform=\"translate({:.1} {:.1})\">",
        Text(&spoken(view, group)),
        card.x,
        card.y
    );
    self_loop(out, view, group, card.height);
    put!(out, "<rect class=\"box\" width=\"{CARD_WIDTH}\" height=\"{:.1}\" rx=\"8\"/>", card.height);
    let middle = card.height / 2.0;
    name_lines(out, &member.group.name, middle);
    put!(out, " <text class=\"t2\" x=\"12\" y=\"{:.1}\">{}</text>", middle + 15.0, Text(&size(member)));
    put!(
        out,
        " <text class=\"t2\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        CARD_WIDTH - 12.0,
        middle + 15.0,
        compact(member.flows)
    );
    verdict_bar(out, view, group, middle + 20.0);
    out.push_str("</g>");
}

/// The name in one line or two, with the whole of it as a tooltip when it was shortened.
fn name_lines(out: &mut String, name: &str, middle: f64) {
    let inner = CARD_WIDTH - 24.0;
    let (first, second) = two_lines(name, inner, 12.5);
    if second.as_ref().is_some_and(|second| second.ends_with('\u{2026}')) {
        put!(out, "<title>{}</title>", Text(name));
    }
    let top = if second.is_some() { middle - 12.0 } else { middle - 5.0 };
    for (at, line) in std::iter::once(&first).chain(&second).enumerate() {
        let squeeze = if width(line, 12.5) > inner {
            format!(" textLength=\"{inner:.0}\" lengthAdjust=\"spacingAndGlyphs\"")
        } else {
            String::new()
        };
        let y = top + at as f64 * 14.0;
        put!(
            out,
            "{}<text class=\"t1\" x=\"12\" y=\"{y:.1}\"{squeeze}>{}</text>",
            if at > 0 { " " } else { "" },
            Text(line)
        );
    }
}

fn size(member: &Member<'_>) -> String {
    match member.group.kind {
        GroupKind::Internet => String::from("outside"),
        GroupKind::Unknown => plural(member.nodes.len() as u64, "address", "addresses"),
        _ => plural(member.nodes.len() as u64, "workload", "workloads"),
    }
}

/// Flows that touch the group, by verdict.
fn by_verdict(view: &View<'_>, group: usize) -> Vec<(Verdict, u64)> {
    let touching = |verdict| {
        let bundles = view.bundles.iter().filter(move |b| b.verdict == verdict);
        bundles.filter(|b| b.from == group || b.to == group).map(|b| b.flows).fold(0, u64::saturating_add)
    };
    crate::verdict::ALL
        .into_iter()
        .map(|verdict| (verdict, touching(verdict)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn spoken(view: &View<'_>, group: usize) -> String {
    let member = &view.groups[group];
    // Begins with the text on the card, so that people who speak to their machine can say what they see.
    let mut text = format!("{} {} {} flows", member.group.name, size(member), compact(member.flows));
    for (verdict, flows) in by_verdict(view, group) {
        text.push_str(&format!(", {} {}", count(flows), word(verdict)));
    }
    text
}

/// A bar under the name: how much of the group's traffic has which verdict; what is rare stays visible.
fn verdict_bar(out: &mut String, view: &View<'_>, group: usize, y: f64) {
    let shares = by_verdict(view, group);
    let total: f64 = shares.iter().map(|(_, n)| *n as f64).sum();
    let full = CARD_WIDTH - 24.0;
    let small = 5.0;
    let mut x = 12.0;
    let room = full - small * shares.len() as f64;
    for (verdict, flows) in &shares {
        let width = small + room * *flows as f64 / total;
        put!(
            out,
            "<rect class=\"bar {}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"3\" rx=\"1.5\"/>",
            class(*verdict),
            width - 1.0
        );
        x += width;
    }
}

/// Traffic within the group: an arc below the card, in the style of the worst verdict.
fn self_loop(out: &mut String, view: &View<'_>, group: usize, height: f64) {
    let own = view.bundles.iter().enumerate().filter(|(_, b)| b.from == group && b.to == group);
    let Some((at, worst)) = own.filter(|(_, b)| b.verdict != Verdict::Unused).max_by_key(|(_, b)| b.verdict)
    else {
        return;
    };
    let class = class(worst.verdict);
    let x = CARD_WIDTH / 2.0 - 14.0;
    put!(out, "<g class=\"ln {class}\" data-b=\"{at}\" data-f=\"{group}\" data-t=\"{group}\">");
    put!(
        out,
        "<path class=\"wire\" d=\"M{x:.1} {height:.1}c0 15 28 15 28 1\" stroke-width=\"1.6\" \
            marker-end=\"url(#a-{class})\"/></g>"
    );
}
