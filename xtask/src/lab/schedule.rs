//! When each activity runs: planned ahead from the seed, then carried out.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::activity::{self, Activity, When};
use super::chance::Chance;
use super::net::inside;
use super::site::{self, CUSTOMERS, DOMAIN, INTERNET, INTRUDER, WEB_OUTSIDE};

/// A part of the recording.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// Seconds after the recording's start.
    pub(super) start_s: f64,
    pub(super) end_s: f64,
}

/// Learning, hold-out and attack, one after the other.
pub(super) fn phases(minutes: f64) -> [Phase; 3] {
    let total = minutes * 60.0;
    let (learn, holdout) = (total * 0.48, total * 0.79);
    [
        Phase { name: "learn", start_s: 0.0, end_s: learn },
        Phase { name: "hold-out", start_s: learn, end_s: holdout },
        Phase { name: "attack", start_s: holdout, end_s: total },
    ]
}

/// One command at one time.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) at_s: f64,
    pub(super) activity: &'static str,
    pub(super) client: &'static str,
    pub(super) server: String,
    pub(super) script: String,
}

/// What became of an action.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) action: Action,
    pub(super) ok: bool,
    /// Last words on stderr.
    pub(super) said: String,
}

/// Everything that will happen apart from the intruder, in order.
pub(super) fn plan(rows: &[Activity], phases: &[Phase; 3], seed: u64, run: &Path) -> Vec<Action> {
    let total = phases[2].end_s;
    let mut actions = Vec::new();
    for row in rows {
        let mut chance = Chance::new(seed, row.name);
        let mut deck = Vec::new();
        let mut push = |at_s: f64, pair: (&'static str, &'static str), chance: &mut Chance| {
            let script = fill(row, pair, chance, run);
            let server = pair.1.to_owned();
            actions.push(Action { at_s, activity: row.name, client: pair.0, server, script });
        };
        match row.when {
            When::Mean(mean_s) => {
                let mut at_s = chance.gap(mean_s);
                while at_s < total {
                    let pair = deal(&mut deck, row, &mut chance);
                    push(at_s, pair, &mut chance);
                    at_s += chance.gap(mean_s);
                }
            }
            When::Round(every_s) => {
                let mut start = chance.unit() * every_s * 0.5;
                while start < total {
                    for (nth, pair) in row.pairs().into_iter().enumerate() {
                        push(start + 0.12 * nth as f64 + chance.unit() * 0.05, pair, &mut chance);
                    }
                    start += every_s * (0.9 + 0.2 * chance.unit());
                }
            }
            When::At(times) => {
                for &(phase, fraction) in times {
                    let phase = &phases[phase];
                    let at_s = phase.start_s + fraction * (phase.end_s - phase.start_s);
                    let pair = deal(&mut deck, row, &mut chance);
                    push(at_s, pair, &mut chance);
                }
            }
            When::Caused | When::Standing => {}
        }
    }
    actions.extend(scans(phases, seed));
    actions.retain(|a| a.at_s < total);
    actions.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    actions
}

/// The next pair of a shuffled deck, so that every pair happens before one happens twice more than another.
fn deal(
    deck: &mut Vec<(&'static str, &'static str)>,
    row: &Activity,
    chance: &mut Chance,
) -> (&'static str, &'static str) {
    if deck.is_empty() {
        *deck = row.pairs();
        chance.shuffle(deck);
    }
    deck.pop().unwrap_or_default()
}

/// The row's command with everything filled in.
pub(super) fn fill(
    row: &Activity,
    (client, server): (&'static str, &'static str),
    chance: &mut Chance,
    run: &Path,
) -> String {
    let number = 1 + chance.below(4000);
    let path = match chance.below(10) {
        0..=3 => format!("api/catalog/{number}"),
        4..=6 => format!("api/cart/{number}"),
        7..=8 => format!("api/order/{number}"),
        _ => "index.html".to_owned(),
    };
    let ip = match server {
        INTERNET => WEB_OUTSIDE.to_owned(),
        id => site::address(id),
    };
    let target = match row.targets.len() {
        0 => "",
        // Names are asked for by name, servers behind a hop by address.
        count => row.targets[chance.below(count)],
    };
    let target = if row.name == "names" { target.to_owned() } else { site::address(target) };
    let customer = usize::from(CUSTOMERS.0) + chance.below(usize::from(CUSTOMERS.1 - CUSTOMERS.0) + 1);
    row.script
        .replace("{ssh}", activity::ssh())
        .replace("{ip}", &ip)
        .replace("{name}", &format!("{server}.{DOMAIN}"))
        .replace("{path}", &path)
        .replace("{n}", &number.to_string())
        .replace("{digit}", &(1 + number % 6).to_string())
        .replace("{customer}", &customer.to_string())
        .replace("{target}", &target)
        .replace("{me}", client)
        .replace("{run}", &run.display().to_string())
}

