//! Hours in which an address changed hands: their sums are made anew from flows, each put to who owned its addresses when
//! it started.

use std::collections::{BTreeMap, BTreeSet};

use model::{FlowBatch, Inventory, Ip, Micros, RollupRow, TimeWindow};

use crate::Rollup;

/// When addresses change hands within a bucket of time. A change at a bucket's very beginning splits nothing.
#[derive(Clone, Debug)]
pub struct Handovers {
    bucket_us: Micros,
    /// Moments of each address, ascending.
    moments: BTreeMap<Ip, Vec<Micros>>,
}

impl Handovers {
    /// Those of an inventory in a window, for buckets of so many microseconds, aligned to the epoch.
    pub fn of(inventory: &Inventory, window: TimeWindow, bucket_us: Micros) -> Self {
        let bucket_us = bucket_us.max(1);
        let mut moments: BTreeMap<Ip, Vec<Micros>> = BTreeMap::new();
        let within = |at: &Micros| window.from < *at && *at < window.to && at.rem_euclid(bucket_us) != 0;
        for (ip, at) in inventory.changes().into_iter().filter(|(_, at)| within(at)) {
            moments.entry(ip).or_default().push(at);
        }
        Self { bucket_us, moments }
    }

    /// Whether sums of one bucket may be of several owners.
    pub fn split(&self, row: &RollupRow) -> bool {
        self.changes_in(row.client, row.hour) || self.changes_in(row.server, row.hour)
    }

    fn changes_in(&self, ip: Ip, bucket: Micros) -> bool {
        let Some(moments) = self.moments.get(&ip) else { return false };
        let next = moments.partition_point(|at| *at <= bucket);
        moments.get(next).is_some_and(|at| *at < bucket.saturating_add(self.bucket_us))
    }

    /// How often the address changed hands up to a moment.
    fn count(&self, ip: Ip, at: Micros) -> usize {
        self.moments.get(&ip).map_or(0, |moments| moments.partition_point(|change| *change <= at))
    }

    /// Takes the rows whose sums are of several owners out of `rows`, and puts in their place what `flows` hands out for
    /// each of their hours, summed between the changes. An hour of which no such flow is left keeps its rows: they go to
    /// who owned the addresses when the first of their flows started.
    ///
    /// # Errors
    /// Those of `flows`.
    pub fn mend<E>(
        &self,
        rows: &mut Vec<RollupRow>,
        mut flows: impl FnMut(TimeWindow, &mut dyn FnMut(&FlowBatch)) -> Result<(), E>,
    ) -> Result<(), E> {
        let (split, whole) = std::mem::take(rows).into_iter().partition(|row| self.split(row));
        *rows = whole;
        let split: Vec<RollupRow> = split;
        let hours: BTreeSet<Micros> = split.iter().map(|row| row.hour).collect();
        for hour in hours {
            let mut sums = SplitRollup::new(self);
            let window = TimeWindow { from: hour, to: hour.saturating_add(self.bucket_us) };
            flows(window, &mut |batch| sums.add_changing(batch))?;
            let made = sums.drain();
            if made.is_empty() {
                rows.extend(split.iter().filter(|row| row.hour == hour).cloned());
            } else {
                rows.extend(made);
            }
        }
        Ok(())
    }
}

/// Sums by hour, kept apart where an address changes hands.
#[derive(Debug)]
pub struct SplitRollup<'a> {
    handovers: &'a Handovers,
    /// By how often the two addresses changed hands together before a flow: of one pair of addresses the number grows with
    /// every change, so that flows of one number have the same owners.
    rollups: BTreeMap<usize, Rollup>,
}

impl<'a> SplitRollup<'a> {
    /// Nothing yet.
    pub const fn new(handovers: &'a Handovers) -> Self {
        Self { handovers, rollups: BTreeMap::new() }
    }

    /// Adds every flow of a batch.
    pub fn add(&mut self, batch: &FlowBatch) {
        self.add_if(batch, |_, _| true);
    }

    /// Adds the flows of which an address changes hands in their hour.
    fn add_changing(&mut self, batch: &FlowBatch) {
        let handovers = self.handovers;
        self.add_if(batch, |row, bucket| {
            handovers.changes_in(batch.src[row], bucket) || handovers.changes_in(batch.dst[row], bucket)
        });
    }

    fn add_if(&mut self, batch: &FlowBatch, wanted: impl Fn(usize, Micros) -> bool) {
        let bucket_us = self.handovers.bucket_us;
        let mut parts: BTreeMap<usize, FlowBatch> = BTreeMap::new();
        for row in 0..batch.len() {
            let at = batch.start[row];
            if !wanted(row, at.div_euclid(bucket_us).saturating_mul(bucket_us)) {
                continue;
            }
            let number = self.handovers.count(batch.src[row], at) + self.handovers.count(batch.dst[row], at);
            let part = parts.entry(number).or_insert_with(|| {
                let mut part = FlowBatch::new(batch.source);
                part.exporters.clone_from(&batch.exporters);
                part
            });
            part.push(batch.get(row));
        }
        for (number, part) in parts {
            self.rollups.entry(number).or_insert_with(|| Rollup::new(bucket_us)).add(&part);
        }
    }

