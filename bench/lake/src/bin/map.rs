//! What a map over a month costs: edges of a window from the lake's rollups, then conversations between workloads.
//!
//! ```text
//! cargo run --release -p ringfence-bench-lake --bin map -- [HOSTS] [CONVERSATIONS] [DAYS]
//! ```
//!
//! Two lakes with the same distinct conversations in the same hours, one of 10 million flows and one of 100 million:
//! the cost must be the same. Each is asked in a process of its own, so that peak memory is that of the query.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bench_lake::{Dice, cpu_seconds, peak_memory_mb};
use lake::{Begun, DAY_US, EdgeQuery, HOUR_US, Lake, SourceIdentity};
use model::{
    AddressClaim, Exporter, Inventory, Ip, Labels, Micros, RollupRow, Service, TimeWindow, Workload,
    WorkloadId,
};

/// 2026-10-01T00:00:00Z.
const FIRST: Micros = 1_790_812_800_000_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder, hosts, days] = &arguments[..]
        && mode == "ask"
    {
        return ask(Path::new(folder), hosts.parse()?, days.parse()?);
    }
    let number = |index: usize, default: u64| -> Result<u64> {
        arguments.get(index).map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let (hosts, conversations, days) = (number(0, 1_000)?, number(1, 20_000)?, number(2, 30)?);
    for flows in [10_000_000, 100_000_000] {
        let folder = tempfile::tempdir()?;
        build(folder.path(), hosts, conversations, days, flows)?;
        // The first run reads from the disk's cache as the second does: the files were just written.
        for _ in 0..3 {
            let status = Command::new(std::env::current_exe()?)
                .arg("ask")
                .arg(folder.path())
                .args([hosts.to_string(), days.to_string()])
                .status()?;
            if !status.success() {
                bail!("the query failed: {status}");
            }
        }
    }
    Ok(())
}

/// A lake of rollups: every conversation every day, in two to twenty of its hours.
fn build(folder: &Path, hosts: u64, conversations: u64, days: u64, flows: u64) -> Result<()> {
    let mut dice = Dice::new(7);
    let routers = ["router-1", "router-2", "router-3", "router-4"].map(|name| Exporter(name.into()));
    let known: Vec<(Ip, Ip, Service, u64, usize)> = (0..conversations)
        .map(|_| {
            let (client, server) = (dice.roll(hosts), dice.roll(hosts / 5 + 1));
            let port = [22, 53, 80, 123, 443, 3306, 5432, 6379, 8080, 9100][dice.roll(10) as usize];
            (host(client), host(server), Service::tcp(port), 2 + dice.roll(19), dice.roll(4) as usize)
        })
        .collect();
    let active: u64 = known.iter().map(|(_, _, _, hours, _)| hours * days).sum();
    let each = flows / active.max(1);
    let mut lake = Lake::open(folder)?;
    let source = SourceIdentity::of_stream("synthetic", "map", 0, flows);
    let Begun::New(mut import) = lake.begin_import(source)? else { bail!("the folder is not new") };
    let mut total = 0;
    for day in 0..days {
        for hour in 0..24_u64 {
            let at = FIRST + day as Micros * DAY_US + hour as Micros * HOUR_US;
            let mut rows = Vec::new();
            for (client, server, service, hours, router) in &known {
                if (hour * 7 + client.0 as u64) % 24 >= *hours {
                    continue;
                }
                let flows = each.max(1) + dice.roll(2);
                total += flows;
                rows.push(RollupRow {
                    hour: at,
                    hours: 1,
                    exporter: routers[*router].clone(),
                    client: *client,
                    server: *server,
                    service: *service,
                    client_port: None,
                    flows,
                    reverse_flows: flows,
                    packets: flows * (5 + dice.roll(20)),
                    bytes: flows * (500 + dice.roll(20_000)),
                    reverse_packets: flows * (5 + dice.roll(20)),
                    reverse_bytes: flows * (500 + dice.roll(200_000)),
                    first: at + dice.roll(HOUR_US as u64 / 2) as Micros,
                    last: at + HOUR_US / 2 + dice.roll(HOUR_US as u64 / 2) as Micros,
                    allowed: 0,
                    denied: 0,
                    confidence_sum: flows as f64 * 1.9,
                    tcp_flags: 0x1b,
                });
            }
            import.append_rollups(&rows)?;
        }
    }
    let receipt = import.commit()?;
    let stats = lake.stats()?;
    println!(
        "{total} flows, {hosts} hosts, {conversations} conversations, {days} days: {} hourly and {} daily sums in {} \
         files, {:.0} MB",
        receipt.edges,
        stats.daily,
        stats.files,
        stats.bytes as f64 / 1e6
    );
    Ok(())
}

fn ask(folder: &Path, hosts: u64, days: u64) -> Result<()> {
    let inventory = Inventory::new((0..hosts).map(workload).collect())
        .map_err(|conflicts| anyhow::anyhow!("{} conflicts", conflicts.len()))?;
    let lake = Lake::open_read(folder)?;
    let month = TimeWindow { from: FIRST, to: FIRST + days as Micros * DAY_US };
    // Then a window that days alone cannot answer.
    let shifted = TimeWindow { from: FIRST + 5 * HOUR_US, to: month.to - 7 * HOUR_US };
    for (name, window) in [("whole days", month), ("from hour 5 to hour 17", shifted)] {
        let (clock, before) = (Instant::now(), cpu_seconds()?);
        let rows = lake.edges(&EdgeQuery { window, cuts: Vec::new() }, &mut |_| {})?;
        let (edges_wall, edges_cpu, edges) =
            (clock.elapsed().as_secs_f64(), cpu_seconds()? - before, rows.len());
        let conversations = converse::resolve(rows, &inventory);
        let flows: u64 = conversations.iter().map(|c| c.flows).sum();
        conversations.first().context("no conversations")?;
        println!(
            "  {name}: {edges} edges in {edges_wall:.3} s (CPU {edges_cpu:.2} s), {} conversations of {flows} flows \
             after {:.3} s (CPU {:.2} s), peak memory {:.0} MB",
            conversations.len(),
            clock.elapsed().as_secs_f64(),
            cpu_seconds()? - before,
            peak_memory_mb()?
        );
    }
    Ok(())
}

fn host(number: u64) -> Ip {
    Ip::v4(0x0a00_0000 + number as u32 + 1)
}

fn workload(number: u64) -> Workload {
    let id = format!("host-{number:05}");
    Workload {
        id: WorkloadId(id.clone()),
        name: id,
        labels: Labels::new(),
        criticality: None,
        addresses: vec![AddressClaim { ip: host(number), from: Micros::MIN, to: Micros::MAX }],
    }
}
