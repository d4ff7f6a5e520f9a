//! Compressed inputs, and text in other encodings than UTF-8, told by their first bytes.

use std::io::{self, BufReader, Read};

use encoding_rs_io::DecodeReaderBytes;

/// What unpacking xz may take, in KiB: twice what its own highest setting needs.
const XZ_KIB_MAX: u32 = 129 << 10;

/// How an input is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    /// A byte-order mark: UTF-16 of either order, or UTF-8 with a mark that says nothing.
    Encoded,
}

impl Packing {
    /// The packing that an input's first bytes tell.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // The block's size is a digit, and the first block begins with pi.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] => Self::Bzip2,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0xef, 0xbb, 0xbf, ..] => Self::Encoded,
            _ => return None,
        })
    }

    /// Unpacks while reading, in memory that the packing bounds: 32 KiB for gzip, at most 128 MiB for zstd and xz
    /// (whose headers may ask for gigabytes), 4 MB for bzip2. Archives written one behind the other are read as one.
    pub(crate) fn unpack(self, packed: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let packed = BufReader::with_capacity(64 * 1024, packed);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(27)?;
                Box::new(decoder)
            }
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_KIB_MAX)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
            Self::Encoded => Box::new(DecodeReaderBytes::new(packed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use model::FlowBatch;

    use crate::{Input, IntakeError, open};

    const LINE: &str =
        "2 123456789010 eni-1 10.0.0.1 10.0.0.2 49152 443 6 3 180 1600000000 1600000060 ACCEPT OK\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// Three times `LINE`, packed by xz 5.4.
    const XZ: &[u8] = include_bytes!("unpack/three-lines.xz");

    fn flows(bytes: Vec<u8>) -> (usize, Option<IntakeError>) {
        let mut reader = match open("auto", Input::new("packed", Cursor::new(bytes))) {
            Ok(reader) => reader,
            Err(error) => return (0, Some(error)),
        };
        let mut batch = FlowBatch::new(reader.source());
        loop {
            match reader.read(&mut batch) {
                Ok(true) => {}
                Ok(false) => return (batch.len(), None),
                Err(error) => return (batch.len(), Some(error)),
            }
        }
    }

    #[test]
    fn what_is_packed_is_unpacked_whatever_it_is_called() {
        let three = LINE.repeat(3);
        for pack in [gzip, bzip2, zstd] {
            let packed = pack(three.as_bytes());
            assert!(matches!(flows(packed.clone()), (3, None)));
            assert!(
                matches!(flows([packed.clone(), packed.clone()].concat()), (6, None)),
                "one behind the other"
            );
            assert!(matches!(flows(gzip(&packed)), (3, None)), "packed twice");
        }
        assert!(matches!(flows(XZ.to_vec()), (3, None)));
        assert!(matches!(flows([XZ, XZ].concat()), (6, None)));
        let wide = |order: fn(u16) -> [u8; 2]| {
            std::iter::once(0xfeff).chain(three.encode_utf16()).flat_map(order).collect::<Vec<u8>>()
        };
        assert!(matches!(flows(wide(u16::to_le_bytes)), (3, None)));
        assert!(matches!(flows(wide(u16::to_be_bytes)), (3, None)));
        assert!(matches!(flows([b"\xef\xbb\xbf", three.as_bytes()].concat()), (3, None)));
    }

    #[test]
    fn what_came_before_the_damage_is_kept_and_the_damage_told() {
        let many: String = (0..60_000).map(|n| LINE.replace("49152", &(n + 1).to_string())).collect();
        for pack in [gzip, bzip2, zstd] {
            let packed = pack(many.as_bytes());
            for cut in [packed.len() * 3 / 4, packed.len() - 3] {
                let (found, error) = flows(packed[..cut].to_vec());
                let told = error.map(|error| error.to_string()).unwrap_or_default();
                assert!(told.starts_with("cannot read `packed`: "), "{told}");
                assert!(found > 10_000, "{found} of 60000");
            }
            assert_eq!(flows(packed[..3].to_vec()).0, 0);
        }
    }

    #[test]
    fn compression_stays_within_bounds() {
        // 1 GiB of zeros in a megabyte: one long line, never held.
        let mut packed = Vec::new();
        let mut encoder = zstd::stream::write::Encoder::new(&mut packed, 1).unwrap();
        let zeros = vec![b'0'; 1 << 20];
        for _ in 0..256 {
            encoder.write_all(&zeros).unwrap();
        }
        encoder.finish().unwrap();
        let mut reader = open("aws-vpc", Input::new("bomb", Cursor::new(packed))).unwrap();
        let mut batch = FlowBatch::new("aws-vpc");
        assert!(!reader.read(&mut batch).unwrap());
        assert_eq!(reader.summary().rejects[0].reason, "the record is too long");
        assert_eq!(reader.summary().bytes_read, 256 << 20);
    }

    #[test]
    fn a_dictionary_of_gigabytes_is_not_made() {
        // the same header with the largest dictionary, 4 GiB, and its checksum
        let mut greedy = XZ.to_vec();
        greedy[16] = 40;
        greedy[20..24].copy_from_slice(&[0xe6, 0xa0, 0x11, 0xb3]);
        let (found, error) = flows(greedy);
        let told = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(found == 0 && told.contains("memory"), "{told}");
    }
}
