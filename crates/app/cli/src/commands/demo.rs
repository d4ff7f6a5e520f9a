//! `ringfence demo`: the whole story on the bundled recording of the lab.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use compile::Peer;
use converse::ServiceTable;
use lake::Storing;
use model::{Micros, Mode, Plan, Segmentation, TimeWindow};
use propose::{Proposal, ProposeOptions};
use report::{StepOutcome, Story, StoryAttack, StoryDropped, StorySource};
use simulate::Replay;

use super::import::{Done, store};
use crate::flow_input::{Piece, print_losses};
use crate::output::{bytes_text, grouped, percent};
use crate::project::{Project, open_lake};
use crate::story::{self, Truth};
use crate::world::{World, load_policy};
use crate::{Exit, Global, policy_files};

/// The recording: datagrams of both exporters of every router interface, who exists, and what really happened.
const RECORDING: [(&str, &[u8]); 3] = [
    ("netflow-v9.pcap", include_bytes!("../../../../../lab/recordings/first/netflow-v9.pcap")),
    ("ipfix.pcap", include_bytes!("../../../../../lab/recordings/first/ipfix.pcap")),
    ("inventory.csv", include_bytes!("../../../../../lab/recordings/first/inventory.csv")),
];
const TRUTH: &str = include_str!("../../../../../lab/recordings/first/truth.json");

/// As `println!`, but a reader that has gone does not end the demo.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stdout(), $($what)*);
    }};
}

/// What the people of this network had decided before anything was learnt.
const PEOPLE: (&str, &str) = ("10-people.yaml", include_str!("demo-people.yaml"));

#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Where to put the project, the policy, the artifacts and the report. An earlier demo there is replaced.
    #[arg(long, default_value = "ringfence-demo", value_name = "DIR")]
    out: PathBuf,
    /// The outcome of `cargo xtask lab prove`, to be told in the report.
    #[arg(long, value_name = "FILE", hide = true)]
    proof: Option<PathBuf>,
}

/// Marks a folder as a demo's, so that nothing else is ever replaced.
const MARKER: &str = ".ringfence-demo";

impl Demo {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let truth = Truth::parse(TRUTH)?;
        prepare(&self.out)?;
        let project = Project::within(&self.out);
        say!("Ringfence demo: {} hosts in network namespaces, recorded for fifteen minutes.", recorded_hosts(&truth));
        say!("Everything below is computed now, from the recording; the truth is used for scoring alone.\n");
        let (sources, dropped) = see(&project)?;
        let world = World::of(project.clone())?;
        let act = Act { world: &world, truth: &truth, learn: truth.window("learn")?, holdout: truth.window("hold-out")? };
        let (segmentation, proposal, graph) = act.learn_and_propose()?;
        let (files, set) = written_policy(&project)?;
        let at = act.learn.to;
        let resolved = world.resolve(&files, &set, at)?;
        let outcomes = act.prove(&set, &resolved, at)?;
        let replay = act.replay(&resolved, at)?;
        let plan = policy::plan(&resolved, &world.inventory.as_of(at), None);
        compile_all(&plan, &self.out)?;
        let mut attack = act.attack(&resolved, at)?;
        if let Some(path) = &self.proof {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            attack.kernel = story::kernel_checks(&text)?;
        }

