//! Debian packages that the lab and the tests use, installed by name when they are missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A package, and a file that tells that it is there.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
}

const fn package(name: &'static str, file: &'static str) -> Package {
    Package { name, file }
}

/// Everything that `cargo xtask demo` and `cargo xtask test` can use.
pub(crate) const ALL: &[Package] = &[
    package("iproute2", "/sbin/ip"),
    package("nftables", "/usr/sbin/nft"),
    package("nginx-light", "/usr/sbin/nginx"),
    package("postgresql", "/usr/bin/pg_createcluster"),
    package("redis-server", "/usr/bin/redis-server"),
    package("dnsmasq", "/usr/sbin/dnsmasq"),
    package("chrony", "/usr/sbin/chronyd"),
    package("openssh-server", "/usr/sbin/sshd"),
    package("openssh-client", "/usr/bin/ssh"),
    package("mosquitto", "/usr/sbin/mosquitto"),
    package("mosquitto-clients", "/usr/bin/mosquitto_pub"),
    package("softflowd", "/usr/sbin/softflowd"),
    package("nfdump", "/usr/bin/nfcapd"),
    package("pmacct", "/usr/sbin/nfacctd"),
    package("nmap", "/usr/bin/nmap"),
    package("vsftpd", "/usr/sbin/vsftpd"),
    package("rsync", "/usr/bin/rsync"),
    package("opensmtpd", "/usr/sbin/smtpd"),
    package("swaks", "/usr/bin/swaks"),
    package("netcat-openbsd", "/bin/nc.openbsd"),
    package("iputils-ping", "/usr/bin/ping"),
    package("tcpdump", "/usr/bin/tcpdump"),
    package("conntrack", "/usr/sbin/conntrack"),
    package("curl", "/usr/bin/curl"),
    package("lftp", "/usr/bin/lftp"),
    package("dnsutils", "/usr/bin/dig"),
    package("openssl", "/usr/bin/openssl"),
    package("python3", "/usr/bin/python3"),
    package("procps", "/bin/ps"),
];

/// Installs what is missing with apt-get, and says so. Without root or apt-get it names the command and returns
/// false: what needs the packages is then skipped.
pub(crate) fn ensure(packages: &[Package]) -> anyhow::Result<bool> {
    let missing: Vec<&str> =
        packages.iter().filter(|p| !Path::new(p.file).exists()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        eprintln!("missing packages; install them with\n  sudo apt-get install {}", missing.join(" "));
        return Ok(false);
    }
    eprintln!("installing Debian packages: {}", missing.join(" "));
    let apt = |arguments: &[&str]| -> anyhow::Result<()> {
        let status = Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // The lab starts its own daemons; the packages' services must stay off.
            .env("RUNLEVEL", "1")
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status()
            .context("cannot run apt-get")?;
        if status.success() { Ok(()) } else { bail!("apt-get {} failed ({status})", arguments.join(" ")) }
    };
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)?;
    Ok(true)
}

/// Servers that speak the clouds' protocols, from PyPI and npm into `target/peers`. Without the registries the tests that
/// need them are skipped.
pub(crate) fn ensure_peers(folder: &Path) -> anyhow::Result<()> {
    let venv = folder.join("venv");
    if !venv.join("bin/moto_server").exists() {
        eprintln!("installing moto (S3's protocol) from PyPI into `{}`", venv.display());
        let made = works(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            && works(Command::new(venv.join("bin/pip")).args(["-q", "install", "moto[server,s3]==5.*"]));
        told("moto", made);
    }
    let npm = folder.join("npm");
    if !npm.join("node_modules/.bin/azurite-blob").exists() {
        eprintln!("installing Azurite (Azure Blob's protocol) from npm into `{}`", npm.display());
        std::fs::create_dir_all(&npm).with_context(|| format!("cannot make `{}`", npm.display()))?;
        let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
        told("Azurite", works(Command::new("npm").args(install).arg(&npm).arg("azurite@3")));
    }
    Ok(())
}

fn works(command: &mut Command) -> bool {
    command.stdout(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}

fn told(name: &str, made: bool) {
    if !made {
        eprintln!("cannot install {name}; the tests that need it are skipped");
    }
}
