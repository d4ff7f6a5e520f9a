//! What the kernels of the lab denied: the log group of the artifacts, read in every host's namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::attack::owner;
use super::net::inside;
use super::site::HOSTS;

/// The log group of every artifact.
const GROUP: u16 = 100;

/// One packet that a host's rules denied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Denial {
    /// Unix time in microseconds.
    pub(super) at_us: i64,
    /// Whose rules.
    pub(super) host: String,
    /// The rule's id, or `default`.
    pub(super) rule: String,
    /// `in` or `out`.
    pub(super) direction: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) protocol: u8,
    /// Destination port; 0 for what has none.
    pub(super) port: u16,
}

/// A reader in each namespace.
pub(super) struct Readers {
    children: Vec<Child>,
    folder: PathBuf,
}

impl Readers {
    /// Starts them all.
    pub(super) fn start(run: &Path) -> anyhow::Result<Self> {
        let folder = run.join("denials");
        fs::create_dir_all(&folder)?;
        let mut children = Vec::new();
        for host in HOSTS {
            let child = inside(host.id, "tcpdump")
                .args(["-i", &format!("nflog:{GROUP}"), "-U", "-s", "200", "-Z", "root", "-w"])
                .arg(folder.join(host.id))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot run tcpdump")?;
            children.push(child);
        }
        std::thread::sleep(std::time::Duration::from_secs(2));
        Ok(Self { children, folder })
    }

    /// Everything denied so far, in order.
    pub(super) fn read(&self) -> Vec<Denial> {
        let mut all = Vec::new();
        for host in HOSTS {
            let bytes = fs::read(self.folder.join(host.id)).unwrap_or_default();
            all.extend(parse(host.id, &bytes));
        }
        all.sort();
        all
    }

    /// Ends the readers.
    pub(super) fn finish(mut self) {
        for child in &self.children {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// A pcap of NFLOG messages, each a list of attributes of which 9 is the packet and 10 the prefix.
fn parse(host: &str, bytes: &[u8]) -> Vec<Denial> {
    let mut found = Vec::new();
    let mut rest = bytes.get(24..).unwrap_or_default();
    while rest.len() >= 16 {
        let word = |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let at_us = i64::from(word(0)) * 1_000_000 + i64::from(word(4));
        let length = word(8) as usize;
        let Some(message) = rest.get(16..16 + length) else { break };
        found.extend(denial(host, at_us, message));
        rest = &rest[16 + length..];
    }
    found
}

fn denial(host: &str, at_us: i64, message: &[u8]) -> Option<Denial> {
    let (mut prefix, mut packet) = (String::new(), &[][..]);
    let mut rest = message.get(4..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let kind = u16::from_le_bytes([rest[2], rest[3]]);
        let Some(value) = rest.get(4..length) else { break };
        match kind {
            9 => packet = value,
            10 => prefix = String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned(),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let told = prefix.strip_prefix("ringfence:deny:")?;
    let (rule, direction) = told.rsplit_once(':')?;
    let (protocol, source, target, body) = addresses(packet)?;
    let port = match protocol {
        6 | 17 => u16::from_be_bytes([*body.get(2)?, *body.get(3)?]),
        _ => 0,
    };
    Some(Denial {
        at_us,
        host: host.to_owned(),
        rule: rule.to_owned(),
        direction: direction.to_owned(),
        client: owner(&source),
        server: owner(&target),
        protocol,
        port,
    })
}

/// Protocol, source, destination and what follows the IP header.
fn addresses(packet: &[u8]) -> Option<(u8, String, String, &[u8])> {
    if packet.first()? >> 4 == 4 {
        let dotted = |b: &[u8]| b.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
        let header = usize::from(packet[0] & 15) * 4;
        return Some((
            *packet.get(9)?,
            dotted(packet.get(12..16)?),
            dotted(packet.get(16..20)?),
            packet.get(header..)?,
        ));
    }
    let long = |b: &[u8]| <[u8; 16]>::try_from(b).ok().map(|b| std::net::Ipv6Addr::from(b).to_string());
    Some((*packet.get(6)?, long(packet.get(8..24)?)?, long(packet.get(24..40)?)?, packet.get(40..)?))
}

/// The counters of a host's rules, by what their comments say they are.
pub(super) fn counters(host: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let out = inside(host, "nft").args(["-j", "list", "table", "inet", "ringfence"]).output();
    let listed: Value = out.ok().and_then(|o| serde_json::from_slice(&o.stdout).ok()).unwrap_or_default();
    let items = listed.get("nftables").and_then(Value::as_array).cloned().unwrap_or_default();
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        let comment = rule.get("comment").and_then(Value::as_str).unwrap_or("floor");
        let parts = rule.get("expr").and_then(Value::as_array).cloned().unwrap_or_default();
        let packets =
            parts.iter().filter_map(|part| part.get("counter")?.get("packets")?.as_u64()).sum::<u64>();
        if packets > 0 {
            *counts.entry(comment.to_owned()).or_default() += packets;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_packet_is_read() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 20, 50, 13, 10, 20, 30, 11];
        packet.extend([0x80, 0, 0x15, 0x38]);
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((value.len() + 4) as u16).to_le_bytes().to_vec();
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let message =
            [vec![2, 0, 0, 100], attribute(10, b"ringfence:deny:no-dev:prod:out \0"), attribute(9, &packet)]
                .concat();
        let mut capture = vec![0; 24];
        capture.extend(7u32.to_le_bytes());
        capture.extend(5u32.to_le_bytes());
        capture.extend((message.len() as u32).to_le_bytes());
        capture.extend((message.len() as u32).to_le_bytes());
        capture.extend(message);
        let found = parse("ws-3", &capture);
        assert_eq!(found.len(), 1);
        let denial = &found[0];
        assert_eq!((denial.rule.as_str(), denial.direction.as_str()), ("no-dev:prod", "out"));
        assert_eq!(
            (denial.client.as_str(), denial.server.as_str(), denial.port),
            ("ws-3", "pg-shop-1", 5432)
        );
        assert_eq!(denial.at_us, 7_000_005);
    }
}
