//! Every way to write the same packets.

use std::io::Cursor;

use super::*;

/// Numbers in one order of bytes.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn words(self, words: &[u32]) -> Vec<u8> {
        let bytes = |word: &u32| if self.big { word.to_be_bytes() } else { word.to_le_bytes() };
        words.iter().flat_map(bytes).collect()
    }

    fn halves(self, halves: &[u16]) -> Vec<u8> {
        let bytes = |half: &u16| if self.big { half.to_be_bytes() } else { half.to_le_bytes() };
        halves.iter().flat_map(bytes).collect()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = 12 + body.len() as u32;
        [self.words(&[kind, length]), body.to_vec(), self.words(&[length])].concat()
    }
}

/// Link type, microseconds, bytes and length on the wire of each packet.
fn packets(file: Vec<u8>) -> Vec<(i32, Micros, Vec<u8>, usize)> {
    assert!(is_capture(&file));
    let mut capture = Capture::new(Window::new(Box::new(Cursor::new(file))), "x".into()).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = capture.next(0).unwrap() {
        found.push((packet.link, packet.at, packet.bytes.to_vec(), packet.wire));
    }
    found
}

#[test]
fn pcap_in_either_order_and_resolution() {
    for big in [false, true] {
        let order = Order { big };
        for (magic, fraction) in
            [(0xa1b2_c3d4_u32, 250_000), (0xa1b2_3c4d, 250_000_999), (0xa1b2_cd34, 250_000)]
        {
            // The upper bits of the link type say that frames end with a check sequence of four bytes.
            let mut file =
                order.words(&[magic, if big { 0x0002_0004 } else { 0x0004_0002 }, 0, 0, 6, 0x2400_0001]);
            for captured in [6, 5] {
                file.extend(order.words(&[1_600_000_000, fraction, captured, 9]));
                file.extend(vec![0; if magic == 0xa1b2_cd34 { 8 } else { 0 }]);
                file.extend(&b"packet"[..captured as usize]);
            }
            let at = 1_600_000_000_250_000;
            let expected = [(1, at, b"packet".to_vec(), 9), (1, at, b"packe".to_vec(), 9)];
            assert_eq!(packets(file), expected, "{magic:x}, big endian: {big}");
        }
    }
}

#[test]
fn pcapng_with_interfaces_of_their_own_kind() {
    for big in [false, true] {
        let order = Order { big };
        let section = [order.words(&[0x1a2b_3c4d]), order.halves(&[1, 0]), vec![0xff; 8]].concat();
        let interface = |link: u16, options: &[u8]| {
            order.block(1, &[order.halves(&[link, 0]), order.words(&[0]), options.to_vec()].concat())
        };
        // Nanoseconds, and seconds to be added.
        let resolution = [order.halves(&[9, 1]), vec![9, 0, 0, 0], order.halves(&[0, 0])].concat();
        let packet = |interface: u32, ticks: u64| {
            let words = order.words(&[interface, (ticks >> 32) as u32, ticks as u32, 6, 90]);
            order.block(6, &[&words[..], b"packet\0\0"].concat())
        };
        let simple = order.block(3, &[&order.words(&[6])[..], b"packet\0\0"].concat());
        let file = [
            order.block(0x0a0d_0d0a, &section),
            interface(1, &[]),
            interface(101, &resolution),
            order.block(0x0bad, b"skip"),
            packet(0, 1_600_000_000_250_000),
            packet(1, 1_600_000_000_250_000_777),
            // No such interface: it is handed out for whoever counts what cannot be read.
            packet(7, 0),
            simple,
        ];
        let bytes = b"packet".to_vec();
        let at = 1_600_000_000_250_000;
        let expected = [
            (1, at, bytes.clone(), 90),
            (101, at, bytes.clone(), 90),
            (-1, 0, bytes.clone(), 90),
            (1, 0, bytes, 6),
        ];
        assert_eq!(packets(file.concat()), expected, "big endian: {big}");
    }
}
