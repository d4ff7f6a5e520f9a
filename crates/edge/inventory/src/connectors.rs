//! One file a system.

pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod dhcpd;
pub(crate) mod dns_names;
pub(crate) mod dnsmasq;
pub(crate) mod gcp;
pub(crate) mod kea;
pub(crate) mod kubernetes;
pub(crate) mod leases;
pub(crate) mod list;
pub(crate) mod nmap;
pub(crate) mod syslog;
#[cfg(test)]
mod tutorial;
mod xml;
pub(crate) mod zeek_dns;
