//! What the number of a service says about it: names for rule ids, and the few kinds that are treated with more care.

use model::{Protocol, Service};

const NAMES: [(Service, &str); 46] = [
    (Service::range(Protocol::TCP, 20, 21), "ftp"),
    (Service::tcp(22), "ssh"),
    (Service::tcp(23), "telnet"),
    (Service::tcp(25), "smtp"),
    (Service::tcp(53), "dns"),
    (Service::udp(53), "dns"),
    (Service::range(Protocol::UDP, 67, 68), "dhcp"),
    (Service::udp(69), "tftp"),
    (Service::tcp(80), "http"),
    (Service::tcp(88), "kerberos"),
    (Service::udp(88), "kerberos"),
    (Service::tcp(110), "pop3"),
    (Service::udp(123), "ntp"),
    (Service::tcp(135), "rpc"),
    (Service::tcp(139), "netbios"),
    (Service::tcp(143), "imap"),
    (Service::udp(161), "snmp"),
    (Service::udp(162), "snmp-trap"),
    (Service::tcp(389), "ldap"),
    (Service::udp(389), "ldap"),
    (Service::tcp(443), "https"),
    (Service::tcp(445), "smb"),
    (Service::tcp(465), "submissions"),
    (Service::udp(514), "syslog"),
    (Service::tcp(514), "syslog"),
    (Service::tcp(587), "submission"),
    (Service::tcp(636), "ldaps"),
    (Service::tcp(873), "rsync"),
    (Service::tcp(993), "imaps"),
    (Service::tcp(1433), "mssql"),
    (Service::tcp(1521), "oracle"),
    (Service::tcp(1883), "mqtt"),
    (Service::tcp(2049), "nfs"),
    (Service::tcp(3306), "mysql"),
    (Service::tcp(3389), "rdp"),
    (Service::tcp(5432), "postgresql"),
    (Service::tcp(5672), "amqp"),
    (Service::tcp(5900), "vnc"),
    (Service::range(Protocol::TCP, 5985, 5986), "winrm"),
    (Service::tcp(6379), "redis"),
    (Service::tcp(8883), "mqtts"),
    (Service::tcp(9092), "kafka"),
    (Service::tcp(9100), "node-metrics"),
    (Service::tcp(9200), "elasticsearch"),
    (Service::tcp(27017), "mongodb"),
    (Service::range(Protocol::ICMP, 2048, 2303), "ping"),
];

const ADMIN: [Service; 8] = [
    Service::tcp(22),
    Service::tcp(23),
    Service::tcp(135),
    Service::tcp(139),
    Service::tcp(445),
    Service::tcp(3389),
    Service::tcp(5900),
    Service::range(Protocol::TCP, 5985, 5986),
];

/// Services whose servers never answer: log and export protocols over UDP.
const ONE_WAY: [Service; 8] = [
    Service::udp(162),
    Service::udp(514),
    Service::udp(2055),
    Service::udp(4739),
    Service::udp(5140),
    Service::udp(6343),
    Service::udp(8125),
    Service::range(Protocol::UDP, 9995, 9996),
];

fn listed(list: &[Service], service: Service) -> bool {
    list.iter().any(|known| known.covers(&service))
}

/// A short name for rule ids: `https`, else `tcp-8443`, `udp-30000-30100`.
pub(crate) fn service_name(service: Service) -> String {
    match known_name(service) {
        Some(name) => name.to_owned(),
        None => service.to_string().replace(['/', '.'], "-"),
    }
}

fn known_name(service: Service) -> Option<&'static str> {
    let known = |(known, name): &(Service, &'static str)| known.covers(&service).then_some(*name);
    NAMES.iter().find_map(known)
}

/// Whether people know the number by a name.
pub(crate) fn is_named(service: Service) -> bool {
    known_name(service).is_some()
}

/// Whether who speaks this can take the server over: never widened on few clients' behaviour.
pub(crate) fn is_admin(service: Service) -> bool {
    listed(&ADMIN, service)
}

/// Whether a server of this is not expected to answer.
pub(crate) fn is_one_way(service: Service) -> bool {
    listed(&ONE_WAY, service)
}

/// ICMP messages about another conversation (unreachable, time exceeded, ...) and IPv6 neighbour discovery:
/// stateful enforcement lets them pass with what they belong to.
pub(crate) fn is_icmp_error(service: Service) -> bool {
    let kind = service.low >> 8;
    match service.protocol {
        Protocol::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Protocol::ICMPV6 => matches!(kind, 1..=4 | 133..=137),
        _ => false,
    }
}

/// Whether the number is one that servers are given, and not one that systems lend to clients.
pub(crate) fn is_registered(service: Service) -> bool {
    !service.protocol.has_ports() || service.high < 32_768
}
