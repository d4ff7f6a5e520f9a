//! Traffic that must not teach a policy.

use std::collections::BTreeSet;

use model::{Protocol, Service};

use crate::assemble::{BuildOptions, Draft};
use crate::{Edge, Node, NodeKind, Noise};

const RST: u8 = 0x04;
const PUSH: u8 = 0x08;

/// From so many flows or packets on, datagrams that nobody answers are a habit (syslog, statsd), not a mistake.
const ONE_WAY_HABIT_MIN: u64 = 5;
/// A TCP connection that carried nothing is a habit (a health check) when it came more often than this.
const EMPTY_CONNECTIONS_MAX: u64 = 2;
/// Share of the clients that get an answer at all, below which the exporters see one side only.
const TWO_SIDED_MIN: f64 = 0.3;

/// How conversations ended, judged with what the exporters can see.
pub(crate) struct Outcome {
    /// Nobody gets answers: the exporters see one direction, and silence means nothing.
    one_sided: bool,
}

impl Outcome {
    pub(crate) fn observe(drafts: &[Draft]) -> Self {
        let clients: BTreeSet<u32> = drafts.iter().map(|d| d.edge.client).collect();
        let heard: BTreeSet<u32> =
            drafts.iter().filter(|d| answered(&d.edge)).map(|d| d.edge.client).collect();
        Self { one_sided: (heard.len() as f64) < TWO_SIDED_MIN * clients.len() as f64 }
    }

    /// Whether nobody answered, or the answer was a refusal.
    pub(crate) fn unanswered(&self, draft: &Draft) -> bool {
        if draft.edge.service.protocol == Protocol::TCP {
            let edge = &draft.edge;
            let refused = draft.tcp_flags & RST != 0
                && draft.tcp_flags & PUSH == 0
                && edge.packets <= edge.flows
                && edge.reverse_packets <= edge.flows;
            if refused && answered(edge) {
                return true;
            }
        }
        !answered(&draft.edge) && !self.one_sided
    }

    /// Whether it came to nothing: refused by an enforcing source, unanswered, or a TCP connection without content.
    pub(crate) fn in_vain(&self, draft: &Draft) -> bool {
        refused_by_source(draft) || self.unanswered(draft) || empty_connection(draft)
    }
}

/// Marks whatever no earlier mark has taken, the strongest reason first.
pub(crate) fn mark(nodes: &[Node], drafts: &mut [Draft], outcome: &Outcome, options: &BuildOptions) {
    let speakers: BTreeSet<u32> = drafts.iter().map(|d| d.edge.client).collect();
    for draft in drafts {
        let quiet_broadcast = !speakers.contains(&draft.edge.server)
            && is_broadcast(&nodes[draft.edge.server as usize])
            && !answered(&draft.edge);
        let special = draft.special || quiet_broadcast || is_discovery(draft.edge.service);
        let reason = if special {
            Some(Noise::Special)
        } else if draft.edge.noise.is_some() {
            draft.edge.noise
        } else if refused_by_source(draft) {
            Some(Noise::Denied)
        } else if outcome.unanswered(draft) && !one_way_habit(&draft.edge) {
            Some(Noise::Unanswered)
        } else if draft.edge.confidence < options.confidence_min {
            Some(Noise::UncertainDirection)
        } else if empty_connection(draft) && draft.edge.flows <= EMPTY_CONNECTIONS_MAX && !draft.edge.shared {
            Some(Noise::OneOff)
        } else {
            None
        };
        draft.edge.noise = reason;
    }
}

pub(crate) const fn answered(edge: &Edge) -> bool {
    edge.reverse_packets > 0 || edge.reverse_bytes > 0
}

/// What hosts of one link ask each other to find each other: NetBIOS datagrams, SSDP, WS-Discovery, mDNS, LLMNR. Most of it
/// goes to groups; the answers do not, and come from high ports to whoever asked. NetBIOS names (137) are left, for they
/// may be a WINS server's, and so is DHCP, whose renewals hosts cannot do without.
const fn is_discovery(service: Service) -> bool {
    service.protocol.0 == Protocol::UDP.0
        && service.low == service.high
        && matches!(service.low, 138 | 1_900 | 3_702 | 5_353 | 5_355)
}

const fn refused_by_source(draft: &Draft) -> bool {
    draft.denied > 0 && draft.allowed == 0
}

/// TCP opened and closed with nothing said: flags were reported, and no segment was pushed. A rare job that moves data
/// is not this, however rare.
fn empty_connection(draft: &Draft) -> bool {
    draft.edge.service.protocol == Protocol::TCP
        && draft.tcp_flags != 0
        && draft.tcp_flags & PUSH == 0
        && draft.edge.packets <= 4 * draft.edge.flows
}

fn one_way_habit(edge: &Edge) -> bool {
    edge.service.protocol == Protocol::UDP && edge.flows.max(edge.packets) >= ONE_WAY_HABIT_MIN
}

/// The last address of what is most likely a /24, owned by nobody.
fn is_broadcast(node: &Node) -> bool {
    node.kind == NodeKind::Unknown
        && node.addresses.iter().all(|ip| ip.as_v4().is_some_and(|bits| bits & 255 == 255))
}
