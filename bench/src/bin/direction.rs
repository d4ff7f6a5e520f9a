//! Direction against what others wrote down: `direction DATA RECORDING [fit|wrong]`.

use std::path::Path;

use bench::direction::data::{Network, load};
use bench::direction::fit::{examples, fit};
use bench::direction::report::{Family, Score, judge, stated};
use converse::{ServiceTable, TERMS, WEIGHTS, evidence, orient};
use model::FlowBatch;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(recording)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: direction DATA RECORDING");
        return;
    };
    let networks = load(Path::new(&data), Path::new(&recording));
    let all: Vec<&Network> = networks.iter().collect();
    let mode = arguments.next().unwrap_or_default();
    print("lower port", &judge(&all, lower_port));
    print("nfdump -B", &judge(&all, nfdump));
    if mode == "fit" {
        return fitted(&all, arguments.next().is_some());
    }
    let families = judge(&all, |n| ours(n, mode == "wrong"));
    print("ringfence", &families);
    for (name, family) in &families {
        println!("{name}, by conversation");
        bins(&family.conversations);
    }
}

/// Folds of the cross-validation; a group falls into one of them.
const FOLDS: usize = 5;

/// Fits without softflowd's groups, which stay apart for good, and judges every group by weights that have not seen it.
fn fitted(networks: &[&Network], tell: bool) {
    let strength = std::env::var("STRENGTH").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let apart: std::collections::BTreeSet<usize> =
        networks.iter().filter(|n| n.family == "softflowd").map(|n| n.group).collect();
    let fitted_on: std::collections::BTreeSet<usize> =
        networks.iter().map(|n| n.group).filter(|group| !apart.contains(group)).collect();
    println!("{} networks to fit on, {} kept apart", fitted_on.len(), apart.len());
    let all = examples(networks);
    let fold = |group: usize| {
        if apart.contains(&group) { FOLDS } else { group.wrapping_mul(2_654_435_761) / 64 % FOLDS }
    };
    let of: Vec<[f64; TERMS]> = (0..=FOLDS)
        .map(|held| {
            fit(
                &all.iter().filter(|e| fold(e.group) != held && fold(e.group) != FOLDS).collect::<Vec<_>>(),
                &PRIOR,
                strength,
            )
        })
        .collect();
    for (name, weight) in WEIGHTS.iter().map(|(name, _)| name).zip(&of[FOLDS]) {
        println!("    {weight:.2}, // {name}");
    }
    let say = |n: &Network| {
        let mut table = ServiceTable::new();
        table.learn(&n.flows);
        let mut flows = n.flows.clone();
        orient(&mut flows, &table);
        let said: Vec<Option<f64>> = evidence(&n.flows, &table)
            .into_iter()
            .zip(stated(&flows))
            .map(|(terms, said)| match terms {
                None => said,
                Some(terms) => {
                    let odds: f64 =
                        terms.iter().zip(&of[fold(n.group)]).map(|(t, w)| f64::from(*t) * w).sum();
                    (odds.abs() >= 0.2).then(|| 1.0 / (1.0 + (-odds.clamp(-6.0, 6.0)).exp()))
                }
            })
            .collect();
        if tell {
            wrong(n, &said, &table);
        }
        said
    };
    let families = judge(networks, say);
    print("fitted, never on the group judged", &families);
    for (name, family) in &families {
        println!("{name}");
        bins(&family.conversations);
    }
}

/// The reliability table.
fn bins(score: &Score) {
    for (at, (stated, right, confidence)) in score.bins.iter().enumerate().filter(|(_, b)| b.0 > 0) {
        let low = 0.5 + at as f64 / 20.0;
        println!(
            "    {low:.2}-{:.2}: {stated} stated, mean confidence {:.3}, right {:.3}",
            low + 0.05,
            confidence / f64::from(*stated),
            f64::from(*right) / f64::from(*stated)
        );
    }
}

/// What the weights are drawn to: what was known before.
const PRIOR: [f64; TERMS] = [
    -3.0, 3.0, 1.0, 2.5, 0.0, 1.5, 0.75, -1.5, -1.75, -1.75, 0.5, -2.5, -2.0, 1.0, 0.5, 1.2, 0.8, 3.0, 0.5,
    4.0, 0.0, 1.0, 0.0, 0.3, 2.0, 6.0, 2.5, 2.0,
];

fn print(what: &str, families: &std::collections::BTreeMap<&'static str, Family>) {
    println!("{what}");
    for (name, family) in families {
        println!("  {name:>18} flows         {}", family.flows.line());
        println!("  {name:>18} conversations {}", family.conversations.line());
    }
}

fn lower_port(network: &Network) -> Vec<Option<f64>> {
    let f = &network.flows;
    (0..f.len())
        .map(|row| match f.dst_port[row].cmp(&f.src_port[row]) {
            std::cmp::Ordering::Less => Some(1.0),
            std::cmp::Ordering::Greater => Some(0.0),
            std::cmp::Ordering::Equal => None,
        })
        .collect()
}

/// The source asks unless its port is below 1024 and the other's is not.
fn nfdump(network: &Network) -> Vec<Option<f64>> {
    let f = &network.flows;
    (0..f.len())
        .map(|row| Some(if f.src_port[row] < 1_024 && f.dst_port[row] >= 1_024 { 0.0 } else { 1.0 }))
        .collect()
}

fn ours(network: &Network, tell: bool) -> Vec<Option<f64>> {
    let mut flows = network.flows.clone();
    let mut table = ServiceTable::new();
    table.learn(&flows);
    orient(&mut flows, &table);
    let said = stated(&flows);
    if tell {
        wrong(network, &said, &table);
    }
    said
}

/// What was stated wrongly or withheld, with the evidence.
fn wrong(network: &Network, said: &[Option<f64>], table: &ServiceTable) {
    let evidence = evidence(&network.flows, table);
    for (row, said) in said.iter().enumerate() {
        let Some(opens) = network.truth[row] else { continue };
        let f = network.flows.get(row);
        if said.is_some_and(|p| (p > 0.5) == opens) || f.present & FlowBatch::HAS_PORTS == 0 {
            continue;
        }
        let terms: Vec<String> = evidence[row]
            .iter()
            .flat_map(|terms| terms.iter().zip(WEIGHTS.map(|(name, _)| name)))
            .filter(|(term, _)| **term != 0.0)
            .map(|(term, name)| format!("{name} {term:.1}"))
            .collect();
        println!(
            "{said:.2?} opens={opens} {} {}:{} > {}:{} p{} {:#x} {} | {} {} | {}",
            network.family,
            f.src,
            f.src_port,
            f.dst,
            f.dst_port,
            f.protocol,
            f.tcp_flags,
            f.packets,
            network.group,
            network.name.rsplit('/').take(2).collect::<Vec<_>>().join(" "),
            terms.join(", ")
        );
    }
}
