//! Segment discovery against third-party ground truth: adjusted Rand index and adjusted mutual information, beside the
//! strongest simple method of one fixed setting, Jaccard distance of port sets with average linkage and the cut of
//! best silhouette.
//!
//! `cargo run --release -p ringfence-bench --bin segments -- FOLDER`, where FOLDER holds the Cisco graphs `g21` and `g22`
//! of "A Dataset of Networks of Computing Hosts" (IWSPA 2022). Code under test never sees the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use graph::Graph;
use model::WorkloadId;
use segment::linkage::{Distances, average_linkage, cut};
use segment::{DiscoverOptions, discover, edges};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: segments FOLDER (with g21 and g22)")?;
    let folder = Path::new(&folder);
    println!("| graph | to be segmented | labelled | method | ARI | AMI | segments | unassigned | seconds |");
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|");
    let hours = files(&folder.join("g21/edges_hourly"))?;
    let truth = groups(&folder.join("g21/groupings.gt.txt"))?;
    let sensors = Some(nodes(&load(&files(&folder.join("g21/edges_gt_nodes_no_packets"))?)?));
    report("g21, first 12 h (development)", &load(&hours[..12])?, &truth, sensors.clone());
    // The last two of four days where they are there, else whatever development did not see.
    let later = &hours[if hours.len() > 48 { 48 } else { 12 }..];
    let name = format!("g21, last {} h", later.len());
    report(&name, &load(later)?, &truth, sensors);
    report(&format!("{name}, labelled only"), &load(later)?, &truth, None);
    let truth = groups(&folder.join("g22/candidate_gt.minPrefix5.txt"))?;
    report("g22, all months", &load(&files(&folder.join("g22/edges_hourly"))?)?, &truth, None);
    Ok(())
}

type Truth = BTreeMap<WorkloadId, u32>;

fn report(name: &str, graph: &Graph, truth: &Truth, only: Option<BTreeSet<WorkloadId>>) {
    let only = only.unwrap_or_else(|| truth.keys().cloned().collect());
    let present: BTreeSet<WorkloadId> = nodes(graph).intersection(&only).cloned().collect();
    let started = Instant::now();
    let options = DiscoverOptions { only: Some(present.clone()), ..DiscoverOptions::default() };
    let found = discover(graph, &options);
    let seconds = started.elapsed().as_secs_f64();
    let mut labels: Truth = BTreeMap::new();
    for (label, segment) in found.segments.iter().enumerate() {
        labels.extend(segment.members.iter().map(|member| (member.clone(), label as u32)));
    }
    // Whoever was left out counts as a segment of one.
    let alone = found.unassigned.iter().map(|u| u.workload.clone());
    labels.extend(alone.zip(found.segments.len() as u32..));
    let row = |method: &str, labels: &Truth, segments: usize, unassigned: usize, seconds: f64| {
        let (a, b) = pair(labels, truth);
        let scores = format!("{:.3} | {:.3}", adjusted_rand(&a, &b), adjusted_mutual_information(&a, &b));
        let (asked, scored) = (present.len(), a.len());
        println!(
            "| {name} | {asked} | {scored} | {method} | {scores} | {segments} | {unassigned} | {seconds:.2} |"
        );
    };
    row("ringfence", &labels, found.segments.len(), found.unassigned.len(), seconds);
    let started = Instant::now();
    let baseline = jaccard_baseline(graph, &present);
    let count = baseline.values().collect::<BTreeSet<_>>().len();
    row("Jaccard(ports), average linkage, silhouette", &baseline, count, 0, started.elapsed().as_secs_f64());
}

fn nodes(graph: &Graph) -> BTreeSet<WorkloadId> {
    graph.nodes.iter().map(|node| node.id.clone()).collect()
}

fn pair(labels: &Truth, truth: &Truth) -> (Vec<u32>, Vec<u32>) {
    labels.iter().filter_map(|(id, label)| Some((*label, *truth.get(id)?))).unzip()
}

/// Sets of (side, service) for each workload, Jaccard distance, average linkage, the cut of best mean silhouette where a
/// single member scores 0.
fn jaccard_baseline(graph: &Graph, only: &BTreeSet<WorkloadId>) -> Truth {
    let mut ports: BTreeMap<u32, BTreeSet<(bool, model::Service)>> = BTreeMap::new();
    for edge in &graph.edges {
        ports.entry(edge.client).or_default().insert((false, edge.service));
        ports.entry(edge.server).or_default().insert((true, edge.service));
    }
    ports.retain(|node, _| only.contains(&graph.nodes[*node as usize].id));
    let sets: Vec<_> = ports.values().collect();
    let distances = Distances::from_pairs(sets.len(), |i, j| {
        let both = sets[i].intersection(sets[j]).count();
        1.0 - both as f32 / (sets[i].len() + sets[j].len() - both) as f32
    });
    let merges = average_linkage(&distances);
    let mut best = (f64::MIN, vec![0; sets.len()]);
    for count in 2..sets.len() {
        let labels = cut(sets.len(), &merges[..sets.len() - count]);
        let mean = mean_silhouette(&distances, &labels, count);
        if mean > best.0 {
            best = (mean, labels);
        }
    }
    ports.keys().map(|node| graph.nodes[*node as usize].id.clone()).zip(best.1).collect()
}

fn mean_silhouette(distances: &Distances, labels: &[u32], count: usize) -> f64 {
    let mut sizes = vec![0.0_f64; count];
    labels.iter().for_each(|label| sizes[*label as usize] += 1.0);
    let mut total = 0.0;
    for (at, own) in labels.iter().map(|label| *label as usize).enumerate() {
        if sizes[own] < 2.0 {
            continue;
        }
        let mut sums = vec![0.0_f64; count];
        distances.row(at).iter().zip(labels).for_each(|(d, label)| sums[*label as usize] += f64::from(*d));
        let inside = sums[own] / (sizes[own] - 1.0);
        let next = (0..count).filter(|c| *c != own).map(|c| sums[c] / sizes[c]).fold(f64::MAX, f64::min);
        total += (next - inside) / next.max(inside).max(f64::MIN_POSITIVE);
    }
    total / labels.len() as f64
}

