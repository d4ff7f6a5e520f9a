//! The lab's site: subnets, hosts and what each is for.

/// Prefix of every network namespace that the lab makes; nothing else is ever touched.
pub(super) const PREFIX: &str = "rf-lab-";

/// The domain that the lab's DNS servers answer for.
pub(super) const DOMAIN: &str = "corp.example";

/// The namespace that plays the rest of the world. It is no workload.
pub(super) const INTERNET: &str = "internet";

/// Where a web page, a card processor and the intruder live, in address blocks reserved for documentation.
pub(super) const WEB_OUTSIDE: &str = "198.51.100.10";
/// The card processor that billing calls.
pub(super) const CARD_PROCESSOR: &str = "198.51.100.20";
/// The intruder's own machine.
pub(super) const INTRUDER: &str = "203.0.113.66";
/// First and last address (the last octet in 203.0.113.0/24) of the shop's customers.
pub(super) const CUSTOMERS: (u8, u8) = (20, 31);

/// One subnet: a bridge on the router, with an exporter of its own.
pub(super) struct Subnet {
    pub(super) name: &'static str,
    /// Third octet of 10.20.x.0/24; the router is .1.
    pub(super) octet: u8,
    /// Whether it also has fd20:x::/64.
    pub(super) v6: bool,
    pub(super) loc: &'static str,
}

const fn subnet(name: &'static str, octet: u8, v6: bool, loc: &'static str) -> Subnet {
    Subnet { name, octet, v6, loc }
}

/// Every subnet.
pub(super) const SUBNETS: &[Subnet] = &[
    subnet("dmz", 10, true, "dc-1"),
    subnet("app", 20, false, "dc-1"),
    subnet("data", 30, false, "dc-1"),
    subnet("mgmt", 40, false, "dc-1"),
    subnet("office", 50, true, "hq"),
    subnet("dev", 60, false, "dc-1"),
    subnet("iot", 70, false, "plant"),
];

/// What a host runs besides the metrics exporter on tcp/9100, which all run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Daemon {
    LoadBalancer,
    Web { upstreams: &'static [&'static str] },
    Pages { port: u16, tls: bool },
    App { database: &'static str, cache: Option<&'static str>, payments: &'static [&'static str] },
    Postgres { database: &'static str },
    Redis { replica_of: Option<&'static str> },
    Dns,
    Ntp,
    Ssh,
    Broker,
    Subscriber { broker: &'static str },
    Ftp,
    Mail,
}

/// One host, one workload.
pub(super) struct Host {
    pub(super) id: &'static str,
    pub(super) subnet: &'static str,
    pub(super) octet: u8,
    pub(super) v6: bool,
    pub(super) role: &'static str,
    pub(super) app: &'static str,
    pub(super) env: &'static str,
    pub(super) criticality: &'static str,
    pub(super) daemons: &'static [Daemon],
}

impl Host {
    fn subnet(&self) -> Option<&'static Subnet> {
        SUBNETS.iter().find(|s| s.name == self.subnet)
    }

    /// Its IPv4 address.
    pub(super) fn ip(&self) -> String {
        format!("10.20.{}.{}", self.subnet().map_or(0, |s| s.octet), self.octet)
    }

    /// Its IPv6 address, for the few that have one.
    pub(super) fn ip6(&self) -> Option<String> {
        let subnet = self.subnet()?;
        (self.v6 && subnet.v6).then(|| format!("fd20:{}::{}", subnet.octet, self.octet))
    }

    /// Where it stands.
    pub(super) fn loc(&self) -> &'static str {
        self.subnet().map_or("", |s| s.loc)
    }

    /// Its namespace.
    pub(super) fn namespace(&self) -> String {
        namespace(self.id)
    }

    /// The segment that it belongs to in truth.
    pub(super) fn segment(&self) -> String {
        format!("{}/{}/{}", self.env, self.app, self.role)
    }
}

/// The namespace of a host, of the router, of the collector or of the internet.
pub(super) fn namespace(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// The host of that id.
pub(super) fn host(id: &str) -> Option<&'static Host> {
    HOSTS.iter().find(|h| h.id == id)
}

