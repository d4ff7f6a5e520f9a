//! Every operation on sets against the plain question whether a packet is in them, over a small world that lies in
//! the full one: its edges are the space's edges, the family boundary, and some addresses in between.

use netset::{IntervalSet, Ip, IpSet, Packet, Protocol, Region, ServiceSet, TrafficSet};
use proptest::collection::vec;
use proptest::prelude::*;

/// Cut points; the world's cells are the runs between them, so that one packet a cell stands for all.
const ADDRESSES: [u128; 7] =
    [0, 1, 0xffff_0000_0000, 0xffff_0a00_0000, 0xffff_0a00_0001, 0x1_0000_0000_0000, u128::MAX];
const PROTOCOLS: [u8; 4] = [0, 6, 17, 255];
const SELECTORS: [u16; 4] = [0, 80, 443, 65_535];

/// A box, as indices of first and last cut point of each field.
type Cuts = ([usize; 2], [usize; 2], [usize; 2], [usize; 2]);

fn cuts() -> impl Strategy<Value = Cuts> {
    let pair = |n: usize| [0..n, 0..n].prop_map(|[a, b]| [a.min(b), a.max(b)]);
    (pair(7), pair(7), pair(4), pair(4))
}

fn set_of((s, d, p, q): &Cuts) -> TrafficSet {
    let ips = |[low, high]: &[usize; 2]| IpSet::range(Ip(ADDRESSES[*low]), Ip(ADDRESSES[*high]));
    let protocols = IntervalSet::range(PROTOCOLS[p[0]], PROTOCOLS[p[1]]);
    let selectors = IntervalSet::range(SELECTORS[q[0]], SELECTORS[q[1]]);
    TrafficSet::product(&ips(s), &ips(d), &ServiceSet::product(&protocols, &selectors))
}

fn naive((s, d, p, q): &Cuts, packet: &Packet) -> bool {
    let ip = |[low, high]: &[usize; 2], ip: Ip| (ADDRESSES[*low]..=ADDRESSES[*high]).contains(&ip.0);
    ip(s, packet.source)
        && ip(d, packet.destination)
        && (PROTOCOLS[p[0]]..=PROTOCOLS[p[1]]).contains(&packet.protocol.0)
        && (SELECTORS[q[0]]..=SELECTORS[q[1]]).contains(&packet.selector)
}

/// A packet on each cut point and beside it.
fn packets() -> Vec<Packet> {
    let ips: Vec<Ip> = ADDRESSES.iter().flat_map(|ip| [Ip(*ip), Ip(ip.saturating_add(1))]).collect();
    let services: Vec<(u8, u16)> = PROTOCOLS
        .iter()
        .flat_map(|p| SELECTORS.iter().map(move |s| (*p, *s)))
        .chain([(7, 80), (16, 0), (6, 81), (6, 79)])
        .collect();
    let mut all = Vec::new();
    for source in &ips {
        for destination in &ips {
            for (protocol, selector) in &services {
                let protocol = Protocol(*protocol);
                all.push(Packet {
                    source: *source,
                    destination: *destination,
                    protocol,
                    selector: *selector,
                });
            }
        }
    }
    all
}

