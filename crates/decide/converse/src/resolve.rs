//! Rolled-up rows to conversations between workloads.

use std::collections::BTreeMap;

use crate::reorient::reorient;
use model::{Conversation, Endpoint, Inventory, Ip, Micros, RollupRow, WorkloadId};

/// Joins rows with the inventory and sums them over the window, one conversation for each (client, server, service),
/// sorted so. An address belongs to whoever owned it when the row's first packet was seen; an address that changed hands
/// yields a conversation for each owner.
///
/// Rows whose direction was left open are judged once more, with the evidence of all rows given, and turned round where
/// that is surer of the opposite.
///
/// Several exporters that saw one hour's traffic each count it: of every count the greatest is taken, so that traffic
/// seen twice counts once, and one-sided views of two routers complete each other.
pub fn resolve(mut rows: Vec<RollupRow>, inventory: &Inventory) -> Vec<Conversation> {
    reorient(&mut rows);
    rows.sort_unstable_by(|a, b| {
        (a.client, a.server, a.service, a.hour, &a.exporter, a.first).cmp(&(
            b.client,
            b.server,
            b.service,
            b.hour,
            &b.exporter,
            b.first,
        ))
    });
    let mut found = Vec::new();
    let together =
        |a: &RollupRow, b: &RollupRow| (a.client, a.server, a.service) == (b.client, b.server, b.service);
    for traffic in rows.chunk_by(together) {
        let first = found.len();
        for hour in traffic.chunk_by(|a, b| a.hour == b.hour) {
            by_owners(hour, inventory, &mut |owners, views| add_hour(&mut found, first, owners, views));
        }
    }
    found.iter_mut().for_each(finish);
    // Almost sorted already: only an address that changed hands stands out of order.
    found.sort_by(|a, b| (&a.client, &a.server, a.service).cmp(&(&b.client, &b.server, b.service)));
    found
}

/// Who owned the two addresses.
type Owners<'a> = (Option<&'a WorkloadId>, Option<&'a WorkloadId>);

/// Hands out one hour's rows by the owners of the two addresses; nearly always they are the same for all.
fn by_owners<'a>(
    hour: &[RollupRow],
    inventory: &'a Inventory,
    take: &mut dyn FnMut(Owners<'a>, &[&RollupRow]),
) {
    let owner = |ip: Ip, at: Micros| inventory.owner(ip, at).map(|owner| &owner.id);
    let owners = |row: &RollupRow| (owner(row.client, row.first), owner(row.server, row.first));
    if let [row] = hour {
        return take(owners(row), &[row]);
    }
    let mut seen: BTreeMap<Owners<'a>, Vec<&RollupRow>> = BTreeMap::new();
    hour.iter().for_each(|row| seen.entry(owners(row)).or_default().push(row));
    seen.into_iter().for_each(|(owners, views)| take(owners, &views));
}

/// Adds an hour to the conversation of the same owners among those from `first` on, or begins one.
fn add_hour(found: &mut Vec<Conversation>, first: usize, owners: Owners<'_>, views: &[&RollupRow]) {
    let hour = one_hour(views);
    let same = |c: &&mut Conversation| (c.client.workload.as_ref(), c.server.workload.as_ref()) == owners;
    match found[first..].iter_mut().find(same) {
        Some(all) => add(all, &hour),
        None => {
            let mut hour = hour;
            hour.client.workload = owners.0.cloned();
            hour.server.workload = owners.1.cloned();
            found.push(hour);
        }
    }
}

/// The hour as all its observers saw it: each observer's rows added up, then the greatest of every count. The sum of
/// confidences over flows stands in `confidence` until [`finish`].
fn one_hour(views: &[&RollupRow]) -> Conversation {
    let mut all = Conversation {
        client: Endpoint { ip: views[0].client, workload: None },
        server: Endpoint { ip: views[0].server, workload: None },
        service: views[0].service,
        confidence: 0.0,
        flows: 0,
        packets: 0,
        bytes: 0,
        reverse_packets: 0,
        reverse_bytes: 0,
        first: Micros::MAX,
        last: Micros::MIN,
        hours: 0,
        allowed: 0,
        denied: 0,
        tcp_flags: 0,
    };
    let (mut confidence, mut records) = (0.0, 0_u64);
    for of_one in views.chunk_by(|a, b| a.exporter == b.exporter) {
        let sum =
            |count: fn(&RollupRow) -> u64| of_one.iter().fold(0_u64, |n, row| n.saturating_add(count(row)));
        all.flows = all.flows.max(sum(|row| row.flows)).max(sum(|row| row.reverse_flows));
        all.packets = all.packets.max(sum(|row| row.packets));
        all.bytes = all.bytes.max(sum(|row| row.bytes));
        all.reverse_packets = all.reverse_packets.max(sum(|row| row.reverse_packets));
        all.reverse_bytes = all.reverse_bytes.max(sum(|row| row.reverse_bytes));
        all.allowed = all.allowed.max(sum(|row| row.allowed));
        all.denied = all.denied.max(sum(|row| row.denied));
    }
    for row in views {
        all.first = all.first.min(row.first);
        all.last = all.last.max(row.last);
        // A row of the lake may stand for many hours; what several rows saw of one start is not more of them.
        all.hours = all.hours.max(row.hours.max(1));
        all.tcp_flags |= row.tcp_flags;
        confidence += row.confidence_sum;
        records = records.saturating_add(row.flows).saturating_add(row.reverse_flows);
    }
    // Weighted by flows, so that hours add up to a mean over flows.
    all.confidence = confidence / records.max(1) as f64 * all.flows as f64;
    all
}

