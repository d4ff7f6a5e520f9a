use std::collections::BTreeMap;

use super::*;
use graph::Noise;

/// About 30 hosts of one small company: every role that one host alone plays, and a rehearsal stack built like
/// production.
fn company() -> String {
    let range = |name: &str, count: usize| (0..count).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    let (web, app, iot, ws) = (range("web", 3), range("app", 3), range("iot", 4), range("ws", 5));
    let single = ["lb", "db", "cache", "dns", "ntp", "bastion", "metrics", "backup", "mail", "mqtt", "files"];
    let rehearsal = ["devweb", "devapp", "devdb"];
    let mut text = String::new();
    let mut edge = |client: &str, server: &str, service: &str| {
        if client != server {
            text.push_str(&format!("{client}\t{server}\t{service}\t9\n"));
        }
    };
    let all: Vec<String> = [&web, &app, &iot, &ws]
        .into_iter()
        .flatten()
        .cloned()
        .chain(single.iter().chain(&rehearsal).map(|s| (*s).to_owned()))
        .collect();
    for host in &all {
        edge(host, "dns", "udp/53");
        edge(host, "ntp", "udp/123");
        edge("metrics", host, "tcp/9100");
    }
    for host in web.iter().chain(&app).map(String::as_str).chain(["db", "files", "mail"]) {
        edge("backup", host, "tcp/873");
        edge("bastion", host, "tcp/22");
    }
    for host in &ws {
        edge(host, "lb", "tcp/443");
        edge(host, "mail", "tcp/993");
        edge(host, "files", "tcp/21");
        edge(host, "bastion", "tcp/22");
    }
    for w in &web {
        edge("lb", w, "tcp/80");
        app.iter().for_each(|a| edge(w, a, "tcp/8080"));
    }
    for a in &app {
        edge(a, "db", "tcp/5432");
        edge(a, "cache", "tcp/6379");
        edge(a, "mail", "tcp/25");
    }
    iot.iter().for_each(|i| edge(i, "mqtt", "tcp/1883"));
    edge("app0", "mqtt", "tcp/1883");
    edge("devweb", "devapp", "tcp/8080");
    edge("devapp", "devdb", "tcp/5432");
    edge("ws0", "devweb", "tcp/80");
    text
}

fn found(text: &str) -> Segmentation {
    discover(&edges::parse(text).graph, &DiscoverOptions::default())
}

fn segment_of<'a>(segmentation: &'a Segmentation, member: &str) -> &'a Segment {
    let id = WorkloadId(member.into());
    segmentation.segments.iter().find(|s| s.members.contains(&id)).unwrap_or_else(|| {
        panic!("{member} is in no segment: {segmentation:#?}");
    })
}

#[test]
fn roles_of_a_small_company_are_found() {
    let segmentation = found(&company());
    let together = |members: &[&str]| {
        let first = segment_of(&segmentation, members[0]);
        members.iter().for_each(|m| assert_eq!(segment_of(&segmentation, m).name, first.name, "{m}"));
        first
    };
    together(&["iot0", "iot1", "iot2", "iot3"]);
    together(&["web0", "web1", "web2"]);
    together(&["app0", "app1", "app2"]);
    together(&["ws0", "ws1", "ws2", "ws3", "ws4"]);
    // Mail and file server answer the same desktops, backup and bastion; they may be one segment or two.
    for alone in ["dns", "ntp", "mqtt", "cache", "metrics", "lb"] {
        assert_eq!(segment_of(&segmentation, alone).members.len(), 1, "{alone}: {segmentation:#?}");
    }
    for rehearsal in [("devweb", "web0"), ("devdb", "db")] {
        assert_ne!(segment_of(&segmentation, rehearsal.0).name, segment_of(&segmentation, rehearsal.1).name);
    }
    assert!(segmentation.unassigned.is_empty(), "{:#?}", segmentation.unassigned);
}

