//! Results to the values that a report tells.

mod attack;
mod map;
mod replay;
mod rules;
mod seen;
mod truth;

pub(crate) use crate::commands::{frontier, quarantined};
pub(crate) use attack::{add_attack, attack_story, kernel_checks};
pub(crate) use map::{add_verdicts, map_story, unassigned, window_text, windows};
pub(crate) use replay::{blocked, numbers};
pub(crate) use rules::{assertions, rule_stories};
pub(crate) use truth::{Truth, adjusted_rand_index};
