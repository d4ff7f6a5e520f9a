//! Starts the real daemons, each with a private configuration and data folder, in its host's namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::net::{Net, inside, shell};
use super::site::{self, Daemon, HOSTS, Host, INTERNET, address};

/// Password of every database account: the lab's secret is that it has none.
pub(super) const PASSWORD: &str = "lab";
/// The file server's passive range.
pub(super) const PASSIVE: (u16, u16) = (50_000, 50_199);

/// Starts everything and waits until it listens.
pub(super) fn start(net: &Net) -> anyhow::Result<()> {
    let run = net.run();
    secrets(run)?;
    database_template(run)?;
    for host in HOSTS {
        background(run, host.id, "exporter", &node("exporter", &["9100", host.id])?)?;
        for daemon in host.daemons {
            one(run, host, *daemon).with_context(|| format!("{daemon:?} on {}", host.id))?;
        }
    }
    outside(run)?;
    ready()
}

fn one(run: &Path, host: &Host, daemon: Daemon) -> anyhow::Result<()> {
    let id = host.id;
    let home = run.join("hosts").join(id);
    fs::create_dir_all(&home)?;
    match daemon {
        Daemon::LoadBalancer => nginx(run, id, &load_balancer(host)),
        Daemon::Web { upstreams } => nginx(run, id, &web(upstreams)),
        Daemon::Pages { port, tls } => nginx(run, id, &pages(&port.to_string(), tls)),
        Daemon::App { database, cache, payments } => {
            let payments: Vec<String> = payments.iter().map(|p| address(p)).collect();
            let cache = cache.map_or_else(|| "-".to_owned(), address);
            let name = if database == "pg-billing-1" { "billing" } else { "shop" };
            let arguments = ["8080", &address(database), name, &cache, &payments.join(",")];
            background(run, id, "app", &node("app", &arguments)?)
        }
        Daemon::Postgres { .. } => postgres(run, id, &home),
        Daemon::Redis { replica_of } => {
            let replica = replica_of.map_or_else(String::new, |m| format!("--replicaof {} 6379", address(m)));
            let dir = home.display();
            let script = format!(
                "exec redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' --appendonly no \
                 --dir {dir} --daemonize no {replica}"
            );
            background(run, id, "redis", &script)
        }
        Daemon::Dns => dns(run, id, &home),
        Daemon::Ntp => ntp(run, id, &home),
        Daemon::Ssh => ssh(run, id, &home),
        Daemon::Broker => {
            let config = home.join("mosquitto.conf");
            fs::write(
                &config,
                "listener 1883 0.0.0.0\nallow_anonymous true\npersistence false\nuser root\n",
            )?;
            background(run, id, "mosquitto", &format!("exec mosquitto -c {}", config.display()))
        }
        Daemon::Subscriber { broker } => {
            let script = format!(
                "while :; do mosquitto_sub -h {} -t 'plant/#' -i {id} -k 20 >/dev/null; sleep 1; done",
                address(broker)
            );
            background(run, id, "subscriber", &script)
        }
        Daemon::Ftp => ftp(run, id, &home),
        Daemon::Mail => {
            nginx(run, id, &pages("443", true))?;
            mail(run, id, &home)
        }
    }
}

/// Runs a shell script in a host's namespace until the lab goes down; its output goes to a log.
pub(super) fn background(run: &Path, id: &str, name: &str, script: &str) -> anyhow::Result<()> {
    let log = fs::File::create(run.join("logs").join(format!("{id}-{name}.log")))?;
    shell(id, script)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {name} in {id}"))?;
    Ok(())
}

fn node(kind: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    Ok(format!("exec '{}' lab node {kind} {}", std::env::current_exe()?.display(), quoted.join(" ")))
}

fn checked(mut command: Command) -> anyhow::Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

/// Keys of the SSH servers and of the administrators, and the certificate of the web servers.
fn secrets(run: &Path) -> anyhow::Result<()> {
    let keys = run.join("keys");
    for folder in ["keys", "home", "hosts", "empty", "pub"] {
        fs::create_dir_all(run.join(folder))?;
    }
    for name in ["host", "admin"] {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(keys.join(name));
        checked(command)?;
    }
    // Some systems lock root; the lab's SSH servers see this file instead of the system's.
    fs::write(run.join("shadow"), "root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n")?;
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "3650",
        "-subj",
        "/CN=corp.example",
    ]);
    command.arg("-keyout").arg(keys.join("tls.key")).arg("-out").arg(keys.join("tls.crt"));
    checked(command)?;
    let page: String = (0..400).map(|n| format!("line {n} of a page of the lab\n")).collect();
    fs::write(run.join("pub/index.html"), &page)?;
    for n in 1..=6 {
        fs::write(run.join(format!("pub/price-list-{n}.csv")), page.repeat(n))?;
    }
    Ok(())
}

