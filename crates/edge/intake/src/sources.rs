//! One file or folder for each flow format; the table of them is [`crate::SOURCES`].

pub(crate) mod argus;
pub(crate) mod auditd;
pub(crate) mod aws_network_firewall;
pub(crate) mod aws_vpc;
pub(crate) mod azure;
pub(crate) mod calico;
pub(crate) mod cisco_asa;
pub(crate) mod conntrack;
pub(crate) mod envoy;
pub(crate) mod fortinet;
pub(crate) mod gcp;
pub(crate) mod hubble;
pub(crate) mod illumio;
pub(crate) mod mapped;
pub(crate) mod netflow;
pub(crate) mod nfdump;
pub(crate) mod packets;
pub(crate) mod paloalto;
pub(crate) mod sflow;
pub(crate) mod silk;
pub(crate) mod suricata;
pub(crate) mod sysmon;
pub(crate) mod ulogd;
pub(crate) mod windows_firewall;
pub(crate) mod zeek;

#[cfg(test)]
mod tutorial;