        let whole = TimeWindow { from: act.learn.from, to: act.holdout.to };
        let conversations = world.conversations(whole)?;
        // Scans and neighbour discovery would add hundreds of addresses that nobody has; they are in the tables.
        let shown = graph::without_noise(&world.graph(&conversations, whole.to));
        let mut map = story::map_story(&world, &shown, Some(&segmentation), &[], whole);
        map.title = "the recorded lab".to_owned();
        map.sources = sources;
        map.dropped = dropped;
        map.windows = story::windows(&world, &[("learn", act.learn), ("hold-out", act.holdout), ("attack", truth.window("attack")?)]);
        map.origin.policy = Some("policies/".to_owned());
        map.origin.plan = Some(plan.id.clone());
        story::add_verdicts(&mut map, &shown, &conversations, &resolved);
        story::add_attack(&mut map, &attack);
        let ari = story::adjusted_rand_index(&segmentation, &truth.segments);
        let story = Story {
            headline: None,
            numbers: report::StoryNumbers { ari: Some(ari), ..story::numbers(&world, &replay)? },
            unassigned: story::unassigned(&segmentation),
            rules: story::rule_stories(&files, &set, Some(&proposal), Some(&replay)),
            frontier: story::frontier(&proposal),
            blocked: story::blocked(&replay, Some(&truth)),
            quarantined: story::quarantined(&proposal),
            assertions: story::assertions(&outcomes),
            attack: Some(attack.clone()),
            notes: Vec::new(),
            map,
        };
        let page = self.out.join("report.html");
        std::fs::write(&page, report::render(&story)).with_context(|| format!("cannot write `{}`", page.display()))?;
        let score = Score { ari, segmentation: &segmentation, proposal: &proposal, replay: &replay, attack: &attack };
        score.print(&self.out, &graph, act.legitimate_blocked(&replay));
        Ok(Exit::Ok)
    }
}

/// The project's policy, its files named as seen from the project: the report is the same wherever the demo lies.
fn written_policy(project: &Project) -> anyhow::Result<(Vec<(String, String)>, policy::PolicySet)> {
    let mut files = policy_files::read(std::slice::from_ref(&project.policies))?;
    let base = format!("{}/", project.root.display());
    for (name, _) in &mut files {
        if let Some(inner) = name.strip_prefix(&base) {
            *name = inner.to_owned();
        }
    }
    let set = policy_files::parse(&files)?;
    Ok((files, set))
}

fn recorded_hosts(truth: &Truth) -> usize {
    truth.segments.values().map(Vec::len).sum()
}

/// An empty project with the recording in it.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    let marker = folder.join(MARKER);
    if folder.exists() {
        let foreign = !marker.exists() && std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if foreign {
            bail!("`{}` is not empty and not an earlier demo; choose another folder with --out", folder.display());
        }
        for part in [".ringfence", "policies", "inventory", "flows", "artifacts"] {
            let path = folder.join(part);
            if path.exists() {
                std::fs::remove_dir_all(&path).with_context(|| format!("cannot replace `{}`", path.display()))?;
            }
        }
    }
    super::init::make(folder)?;
    std::fs::write(&marker, "").with_context(|| format!("cannot write `{}`", marker.display()))?;
    let flows = folder.join("flows");
    std::fs::create_dir_all(&flows)?;
    for (name, bytes) in RECORDING {
        let path = if name.ends_with(".csv") { folder.join("inventory/assets.csv") } else { flows.join(name) };
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    std::fs::write(folder.join("truth.json"), TRUTH)?;
    std::fs::write(folder.join("policies").join(PEOPLE.0), PEOPLE.1)?;
    Ok(())
}

fn heading(number: u8, text: &str) {
    say!("\u{1b}[1m{number}  {text}\u{1b}[0m");
}

/// Inventory and flows into the lake.
fn see(project: &Project) -> anyhow::Result<(Vec<StorySource>, Vec<StoryDropped>)> {
    heading(1, "see");
    let mut lake = open_lake(&project.lake)?;
    let assets = inventory::read_paths(&[project.root.join("inventory/assets.csv")])?;
    lake.store_workloads(&assets.workloads, Storing::Merge)?;
    say!("   {} workloads from inventory/assets.csv", assets.workloads.len());
    let rejects = crate::flow_input::RejectLog::none();
    let mut table = ServiceTable::new();
    let mut lost = intake::Summary::default();
    let mut sources = Vec::new();
    for (name, bytes) in RECORDING.iter().filter(|(name, _)| name.ends_with(".pcap")) {
        let path = project.root.join("flows").join(name);
        let Done::Stored(receipt, outcome, _) =
            store(&mut lake, "auto", &Piece::file(path), &rejects, &mut table, false)?
        else {
            continue;
        };
        say!(
            "   {name}: {} in {} datagrams, {} flows, {} conversations an hour",
            bytes_text(bytes.len() as u64),
            grouped(outcome.summary.datagrams),
            grouped(receipt.flows),
            grouped(receipt.edges)
        );
        if let Some(damage) = outcome.damage {
            return Err(damage.into());
        }
        print_losses(&outcome.summary);
        lost.merge(&outcome.summary);
        sources.push(StorySource {
            name: (*name).to_owned(),
            format: outcome.format.to_owned(),
            records: outcome.summary.flows,
            bytes: outcome.summary.bytes_read,
        });
    }
    let reason = |(reason, dropped): (&&'static str, &intake::Dropped)| StoryDropped {
        reason: (*reason).to_owned(),
        records: dropped.count,
        bytes: dropped.bytes,
    };
    Ok((sources, lost.dropped.iter().map(reason).collect()))
}