fn nginx(run: &Path, id: &str, server: &str) -> anyhow::Result<()> {
    let home = run.join("hosts").join(id);
    fs::create_dir_all(&home)?;
    let (dir, keys) = (home.display(), run.join("keys"));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
        .collect();
    let server = server
        .replace("@KEYS@", &keys.display().to_string())
        .replace("@ROOT@", &run.join("pub").display().to_string());
    let config = format!(
        "user root;\nworker_processes 1;\ndaemon off;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temporary}{server}\n}}\n"
    );
    let path = home.join("nginx.conf");
    fs::write(&path, config)?;
    background(run, id, "nginx", &format!("exec nginx -e {dir}/error.log -c {}", path.display()))
}

const TLS: &str = "ssl_certificate @KEYS@/tls.crt; ssl_certificate_key @KEYS@/tls.key;";

fn load_balancer(host: &Host) -> String {
    let v6 = host.ip6().map_or_else(String::new, |ip| format!("listen [{ip}]:443 ssl;"));
    let servers: String =
        ["web-1", "web-2", "web-3"].iter().map(|w| format!("server {}:80;", address(w))).collect();
    format!(
        "upstream web {{ {servers} }}\nserver {{ listen 443 ssl; {v6} {TLS}\n\
         location / {{ proxy_pass http://web; proxy_connect_timeout 5s; }} }}"
    )
}

fn web(upstreams: &[&str]) -> String {
    let servers: String = upstreams.iter().map(|u| format!("server {}:8080;", address(u))).collect();
    format!(
        "upstream app {{ {servers} }}\nserver {{ listen 80; root @ROOT@;\n\
         location /api/ {{ proxy_pass http://app; proxy_connect_timeout 5s; }} }}"
    )
}

fn pages(port: &str, tls: bool) -> String {
    let (listen, certificate) = if tls { (format!("{port} ssl"), TLS) } else { (port.to_owned(), "") };
    format!(
        "server {{ listen {listen}; {certificate} root @ROOT@; client_max_body_size 8m;\n\
         location /in/ {{ return 200 'ok'; }} }}"
    )
}

/// Where Debian keeps the database's programs.
fn database_programs() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .context("no PostgreSQL below /usr/lib/postgresql")?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().context("no `initdb` below /usr/lib/postgresql")
}

/// One empty cluster, copied for each database host: `initdb` is slow.
fn database_template(run: &Path) -> anyhow::Result<()> {
    let template = run.join("pg-template");
    fs::create_dir_all(&template)?;
    let bin = database_programs()?;
    let mut own = Command::new("chown");
    own.arg("postgres:").arg(&template);
    checked(own)?;
    let mut init = Command::new("runuser");
    init.args(["-u", "postgres", "--"]).arg(bin.join("initdb"));
    init.args(["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"]).arg(&template);
    init.current_dir("/tmp");
    checked(init)?;
    fs::write(
        template.join("pg_hba.conf"),
        "host all postgres 127.0.0.1/32 trust\nhost all all 0.0.0.0/0 scram-sha-256\n",
    )?;
    let settings = "listen_addresses='*'\nunix_socket_directories=''\nshared_buffers=16MB\nfsync=off\n\
                    max_connections=60\nlogging_collector=off\nautovacuum=off\njit=off\n\
                    max_parallel_workers=0\nmax_wal_senders=0\nwal_level=minimal\n";
    fs::write(template.join("postgresql.conf"), settings)?;
    let schema = format!(
        "create role app superuser login password '{PASSWORD}';\ncreate database shop owner app;\n\
         create database billing owner app;\n"
    );
    let tables = "create table orders as select n as id, 'customer ' || n as customer, n * 7 % 100 as amount, \
                  md5(n::text) as card from generate_series(1, 4000) n;\n";
    for (database, script) in [("postgres", schema.as_str()), ("shop", tables), ("billing", tables)] {
        single_user(&bin, &template, database, script)?;
    }
    Ok(())
}

/// Runs SQL on a cluster that is not running.
fn single_user(bin: &Path, data: &Path, database: &str, script: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut child = Command::new("runuser")
        .args(["-u", "postgres", "--"])
        .arg(bin.join("postgres"))
        .args(["--single", "-D"])
        .arg(data)
        .arg(database)
        .current_dir("/tmp")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    if !child.wait()?.success() {
        bail!("single-user PostgreSQL failed on `{database}`");
    }
    Ok(())
}

fn postgres(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let data = home.join("pg");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(run.join("pg-template")).arg(&data);
    checked(copy)?;
    let program = database_programs()?.join("postgres");
    let script = format!("cd /tmp; exec runuser -u postgres -- {} -D {}", program.display(), data.display());
    background(run, id, "postgres", &script)
}

fn dns(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let mut config = format!(
        "port=53\nno-resolv\nno-hosts\nuser=root\ngroup=root\nkeep-in-foreground\npid-file={dir}/dnsmasq.pid\n\
         domain={domain}\nlocal=/{domain}/\nlocal=/in-addr.arpa/\nlocal=/ip6.arpa/\ncache-size=1000\n\
         host-record=www.example.org,{web}\nhost-record=cards.example.net,{cards}\n",
        dir = home.display(),
        domain = site::DOMAIN,
        web = site::WEB_OUTSIDE,
        cards = site::CARD_PROCESSOR,
    );
    for host in HOSTS {
        let v6 = host.ip6().map_or_else(String::new, |ip| format!(",{ip}"));
        config += &format!("host-record={id}.{},{}{v6}\n", site::DOMAIN, host.ip(), id = host.id);
    }
    let path = home.join("dnsmasq.conf");
    fs::write(&path, config)?;
    background(run, id, "dnsmasq", &format!("exec dnsmasq -C {}", path.display()))
}

