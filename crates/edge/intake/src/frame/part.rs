//! Bytes of which only the beginning may have been captured.

/// The rest of a frame: the bytes at hand, and how many more there were on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Part<'a> {
    bytes: &'a [u8],
    missing: usize,
}

impl<'a> Part<'a> {
    /// The first bytes of something that is `wire` bytes long; a smaller `wire` is not believed.
    pub(super) fn new(bytes: &'a [u8], wire: usize) -> Self {
        Self { bytes, missing: wire.saturating_sub(bytes.len()) }
    }

    /// What was captured.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Its length on the wire.
    pub(super) fn wire(self) -> usize {
        self.bytes.len() + self.missing
    }

    /// Whether all of it was captured.
    pub(crate) fn is_whole(self) -> bool {
        self.missing == 0
    }

    /// The first `N` bytes, if they were captured.
    pub(super) fn head<const N: usize>(self) -> Option<&'a [u8; N]> {
        self.bytes.first_chunk()
    }

    /// A byte, if it was captured.
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Two bytes as a number in network order.
    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
    }

    /// Four bytes as a number in network order.
    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
    }

    /// What follows the first `count` bytes, if they were captured.
    pub(super) fn skip(self, count: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(count..)?, missing: self.missing })
    }

    /// The same bytes when a header says that they are `length` long: padding behind them is cut off, and a length beyond
    /// what was on the wire counts as not captured.
    pub(super) fn limit(self, length: usize) -> Self {
        Self::new(self.bytes.get(..length).unwrap_or(self.bytes), length)
    }
}
