//! `lab record`: learning, hold-out and attack, with exporters and kernels watching.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};

use super::net::Net;
use super::observe::{Observers, connections};
use super::schedule::{Done, Phase, phases, plan};
use super::truth::Story;
use super::{activity, attack, coverage, daemons, schedule, truth};

/// What to record.
pub(super) struct Order {
    pub(super) seed: u64,
    /// Length of the three phases together.
    pub(super) minutes: f64,
    pub(super) out: PathBuf,
}

/// Records, and says at the end what share of the truth the exporters saw.
pub(super) fn record(order: &Order) -> anyhow::Result<()> {
    let net = Net::up()?;
    let watchers = connections(&net)?;
    eprintln!("lab: {} hosts are up; starting the daemons", super::site::HOSTS.len());
    daemons::start(&net)?;
    let observers = Observers::start(&net, watchers)?;
    let rows = activity::all();
    let phases = phases(order.minutes);
    let actions = plan(&rows, &phases, order.seed, net.run());
    eprintln!("lab: recording {:.1} minutes, {} commands", order.minutes, actions.len());
    let (start, start_us) = (Instant::now(), now_us()?);
    let (done, attack) = std::thread::scope(|scope| {
        let legit = scope.spawn(|| schedule::run(&actions, start, net.run()));
        announce(&phases, start);
        let attack = attack::run(order.seed, &phases[2], start, net.run());
        (legit.join().unwrap_or_default(), attack)
    });
    observers.finish()?;
    failures(&done);
    for o in &attack {
        eprintln!(
            "lab: attack {:<16} {} {}",
            o.step.id,
            if o.ok { "ok" } else { "FAILED" },
            last_line(&o.said)
        );
    }
    let all = truth::connections(net.run())?;
    fs::create_dir_all(&order.out)?;
    for name in ["netflow-v9.pcap", "ipfix.pcap"] {
        fs::copy(net.run().join(name), order.out.join(name))
            .with_context(|| format!("cannot keep `{name}`"))?;
    }
    let story =
        Story { seed: order.seed, start_us, phases: &phases, rows: &rows, done: &done, attack: &attack };
    truth::inventory(&order.out)?;
    let unexplained = story.write(&all, &order.out)?;
    let share = check(&order.out, &all, start_us)?;
    eprintln!("lab: {} connections, {unexplained} that nobody meant", all.len());
    if share < 0.98 {
        bail!("the exporters saw only {:.1}% of the true connections", share * 100.0);
    }
    Ok(())
}

fn check(out: &Path, all: &[truth::Connection], start_us: i64) -> anyhow::Result<f64> {
    let recorded: Vec<_> = all.iter().filter(|c| c.at_us >= start_us).cloned().collect();
    coverage::check(out, &recorded)
}

/// Says when each phase begins, and returns when the last does.
fn announce(phases: &[Phase; 3], start: Instant) {
    for phase in phases {
        let due = start + std::time::Duration::from_secs_f64(phase.start_s);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        eprintln!("lab: {} begins", phase.name);
    }
}

fn failures(done: &[Done]) {
    let failed: Vec<&Done> = done.iter().filter(|d| !d.ok).collect();
    eprintln!("lab: {} commands, {} failed", done.len(), failed.len());
    for d in failed.iter().take(20) {
        let a = &d.action;
        eprintln!(
            "lab: at {:.0} s {} {} -> {}: {}",
            a.at_s,
            a.activity,
            a.client,
            a.server,
            last_line(&d.said)
        );
    }
}

fn last_line(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

fn now_us() -> anyhow::Result<i64> {
    let since =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(i64::try_from(since.as_micros())?)
}
