//! What a rule rests on, in numbers and in words.

use std::collections::BTreeSet;

use graph::{Edge, Graph};
use model::{Micros, format_time};
use policy::Evidence;

use crate::names::count;
use crate::proposal::{RuleEvidence, Sample};
use crate::triage::Fate;
use crate::width::{Draft, Drafter, Side, rounded};

const HOUR_US: Micros = 3_600_000_000;
const DAY_US: Micros = 24 * HOUR_US;
/// A rule whose last connection is older than this says so.
const STALE_US: Micros = 30 * DAY_US;
const SAMPLES: usize = 3;

/// The counts behind a draft.
pub(crate) fn evidence(drafter: &Drafter<'_>, fates: &[Fate], draft: &Draft) -> RuleEvidence {
    let edges: Vec<&Edge> = draft.edges.iter().map(|index| &drafter.graph.edges[*index]).collect();
    let flows: u64 = edges.iter().map(|edge| edge.flows).sum();
    let hours = edges.iter().map(|edge| edge.hours).max().unwrap_or(0);
    let first = edges.iter().map(|edge| edge.first).min().unwrap_or(0);
    let last = edges.iter().map(|edge| edge.last).max().unwrap_or(0);
    let calendar = (last.div_euclid(DAY_US) - first.div_euclid(DAY_US)).unsigned_abs() + 1;
    let weight: f64 = edges.iter().map(|edge| edge.flows.max(1) as f64).sum();
    let direction: f64 = edges.iter().map(|edge| edge.confidence * edge.flows.max(1) as f64).sum();
    let rare = draft.edges.iter().filter_map(|index| match &fates[*index] {
        Fate::Teach(Some(reason)) => Some(reason.as_str()),
        _ => None,
    });
    // Where habitual edges stand behind the rule too, it does not hang on the rare one.
    let rare: Vec<&str> = rare.collect();
    let rare = if rare.len() == edges.len() { rare.first() } else { None };
    RuleEvidence {
        flows,
        bytes: edges.iter().map(|edge| edge.bytes + edge.reverse_bytes).sum(),
        hours,
        days: u64::from(hours.max(1)).min(calendar) as u32,
        first,
        last,
        clients: distinct(&edges, |edge| edge.client),
        clients_allowed: drafter.hosts(&draft.from),
        servers: distinct(&edges, |edge| edge.server),
        servers_allowed: drafter.hosts(&draft.to),
        confidence: rounded(direction / weight.max(1.0) * (flows as f64 / (flows as f64 + 1.0))),
        visibility: visibility(drafter, &edges),
        rare: rare.map(|reason| (*reason).to_owned()),
    }
}

/// A conversation is seen where either of its ends is; the edge that was seen worst speaks for all.
fn visibility(drafter: &Drafter<'_>, edges: &[&Edge]) -> Option<f64> {
    let score = |node: u32| {
        let id = &drafter.graph.nodes[node as usize].id.0;
        drafter.options.standing.get(id).map(|standing| standing.score)
    };
    let of = |edge: &&Edge| score(edge.client).into_iter().chain(score(edge.server)).reduce(f64::max);
    edges.iter().filter_map(of).reduce(f64::min).map(floored)
}

/// Three digits, never rounded up.
fn floored(share: f64) -> f64 {
    (share * 1_000.0 + 1e-9).floor() / 1_000.0
}

/// The evidence as the policy file holds it.
pub(crate) fn written(evidence: &RuleEvidence) -> Evidence {
    Evidence {
        flows: evidence.flows,
        days: evidence.days,
        last_seen: Some(format_time(evidence.last)),
        confidence: Some((evidence.confidence * 100.0).round() / 100.0),
        clients: Some(evidence.clients),
        servers: Some(evidence.servers),
        visibility: evidence.visibility,
    }
}

/// `11 of 12 workstations asked lb on tcp/443, 840 connections in 5 hours`.
pub(crate) fn why(drafter: &Drafter<'_>, draft: &Draft, evidence: &RuleEvidence) -> String {
    let services: Vec<String> = draft.services.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{} asked {} on {}, {} in {}",
        side_words(drafter, &draft.from, evidence.clients),
        side_words(drafter, &draft.to, evidence.servers),
        services.join(", "),
        count(evidence.flows, "connection"),
        count(u64::from(evidence.hours.max(1)), "hour"),
    );
    let ports = draft.edges.iter().map(|index| drafter.graph.edges[*index].dynamic_ports).max();
    if let Some(ports) = ports.filter(|ports| *ports > 1) {
        text.push_str(&format!("; {ports} dynamic ports seen in the range"));
    }
    if let Some(rare) = &evidence.rare {
        text.push_str(&format!("; rare: {rare}"));
    }
    let age = drafter.options.as_of - evidence.last;
    if age > STALE_US {
        text.push_str(&format!("; none in the last {} days", age / DAY_US));
    }
    text
}

/// The busiest edges of a draft.
pub(crate) fn samples(graph: &Graph, draft: &Draft) -> Vec<Sample> {
    let mut indices = draft.edges.clone();
    indices.sort_by_key(|index| (std::cmp::Reverse(graph.edges[*index].flows), *index));
    let name = |node: u32| graph.nodes[node as usize].id.0.clone();
    let sample = |index: &usize| {
        let edge = &graph.edges[*index];
        Sample {
            client: name(edge.client),
            server: name(edge.server),
            service: edge.service,
            flows: edge.flows,
            bytes: edge.bytes + edge.reverse_bytes,
            first: edge.first,
            last: edge.last,
        }
    };
    indices.iter().take(SAMPLES).map(sample).collect()
}

fn side_words(drafter: &Drafter<'_>, sides: &[Side], seen: u64) -> String {
    let name = |cell: usize| drafter.cells.list[cell].name.as_str();
    let of = |all: u64| if seen == all { format!("all {all}") } else { format!("{seen} of {all}") };
    match sides {
        [Side::Everybody] => format!("{} known workloads", of(drafter.hosts(sides))),
        [Side::Cell(cell)] => match drafter.cells.list[*cell].population {
            1 => name(*cell).to_owned(),
            all => format!("{} in {}", of(all), name(*cell)),
        },
        [Side::Node(node)] => drafter.graph.nodes[*node as usize].id.0.clone(),
        [Side::Node(node), ..] => {
            let cell = drafter.cells.of[*node as usize];
            format!("{} in {}", of(drafter.cells.list[cell].population), name(cell))
        }
        _ => format!("{} in {} groups", count(seen, "host"), sides.len()),
    }
}

fn distinct(edges: &[&Edge], of: impl Fn(&Edge) -> u32) -> u64 {
    edges.iter().map(|edge| of(edge)).collect::<BTreeSet<u32>>().len() as u64
}
