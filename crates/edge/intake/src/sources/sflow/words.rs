//! The XDR of sFlow: words of four bytes in network order, and bytes padded to them.

use netset::Ip;

/// A position in a run of words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next word.
    pub(super) fn word(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*head))
    }

    /// The next words.
    pub(super) fn words<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut words = [0; N];
        let head = self.rest.get(..4 * N)?;
        for (word, bytes) in words.iter_mut().zip(head.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        self.rest = &self.rest[4 * N..];
        Some(words)
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    /// Bytes with their count before them and their padding behind them. Padding that was left out is not missed.
    pub(super) fn opaque(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.word()?).ok()?;
        let bytes = self.take(count)?;
        let padding = count.next_multiple_of(4) - count;
        self.rest = self.rest.get(padding..).unwrap_or_default();
        Some(bytes)
    }

    /// Sixteen bytes of address.
    pub(super) fn ipv6(&mut self) -> Option<Ip> {
        self.take(16)?.first_chunk().map(|bytes| Ip::from_bytes(*bytes))
    }

    /// An address with its type before it; the inner `None` when the type says that it is not known.
    pub(super) fn address(&mut self) -> Option<Option<Ip>> {
        match self.word()? {
            0 => Some(None),
            1 => self.word().map(|bits| Some(Ip::v4(bits))),
            2 => self.ipv6().map(Some),
            _ => None,
        }
    }
}
