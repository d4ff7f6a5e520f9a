//! The policy: guardrails first, then by scope; each rule as a sentence, as written, and with its evidence.

use std::collections::BTreeMap;

use model::{Action, Mode};

use crate::charts::frontier;
use crate::markup::{Text, count, degree, percent, place, plural, put, window};
use crate::story::{Story, StoryEvidence, StoryRule};
use crate::table::Table;

/// Rules printed as cards; beyond it a policy is read in its files.
const MOST_RULES: usize = 400;

/// Writes the section's body.
pub(crate) fn rules(out: &mut String, story: &Story) {
    if !story.frontier.is_empty() {
        widths(out, story);
    }
    out.push_str(
        "<div class=\"tools js-only\"><label>Filter <input type=\"search\" data-cards=\"rules\" \
        placeholder=\"segment, service, id\"></label><span class=\"hits\" aria-live=\"polite\"></span></div>",
    );
    out.push_str("<div id=\"rules\">");
    let guardrails: Vec<usize> =
        (0..story.rules.len()).filter(|at| story.rules[*at].action != Action::Allow).collect();
    if !guardrails.is_empty() {
        scope(out, story, "Guardrails", "Hold against every other rule.", &guardrails);
    }
    let mut scopes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for at in (0..story.rules.len()).filter(|at| story.rules[*at].action == Action::Allow).take(MOST_RULES) {
        scopes.entry(&story.rules[at].scope).or_default().push(at);
    }
    for (name, rules) in &scopes {
        let first = &story.rules[rules[0]];
        let mode = first.mode.map_or("", mode_says);
        scope(out, story, plain(name), mode, rules);
    }
    out.push_str("</div>");
    let printed = guardrails.len() + scopes.values().map(Vec::len).sum::<usize>();
    if printed < story.rules.len() {
        put!(
            out,
            "<p class=\"hint\">{} more rules are in the policy files.</p>",
            story.rules.len() - printed
        );
    }
}

fn widths(out: &mut String, story: &Story) {
    out.push_str(
        "<p class=\"lead\">Few broad rules are easy to keep but allow more than was needed; many \
        narrow ones break what was not yet seen. \
        These widths were tried.</p>",
    );
    frontier(out, &story.frontier);
    out.push_str("<details class=\"more\"><summary>The same as a table</summary>");
    let columns = ["Width", "#Rules", "#Allowed but never seen", "#Traffic covered", "Chosen"];
    let mut table = Table::new("t-frontier", "Widths of the policy that were tried", &columns);
    for point in &story.frontier {
        table.row(|cells| {
            cells.name(&point.name);
            cells.number(point.rules, &count(point.rules));
            cells.number(point.over_permission, &percent(point.over_permission));
            cells.number(point.coverage, &percent(point.coverage));
            cells.text(if point.chosen { "chosen" } else { "" });
        });
    }
    table.finish(out);
    out.push_str("</details>");
}

const fn mode_says(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "Mode observe: counted, nothing dropped.",
        Mode::Test => "Mode test: would-be denials are logged, nothing dropped.",
        Mode::Selective => "Mode selective: guardrail denies are dropped, the default deny is logged.",
        Mode::Enforce => "Mode enforce: what is not allowed is dropped.",
    }
}

fn scope(out: &mut String, story: &Story, name: &str, about: &str, rules: &[usize]) {
    put!(
        out,
        "<details class=\"scope\" open><summary><h3>{}</h3><span class=\"sub\">{}. \
            {about}</span></summary><ul class=\"rules\">",
        Text(name),
        plural(rules.len() as u64, "rule", "rules")
    );
    for at in rules {
        rule(out, *at, &story.rules[*at]);
    }
    out.push_str("</ul></details>");
}