/// An address that commands use for a host; other names stand for themselves.
pub(super) fn address(id: &str) -> String {
    host(id).map_or_else(|| id.to_owned(), Host::ip)
}

const SHOP_APPS: &[&str] = &["app-1", "app-2", "app-3"];
const DEV_APPS: &[&str] = &["dev-app-1", "dev-app-2"];
const BILLING: &[&str] = &["billing-1", "billing-2"];
const LB: &[Daemon] = &[Daemon::LoadBalancer, Daemon::Ssh];
const WEB: &[Daemon] = &[Daemon::Web { upstreams: SHOP_APPS }, Daemon::Ssh];
const SHOP: &[Daemon] =
    &[Daemon::App { database: "pg-shop-1", cache: Some("redis-1"), payments: BILLING }, Daemon::Ssh];
const PAY: &[Daemon] = &[Daemon::App { database: "pg-billing-1", cache: None, payments: &[] }, Daemon::Ssh];
const DEV_APP: &[Daemon] = &[Daemon::App { database: "dev-db-1", cache: None, payments: &[] }, Daemon::Ssh];
const DEV_WEB: &[Daemon] = &[Daemon::Web { upstreams: DEV_APPS }, Daemon::Ssh];
const SHOP_DB: &[Daemon] = &[Daemon::Postgres { database: "shop" }, Daemon::Ssh];
const BILLING_DB: &[Daemon] = &[Daemon::Postgres { database: "billing" }, Daemon::Ssh];
const NOTHING: &[Daemon] = &[];

