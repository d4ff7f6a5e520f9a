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

/// Word with a sample of the line before it.
pub(crate) fn tag(out: &mut String, verdict: Verdict) {
    put!(out, "<span class=\"tag {}\"><i></i>{}</span>", class(verdict), word(verdict));
}
