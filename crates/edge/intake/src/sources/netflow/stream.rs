//! IPFIX over a connection: messages one after the other, cut anywhere (RFC 7011, 10.4).

use std::fmt;

use model::{FlowBatch, Micros};

use super::decoder::Decoder;
use super::memory::Limits;
use crate::datagram::{Datagram, Framing, Sender};
use crate::ledger::{Ledger, Place};

/// The header of a message: version, length and what decoders of messages look at.
const HEADER: usize = 16;

const FRAMING: &str = "bytes of a connection that lost its framing";
const UNFINISHED: &str = "ipfix message cut off by the end of its connection";

/// Decodes what one connection brings. Templates live as long as the connection does (RFC 7011, 8), so each has a decoder
/// of its own; beside that at most one message, 65,535 bytes, is held.
pub(crate) struct StreamDecoder {
    decoder: Decoder,
    sender: Sender,
    /// The message that has begun.
    partial: Vec<u8>,
    /// Bytes taken so far, those in `partial` included.
    offset: u64,
    lost: bool,
}

/// The bytes where a message should begin are none. Nothing says where the next one begins: close the connection, so that
/// the exporter opens another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LostFraming {
    /// What was found and what was expected.
    pub(crate) reason: String,
}

impl fmt::Display for LostFraming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl StreamDecoder {
    /// A connection that was just opened. [`Limits::CONNECTION`] suits one exporter.
    pub(crate) fn new(sender: Sender, limits: Limits) -> Self {
        Self { decoder: Decoder::new(limits), sender, partial: Vec::new(), offset: 0, lost: false }
    }

