//! `lab prove`: the compiled artifacts in the kernels of the lab, every legitimate conversation, then the intruder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::activity::{self, Activity};
use super::attack::{self, Step};
use super::chance::Chance;
use super::denials::{self, Denial, Readers};
use super::net::{Net, inside};
use super::schedule::{carry_out, fill};
use super::site::HOSTS;
use super::table::Table;
use super::verdict::Allowed;
use super::{daemons, observe};

/// What to prove.
pub(super) struct Order {
    pub(super) seed: u64,
    /// One `WORKLOAD.nft` for each guarded host.
    pub(super) artifacts: PathBuf,
    /// The recording that the policy was learned from.
    pub(super) truth: PathBuf,
    /// Where the table goes, as JSON.
    pub(super) out: Option<PathBuf>,
}

/// A conversation that ought to work.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expected {
    pub(super) activity: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) service: String,
    pub(super) kind: String,
    pub(super) learned: bool,
}

/// What became of it.
pub(super) struct Tried {
    pub(super) expected: Expected,
    pub(super) ok: bool,
    pub(super) attempts: u32,
    pub(super) reason: String,
}

/// What became of a step of the intruder's.
pub(super) struct Fate {
    pub(super) step: Step,
    /// In the intruder's own sequence, from the workstation on.
    pub(super) reached: bool,
    /// On the step's own host, as if everything before had worked.
    pub(super) alone: bool,
    pub(super) verdict: &'static str,
    pub(super) detail: String,
    pub(super) denials: Vec<(Denial, usize)>,
}

impl Fate {
    /// The denial that tells best where the step dies: of its own traffic, else the most frequent on the way to it.
    pub(super) fn denial(&self) -> Option<&Denial> {
        let own = |d: &Denial| {
            d.client == self.step.from && self.step.ports.contains(&d.port) && self.step.aims_at(&d.server)
        };
        self.denials.iter().max_by_key(|(d, count)| (own(d), *count)).map(|(d, _)| d)
    }
}

/// Proves it; fails if a learned conversation is broken or a step gets where nothing was ever allowed.
pub(super) fn prove(order: &Order) -> anyhow::Result<()> {
    let started = Instant::now();
    let truth = fs::read(&order.truth).with_context(|| format!("cannot read `{}`", order.truth.display()))?;
    let truth: Value = serde_json::from_slice(&truth).context("the truth is not JSON")?;
    let expected = expectations(&truth)?;
    let net = Net::up()?;
    // Their rules make the kernels track connections from the start: those that stand when the artifacts are loaded
    // must survive.
    let _watchers = observe::connections(&net)?;
    daemons::start(&net)?;
    let readers = Readers::start(net.run())?;
    let guarded = load(&order.artifacts)?;
    eprintln!("lab: {guarded} of {} hosts are guarded; trying {} conversations", HOSTS.len(), expected.len());
    let tried = try_all(&expected, order.seed, net.run(), &readers)?;
    eprintln!("lab: after {:.0} s the intruder begins", started.elapsed().as_secs_f64());
    let fates = intrude(order.seed, &expected, net.run(), &readers)?;
    let counters: BTreeMap<&str, BTreeMap<String, u64>> =
        HOSTS.iter().map(|h| (h.id, denials::counters(h.id))).collect();
    readers.finish();
    let table = Table { tried: &tried, fates: &fates, counters: &counters };
    table.print();
    if let Some(out) = &order.out {
        let document = table.document(order.seed, guarded, started.elapsed().as_secs_f64());
        fs::write(out, serde_json::to_string_pretty(&document)? + "\n")
            .with_context(|| format!("cannot write `{}`", out.display()))?;
    }
    let broken = tried.iter().filter(|t| !t.ok && t.expected.learned).count();
    let through = fates.iter().filter(|f| f.verdict == "through").count();
    let unlogged = fates.iter().filter(|f| f.verdict == "unlogged").count();
    if broken + through + unlogged > 0 {
        bail!(
            "{broken} learned conversations are broken, {through} steps of the intruder went through, {unlogged} died \
             without a denial in the log"
        );
    }
    Ok(())
}

/// The distinct legitimate conversations of the recording.
fn expectations(truth: &Value) -> anyhow::Result<Vec<Expected>> {
    let all =
        truth.get("conversations").and_then(Value::as_array).context("the truth has no conversations")?;
    let mut found: BTreeMap<Expected, bool> = BTreeMap::new();
    for item in all.iter().filter(|c| c["legitimate"] == true) {
        let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
        // What has stood since before the recording is as good as learned: its records are in the learning window.
        let learned = !item["phases"]["learn"].is_null() || !item["phases"]["setup"].is_null();
        let expected = Expected {
            activity: text("activity"),
            client: text("client"),
            server: text("server"),
            service: text("service"),
            kind: text("kind"),
            learned: false,
        };
        *found.entry(expected).or_default() |= learned;
    }
    Ok(found.into_iter().map(|(expected, learned)| Expected { learned, ..expected }).collect())
}

