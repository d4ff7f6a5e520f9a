//! How long 10,000 rules against 1,000,000 conversations take: `cargo run --release -p ringfence-bench --bin simulate`.
//!
//! The network is synthetic and the same on every run: 20,000 hosts in 1,000 segments of 20 whose addresses are
//! scattered, 10,000 rules between segments (a few of them about every address, some denies), and conversations of
//! which about half follow a rule. Prints CPU time, which neighbours on the machine do not change.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use model::{
    AddressClaim, Conversation, Endpoint, Inventory, Ip, Labels, Micros, Packet, Service, Workload,
    WorkloadId,
};
use policy::{Resolved, resolve};
use simulate::{Evaluator, SimulateOptions, simulate as replay};

const HOSTS: u64 = 20_000;
const SEGMENTS: u64 = 1_000;
const RULES: u64 = 10_000;
const CONVERSATIONS: u64 = 1_000_000;

fn main() -> Result<()> {
    let mut random = Random(1);
    let inventory = inventory().context("the synthetic inventory")?;
    let (text, pairs) = policy_text(&mut random);
    let set = policy::parse(&[(String::from("bench.yaml"), text)])
        .map_err(|problems| anyhow::anyhow!("the synthetic policy: {} problems", problems.len()))?;
    let (resolved, resolving) = timed(|| resolve(&set, &inventory.as_of(0)))?;
    let conversations = conversations(&mut random, &pairs);
    let (evaluator, indexing) = timed(|| Evaluator::new(&resolved))?;
    let (sources, destinations, services) = evaluator.classes();
    println!("rules {}  conversations {}", resolved.rules.len(), conversations.len());
    println!("classes: {sources} of sources, {destinations} of destinations, {services} of services");
    println!("resolve (not counted)  {:>7.3} s", resolving.as_secs_f64());
    println!("index                  {:>7.3} s  (part of simulate)", indexing.as_secs_f64());
    for _ in 0..3 {
        let (result, took) = timed(|| replay(&resolved, &conversations, &SimulateOptions::default()))?;
        println!(
            "simulate               {:>7.3} s  coverage {:.3}  over-permission {:.1}{}",
            took.as_secs_f64(),
            result.coverage,
            result.over_permission,
            if result.over_permission_is_bound { " (bound)" } else { "" }
        );
    }
    let (decided, took) = timed(|| {
        conversations.iter().map(|c| evaluator.decide(&packet(c)).rule.is_some()).filter(|d| *d).count()
    })?;
    println!("decide alone           {:>7.3} s  {decided} by a rule", took.as_secs_f64());
    agree(&resolved, &evaluator, &conversations)
}

/// The fast evaluator against the naive one, on a sample.
fn agree(resolved: &Resolved, evaluator: &Evaluator<'_>, conversations: &[Conversation]) -> Result<()> {
    let sample = conversations.iter().step_by(conversations.len() / 2_000);
    let (mut count, mut naive) = (0_u32, Duration::ZERO);
    for conversation in sample {
        let packet = packet(conversation);
        let (expected, took) = timed(|| resolved.decide(&packet))?;
        ensure!(evaluator.decide(&packet) == expected, "the evaluators disagree about {packet}");
        (count, naive) = (count + 1, naive + took);
    }
    println!(
        "agrees with the naive evaluator on {count} conversations, which takes {:.1} us each",
        naive.as_secs_f64() * 1e6 / f64::from(count)
    );
    Ok(())
}

fn packet(conversation: &Conversation) -> Packet {
    Packet {
        source: conversation.client.ip,
        destination: conversation.server.ip,
        protocol: conversation.service.protocol,
        selector: conversation.service.low,
    }
}

/// Hosts are dealt to segments in turn, so that a segment's addresses are never neighbours.
fn inventory() -> Result<Inventory> {
    let workload = |n: u64| Workload {
        id: WorkloadId(format!("host-{n}")),
        name: format!("host-{n}"),
        labels: Labels::from([(String::from("segment"), format!("s{}", n % SEGMENTS))]),
        criticality: None,
        addresses: vec![AddressClaim { ip: address(n), from: Micros::MIN, to: Micros::MAX }],
    };
    Inventory::new((0..HOSTS).map(workload).collect())
        .map_err(|conflicts| anyhow::anyhow!("{} addresses have two owners", conflicts.len()))
}