    /// Appends the flows of all messages that are complete with these bytes; they were received at `received`, 0 when that
    /// is not known. The bytes may end anywhere.
    ///
    /// # Errors
    /// When a message does not begin where one should; it is listed in the ledger too, and all further bytes are counted.
    /// What came before was decoded.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        received: Micros,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Result<(), LostFraming> {
        if self.lost {
            ledger.drop_bytes(FRAMING, bytes.len());
            return Ok(());
        }
        while !bytes.is_empty() {
            if self.partial.is_empty()
                && let Some(length) = self.length(bytes, ledger)?
                && let Some((message, rest)) = bytes.split_at_checked(length)
            {
                // The common case: nothing is copied.
                self.message(message, received, batch, ledger);
                bytes = rest;
                continue;
            }
            let partial = std::mem::take(&mut self.partial);
            self.partial = self.complete(partial, &mut bytes, received, batch, ledger)?;
        }
        Ok(())
    }

    /// The connection was closed: what began and what waited for a template is lost.
    pub(crate) fn end(&mut self, ledger: &mut Ledger) {
        if !self.partial.is_empty() {
            let detail = format!("{UNFINISHED}: {} bytes of it had come", self.partial.len());
            ledger.reject(UNFINISHED, self.partial.len(), Place::Offset(self.offset), detail);
            self.partial.clear();
        }
        self.decoder.give_up_waiting(ledger);
    }

    /// Adds bytes to a message that has begun, and decodes it when it is whole. Returns what is left of it.
    fn complete(
        &mut self,
        mut partial: Vec<u8>,
        bytes: &mut &[u8],
        received: Micros,
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> Result<Vec<u8>, LostFraming> {
        loop {
            let wanted = self.length(&partial, ledger)?.unwrap_or(4);
            let (new, rest) = bytes.split_at(bytes.len().min(wanted - partial.len()));
            partial.extend_from_slice(new);
            *bytes = rest;
            if partial.len() < wanted {
                return Ok(partial);
            }
            if self.length(&partial, ledger)? == Some(partial.len()) {
                self.message(&partial, received, batch, ledger);
                partial.clear();
                return Ok(partial);
            }
        }
    }

    /// The length of the message that begins here; `None` when too little of it is there to tell.
    fn length(&mut self, bytes: &[u8], ledger: &mut Ledger) -> Result<Option<usize>, LostFraming> {
        let Some([a, b, c, d]) = bytes.first_chunk::<4>() else { return Ok(None) };
        let (version, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
        if version == 10 && length >= HEADER {
            return Ok(Some(length));
        }
        let reason = format!(
            "expected an ipfix message (version 10, at least {HEADER} bytes), found version {version} and length {length}"
        );
        ledger.reject(FRAMING, bytes.len(), Place::Offset(self.offset), reason.clone());
        self.lost = true;
        Err(LostFraming { reason })
    }

    fn message(&mut self, message: &[u8], received: Micros, batch: &mut FlowBatch, ledger: &mut Ledger) {
        let framing = Framing::Packet;
        let datagram =
            Datagram { sender: self.sender, received, bytes: message, framing, offset: self.offset };
        self.decoder.datagram(datagram, batch, ledger);
        self.offset += message.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use model::FlowBatch;
    use netset::Ip;
    use proptest::prelude::*;

    use super::super::tests::{ipfix, record, set, template};
    use super::*;

    const FIELDS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];

    struct Connection {
        stream: StreamDecoder,
        flows: FlowBatch,
        ledger: Ledger,
    }

    fn connection() -> Connection {
        let sender = Sender { ip: Ip::v4(0xc000_0201), port: 40_000 };
        let stream = StreamDecoder::new(sender, Limits::CONNECTION);
        Connection { stream, flows: FlowBatch::default(), ledger: Ledger::new("tcp".into(), None) }
    }

    impl Connection {
        fn take(&mut self, bytes: &[u8]) -> Result<(), LostFraming> {
            self.stream.take(bytes, 0, &mut self.flows, &mut self.ledger)
        }
    }

    fn messages() -> Vec<u8> {
        let flow = |bytes| set(256, &record(1, 2, (3, 4), 6, bytes));
        [
            ipfix(0, 0, &[set(2, &template(256, &FIELDS)), flow(5)]),
            ipfix(0, 1, &[flow(6), flow(7)]),
            ipfix(0, 3, &[]),
            ipfix(0, 3, &[flow(8)]),
        ]
        .concat()
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_does_not_matter(cuts in prop::collection::vec(0_usize..260, 0..40)) {
            let bytes = messages();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut connection = connection();
            for pair in cuts.windows(2) {
                prop_assert_eq!(connection.take(&bytes[pair[0]..pair[1]]), Ok(()));
                prop_assert!(connection.stream.partial.len() < 65_536);
            }
            connection.stream.end(&mut connection.ledger);
            prop_assert_eq!(&connection.flows.bytes, &[5, 6, 7, 8]);
            prop_assert!(connection.ledger.summary.dropped.is_empty());
            prop_assert!(connection.ledger.summary.sequences.is_empty());
        }
    }

    #[test]
    fn a_connection_that_loses_its_framing_keeps_what_came_before() {
        let mut connection = connection();
        let bytes = messages();
        let lost = connection.take(&[&bytes, &b"GET / HTTP/1.1"[..]].concat()).unwrap_err();
        assert!(lost.to_string().ends_with("found version 18245 and length 21536"), "{lost}");
        assert_eq!(connection.flows.len(), 4);
        assert_eq!(connection.take(&bytes), Ok(()), "closing it is the listener's business");
        assert_eq!(connection.flows.len(), 4);
        let summary = &connection.ledger.summary;
        assert_eq!(summary.dropped[FRAMING].bytes as usize, 14 + bytes.len());
        assert_eq!(summary.rejects[0].place, Place::Offset(bytes.len() as u64));
    }

    #[test]
    fn what_the_end_cuts_off_is_counted() {
        let mut connection = connection();
        let bytes = messages();
        connection.take(&bytes[..bytes.len() - 3]).unwrap();
        connection.stream.end(&mut connection.ledger);
        assert_eq!(connection.flows.len(), 3);
        assert_eq!(connection.ledger.summary.dropped[UNFINISHED].bytes, 16 + 4 + 21 - 3);
    }

    #[test]
    fn another_connection_knows_nothing_of_the_first_ones_templates() {
        let (mut first, mut second) = (connection(), connection());
        let bytes = messages();
        let (with, without) = bytes.split_at(16 + 4 + 32 + 4 + 21);
        first.take(with).unwrap();
        second.take(without).unwrap();
        second.stream.end(&mut second.ledger);
        assert_eq!((first.flows.len(), second.flows.len()), (1, 0));
        assert_eq!(second.ledger.summary.dropped[crate::ledger::NO_TEMPLATE].count, 3);
    }
}
