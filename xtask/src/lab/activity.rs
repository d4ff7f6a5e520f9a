//! Who does what in the lab: every conversation that is meant to happen, with the command that makes it.

use super::daemons::{PASSIVE, PASSWORD};
use super::site::{HOSTS, Host, INTERNET};

/// What sort of thing a conversation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// Happens again and again.
    Habit,
    /// Legitimate, once or twice in the learning window.
    Rare,
    /// Legitimate, and never before the hold-out window.
    NewInHoldout,
    /// The vulnerability scanner: permitted, and noise.
    Scanner,
    /// A misconfiguration: it works, and should not.
    Mistake,
    /// The intruder.
    Attack,
}

impl Kind {
    /// As the truth file says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Habit => "habit",
            Self::Rare => "rare",
            Self::NewInHoldout => "new-in-holdout",
            Self::Scanner => "scanner",
            Self::Mistake => "mistake",
            Self::Attack => "attack",
        }
    }

    /// Whether a least-privilege policy should allow it.
    pub(super) fn legitimate(self) -> bool {
        matches!(self, Self::Habit | Self::Rare | Self::NewInHoldout)
    }
}

/// When an activity runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum When {
    /// Uneven, with this mean gap.
    Mean(f64),
    /// All pairs, with this period.
    Round(f64),
    /// At fractions of the phases: (0 learn, 1 hold-out, 2 attack; fraction).
    At(&'static [(usize, f64)]),
    /// Never by itself: other activities cause it. The command is for checking that it can.
    Caused,
    /// Started when the lab comes up, and lasting.
    Standing,
}

/// One row: clients that talk to servers on a service.
pub(super) struct Activity {
    pub(super) name: &'static str,
    pub(super) actor: &'static str,
    pub(super) tool: &'static str,
    pub(super) kind: Kind,
    pub(super) clients: Vec<&'static str>,
    pub(super) servers: Vec<&'static str>,
    /// IANA number.
    pub(super) protocol: u8,
    /// First and last server port.
    pub(super) ports: (u16, u16),
    pub(super) when: When,
    /// A shell command with `{ip}`, `{name}`, `{n}`, `{path}`, `{customer}`, `{target}`, `{run}`, `{me}`.
    pub(super) script: &'static str,
    /// What `{target}` stands for, when the server is only a hop.
    pub(super) targets: Vec<&'static str>,
}

impl Activity {
    /// Whether it is meant by a conversation.
    pub(super) fn means(&self, client: &str, server: &str, protocol: u8, port: u16) -> bool {
        self.protocol == protocol
            && (self.ports.0..=self.ports.1).contains(&port)
            && client != server
            && self.clients.contains(&client)
            && self.servers.contains(&server)
    }

    /// Its pairs.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &'static str)> {
        let all = self.clients.iter().flat_map(|c| self.servers.iter().map(move |s| (*c, *s)));
        all.filter(|(c, s)| c != s).collect()
    }
}

const SSH: &str = "ssh -F none -i {run}/keys/admin -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                   -o LogLevel=ERROR -o BatchMode=yes -o ConnectTimeout=5";

/// Options of every SSH command in the lab.
pub(super) fn ssh() -> &'static str {
    SSH
}

const BROWSE: &str = "curl -skf -m 12 -o /dev/null https://{name}/{path}";
const PSQL: &str = "psql -XAtc 'select count(*), sum(amount) from orders where id % 97 = {n} % 97' \
                    'host={ip} user=app dbname=shop connect_timeout=8' >/dev/null";
const BILLING_PSQL: &str = "psql -XAtc 'select sum(amount) from orders' \
                            'host={ip} user=app dbname=billing connect_timeout=8' >/dev/null";
const FTP: &str = "lftp -c 'set net:timeout 8; set net:max-retries 2; set ftp:prefer-epsv no; open {name}; cls; \
                   set xfer:clobber yes; \
                   get /price-list-{digit}.csv -o {run}/home/{me}.csv'";
const SMTP: &str = "swaks --timeout 10 -s {name} -p 587 -f {me}@corp.example -t anna@corp.example \
                    --header 'Subject: {n}' --body 'about order {n}' >/dev/null";