/// Hubert and Arabie, "Comparing partitions", Journal of Classification 1985.
fn adjusted_rand(a: &[u32], b: &[u32]) -> f64 {
    let (cells, rows, columns) = contingency(a, b);
    let pairs = |n: &f64| n * (n - 1.0) / 2.0;
    let [together, left, right] = [&cells.into_values().collect::<Vec<f64>>(), &rows, &columns]
        .map(|c| c.iter().map(pairs).sum::<f64>());
    let expected = left * right / pairs(&(a.len() as f64));
    let greatest = (left + right) / 2.0;
    if greatest == expected { 0.0 } else { (together - expected) / (greatest - expected) }
}

/// Vinh, Epps and Bailey, "Information theoretic measures for clusterings comparison", JMLR 2010, with the arithmetic
/// mean of the entropies.
fn adjusted_mutual_information(a: &[u32], b: &[u32]) -> f64 {
    let (cells, rows, columns) = contingency(a, b);
    let n = a.len() as f64;
    let entropy = |sizes: &[f64]| -sizes.iter().map(|s| s / n * (s / n).ln()).sum::<f64>();
    let mutual: f64 = cells.iter().map(|((i, j), c)| c / n * (n * c / (rows[*i] * columns[*j])).ln()).sum();
    let mut factorial = vec![0.0_f64];
    (1..=a.len()).for_each(|k| factorial.push(factorial[k - 1] + (k as f64).ln()));
    let log_factorial = |k: f64| factorial[k as usize];
    let mut expected = 0.0;
    for x in &rows {
        for y in &columns {
            let mut c = 1.0_f64.max(x + y - n);
            while c <= x.min(*y) {
                let chance =
                    log_factorial(*x) + log_factorial(*y) + log_factorial(n - x) + log_factorial(n - y)
                        - log_factorial(n)
                        - log_factorial(c)
                        - log_factorial(x - c)
                        - log_factorial(y - c)
                        - log_factorial(n - x - y + c);
                expected += c / n * (n * c / (x * y)).ln() * chance.exp();
                c += 1.0;
            }
        }
    }
    let mean = (entropy(&rows) + entropy(&columns)) / 2.0;
    if (mean - expected).abs() < 1e-12 { 0.0 } else { (mutual - expected) / (mean - expected) }
}

type Contingency = (BTreeMap<(usize, usize), f64>, Vec<f64>, Vec<f64>);

fn contingency(a: &[u32], b: &[u32]) -> Contingency {
    let number = |labels: &[u32]| -> Vec<usize> {
        let order: BTreeSet<u32> = labels.iter().copied().collect();
        let index: BTreeMap<u32, usize> = order.into_iter().zip(0..).collect();
        labels.iter().map(|label| index[label]).collect()
    };
    let (a, b) = (number(a), number(b));
    let mut cells = BTreeMap::new();
    let size = |labels: &[usize]| vec![0.0; labels.iter().max().map_or(0, |top| top + 1)];
    let (mut rows, mut columns) = (size(&a), size(&b));
    for (x, y) in a.into_iter().zip(b) {
        *cells.entry((x, y)).or_insert(0.0) += 1.0;
        rows[x] += 1.0;
        columns[y] += 1.0;
    }
    (cells, rows, columns)
}

/// The compressed files of a folder, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "gz"));
    paths.sort();
    ensure!(!paths.is_empty(), "`{}` holds no .gz files", folder.display());
    Ok(paths)
}

/// Lines `graph, client, server, PORTpPROTO-PACKETS,..` as a graph.
fn load(files: &[PathBuf]) -> Result<Graph> {
    let output = Command::new("gzip").arg("-dc").args(files).output().context("cannot run gzip")?;
    ensure!(output.status.success(), "gzip: {}", String::from_utf8_lossy(&output.stderr));
    let mut list = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, client, server, services] = fields[..] else { continue };
        for service in services.split(',') {
            let (service, packets) = service.split_once('-').unwrap_or((service, "1"));
            let Some((port, protocol)) = service.split_once('p') else { continue };
            let service = match protocol {
                "6" => format!("tcp/{port}"),
                "17" => format!("udp/{port}"),
                "1" => String::from("icmp"),
                other => format!("ip{other}"),
            };
            list.push_str(&format!("{client}\t{server}\t{service}\t{packets}\n"));
        }
    }
    let list = edges::parse(&list);
    ensure!(list.rejected == 0, "{} edges were rejected: {:?}", list.rejected, list.rejects.first());
    Ok(list.graph)
}

/// One group a line, members separated by commas.
fn groups(path: &Path) -> Result<Truth> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let member = |group: u32, name: &str| (WorkloadId(name.trim().to_owned()), group);
    Ok(lines
        .zip(0..)
        .flat_map(|(line, group)| line.split(',').map(move |name| member(group, name)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_agree_with_published_values() {
        let (a, b) = ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]);
        // As scikit-learn 1.5 computes them.
        assert!((adjusted_rand(&a, &b) - 0.242_424_24).abs() < 1e-6);
        assert!((adjusted_mutual_information(&a, &b) - 0.298_792_45).abs() < 1e-6);
        assert!((adjusted_rand(&a, &a) - 1.0).abs() < 1e-12);
        assert!((adjusted_mutual_information(&a, &a) - 1.0).abs() < 1e-12);
    }
}