fn address(host: u64) -> Ip {
    Ip::v4(0x0a00_0000 + 3 * host as u32)
}

type Pairs = Vec<(u64, u64, u16)>;

/// A policy file, and the (client segment, server segment, port) that its allows are about.
fn policy_text(random: &mut Random) -> (String, Pairs) {
    let mut scopes: BTreeMap<u64, String> = BTreeMap::new();
    let mut pairs = Pairs::new();
    let (guardrails, ordinary) = (100, RULES - 100);
    let mut text = String::from("kind: Guardrail\nowner: secops\ndeny:\n");
    for number in 0..guardrails - 3 {
        let (from, to) = (random.below(SEGMENTS), random.below(SEGMENTS));
        text.push_str(&format!(
            "  - {{id: deny-{number}, from: segment=s{from}, to: segment=s{to}, ports: [tcp/22], why: bench}}\n"
        ));
    }
    text.push_str("allow:\n");
    for (number, port) in [53, 123, 514].into_iter().enumerate() {
        text.push_str(&format!(
            "  - {{id: shared-{number}, from: any, to: segment=s{number}, ports: [udp/{port}], why: bench}}\n"
        ));
    }
    for number in 0..ordinary {
        let (from, to) = (random.below(SEGMENTS), random.below(SEGMENTS));
        let port = 1_000 + random.below(200) as u16;
        pairs.push((from, to, port));
        scopes.entry(to).or_default().push_str(&format!(
            "  - {{id: rule-{number}, from: segment=s{from}, to: segment=s{to}, ports: [tcp/{port}-{}], why: bench}}\n",
            port + random.below(3) as u16
        ));
    }
    for (segment, rules) in scopes {
        text.push_str(&format!(
            "---\nkind: SegmentPolicy\nscope: segment=s{segment}\nowner: team-{}\nmode: test\nallow:\n{rules}",
            segment % 50
        ));
    }
    (text, pairs)
}

fn conversations(random: &mut Random, pairs: &Pairs) -> Vec<Conversation> {
    let member = |random: &mut Random, segment: u64| segment + SEGMENTS * random.below(HOSTS / SEGMENTS);
    let endpoint =
        |host: u64| Endpoint { ip: address(host), workload: Some(WorkloadId(format!("host-{host}"))) };
    let one = |_| {
        let (client, server, port) = if random.below(2) == 0 {
            let (from, to, port) = pairs[random.below(pairs.len() as u64) as usize];
            (member(random, from), member(random, to), port)
        } else {
            (random.below(HOSTS), random.below(HOSTS), 1_000 + random.below(300) as u16)
        };
        let flows = 1 + random.below(100);
        Conversation {
            client: endpoint(client),
            server: endpoint(server),
            service: Service::tcp(port),
            confidence: 0.7 + random.below(30) as f64 / 100.0,
            flows,
            packets: flows * 8,
            bytes: flows * 900,
            reverse_packets: flows * 7,
            reverse_bytes: flows * 4_000,
            first: 0,
            last: 86_400_000_000,
            hours: 1 + random.below(24) as u32,
            allowed: 0,
            denied: 0,
            tcp_flags: 0x1b,
        }
    };
    (0..CONVERSATIONS).map(one).collect()
}

/// The result and the CPU time of this thread, the only one, that it took.
fn timed<T>(work: impl FnOnce() -> T) -> Result<(T, Duration)> {
    let before = cpu_time()?;
    let result = work();
    Ok((result, cpu_time()? - before))
}

/// From the kernel's scheduler statistics, in nanoseconds: the clock ticks of `stat` are too coarse.
fn cpu_time() -> Result<Duration> {
    const PATH: &str = "/proc/self/schedstat";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
    let spent = text.split_whitespace().next().context("no time in it")?;
    Ok(Duration::from_nanos(spent.parse().with_context(|| format!("`{spent}` in {PATH}"))?))
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
