//! nmap's XML (`-oX`): which hosts were up at the time of a scan, and what they answered on.

use model::{Ip, Labels, Micros};

use super::xml::{Tag, tags};
use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{claim, mac_key, seconds};
use crate::row::{Place, line_starts};

/// The row of nmap.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "nmap",
    aliases: &["nmap-xml"],
    title: "nmap XML (-oX): hosts that were up, their names, systems and open ports",
    description: "Hosts by hardware address, else by address; they have it from the scan on, until a later scan finds \
                  another there. Open ports are a label; the guess of the system is one from an accuracy of 90 per cent.",
    rank: 20,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    probe.head.contains("<nmaprun ")
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let starts = line_starts(input.text);
    let place = |tag: &Tag<'_>| Place::of(input.text, &starts, tag.offset);
    let (found, broken) = tags(input.text);
    let mut scanned = None;
    let mut host: Option<Host> = None;
    for tag in &found {
        match tag.name {
            "nmaprun" => scanned = seconds(&tag.attribute("start")),
            "host" if !tag.empty => {
                let at = seconds(&tag.attribute("starttime")).or(scanned);
                host = Some(Host { place: place(tag), at, ..Host::default() });
                sink.records += 1;
            }
            "/host" => {
                if let Some(host) = host.take() {
                    host.sight(&input.options.scope, sink);
                }
            }
            name => {
                if let Some(host) = &mut host {
                    host.set(name, tag);
                }
            }
        }
    }
    if let Some(offset) = broken {
        sink.reject(Place::of(input.text, &starts, offset), "the file ends within a tag");
    } else if let Some(host) = host {
        sink.reject(host.place, "the file ends within the host");
    }
}

struct Host {
    place: Place,
    at: Option<Micros>,
    up: bool,
    ips: Vec<String>,
    mac: String,
    vendor: String,
    names: Vec<String>,
    os: String,
    ports: Vec<String>,
    /// The port that the tags around speak of.
    port: String,
}

impl Default for Host {
    fn default() -> Self {
        let empty = String::new;
        let place = Place { line: 1, column: 1 };
        let (mac, vendor, os, port) = (empty(), empty(), empty(), empty());
        Self {
            place,
            at: None,
            up: false,
            ips: Vec::new(),
            mac,
            vendor,
            names: Vec::new(),
            os,
            ports: Vec::new(),
            port,
        }
    }
}

impl Host {
    fn set(&mut self, name: &str, tag: &Tag<'_>) {
        match name {
            "status" => self.up = tag.attribute("state") == "up",
            "address" if tag.attribute("addrtype") == "mac" => {
                self.mac = tag.attribute("addr");
                self.vendor = tag.attribute("vendor");
            }
            "address" => self.ips.push(tag.attribute("addr")),
            "hostname" => self.names.push(tag.attribute("name")),
            "port" => self.port = format!("{}/{}", tag.attribute("protocol"), tag.attribute("portid")),
            "state" if tag.attribute("state") == "open" && !self.port.is_empty() => {
                self.ports.push(std::mem::take(&mut self.port));
            }
            // The best guess comes first.
            "osmatch"
                if self.os.is_empty() && tag.attribute("accuracy").parse::<u8>().is_ok_and(|n| n >= 90) =>
            {
                self.os = tag.attribute("name");
            }
            _ => {}
        }
    }

    fn sight(mut self, scope: &str, sink: &mut Sink) {
        if !self.up {
            return sink.skip("hosts that were not up");
        }
        let Some(at) = self.at else {
            return sink.reject(self.place, "neither the host nor the scan says when it began");
        };
        let mut ips: Vec<Ip> = Vec::new();
        for text in &self.ips {
            match text.parse() {
                Ok(ip) => ips.push(ip),
                Err(_) => sink.reject(self.place, format!("`{text}` is not an IPv4 or IPv6 address")),
            }
        }
        let mac = mac_key(&self.mac);
        let Some(id) = mac.clone().or_else(|| ips.first().map(|ip| format!("host:{ip}"))) else {
            return sink.skip("hosts without an address");
        };
        self.names.retain(|name| !name.is_empty());
        let ports = self.ports.join(",");
        let said = [("os", self.os), ("ports", ports), ("vendor", self.vendor)];
        let labels: Labels = said.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let sighting = Sighting {
            id,
            name: self.names.into_iter().next(),
            keys: mac.into_iter().collect(),
            scope: scope.to_owned(),
            labels,
            claims: ips.into_iter().map(|ip| claim(ip, Some(at), None)).collect(),
            seen: at,
            ..Sighting::default()
        };
        sink.sight(sighting, self.place);
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    const SCAN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<nmaprun scanner="nmap" args="nmap -O -oX - 10.0.0.0/24" start="1600000000" version="7.93" xmloutputversion="1.05">
<host starttime="1600000010" endtime="1600000020"><status state="up" reason="arp-response" reason_ttl="0"/>
<address addr="10.0.0.10" addrtype="ipv4"/>
<address addr="00:16:3E:AA:BB:01" addrtype="mac" vendor="Xensource"/>
<hostnames><hostname name="web.example" type="PTR"/></hostnames>
<ports><extraports state="closed" count="998"/><port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="64"/><service name="ssh" method="table" conf="3"/></port>
<port protocol="tcp" portid="23"><state state="filtered"/></port><port protocol="tcp" portid="443"><state state="open"/></port></ports>
<os><osmatch name="Linux 5.0 - 5.4" accuracy="100" line="1"/><osmatch name="Linux 4.15" accuracy="99" line="2"/></os>
</host>
<host><status state="down" reason="no-response"/><address addr="10.0.0.11" addrtype="ipv4"/></host>
<host><status state="up"/><address addr="10.0.0.12" addrtype="ipv4"/></host>
<runstats><finished time="1600000030"/><hosts up="2" down="1" total="3"/></runstats>
</nmaprun>
"#;

    #[test]
    fn hosts_have_their_addresses_from_the_scan_on() {
        let read = read_as("nmap", SCAN);
        assert_eq!(
            history(&read),
            [
                "host:10.0.0.12 10.0.0.12 2020-09-13T12:26:40.000Z..",
                "mac:00:16:3e:aa:bb:01 10.0.0.10 2020-09-13T12:26:50.000Z..",
            ]
        );
        let web = &read.accounts[0].workloads[1];
        assert_eq!(
            (web.name.as_str(), web.labels["ports"].as_str(), web.labels["os"].as_str()),
            ("web.example", "tcp/22,tcp/443", "Linux 5.0 - 5.4")
        );
        let cut = &SCAN[..SCAN.find("<host><status state=\"up\"").unwrap() + 9];
        assert_eq!(history(&read_as("nmap", cut)).len(), 1);
        assert_eq!(read_as("nmap", cut).rejects.len(), 1);
    }
}
