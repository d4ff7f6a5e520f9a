//! Claims with their proofs; how it was done; what it does not show.

use crate::markup::{Text, place, plural, put};
use crate::story::{Proof, Story};
use crate::table::Table;

/// What holds for every report: how each number is made.
const METHOD: [(&str, &str); 5] = [
    (
        "Map",
        "Flow records are stitched into conversations and given a client and a server with a confidence. \
            What several exporters saw is counted once.",
    ),
    (
        "Segments",
        "Workloads that offer and use the same services toward the same peers stand together. Labels are \
            not used, so a label that is wrong cannot hide.",
    ),
    (
        "Policy",
        "Rules come from the learning window alone. Each states the conversations it rests on; noise and \
            one-off traffic is quarantined, not allowed.",
    ),
    (
        "Replay",
        "The hold-out window was not seen while learning. False blocks are estimated from it with a 95% \
            interval.",
    ),
    (
        "Proof",
        "Guardrails and sentence tests are decided over exact sets of all packets, not over samples; a \
            failing one shows a packet.",
    ),
];

/// What no report of this kind can show.
const LIMITS: [&str; 6] = [
    "Traffic that did not happen in the learning window is not in the policy: yearly jobs, failovers and \
        disaster recovery need a person who knows them.",
    "A hold-out of the same weeks resembles the learning window; the estimate says nothing about a network \
        that changes.",
    "Flow records show who spoke, not what was said: an allowed service can be misused, and stolen \
        credentials use it like anyone.",
    "Hosts and paths that no exporter watches, and short flows that a sampler skipped, are missing here \
        without a trace.",
    "The attack is one attack. That its steps are stopped does not prove that another is.",
    "This is a simulation and its evidence, not a penetration test; PCI DSS 11.4.5 asks for one by an \
        independent, qualified tester.",
];

/// Writes the section's body.
pub(crate) fn proofs(out: &mut String, story: &Story) {
    if !story.assertions.is_empty() {
        assertions(out, story);
    }
    out.push_str("<div class=\"twocol\"><div><h3>Method</h3><dl class=\"notes\">");
    for (title, text) in METHOD {
        put!(out, "<dt>{title}</dt><dd>{text}</dd>");
    }
    for note in &story.notes {
        put!(out, "<dt>{}</dt><dd>{}</dd>", Text(&note.title), Text(&note.text));
    }
    out.push_str("</dl></div><div><h3>What this does not prove</h3><ul class=\"limits\">");
    for limit in LIMITS {
        put!(out, "<li>{limit}</li>");
    }
    out.push_str("</ul></div></div>");
}

fn assertions(out: &mut String, story: &Story) {
    let holding = story.assertions.iter().filter(|assertion| assertion.result == Proof::Holds).count();
    put!(
        out,
        "<p class=\"lead\">{holding} of {} hold, for every packet.</p>",
        plural(story.assertions.len() as u64, "claim", "claims")
    );
    let mut table = Table::new("t-proofs", "Claims and proofs", &["Claim", "Result", "Witness", "Where"]);
    for assertion in &story.assertions {
        table.row(|cells| {
            cells.text(&assertion.sentence);
            cells.html(|out| {
                out.push_str(match assertion.result {
                    Proof::Holds => "<span class=\"pill good\">holds</span>",
                    Proof::Violated => "<span class=\"pill bad\">violated</span>",
                    Proof::CannotTell => "<span class=\"pill\">cannot tell</span>",
                });
            });
            let none = if assertion.result == Proof::Holds { "none exists" } else { "" };
            cells.text(assertion.witness.as_deref().unwrap_or(none));
            cells.code(&assertion.location.as_ref().map(place).unwrap_or_default());
        });
    }
    table.finish(out);
}
