//! dnsmasq: its lease file, and what it logs of DHCP and of queries.

use model::{Ip, Micros};

use super::leases::{self, Client, Lease};
use super::syslog;
use crate::connector::{Connector, Probe, Sink, Text};
use crate::records::{address, seconds, shown};
use crate::row::Place;

/// The row of dnsmasq.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "dnsmasq",
    aliases: &["pihole"],
    title: "dnsmasq: dnsmasq.leases, and its log (DHCPACK, DHCPRELEASE, replies to queries)",
    description: "A lease file says when leases end, not when they began: an address belongs to its client since the one \
                  before. In the log a lease begins with DHCPACK and ends with DHCPRELEASE or when the address is given \
                  to another; names from replies are good for an hour, as the log does not say for how long.",
    rank: 30,
    detect,
    read,
};

/// How long a logged answer is taken to be good.
const ANSWER_US: Micros = 3_600_000_000;

fn detect(probe: &Probe<'_>) -> bool {
    let mut lines = probe.lines().filter(|line| !line.starts_with("duid "));
    let logged = |line: &str| {
        line.contains(" dnsmasq[") || line.contains(" dnsmasq-dhcp[") || line.contains(" dnsmasq: ")
    };
    lines.next().is_some_and(|line| of_file(line).is_some() || logged(line))
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let mut log = Log::default();
    for (number, line) in (1..).zip(input.text.lines()) {
        let (line, place) = (line.trim(), Place { line: number, column: 1 });
        if line.is_empty() || line.starts_with('#') || line.starts_with("duid ") {
            continue;
        }
        sink.records += 1;
        if let Some((ends, ip, client, hostname)) = of_file(line) {
            let hostname = if hostname == "*" { "" } else { hostname }.to_owned();
            log.leases.push(Lease { ip, client, from: Micros::MIN, to: ends, hostname, place });
        } else if let Some((at, program, said)) = syslog::split(line, input.options.now) {
            match program {
                "dnsmasq-dhcp" => log.lease(at, said, place, sink),
                "dnsmasq" => log.query(at, said, sink),
                _ => sink.skip("lines of other programs"),
            }
        } else {
            sink.reject(place, format!("`{}` is neither a lease nor a line of the log", shown(line)));
        }
    }
    leases::take(log.leases, &input.options.scope, sink);
}

/// `ENDS HARDWARE IP NAME CLIENT`, or for version 6 `ENDS IAID IP NAME DUID`; 0 never ends.
fn of_file(line: &str) -> Option<(Micros, Ip, Client, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [ends, hardware, ip, name, id] = words[..] else { return None };
    let ends = if ends == "0" { Micros::MAX } else { seconds(ends)? };
    let ip: Ip = ip.parse().ok()?;
    let id = if id == "*" { "" } else { id };
    // Other hardware than Ethernet is prefixed by its type.
    Some((ends, ip, Client::of(hardware, id), name))
}

#[derive(Default)]
struct Log {
    leases: Vec<Lease>,
    /// The name that was asked for, and the one that it stands for, while a chain of names is told.
    alias: Option<(String, String)>,
}

impl Log {
    fn lease(&mut self, at: Micros, said: &str, place: Place, sink: &mut Sink) {
        // With log-dhcp a number of the transaction comes first.
        let said =
            said.split_once(' ').filter(|(n, _)| n.parse::<u64>().is_ok()).map_or(said, |(_, rest)| rest);
        let words: Vec<&str> = said.split_whitespace().collect();
        match words[..] {
            [event, ip, hardware, ref name @ ..] if event.starts_with("DHCPACK(") => {
                let Some(ip) = address(ip, place, sink) else { return };
                let hostname = name.first().copied().unwrap_or_default().to_owned();
                let client = Client::of(hardware, "");
                self.close(ip, at, |before| before.client != client);
                let renewed = self.last(ip).is_some_and(|before| before.to == Micros::MAX);
                if !renewed {
                    self.leases.push(Lease { ip, client, from: at, to: Micros::MAX, hostname, place });
                }
            }
            [event, ip, ..] if event.starts_with("DHCPRELEASE(") => {
                if let Some(ip) = address(ip, place, sink) {
                    self.close(ip, at, |_| true);
                }
            }
            _ => sink.skip("lines of the log that say nothing of leases or names"),
        }
    }

    fn last(&mut self, ip: Ip) -> Option<&mut Lease> {
        // Recent leases are near the end; a bound keeps a log of one address from taking square time.
        self.leases.iter_mut().rev().take(65_536).find(|lease| lease.ip == ip)
    }

