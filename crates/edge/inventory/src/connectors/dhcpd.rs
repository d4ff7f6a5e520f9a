//! ISC dhcpd's `dhcpd.leases` and `dhcpd6.leases`: a log of leases, of which the last on an address says how it is now.

use model::{Ip, Micros};

use super::leases::{self, Client, Lease};
use crate::connector::{Connector, Probe, Sink, Text};
use crate::records::{address, seconds, shown, time};
use crate::row::Place;

/// The row of dhcpd.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "dhcpd",
    aliases: &["isc-dhcp", "dhcpd-leases"],
    title: "ISC DHCP leases (dhcpd.leases, dhcpd6.leases)",
    description: "Every lease in the file is history: a client has the address from `starts` to `ends`, or until the server \
                  gave it to another. Clients are known by hardware address, else by client identifier. Abandoned \
                  addresses are nobody's.",
    rank: 30,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    let opens = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next_back()) {
            (Some("lease"), Some(ip), Some("{")) => ip.parse::<Ip>().is_ok(),
            (Some("ia-na" | "ia-ta" | "ia-pd"), Some(id), Some("{")) => id.starts_with('"'),
            _ => false,
        }
    };
    probe.lines().any(opens)
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let mut leases = Vec::new();
    let mut block: Option<Block> = None;
    // The identity association around addresses: its DUID, and when its client spoke last.
    let mut association = (Client::default(), None);
    for (number, line) in (1..).zip(input.text.lines()) {
        let place = Place { line: number, column: 1 };
        for statement in statements(line) {
            match word(statement) {
                ("lease" | "iaaddr", rest) if rest.ends_with('{') => {
                    if let Some(open) = block.take() {
                        sink.reject(open.place, "the lease is not closed before the next begins");
                    }
                    sink.records += 1;
                    let ip = address(rest.trim_end_matches('{'), place, sink);
                    let (client, cltt) = association.clone();
                    block = Some(Block { ip, client, cltt, ..Block::at(place) });
                }
                ("ia-na" | "ia-ta", rest) if rest.ends_with('{') => {
                    association = (of_association(rest), None);
                }
                ("cltt", rest) if block.is_none() => association.1 = moment(rest),
                ("}", _) => match block.take() {
                    Some(closed) => leases.extend(closed.lease(sink)),
                    None => association = (Client::default(), None),
                },
                (key, rest) => {
                    if let Some(block) = &mut block {
                        block.set(key, rest);
                    }
                }
            }
        }
    }
    if let Some(open) = block {
        sink.reject(open.place, "the file ends within the lease");
    }
    leases::take(leases, &input.options.scope, sink);
}

