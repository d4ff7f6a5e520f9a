//! Conversations to nodes and edges.

use std::collections::{BTreeMap, HashMap};

use converse::{Translations, Translator};
use foldhash::fast::FixedState;
use model::{Conversation, Endpoint, InventoryView, Ip, IpSet, Labels, WorkloadId};

use crate::translate::{self, Translated};
use crate::{Edge, Graph, Node, NodeKind};
use crate::{dynamic, noise, scanners, shared};

/// What the marks go by. The defaults are meant for all networks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BuildOptions {
    /// Below this mean confidence an edge's direction counts as uncertain.
    pub confidence_min: f64,
    /// Share of the workloads that must ask a server for one service before that is shared.
    pub shared_breadth_min: f64,
    /// Number of distinct workloads that must.
    pub shared_clients_min: usize,
    /// Distinct high ports of one server, each used once or a few times, before they are one range.
    pub dynamic_ports_min: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { confidence_min: 0.6, shared_breadth_min: 0.3, shared_clients_min: 5, dynamic_ports_min: 5 }
    }
}

/// The graph of all conversations. Every workload of the view is a node, also without traffic; so is every owner that
/// has left since, every address inside the network that nobody owns, and the internet as a whole.
pub fn build(conversations: &[Conversation], view: &InventoryView<'_>, options: &BuildOptions) -> Graph {
    build_translated(conversations, view, options, &Translations::new())
}

/// The same, with what is known of addresses that stand for others: such an address is a node of its own even where it is
/// globally routable, and edges on both sides of it name each other.
pub fn build_translated(
    conversations: &[Conversation],
    view: &InventoryView<'_>,
    options: &BuildOptions,
    translations: &Translations,
) -> Graph {
    let (mut nodes, mut drafts) = assemble(conversations, view, translations);
    let outcome = noise::Outcome::observe(&drafts);
    scanners::mark(&mut nodes, &mut drafts, &outcome);
    shared::mark(&nodes, &mut drafts, &outcome, options);
    noise::mark(&nodes, &mut drafts, &outcome, options);
    dynamic::collapse(&mut drafts, options);
    Graph { nodes, edges: drafts.into_iter().map(|draft| draft.edge).collect() }
}

/// An edge with what the marks need beyond it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) edge: Edge,
    pub(crate) tcp_flags: u8,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    /// An end is broadcast, multicast, link-local.
    pub(crate) special: bool,
}

type Index<K> = HashMap<K, u32, FixedState>;

struct Nodes<'a> {
    nodes: Vec<Node>,
    by_id: Index<&'a WorkloadId>,
    by_ip: Index<Ip>,
    internet: Option<u32>,
    public: IpSet,
    translators: &'a BTreeMap<Ip, Translator>,
}

impl<'a> Nodes<'a> {
    fn of_view(view: &'a InventoryView<'a>, translators: &'a BTreeMap<Ip, Translator>) -> Self {
        let mut all = Self {
            nodes: Vec::new(),
            by_id: HashMap::with_hasher(FixedState::with_seed(1)),
            by_ip: HashMap::with_hasher(FixedState::with_seed(2)),
            internet: None,
            public: IpSet::internet(),
            translators,
        };
        for (workload, _) in &view.members {
            let at = all.push(&workload.id, NodeKind::Workload);
            let node = &mut all.nodes[at as usize];
            node.name.clone_from(&workload.name);
            node.labels.clone_from(&workload.labels);
            node.criticality = workload.criticality;
            all.by_id.insert(&workload.id, at);
        }
        all
    }

    fn push(&mut self, id: &WorkloadId, kind: NodeKind) -> u32 {
        self.nodes.push(Node {
            id: id.clone(),
            kind,
            name: id.0.clone(),
            labels: Labels::new(),
            criticality: None,
            addresses: Vec::new(),
            scanner: None,
            translator: None,
        });
        (self.nodes.len() - 1) as u32
    }

    /// The node of an endpoint, made if new.
    fn find(&mut self, endpoint: &'a Endpoint) -> u32 {
        let at = match &endpoint.workload {
            Some(id) => match self.by_id.get(id) {
                Some(at) => *at,
                None => {
                    let at = self.push(id, NodeKind::Workload);
                    self.by_id.insert(id, at);
                    at
                }
            },
            None => self.find_address(endpoint.ip),
        };
        let addresses = &mut self.nodes[at as usize].addresses;
        if Some(at) != self.internet && !addresses.contains(&endpoint.ip) {
            addresses.push(endpoint.ip);
        }
        if let Some(translator) = self.translators.get(&endpoint.ip) {
            let node = &mut self.nodes[at as usize];
            node.translator.get_or_insert_with(|| translate::words(translator));
        }
        at
    }