struct Act<'a> {
    world: &'a World,
    truth: &'a Truth,
    learn: TimeWindow,
    holdout: TimeWindow,
}

impl Act<'_> {
    fn learn_and_propose(&self) -> anyhow::Result<(Segmentation, Proposal, graph::Graph)> {
        let conversations = self.world.conversations(self.learn)?;
        let graph = self.world.graph(&conversations, self.learn.to);
        let count = |test: &dyn Fn(&graph::Edge) -> bool| graph.edges.iter().filter(|e| test(e)).count();
        say!(
            "   map of the learning window ({}): {} conversations, {} edges, {} to shared services, {} marked as noise",
            story::window_text(self.learn),
            conversations.len(),
            graph.edges.len(),
            count(&|e| e.shared),
            count(&|e| e.noise.is_some())
        );
        for node in graph.nodes.iter().filter(|n| n.scanner.is_some()) {
            say!("   {} behaves like a scanner: {}", node.id, node.scanner.as_deref().unwrap_or_default());
        }
        heading(2, "learn");
        let segmentation = segment::discover(&graph, &segment::DiscoverOptions::default());
        for segment in &segmentation.segments {
            let members: Vec<&str> = segment.members.iter().map(|m| m.0.as_str()).collect();
            say!("   {:<34} {}", segment.name, members.join(" "));
        }
        for left in &segmentation.unassigned {
            say!("   {:<34} {}: {}", "(unassigned)", left.workload, left.reason);
        }
        open_lake(&self.world.project.lake)?.put_segmentation(&segmentation)?;
        heading(3, "propose");
        let (_, people) = load_policy(&self.world.project, &[])?;
        say!("   people's own rules come first: policies/{}", PEOPLE.0);
        let options = ProposeOptions {
            owner: "demo".to_owned(),
            mode: Mode::Enforce,
            as_of: self.learn.to,
            existing: Some(people.clone()),
            ..ProposeOptions::default()
        };
        let mut proposal = propose::propose(&graph, &segmentation, &options);
        proposal.policy.documents.retain(|entry| !people.documents.contains(entry));
        let written = super::policy::write_policy(&proposal.policy, &self.world.project.policies)?;
        let guardrails = proposal.rules.iter().filter(|r| r.guardrail).count();
        say!(
            "   {} rules ({guardrails} guardrail allows for shared services) in {} files, width {}; {} kept out for review",
            proposal.rules.len(),
            written.len(),
            proposal.chosen,
            proposal.quarantined.len()
        );
        for item in proposal.quarantined.iter().take(6) {
            say!("   not allowed: {}: {}", item.edge, item.detail);
        }
        Ok((segmentation, proposal, graph))
    }

    fn prove(
        &self,
        set: &policy::PolicySet,
        resolved: &policy::Resolved,
        at: Micros,
    ) -> anyhow::Result<Vec<verify::AssertionOutcome>> {
        heading(4, "prove");
        let outcomes = verify::check_assertions(set, resolved, &self.world.inventory.as_of(at));
        let failed: Vec<_> = outcomes.iter().filter(|o| !o.holds).collect();
        say!("   {} sentence tests proven for all traffic, {} failed", outcomes.len() - failed.len(), failed.len());
        for outcome in &failed {
            say!("   ✘ {}: {}", outcome.sentence, super::explanation(outcome).unwrap_or_default());
        }
        if failed.is_empty() { Ok(outcomes) } else { bail!("the proposal fails its own tests") }
    }

    fn replay(&self, resolved: &policy::Resolved, at: Micros) -> anyhow::Result<Replay> {
        heading(5, "replay what was held out");
        let replay = super::simulate::replay(self.world, resolved, self.holdout, at)?;
        let estimate = &replay.false_block_estimate;
        say!(
            "   {} connections: {} allowed, {} would be blocked, {} unknown; coverage of what looks legitimate {}",
            grouped(replay.flows_total),
            grouped(replay.allowed),
            grouped(replay.would_block),
            grouped(replay.unknown + replay.unmanaged),
            percent(replay.coverage_legitimate)
        );
        say!(
            "   false-block estimate: {} of legitimate conversations (95% interval {} to {})",
            percent(estimate.mid),
            percent(estimate.low),
            percent(estimate.high)
        );
        let mut by_client: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        replay.blocked.iter().for_each(|b| *by_client.entry(&b.client).or_default() += 1);
        const SWEEP: usize = 10;
        for (client, count) in by_client.iter().filter(|(_, count)| **count > SWEEP) {
            say!("   would block {client} -> {count} hosts and services: a sweep, see the report");
        }
        for blocked in replay.blocked.iter().filter(|b| by_client.get(b.client.as_str()).is_none_or(|n| *n <= SWEEP)) {
            let word = match self.truth.legitimate(&blocked.client, &blocked.server, blocked.service) {
                Some(true) => "legitimate, never seen in learning",
                Some(false) => "rightly",
                None => "nobody in the lab meant it",
            };
            say!("   would block {} -> {} {} ({} x): {word}", blocked.client, blocked.server, blocked.service, blocked.flows);
        }
        Ok(replay)
    }

    /// Would-be blocked conversations that the truth calls legitimate.
    fn legitimate_blocked(&self, replay: &Replay) -> usize {
        let legitimate = |b: &&simulate::BlockedConversation| {
            self.truth.legitimate(&b.client, &b.server, b.service) == Some(true)
        };
        replay.blocked.iter().filter(legitimate).count()
    }

    fn attack(&self, resolved: &policy::Resolved, at: Micros) -> anyhow::Result<StoryAttack> {
        heading(7, "attack");
        let attack = story::attack_story(self.world, resolved, self.truth, at)?;
        for step in &attack.steps {
            let (symbol, word) = match step.outcome {
                StepOutcome::Stopped => ("✔", "stopped"),
                StepOutcome::Cut => ("✔", "cut off"),
                StepOutcome::Contained => ("✔", "contained"),
                StepOutcome::Reached => ("✘", "goes through"),
            };
            say!("   {symbol} {word:<12} {:<10} {}: {}", step.technique, step.action, step.decided_by);
        }
        say!(
            "   from {} the intruder could reach {} workloads; with the policy {}",
            attack.foothold,
            attack.reach_before.unwrap_or(0),
            attack.reach_after.unwrap_or(0)
        );
        Ok(attack)
    }
}