fn ntp(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let path = home.join("chrony.conf");
    fs::write(
        &path,
        format!(
            "local stratum 8\nallow\ncmdport 0\nbindcmdaddress /\npidfile {dir}/chronyd.pid\ndriftfile {dir}/drift\n",
            dir = home.display()
        ),
    )?;
    // `-x`: the machine's clock is not the lab's to set.
    background(run, id, "chronyd", &format!("exec chronyd -d -x -u root -f {}", path.display()))
}

fn ssh(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let path = home.join("sshd_config");
    let keys = run.join("keys");
    fs::write(
        &path,
        format!(
            "Port 22\nListenAddress 0.0.0.0\nHostKey {keys}/host\nAuthorizedKeysFile {keys}/admin.pub\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n\
             PidFile {dir}/sshd.pid\nPrintMotd no\nPrintLastLog no\nMaxStartups 50\nLogLevel ERROR\n",
            keys = keys.display(),
            dir = home.display()
        ),
    )?;
    let script = format!(
        "mount --bind {shadow} /etc/shadow && mount -t tmpfs tmpfs /run && mkdir -p /run/sshd && \
         exec /usr/sbin/sshd -D -f {config}",
        shadow = run.join("shadow").display(),
        config = path.display()
    );
    background(run, id, "sshd", &script)
}

fn ftp(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let path = home.join("vsftpd.conf");
    let (low, high) = PASSIVE;
    fs::write(
        &path,
        format!(
            "listen=YES\nbackground=NO\nanonymous_enable=YES\nno_anon_password=YES\nlocal_enable=NO\n\
             anon_root={root}\nsecure_chroot_dir={empty}\npasv_enable=YES\nport_enable=NO\npasv_min_port={low}\n\
             pasv_max_port={high}\nseccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\n\
             xferlog_enable=NO\n",
            root = run.join("pub").display(),
            empty = run.join("empty").display()
        ),
    )?;
    background(run, id, "vsftpd", &format!("exec vsftpd {}", path.display()))
}

fn mail(run: &Path, id: &str, home: &Path) -> anyhow::Result<()> {
    let path = home.join("smtpd.conf");
    fs::write(
        &path,
        "listen on 0.0.0.0 port 25\nlisten on 0.0.0.0 port 587\ntable anybody { \"@\" = nobody }\n\
         action \"sink\" mda \"/bin/cat\" virtual <anybody>\nmatch from any for any action \"sink\"\n",
    )?;
    // The daemon insists on its system-wide folders: it gets private ones in its own mount namespace.
    let script = format!(
        "mount -t tmpfs tmpfs /var/spool && mkdir -m 711 /var/spool/smtpd && mount -t tmpfs tmpfs /run && \
         exec smtpd -d -f {}",
        path.display()
    );
    background(run, id, "smtpd", &script)
}

/// The rest of the world: pages, the card processor (one nginx), and the intruder's drop box.
fn outside(run: &Path) -> anyhow::Result<()> {
    nginx(run, INTERNET, &pages("443", true))?;
    background(run, INTERNET, "drop", &node("sink", &["4444"])?)
}

/// Waits until the slowest daemons answer.
fn ready() -> anyhow::Result<()> {
    let checks = [
        (
            "app-1",
            format!(
                "PGPASSWORD={PASSWORD} psql -XAtc 'select 1' 'host=10.20.30.11 user=app dbname=shop connect_timeout=2'"
            ),
        ),
        (
            "billing-1",
            format!(
                "PGPASSWORD={PASSWORD} psql -XAtc 'select 1' 'host=10.20.30.21 user=app dbname=billing connect_timeout=2'"
            ),
        ),
        ("ws-1", "curl -skf -m 2 https://lb-1.corp.example/api/catalog".to_owned()),
        ("ws-1", "curl -skf -m 2 https://lb-2.corp.example/api/catalog".to_owned()),
        ("ws-1", "nc -z -w 2 10.20.10.41 587".to_owned()),
        ("ws-1", "nc -z -w 2 10.20.10.51 21".to_owned()),
        ("dev-ws-1", "curl -sf -m 2 http://dev-web-1.corp.example/api/catalog".to_owned()),
        ("sensor-1", "mosquitto_pub -h 10.20.70.11 -t plant/hello -m 1".to_owned()),
        ("mon-1", "nc -z -w 2 10.20.10.31 22".to_owned()),
    ];
    let start = Instant::now();
    for (id, script) in checks {
        loop {
            let status = inside(id, "sh")
                .args(["-c", &script])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if status.success() {
                break;
            }
            if start.elapsed() > Duration::from_secs(60) {
                bail!("the lab is not ready: in {id} this still fails: {script}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    Ok(())
}
