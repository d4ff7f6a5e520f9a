//! What it costs to resolve a large policy: `cargo run --release -p ringfence-policy --example scale [RULES]`.
//!
//! 200 segments of 50 workloads each, with scattered addresses; rules between random segments on random ports, five
//! guardrails. Prints the CPU seconds up to the end of each step, where the kernel
//! tells them (Linux), and wall seconds.

use std::time::Instant;

use model::{AddressClaim, Inventory, Ip, Micros, Region, Workload, WorkloadId};
use policy::{parse, plan, resolve};

const SEGMENTS: u64 = 200;
const MEMBERS: u64 = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules: u64 = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let inventory =
        Inventory::new((0..SEGMENTS * MEMBERS).map(workload).collect()).map_err(|_| "conflict")?;
    let text = policy_text(rules);
    let clock = Instant::now();
    let lap = |what: &str| {
        let wall = clock.elapsed().as_secs_f64();
        println!("{what:<16}{:>8.3} s CPU {wall:>8.3} s wall", cpu_seconds().unwrap_or(wall));
    };
    let set = parse(&[("scale.yaml".into(), text)]).map_err(|problems| problems[0].to_string())?;
    lap("parsed");
    let view = inventory.as_of(0);
    let resolved = resolve(&set, &view);
    lap("resolved");
    let again = resolve(&set, &view);
    lap("resolved again");
    let same = resolved.allowed == again.allowed;
    lap("compared");
    let permitted = resolved.permitted();
    lap("permitted");
    let opened = permitted.subtract(&resolved.allowed);
    lap("subtracted");
    let made = plan(&resolved, &view, None);
    lap("planned");
    let plan_rules: usize = made.points.iter().map(|point| point.ingress.len() + point.egress.len()).sum();
    println!(
        "{rules} rules, {} boxes, equal: {same}, unmanaged: {}, {} points with {plan_rules} rules",
        resolved.allowed.boxes().count(),
        !opened.is_empty(),
        made.points.len()
    );
    Ok(())
}

/// Time that this thread has spent on a CPU.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// A small mixing step (splitmix64), so that the policy is the same in every run.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn workload(index: u64) -> Workload {
    // Members of a segment lie far apart: no block covers two of them.
    let ip = Ip::v4(0x0a00_0000 + ((index * 7_919) % 1_000_003) as u32 * 2);
    let labels = [("seg", format!("s{}", index % SEGMENTS)), ("env", String::from("prod"))];
    Workload {
        id: WorkloadId(format!("w{index:05}")),
        name: format!("w{index:05}"),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        criticality: None,
        addresses: vec![AddressClaim { ip, from: 0, to: Micros::MAX }],
    }
}

fn policy_text(rules: u64) -> String {
    let mut text = String::from(
        "kind: Guardrail\nowner: o\ndeny:\n  - {id: g1, from: any, to: seg=s1, ports: tcp/22, why: w}\n  \
         - {id: g2, from: internet, to: env=prod, ports: tcp/23, why: w}\n  \
         - {id: g3, from: seg=s3, to: seg=s4, why: w}\nallow:\n  \
         - {id: g4, from: any, to: seg=s0, ports: udp/53, why: w}\n  \
         - {id: g5, from: seg=s2, to: any, ports: tcp/9100, why: w}\n---\n\
         kind: SegmentPolicy\nscope: env=prod\nowner: o\nmode: enforce\nallow:\n",
    );
    for index in 0..rules {
        let (from, to, port) =
            (mix(index) % SEGMENTS, mix(index ^ 0xabcd) % SEGMENTS, mix(index ^ 0xffff) % 40_000);
        text += &format!(
            "  - {{id: r{index}, from: seg=s{from}, to: seg=s{to}, ports: tcp/{}, why: w}}\n",
            port + 1
        );
    }
    text
}
