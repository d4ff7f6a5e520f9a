//! Network namespaces: a router with one bridge a subnet, hosts behind it, a collector, and the internet.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::site::{self, HOSTS, INTERNET, PREFIX, SUBNETS};

/// The router's namespace, where the exporters run.
pub(super) const ROUTER: &str = "router";
/// Where the exporters send to.
pub(super) const COLLECTOR: &str = "collector";

/// A lab that is up. Dropping it tears everything down; a guard process does so if this one dies.
pub(super) struct Net {
    run: PathBuf,
    guard: Option<Child>,
    _lock: std::fs::File,
}

impl Net {
    /// Builds all namespaces and links. Anything left by an earlier lab is removed first.
    pub(super) fn up() -> anyhow::Result<Self> {
        let lock = lock()?;
        down()?;
        let run = PathBuf::from(format!("/tmp/ringfence-lab-{}", std::process::id()));
        std::fs::create_dir_all(run.join("logs"))?;
        let mut guard = Command::new(std::env::current_exe()?);
        guard.args(["lab", "guard"]).arg(&run).stdin(Stdio::piped());
        guard.stdout(Stdio::null()).stderr(Stdio::null());
        // A process group of its own: Ctrl-C must not reach it.
        let guard = guard.process_group(0).spawn().context("cannot start the lab's guard process")?;
        let net = Self { run, guard: Some(guard), _lock: lock };
        build(&net.run)?;
        Ok(net)
    }

    /// The private folder of this lab.
    pub(super) fn run(&self) -> &Path {
        &self.run
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = down() {
            eprintln!("lab: tearing down: {error:#}");
        }
        if std::env::var_os("RINGFENCE_LAB_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.run);
        }
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut stdin) = guard.stdin.take() {
                let _ = stdin.write_all(b"done\n");
            }
            let _ = guard.wait();
        }
    }
}

/// What the guard process does: waits until its parent ends, and tears down unless the parent said that it did.
pub(super) fn guard(run: &str) -> anyhow::Result<()> {
    let mut said = String::new();
    let _ = std::io::stdin().read_to_string(&mut said);
    if said.contains("done") {
        return Ok(());
    }
    down()?;
    if run.starts_with("/tmp/ringfence-lab-") {
        let _ = std::fs::remove_dir_all(run);
    }
    Ok(())
}

/// Removes what a killed lab left behind; refuses while a lab is up.
pub(super) fn clean() -> anyhow::Result<()> {
    let _lock = lock()?;
    down()
}

/// Kills what runs in the lab's namespaces and deletes them.
fn down() -> anyhow::Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output().context("cannot run `ip`")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .filter(|n| n.starts_with(PREFIX))
        .collect();
    for _ in 0..3 {
        let mut pids = Vec::new();
        for name in &names {
            let out = Command::new("ip").args(["netns", "pids", name]).output()?;
            pids.extend(String::from_utf8_lossy(&out.stdout).split_whitespace().map(str::to_owned));
        }
        if pids.is_empty() {
            break;
        }
        let _ = Command::new("kill").arg("-9").args(&pids).stderr(Stdio::null()).status();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    for name in &names {
        let _ = Command::new("ip").args(["netns", "delete", name]).status();
    }
    if let Ok(entries) = std::fs::read_dir("/etc/netns") {
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
    Ok(())
}

/// A command that will run in a host's namespace.
pub(super) fn inside(id: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &site::namespace(id), program]);
    command
}

/// A shell command in a host's namespace.
pub(super) fn shell(id: &str, script: &str) -> Command {
    let mut command = inside(id, "sh");
    command.args(["-c", script]);
    command
}

/// Runs a script of `ip` commands.
fn batch(namespace: Option<&str>, script: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    let mut child = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot run `ip`")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    if !child.wait()?.success() {
        bail!("`ip -batch` failed{} (above)", namespace.map_or(String::new(), |n| format!(" in {n}")));
    }
    Ok(())
}

fn lock() -> anyhow::Result<std::fs::File> {
    let path = "/tmp/ringfence-lab.lock";
    let file = std::fs::File::create(path).with_context(|| format!("cannot create `{path}`"))?;
    if file.try_lock().is_err() {
        bail!("another lab is up on this machine (`{path}` is locked); wait for it to end");
    }
    Ok(file)
}