#[test]
fn segments_say_what_they_are_and_why() {
    let segmentation = found(&company());
    assert_eq!(segment_of(&segmentation, "dns").name, "dns-servers");
    assert_eq!(segment_of(&segmentation, "cache").name, "redis-servers");
    assert_eq!(segment_of(&segmentation, "iot1").name, "mqtt-clients");
    let iot = segment_of(&segmentation, "iot1");
    assert_eq!(iot.reasons[0], "4 of 4 members use tcp/1883; 1 of 25 others does");
    let names: BTreeSet<&str> = segmentation.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names.len(), segmentation.segments.len());
    for segment in &segmentation.segments {
        assert!((0.0..=1.0).contains(&segment.confidence) && !segment.reasons.is_empty(), "{segment:?}");
        assert!(segment.id.0.starts_with("seg-"));
    }
}

#[test]
fn order_and_names_of_hosts_do_not_matter() {
    let text = company();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.reverse();
    assert_eq!(found(&lines.join("\n")), found(&text));
    let renamed = found(&text.replace("dns\t", "zz-dns\t"));
    let partition = |s: &Segmentation| {
        let mut sizes: Vec<usize> = s.segments.iter().map(|s| s.members.len()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(partition(&renamed), partition(&found(&text)));
}

#[test]
fn names_and_ids_stay_while_the_members_largely_do() {
    let text = company();
    let mut before = found(&text);
    let web = before.segments.iter_mut().find(|s| s.members.contains(&WorkloadId("web0".into()))).unwrap();
    web.name = "shop-front".into();
    let id = web.id.clone();
    let grown: String =
        text.lines().filter(|l| l.contains("web2")).map(|l| l.replace("web2", "web3") + "\n").collect();
    let options = DiscoverOptions { previous: Some(before), only: None };
    let after = discover(&edges::parse(&(text + &grown)).graph, &options);
    let web = segment_of(&after, "web3");
    assert_eq!((web.name.as_str(), &web.id, web.members.len()), ("shop-front", &id, 4));
}

#[test]
fn only_some_are_segmented_with_the_rest_as_context() {
    let only: BTreeSet<WorkloadId> =
        ["web0", "web1", "db", "nowhere"].iter().map(|n| WorkloadId((*n).into())).collect();
    let options = DiscoverOptions { only: Some(only.clone()), previous: None };
    let segmentation = discover(&edges::parse(&company()).graph, &options);
    let placed: BTreeSet<WorkloadId> = segmentation.segments.iter().flat_map(|s| s.members.clone()).collect();
    assert_eq!(placed.len(), 3);
    assert_eq!(segmentation.segments.len(), 2);
    assert_eq!(segmentation.unassigned[0].workload.0, "nowhere");
    assert_eq!(segmentation.unassigned[0].reason, "no traffic");
}

#[test]
fn noise_teaches_nothing_and_shared_services_alone_tell_no_role() {
    let mut graph = edges::parse("a,dns,udp/53,1\nb,c,tcp/80,1\nd,dns,udp/53,1\nd,c,tcp/80,1").graph;
    let index: BTreeMap<String, u32> = graph.nodes.iter().map(|n| n.id.0.clone()).zip(0..).collect();
    for edge in &mut graph.edges {
        edge.shared = edge.server == index["dns"];
        if edge.client == index["b"] {
            edge.noise = Some(Noise::Scan);
        }
    }
    let segmentation = discover(&graph, &DiscoverOptions::default());
    let reasons: Vec<(&str, &str)> =
        segmentation.unassigned.iter().map(|u| (u.workload.0.as_str(), &u.reason[..10])).collect();
    assert_eq!(reasons, [("a", "offers not"), ("b", "no traffic")]);
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(discover(&Graph::default(), &DiscoverOptions::default()), Segmentation::default());
}

#[test]
fn every_workload_is_in_exactly_one_place() {
    let mut state = 7_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    for _ in 0..20 {
        let lines: Vec<String> =
            (0..60).map(|_| format!("h{},h{},tcp/{},1", next(25), next(25), 1 + next(9))).collect();
        let graph = edges::parse(&lines.join("\n")).graph;
        let segmentation = discover(&graph, &DiscoverOptions::default());
        let mut placed: Vec<&WorkloadId> = segmentation.segments.iter().flat_map(|s| &s.members).collect();
        placed.extend(segmentation.unassigned.iter().map(|u| &u.workload));
        placed.sort();
        let all: Vec<&WorkloadId> = graph.nodes.iter().map(|n| &n.id).collect();
        assert_eq!(placed, all);
    }
}