/// The vulnerability scanner: a few ranges at odd times, in every phase but the last.
fn scans(phases: &[Phase; 3], seed: u64) -> Vec<Action> {
    let mut chance = Chance::new(seed, "scans");
    let mut ranges = ["10.20.10.0/26", "10.20.20.0/26", "10.20.30.0/26", "10.20.50.0/26", "10.20.60.0/26"];
    chance.shuffle(&mut ranges);
    let mut actions = Vec::new();
    for (nth, range) in ranges.iter().enumerate() {
        let phase = &phases[usize::from(nth >= 3)];
        let at_s = phase.start_s + (0.1 + 0.8 * chance.unit()) * (phase.end_s - phase.start_s);
        let script = format!(
            "nmap -sT -n -T4 -PE --max-retries 1 --host-timeout 30s -p 21,22,25,80,443,445,3389,5432,6379,8080 {range} \
             >/dev/null"
        );
        let server = (*range).to_owned();
        actions.push(Action { at_s, activity: "vulnerability-scan", client: "scanner-1", server, script });
    }
    actions
}

/// Carries out a plan until its end; commands that still run then are waited for.
pub(super) fn run(actions: &[Action], start: Instant, folder: &Path) -> Vec<Done> {
    let done = Arc::new(Mutex::new(Vec::new()));
    let running = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for action in actions {
        let due = start + Duration::from_secs_f64(action.at_s);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // A machine that falls behind drops work rather than piling it up; the truth is what happened, not the plan.
        if running.load(Ordering::Relaxed) > 80 {
            continue;
        }
        let (action, folder) = (action.clone(), folder.to_path_buf());
        let (done, running) = (Arc::clone(&done), Arc::clone(&running));
        running.fetch_add(1, Ordering::Relaxed);
        threads.push(std::thread::spawn(move || {
            let (ok, said) = carry_out(action.client, &action.script, 25, &folder);
            running.fetch_sub(1, Ordering::Relaxed);
            if let Ok(mut done) = done.lock() {
                done.push(Done { action, ok, said });
            }
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
    done.lock().map(|mut done| std::mem::take(&mut *done)).unwrap_or_default()
}

/// Runs one shell command in a host's namespace; whether it succeeded, and its last words.
pub(super) fn carry_out(client: &str, script: &str, timeout_s: u32, folder: &Path) -> (bool, String) {
    let outcome = inside(client, "timeout")
        .args(["-k", "2", &timeout_s.to_string(), "sh", "-c", script])
        .envs(activity::environment(&folder.display().to_string()))
        .current_dir(folder.join("home"))
        .stdin(Stdio::null())
        .output();
    match outcome {
        Ok(out) => {
            let text = [out.stdout, out.stderr].concat();
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            (out.status.success(), text)
        }
        Err(error) => (false, error.to_string()),
    }
}

/// The address that stands for the intruder's machine in truth.
pub(super) fn outside_name(ip: &str) -> &'static str {
    match ip {
        INTRUDER => "intruder",
        _ => INTERNET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_seeds_alone_and_covers_every_pair_while_learning() {
        let rows = activity::all();
        let phases = phases(15.0);
        let (first, again) =
            (plan(&rows, &phases, 7, Path::new("/r")), plan(&rows, &phases, 7, Path::new("/r")));
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        for row in rows.iter().filter(|r| matches!(r.when, When::Mean(_) | When::Round(_))) {
            for (client, server) in row.pairs() {
                let learned = first.iter().any(|a| {
                    a.activity == row.name
                        && a.client == client
                        && a.server == server
                        && a.at_s < phases[0].end_s
                });
                assert!(learned, "{} {client} {server}", row.name);
            }
        }
    }
}