fn build(run: &Path) -> anyhow::Result<()> {
    let ids = HOSTS.iter().map(|h| h.id).chain([ROUTER, COLLECTOR, INTERNET]);
    let mut script: String = ids.map(|id| format!("netns add {}\n", site::namespace(id))).collect();
    batch(None, &script)?;
    let router = site::namespace(ROUTER);
    script = "link set lo up\n".to_owned();
    for subnet in SUBNETS {
        let (name, octet) = (subnet.name, subnet.octet);
        script += &format!(
            "link add br-{name} type bridge forward_delay 0 mcast_snooping 0\n\
             address add 10.20.{octet}.1/24 dev br-{name}\nlink set br-{name} up promisc on\n"
        );
        if subnet.v6 {
            script += &format!("address add fd20:{octet}::1/64 dev br-{name} nodad\n");
        }
    }
    for host in HOSTS {
        let port = format!("p-{}", host.id);
        script += &format!(
            "link add {port} type veth peer name eth0 netns {}\nlink set {port} master br-{} up\n",
            host.namespace(),
            host.subnet
        );
    }
    script += &outside_links();
    batch(Some(&router), &script)?;
    sysctl(
        ROUTER,
        &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0"],
    )?;
    for host in HOSTS {
        batch(Some(&host.namespace()), &host_script(host))?;
        let folder = format!("/etc/netns/{}", host.namespace());
        std::fs::create_dir_all(&folder)?;
        let resolvers = "nameserver 10.20.40.11\nnameserver 10.20.40.12\n";
        std::fs::write(
            format!("{folder}/resolv.conf"),
            format!("search {}\n{resolvers}options timeout:2 attempts:2\n", site::DOMAIN),
        )?;
    }
    batch(Some(&site::namespace(INTERNET)), &internet_script())?;
    let mut collector = "link set lo up\nlink set eth0 up\n".to_owned();
    for index in 0..SUBNETS.len() {
        for version in VERSIONS {
            collector += &format!("address add {}/24 dev eth0\n", collector_address(index, version));
        }
    }
    batch(Some(&site::namespace(COLLECTOR)), &collector)?;
    std::fs::write(run.join("up"), "")?;
    Ok(())
}

/// The NetFlow versions that each subnet's bridge exports: 9, and 10, which is IPFIX.
pub(super) const VERSIONS: [u8; 2] = [9, 10];

/// Where an exporter of the nth subnet sends to: an address of its own, so that the route picks a source of its own.
pub(super) fn collector_address(index: usize, version: u8) -> String {
    format!("10.255.0.{}", 101 + index + if version == 10 { 50 } else { 0 })
}

/// The address by which an exporter of the nth subnet is known: two exporters that see the same traffic are two.
pub(super) fn exporter_address(index: usize, version: u8) -> String {
    format!("10.255.0.{}", 1 + index + if version == 10 { 50 } else { 0 })
}

fn outside_links() -> String {
    let mut script = format!(
        "link add collector type veth peer name eth0 netns {}\nlink set collector up\n\
         link add wan type veth peer name eth0 netns {}\nlink set wan up\n\
         address add 203.0.113.1/24 dev wan\nroute add 198.51.100.0/24 via 203.0.113.2\n",
        site::namespace(COLLECTOR),
        site::namespace(INTERNET)
    );
    for index in 0..SUBNETS.len() {
        for version in VERSIONS {
            let (source, target) = (exporter_address(index, version), collector_address(index, version));
            script += &format!(
                "address add {source}/32 dev collector\nroute add {target}/32 dev collector src {source}\n"
            );
        }
    }
    script
}

fn host_script(host: &site::Host) -> String {
    let ip = host.ip();
    let gateway = ip.rsplit_once('.').map_or("", |(net, _)| net);
    let mut script = format!(
        "link set lo up\naddress add {ip}/24 dev eth0\nlink set eth0 up\nroute add default via {gateway}.1\n"
    );
    if let Some(ip6) = host.ip6() {
        let net = ip6.split("::").next().unwrap_or_default();
        script += &format!("address add {ip6}/64 dev eth0 nodad\nroute add ::/0 via {net}::1\n");
    }
    script
}

fn internet_script() -> String {
    let mut script = "link set lo up\naddress add 203.0.113.2/24 dev eth0\nlink set eth0 up\n".to_owned();
    let customers = (site::CUSTOMERS.0..=site::CUSTOMERS.1).map(|n| format!("203.0.113.{n}"));
    let others = [site::INTRUDER, site::WEB_OUTSIDE, site::CARD_PROCESSOR].map(str::to_owned);
    for ip in customers.chain(others) {
        script += &format!("address add {ip}/32 dev eth0\n");
    }
    script + "route add default via 203.0.113.1\n"
}

fn sysctl(id: &str, settings: &[&str]) -> anyhow::Result<()> {
    let out = inside(id, "sysctl").arg("-q").arg("-w").args(settings).output()?;
    if !out.status.success() {
        bail!("sysctl in {id}: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}
