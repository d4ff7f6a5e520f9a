//! Rows of uncertain direction, judged once more with what is known by now.

use model::{Client, Exporter, Flow, FlowBatch, RollupRow};

use crate::orient::orient;
use crate::table::ServiceTable;

/// Turns the rows that keep both ports to the direction that all rows together speak for, where that is surer than what
/// was said when they were written. All of them lose the client's port: a reader wants conversations.
pub(crate) fn reorient(rows: &mut [RollupRow]) {
    let open: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].client_port.is_some()).collect();
    if open.is_empty() {
        return;
    }
    let mut flows = FlowBatch::new("rollup");
    open.iter().for_each(|at| push(&mut flows, &rows[*at]));
    let mut table = ServiceTable::new();
    table.learn(&flows);
    rows.iter().filter(|row| row.client_port.is_none()).for_each(|row| table.learn_row(row));
    orient(&mut flows, &table);
    for (row, at) in open.into_iter().enumerate() {
        apply(&mut rows[at], flows.client[row], f64::from(flows.client_confidence[row]));
    }
}

fn push(flows: &mut FlowBatch, row: &RollupRow) {
    let answered = row.reverse_flows > 0 || row.reverse_packets > 0;
    let exporter = flows.intern_exporter(&Exporter(row.exporter.0.clone()));
    flows.push(Flow {
        start: row.first,
        end: row.last,
        src: row.client,
        dst: row.server,
        protocol: row.service.protocol.0,
        src_port: row.client_port.unwrap_or_default(),
        dst_port: row.service.low,
        packets: row.packets,
        bytes: row.bytes,
        reverse_packets: row.reverse_packets.max(u64::from(answered)),
        reverse_bytes: row.reverse_bytes,
        present: FlowBatch::HAS_PORTS | if answered { FlowBatch::HAS_REVERSE } else { 0 },
        exporter,
        ..Flow::default()
    });
}

fn apply(row: &mut RollupRow, client: Client, confidence: f64) {
    let records = (row.flows.saturating_add(row.reverse_flows)).max(1) as f64;
    let Some(port) = row.client_port.take() else { return };
    if client == Client::Unknown || confidence <= row.confidence_sum / records {
        return;
    }
    row.confidence_sum = confidence * records;
    if client == Client::Dst {
        std::mem::swap(&mut row.client, &mut row.server);
        row.service.low = port;
        row.service.high = port;
        std::mem::swap(&mut row.flows, &mut row.reverse_flows);
        std::mem::swap(&mut row.packets, &mut row.reverse_packets);
        std::mem::swap(&mut row.bytes, &mut row.reverse_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rollup, resolve};
    use model::{Inventory, Ip, Service};

    const HOUR: i64 = 3_600_000_000;

    fn hour(number: i64, ends: &[(u32, u16, u32, u16)]) -> Vec<RollupRow> {
        let mut batch = FlowBatch::new("test");
        batch.exporters.push(Exporter("router".into()));
        for &(src, from, dst, to) in ends {
            let there = Flow {
                src: Ip::v4(src),
                dst: Ip::v4(dst),
                protocol: 6,
                src_port: from,
                dst_port: to,
                start: number * HOUR,
                end: number * HOUR + 5,
                packets: 3,
                present: FlowBatch::HAS_PORTS,
                ..Flow::default()
            };
            let back = Flow { src: there.dst, dst: there.src, src_port: to, dst_port: from, ..there.clone() };
            batch.push(there);
            batch.push(back);
        }
        let mut table = ServiceTable::new();
        table.learn(&batch);
        orient(&mut batch, &table);
        let mut rollup = Rollup::new(HOUR);
        rollup.add(&batch);
        rollup.drain()
    }

    #[test]
    fn a_later_hour_turns_an_earlier_one() {
        // The first hour's only connection has the lower port on the client's side.
        let first = hour(0, &[(1, 40_000, 100, 41_240)]);
        assert_eq!((first.len(), first[0].client), (1, Ip::v4(100)));
        let alone = resolve(first.clone(), &Inventory::default());
        assert!(alone[0].confidence < 0.6);

        let busy: Vec<_> = (2..40).map(|n| (n, 42_000 + n as u16 * 100, 100, 41_240)).collect();
        let mut rows = first;
        rows.extend(hour(1, &busy));
        let all = resolve(rows, &Inventory::default());
        assert!(all.iter().all(|c| c.server.ip == Ip::v4(100) && c.service == Service::tcp(41_240)));
        let turned = all.iter().find(|c| c.client.ip == Ip::v4(1)).unwrap();
        assert!(turned.confidence > 0.9, "{turned:?}");
        assert_eq!((turned.packets, turned.reverse_packets), (3, 3));
    }
}