/// Artifacts for every target, each read back and compared with the plan.
fn compile_all(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    heading(6, "compile");
    let peers = Peer::of_plan(plan);
    for target in compile::TARGETS {
        let artifacts = match compile::render(plan, target) {
            Ok(artifacts) => artifacts,
            Err(refusals) => {
                say!("   {}: refuses {} parts of the plan; the first: {}", target.name, refusals.len(),
                    refusals.first().map(ToString::to_string).unwrap_or_default());
                continue;
            }
        };
        super::compile::write(&artifacts, &out.join("artifacts").join(target.name))?;
        let source = |a: &compile::Artifact| compile::Source { file_name: a.file_name.clone(), text: a.text.clone() };
        let sources: Vec<_> = artifacts.iter().map(source).collect();
        let read = super::rules::read(target, &sources, &peers, Some(plan))?;
        let mut equal = 0;
        for point in &plan.points {
            let same = |back: &&compile::ReadBack| {
                back.workload.as_ref() == Some(&point.workload)
                    && back.ingress == compile::carried(&point.allowed_ingress())
                    && back.egress == compile::carried(&point.allowed_egress())
            };
            equal += usize::from(read.iter().any(|back| same(&back)));
        }
        let bytes: usize = artifacts.iter().map(|a| a.text.len()).sum();
        say!(
            "   {}: {} artifacts ({}), {equal} read back and proven equal to the plan",
            target.name,
            artifacts.len(),
            bytes_text(bytes as u64)
        );
        if equal < plan.points.len() {
            bail!("{} of {} artifacts of {} do not mean what the plan means", plan.points.len() - equal, plan.points.len(), target.name);
        }
    }
    Ok(())
}

