//! What was kept out, as a list that a person can go through.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Edge, Graph};

use crate::names::count;
use crate::proposal::{QuarantineReason, Quarantined};
use crate::triage::Fate;

/// A client with more edges than this under one reason is told in one line: nobody reads a scan port by port.
const SUMMARY_ABOVE: usize = 5;

/// Quarantined edges, most suspicious reason first, then the busiest.
pub(crate) fn list(graph: &Graph, fates: &[Fate]) -> Vec<Quarantined> {
    let mut by_client: BTreeMap<(QuarantineReason, u32), Vec<(&Edge, &str)>> = BTreeMap::new();
    for (edge, fate) in graph.edges.iter().zip(fates) {
        if let Fate::Quarantine(reason, detail) = fate {
            // What belongs to the network itself is nobody's in particular.
            let client = if *reason == QuarantineReason::Special { u32::MAX } else { edge.client };
            by_client.entry((*reason, client)).or_default().push((edge, detail));
        }
    }
    let mut result = Vec::new();
    for ((reason, _), edges) in by_client {
        let in_bulk = matches!(
            reason,
            QuarantineReason::Scan
                | QuarantineReason::Translated
                | QuarantineReason::Unanswered
                | QuarantineReason::Denied
                | QuarantineReason::Special
        );
        if in_bulk && edges.len() > SUMMARY_ABOVE {
            result.extend(entry(graph, reason, &edges));
        } else {
            result.extend(edges.iter().filter_map(|edge| entry(graph, reason, std::slice::from_ref(edge))));
        }
    }
    result.sort_by(|a, b| (a.reason, b.flows, &a.edge).cmp(&(b.reason, a.flows, &b.edge)));
    result
}

fn entry(graph: &Graph, reason: QuarantineReason, edges: &[(&Edge, &str)]) -> Option<Quarantined> {
    let (first, detail) = edges.first()?;
    let name = |node: u32| graph.nodes[node as usize].id.0.clone();
    let servers: BTreeSet<u32> = edges.iter().map(|(edge, _)| edge.server).collect();
    let services: BTreeSet<_> = edges.iter().map(|(edge, _)| edge.service).collect();
    let clients: BTreeSet<u32> = edges.iter().map(|(edge, _)| edge.client).collect();
    let told = |nodes: &BTreeSet<u32>, node: u32| match nodes.len() {
        1 => name(node),
        many => format!("{many} hosts"),
    };
    let (client, server) = (told(&clients, first.client), told(&servers, first.server));
    let service = (services.len() == 1).then_some(first.service);
    let on = service.map_or_else(|| count(services.len() as u64, "service"), |service| service.to_string());
    Some(Quarantined {
        edge: format!("{client} -> {server} {on}"),
        client,
        server,
        service,
        reason,
        detail: (*detail).to_owned(),
        edges: edges.len() as u32,
        flows: edges.iter().map(|(edge, _)| edge.flows).sum(),
        bytes: edges.iter().map(|(edge, _)| edge.bytes + edge.reverse_bytes).sum(),
        first: edges.iter().map(|(edge, _)| edge.first).min()?,
        last: edges.iter().map(|(edge, _)| edge.last).max()?,
    })
}