fn add(all: &mut Conversation, hour: &Conversation) {
    all.confidence += hour.confidence;
    all.flows = all.flows.saturating_add(hour.flows);
    all.packets = all.packets.saturating_add(hour.packets);
    all.bytes = all.bytes.saturating_add(hour.bytes);
    all.reverse_packets = all.reverse_packets.saturating_add(hour.reverse_packets);
    all.reverse_bytes = all.reverse_bytes.saturating_add(hour.reverse_bytes);
    all.first = all.first.min(hour.first);
    all.last = all.last.max(hour.last);
    all.hours = all.hours.saturating_add(hour.hours);
    all.allowed = all.allowed.saturating_add(hour.allowed);
    all.denied = all.denied.saturating_add(hour.denied);
    all.tcp_flags |= hour.tcp_flags;
}

fn finish(conversation: &mut Conversation) {
    conversation.confidence = (conversation.confidence / conversation.flows.max(1) as f64).clamp(0.0, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AddressClaim, Exporter, Labels, Service, Workload};

    fn row(exporter: &str, hour: Micros, flows: u64, reverse_flows: u64) -> RollupRow {
        RollupRow {
            hour,
            hours: 1,
            exporter: Exporter(exporter.into()),
            client: Ip::v4(1),
            server: Ip::v4(2),
            service: Service::tcp(443),
            client_port: None,
            flows,
            reverse_flows,
            packets: flows * 10,
            bytes: flows * 100,
            reverse_packets: reverse_flows * 10,
            reverse_bytes: reverse_flows * 1000,
            first: hour + 1,
            last: hour + 2,
            allowed: 0,
            denied: 0,
            confidence_sum: (flows + reverse_flows) as f64 * 0.8,
            tcp_flags: 2,
        }
    }

    fn workload(id: &str, from: Micros, to: Micros) -> Workload {
        Workload {
            id: WorkloadId(id.into()),
            name: id.into(),
            labels: Labels::new(),
            criticality: None,
            addresses: vec![AddressClaim { ip: Ip::v4(1), from, to }],
        }
    }

    #[test]
    fn several_observers_count_once_and_hours_add_up() {
        let rows = vec![row("a", 0, 5, 0), row("b", 0, 4, 4), row("a", 3_600, 2, 2), row("a", 0, 1, 0)];
        let found = resolve(rows, &Inventory::default());
        assert_eq!(found.len(), 1);
        let all = &found[0];
        // Exporter a has two rows of hour 0: 5 + 1 flows, more than b's 4.
        assert_eq!((all.flows, all.packets, all.reverse_packets, all.hours), (8, 80, 60, 2));
        assert!((all.confidence - 0.8).abs() < 1e-9);
        assert_eq!((all.first, all.last), (1, 3_602));
    }

    #[test]
    fn a_row_of_many_hours_counts_them_all() {
        let of = |hours, exporter| RollupRow { hours, ..row(exporter, 0, 30, 30) };
        let found = resolve(vec![of(30, "a"), of(24, "b"), row("a", 360_000, 1, 1)], &Inventory::default());
        assert_eq!(found[0].hours, 31);
    }

    #[test]
    fn the_owner_is_who_held_the_address_then() {
        let inventory =
            Inventory::new(vec![workload("old", 0, 100), workload("new", 100, Micros::MAX)]).unwrap();
        let found = resolve(vec![row("a", 0, 1, 1), row("a", 200, 2, 2)], &inventory);
        let owners: Vec<_> = found.iter().map(|c| (c.client.workload.clone().unwrap().0, c.flows)).collect();
        assert_eq!(owners, [("new".to_owned(), 2), ("old".to_owned(), 1)]);
        assert_eq!(found[0].server.workload, None);
    }
}
