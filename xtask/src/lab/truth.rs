//! The truth beside the recording: what every connection was, as the kernels of its hosts saw it begin.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::activity::{Activity, Kind, When};
use super::attack::{Outcome, entry, owner};
use super::observe::connections_file;
use super::schedule::{Done, Phase};
use super::site::{HOSTS, INTERNET, SUBNETS};

/// A connection that a client's kernel saw begin.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Connection {
    /// Unix time in microseconds.
    pub(super) at_us: i64,
    pub(super) client: String,
    pub(super) client_ip: String,
    pub(super) client_port: u16,
    pub(super) server: String,
    pub(super) server_ip: String,
    /// Server's port; the type for ICMP.
    pub(super) port: u16,
    pub(super) protocol: u8,
    /// Whether the server answered.
    pub(super) answered: bool,
}

/// What a connection was for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Meaning {
    pub(super) activity: String,
    pub(super) kind: Kind,
    pub(super) actor: String,
    pub(super) tool: String,
}

/// Everything that a recording knows.
pub(super) struct Story<'a> {
    pub(super) seed: u64,
    pub(super) start_us: i64,
    pub(super) phases: &'a [Phase; 3],
    pub(super) rows: &'a [Activity],
    pub(super) done: &'a [Done],
    pub(super) attack: &'a [Outcome],
}

/// Reads what the kernels saw, each host's own connections from its own list.
pub(super) fn connections(run: &Path) -> anyhow::Result<Vec<Connection>> {
    let mut all = Vec::new();
    for id in HOSTS.iter().map(|h| h.id).chain([INTERNET]) {
        let path = connections_file(run, id);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        all.extend(parse(&text).into_iter().filter(|c| {
            // What a host says to itself crosses no network.
            c.client_ip != c.server_ip
                && (c.client == id || (id == INTERNET && HOSTS.iter().all(|h| h.id != c.client)))
        }));
    }
    all.sort_by(|a, b| (a.at_us, &a.client_ip, a.client_port).cmp(&(b.at_us, &b.client_ip, b.client_port)));
    Ok(all)
}

/// Lines of `conntrack -E -o timestamp`: NEW begins a connection, an UPDATE of it says that the server answered.
fn parse(text: &str) -> Vec<Connection> {
    let mut found: Vec<Connection> = Vec::new();
    let mut open = BTreeMap::new();
    for line in text.lines() {
        let Some((stamp, rest)) = line.strip_prefix('[').and_then(|l| l.split_once(']')) else { continue };
        let key: Vec<&str> = rest
            .split_whitespace()
            .filter(|w| ["src=", "dst=", "sport=", "dport=", "type="].iter().any(|k| w.starts_with(k)))
            .take(4)
            .collect();
        let value = |name: &str| key.iter().find_map(|w| w.strip_prefix(name)).unwrap_or_default();
        let protocol = match rest.split_whitespace().nth(1) {
            Some("tcp") => 6,
            Some("udp") => 17,
            Some("icmp") => 1,
            Some("icmpv6") => 58,
            _ => continue,
        };
        let (client_ip, server_ip) = (value("src="), value("dst="));
        let id = (protocol, client_ip, value("sport="), server_ip, value("dport="));
        if rest.contains("[UPDATE]") {
            if let Some(&index) = open.get(&id) {
                let connection: &mut Connection = &mut found[index];
                connection.answered = true;
            }
            continue;
        }
        let port = if protocol == 6 || protocol == 17 { value("dport=") } else { value("type=") };
        open.insert(id, found.len());
        found.push(Connection {
            at_us: micros(stamp),
            client: owner(client_ip),
            client_ip: client_ip.to_owned(),
            client_port: value("sport=").parse().unwrap_or_default(),
            server: owner(server_ip),
            server_ip: server_ip.to_owned(),
            port: port.parse().unwrap_or_default(),
            protocol,
            answered: false,
        });
    }
    found
}

fn micros(stamp: &str) -> i64 {
    let (seconds, fraction) = stamp.trim().split_once('.').unwrap_or((stamp.trim(), "0"));
    let fraction = format!("{fraction:0<6}");
    seconds.parse::<i64>().unwrap_or_default() * 1_000_000
        + fraction[..6].trim().parse::<i64>().unwrap_or_default()
}