    fn find_address(&mut self, ip: Ip) -> u32 {
        if self.public.contains(ip) && !self.translators.contains_key(&ip) {
            if self.internet.is_none() {
                self.internet = Some(self.push(&WorkloadId("internet".into()), NodeKind::Internet));
            }
            return self.internet.unwrap_or_default();
        }
        if let Some(at) = self.by_ip.get(&ip) {
            return *at;
        }
        let at = self.push(&WorkloadId(ip.to_string()), NodeKind::Unknown);
        self.by_ip.insert(ip, at);
        at
    }
}

fn assemble(
    conversations: &[Conversation],
    view: &InventoryView<'_>,
    translations: &Translations,
) -> (Vec<Node>, Vec<Draft>) {
    let translators = translations.translators();
    let marks = translate::marks(conversations, translations, &translators);
    let mut nodes = Nodes::of_view(view, &translators);
    let mut drafts: Vec<Draft> = conversations
        .iter()
        .zip(marks)
        .map(|(c, translated)| {
            let ends = (nodes.find(&c.client), nodes.find(&c.server));
            draft(c, ends, translated)
        })
        .collect();
    let mut nodes = nodes.nodes;
    let mut order: Vec<u32> = (0..nodes.len() as u32).collect();
    order.sort_by(|a, b| nodes[*a as usize].id.cmp(&nodes[*b as usize].id));
    let mut rank = vec![0_u32; nodes.len()];
    order.iter().enumerate().for_each(|(new, old)| rank[*old as usize] = new as u32);
    for draft in &mut drafts {
        draft.edge.client = rank[draft.edge.client as usize];
        draft.edge.server = rank[draft.edge.server as usize];
    }
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    nodes.iter_mut().for_each(|node| node.addresses.sort_unstable());
    sort_and_merge(&mut drafts);
    (nodes, drafts)
}

/// Sorts by (client, server, service) and adds up what falls together.
pub(crate) fn sort_and_merge(drafts: &mut Vec<Draft>) {
    let key = |d: &Draft| (d.edge.client, d.edge.server, d.edge.service);
    drafts.sort_by_key(key);
    drafts.dedup_by(|next, kept| {
        let same = key(next) == key(kept);
        if same {
            merge(kept, next);
        }
        same
    });
}

fn draft(c: &Conversation, (client, server): (u32, u32), translated: Option<Translated>) -> Draft {
    Draft {
        edge: Edge {
            client,
            server,
            service: c.service,
            dynamic_ports: 1,
            confidence: c.confidence,
            flows: c.flows,
            packets: c.packets,
            bytes: c.bytes,
            reverse_packets: c.reverse_packets,
            reverse_bytes: c.reverse_bytes,
            first: c.first,
            last: c.last,
            hours: c.hours,
            shared: false,
            noise: None,
            translated,
        },
        tcp_flags: c.tcp_flags,
        allowed: c.allowed,
        denied: c.denied,
        special: c.client.ip.is_special() || c.server.ip.is_special(),
    }
}

fn merge(kept: &mut Draft, next: &Draft) {
    add_edge(&mut kept.edge, &next.edge);
    kept.tcp_flags |= next.tcp_flags;
    kept.allowed = kept.allowed.saturating_add(next.allowed);
    kept.denied = kept.denied.saturating_add(next.denied);
    kept.special &= next.special;
}

/// Adds one edge's traffic to another's. Hours cannot be told apart any more; the greater number stands.
pub(crate) fn add_edge(kept: &mut Edge, next: &Edge) {
    let (a, b) = (kept.flows.max(1) as f64, next.flows.max(1) as f64);
    kept.confidence = (kept.confidence * a + next.confidence * b) / (a + b);
    kept.flows = kept.flows.saturating_add(next.flows);
    kept.packets = kept.packets.saturating_add(next.packets);
    kept.bytes = kept.bytes.saturating_add(next.bytes);
    kept.reverse_packets = kept.reverse_packets.saturating_add(next.reverse_packets);
    kept.reverse_bytes = kept.reverse_bytes.saturating_add(next.reverse_bytes);
    kept.first = kept.first.min(next.first);
    kept.last = kept.last.max(next.last);
    kept.hours = kept.hours.max(next.hours);
    translate::merge(&mut kept.translated, next.translated.as_ref());
}

#[cfg(test)]
pub(crate) mod tests;
