//! Lists that people write, or that a CMDB exports: CSV or JSON.

use crate::connector::{Connector, Probe, Sink, Text};
use crate::{csv, json};

/// The row of lists.
pub(crate) static CONNECTOR: Connector = Connector {
    name: model::LIST,
    aliases: &["csv", "json", "cmdb"],
    title: "lists: CSV or JSON with id, name, ip, from, to, criticality; other columns are labels",
    description: "One row or object a workload. Taken literally and whole or not at all: a hole would leave a workload \
                  outside every policy. Comes before every other source.",
    rank: model::LIST_RANK,
    detect,
    read,
};

/// What no system wrote is a list, or what is wrong with it is told in the words of lists.
fn detect(_: &Probe<'_>) -> bool {
    true
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let text = input.text;
    let rows = if text.trim_start().starts_with(['[', '{']) {
        json::rows(text, &mut sink.flaws)
    } else {
        csv::rows(text, &mut sink.flaws)
    };
    sink.records += rows.len() as u64;
    sink.rows = rows;
}
