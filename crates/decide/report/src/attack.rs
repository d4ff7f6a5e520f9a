//! The attack replayed: each step, where it dies, what remains within reach.

use crate::charts::outcome_class;
use crate::markup::{Text, clock, count, place, plural, put};
use crate::story::{StepOutcome, Story, StoryAttack, StoryAttackStep};
use crate::table::Table;

/// Steps printed one by one.
const MOST_STEPS: usize = 200;

/// Writes the section's body.
pub(crate) fn attack(out: &mut String, attack: &StoryAttack, story: &Story) {
    out.push_str("<div class=\"attack\"><ol class=\"timeline\">");
    for step in attack.steps.iter().take(MOST_STEPS) {
        timeline_step(out, step, story);
    }
    out.push_str("</ol>");
    reach(out, attack);
    out.push_str("</div>");
    if attack.steps.len() > MOST_STEPS {
        put!(out, "<p class=\"hint\">+{} more steps.</p>", attack.steps.len() - MOST_STEPS);
    }
    if !attack.kernel.is_empty() {
        kernel(out, attack, story);
    }
}

const fn outcome_word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Stopped => "refused",
        StepOutcome::Cut => "cut off",
        StepOutcome::Contained => "contained",
        StepOutcome::Reached => "goes through",
    }
}

fn timeline_step(out: &mut String, step: &StoryAttackStep, story: &Story) {
    let class = outcome_class(step.outcome);
    put!(
        out,
        "<li class=\"{class}\"><time>{}</time><div class=\"step\"><p class=\"sentence\">{}</p>",
        clock(step.time),
        Text(&step.action)
    );
    put!(
        out,
        "<p class=\"path\"><b>{}</b> <span class=\"to\">\u{2192}</span> <b>{}</b>",
        Text(&step.from),
        Text(&step.to)
    );
    if !step.service.is_empty() {
        put!(out, " <code>{}</code>", Text(&step.service));
    }
    if !step.technique.is_empty() {
        put!(
            out,
            " <span class=\"sub\"><code>{}</code> {}</span>",
            Text(&step.technique),
            Text(&step.technique_name)
        );
    }
    put!(
        out,
        "</p></div><div class=\"end\"><span class=\"pill {class}\">{}</span>",
        outcome_word(step.outcome)
    );
    if !step.decided_by.is_empty() {
        out.push_str("<span class=\"sub\">");
        if story.rules.iter().any(|rule| rule.id == step.decided_by) {
            out.push_str("by ");
            crate::rules::link(out, story, &step.decided_by);
        } else {
            put!(out, "{}", Text(&step.decided_by));
        }
        out.push_str("</span>");
    }
    if let Some(location) = &step.location {
        put!(out, "<code class=\"sub\">{}</code>", Text(&place(location)));
    }
    out.push_str("</div></li>");
}

fn reach(out: &mut String, attack: &StoryAttack) {
    put!(
        out,
        "<div class=\"reach\"><h3>Still within reach</h3><p class=\"sub\">from {}</p>",
        Text(&attack.foothold)
    );
    if let (Some(before), Some(after)) = (attack.reach_before, attack.reach_after) {
        put!(
            out,
            "<p class=\"fall\"><s>{}</s> <span class=\"to\">\u{2192}</span> <b>{}</b></p>",
            count(before),
            count(after)
        );
        put!(
            out,
            "<p class=\"sub\">{} without and with the policy</p>",
            if after == 1 { "workload" } else { "workloads" }
        );
    }
    if attack.reachable.is_empty() {
        out.push_str("<p class=\"sub\">Nothing.</p>");
    }
    out.push_str("<ul class=\"near\">");
    for reachable in attack.reachable.iter().take(20) {
        put!(
            out,
            "<li><span class=\"who\"><b>{}</b> <code>{}</code><br><span class=\"sub\">{}</span></span></li>",
            Text(&reachable.to),
            Text(&reachable.services.join(", ")),
            Text(&reachable.why)
        );
    }
    if attack.reachable.len() > 20 {
        put!(out, "<li>+{} more</li>", attack.reachable.len() - 20);
    }
    out.push_str("</ul></div>");
}

fn kernel(out: &mut String, attack: &StoryAttack, story: &Story) {
    let passed = attack.kernel.iter().filter(|check| check.passed).count();
    put!(
        out,
        "<h3>In the kernel</h3><p class=\"lead\">{passed} of {} agree: the compiled rules were loaded and \
            real connections tried.</p>",
        plural(attack.kernel.len() as u64, "check", "checks")
    );
    let columns = ["Check", "From", "To", "Service", "Policy says", "Kernel did", "Logged rule", "Agrees"];
    let mut table = Table::new("t-kernel", "Checks in a real kernel", &columns);
    for check in &attack.kernel {
        table.row(|cells| {
            cells.text(&check.check);
            cells.name(&check.from);
            cells.name(&check.to);
            cells.code(&check.service);
            cells.text(&check.expected);
            cells.text(&check.observed);
            cells.html(|out| {
                if let Some(id) = &check.log {
                    crate::rules::link(out, story, id);
                }
            });
            cells.html(|out| {
                out.push_str(if check.passed {
                    "<span class=\"pill good\">yes</span>"
                } else {
                    "<span class=\"pill bad\">no</span>"
                });
            });
        });
    }
    table.finish(out);
}
