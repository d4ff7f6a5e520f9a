//! Flows oriented and stitched: who asks whom for what.

use netset::{Ip, Service};
use serde::{Deserialize, Serialize};

use crate::inventory::WorkloadId;
use crate::time::Micros;

/// One side of a conversation: an address, and the workload that owned it then, when known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// The address.
    pub ip: Ip,
    /// Who owned it at the time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workload: Option<WorkloadId>,
}

/// The traffic of one (client, server, service) over one hour, as one exporter saw it: what the lake rolls up to. Asked
/// for a longer window, the lake adds hours up to one row, and says in `hours` how many had traffic.
///
/// Counts of several exporters that saw the same traffic are never added: a reader takes the maximum.
#[derive(Clone, PartialEq, Debug)]
pub struct RollupRow {
    /// Start of the hour, or of the first hour of a longer interval.
    pub hour: Micros,
    /// Distinct hours with traffic: 1, unless the row stands for a longer interval.
    pub hours: u32,
    /// Who observed it.
    pub exporter: crate::Exporter,
    /// Who asks.
    pub client: Ip,
    /// Who is asked.
    pub server: Ip,
    /// For what: protocol and server port, or ICMP type and code.
    pub service: Service,
    /// The client's port, kept while it is not certain who asks: then the row may still be turned round. Otherwise all
    /// of a client's ports are one row.
    pub client_port: Option<u16>,
    /// Flow records from client to server.
    pub flows: u64,
    /// Flow records from server to client. Zero and no reverse counts: nobody was seen to answer.
    pub reverse_flows: u64,
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
    /// Flow records with verdict allow.
    pub allowed: u64,
    /// Flow records with verdict deny.
    pub denied: u64,
    /// Sum of the flows' `client_confidence`; divided by `flows + reverse_flows` it is the mean.
    pub confidence_sum: f64,
    /// OR of the TCP flags of both sides.
    pub tcp_flags: u8,
}

/// The traffic of one (client, server, service) over a window of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Conversation {
    /// Who asks.
    pub client: Endpoint,
    /// Who is asked.
    pub server: Endpoint,
    /// For what.
    pub service: Service,
    /// Mean probability that client and server are not swapped, 0 to 1.
    pub confidence: f64,
    /// Connections: flow records of the busier side, by the exporter that saw most.
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
    /// Flow records that an enforcing source allowed.
    pub allowed: u64,
    /// Flow records that an enforcing source denied.
    pub denied: u64,
    /// OR of the TCP flags of both sides.
    pub tcp_flags: u8,
}

impl Conversation {
    /// Whether the server was seen to answer.
    pub const fn answered(&self) -> bool {
        self.reverse_packets > 0 || self.reverse_bytes > 0
    }
}