impl Story<'_> {
    /// Seconds after the recording's start.
    fn seconds(&self, at_us: i64) -> f64 {
        (at_us - self.start_us) as f64 / 1e6
    }

    /// The phase of a moment; what the lab did while it came up is `setup`.
    fn phase(&self, at_us: i64) -> &'static str {
        let at_s = self.seconds(at_us);
        if at_s < 0.0 {
            return "setup";
        }
        // What still ran when the last phase ended belongs to it.
        self.phases.iter().find(|p| at_s < p.end_s).unwrap_or(&self.phases[2]).name
    }

    /// What a connection was for; nothing, if nobody in the lab meant it.
    fn meaning(&self, c: &Connection) -> Option<Meaning> {
        let at_s = self.seconds(c.at_us);
        let attacked = self.attack.iter().find(|o| {
            (o.start_s - 0.05..=o.end_s + 0.05).contains(&at_s)
                && o.step.explains(entry(self.seed), &c.client, &c.server, &c.server_ip, c.port)
        });
        if let Some(outcome) = attacked {
            return Some(Meaning {
                activity: outcome.step.id.to_owned(),
                kind: Kind::Attack,
                actor: "intruder".to_owned(),
                tool: outcome.step.tool.to_owned(),
            });
        }
        if let Some(row) = self.rows.iter().find(|r| r.means(&c.client, &c.server, c.protocol, c.port)) {
            return Some(Meaning {
                activity: row.name.to_owned(),
                kind: row.kind,
                actor: row.actor.to_owned(),
                tool: row.tool.to_owned(),
            });
        }
        (c.client == "scanner-1").then(|| Meaning {
            activity: "vulnerability-scan".to_owned(),
            kind: Kind::Scanner,
            actor: "scanner".to_owned(),
            tool: "nmap".to_owned(),
        })
    }

    /// Writes `truth.json`; returns how many connections nobody meant.
    pub(super) fn write(&self, all: &[Connection], folder: &Path) -> anyhow::Result<usize> {
        let mut edges: BTreeMap<Edge<'_>, usize> = BTreeMap::new();
        let mut keyed = Vec::new();
        let mut unexplained: BTreeMap<String, usize> = BTreeMap::new();
        for c in all.iter().filter(|c| self.phase(c.at_us) != "setup" || self.standing(c)) {
            let Some(meaning) = self.meaning(c) else {
                let text = format!("{} -> {} protocol {} port {}", c.client, c.server_ip, c.protocol, c.port);
                *unexplained.entry(text).or_default() += 1;
                continue;
            };
            let ports = self.ports(&meaning, c.port);
            let edge = Edge {
                client: (&c.client, &c.client_ip),
                server: (&c.server, &c.server_ip),
                protocol: c.protocol,
                ports,
                meaning,
            };
            edges.entry(edge.clone()).or_default();
            keyed.push((edge, c));
        }
        for (index, place) in edges.values_mut().enumerate() {
            *place = index;
        }
        let mut summary = vec![Summary::default(); edges.len()];
        let mut list = Vec::with_capacity(keyed.len());
        for (edge, c) in &keyed {
            let index = edges[edge];
            summary[index].add(self.phase(c.at_us), c);
            let offset_ms = (c.at_us - self.start_us) / 1000;
            list.push(json!([offset_ms, index, c.client_port, c.port, i32::from(c.answered)]));
        }
        let conversations: Vec<Value> = edges.keys().zip(&summary).map(|(edge, s)| edge.json(s)).collect();
        let document = json!({
            "format_version": 1,
            "seed": self.seed,
            "start": time(self.start_us),
            "phases": self.phases.iter().map(|p| json!({
                "name": p.name, "from": self.moment(p.start_s), "to": self.moment(p.end_s)
            })).collect::<Vec<_>>(),
            "exporters": SUBNETS.iter().enumerate().map(|(n, s)| json!({
                "netflow_v9": super::net::exporter_address(n, 9), "ipfix": super::net::exporter_address(n, 10), "subnet": s.name, "prefix": format!("10.20.{}.0/24", s.octet)
            })).collect::<Vec<_>>(),
            "hosts": hosts(),
            "segments": segments(),
            "started_columns": ["offset_ms", "conversation", "client_port", "server_port", "answered"],
            "attack": { "entry": entry(self.seed), "steps": self.attack.iter().map(|o| self.step(o)).collect::<Vec<_>>() },
            "commands": self.commands(),
            "unexplained": unexplained,
        });
        let mut text = serde_json::to_string_pretty(&document)?;
        // The long lists have one item a line: readable, and a third of what pretty printing would cost.
        text.truncate(text.trim_end().len() - 2);
        text += &lines("conversations", &conversations);
        text += &lines("started", &list);
        text += "\n}\n";
        fs::write(folder.join("truth.json"), text)?;
        for (what, count) in &unexplained {
            eprintln!("lab: nobody meant {what} ({count} times)");
        }
        Ok(unexplained.values().sum())
    }

    fn standing(&self, c: &Connection) -> bool {
        let row = self.rows.iter().find(|r| r.means(&c.client, &c.server, c.protocol, c.port));
        row.is_some_and(|r| r.when == When::Standing)
    }

    fn ports(&self, meaning: &Meaning, port: u16) -> (u16, u16) {
        let row = self.rows.iter().find(|r| r.name == meaning.activity);
        row.map_or((port, port), |r| r.ports)
    }

    fn moment(&self, offset_s: f64) -> String {
        time(self.start_us + (offset_s * 1e6) as i64)
    }

    fn step(&self, o: &Outcome) -> Value {
        let step = &o.step;
        json!({
            "id": step.id, "technique": step.technique, "title": step.title, "start": self.moment(o.start_s),
            "end": self.moment(o.end_s), "from": step.from, "to": step.to, "protocol": step.protocol,
            "ports": step.ports, "tool": step.tool, "hops": step.hops, "ok": o.ok,
        })
    }

    /// Commands given and how many succeeded, by activity.
    fn commands(&self) -> Value {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for done in self.done {
            let entry = counts.entry(done.action.activity).or_default();
            entry.0 += 1;
            entry.1 += usize::from(done.ok);
        }
        counts
            .into_iter()
            .map(|(name, (given, ok))| (name.to_owned(), json!({"given": given, "ok": ok})))
            .collect()
    }
}

