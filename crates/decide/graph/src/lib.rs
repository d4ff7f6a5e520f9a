//! The dependency graph: who talks to whom, with shared services and noise marked.
//!
//! [`build`] puts conversations together, then marks what must not teach a policy, in this order: scanners, shared
//! services, noise, dynamic ports. Each mark has its own file and its own documented statistic.

mod assemble;
mod dynamic;
mod group;
mod noise;
mod scanners;
mod shared;
mod text;
mod translate;

pub use assemble::{BuildOptions, build, build_translated};
pub use group::{group_by_labels, group_by_segments, without_noise};
pub use text::{to_dot, to_mermaid};
pub use translate::{Side, Translated};

use model::{Criticality, Ip, Labels, Micros, Service, WorkloadId};
use serde::{Deserialize, Serialize};

/// What a node stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A workload of the inventory.
    Workload,
    /// A private address that the inventory does not know.
    Unknown,
    /// All globally routable addresses together.
    Internet,
}

/// One side of the edges.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// The workload's id, the bare address, or `internet`.
    pub id: WorkloadId,
    /// What it stands for.
    pub kind: NodeKind,
    /// What people call it.
    pub name: String,
    /// Labels at the time of the graph.
    pub labels: Labels,
    /// See [`Criticality`].
    pub criticality: Option<Criticality>,
    /// Addresses seen in the conversations, sorted.
    pub addresses: Vec<Ip>,
    /// Not empty when the node behaves like a scanner: the numbers that say so.
    pub scanner: Option<String>,
    /// Not empty when an address of the node stands for several others: `a NAT gateway for 12 addresses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translator: Option<String>,
}

/// Why an edge must not teach a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// The client contacts so many hosts and ports, mostly in vain, that it scans.
    Scan,
    /// Nobody was seen to answer.
    Unanswered,
    /// An enforcing source refused it.
    Denied,
    /// Seen too rarely to be a habit.
    OneOff,
    /// Broadcast, multicast, link-local.
    Special,
    /// Client and server may be swapped.
    UncertainDirection,
}

/// All conversations between two nodes on one service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Edge {
    /// Index of the client's node.
    pub client: u32,
    /// Index of the server's node.
    pub server: u32,
    /// For what. Dynamic ports are collapsed to the range that they are estimated to be drawn from; `dynamic_ports`
    /// says how many of them the server was seen to use.
    pub service: Service,
    /// How many distinct ports were collapsed into `service`; 1 for an ordinary service.
    pub dynamic_ports: u32,
    /// Mean probability that client and server are not swapped.
    pub confidence: f64,
    /// Connections.
    pub flows: u64,
    /// Packets from client to server.
    pub packets: u64,
    /// Bytes from client to server.
    pub bytes: u64,
    /// Packets from server to client.
    pub reverse_packets: u64,
    /// Bytes from server to client.
    pub reverse_bytes: u64,
    /// First packet.
    pub first: Micros,
    /// Last packet.
    pub last: Micros,
    /// Distinct hours with traffic.
    pub hours: u32,
    /// The server offers this to so many segments of the network that everyone is its client.
    pub shared: bool,
    /// Why the edge must not teach a policy, if so.
    pub noise: Option<Noise>,
    /// What is known of the other side, where the traffic passed a load balancer or a NAT gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated: Option<Translated>,
}

/// Who talks to whom over a window of time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    /// Nodes, sorted by id.
    pub nodes: Vec<Node>,
    /// Edges, sorted by (client, server, service).
    pub edges: Vec<Edge>,
}
