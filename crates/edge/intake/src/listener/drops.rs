//! What the kernel dropped because nobody fetched it in time, by the table in `/proc`.

use std::net::{SocketAddr, UdpSocket};

/// Drops of a socket since it was opened; none where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn of_socket(socket: &UdpSocket, address: SocketAddr) -> Option<u64> {
    use std::os::fd::AsRawFd as _;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
    let table = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    in_table(&std::fs::read_to_string(table).ok()?, &inode)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn of_socket(_: &UdpSocket, _: SocketAddr) -> Option<u64> {
    None
}

/// The drops of an inode: in a line of the table the inode is the tenth column, the drops are the last.
#[cfg(any(test, target_os = "linux"))]
fn in_table(table: &str, inode: &str) -> Option<u64> {
    let mut lines = table.lines().skip(1).map(|line| line.split_ascii_whitespace());
    let mut ours = lines.find(|columns| columns.clone().nth(9) == Some(inode))?;
    ours.next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                     1: 0100007F:0807 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 71 2 0 17\n\
                     2: 0100007F:0807 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7 2 0 5\n";
        assert_eq!(in_table(table, "71"), Some(17));
        assert_eq!(in_table(table, "7"), Some(5));
        assert_eq!(in_table(table, "9"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_open_socket_is_in_the_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(of_socket(&socket, socket.local_addr().unwrap()), Some(0));
    }
}
