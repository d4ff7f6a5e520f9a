//! One self-contained HTML file that tells what was found, what the policy says, and how far that can be
//! trusted.
//!
//! The file asks for nothing from anywhere: styles and script are inline and pinned by hash in its content
//! security policy, so that even a name that slipped through the escaping could run nothing. It reads without
//! the script, in light and dark, on paper, and by keyboard. The same story gives the same bytes.
//!
//! To add a part: one file that writes a section, and one line in [`render`].

mod attack;
mod blocked;
mod charts;
mod headline;
mod layout;
mod lettering;
mod map;
mod markup;
mod matrix;
mod page;
mod panel;
mod proofs;
mod rules;
mod seen;
mod segments;
mod story;
mod table;
mod verdict;
mod view;

pub use seen::{StoryExporter, StoryGap, StoryVisibility};
pub use story::{
    GroupKind, MapStory, Proof, StepOutcome, Story, StoryAssertion, StoryAttack, StoryAttackStep,
    StoryBlocked, StoryDropped, StoryEdge, StoryEstimate, StoryEvidence, StoryFrontierPoint, StoryGroup,
    StoryKernelCheck, StoryNode, StoryNote, StoryNumbers, StoryOrigin, StoryQuarantined, StoryReachable,
    StoryRule, StorySource, StoryUnassigned, StoryUnused, StoryWindow, Verdict,
};

use markup::{Text, put};
use page::Page;
use view::View;

/// The whole report as one HTML document.
pub fn render(story: &Story) -> String {
    let view = View::of(&story.map);
    let mut page = Page::new(&story.map.title, &story.map.origin);
    headline::headline(page.top(), story, &view);
    visibility(&mut page, &story.map);
    network(&mut page, &view, &|out, id| rules::link(out, story, id));
    page.section("segments", "Segments", "What belongs together, and why", |out| {
        segments::segments(out, story, &view);
    });
    if !story.rules.is_empty() {
        page.section("policy", "Policy", "What is allowed, and on what evidence", |out| {
            rules::rules(out, story)
        });
    }
    if !story.blocked.is_empty() || !story.quarantined.is_empty() || story.numbers.holdout_flows > 0 {
        page.section("blocked", "Would block", "What enforcing would have stopped", |out| {
            blocked::blocked(out, story);
        });
    }
    if let Some(attack) = &story.attack {
        page.section("attack", "Attack", "Each step, and where it dies", |out| {
            attack::attack(out, attack, story)
        });
    }
    page.section("proofs", "Proofs", "What is proven, and what is not", |out| proofs::proofs(out, story));
    page.finish()
}

/// The map, the matrix and their table as one HTML document.
pub fn render_map(story: &MapStory) -> String {
    let view = View::of(story);
    let mut page = Page::new(&story.title, &story.origin);
    headline::map_headline(page.top(), story, &view);
    network(&mut page, &view, &|out, id| put!(out, "<code>{}</code>", Text(id)));
    visibility(&mut page, story);
    page.finish()
}

/// What bounds all the rest: how much of what happened is in it.
fn visibility(page: &mut Page, story: &MapStory) {
    if let Some(found) = &story.visibility {
        page.section("coverage", "Coverage", "What was seen, and what was missed", |out| {
            seen::seen(out, found)
        });
    }
}

/// Up to this many groups the picture is read first; beyond it, the matrix.
const MOST_FOR_A_PICTURE: usize = 40;

/// The three views of one thing: picture, matrix, table.
fn network(page: &mut Page, view: &View<'_>, rule: &dyn Fn(&mut String, &str)) {
    let map = |page: &mut Page| page.section("map", "Map", "Who talks to whom", |out| map::map(out, view));
    let matrix = |page: &mut Page| {
        page.section("matrix", "Matrix", "Between which groups, on what", |out| matrix::matrix(out, view));
    };
    if view.groups.len() <= MOST_FOR_A_PICTURE {
        map(page);
        matrix(page);
    } else {
        matrix(page);
        map(page);
    }
    page.section("flows", "Flows", "All of it, as a table", |out| {
        matrix::twin(out, view, rule);
        panel::panels(out, view);
    });
}