fn rule(out: &mut String, at: usize, rule: &StoryRule) {
    let (class, word) = match rule.action {
        Action::GuardrailAllow => ("a-always", "always allow"),
        Action::GuardrailDeny => ("a-never", "never"),
        Action::Allow => ("a-allow", "allow"),
    };
    put!(
        out,
        "<li id=\"rule-{at}\" class=\"rule\"><div class=\"what\"><p class=\"sentence\"><span class=\"act \
            {class}\">{word}</span> "
    );
    sentence(out, rule);
    put!(out, "</p><p class=\"sub\">{}</p></div><div class=\"basis\">", Text(&rule.why));
    match &rule.evidence {
        Some(evidence) => basis(out, evidence),
        None => out.push_str("<span class=\"sub\">Written by hand, no evidence recorded</span>"),
    }
    out.push_str("</div>");
    written(out, rule);
    out.push_str("</li>");
}

/// The rule in English.
fn sentence(out: &mut String, rule: &StoryRule) {
    let verb = if rule.action == Action::GuardrailDeny { "must never reach" } else { "may reach" };
    put!(out, "<b>{}</b> {verb} <b>{}</b> on ", Text(who(&rule.from)), Text(who(&rule.to)));
    if rule.services.is_empty() {
        out.push_str("any service");
    }
    for (at, service) in rule.services.iter().take(8).enumerate() {
        put!(out, "{}<code>{}</code>", if at > 0 { ", " } else { "" }, Text(service));
    }
    if rule.services.len() > 8 {
        put!(out, " and {} more", rule.services.len() - 8);
    }
    if !rule.except.is_empty() {
        put!(out, ", except from <b>{}</b>", Text(who(&rule.except)));
    }
}

fn who(peer: &str) -> &str {
    match peer {
        "any" => "anyone",
        "internet" => "the internet",
        other => plain(other),
    }
}

fn plain(peer: &str) -> &str {
    peer.strip_prefix("segment:").unwrap_or(peer)
}

fn basis(out: &mut String, evidence: &StoryEvidence) {
    put!(
        out,
        "<span><b>{}</b> {}</span><span>{} to {}</span>",
        count(evidence.flows),
        if evidence.flows == 1 { "flow" } else { "flows" },
        plural(evidence.clients, "client", "clients"),
        plural(evidence.servers, "server", "servers")
    );
    if let (Some(first), Some(last)) = (evidence.first, evidence.last) {
        put!(out, "<span class=\"sub\">{}</span>", window(first, last));
    }
    if let Some(confidence) = evidence.confidence {
        put!(out, "<span class=\"sub\">confidence {}</span>", degree(confidence));
    }
}

fn written(out: &mut String, rule: &StoryRule) {
    out.push_str("<details class=\"more\"><summary>");
    let id = Text(&rule.id);
    match &rule.location {
        Some(location) => put!(out, "<code>{id}</code> at <code>{}</code>", Text(&place(location))),
        None => put!(out, "<code>{id}</code>"),
    }
    if let Some(flows) = rule.holdout_flows {
        put!(out, " \u{b7} {} in the hold-out", plural(flows, "flow", "flows"));
    }
    out.push_str("</summary>");
    let mut known = vec![("owner", rule.owner.as_str())];
    known.extend(rule.expires.as_deref().map(|day| ("expires", day)));
    out.push_str("<p class=\"sub\">");
    for (at, (key, value)) in known.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        put!(out, "{}{key} {}", if at > 0 { " \u{b7} " } else { "" }, Text(value));
    }
    out.push_str("</p>");
    if !rule.yaml.is_empty() {
        put!(
            out,
            "<div class=\"code\"><button type=\"button\" class=\"copy js-only\">Copy</button><pre \
                tabindex=\"0\" role=\"region\" aria-label=\"Rule {id} as written\"><code>{}</code></pre></div>",
            Text(rule.yaml.trim_end())
        );
    }
    out.push_str("</details>");
}

/// A rule's id, as a link when the rule is printed.
pub(crate) fn link(out: &mut String, story: &Story, id: &str) {
    match story.rules.iter().position(|rule| rule.id == id) {
        Some(at) => put!(out, "<a class=\"rl\" href=\"#rule-{at}\"><code>{}</code></a>", Text(id)),
        None => put!(out, "<code>{}</code>", Text(id)),
    }
}
