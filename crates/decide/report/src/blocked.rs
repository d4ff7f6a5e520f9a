//! What the hold-out would have lost, and what was kept out of the policy.

use crate::markup::{count, percent, plural, put};
use crate::story::{Story, StoryNumbers};
use crate::table::Table;

/// Writes the section's body.
pub(crate) fn blocked(out: &mut String, story: &Story) {
    if story.numbers.holdout_flows > 0 {
        split(out, &story.numbers);
    }
    if story.blocked.is_empty() {
        out.push_str("<p class=\"empty\">Nothing in the replayed traffic would have been blocked.</p>");
    } else {
        table(out, story);
    }
    if !story.quarantined.is_empty() {
        quarantined(out, story);
    }
}

/// The hold-out as one bar.
fn split(out: &mut String, numbers: &StoryNumbers) {
    let parts = [
        ("v-allow", "allowed", numbers.holdout_allowed),
        ("v-would", "would block", numbers.holdout_would_block),
        ("v-seen", "cannot be said", numbers.holdout_unknown),
    ];
    let total = parts.iter().map(|part| part.2 as f64).sum::<f64>().max(1.0);
    out.push_str(
        "<div class=\"split\"><svg viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" \
        aria-hidden=\"true\">",
    );
    let mut x = 0.0;
    let room = 1000.0 - 4.0 * parts.iter().filter(|part| part.2 > 0).count() as f64;
    for (class, _, flows) in parts.iter().filter(|part| part.2 > 0) {
        let width = 4.0 + room * *flows as f64 / total;
        put!(out, "<rect class=\"bar {class}\" x=\"{x:.1}\" width=\"{:.1}\" height=\"12\"/>", width - 2.0);
        x += width;
    }
    out.push_str("</svg><ul>");
    for (class, name, flows) in parts.iter().filter(|part| part.2 > 0) {
        put!(
            out,
            "<li class=\"tag {class}\"><i></i>{name} <b>{}</b> <span class=\"sub\">{}</span></li>",
            count(*flows),
            percent(*flows as f64 / total)
        );
    }
    put!(
        out,
        "</ul><p class=\"hint\">{} of the hold-out window, replayed against the policy.</p></div>",
        plural(numbers.holdout_flows, "flow", "flows")
    );
}

fn table(out: &mut String, story: &Story) {
    let truth = story.blocked.iter().any(|blocked| blocked.legitimate.is_some());
    let mut columns = vec!["Client", "Server", "Service", "#Flows", "First seen", "Last seen", "Why"];
    if truth {
        columns.push("Truth");
    }
    let mut table = Table::new("t-blocked", "Conversations that the policy would block", &columns);
    for blocked in &story.blocked {
        table.row(|cells| {
            cells.name(&blocked.client);
            cells.name(&blocked.server);
            cells.code(&blocked.service);
            cells.number(blocked.flows, &count(blocked.flows));
            cells.time(blocked.first, None);
            cells.time(blocked.last, None);
            cells.text(&blocked.why);
            if truth {
                cells.html(|out| {
                    out.push_str(match blocked.legitimate {
                        Some(true) => "<span class=\"pill bad\">legitimate: would break</span>",
                        Some(false) => "<span class=\"pill good\">rightly blocked</span>",
                        None => "<span class=\"pill\">not known</span>",
                    });
                });
            }
        });
    }
    table.finish(out);
}

fn quarantined(out: &mut String, story: &Story) {
    out.push_str(
        "<h3>Quarantined</h3><p class=\"lead\">Seen while learning and kept out of the policy, \
        because allowing it would teach noise or a mistake. \
        What is needed after all is one accepted rule away.</p>",
    );
    let columns = ["Client", "Server", "Service", "#Flows", "Why it was not allowed"];
    let mut table = Table::new("t-quarantined", "Conversations kept out of the policy", &columns);
    for entry in &story.quarantined {
        table.row(|cells| {
            cells.name(&entry.client);
            cells.name(&entry.server);
            cells.code(&entry.service);
            cells.number(entry.flows, &count(entry.flows));
            cells.text(&entry.reason);
        });
    }
    table.finish(out);
}