    fn close(&mut self, ip: Ip, at: Micros, which: impl Fn(&Lease) -> bool) {
        if let Some(before) = self.last(ip).filter(|before| before.to == Micros::MAX && which(before)) {
            before.to = at;
        }
    }

    fn query(&mut self, at: Micros, said: &str, sink: &mut Sink) {
        let words: Vec<&str> = said.split_whitespace().collect();
        let told = words.windows(4).find_map(|four| match *four {
            ["reply" | "cached" | "config" | "cached-stale", name, "is", answer] => Some((name, answer)),
            _ => None,
        });
        let Some((name, answer)) = told else {
            sink.skip("lines of the log that say nothing of leases or names");
            return;
        };
        let asked = match self.alias.take() {
            Some((asked, stands_for)) if stands_for == name || stands_for.is_empty() => asked,
            _ => name.to_owned(),
        };
        if answer == "<CNAME>" {
            self.alias = Some((asked, String::new()));
        } else if let Ok(ip) = answer.parse::<Ip>() {
            sink.name(ip, &asked, at, at.saturating_add(ANSWER_US));
            self.alias = Some((asked, name.to_owned()));
        } else {
            sink.skip("lines of the log that say nothing of leases or names");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    #[test]
    fn a_lease_file_says_when_leases_end() {
        let text = "1600003600 00:16:3e:aa:bb:01 10.0.0.10 alice 01:00:16:3e:aa:bb:01\n\
                    0 00:16:3e:aa:bb:02 10.0.0.11 * *\n\
                    duid 00:01:00:01:26:a1:be:70:00:16:3e:aa:bb:09\n\
                    1600003600 1055 2001:db8::10 alice 00:01:00:01:26:a1:be:71:00:16:3e:aa:bb:01\n\
                    what is this\n";
        let read = read_as("dnsmasq", text);
        assert_eq!(
            history(&read),
            [
                "client-id:0001000126a1be7100163eaabb01 2001:db8::10 ..2020-09-13T13:26:40.000Z",
                "mac:00:16:3e:aa:bb:01 10.0.0.10 ..2020-09-13T13:26:40.000Z",
                "mac:00:16:3e:aa:bb:02 10.0.0.11 ..",
            ]
        );
        assert_eq!(read.rejects.len(), 1);
    }

    #[test]
    fn the_log_says_when_they_begin_and_what_names_meant() {
        let text = "Sep 13 12:26:40 router dnsmasq-dhcp[7]: DHCPACK(br-lan) 10.0.0.10 00:16:3e:aa:bb:01 alice\n\
                    Sep 13 12:36:40 router dnsmasq-dhcp[7]: DHCPACK(br-lan) 10.0.0.10 00:16:3e:aa:bb:01 alice\n\
                    Sep 13 12:40:00 router dnsmasq-dhcp[7]: DHCPRELEASE(br-lan) 10.0.0.10 00:16:3e:aa:bb:01\n\
                    Sep 13 12:50:00 router dnsmasq-dhcp[7]: 12345 DHCPACK(br-lan) 10.0.0.10 00:16:3e:aa:bb:02\n\
                    Sep 13 12:50:01 router dnsmasq-dhcp[7]: DHCPDISCOVER(br-lan) 00:16:3e:aa:bb:02\n\
                    Sep 13 12:51:00 router dnsmasq[7]: query[A] www.example.com from 10.0.0.10\n\
                    Sep 13 12:51:00 router dnsmasq[7]: reply www.example.com is <CNAME>\n\
                    Sep 13 12:51:00 router dnsmasq[7]: reply edge.cdn.example is 192.0.2.7\n\
                    Sep 13 12:52:00 router dnsmasq[7]: 9 10.0.0.10/4000 cached other.example is 192.0.2.8\n";
        let read = read_as("dnsmasq", text);
        assert_eq!(
            history(&read),
            [
                "mac:00:16:3e:aa:bb:01 10.0.0.10 2026-09-13T12:26:40.000Z..2026-09-13T12:40:00.000Z",
                "mac:00:16:3e:aa:bb:02 10.0.0.10 2026-09-13T12:50:00.000Z..",
            ]
        );
        let names: Vec<String> = read.names.iter().map(|n| format!("{} {}", n.ip, n.name)).collect();
        assert_eq!(names, ["192.0.2.7 www.example.com", "192.0.2.8 other.example"]);
    }
}