/// Loads every host's artifact, each in one transaction.
fn load(artifacts: &Path) -> anyhow::Result<usize> {
    let mut guarded = 0;
    for host in HOSTS {
        let file = artifacts.join(format!("{}.nft", host.id));
        if !file.exists() {
            continue;
        }
        let out = inside(host.id, "nft").arg("-f").arg(&file).output().context("cannot run nft")?;
        if !out.status.success() {
            bail!("`{}` does not load: {}", file.display(), String::from_utf8_lossy(&out.stderr).trim());
        }
        guarded += 1;
    }
    if guarded == 0 {
        bail!("no artifact in `{}`; expected one WORKLOAD.nft a host", artifacts.display());
    }
    Ok(guarded)
}

/// Tries every conversation once, some at a time.
fn try_all(expected: &[Expected], seed: u64, run: &Path, readers: &Readers) -> anyhow::Result<Vec<Tried>> {
    let rows = activity::all();
    let mut order: Vec<&Expected> = expected.iter().collect();
    Chance::new(seed, "order").shuffle(&mut order);
    let next = AtomicUsize::new(0);
    let tried = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(expected) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = try_one(expected, &rows, seed, run, readers);
                    if let Ok(mut tried) = tried.lock() {
                        tried.push(outcome);
                    }
                }
            });
        }
    });
    let mut tried = tried.into_inner().ok().context("a client of the lab failed")?;
    tried.sort_by(|a, b| a.expected.cmp(&b.expected));
    Ok(tried)
}

fn try_one(expected: &Expected, rows: &[Activity], seed: u64, run: &Path, readers: &Readers) -> Tried {
    let row = rows.iter().find(|r| r.name == expected.activity);
    let pair =
        row.and_then(|r| r.pairs().into_iter().find(|(c, s)| *c == expected.client && *s == expected.server));
    let (Some(row), Some(pair)) = (row, pair) else {
        let reason = "the lab no longer has this activity".to_owned();
        return Tried { expected: expected.clone(), ok: false, attempts: 0, reason };
    };
    let purpose = format!("{}/{}/{}", expected.activity, expected.client, expected.server);
    let mut chance = Chance::new(seed, &purpose);
    let (mut attempts, mut reason) = (0, String::new());
    while attempts < 2 {
        attempts += 1;
        let since_us = now_us();
        let (ok, said) = carry_out(pair.0, &fill(row, pair, &mut chance, run), 25, run);
        if ok {
            return Tried { expected: expected.clone(), ok: true, attempts, reason: String::new() };
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let denied = involved(&readers.read(), since_us, expected);
        if !denied.is_empty() {
            return Tried { expected: expected.clone(), ok: false, attempts, reason: denied.join("; ") };
        }
        // Nothing was denied: a busy machine is no broken policy, so it gets one more chance, and the table says so.
        reason = format!("no denial was logged; said `{}`", said.lines().next_back().unwrap_or_default());
    }
    Tried { expected: expected.clone(), ok: false, attempts, reason }
}

/// Denials that explain why a conversation failed: its own, and those of what its server needed for it.
fn involved(denials: &[Denial], since_us: i64, expected: &Expected) -> Vec<String> {
    let recent: Vec<&Denial> = denials.iter().filter(|d| d.at_us >= since_us).collect();
    let own = recent.iter().filter(|d| {
        (d.client == expected.client || d.server == expected.client)
            || (d.client == expected.server && d.direction == "out")
    });
    let texts: BTreeSet<String> = own.map(|d| explain(d)).collect();
    texts.into_iter().take(4).collect()
}

pub(super) fn explain(d: &Denial) -> String {
    let protocol = match d.protocol {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        other => format!("protocol {other}"),
    };
    let Denial { client, server, port, rule, direction, host, .. } = d;
    format!("{client} -> {server} {protocol}/{port} denied by `{rule}` ({direction} at {host})")
}

/// The intruder's steps, each in sequence from the workstation, and each alone.
fn intrude(seed: u64, expected: &[Expected], run: &Path, readers: &Readers) -> anyhow::Result<Vec<Fate>> {
    let entry = attack::entry(seed);
    let allowed = Allowed::new(expected.iter().filter(|e| e.learned));
    let mut fates = Vec::new();
    for step in attack::steps(seed) {
        let since_us = now_us();
        let (reached, (alone, said)) = std::thread::scope(|scope| {
            let chained = scope.spawn(|| outcome(&step, carry_out(entry, &step.chained(run), 60, run)).0);
            let alone = outcome(&step, carry_out(&step.from, &step.alone(run), 60, run));
            (chained.join().unwrap_or_default(), alone)
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        let mut counted: BTreeMap<Denial, usize> = BTreeMap::new();
        for denial in readers.read().into_iter().filter(|d| d.at_us >= since_us) {
            let ends = [entry, &step.from];
            let hopping = step.hops.contains(&denial.client);
            if ends.contains(&denial.client.as_str()) || hopping {
                *counted.entry(Denial { at_us: 0, ..denial }).or_default() += 1;
            }
        }
        let (mut verdict, mut detail) = allowed.judge(&step, alone, &said);
        if verdict == "blocked" && counted.is_empty() {
            (verdict, detail) = ("unlogged", "it failed, and no denial was logged".to_owned());
        }
        fates.push(Fate { step, reached, alone, verdict, detail, denials: counted.into_iter().collect() });
    }
    Ok(fates)
}

/// A scan that found nothing open did not work, whatever its exit status.
fn outcome(step: &Step, (ok, said): (bool, String)) -> (bool, String) {
    (ok && (step.tool != "nmap" || said.contains("/open/")), said)
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
