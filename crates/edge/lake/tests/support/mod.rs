//! Made-up traffic for the lake's tests, and a plain way to sum it.
#![allow(dead_code, reason = "every test uses some of it")]

use std::collections::BTreeMap;
use std::path::Path;

use lake::{Begun, HOUR_US, ImportReceipt, Lake, SourceIdentity};
use model::{Client, Exporter, Flow, FlowBatch, Ip, Micros, Protocol, RollupRow, Service, TimeWindow};

/// 2026-11-02T00:00:00Z, a Monday.
pub(crate) const MONDAY: Micros = 1_793_577_600_000_000;

/// Numbers that look like chance and are always the same.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((u128::from(mixed) * u128::from(sides)) >> 64) as u64
    }
}

/// Flows of a few hosts in a window, in no order.
pub(crate) fn traffic(seed: u64, rows: usize, window: TimeWindow) -> FlowBatch {
    let mut dice = Dice(seed | 1 << 40);
    let mut batch = FlowBatch::new("test");
    let exporters = ["router-1", "router-2"].map(|name| batch.intern_exporter(&Exporter(name.into())));
    for _ in 0..rows {
        let start = window.from + dice.roll((window.to - window.from) as u64) as Micros;
        let answer = dice.roll(2) == 1;
        let (client, server) =
            (Ip::v4(0x0a00_0001 + dice.roll(5) as u32), Ip::v4(0x0a00_0101 + dice.roll(3) as u32));
        let (high, low) = (40_000 + dice.roll(1000) as u16, [80, 443][dice.roll(2) as usize]);
        batch.push(Flow {
            start,
            end: start + dice.roll(60_000_000) as Micros,
            src: if answer { server } else { client },
            dst: if answer { client } else { server },
            src_port: if answer { low } else { high },
            dst_port: if answer { high } else { low },
            protocol: 6,
            tcp_flags: dice.roll(64) as u8,
            packets: 1 + dice.roll(100),
            bytes: 100 + dice.roll(10_000),
            sampling: 1,
            client: if answer { Client::Dst } else { Client::Src },
            client_confidence: 0.5,
            present: FlowBatch::HAS_PORTS | FlowBatch::HAS_TCP_FLAGS | FlowBatch::HAS_COUNTS,
            exporter: exporters[dice.roll(2) as usize],
            ..Flow::default()
        });
    }
    batch
}

pub(crate) type Key = (Ip, Ip, Service, Micros, Exporter);

/// Sums of flows by (client, server, service, bucket, exporter).
pub(crate) fn sums(batch: &FlowBatch, bucket: impl Fn(Micros) -> Micros) -> BTreeMap<Key, RollupRow> {
    let mut found: BTreeMap<Key, RollupRow> = BTreeMap::new();
    for row in 0..batch.len() {
        let flow = batch.get(row);
        let answer = flow.client == Client::Dst;
        let (client, server) = if answer { (flow.dst, flow.src) } else { (flow.src, flow.dst) };
        let service = Service::new(Protocol(flow.protocol), batch.server_selector(row, flow.client));
        let exporter = batch.exporters[flow.exporter as usize].clone();
        let hour = bucket(flow.start);
        let sum = found.entry((client, server, service, hour, exporter.clone())).or_insert(RollupRow {
            hour,
            hours: 1,
            exporter,
            client,
            server,
            service,
            client_port: None,
            flows: 0,
            reverse_flows: 0,
            packets: 0,
            bytes: 0,
            reverse_packets: 0,
            reverse_bytes: 0,
            first: flow.start,
            last: flow.end,
            allowed: 0,
            denied: 0,
            confidence_sum: 0.0,
            tcp_flags: 0,
        });
        if answer {
            sum.reverse_flows += 1;
            sum.reverse_packets += flow.packets;
            sum.reverse_bytes = sum.reverse_bytes.saturating_add(flow.bytes);
        } else {
            sum.flows += 1;
            sum.packets += flow.packets;
            sum.bytes = sum.bytes.saturating_add(flow.bytes);
        }
        sum.first = sum.first.min(flow.start);
        sum.last = sum.last.max(flow.end);
        sum.confidence_sum += f64::from(flow.client_confidence);
        sum.tcp_flags |= flow.tcp_flags;
    }
    found
}

pub(crate) fn hour(at: Micros) -> Micros {
    at.div_euclid(HOUR_US).saturating_mul(HOUR_US)
}

pub(crate) fn source(name: &str, content: &[u8]) -> SourceIdentity {
    SourceIdentity::of_reader("test", name, content).unwrap()
}

/// Imports flows with their hourly sums.
pub(crate) fn import(lake: &mut Lake, name: &str, batch: &FlowBatch) -> ImportReceipt {
    let Begun::New(mut import) = lake.begin_import(source(name, name.as_bytes())).unwrap() else {
        panic!("`{name}` was imported before");
    };
    import.append(batch).unwrap();
    let rows: Vec<RollupRow> = sums(batch, hour).into_values().collect();
    import.append_rollups(&rows).unwrap();
    import.commit().unwrap()
}

/// Every Parquet file below a folder, temporary ones too.
pub(crate) fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.path().extension().is_some_and(|end| end == "parquet") {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