type Place = (&'static str, u8);
type Labels = (&'static str, &'static str, &'static str);

const fn at(
    id: &'static str,
    place: Place,
    labels: Labels,
    crit: &'static str,
    daemons: &'static [Daemon],
) -> Host {
    let (subnet, octet) = place;
    let (role, app, env) = labels;
    Host { id, subnet, octet, v6: false, role, app, env, criticality: crit, daemons }
}

const fn dual(host: Host) -> Host {
    Host { v6: true, ..host }
}

const STAFF: Labels = ("workstation", "office", "corp");
const FINANCE: Labels = ("workstation-finance", "office", "corp");
const ADMIN: Labels = ("workstation-admin", "office", "corp");
const SENSOR: Labels = ("sensor", "plant", "prod");

/// Every host.
pub(super) const HOSTS: &[Host] = &[
    dual(at("lb-1", ("dmz", 11), ("lb", "shop", "prod"), "high", LB)),
    at("lb-2", ("dmz", 12), ("lb", "shop", "prod"), "high", LB),
    at("web-1", ("dmz", 21), ("web", "shop", "prod"), "high", WEB),
    at("web-2", ("dmz", 22), ("web", "shop", "prod"), "high", WEB),
    at("web-3", ("dmz", 23), ("web", "shop", "prod"), "high", WEB),
    at("bastion-1", ("dmz", 31), ("bastion", "access", "prod"), "high", &[Daemon::Ssh]),
    at("mail-1", ("dmz", 41), ("mail", "mail", "prod"), "medium", &[Daemon::Mail, Daemon::Ssh]),
    at("ftp-1", ("dmz", 51), ("fileserver", "files", "prod"), "medium", &[Daemon::Ftp, Daemon::Ssh]),
    at("app-1", ("app", 11), ("app", "shop", "prod"), "high", SHOP),
    at("app-2", ("app", 12), ("app", "shop", "prod"), "high", SHOP),
    at("app-3", ("app", 13), ("app", "shop", "prod"), "high", SHOP),
    at("billing-1", ("app", 21), ("app", "billing", "prod"), "critical", PAY),
    at("billing-2", ("app", 22), ("app", "billing", "prod"), "critical", PAY),
    at(
        "telemetry-1",
        ("app", 31),
        ("app", "plant", "prod"),
        "medium",
        &[Daemon::Subscriber { broker: "broker-1" }, Daemon::Ssh],
    ),
    at("pg-shop-1", ("data", 11), ("db", "shop", "prod"), "critical", SHOP_DB),
    at("pg-shop-2", ("data", 12), ("db-standby", "shop", "prod"), "high", SHOP_DB),
    at("pg-billing-1", ("data", 21), ("db", "billing", "prod"), "critical", BILLING_DB),
    at(
        "redis-1",
        ("data", 31),
        ("cache", "shop", "prod"),
        "high",
        &[Daemon::Redis { replica_of: None }, Daemon::Ssh],
    ),
    at(
        "redis-2",
        ("data", 32),
        ("cache-standby", "shop", "prod"),
        "medium",
        &[Daemon::Redis { replica_of: Some("redis-1") }, Daemon::Ssh],
    ),
    at("dns-1", ("mgmt", 11), ("dns", "infra", "prod"), "high", &[Daemon::Dns]),
    at("dns-2", ("mgmt", 12), ("dns", "infra", "prod"), "high", &[Daemon::Dns]),
    at("ntp-1", ("mgmt", 13), ("ntp", "infra", "prod"), "medium", &[Daemon::Ntp]),
    at("mon-1", ("mgmt", 21), ("monitoring", "infra", "prod"), "medium", &[Daemon::Ssh]),
    at("backup-1", ("mgmt", 31), ("backup", "infra", "prod"), "high", &[Daemon::Ssh]),
    at("scanner-1", ("mgmt", 41), ("scanner", "infra", "prod"), "low", NOTHING),
    dual(at("ws-1", ("office", 11), STAFF, "low", NOTHING)),
    dual(at("ws-2", ("office", 12), STAFF, "low", NOTHING)),
    at("ws-3", ("office", 13), STAFF, "low", NOTHING),
    at("ws-4", ("office", 14), STAFF, "low", NOTHING),
    at("ws-5", ("office", 15), FINANCE, "medium", NOTHING),
    at("ws-6", ("office", 16), FINANCE, "medium", NOTHING),
    at("ws-7", ("office", 17), ADMIN, "high", NOTHING),
    at("ws-8", ("office", 18), ADMIN, "high", NOTHING),
    at(
        "printer-1",
        ("office", 31),
        ("printer", "office", "corp"),
        "low",
        &[Daemon::Pages { port: 631, tls: false }],
    ),
    at("dev-web-1", ("dev", 11), ("web", "shop", "dev"), "low", DEV_WEB),
    at("dev-app-1", ("dev", 21), ("app", "shop", "dev"), "low", DEV_APP),
    at("dev-app-2", ("dev", 22), ("app", "shop", "dev"), "low", DEV_APP),
    at("dev-db-1", ("dev", 31), ("db", "shop", "dev"), "low", SHOP_DB),
    at("dev-ci-1", ("dev", 41), ("ci", "shop", "dev"), "medium", NOTHING),
    at("dev-ws-1", ("dev", 51), ("workstation", "shop", "dev"), "low", NOTHING),
    at("dev-ws-2", ("dev", 52), ("workstation", "shop", "dev"), "low", NOTHING),
    at("broker-1", ("iot", 11), ("broker", "plant", "prod"), "medium", &[Daemon::Broker]),
    at(
        "nvr-1",
        ("iot", 12),
        ("recorder", "plant", "prod"),
        "low",
        &[Daemon::Pages { port: 8080, tls: false }],
    ),
    at("sensor-1", ("iot", 21), SENSOR, "low", NOTHING),
    at("sensor-2", ("iot", 22), SENSOR, "low", NOTHING),
    at("sensor-3", ("iot", 23), SENSOR, "low", NOTHING),
    at("sensor-4", ("iot", 24), SENSOR, "low", NOTHING),
    at("cam-1", ("iot", 41), ("camera", "plant", "prod"), "low", NOTHING),
    at("cam-2", ("iot", 42), ("camera", "plant", "prod"), "low", NOTHING),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hosts_are_distinct_and_stand_in_a_subnet() {
        let ids: BTreeSet<_> = HOSTS.iter().map(|h| h.id).collect();
        let ips: BTreeSet<_> = HOSTS.iter().map(Host::ip).collect();
        assert_eq!((ids.len(), ips.len()), (HOSTS.len(), HOSTS.len()));
        assert!(HOSTS.len() >= 30 && SUBNETS.len() >= 5);
        assert!(HOSTS.iter().all(|h| h.subnet().is_some()));
        // An interface's name has at most 15 bytes, and the router's end is called `p-ID`.
        assert!(HOSTS.iter().all(|h| h.id.len() <= 13));
    }
}
