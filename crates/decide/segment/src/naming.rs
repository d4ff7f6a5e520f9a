//! What a segment is called and why.

use std::collections::BTreeMap;

use graph::Graph;
use model::{Protocol, Service};

use crate::signatures::{Feature, Kind, Side, Signatures};

/// Reasons given for a segment, besides its cohesion.
const REASONS_MAX: usize = 4;
/// A feature is typical when this share of the members more than of the others has it.
const TYPICAL_MIN: f64 = 0.3;

/// A smaller difference is no reason.
const REASON_MIN: f64 = 0.1;

/// A segment in words.
pub(crate) struct Portrait {
    /// From what it offers or uses; unique among the portraits but for a number that may follow.
    pub(crate) name: String,
    /// Counts of members and of others, the most telling first.
    pub(crate) reasons: Vec<String>,
}

/// A feature with how many members and how many others have it.
struct Trait {
    feature: Feature,
    inside: usize,
    outside: usize,
    /// Share of the members less share of the others.
    contrast: f64,
}

/// One portrait for each group of positions in the population, of which `placed` are in any group or unsure.
pub(crate) fn portraits(
    graph: &Graph,
    signatures: &Signatures,
    groups: &[Vec<usize>],
    placed: usize,
) -> Vec<Portrait> {
    let mut totals: BTreeMap<Feature, usize> = BTreeMap::new();
    for at in groups.iter().flatten() {
        signatures.features(*at).for_each(|feature| *totals.entry(feature).or_default() += 1);
    }
    let traits: Vec<Vec<Trait>> =
        groups.iter().map(|group| traits(signatures, group, &totals, placed)).collect();
    let first: Vec<String> = traits.iter().map(|t| name(t)).collect();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    first.iter().for_each(|name| *used.entry(name).or_default() += 1);
    groups
        .iter()
        .zip(&traits)
        .zip(&first)
        .map(|((group, traits), name)| {
            let others = placed - group.len();
            let name = if used[name.as_str()] > 1 { with_partner(name, traits, graph) } else { name.clone() };
            let reasons = traits
                .iter()
                .filter(|t| t.feature.partner.is_none() && t.contrast >= REASON_MIN)
                .take(REASONS_MAX)
                .map(|t| reason(t, group.len(), others))
                .collect();
            Portrait { name, reasons }
        })
        .collect()
}

/// The group's features, the greatest contrast first; offers before uses, for a server is known by what it serves.
fn traits(
    signatures: &Signatures,
    group: &[usize],
    totals: &BTreeMap<Feature, usize>,
    placed: usize,
) -> Vec<Trait> {
    let mut counts: BTreeMap<Feature, usize> = BTreeMap::new();
    for at in group {
        signatures.features(*at).for_each(|feature| *counts.entry(feature).or_default() += 1);
    }
    let others = (placed - group.len()).max(1) as f64;
    let mut traits: Vec<Trait> = counts
        .into_iter()
        .map(|(feature, inside)| {
            let outside = totals.get(&feature).copied().unwrap_or(inside) - inside;
            let contrast = inside as f64 / group.len() as f64 - outside as f64 / others;
            Trait { feature, inside, outside, contrast }
        })
        .collect();
    let rank = |t: &Trait| t.contrast + if t.feature.side == Side::Offers { 0.1 } else { 0.0 };
    traits.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then_with(|| a.feature.cmp(&b.feature)));
    traits
}

fn name(traits: &[Trait]) -> String {
    let of_service = |t: &&Trait| t.feature.partner.is_none() && matches!(t.feature.kind, Kind::Of(_));
    let telling = traits.iter().filter(of_service).find(|t| t.contrast >= TYPICAL_MIN);
    match telling.or_else(|| traits.iter().find(of_service)) {
        Some(Trait { feature: Feature { side: Side::Offers, kind, .. }, .. }) => {
            format!("{}-servers", kind_name(*kind))
        }
        Some(Trait { feature: Feature { side: Side::Uses, kind, .. }, .. }) => {
            format!("{}-clients", kind_name(*kind))
        }
        None => String::from("others"),
    }
}