struct Score<'a> {
    ari: f64,
    segmentation: &'a Segmentation,
    proposal: &'a Proposal,
    replay: &'a Replay,
    attack: &'a StoryAttack,
}

impl Score<'_> {
    /// What the kernels of the lab said; conversations that learning never saw are not counted, whatever became of them.
    fn kernel(&self, line: &dyn Fn(&str, String)) {
        if self.attack.kernel.is_empty() {
            return line("kernel", "not proven in this run: needs root, see `cargo xtask lab prove`".to_owned());
        }
        let checks = |expected: &'static str| self.attack.kernel.iter().filter(move |k| k.expected == expected);
        let (work, steps) = (|| checks("works"), || checks("blocked or contained"));
        line(
            "kernel",
            format!(
                "{} of {} kinds of learnt work go on; {} of {} attack steps blocked, {} through, the rest rides on allowed work",
                work().filter(|k| k.passed).count(),
                work().count(),
                steps().filter(|k| k.observed.starts_with("blocked")).count(),
                steps().count(),
                steps().filter(|k| !k.passed).count()
            ),
        );
    }

    /// The last screen.
    fn print(&self, out: &Path, graph: &graph::Graph, legitimate_blocked: usize) {
        let count = |outcome| self.attack.steps.iter().filter(|s| s.outcome == outcome).count();
        let bar = "─".repeat(78);
        let line = |name: &str, value: String| say!("  {name:<22}{value}");
        say!("\n{bar}");
        line(
            "segments",
            format!(
                "{} for {} workloads, adjusted Rand index {:.2} against the lab's truth",
                self.segmentation.segments.len(),
                graph.nodes.iter().filter(|n| n.kind == graph::NodeKind::Workload).count(),
                self.ari
            ),
        );
        line("rules", format!("{}, each with its evidence", self.proposal.rules.len()));
        line("coverage, hold-out", format!(
                "{} of the conversations that look legitimate ({} of all connections, scans included)",
                percent(self.replay.coverage_legitimate),
                percent(self.replay.coverage_flows)
            ));
        let estimate = &self.replay.false_block_estimate;
        line(
            "false blocks",
            format!(
                "{} (95% interval {} to {}); by the truth {legitimate_blocked} conversation(s)",
                percent(estimate.mid),
                percent(estimate.low),
                percent(estimate.high)
            ),
        );
        line(
            "attack",
            format!(
                "{} of {} steps stopped ({} refused, {} cut off by that), {} contained, {} through",
                count(StepOutcome::Stopped) + count(StepOutcome::Cut),
                self.attack.steps.len(),
                count(StepOutcome::Stopped),
                count(StepOutcome::Cut),
                count(StepOutcome::Contained),
                count(StepOutcome::Reached)
            ),
        );
        self.kernel(&line);
        say!("{bar}");
        let shown = out.display();
        say!("  look at    {shown}/report.html");
        say!("  read       {shown}/policies/");
        say!("  ask        ringfence --project {shown} why ws-1 pg-shop-1 tcp/5432");
        say!("  install    {shown}/artifacts/nftables/ (one file a host), {shown}/artifacts/kubernetes/");
        say!("  go on      ringfence init my-network && ringfence import auto FLOWS...");
    }
}
