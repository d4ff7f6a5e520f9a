//! The table of what can be listened for.

use model::{FlowBatch, Micros};
use netset::Ip;

use crate::datagram::{Datagram, Framing, Sender};
use crate::ledger::Ledger;
use crate::sources::netflow::{self, Decoder, Limits};
use crate::sources::sflow;

/// Everything that can be listened for. Help and configuration go by this table.
pub static LISTENERS: &[&ListenKind] = &[&NETFLOW, &IPFIX_TCP, &SFLOW];

static NETFLOW: ListenKind = ListenKind {
    name: "netflow",
    title: "NetFlow v5, v7, v9 and IPFIX over UDP",
    transport: Transport::Udp,
    port: 2055,
    source: netflow::SOURCE.name,
    decoder: |limits| Box::new(Decoder::new(limits).mending_clocks()),
};

static IPFIX_TCP: ListenKind = ListenKind {
    name: "ipfix-tcp",
    title: "IPFIX over TCP",
    transport: Transport::Tcp,
    port: 4739,
    source: netflow::SOURCE.name,
    decoder: |limits| Box::new(Decoder::new(limits)),
};

static SFLOW: ListenKind = ListenKind {
    name: "sflow",
    title: "sFlow v5 over UDP",
    transport: Transport::Udp,
    port: 6343,
    source: sflow::SOURCE.name,
    decoder: |_| Box::new(sflow::Decoder::default()),
};

/// The kind of a name.
pub fn listen_kind(name: &str) -> Option<&'static ListenKind> {
    LISTENERS.iter().copied().find(|kind| kind.name == name)
}

/// Something to listen for.
pub struct ListenKind {
    /// What the configuration calls it.
    pub name: &'static str,
    /// One line for a list.
    pub title: &'static str,
    /// How it comes.
    pub transport: Transport,
    /// The port that it usually comes to.
    pub port: u16,
    /// The format of its flows.
    pub source: &'static str,
    pub(super) decoder: fn(Limits) -> Box<dyn Protocol>,
}

/// How exporters send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

impl Transport {
    /// For messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What came in one datagram, or one message of a stream.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) exporter: Ip,
    pub(super) port: u16,
    pub(super) received: Micros,
    /// Where rejects say that it began.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

/// Decodes what arrives, and remembers what it must.
pub(super) trait Protocol: Send {
    /// Appends the flows of an arrival to a batch.
    fn decode(&mut self, arrival: Arrival<'_>, batch: &mut FlowBatch, ledger: &mut Ledger);

    /// Counts what was still waiting. The end.
    fn give_up_waiting(&mut self, ledger: &mut Ledger);

    /// Templates, and bytes of sets that wait for one.
    fn held(&self) -> (usize, usize);

    /// What a restart should remember, if anything.
    fn state(&self) -> Option<Vec<u8>>;

    /// Takes over what another run remembered; what makes no sense is passed over.
    fn restore(&mut self, state: &[u8]);
}

impl Protocol for Decoder {
    fn decode(&mut self, arrival: Arrival<'_>, batch: &mut FlowBatch, ledger: &mut Ledger) {
        self.datagram(arrival.into(), batch, ledger);
    }

    fn give_up_waiting(&mut self, ledger: &mut Ledger) {
        Self::give_up_waiting(self, ledger);
    }

    fn held(&self) -> (usize, usize) {
        let (templates, _, pending) = Self::held(self);
        (templates, pending)
    }

    fn state(&self) -> Option<Vec<u8>> {
        Some(self.export_state())
    }

    fn restore(&mut self, state: &[u8]) {
        // What is damaged, or from a version that this one does not know, is learnt anew: exporters repeat themselves.
        let _ = self.import_state(state);
    }
}

/// sFlow describes itself: nothing waits for anything, and a restart loses nothing but the baselines of its counters.
impl Protocol for sflow::Decoder {
    fn decode(&mut self, arrival: Arrival<'_>, batch: &mut FlowBatch, ledger: &mut Ledger) {
        self.datagram(arrival.into(), batch, ledger);
    }

    fn give_up_waiting(&mut self, _: &mut Ledger) {}

    fn held(&self) -> (usize, usize) {
        (0, 0)
    }

    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    fn restore(&mut self, _: &[u8]) {}
}

impl<'a> From<Arrival<'a>> for Datagram<'a> {
    fn from(arrival: Arrival<'a>) -> Self {
        let Arrival { exporter, port, received, offset, bytes } = arrival;
        let sender = Sender { ip: exporter, port };
        Self { sender, received, bytes, framing: Framing::Packet, offset }
    }
}
