//! What a port number alone says about who serves.

/// Ports above 1023 that are registered with IANA, or that everybody knows, and that something listens on. Sorted.
const REGISTERED: [u16; 110] = [
    1080, 1194, 1433, 1434, 1494, 1521, 1645, 1646, 1701, 1720, 1723, 1812, 1813, 1883, 1900, 2049, 2055,
    2082, 2083, 2123, 2152, 2181, 2222, 2375, 2376, 2379, 2380, 2404, 2483, 2484, 3000, 3128, 3260, 3268,
    3269, 3306, 3310, 3389, 3478, 3544, 3690, 3702, 3784, 3868, 4222, 4317, 4318, 4369, 4433, 4443, 4500,
    4505, 4506, 4739, 4789, 4840, 5000, 5001, 5004, 5044, 5060, 5061, 5222, 5269, 5353, 5355, 5432, 5433,
    5601, 5671, 5672, 5900, 5938, 5984, 5985, 5986, 6081, 6343, 6379, 6443, 6514, 6667, 7001, 7946, 8000,
    8008, 8080, 8081, 8086, 8200, 8300, 8301, 8443, 8472, 8883, 9000, 9042, 9090, 9092, 9093, 9100, 9200,
    9300, 9418, 10_250, 11_211, 15_672, 20_000, 27_017, 50_000,
];

/// Registered ports in the bands that systems also take for the client's side.
const REGISTERED_HIGH: [u16; 3] = [44_818, 47_808, 51_820];

/// Ports that a client takes by its protocol's rules: the active FTP data connection, which the FTP server opens from
/// its port 20, towards any port; BOOTP and DHCPv6 clients, towards the port below or above.
const CLIENT_SIDE: [(u16, i8); 3] = [(20, -10), (68, 3), (546, 3)];

/// First port of the range that Linux takes for clients (32768-60999).
pub(crate) const EPHEMERAL: u16 = 32_768;

/// Log odds that this port is the server's side, up to a constant that cancels between the two sides of a flow.
pub(crate) const fn score(port: u16) -> f32 {
    (SCORES[port as usize] as f32) / 4.0
}

/// Scores in quarters, so that the whole table is 64 KiB and a look-up is one load.
static SCORES: [i8; 65_536] = scores();

const fn scores() -> [i8; 65_536] {
    let mut table = [0_i8; 65_536];
    let mut port = 0;
    while port < 65_536 {
        table[port] = match port {
            0 => -12,
            1..1_024 => 12,
            // Windows before Vista, and many appliances, take clients' ports from here.
            1_024..5_000 => 0,
            5_000..10_000 => 6,
            10_000..32_768 => 3,
            32_768..49_152 => -6,
            _ => -7,
        };
        port += 1;
    }
    let mut at = 0;
    while at < REGISTERED.len() {
        table[REGISTERED[at] as usize] = 10;
        at += 1;
    }
    at = 0;
    while at < REGISTERED_HIGH.len() {
        table[REGISTERED_HIGH[at] as usize] = 6;
        at += 1;
    }
    at = 0;
    while at < CLIENT_SIDE.len() {
        table[CLIENT_SIDE[at].0 as usize] = CLIENT_SIDE[at].1;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_score_above_clients() {
        assert!(REGISTERED.is_sorted() && REGISTERED_HIGH.is_sorted());
        for (server, client) in
            [(443, 51_000), (67, 68), (40_000, 20), (5_432, 40_000), (22, 1_023 + 1), (8_240, 50_001)]
        {
            assert!(score(server) > score(client), "{server} against {client}");
        }
        assert_eq!(score(123), score(123));
    }
}
