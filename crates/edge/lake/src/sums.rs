//! Hourly sums wait here, and are added up by day, until there are enough of them or the import ends.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use foldhash::fast::FixedState;
use model::{Exporter, Ip, Micros, RollupRow, Service};

use crate::encode::{self, Edge};
use crate::error::LakeError;
use crate::layout::{DAY_US, HOUR_US, Relation};
use crate::part::{Content, Part};
use crate::schema::ROW_GROUP_ROWS;

/// Hourly sums that wait at most: about 180 bytes each, 47 MB.
const HOURLY_ROWS: usize = 1 << 18;
/// Daily sums that wait at most: about 250 bytes each, 131 MB.
const DAILY_ROWS: usize = 1 << 19;

/// Days that wait at most: even one sum in a day costs 1 kB.
const DAYS_MAX: usize = 4_096;
/// When sums of more days than this are written at once, days with few of them share files.
const SPREAD_DAYS: usize = 32;
/// Sums that make a file of their own worth while even then.
const FEW_SUMS: usize = 1_024;

type Day = HashMap<(u32, Ip, Ip, Service, Option<u16>), Edge, FixedState>;

/// Sums of one import.
#[derive(Default)]
pub(crate) struct EdgeSpool {
    hourly: Vec<Edge>,
    daily: BTreeMap<Micros, Day>,
    daily_rows: usize,
    exporters: Vec<Exporter>,
}

impl EdgeSpool {
    /// Takes hourly sums; what no longer fits is written, and `written` gets the files.
    pub(crate) fn append(
        &mut self,
        rows: &[RollupRow],
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        for row in rows {
            let edge = Edge {
                hours: 1 << row.hour.rem_euclid(DAY_US).div_euclid(HOUR_US),
                row: RollupRow { hour: row.hour.div_euclid(HOUR_US).saturating_mul(HOUR_US), ..row.clone() },
            };
            self.add_to_day(&edge);
            self.hourly.push(edge);
            if self.hourly.len() >= HOURLY_ROWS {
                self.write_hourly(root, name, written)?;
            }
            if self.daily_rows >= DAILY_ROWS || self.daily.len() > DAYS_MAX {
                self.make_room(root, name, written)?;
            }
        }
        Ok(())
    }

    /// Writes all that waits.
    pub(crate) fn finish(
        &mut self,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        self.write_hourly(root, name, written)?;
        while !self.daily.is_empty() {
            self.make_room(root, name, written)?;
        }
        Ok(())
    }

    /// Writes the oldest day, the likeliest to be over; when days are many, the older half of them together.
    fn make_room(
        &mut self,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        let days = if self.daily.len() > SPREAD_DAYS { self.daily.len().div_ceil(2) } else { 1 };
        let mut edges = Vec::new();
        for _ in 0..days {
            let Some((_, day)) = self.daily.pop_first() else { break };
            self.daily_rows -= day.len();
            edges.extend(day.into_values());
        }
        write_days(Relation::Daily, edges, root, name, written)
    }

    fn write_hourly(
        &mut self,
        root: &Path,
        name: &mut dyn FnMut() -> String,
        written: &mut Vec<Part>,
    ) -> Result<(), LakeError> {
        write_days(Relation::Hourly, std::mem::take(&mut self.hourly), root, name, written)
    }

    fn add_to_day(&mut self, edge: &Edge) {
        let row = &edge.row;
        let exporter = match self.exporters.iter().rposition(|known| *known == row.exporter) {
            Some(index) => index,
            None => {
                self.exporters.push(row.exporter.clone());
                self.exporters.len() - 1
            }
        };
        let start = row.hour.div_euclid(DAY_US).saturating_mul(DAY_US);
        let day = self.daily.entry(start).or_default();
        let before = day.len();
        let key = (exporter as u32, row.client, row.server, row.service, row.client_port);
        match day.entry(key) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().add(edge),
            std::collections::hash_map::Entry::Vacant(free) => {
                let row = RollupRow { hour: start, ..row.clone() };
                free.insert(Edge { row, hours: edge.hours });
            }
        }
        self.daily_rows += day.len() - before;
    }
}

impl Edge {
    fn add(&mut self, other: &Self) {
        let (a, b) = (&mut self.row, &other.row);
        a.flows = a.flows.saturating_add(b.flows);
        a.reverse_flows = a.reverse_flows.saturating_add(b.reverse_flows);
        a.packets = a.packets.saturating_add(b.packets);
        a.bytes = a.bytes.saturating_add(b.bytes);
        a.reverse_packets = a.reverse_packets.saturating_add(b.reverse_packets);
        a.reverse_bytes = a.reverse_bytes.saturating_add(b.reverse_bytes);
        a.first = a.first.min(b.first);
        a.last = a.last.max(b.last);
        a.allowed = a.allowed.saturating_add(b.allowed);
        a.denied = a.denied.saturating_add(b.denied);
        a.confidence_sum += b.confidence_sum;
        a.tcp_flags |= b.tcp_flags;
        self.hours |= other.hours;
    }
}

/// Writes sums sorted, no two of one key, one file a day (see [`files`]).
fn write_days(
    relation: Relation,
    mut edges: Vec<Edge>,
    root: &Path,
    name: &mut dyn FnMut() -> String,
    written: &mut Vec<Part>,
) -> Result<(), LakeError> {
    fn key(edge: &Edge) -> (Micros, Ip, Ip, Service, Option<u16>, &Exporter) {
        let row = &edge.row;
        (row.hour, row.client, row.server, row.service, row.client_port, &row.exporter)
    }
    edges.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    edges.dedup_by(|later, earlier| {
        let same = key(later) == key(earlier);
        if same {
            earlier.add(later);
        }
        same
    });
    for edges in files(&edges) {
        let (from, to) = (edges[0].row.hour, edges[edges.len() - 1].row.hour);
        let mut pieces = edges.chunks(ROW_GROUP_ROWS).map(|piece| encode::edges(relation, piece));
        written.push(Part::write(root, Content { relation, name: name(), from, to, pieces: &mut pieces })?);
    }
    Ok(())
}

/// Sorted sums by file: a day each, or days with few sums together when there are many.
fn files(edges: &[Edge]) -> Vec<&[Edge]> {
    let day = |edge: &Edge| edge.row.hour.div_euclid(DAY_US);
    let days: Vec<&[Edge]> = edges.chunk_by(|a, b| day(a) == day(b)).collect();
    if days.len() <= SPREAD_DAYS {
        return days;
    }
    let (mut files, mut from, mut at) = (Vec::new(), 0, 0);
    for day in days {
        let few = day.len() < FEW_SUMS && at - from < ROW_GROUP_ROWS;
        if !few && from < at {
            files.push(&edges[from..at]);
            from = at;
        }
        at += day.len();
        if day.len() >= FEW_SUMS {
            files.push(&edges[from..at]);
            from = at;
        }
    }
    if from < at {
        files.push(&edges[from..at]);
    }
    files
}
