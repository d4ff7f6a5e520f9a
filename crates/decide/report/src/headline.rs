//! What was found, in one sentence and a few figures; from what data.

use crate::charts::{interval, meter, steps};
use crate::markup::{Text, bytes, compact, count, percent, plural, put, span};
use crate::story::{GroupKind, MapStory, StepOutcome, Story, StoryNumbers, Verdict};
use crate::view::View;

/// Writes the report's top.
pub(crate) fn headline(out: &mut String, story: &Story, view: &View<'_>) {
    let sentence = story.headline.clone().unwrap_or_else(|| sentence(story, view));
    opening(out, &story.map.title, &sentence);
    out.push_str("<dl class=\"figures\">");
    read(out, &story.numbers);
    visibility(out, &story.map);
    found(out, story, view);
    policy(out, story);
    coverage(out, &story.numbers);
    false_blocks(out, &story.numbers);
    stopped(out, story);
    out.push_str("</dl>");
    facts(out, &story.map);
}

/// Writes the top of a page that has only the map.
pub(crate) fn map_headline(out: &mut String, story: &MapStory, view: &View<'_>) {
    let flows: u64 = view.bundles.iter().map(|b| b.flows).fold(0, u64::saturating_add);
    let known =
        view.groups.iter().filter(|m| !matches!(m.group.kind, GroupKind::Internet | GroupKind::Unknown));
    let workloads: usize = known.map(|member| member.nodes.len()).sum();
    let pairs = view.bundles.iter().filter(|b| b.verdict != Verdict::Unused && b.from != b.to).count();
    let sentence = format!(
        "{} in {} exchanged {}.",
        plural(workloads as u64, "workload", "workloads"),
        plural(view.groups.len() as u64, "group", "groups"),
        plural(flows, "flow", "flows"),
    );
    opening(out, &story.title, &sentence);
    out.push_str("<dl class=\"figures\">");
    figure(out, "Flows", &compact(flows), &format!("{} exactly", count(flows)), |_| {});
    visibility(out, story);
    figure(out, "Workloads", &count(workloads as u64), "with traffic or in the inventory", |_| {});
    figure(out, "Groups", &count(view.groups.len() as u64), "cards of the map, rows of the matrix", |_| {});
    figure(out, "Pairs that talk", &count(pairs as u64), "of groups, by verdict", |_| {});
    out.push_str("</dl>");
    facts(out, story);
}

fn opening(out: &mut String, title: &str, sentence: &str) {
    put!(
        out,
        "<div class=\"opening\"><p class=\"eyebrow\">{}</p><h1>{}</h1></div>",
        Text(title),
        Text(sentence)
    );
}

fn sentence(story: &Story, view: &View<'_>) -> String {
    let segments = segments(view);
    let mut parts = Vec::new();
    if !story.rules.is_empty() {
        let rules = plural(story.rules.len() as u64, "rule", "rules");
        match story.numbers.coverage {
            Some(coverage) => parts
                .push(format!("{rules} allow {} of the hold-out's legitimate traffic", percent(coverage))),
            None => parts.push(format!("{rules} describe what they need")),
        }
    }
    if let Some(attack) = &story.attack {
        let (stopped, all) = (stopped_steps(story), attack.steps.len());
        parts.push(format!("stop {stopped} of {all} attack steps"));
    }
    let found = format!(
        "{} found among {}",
        plural(segments as u64, "segment", "segments"),
        plural(story.numbers.workloads, "workload", "workloads")
    );
    if parts.is_empty() { format!("{found}.") } else { format!("{found}; {}.", parts.join(" and ")) }
}

fn segments(view: &View<'_>) -> usize {
    view.groups.iter().filter(|m| matches!(m.group.kind, GroupKind::Segment | GroupKind::Label)).count()
}

fn stopped_steps(story: &Story) -> usize {
    let steps = story.attack.iter().flat_map(|attack| &attack.steps);
    steps.filter(|step| matches!(step.outcome, StepOutcome::Stopped | StepOutcome::Cut)).count()
}

fn figure(out: &mut String, name: &str, value: &str, explanation: &str, picture: impl FnOnce(&mut String)) {
    put!(
        out,
        "<div class=\"figure\"><dt>{}</dt><dd class=\"big\">{}</dd><dd class=\"pic\">",
        Text(name),
        Text(value)
    );
    picture(out);
    put!(out, "</dd><dd class=\"say\">{}</dd></div>", Text(explanation));
}

fn read(out: &mut String, numbers: &StoryNumbers) {
    let talks = plural(numbers.conversations, "conversation", "conversations");
    let say = format!("{} records, {talks}", count(numbers.flows_read));
    figure(out, "Flows read", &compact(numbers.flows_read), &say, |_| {});
}

/// How much of what happened the rest of the page can speak of.
fn visibility(out: &mut String, story: &MapStory) {
    let Some(found) = &story.visibility else { return };
    let mut say = String::from("probability that a conversation that passed an exporter was seen");
    if found.unseen > 0 {
        say.push_str(&format!("; {} out of sight or idle", plural(found.unseen, "workload", "workloads")));
    }
    figure(out, "Visibility", &crate::seen::percent(found.score), &say, |out| meter(out, found.score));
}