/// The name with the partner that most sets this segment apart from its namesakes.
fn with_partner(name: &str, traits: &[Trait], graph: &Graph) -> String {
    let telling = traits.iter().filter(|t| t.contrast >= TYPICAL_MIN);
    let mut partners = telling.filter_map(|t| Some((t.feature.side, t.feature.partner?)));
    match partners.next() {
        Some((side, node)) => {
            let word = if side == Side::Offers { "for" } else { "of" };
            format!("{name}-{word}-{}", slug(&graph.nodes[node as usize].id.0))
        }
        None => name.to_owned(),
    }
}

fn reason(t: &Trait, size: usize, others: usize) -> String {
    let verb = match t.feature.side {
        Side::Offers => ("answer", "does", "do"),
        Side::Uses => ("use", "does", "do"),
    };
    let what = match t.feature.kind {
        Kind::Of(service) => service.to_string(),
        Kind::Rare(protocol) => format!("a {protocol} service that nobody else uses"),
    };
    let does = if t.outside == 1 { verb.1 } else { verb.2 };
    format!("{} of {size} members {} {what}; {} of {others} others {does}", t.inside, verb.0, t.outside)
}

/// Lower-case letters, digits and single dashes.
fn slug(text: &str) -> String {
    let mapped: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<&str> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Of(service) => service_name(service),
        Kind::Rare(protocol) => format!("rare-{protocol}"),
    }
}

fn service_name(service: Service) -> String {
    let port = (service.protocol, service.low);
    if service.low == service.high
        && let Some((_, name)) = NAMES.iter().find(|(known, _)| known.contains(&port))
    {
        return (*name).to_owned();
    }
    slug(&service.to_string())
}

const fn tcp(port: u16) -> (Protocol, u16) {
    (Protocol::TCP, port)
}
const fn udp(port: u16) -> (Protocol, u16) {
    (Protocol::UDP, port)
}

/// What people call services on their usual ports. Ports that many different things use are not here.
const NAMES: &[(&[(Protocol, u16)], &str)] = &[
    (&[(Protocol::ICMP, 8 << 8), (Protocol::ICMPV6, 128 << 8)], "ping"),
    (&[tcp(20), tcp(21)], "ftp"),
    (&[tcp(22)], "ssh"),
    (&[tcp(25), tcp(465), tcp(587)], "smtp"),
    (&[tcp(53), udp(53)], "dns"),
    (&[udp(67), udp(68)], "dhcp"),
    (&[tcp(80)], "http"),
    (&[tcp(88), udp(88)], "kerberos"),
    (&[tcp(110), tcp(995)], "pop3"),
    (&[udp(123)], "ntp"),
    (&[tcp(143), tcp(993)], "imap"),
    (&[udp(161)], "snmp"),
    (&[tcp(389), udp(389), tcp(636)], "ldap"),
    (&[tcp(443), udp(443)], "https"),
    (&[tcp(445)], "smb"),
    (&[tcp(502)], "modbus"),
    (&[udp(514), tcp(514), tcp(6514)], "syslog"),
    (&[tcp(631)], "ipp"),
    (&[tcp(873)], "rsync"),
    (&[tcp(1433)], "mssql"),
    (&[tcp(1521)], "oracle"),
    (&[tcp(1883), tcp(8883)], "mqtt"),
    (&[tcp(2049)], "nfs"),
    (&[tcp(2379), tcp(2380)], "etcd"),
    (&[tcp(3306)], "mysql"),
    (&[tcp(3389)], "rdp"),
    (&[tcp(5432)], "postgres"),
    (&[tcp(5671), tcp(5672)], "amqp"),
    (&[tcp(6379)], "redis"),
    (&[tcp(6443)], "kube-api"),
    (&[tcp(9042)], "cassandra"),
    (&[tcp(9092)], "kafka"),
    (&[tcp(9100)], "node-metrics"),
    (&[tcp(9200), tcp(9300)], "elasticsearch"),
    (&[tcp(11_211)], "memcached"),
    (&[tcp(27_017)], "mongodb"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs() {
        assert_eq!(service_name(Service::tcp(5432)), "postgres");
        assert_eq!(service_name(Service::tcp(8240)), "tcp-8240");
        assert_eq!(service_name(Service::range(Protocol::TCP, 40_000, 40_100)), "tcp-40000-40100");
        assert_eq!(slug("Web 01.example/x"), "web-01-example-x");
        let ports: std::collections::BTreeSet<_> = NAMES.iter().flat_map(|(ports, _)| ports.iter()).collect();
        assert_eq!(ports.len(), NAMES.iter().map(|(ports, _)| ports.len()).sum::<usize>());
    }
}
