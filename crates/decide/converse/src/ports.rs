//! What a port number alone says about who serves: bands of ports, and who is in them.

/// Ports above 1023 that are registered with IANA, or that everybody knows, and that something listens on. Sorted.
/// Kept to what is met in networks: the whole registry names 5,900 ports below 32768, and a client's port would be
/// among them as often as not.
const REGISTERED: [u16; 182] = [
    1080, 1099, 1194, 1352, 1400, 1433, 1434, 1494, 1514, 1521, 1582, 1645, 1646, 1700, 1701, 1720, 1723,
    1741, 1755, 1812, 1813, 1883, 1900, 1935, 1985, 2000, 2048, 2049, 2055, 2082, 2083, 2086, 2087, 2095,
    2096, 2123, 2152, 2181, 2222, 2300, 2375, 2376, 2377, 2379, 2380, 2404, 2483, 2484, 2598, 2638, 2809,
    2811, 2947, 3000, 3050, 3128, 3260, 3268, 3269, 3306, 3310, 3333, 3343, 3386, 3389, 3478, 3479, 3544,
    3632, 3653, 3689, 3690, 3702, 3784, 3785, 3868, 4040, 4100, 4222, 4317, 4318, 4343, 4369, 4433, 4443,
    4500, 4505, 4506, 4567, 4646, 4647, 4648, 4730, 4739, 4786, 4789, 4790, 4840, 4899, 5000, 5001, 5004,
    5044, 5050, 5060, 5061, 5072, 5140, 5201, 5222, 5223, 5269, 5280, 5349, 5351, 5353, 5355, 5357, 5405,
    5432, 5433, 5555, 5601, 5666, 5671, 5672, 5683, 5684, 5722, 5800, 5900, 5938, 5984, 5985, 5986, 6000,
    6081, 6343, 6379, 6443, 6514, 6600, 6653, 6667, 6697, 7000, 7001, 7077, 7946, 8000, 8008, 8009, 8080,
    8081, 8086, 8088, 8090, 8140, 8200, 8300, 8301, 8302, 8443, 8472, 8500, 8805, 8883, 8888, 9000, 9042,
    9090, 9092, 9093, 9100, 9200, 9300, 9389, 9418, 9443, 9999, 10_050, 10_051,
];

/// The same in the bands from 10000 on, and in those that systems also take for the client's side.
const REGISTERED_HIGH: [u16; 24] = [
    10_000, 10_250, 10_255, 10_257, 10_259, 11_211, 13_306, 15_672, 16_509, 18_083, 19_132, 20_000, 24_007,
    25_565, 27_017, 27_018, 28_015, 30_303, 33_060, 34_962, 44_818, 47_808, 50_000, 51_820,
];

/// The bands, by what systems take from them.
pub(crate) const BANDS: usize = 14;
const ZERO: u8 = 0;
const LOW: u8 = 1;
const PRIVILEGED: u8 = 2;
const KNOWN: u8 = 3;
const WINDOWS_SERVICES: u8 = 10;
const FTP_DATA: u8 = 11;
const BOOTP_CLIENT: u8 = 12;
const KNOWN_HIGH: u8 = 13;

/// The band of a port.
pub(crate) const fn band(port: u16) -> usize {
    BAND[port as usize] as usize
}

/// The band of a port towards another: BOOTP and DHCPv6 clients have a low port of their own.
pub(crate) const fn band_towards(port: u16, other: u16) -> usize {
    match (port, other) {
        (68, 67) | (546, 547) => BOOTP_CLIENT as usize,
        _ => band(port),
    }
}

/// A port that somebody listens on by name: below 512, or registered.
const fn is_named(band: u8) -> bool {
    matches!(band, LOW | KNOWN)
}

/// A port that systems of today hand out to clients.
const fn is_handed_out(band: u8) -> bool {
    matches!(band, 7..=9)
}

/// A port that somebody listens on by name, towards one that nobody does.
pub(crate) const fn asks_by_name(from: u16, to: u16) -> bool {
    is_named(BAND[to as usize]) && !is_named(BAND[from as usize])
}

/// Whether the two ports speak for themselves: one is known by name, the other handed out. 1 when the source asks, -1
/// when the destination does, 0 when more evidence is wanted.
pub(crate) const fn plain(from: u16, to: u16) -> i8 {
    let (from, to) = (BAND[from as usize], BAND[to as usize]);
    if is_named(to) && is_handed_out(from) {
        1
    } else if is_named(from) && is_handed_out(to) {
        -1
    } else {
        0
    }
}

/// One byte a port, so that the whole table is 64 KiB and a look-up is one load.
static BAND: [u8; 65_536] = bands();

const fn bands() -> [u8; 65_536] {
    let mut table = [0_u8; 65_536];
    let mut port = 0;
    while port < 65_536 {
        table[port] = match port {
            0 => ZERO,
            // The server's end of an active FTP data connection, which the server opens.
            20 => FTP_DATA,
            1..512 => LOW,
            // Servers, and clients that must show that they are root (NFS, rsh).
            512..1_024 => PRIVILEGED,
            // Windows before Vista, and many appliances, take clients' ports from here.
            1_024..5_000 => 4,
            5_000..10_000 => 5,
            10_000..32_768 => 6,
            // What Windows' own services get when they start.
            49_152..=49_160 | 49_664..=49_680 => WINDOWS_SERVICES,
            // Linux takes 32768 to 60999, Windows, BSD and macOS 49152 to 65535.
            32_768..49_152 => 7,
            49_152..61_000 => 8,
            _ => 9,
        };
        port += 1;
    }
    let mut at = 0;
    while at < REGISTERED.len() {
        table[REGISTERED[at] as usize] = KNOWN;
        at += 1;
    }
    at = 0;
    while at < REGISTERED_HIGH.len() {
        let port = REGISTERED_HIGH[at];
        table[port as usize] = if port < 32_768 { KNOWN } else { KNOWN_HIGH };
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_its_band() {
        assert!(REGISTERED.is_sorted() && REGISTERED_HIGH.is_sorted());
        assert!(BAND.iter().all(|band| usize::from(*band) < BANDS));
        for (port, expected) in [(0, 0), (20, 11), (21, 1), (68, 1), (3_544, 3), (5_432, 3), (8_240, 5)] {
            assert_eq!(band(port), expected, "{port}");
        }
        assert_eq!((band_towards(68, 67), band_towards(67, 68)), (12, 1));
    }

    #[test]
    fn a_known_and_a_handed_out_port_speak_for_themselves() {
        assert_eq!((plain(51_000, 443), plain(443, 51_000), plain(443, 8_080)), (1, -1, 0));
        assert_eq!((plain(40_000, 20), plain(3_000, 445)), (0, 0));
    }
}
