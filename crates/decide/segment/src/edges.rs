//! Edge lists: a graph from text, without a lake.

use std::collections::BTreeMap;
use std::fmt;

use graph::{Edge, Graph, Node, NodeKind};
use model::{Labels, Micros, Service, WorkloadId};

/// Rejected lines that are kept with their reason; the rest is counted only.
const REJECTS_KEPT_MAX: usize = 100;

/// What an edge list held.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EdgeList {
    /// One node for each name, one edge for each (client, server, service), packets added up.
    pub graph: Graph,
    /// Lines that were neither blank, comment, heading nor edge.
    pub rejected: u64,
    /// The first 100 of them.
    pub rejects: Vec<RejectedLine>,
}

/// A line that is not an edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedLine {
    /// From 1.
    pub line: u64,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl fmt::Display for RejectedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// Reads lines of `client, server, service, packets`, separated by tabs or commas; the service as `tcp/443`, the packets
/// optional (1). Blank lines, lines that start with `#` and a heading that starts with `client` are passed over; other
/// lines that are no edge are counted and the first of them kept, and never lose the lines around them.
pub fn parse(text: &str) -> EdgeList {
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    let mut sums: BTreeMap<(u32, u32, Service), (u64, u64)> = BTreeMap::new();
    let mut list = EdgeList::default();
    for (index, line) in text.lines().enumerate() {
        let line = if index == 0 { line.trim_start_matches('\u{feff}') } else { line };
        if line.trim().is_empty() || line.starts_with('#') || is_heading(index, line) {
            continue;
        }
        match edge(line) {
            Ok((client, server, service, packets)) => {
                let mut number = |name| {
                    let next = names.len() as u32;
                    *names.entry(name).or_insert(next)
                };
                let sum = sums.entry((number(client), number(server), service)).or_default();
                *sum = (sum.0.saturating_add(1), sum.1.saturating_add(packets));
            }
            Err(problem) => {
                list.rejected += 1;
                if list.rejects.len() < REJECTS_KEPT_MAX {
                    list.rejects.push(RejectedLine { line: index as u64 + 1, problem });
                }
            }
        }
    }
    list.graph = graph(&names, &sums);
    list
}

fn is_heading(index: usize, line: &str) -> bool {
    // A workload may be called `client-1`: what reads as an edge is one.
    index == 0
        && line.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("client"))
        && edge(line).is_err()
}

fn edge(line: &str) -> Result<(&str, &str, Service, u64), String> {
    let separator = if line.contains('\t') { '\t' } else { ',' };
    let fields: Vec<&str> = line.split(separator).map(str::trim).collect();
    let (client, server, service, packets) = match fields[..] {
        [client, server, service] => (client, server, service, "1"),
        [client, server, service, packets] => (client, server, service, packets),
        _ => {
            let count = fields.len();
            return Err(format!("expected `client, server, service, packets`, found {count} fields"));
        }
    };
    if client.is_empty() || server.is_empty() {
        return Err(String::from("the client or the server is empty"));
    }
    let service = service.parse::<Service>().map_err(|error| error.to_string())?;
    let packets = packets.parse::<u64>().map_err(|_| format!("`{packets}` is not a number of packets"))?;
    Ok((client, server, service, packets))
}

/// Nodes sorted by name, edges by (client, server, service). An edge list says nothing of times, answers and direction
/// in doubt; its edges carry full confidence and no noise.
fn graph(names: &BTreeMap<&str, u32>, sums: &BTreeMap<(u32, u32, Service), (u64, u64)>) -> Graph {
    let mut rank = vec![0_u32; names.len()];
    names.values().zip(0..).for_each(|(old, new)| rank[*old as usize] = new);
    let node = |name: &&str| Node {
        id: WorkloadId((*name).to_owned()),
        kind: if *name == "internet" { NodeKind::Internet } else { NodeKind::Workload },
        name: (*name).to_owned(),
        labels: Labels::new(),
        criticality: None,
        addresses: Vec::new(),
        scanner: None,
        translator: None,
    };
    let mut edges: Vec<Edge> = sums
        .iter()
        .map(|(&(client, server, service), &(flows, packets))| Edge {
            client: rank[client as usize],
            server: rank[server as usize],
            service,
            dynamic_ports: 1,
            confidence: 1.0,
            flows,
            packets,
            bytes: 0,
            reverse_packets: 0,
            reverse_bytes: 0,
            first: Micros::default(),
            last: Micros::default(),
            hours: 1,
            shared: false,
            noise: None,
            translated: None,
        })
        .collect();
    edges.sort_by_key(|edge| (edge.client, edge.server, edge.service));
    Graph { nodes: names.keys().map(node).collect(), edges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_summed_and_bad_lines_are_named() {
        let list = parse(
            "client,server,service,packets\nweb, db, tcp/5432, 7\nweb\tdb\ttcp/5432\t3\n\n# note\ndb,dns,udp/53\n\
             web,db\nweb,db,tcp/x,1\nweb,db,tcp/1,many\n,db,tcp/1,1\n",
        );
        let names: Vec<&str> = list.graph.nodes.iter().map(|n| n.id.0.as_str()).collect();
        assert_eq!(names, ["db", "dns", "web"]);
        let edges: Vec<_> =
            list.graph.edges.iter().map(|e| (e.client, e.server, e.service.to_string(), e.packets)).collect();
        assert_eq!(edges, [(0, 1, "udp/53".to_owned(), 1), (2, 0, "tcp/5432".to_owned(), 10)]);
        assert_eq!(list.rejected, 4);
        let lines: Vec<u64> = list.rejects.iter().map(|r| r.line).collect();
        assert_eq!(lines, [7, 8, 9, 10]);
        assert!(list.rejects[1].to_string().contains("`tcp/x` is not a service"));
    }

    #[test]
    fn a_first_line_is_a_heading_only_if_it_is_no_edge() {
        let named = parse("client-1,db,tcp/443,3\nclient-2,db,tcp/443,3\n");
        assert_eq!((named.graph.edges.len(), named.rejected), (2, 0));
        let headed = parse("Client\tServer\tService\tPackets\nweb\tdb\ttcp/443\t3\n");
        assert_eq!((headed.graph.edges.len(), headed.rejected), (1, 0));
    }

    #[test]
    fn a_flood_of_bad_lines_is_counted_but_not_kept() {
        let list = parse(&"x\n".repeat(1_000));
        assert_eq!((list.rejected, list.rejects.len()), (1_000, 100));
    }
}
