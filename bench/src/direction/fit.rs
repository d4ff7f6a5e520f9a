//! Fits the weights of the evidence: logistic regression without an intercept, for the terms are antisymmetric.

use std::collections::{BTreeMap, HashMap};

use converse::{ServiceTable, TERMS, evidence};

use super::data::{Network, unordered};

/// One flow with known truth.
pub struct Example {
    /// The network's group.
    pub group: usize,
    /// What speaks for the source.
    pub terms: [f32; TERMS],
    /// Whether it opened.
    pub opens: bool,
    /// What it counts.
    pub weight: f64,
}

/// The flows of networks that have truth and are left to the terms. A conversation counts once however many flows
/// and formats tell of it, and a group counts by the square root of its conversations: a large one is still one network.
pub fn examples(networks: &[&Network]) -> Vec<Example> {
    let mut found = Vec::new();
    let mut flows_of: HashMap<_, u32> = HashMap::new();
    let mut conversations_of: HashMap<usize, u32> = HashMap::new();
    for network in networks {
        let flows = &network.flows;
        let mut table = ServiceTable::new();
        table.learn(flows);
        for (row, terms) in evidence(flows, &table).into_iter().enumerate() {
            let (Some(terms), Some(opens)) = (terms, network.truth[row]) else { continue };
            let tuple = (
                flows.src[row],
                flows.src_port[row],
                flows.dst[row],
                flows.dst_port[row],
                flows.protocol[row],
            );
            let key = (network.group, unordered(tuple).0);
            let count = flows_of.entry(key).or_default();
            *count += 1;
            *conversations_of.entry(network.group).or_default() += u32::from(*count == 1);
            found.push((key, Example { group: network.group, terms, opens, weight: 1.0 }));
        }
    }
    let mut alike: BTreeMap<_, Example> = BTreeMap::new();
    for (key, mut example) in found {
        let conversations = f64::from(conversations_of[&key.0]);
        example.weight = 1.0 / (f64::from(flows_of[&key]) * conversations.sqrt());
        // What both halves say is the same statement turned round.
        if !example.opens {
            (example.terms, example.opens) = (example.terms.map(|term| -term), true);
        }
        let bits = example.terms.map(|term| (term + 0.0).to_bits());
        alike
            .entry((example.group, bits))
            .and_modify(|known| known.weight += example.weight)
            .or_insert(example);
    }
    alike.into_values().collect()
}

/// Weights that make the examples likeliest, drawn towards `prior` by so many pseudo-observations each; gradient
/// descent with Nesterov's momentum, to convergence at this size.
pub fn fit(examples: &[&Example], prior: &[f64; TERMS], strength: f64) -> [f64; TERMS] {
    let (mut weights, mut before) = (*prior, *prior);
    let total: f64 = examples.iter().map(|e| e.weight).sum::<f64>().max(1.0);
    for step in 0..3_000_u32 {
        let momentum = f64::from(step) / f64::from(step + 3);
        let ahead: [f64; TERMS] = std::array::from_fn(|i| weights[i] + momentum * (weights[i] - before[i]));
        let mut slope = [0.0; TERMS];
        for e in examples {
            let sign = if e.opens { 1.0 } else { -1.0 };
            let odds: f64 = e.terms.iter().zip(&ahead).map(|(t, w)| f64::from(*t) * w).sum::<f64>() * sign;
            let push = e.weight * sign / (1.0 + odds.exp());
            e.terms.iter().zip(&mut slope).for_each(|(t, s)| *s += push * f64::from(*t));
        }
        before = weights;
        for i in 0..TERMS {
            weights[i] = ahead[i] + 0.05 * (slope[i] - strength * (ahead[i] - prior[i])) / total * 10.0;
        }
    }
    weights
}