const LOGIN: &str = "{ssh} root@{ip} 'uptime' >/dev/null";
const SYNC: &str = "rsync -q --timeout=20 --no-times --inplace -e \"{ssh}\" root@{ip}:{run}/pub/price-list-{digit}.csv \
                    {run}/home/{me}-{n}.csv";

/// Every row, the first that means a conversation explains it.
pub(super) fn all() -> Vec<Activity> {
    let mut rows = shop();
    rows.extend(office());
    rows.extend(operations());
    rows.extend(development());
    rows.extend(plant());
    for row in &mut rows {
        row.clients.retain(|c| *c == INTERNET || HOSTS.iter().any(|h| h.id == *c));
    }
    rows
}

fn ids(wanted: impl Fn(&Host) -> bool) -> Vec<&'static str> {
    HOSTS.iter().filter(|h| wanted(h)).map(|h| h.id).collect()
}

fn workstations() -> Vec<&'static str> {
    ids(|h| h.subnet == "office" && h.role.starts_with("workstation"))
}

/// Who, to whom.
type Ends<'a> = (&'a [&'static str], &'a [&'static str]);

fn row(name: &'static str, ends: Ends<'_>, port: u16, when: When, script: &'static str) -> Activity {
    let tool = match script.split(' ').next().unwrap_or_default() {
        "{ssh}" => "ssh",
        tool => tool,
    };
    Activity {
        name,
        actor: "application",
        tool,
        kind: Kind::Habit,
        clients: ends.0.to_vec(),
        servers: ends.1.to_vec(),
        protocol: 6,
        ports: (port, port),
        when,
        script,
        targets: Vec::new(),
    }
}

impl Activity {
    fn by(mut self, actor: &'static str) -> Self {
        self.actor = actor;
        self
    }

    fn udp(mut self) -> Self {
        self.protocol = 17;
        self
    }

    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn to(mut self, targets: &[&'static str]) -> Self {
        self.targets = targets.to_vec();
        self
    }

    fn tool(mut self, tool: &'static str) -> Self {
        self.tool = tool;
        self
    }
}

const LBS: &[&str] = &["lb-1", "lb-2"];
const WEBS: &[&str] = &["web-1", "web-2", "web-3"];
const APPS: &[&str] = &["app-1", "app-2", "app-3"];
const PAYS: &[&str] = &["billing-1", "billing-2"];

fn shop() -> Vec<Activity> {
    let outside = "curl -skf -m 12 --interface 203.0.113.{customer} -o /dev/null https://{ip}/{path}";
    let http = "curl -sf -m 10 -o /dev/null http://{ip}:8080/api/cart/{n}";
    let month_end = "psql -XAtc 'copy (select * from orders) to stdout' \
                     'host={ip} user=app dbname=shop connect_timeout=8' >/dev/null";
    vec![
        row("customers", (&[INTERNET], LBS), 443, When::Mean(2.2), outside).by("customer"),
        row("balance", (LBS, WEBS), 80, When::Caused, "curl -sf -m 10 -o /dev/null http://{ip}/index.html")
            .tool("nginx"),
        row("pages", (WEBS, APPS), 8080, When::Caused, http).tool("nginx"),
        row("orders", (APPS, &["pg-shop-1"]), 5432, When::Caused, PSQL),
        row(
            "cache",
            (APPS, &["redis-1"]),
            6379,
            When::Caused,
            "timeout 8 redis-cli -h {ip} incr probes >/dev/null",
        )
        .tool("redis-cli"),
        row(
            "payment",
            (APPS, PAYS),
            8080,
            When::Caused,
            "curl -sf -m 10 -o /dev/null http://{ip}:8080/api/pay/{n}",
        ),
        row("invoices", (PAYS, &["pg-billing-1"]), 5432, When::Caused, BILLING_PSQL),
        row(
            "cards",
            (PAYS, &[INTERNET]),
            443,
            When::Mean(11.0),
            "curl -skf -m 10 -o /dev/null https://cards.example.net/index.html",
        ),
        row("receipts", (PAYS, &["mail-1"]), 587, When::Mean(17.0), SMTP),
        row("standby", (&["pg-shop-2"], &["pg-shop-1"]), 5432, When::Mean(14.0), month_end),
        row(
            "replication",
            (&["redis-2"], &["redis-1"]),
            6379,
            When::Standing,
            "timeout 8 redis-cli -h {ip} ping >/dev/null",
        )
        .tool("redis-server"),
        row(
            "month-end",
            (&["billing-2"], &["pg-shop-1"]),
            5432,
            When::At(&[(0, 0.37), (0, 0.83), (1, 0.45)]),
            month_end,
        )
        .kind(Kind::Rare),
        row("reset-mail", (&["app-2"], &["mail-1"]), 587, When::At(&[(1, 0.3), (1, 0.6), (2, 0.4)]), SMTP)
            .kind(Kind::NewInHoldout),
    ]
}

fn office() -> Vec<Activity> {
    let desks = workstations();
    let desks = desks.as_slice();
    let finance = ["ws-5", "ws-6"];
    let v6 = "curl -6 -skf -m 12 -o /dev/null https://{name}/{path}";
    let print = "curl -sf -m 10 -o /dev/null --data-binary @{run}/pub/price-list-{digit}.csv http://{name}:631/in/job";
    let invoice = "curl -sf -m 10 -o /dev/null http://{name}:8080/api/invoice/{n}";
    let readers = [desks, &["app-1"]].concat();
    let mut data = row("files-data", (&readers, &["ftp-1"]), 0, When::Caused, FTP).by("employee");
    data.ports = PASSIVE;
    vec![
        row("browse-shop-v6", (&["ws-1", "ws-2"], &["lb-1"]), 443, When::Mean(30.0), v6).by("employee"),
        row("browse-shop", (desks, LBS), 443, When::Mean(6.0), BROWSE).by("employee"),
        row("browse-web", (desks, &[INTERNET]), 443, When::Mean(4.0), "curl -skf -m 12 -o /dev/null https://www.example.org/index.html").by("employee"),
        row("read-mail", (desks, &["mail-1"]), 443, When::Mean(5.0), "curl -skf -m 12 -o /dev/null https://{name}/index.html").by("employee"),
        row("send-mail", (desks, &["mail-1"]), 587, When::Mean(13.0), SMTP).by("employee"),
        row("mail-from-outside", (&[INTERNET], &["mail-1"]), 25, When::Mean(24.0),
            "swaks --timeout 10 -s {ip} -p 25 -li 203.0.113.{customer} -f guest@example.org -t anna@corp.example --body hello >/dev/null")
            .by("correspondent"),
        row("invoice-desk", (&finance, PAYS), 8080, When::Mean(8.0), invoice).by("employee"),
        row("print", (desks, &["printer-1"]), 631, When::Mean(11.0), print).by("employee"),
        row("files", (&readers, &["ftp-1"]), 21, When::Mean(6.0), FTP).by("employee"),
        data,
    ]
}

fn operations() -> Vec<Activity> {
    let everyone = ids(|_| true);
    let everyone = everyone.as_slice();
    let clocks = ids(|h| h.subnet != "office" && h.role != "ntp");
    let watched: Vec<&str> = everyone.iter().copied().filter(|id| *id != "mon-1").collect();
    let admins = ["ws-7", "ws-8"];
    let reached = [
        "lb-1",
        "web-1",
        "web-2",
        "web-3",
        "app-1",
        "app-2",
        "app-3",
        "billing-1",
        "billing-2",
        "pg-shop-1",
        "pg-billing-1",
        "mail-1",
    ];
    let hop = "{ssh} -o ProxyCommand=\"{ssh} -W %h:%p root@{ip}\" root@{target} 'uptime; df -h' >/dev/null";
    let look = "dig +short +time=3 +tries=2 @{ip} {target}.corp.example >/dev/null";
    let clock = "chronyd -Q -t 8 -u root 'server {ip} iburst maxsamples 2' 'cmdport 0' 'pidfile {run}/home/{me}.pid' >/dev/null 2>&1";
    vec![
        row("names", (everyone, &["dns-1", "dns-2"]), 53, When::Mean(3.0), look)
            .udp()
            .to(everyone)
            .by("resolver"),
        row("time", (&clocks, &["ntp-1"]), 123, When::Mean(3.5), clock).udp().by("clock"),
        row(
            "metrics",
            (&["mon-1"], &watched),
            9100,
            When::Round(28.0),
            "curl -sf -m 8 -o /dev/null http://{ip}:9100/metrics",
        )
        .by("scraper"),
        row("login", (&admins, &["bastion-1"]), 22, When::Mean(9.0), hop).by("administrator").to(&reached),
        row("new-login", (&admins, &["bastion-1"]), 22, When::At(&[(1, 0.4), (1, 0.7)]), hop)
            .by("administrator")
            .to(&["redis-1"]),
        row("hop", (&["bastion-1"], &reached), 22, When::Caused, LOGIN).by("administrator"),
        row("new-hop", (&["bastion-1"], &["redis-1"]), 22, When::Caused, LOGIN)
            .kind(Kind::NewInHoldout)
            .by("administrator"),
        row(
            "backup",
            (&["backup-1"], &["pg-shop-1", "pg-billing-1", "ftp-1", "mail-1"]),
            22,
            When::Round(75.0),
            SYNC,
        )
        .by("backup"),
        row(
            "restore-drill",
            (&["backup-1"], &["dev-db-1"]),
            22,
            When::At(&[(0, 0.28), (0, 0.7), (1, 0.55)]),
            SYNC,
        )
        .kind(Kind::Rare)
        .by("backup"),
    ]
}

fn development() -> Vec<Activity> {
    let apps = ["dev-app-1", "dev-app-2"];
    let desks = ["dev-ws-1", "dev-ws-2"];
    let people = ["dev-ws-1", "dev-ws-2", "dev-ci-1"];
    let http = "curl -sf -m 10 -o /dev/null http://{ip}:8080/api/cart/{n}";
    vec![
        row(
            "dev-browse",
            (&people, &["dev-web-1"]),
            80,
            When::Mean(7.0),
            "curl -sf -m 12 -o /dev/null http://{name}/{path}",
        )
        .by("developer"),
        row("dev-pages", (&["dev-web-1"], &apps), 8080, When::Caused, http).tool("nginx"),
        row("dev-orders", (&apps, &["dev-db-1"]), 5432, When::Caused, PSQL),
        row("dev-query", (&desks, &["dev-db-1"]), 5432, When::Mean(19.0), PSQL).by("developer"),
        row("dev-login", (&desks, &apps), 22, When::Mean(15.0), LOGIN).by("developer"),
        row(
            "deploy",
            (&["dev-ci-1"], &["dev-app-1", "dev-app-2", "dev-web-1"]),
            22,
            When::Round(60.0),
            LOGIN,
        )
        .by("pipeline"),
        row(
            "dev-web-pages",
            (&people, &[INTERNET]),
            443,
            When::Mean(10.0),
            "curl -skf -m 12 -o /dev/null https://www.example.org/index.html",
        )
        .by("developer"),
        row("wrong-database", (&["dev-app-1"], &["pg-shop-1"]), 5432, When::Mean(40.0), PSQL)
            .kind(Kind::Mistake),
    ]
}

fn plant() -> Vec<Activity> {
    let sensors = ["sensor-1", "sensor-2", "sensor-3", "sensor-4"];
    let cameras = ["cam-1", "cam-2"];
    let everything = [sensors.as_slice(), &cameras].concat();
    let publish = "mosquitto_pub -h {ip} -t plant/{me} -m {n}";
    let picture = "curl -sf -m 10 -o /dev/null --data-binary @{run}/pub/price-list-{digit}.csv http://{ip}:8080/in/{me}";
    vec![
        row("measure", (&everything, &["broker-1"]), 1883, When::Mean(1.8), publish).by("device"),
        row("pictures", (&cameras, &["nvr-1"]), 8080, When::Mean(5.0), picture).by("device"),
        row(
            "telemetry",
            (&["telemetry-1"], &["broker-1"]),
            1883,
            When::Standing,
            "mosquitto_pub -h {ip} -t plant/check -m {n}",
        )
        .tool("mosquitto_sub"),
    ]
}

/// The environment of every command.
pub(super) fn environment(run: &str) -> [(&'static str, String); 3] {
    [("PGPASSWORD", PASSWORD.to_owned()), ("HOME", format!("{run}/home")), ("LC_ALL", "C".to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_exists_and_has_work() {
        for row in all() {
            assert!(!row.pairs().is_empty(), "{}", row.name);
            let known = |id: &str| id == INTERNET || HOSTS.iter().any(|h| h.id == id);
            assert!(
                row.servers.iter().chain(&row.clients).chain(&row.targets).all(|id| known(id)),
                "{}",
                row.name
            );
        }
    }
}
