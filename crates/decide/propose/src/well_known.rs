//! What the number of a service says about it: names for rule ids, and the few kinds that are treated with more care.

use model::{Protocol, Service};

const NAMES: [(&str, &str); 46] = [
    ("tcp/20-21", "ftp"),
    ("tcp/22", "ssh"),
    ("tcp/23", "telnet"),
    ("tcp/25", "smtp"),
    ("tcp/53", "dns"),
    ("udp/53", "dns"),
    ("udp/67-68", "dhcp"),
    ("udp/69", "tftp"),
    ("tcp/80", "http"),
    ("tcp/88", "kerberos"),
    ("udp/88", "kerberos"),
    ("tcp/110", "pop3"),
    ("udp/123", "ntp"),
    ("tcp/135", "rpc"),
    ("tcp/139", "netbios"),
    ("tcp/143", "imap"),
    ("udp/161", "snmp"),
    ("udp/162", "snmp-trap"),
    ("tcp/389", "ldap"),
    ("udp/389", "ldap"),
    ("tcp/443", "https"),
    ("tcp/445", "smb"),
    ("tcp/465", "submissions"),
    ("udp/514", "syslog"),
    ("tcp/514", "syslog"),
    ("tcp/587", "submission"),
    ("tcp/636", "ldaps"),
    ("tcp/873", "rsync"),
    ("tcp/993", "imaps"),
    ("tcp/1433", "mssql"),
    ("tcp/1521", "oracle"),
    ("tcp/1883", "mqtt"),
    ("tcp/2049", "nfs"),
    ("tcp/3306", "mysql"),
    ("tcp/3389", "rdp"),
    ("tcp/5432", "postgresql"),
    ("tcp/5672", "amqp"),
    ("tcp/5900", "vnc"),
    ("tcp/5985-5986", "winrm"),
    ("tcp/6379", "redis"),
    ("tcp/8883", "mqtts"),
    ("tcp/9092", "kafka"),
    ("tcp/9100", "node-metrics"),
    ("tcp/9200", "elasticsearch"),
    ("tcp/27017", "mongodb"),
    ("icmp/8", "ping"),
];

const ADMIN: [&str; 8] =
    ["tcp/22", "tcp/23", "tcp/135", "tcp/139", "tcp/445", "tcp/3389", "tcp/5900", "tcp/5985-5986"];

/// Services whose servers never answer: log and export protocols over UDP.
const ONE_WAY: [&str; 8] =
    ["udp/162", "udp/514", "udp/2055", "udp/4739", "udp/5140", "udp/6343", "udp/8125", "udp/9995-9996"];

fn listed(list: &[&str], service: Service) -> bool {
    list.iter().filter_map(|text| text.parse::<Service>().ok()).any(|known| known.covers(&service))
}

/// A short name for rule ids: `https`, else `tcp-8443`, `udp-30000-30100`.
pub(crate) fn service_name(service: Service) -> String {
    match known_name(service) {
        Some(name) => name.to_owned(),
        None => service.to_string().replace(['/', '.'], "-"),
    }
}

fn known_name(service: Service) -> Option<&'static str> {
    let known = |(text, name): &(&str, &'static str)| {
        text.parse::<Service>().is_ok_and(|known| known.covers(&service)).then_some(*name)
    };
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