/// A list as the last member of an object.
fn lines(name: &str, items: &[Value]) -> String {
    let lines: Vec<String> = items.iter().map(Value::to_string).collect();
    format!(",\n  \"{name}\": [\n{}\n  ]", lines.join(",\n"))
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge<'a> {
    /// Name and address.
    client: (&'a str, &'a str),
    server: (&'a str, &'a str),
    protocol: u8,
    ports: (u16, u16),
    meaning: Meaning,
}

#[derive(Clone, Default)]
struct Summary {
    phases: BTreeMap<&'static str, usize>,
    answered: usize,
    first_us: Option<i64>,
    last_us: i64,
}

impl Summary {
    fn add(&mut self, phase: &'static str, c: &Connection) {
        *self.phases.entry(phase).or_default() += 1;
        self.answered += usize::from(c.answered);
        self.first_us.get_or_insert(c.at_us);
        self.last_us = c.at_us;
    }
}

impl Edge<'_> {
    fn json(&self, summary: &Summary) -> Value {
        let Meaning { activity, kind, actor, tool } = &self.meaning;
        let (low, high) = self.ports;
        let name = match self.protocol {
            1 => "icmp".to_owned(),
            58 => "icmp6".to_owned(),
            protocol => {
                let name = if protocol == 6 { "tcp" } else { "udp" };
                if low == high { format!("{name}/{low}") } else { format!("{name}/{low}-{high}") }
            }
        };
        json!({
            "client": self.client.0, "server": self.server.0, "client_ip": self.client.1, "server_ip": self.server.1, "service": name, "activity": activity,
            "kind": kind.name(), "legitimate": kind.legitimate(), "actor": actor, "tool": tool,
            "phases": summary.phases, "answered": summary.answered,
            "first": summary.first_us.map(time), "last": time(summary.last_us),
        })
    }
}

fn hosts() -> Vec<Value> {
    let value = |h: &super::site::Host| {
        let ips: Vec<String> = std::iter::once(h.ip()).chain(h.ip6()).collect();
        json!({
            "id": h.id, "ip": ips, "subnet": h.subnet, "role": h.role, "app": h.app, "env": h.env, "loc": h.loc(),
            "criticality": h.criticality, "segment": h.segment(),
        })
    };
    HOSTS.iter().map(value).collect()
}

fn segments() -> BTreeMap<String, Vec<&'static str>> {
    let mut segments: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for host in HOSTS {
        segments.entry(host.segment()).or_default().push(host.id);
    }
    segments
}

/// Writes `inventory.csv`: one row a host and address.
pub(super) fn inventory(folder: &Path) -> anyhow::Result<()> {
    let mut text = "id,name,ip,criticality,role,app,env,loc,instance\n".to_owned();
    for h in HOSTS {
        for ip in std::iter::once(h.ip()).chain(h.ip6()) {
            let (id, crit, role, app, env, loc) = (h.id, h.criticality, h.role, h.app, h.env, h.loc());
            text += &format!("{id},{id}.{},{ip},{crit},{role},{app},{env},{loc},{id}\n", super::site::DOMAIN);
        }
    }
    Ok(fs::write(folder.join("inventory.csv"), text)?)
}

/// RFC 3339 with milliseconds, UTC (days to a date after Howard Hinnant's `civil_from_days`).
pub(super) fn time(at_us: i64) -> String {
    let (days, in_day) = (at_us.div_euclid(86_400_000_000), at_us.rem_euclid(86_400_000_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (ms, s) = (in_day / 1000 % 1000, in_day / 1_000_000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_795_217_175_936_329), "2026-11-20T23:26:15.936Z");
        assert_eq!(time(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn a_kernels_list_is_read() {
        let text = "[1795217175.936329]\t    [NEW] tcp      6 120 SYN_SENT src=10.20.50.11 dst=10.20.10.11 sport=58758 \
                    dport=443 [UNREPLIED] src=10.20.10.11 dst=10.20.50.11 sport=443 dport=58758\n\
                    [1795217175.936447]\t [UPDATE] tcp      6 60 SYN_RECV src=10.20.50.11 dst=10.20.10.11 sport=58758 \
                    dport=443 src=10.20.10.11 dst=10.20.50.11 sport=443 dport=58758\n\
                    [1795217176.000001]\t    [NEW] icmp     1 30 src=10.20.50.11 dst=10.20.50.13 type=8 code=0 id=7\n\
                    conntrack v1.4.7 (conntrack-tools): 3 flow events have been shown.\n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        let first = &found[0];
        assert_eq!((first.client.as_str(), first.server.as_str(), first.port), ("ws-1", "lb-1", 443));
        assert!(first.answered && !found[1].answered);
        assert_eq!((found[1].protocol, found[1].port), (1, 8));
    }
}