fn found(out: &mut String, story: &Story, view: &View<'_>) {
    let mut say = format!("of {}", plural(story.numbers.workloads, "workload", "workloads"));
    if !story.unassigned.is_empty() {
        say.push_str(&format!(", {} unassigned", count(story.unassigned.len() as u64)));
    }
    if let Some(ari) = story.numbers.ari {
        say.push_str(&format!("; agreement with the truth (ARI) {ari:.2}"));
    }
    figure(out, "Segments", &count(segments(view) as u64), &say, |out| {
        if let Some(ari) = story.numbers.ari {
            meter(out, ari);
        }
    });
}

fn policy(out: &mut String, story: &Story) {
    let guardrails = story.rules.iter().filter(|rule| rule.action != model::Action::Allow).count();
    let mut say = plural(guardrails as u64, "guardrail among them", "guardrails among them");
    if let Some(over) = story.numbers.over_permission {
        say.push_str(&format!("; {} of what they allow was never seen", percent(over)));
    }
    figure(out, "Rules", &count(story.rules.len() as u64), &say, |_| {});
}

fn coverage(out: &mut String, numbers: &StoryNumbers) {
    let Some(coverage) = numbers.coverage else {
        return figure(out, "Coverage", "\u{2013}", "no hold-out was replayed", |_| {});
    };
    if numbers.learnt_within > 0 {
        let say = format!(
            "of the window's conversations that look legitimate; {} learnt in it, so it is no hold-out",
            plural(numbers.learnt_within, "rule was", "rules were")
        );
        return figure(out, "Coverage", &percent(coverage), &say, |out| meter(out, coverage));
    }
    let say = format!(
        "of the hold-out's conversations that look legitimate; of all flows, {} of {} would be blocked",
        count(numbers.holdout_would_block),
        plural(numbers.holdout_flows, "flow", "flows")
    );
    figure(out, "Coverage", &percent(coverage), &say, |out| meter(out, coverage));
}

fn false_blocks(out: &mut String, numbers: &StoryNumbers) {
    let Some(estimate) = numbers.false_block else {
        return figure(out, "False blocks", "\u{2013}", "not estimated", |_| {});
    };
    let say = format!(
        "of legitimate conversations would break; 95% between {} and {}",
        percent(estimate.low),
        percent(estimate.high)
    );
    figure(out, "False blocks", &percent(estimate.mid), &say, |out| interval(out, &estimate));
}

fn stopped(out: &mut String, story: &Story) {
    let Some(attack) = &story.attack else {
        return figure(out, "Attack steps stopped", "\u{2013}", "no attack was replayed", |_| {});
    };
    let of = |outcome| attack.steps.iter().filter(|step| step.outcome == outcome).count();
    let say = format!(
        "{} refused, {} cut off by that, {} contained, {} through",
        of(StepOutcome::Stopped),
        of(StepOutcome::Cut),
        of(StepOutcome::Contained),
        of(StepOutcome::Reached)
    );
    let value = format!("{} of {}", stopped_steps(story), attack.steps.len());
    figure(out, "Attack steps stopped", &value, &say, |out| steps(out, &attack.steps));
}

/// Windows, sources and what was dropped: stands on top, because it bounds what all the rest can say.
fn facts(out: &mut String, story: &MapStory) {
    out.push_str("<dl class=\"facts\">");
    if !story.windows.is_empty() {
        out.push_str("<div><dt>Time windows</dt><dd><ul>");
        for window in &story.windows {
            put!(
                out,
                "<li><b>{}</b> {} UTC, {}, {}</li>",
                Text(&window.name),
                crate::markup::window(window.from, window.to),
                span(window.from, window.to),
                plural(window.flows, "flow", "flows")
            );
        }
        out.push_str("</ul></dd></div>");
    }
    if !story.sources.is_empty() {
        out.push_str("<div><dt>Sources</dt><dd><ul>");
        for source in story.sources.iter().take(12) {
            put!(
                out,
                "<li><b>{}</b> {}, {} in {}</li>",
                Text(&source.format),
                Text(&source.name),
                plural(source.records, "record", "records"),
                bytes(source.bytes)
            );
        }
        if story.sources.len() > 12 {
            put!(out, "<li>+{} more</li>", story.sources.len() - 12);
        }
        out.push_str("</ul></dd></div>");
    }
    quality(out, story);
    let origin = [("Policy", &story.origin.policy), ("Plan", &story.origin.plan)];
    for (name, value) in origin.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        put!(out, "<div><dt>{name}</dt><dd><code>{}</code></dd></div>", Text(value));
    }
    out.push_str("</dl>");
}

fn quality(out: &mut String, story: &MapStory) {
    let read: u64 = story.sources.iter().map(|source| source.bytes).fold(0, u64::saturating_add);
    let dropped: u64 = story.dropped.iter().map(|dropped| dropped.bytes).fold(0, u64::saturating_add);
    if read == 0 && story.dropped.is_empty() {
        return;
    }
    out.push_str("<div><dt>Data quality</dt><dd><ul>");
    if story.dropped.is_empty() {
        put!(out, "<li>All {} were used.</li>", bytes(read));
    } else {
        let share = if read > 0 { dropped as f64 / read as f64 } else { f64::NAN };
        put!(out, "<li>{} of {} dropped ({}).</li>", bytes(dropped), bytes(read), percent(share));
    }
    for dropped in &story.dropped {
        put!(
            out,
            "<li><b>{}</b> {}, {}</li>",
            Text(&dropped.reason),
            plural(dropped.records, "record", "records"),
            bytes(dropped.bytes)
        );
    }
    out.push_str("</ul></dd></div>");
}
