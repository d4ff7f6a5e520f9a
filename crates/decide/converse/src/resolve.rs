//! Rolled-up rows to conversations between workloads.

use std::collections::{BTreeMap, BTreeSet};

use model::{Conversation, Endpoint, Exporter, Inventory, Micros, RollupRow};
use netset::{Ip, Service};

/// Joins rows with the inventory and sums them over the window, one conversation for each (client, server, service),
/// sorted so. An address belongs to whoever owned it when the row's first packet was seen; an address that changed hands
/// yields a conversation for each owner.
///
/// Several exporters that saw one hour's traffic each count it: of every count the greatest is taken, so that traffic
/// seen twice counts once, and one-sided views of two routers complete each other.
pub fn resolve(mut rows: Vec<RollupRow>, inventory: &Inventory) -> Vec<Conversation> {
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
    let mut found: BTreeMap<(Endpoint, Endpoint, Service), Conversation> = BTreeMap::new();
    let same_hour = |a: &RollupRow, b: &RollupRow| {
        (a.client, a.server, a.service, a.hour) == (b.client, b.server, b.service, b.hour)
    };
    for hour in rows.chunk_by(same_hour) {
        let mut seen: BTreeMap<(Endpoint, Endpoint), Vec<&RollupRow>> = BTreeMap::new();
        for row in hour {
            let owners =
                (endpoint(inventory, row.client, row.first), endpoint(inventory, row.server, row.first));
            seen.entry(owners).or_default().push(row);
        }
        for ((client, server), views) in seen {
            let here = one_hour(&client, &server, &views);
            match found.get_mut(&(client.clone(), server.clone(), here.service)) {
                Some(all) => add(all, &here),
                None => {
                    found.insert((client, server, here.service), here);
                }
            }
        }
    }
    found.into_values().map(finish).collect()
}

fn endpoint(inventory: &Inventory, ip: Ip, at: Micros) -> Endpoint {
    Endpoint { ip, workload: inventory.owner(ip, at).map(|owner| owner.id.clone()) }
}

/// The hour as all its observers saw it: each observer's rows added up, then the greatest of every count. The sum of
/// confidences stands in `confidence` and its weight in `hours` until [`finish`].
fn one_hour(client: &Endpoint, server: &Endpoint, views: &[&RollupRow]) -> Conversation {
    let mut all = Conversation {
        client: client.clone(),
        server: server.clone(),
        service: views[0].service,
        confidence: 0.0,
        flows: 0,
        packets: 0,
        bytes: 0,
        reverse_packets: 0,
        reverse_bytes: 0,
        first: Micros::MAX,
        last: Micros::MIN,
        hours: views.iter().map(|row| row.hours).max().unwrap_or(1),
        allowed: 0,
        denied: 0,
        tcp_flags: 0,
    };
    let exporters: BTreeSet<&Exporter> = views.iter().map(|row| &row.exporter).collect();
    let (mut confidence, mut records) = (0.0, 0);
    for exporter in exporters {
        let of = || views.iter().filter(|row| row.exporter == *exporter);
        let sum = |count: fn(&RollupRow) -> u64| of().fold(0_u64, |n, row| n.saturating_add(count(row)));
        all.flows = all.flows.max(sum(|row| row.flows)).max(sum(|row| row.reverse_flows));
        all.packets = all.packets.max(sum(|row| row.packets));
        all.bytes = all.bytes.max(sum(|row| row.bytes));
        all.reverse_packets = all.reverse_packets.max(sum(|row| row.reverse_packets));
        all.reverse_bytes = all.reverse_bytes.max(sum(|row| row.reverse_bytes));
        all.allowed = all.allowed.max(sum(|row| row.allowed));
        all.denied = all.denied.max(sum(|row| row.denied));
        for row in of() {
            all.first = all.first.min(row.first);
            all.last = all.last.max(row.last);
            all.tcp_flags |= row.tcp_flags;
            confidence += row.confidence_sum;
            records += row.flows + row.reverse_flows;
        }
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
    all.hours += hour.hours;
    all.allowed = all.allowed.saturating_add(hour.allowed);
    all.denied = all.denied.saturating_add(hour.denied);
    all.tcp_flags |= hour.tcp_flags;
}

fn finish(mut conversation: Conversation) -> Conversation {
    conversation.confidence = (conversation.confidence / conversation.flows.max(1) as f64).clamp(0.0, 1.0);
    conversation
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AddressClaim, Labels, Workload, WorkloadId};

    fn row(exporter: &str, hour: Micros, flows: u64, reverse_flows: u64) -> RollupRow {
        RollupRow {
            hour,
            hours: 1,
            exporter: Exporter(exporter.into()),
            client: Ip::v4(1),
            server: Ip::v4(2),
            service: Service::tcp(443),
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
    fn the_owner_is_who_held_the_address_then() {
        let inventory =
            Inventory::new(vec![workload("old", 0, 100), workload("new", 100, Micros::MAX)]).unwrap();
        let found = resolve(vec![row("a", 0, 1, 1), row("a", 200, 2, 2)], &inventory);
        let owners: Vec<_> = found.iter().map(|c| (c.client.workload.clone().unwrap().0, c.flows)).collect();
        assert_eq!(owners, [("new".to_owned(), 2), ("old".to_owned(), 1)]);
        assert_eq!(found[0].server.workload, None);
    }
}
