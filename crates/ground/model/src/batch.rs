//! Flows in columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use netset::{Ip, Protocol};

use crate::time::Micros;

/// Who decided, if the source said: an enforcing source's verdict on the traffic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Verdict {
    /// The source does not say.
    #[default]
    Unknown = 0,
    /// The traffic passed.
    Allow = 1,
    /// The traffic was refused.
    Deny = 2,
}

/// Where the observer stood, if the source said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Direction {
    /// The source does not say.
    #[default]
    Unknown = 0,
    /// Seen entering.
    Ingress = 1,
    /// Seen leaving.
    Egress = 2,
}

/// Which side opened the conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Client {
    /// Not known.
    #[default]
    Unknown = 0,
    /// The flow's source is the client.
    Src = 1,
    /// The flow's destination is the client: the flow is an answer.
    Dst = 2,
}

macro_rules! code {
    ($t:ident { $($v:ident = $c:literal $text:literal),* }) => {
        impl $t {
            /// The stored code's value; unknown codes read as unknown.
            pub const fn from_code(code: u8) -> Self {
                match code { $($c => Self::$v,)* _ => Self::Unknown }
            }
            /// The name in the canonical JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $text),* }
            }
        }
    };
}
code!(Verdict { Unknown = 0 "unknown", Allow = 1 "allow", Deny = 2 "deny" });
code!(Direction { Unknown = 0 "unknown", Ingress = 1 "ingress", Egress = 2 "egress" });
code!(Client { Unknown = 0 "unknown", Src = 1 "src", Dst = 2 "dst" });

/// Who observed the flows: what deduplication and coverage are counted by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Exporter(pub Arc<str>);

/// What only some sources say of a flow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowDetails {
    /// Workload of the source address, in the source's own naming.
    pub src_workload: Option<String>,
    /// Workload of the destination address.
    pub dst_workload: Option<String>,
    /// Process.
    pub process: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Application or service name.
    pub service_name: Option<String>,
    /// Source address after translation.
    pub nat_src_ip: Option<Ip>,
    /// Destination address after translation.
    pub nat_dst_ip: Option<Ip>,
    /// Source port after translation.
    pub nat_src_port: Option<u16>,
    /// Destination port after translation.
    pub nat_dst_port: Option<u16>,
    /// The rule that decided, in the enforcing source's own naming.
    pub rule: Option<String>,
    /// The tunnels that carried the packets, outermost first: protocol, identifier and end points, as in
    /// `vxlan 5001 192.0.2.1 > 192.0.2.2`.
    pub tunnel: Option<String>,
}