fn any_of(boxes: &[Cuts]) -> TrafficSet {
    TrafficSet::union_all(boxes.iter().map(set_of))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn operations_agree_with_membership(a in vec(cuts(), 0..6), b in vec(cuts(), 0..6)) {
        let (left, right) = (any_of(&a), any_of(&b));
        let (union, both, less) = (left.union(&right), left.intersect(&right), left.subtract(&right));
        let pairs = left.on_any_service();
        for packet in packets() {
            let (l, r) = (a.iter().any(|c| naive(c, &packet)), b.iter().any(|c| naive(c, &packet)));
            prop_assert_eq!(left.contains(&packet), l, "{}", packet);
            prop_assert_eq!(union.contains(&packet), l || r, "{}", packet);
            prop_assert_eq!(both.contains(&packet), l && r, "{}", packet);
            prop_assert_eq!(less.contains(&packet), l && !r, "{}", packet);
            prop_assert_eq!(pairs.contains(&packet), left.services(packet.source, packet.destination).is_some());
        }
        prop_assert_eq!(left.is_subset(&right), less.is_empty());
        prop_assert_eq!(left.is_disjoint(&right), both.is_empty());
        prop_assert_eq!(less.witness().is_none(), less.is_empty());
        if let Some(witness) = less.witness() {
            prop_assert!(left.contains(&witness) && !right.contains(&witness));
        }
    }

    #[test]
    fn equal_sets_have_one_form(a in vec(cuts(), 0..6), b in vec(cuts(), 0..6)) {
        let (left, right) = (any_of(&a), any_of(&b));
        // Several ways to the same set.
        let union = left.union(&right);
        let mut shuffled: Vec<Cuts> = b.iter().chain(&a).copied().collect();
        shuffled.reverse();
        prop_assert_eq!(&any_of(&shuffled), &union);
        prop_assert_eq!(&shuffled.iter().fold(TrafficSet::default(), |all, c| all.union(&set_of(c))), &union);
        let parts = left.subtract(&right).union(&left.intersect(&right)).union(&right.subtract(&left));
        prop_assert_eq!(&parts, &union);
        let full = TrafficSet::full();
        prop_assert_eq!(&full.subtract(&full.subtract(&left)), &left);
        prop_assert_eq!(parts.to_string(), union.to_string());
        let boxes = left.boxes().map(|((s, t), (d, e), services)| {
            TrafficSet::product(&IpSet::range(s, t), &IpSet::range(d, e), services)
        });
        prop_assert_eq!(&TrafficSet::union_all(boxes), &left);
    }

    #[test]
    fn blocks_cover_a_set_exactly(runs in vec((any::<u128>(), any::<u128>()), 0..4), near in vec((0..64_u32, 0..64_u32), 0..4)) {
        let near = near.into_iter().map(|(a, b)| (Ip::v4(0x0a00_0000 + a.min(b)), Ip::v4(0x0a00_0000 + a.max(b))));
        let far = runs.into_iter().map(|(a, b)| (Ip(a.min(b)), Ip(a.max(b))));
        let set = IpSet::from_ranges(near.chain(far));
        let blocks = set.to_prefixes();
        prop_assert_eq!(IpSet::from_ranges(blocks.iter().map(|b| (b.first(), b.last()))), set);
        prop_assert!(blocks.windows(2).all(|pair| pair[0].last() < pair[1].first()));
        for block in blocks {
            prop_assert_eq!(block.to_string().parse::<netset::Prefix>().unwrap(), block);
        }
    }
}

#[test]
fn sets_print_for_people() {
    let block = |text: &str| text.parse::<netset::Prefix>().unwrap().to_set();
    let services = |list: &[&str]| ServiceSet::of(list.iter().map(|text| text.parse().unwrap()));
    let web = block("10.0.0.1").union(&block("10.0.0.7"));
    let set = TrafficSet::union_all([
        TrafficSet::product(&web, &block("10.1.0.0/16"), &services(&["tcp/443", "tcp/8443"])),
        TrafficSet::product(&web, &block("10.9.0.0/24"), &services(&["tcp/443", "tcp/8443"])),
        TrafficSet::product(&block("10.0.0.9"), &IpSet::full(), &ServiceSet::full()),
    ]);
    assert_eq!(
        set.to_string(),
        "10.0.0.1, 10.0.0.7 -> 10.1.0.0/16, 10.9.0.0/24: tcp/443, tcp/8443\n10.0.0.9 -> any: any"
    );
    assert_eq!(TrafficSet::default().to_string(), "nothing");
    let rest = ServiceSet::full().subtract(&services(&["tcp/0-1023"]));
    assert_eq!(rest.to_string(), "ip0-ip5, tcp/1024-65535, ip7-ip255");
}
