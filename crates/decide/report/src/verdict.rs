//! How verdicts look: always a line style and a word beside the colour.

use crate::markup::put;
use crate::story::Verdict;

/// All verdicts in the order of the legend.
pub(crate) const ALL: [Verdict; 5] =
    [Verdict::Observed, Verdict::Allowed, Verdict::Unused, Verdict::WouldBlock, Verdict::Blocked];

/// The CSS class.
pub(crate) const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Observed => "v-seen",
        Verdict::Allowed => "v-allow",
        Verdict::Unused => "v-unused",
        Verdict::WouldBlock => "v-would",
        Verdict::Blocked => "v-attack",
    }
}

/// The word.
pub(crate) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Observed => "seen",
        Verdict::Allowed => "allowed",
        Verdict::Unused => "allowed, unused",
        Verdict::WouldBlock => "would block",
        Verdict::Blocked => "attack or denied",
    }
}

/// A sample of the line, to stand before a word.
pub(crate) fn sample(out: &mut String, verdict: Verdict) {
    put!(out, "<svg class=\"key {}\" width=\"18\" height=\"8\" aria-hidden=\"true\">", class(verdict));
    out.push_str("<use href=\"#line\"/></svg>");
}

/// Sample and word.
pub(crate) fn tag(out: &mut String, verdict: Verdict) {
    put!(out, "<span class=\"tag {}\">", class(verdict));
    sample(out, verdict);
    put!(out, "{}</span>", word(verdict));
}