/// One flow, for code that handles a few of them. Bulk work goes over the columns of a [`FlowBatch`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Flow {
    /// First packet.
    pub start: Micros,
    /// Last packet.
    pub end: Micros,
    /// Source address.
    pub src: Ip,
    /// Destination address.
    pub dst: Ip,
    /// IANA protocol number.
    pub protocol: u8,
    /// Source port; 0 where [`FlowBatch::HAS_PORTS`] is not set.
    pub src_port: u16,
    /// Destination port, or for ICMP `type * 256 + code` where [`FlowBatch::HAS_ICMP`] is set.
    pub dst_port: u16,
    /// Cumulative TCP flags; meaningful where [`FlowBatch::HAS_TCP_FLAGS`] is set.
    pub tcp_flags: u8,
    /// Packets from source to destination, already scaled by `sampling`.
    pub packets: u64,
    /// Bytes from source to destination, already scaled by `sampling`.
    pub bytes: u64,
    /// Packets the other way; meaningful where [`FlowBatch::HAS_REVERSE`] is set.
    pub reverse_packets: u64,
    /// Bytes the other way.
    pub reverse_bytes: u64,
    /// One packet in so many was looked at; 1 is unsampled.
    pub sampling: u32,
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// See [`Direction`].
    pub direction: Direction,
    /// See [`Client`]. Set by a source only when it is stateful and says so itself.
    pub client: Client,
    /// Probability that `client` is right, 0 to 1; 0 when unknown.
    pub client_confidence: f32,
    /// Which optional fields are present: the `HAS_*` bits.
    pub present: u8,
    /// Index into the batch's exporters.
    pub exporter: u32,
}

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $t:ty),* $(,)?) => {
        /// Flows of one source in columns: row `i` is the `i`-th value of every column.
        ///
        /// All columns always have the same length; use [`FlowBatch::push`], or fill columns in bulk and finish with
        /// [`FlowBatch::fill`].
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct FlowBatch {
            /// The format that these flows came in, as `ringfence import` names it.
            pub source: &'static str,
            /// Observers; the `exporter` column indexes this list.
            pub exporters: Vec<Exporter>,
            $($(#[$doc])* pub $name: Vec<$t>,)*
            /// What only some rows have, by row.
            pub details: BTreeMap<u32, Box<FlowDetails>>,
        }

        impl FlowBatch {
            /// Appends one flow.
            pub fn push(&mut self, flow: Flow) {
                $(self.$name.push(flow.$name);)*
            }

            /// One row. Panics when out of bounds, like a slice.
            pub fn get(&self, row: usize) -> Flow {
                Flow { $($name: self.$name[row],)* }
            }

            /// Removes all rows and details, keeps the exporters and the memory.
            pub fn clear(&mut self) {
                $(self.$name.clear();)*
                self.details.clear();
            }

            /// Room for more rows.
            pub fn reserve(&mut self, more: usize) {
                $(self.$name.reserve(more);)*
            }

            /// Makes every column `rows` long: shorter ones are filled with the default value, longer ones cut.
            /// A bulk decoder fills the columns it has and calls this.
            pub fn fill(&mut self, rows: usize) {
                let blank = Flow { sampling: 1, ..Flow::default() };
                $(self.$name.resize(rows, blank.$name);)*
            }

            /// Appends all rows of another batch of the same source; exporters are merged by name.
            pub fn append(&mut self, other: &Self) {
                let base = self.len() as u32;
                let remap: Vec<u32> = other.exporters.iter().map(|e| self.intern_exporter(e)).collect();
                $(self.$name.extend_from_slice(&other.$name);)*
                for index in &mut self.exporter[base as usize..] {
                    *index = remap.get(*index as usize).copied().unwrap_or(0);
                }
                self.details.extend(other.details.iter().map(|(row, d)| (base + row, d.clone())));
            }
        }
    };
}

columns! {
    /// First packet.
    start: Micros,
    /// Last packet.
    end: Micros,
    /// Source address.
    src: Ip,
    /// Destination address.
    dst: Ip,
    /// IANA protocol number.
    protocol: u8,
    /// Source port.
    src_port: u16,
    /// Destination port, or ICMP `type * 256 + code`.
    dst_port: u16,
    /// Cumulative TCP flags.
    tcp_flags: u8,
    /// Packets from source to destination, scaled.
    packets: u64,
    /// Bytes from source to destination, scaled.
    bytes: u64,
    /// Packets the other way.
    reverse_packets: u64,
    /// Bytes the other way.
    reverse_bytes: u64,
    /// One packet in so many was looked at.
    sampling: u32,
    /// What an enforcing source decided.
    verdict: Verdict,
    /// Where the observer stood.
    direction: Direction,
    /// Which side opened the conversation.
    client: Client,
    /// Probability that `client` is right.
    client_confidence: f32,
    /// The `HAS_*` bits.
    present: u8,
    /// Index into `exporters`.
    exporter: u32,
}

impl FlowBatch {
    /// `src_port` and `dst_port` are ports.
    pub const HAS_PORTS: u8 = 1;
    /// `dst_port` is an ICMP type and code.
    pub const HAS_ICMP: u8 = 2;
    /// `tcp_flags` was reported.
    pub const HAS_TCP_FLAGS: u8 = 4;
    /// `reverse_packets` and `reverse_bytes` were reported: the flow is two-sided.
    pub const HAS_REVERSE: u8 = 8;
    /// `packets` and `bytes` were reported.
    pub const HAS_COUNTS: u8 = 16;

    /// An empty batch of a source.
    pub fn new(source: &'static str) -> Self {
        Self { source, ..Self::default() }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// The index of an exporter, added if new.
    pub fn intern_exporter(&mut self, exporter: &Exporter) -> u32 {
        match self.exporters.iter().rposition(|known| known == exporter) {
            Some(index) => index as u32,
            None => {
                self.exporters.push(exporter.clone());
                (self.exporters.len() - 1) as u32
            }
        }
    }

    /// The 16-bit selector of a row's service when the given side is the server: its port, or the ICMP type and code.
    pub fn server_selector(&self, row: usize, client: Client) -> u16 {
        match client {
            Client::Dst if Protocol(self.protocol[row]).has_ports() => self.src_port[row],
            _ => self.dst_port[row],
        }
    }
}