    /// All rows, leaving nothing.
    pub fn drain(&mut self) -> Vec<RollupRow> {
        std::mem::take(&mut self.rollups).into_values().flat_map(|mut rollup| rollup.drain()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve;
    use model::{AddressClaim, Client, Exporter, Flow, Labels, Workload, WorkloadId};
    use proptest::prelude::*;

    const HOUR: Micros = 100;

    fn inventory(owners: &[(&str, u32, Micros, Micros)]) -> Inventory {
        let workload = |(id, ip, from, to): &(&str, u32, Micros, Micros)| Workload {
            id: WorkloadId((*id).into()),
            name: (*id).into(),
            labels: Labels::new(),
            criticality: None,
            addresses: vec![AddressClaim { ip: Ip::v4(*ip), from: *from, to: *to }],
        };
        Inventory::new(owners.iter().map(workload).collect()).unwrap()
    }

    fn flows(of: &[(u32, Micros)]) -> FlowBatch {
        let mut batch = FlowBatch::new("test");
        let exporter = batch.intern_exporter(&Exporter("e".into()));
        for (client, start) in of {
            batch.push(Flow {
                start: *start,
                end: *start + 1,
                src: Ip::v4(*client),
                dst: Ip::v4(99),
                src_port: 40_000,
                dst_port: 443,
                protocol: 6,
                packets: 1,
                bytes: 1,
                sampling: 1,
                client: Client::Src,
                client_confidence: 1.0,
                present: FlowBatch::HAS_PORTS | FlowBatch::HAS_COUNTS,
                exporter,
                ..Flow::default()
            });
        }
        batch
    }

    /// Flows of each owner of the client, from sums that are mended.
    fn joined(all: &FlowBatch, inventory: &Inventory, kept: bool) -> BTreeMap<Option<String>, u64> {
        let mut rollup = Rollup::new(HOUR);
        rollup.add(all);
        let mut rows = rollup.drain();
        let handovers = Handovers::of(inventory, TimeWindow::ALL, HOUR);
        let of_hour = |window: TimeWindow, visit: &mut dyn FnMut(&FlowBatch)| {
            let mut some = FlowBatch::new("test");
            some.exporters.clone_from(&all.exporters);
            (0..all.len())
                .filter(|row| kept && window.contains(all.start[*row]))
                .for_each(|row| some.push(all.get(row)));
            visit(&some);
            Ok::<(), ()>(())
        };
        handovers.mend(&mut rows, of_hour).unwrap();
        let mut found = BTreeMap::new();
        for conversation in resolve(rows, inventory) {
            *found.entry(conversation.client.workload.map(|id| id.0)).or_default() += conversation.flows;
        }
        found
    }

    #[test]
    fn an_hour_is_split_where_an_address_changes_hands() {
        let inventory =
            inventory(&[("old", 1, 0, 150), ("new", 1, 160, Micros::MAX), ("other", 2, 0, Micros::MAX)]);
        let all = flows(&[(1, 10), (1, 149), (1, 150), (1, 159), (1, 160), (1, 199), (1, 250), (2, 120)]);
        let owned = |id: &str, flows| (Some(id.to_owned()), flows);
        assert_eq!(
            joined(&all, &inventory, true),
            [(None, 2), owned("new", 3), owned("old", 2), owned("other", 1)].into()
        );
        // Without the flows of then, the hour is whose it was at its first flow.
        assert_eq!(
            joined(&all, &inventory, false),
            [owned("new", 1), owned("old", 6), owned("other", 1)].into()
        );
    }

    proptest! {
        #[test]
        fn every_flow_goes_to_who_owned_its_address_when_it_started(
            starts in proptest::collection::vec((1..4_u32, 0..400_i64), 1..60),
            mut cuts in proptest::collection::vec(0..400_i64, 2..8),
        ) {
            cuts.sort_unstable();
            cuts.dedup();
            let ids: Vec<String> = (0..cuts.len()).map(|n| format!("w{n}")).collect();
            let owners: Vec<_> = cuts.windows(2).enumerate().map(|(n, cut)| (ids[n].as_str(), 1 + n as u32 % 2, cut[0], cut[1])).collect();
            let inventory = inventory(&owners);
            let mut expected: BTreeMap<Option<String>, u64> = BTreeMap::new();
            for (client, start) in &starts {
                let owner = inventory.owner(Ip::v4(*client), *start).map(|w| w.id.0.clone());
                *expected.entry(owner).or_default() += 1;
            }
            prop_assert_eq!(joined(&flows(&starts), &inventory, true), expected);
        }
    }
}
