//! Clients that contact many hosts and ports, mostly in vain.
//!
//! The test is the sequential one of Jung, Paxson, Berger and Balakrishnan, "Fast portscan detection using sequential
//! hypothesis testing" (IEEE S&P 2004): each first contact of a client with a (server, service) succeeds with
//! probability 0.8 for an honest client and 0.2 for a scanner. With these two values every failure multiplies the odds
//! by 4 and every success divides them by 4, so the log odds are (failures - successes) ln 4. The order of contacts is
//! not kept in a graph, so the test is made once over all of them, with odds of a million to one.

use crate::assemble::Draft;
use crate::noise::Outcome;
use crate::{Node, NodeKind, Noise};

/// `4^10` is just above a million: failures must outnumber successes by ten distinct targets.
const EXCESS_FAILURES_MIN: i64 = 10;
/// A scanner's contacts that succeeded count as part of the scan when they are as brief as this.
const PROBE_FLOWS_MAX: u64 = 3;

/// Names the scanners, and marks their contacts in vain, and those that succeeded but were brief and lie within the
/// time of the scan. What else a scanner does, its name look-ups for example, is left as it is.
pub(crate) fn mark(nodes: &mut [Node], drafts: &mut [Draft], outcome: &Outcome) {
    for contacts in drafts.chunk_by_mut(|a, b| a.edge.client == b.edge.client) {
        let node = &mut nodes[contacts[0].edge.client as usize];
        // All of the internet is one node here; it scans, and that is no news.
        if node.kind == NodeKind::Internet {
            continue;
        }
        let ordinary = |d: &&Draft| !d.special;
        let in_vain = contacts.iter().filter(ordinary).filter(|d| outcome.in_vain(d)).count();
        let total = contacts.iter().filter(ordinary).count();
        if (2 * in_vain) as i64 - (total as i64) < EXCESS_FAILURES_MIN {
            continue;
        }
        node.scanner = Some(describe(contacts, outcome, in_vain, total));
        let vain = || contacts.iter().filter(|d| outcome.in_vain(d)).map(|d| &d.edge);
        let from = vain().map(|e| e.first).min().unwrap_or_default();
        let to = vain().map(|e| e.last).max().unwrap_or_default();
        for draft in contacts.iter_mut() {
            let edge = &draft.edge;
            let probe = edge.flows <= PROBE_FLOWS_MAX && edge.first >= from && edge.last <= to;
            if probe || outcome.in_vain(draft) {
                draft.edge.noise = Some(Noise::Scan);
            }
        }
    }
}

fn describe(contacts: &[Draft], outcome: &Outcome, in_vain: usize, total: usize) -> String {
    let vain = || contacts.iter().filter(|d| outcome.in_vain(d)).map(|d| &d.edge);
    let count = |mut values: Vec<u32>| {
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    let hosts = count(vain().map(|e| e.server).collect());
    let services =
        count(vain().map(|e| u32::from(e.service.protocol.0) << 16 | u32::from(e.service.low)).collect());
    format!("{in_vain} of {total} contacts in vain, over {hosts} hosts and {services} services")
}
