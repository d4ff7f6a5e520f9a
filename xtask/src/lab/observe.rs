//! What watches the lab: exporters on every bridge, a capture at the collector, and the kernel's own list of connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::daemons::background;
use super::net::{self, COLLECTOR, Net, ROUTER, inside};
use super::site::{HOSTS, INTERNET, SUBNETS};

/// UDP port of NetFlow v9 at the collector.
const NETFLOW: u16 = 2055;
/// UDP port of IPFIX at the collector.
const IPFIX: u16 = 4739;
/// Short timeouts: every record is out within a minute, so that it falls in its phase.
const TIMEOUTS: &str =
    "-t udp=12 -t tcp=60 -t tcp.fin=4 -t tcp.rst=4 -t icmp=12 -t general=30 -t maxlife=60 -t expint=4";

/// Everything that watches.
pub(super) struct Observers {
    connections: Vec<Child>,
    captures: Vec<Child>,
    run: PathBuf,
}

/// The file of the connections that a host saw.
pub(super) fn connections_file(run: &Path, id: &str) -> PathBuf {
    run.join("connections").join(id)
}

/// Watches the connections of every host, as its kernel sees them. Start before the daemons.
pub(super) fn connections(net: &Net) -> anyhow::Result<Vec<Child>> {
    fs::create_dir_all(net.run().join("connections"))?;
    let mut watchers = Vec::new();
    for id in HOSTS.iter().map(|h| h.id).chain([INTERNET]) {
        // Connections are only tracked where a rule asks about them.
        let table =
            "table inet watch { chain out { type filter hook output priority 0; ct state new accept; }; }";
        let out = inside(id, "nft").arg(table).output().context("cannot run nft")?;
        if !out.status.success() {
            bail!("nft in {id}: {}", String::from_utf8_lossy(&out.stderr));
        }
        let file = fs::File::create(connections_file(net.run(), id))?;
        let watcher = inside(id, "conntrack")
            .args(["-E", "-e", "NEW,UPDATES", "-o", "timestamp", "-b", "4194304"])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run conntrack")?;
        watchers.push(watcher);
    }
    Ok(watchers)
}

impl Observers {
    /// Starts the capture, then two exporters on each bridge.
    pub(super) fn start(net: &Net, connections: Vec<Child>) -> anyhow::Result<Self> {
        let run = net.run().to_path_buf();
        let sink =
            format!("exec '{}' lab node datagrams {NETFLOW} {IPFIX}", std::env::current_exe()?.display());
        background(&run, COLLECTOR, "sink", &sink)?;
        let mut captures = Vec::new();
        for (name, port) in [("netflow-v9", NETFLOW), ("ipfix", IPFIX)] {
            let capture = inside(COLLECTOR, "tcpdump")
                .args(["-i", "eth0", "-U", "-s", "0", "-Z", "root", "-w"])
                .arg(run.join(format!("{name}.pcap")))
                .arg(format!("udp port {port}"))
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("cannot run tcpdump")?;
            captures.push(capture);
        }
        std::thread::sleep(Duration::from_secs(1));
        for (index, subnet) in SUBNETS.iter().enumerate() {
            for (version, port) in [(9, NETFLOW), (10, IPFIX)] {
                let (name, collector) = (subnet.name, net::collector_address(index, version));
                let milli = if version == 10 { "-A milli" } else { "" };
                let script = format!(
                    "exec softflowd -d -i br-{name} -v {version} {milli} -n {collector}:{port} {TIMEOUTS} \
                     -p {run}/{name}-{version}.pid -c {run}/{name}-{version}.ctl -m 32768",
                    run = run.display()
                );
                background(&run, ROUTER, &format!("softflowd-{name}-{version}"), &script)?;
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        Ok(Self { connections, captures, run })
    }

    /// Lets the exporters send what they still hold, and ends everything.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        // Packets still in the exporters' buffers when they shut down would be lost: the timeouts come first.
        std::thread::sleep(Duration::from_secs(14));
        for order in ["expire-all", "shutdown"] {
            for subnet in SUBNETS {
                for version in ["9", "10"] {
                    self.control(&format!("{}-{version}.ctl", subnet.name), order)?;
                }
            }
            std::thread::sleep(Duration::from_secs(3));
        }
        for child in self.captures.iter().chain(&self.connections) {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
        }
        for child in self.captures.iter_mut().chain(&mut self.connections) {
            let _ = child.wait();
        }
        Ok(())
    }

    fn control(&self, socket: &str, order: &str) -> anyhow::Result<()> {
        let out = inside(ROUTER, "softflowctl").arg("-c").arg(self.run.join(socket)).arg(order).output()?;
        if !out.status.success() {
            eprintln!("lab: softflowctl {order}: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(())
    }
}