/// What one line holds: mostly one statement, sometimes a whole block.
fn statements(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '#' if !quoted => {
                found.push(&line[start..at]);
                start = line.len();
                break;
            }
            ';' | '{' | '}' if !quoted => {
                found.push(&line[start..at + usize::from(c != ';')]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(line.get(start..).unwrap_or_default());
    found.into_iter().map(str::trim).filter(|statement| !statement.is_empty()).collect()
}

fn word(statement: &str) -> (&str, &str) {
    let (key, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
    (key, rest.trim())
}

/// The association's identifier is its number (four octets) and the client's DUID.
fn of_association(rest: &str) -> Client {
    let hex = hex_of(rest.trim_end_matches('{').trim());
    Client { mac: None, identifier: hex.get(8..).filter(|duid| !duid.is_empty()).map(str::to_owned) }
}

/// An identifier as dhcpd writes it: colon-separated, or quoted with octal escapes; as hexadecimal digits.
fn hex_of(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        let octet = |part: &str| format!("{part:0>2}");
        return text.split(':').map(octet).collect();
    };
    let mut octets = Vec::new();
    let mut bytes = inner.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            octets.push(byte);
            continue;
        }
        let mut value = None;
        for _ in 0..3 {
            let Some(digit) = bytes.next_if(|b| (b'0'..b'8').contains(b)) else { break };
            value = Some((value.unwrap_or(0_u32) << 3) + u32::from(digit - b'0'));
        }
        octets.extend(value.map(|v| v as u8).or_else(|| bytes.next()));
    }
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

struct Block {
    place: Place,
    ip: Option<Ip>,
    client: Client,
    hardware: String,
    state: String,
    starts: Option<Micros>,
    cltt: Option<Micros>,
    ends: Option<Micros>,
    preferred: Option<Micros>,
    hostname: String,
    /// A statement that could not be read.
    bad: Option<String>,
}

impl Block {
    fn at(place: Place) -> Self {
        Self {
            place,
            ip: None,
            client: Client::default(),
            hardware: String::new(),
            state: String::new(),
            starts: None,
            cltt: None,
            ends: None,
            preferred: None,
            hostname: String::new(),
            bad: None,
        }
    }

    fn set(&mut self, key: &str, rest: &str) {
        let slot = match key {
            "starts" => &mut self.starts,
            "ends" => &mut self.ends,
            "cltt" => &mut self.cltt,
            "max-life" => &mut self.preferred,
            "binding" => {
                self.state = rest.trim_start_matches("state").trim().to_owned();
                return;
            }
            "hardware" => {
                self.hardware = rest.strip_prefix("ethernet").unwrap_or_default().trim().to_owned();
                return;
            }
            "uid" => {
                self.client = Client::of("", &hex_of(rest));
                return;
            }
            "client-hostname" => {
                self.hostname = rest.trim_matches('"').to_owned();
                return;
            }
            "abandoned" => {
                self.state = String::from("abandoned");
                return;
            }
            _ => return,
        };
        *slot = if key == "max-life" { seconds(rest) } else { moment(rest) };
        if slot.is_none() && self.bad.is_none() {
            self.bad = Some(format!("`{} {}` is not a time", key, shown(rest)));
        }
    }

    fn lease(self, sink: &mut Sink) -> Option<Lease> {
        let ip = self.ip?;
        if let Some(why) = self.bad {
            sink.reject(self.place, why);
            return None;
        }
        if self.state == "abandoned" {
            sink.skip("addresses that the server abandoned: somebody unknown answers there");
            return None;
        }
        // An address of version 6 has no start: its client spoke last then.
        let lasting = self.cltt.zip(self.preferred).map(|(at, life)| at.saturating_add(life));
        let from = self.starts.or(self.cltt);
        let (Some(from), Some(to)) = (from, self.ends.or(lasting)) else {
            if matches!(self.state.as_str(), "free" | "backup" | "") {
                sink.skip("addresses that were never leased");
            } else {
                sink.reject(self.place, "the lease has no `starts` and `ends`");
            }
            return None;
        };
        let identifier = self.client.identifier.clone().unwrap_or_default();
        let client = Client::of(&self.hardware, &identifier);
        Some(Lease { ip, client, from, to, hostname: self.hostname, place: self.place })
    }
}

/// `W YYYY/MM/DD HH:MM:SS` in UTC, `epoch SECONDS`, or `never`.
fn moment(text: &str) -> Option<Micros> {
    if text == "never" {
        return Some(Micros::MAX);
    }
    match word(text) {
        ("epoch", rest) => seconds(rest),
        (_, rest) => {
            let (date, clock) = rest.split_once(' ')?;
            time(&format!("{}T{}Z", date.replace('/', "-"), clock.trim()))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    const LEASES: &str = r#"# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;

lease 10.0.0.10 {
  starts 4 2026/11/19 08:00:00;
  ends 4 2026/11/19 20:00:00;
  cltt 4 2026/11/19 08:00:00;
  binding state active;
  next binding state free;
  rewind binding state free;
  hardware ethernet 00:16:3e:aa:bb:01;
  uid "\001\000\026>\252\273\001";
  client-hostname "alice;laptop";
}
lease 10.0.0.10 {
  starts 4 2026/11/19 08:00:00;
  ends 4 2026/11/19 12:00:00;
  tstp 4 2026/11/19 12:00:00;
  binding state free;
  hardware ethernet 00:16:3e:aa:bb:01;
}
lease 10.0.0.10 {
  starts 4 2026/11/19 13:00:00;
  ends never;
  binding state active;
  hardware ethernet 00:16:3e:aa:bb:02;
  set vendor-class-identifier = "MSFT 5.0";
}
lease 10.0.0.11 {
  starts epoch 1763539200; # Wed Nov 19 08:00:00 2025
  ends epoch 1763625600; # Thu Nov 20 08:00:00 2025
  binding state abandoned;
}
lease 10.0.0.12 {
  starts 4 2026/11/19 08:00:00;
  ends 4 2026/13/45 08:00:00;
  binding state active;
  hardware ethernet 00:16:3e:aa:bb:03;
}
lease 10.0.0.13 { binding state free; }
"#;

    #[test]
    fn every_lease_is_history_and_the_last_word_counts() {
        let read = read_as("dhcpd", LEASES);
        assert_eq!(
            history(&read),
            [
                "mac:00:16:3e:aa:bb:01 10.0.0.10 2026-11-19T08:00:00.000Z..2026-11-19T12:00:00.000Z",
                "mac:00:16:3e:aa:bb:02 10.0.0.10 2026-11-19T13:00:00.000Z..",
            ]
        );
        assert_eq!(read.rejects.len(), 1);
        assert!(
            read.rejects[0].to_string().contains(":34:1: `ends 4 2026/13/45 08:00:00` is not a time"),
            "{}",
            read.rejects[0]
        );
        assert_eq!(read.skipped.values().sum::<u64>(), 2);
    }

    #[test]
    fn associations_of_version_6_are_known_by_their_duid() {
        let text = "ia-na \"\\001\\000\\000\\000\\000\\001\\000\\001#@ab\" {\n  cltt 4 2026/11/19 08:00:00;\n  iaaddr 2001:db8::10 {\n    \
                    binding state active;\n    preferred-life 375;\n    max-life 600;\n    ends 4 2026/11/19 08:10:00;\n  }\n}\n";
        assert_eq!(
            history(&read_as("dhcpd", text)),
            ["client-id:0001000123406162 2001:db8::10 2026-11-19T08:00:00.000Z..2026-11-19T08:10:00.000Z"]
        );
    }
}
