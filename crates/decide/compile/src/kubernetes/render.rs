//! From a plan to one NetworkPolicy for each set of labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use model::{
    Action, IntervalSet, Ip, IpSet, Labels, Mode, Plan, PlanPoint, PlanRule, Protocol, Region, Service,
    ServiceSet,
};
use netset::IntervalMap;

use super::blocks::blocks;
use super::{NAMESPACE_LABEL, RULES_ANNOTATION, TARGET};
use crate::target::{Artifact, Problem, Refusal, Rendered, Side};

/// Services by the other side's address.
type ByPeer = IntervalMap<Ip, ServiceSet>;

pub(super) fn render(plan: &Plan) -> Rendered {
    let mut groups: BTreeMap<&Labels, Vec<&PlanPoint>> = BTreeMap::new();
    for point in &plan.points {
        groups.entry(&point.labels).or_default().push(point);
    }
    let (mut artifacts, mut refusals, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (labels, points) in &groups {
        let specs: Vec<(&PlanPoint, Spec)> = points
            .iter()
            .filter_map(|point| match spec(plan, point) {
                Ok(spec) => Some((*point, spec)),
                Err(list) => {
                    refusals.extend(list);
                    None
                }
            })
            .collect();
        let Some((first, first_spec)) = specs.first() else { continue };
        let others = specs.iter().filter(|(_, spec)| spec != first_spec);
        refusals.extend(others.map(|(point, _)| {
            refusal(point, None, Problem::AmbiguousLabels { other: first.workload.clone() })
        }));
        let name = unique(&mut names, &name(labels));
        artifacts.push(Artifact {
            target: TARGET.name,
            workload: first.workload.clone(),
            file_name: format!("{name}.yaml"),
            text: document(&name, labels, &absent_keys(labels, groups.keys().copied()), first_spec),
        });
    }
    artifacts.sort_by(|a, b| a.workload.cmp(&b.workload));
    refusals.sort();
    refusals.dedup();
    if refusals.is_empty() { Ok(artifacts) } else { Err(refusals) }
}

fn refusal(point: &PlanPoint, rule: Option<&PlanRule>, problem: Problem) -> Refusal {
    Refusal {
        target: TARGET.name,
        workload: point.workload.clone(),
        rule: rule.map(|rule| rule.id.clone()),
        location: rule.map(|rule| rule.location.to_string()),
        problem,
    }
}

/// One entry: who and on what, with the rule that it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    rule: String,
    /// `None` is everybody.
    peers: Option<Vec<String>>,
    /// `None` is everything.
    ports: Option<Vec<String>>,
}

/// The entries of both sides, ingress first.
type Spec = [Vec<Entry>; 2];

fn spec(plan: &Plan, point: &PlanPoint) -> Result<Spec, Vec<Refusal>> {
    let mut refusals = whole_point_refusals(point);
    let mut spec = Spec::default();
    for (side, entries) in Side::BOTH.into_iter().zip(&mut spec) {
        let rules = if side == Side::Ingress { &point.ingress } else { &point.egress };
        let denied = rules.iter().filter(|rule| rule.action == Action::GuardrailDeny);
        let denied = denied.fold(ByPeer::default(), |all, rule| all.union(&by_peer(rule)));
        for action in [Action::GuardrailAllow, Action::Allow] {
            for rule in rules.iter().filter(|rule| rule.action == action) {
                let left = by_peer(rule);
                let left = if action == Action::Allow { left.subtract(&denied) } else { left };
                match rule_entries(plan, point, rule, &left) {
                    Ok(list) => entries.extend(list),
                    Err(problem) => refusals.push(refusal(point, Some(rule), problem)),
                }
            }
        }
    }
    if refusals.is_empty() { Ok(spec) } else { Err(refusals) }
}

fn whole_point_refusals(point: &PlanPoint) -> Vec<Refusal> {
    let mut problems = Vec::new();
    if point.labels.keys().all(|key| key == NAMESPACE_LABEL) {
        problems.push((None, Problem::NoLabels));
    }
    let illegal = point.labels.iter().filter(|(key, value)| !is_key(key) || !is_value(value));
    problems.extend(
        illegal.map(|(key, value)| (None, Problem::IllegalLabel { key: key.clone(), value: value.clone() })),
    );
    if point.addresses.is_empty() {
        problems.push((None, Problem::NoAddress));
    }
    let mode = match point.mode {
        Mode::Enforce => None,
        Mode::Observe => Some("observe"),
        Mode::Test => Some("test"),
        Mode::Selective => Some("selective"),
    };
    problems.extend(mode.map(|mode| (None, Problem::Mode { mode })));
    let partial = point.ingress.iter().chain(&point.egress).filter(|rule| rule.own != point.addresses);
    problems.extend(partial.map(|rule| (Some(rule), Problem::SomeAddresses)));
    problems.into_iter().map(|(rule, problem)| refusal(point, rule, problem)).collect()
}

fn by_peer(rule: &PlanRule) -> ByPeer {
    ByPeer::product(&rule.peers, &rule.services)
}

/// The families that the workload has addresses of: no other packet reaches it.
fn own_families(point: &PlanPoint) -> Vec<(IpSet, Protocol)> {
    [(IpSet::all_v4(), Protocol::ICMPV6), (IpSet::all_v6(), Protocol::ICMP)]
        .into_iter()
        .filter(|(family, _)| !family.is_disjoint(&point.addresses))
        .collect()
}

fn rule_entries(
    plan: &Plan,
    point: &PlanPoint,
    rule: &PlanRule,
    left: &ByPeer,
) -> Result<Vec<Entry>, Problem> {
    let families = own_families(point);
    let everybody = families.iter().fold(IpSet::default(), |all, (family, _)| all.union(family));
    let mut by_services: Vec<(ServiceSet, IpSet)> = Vec::new();
    for (family, foreign_icmp) in &families {
        let foreign = ServiceSet::product(&IntervalSet::single(foreign_icmp.0), &IntervalSet::full());
        for (low, high, services) in left.runs() {
            let peers = IpSet::range(*low, *high).intersect(family);
            // The other family's ICMP is in no packet between these addresses.
            let all = services.union(&foreign);
            let services = if all.is_full() { all } else { services.subtract(&foreign) };
            if peers.is_empty() || services.is_empty() {
                continue;
            }
            match by_services.iter_mut().find(|(known, _)| *known == services) {
                Some((_, set)) => *set = set.union(&peers),
                None => by_services.push((services, peers)),
            }
        }
    }
    by_services.sort_by_cached_key(|(services, _)| services.services());
    let entry = |(services, peers): (ServiceSet, IpSet)| {
        let ports = if services.is_full() { None } else { Some(ports(&services)?) };
        let peers = if peers == everybody { None } else { Some(peer_lines(plan, point, &peers, &everybody)) };
        Ok(Entry { rule: rule.id.clone(), peers, ports })
    };
    by_services.into_iter().map(entry).collect()
}

/// The lines of each port, without indentation.
fn ports(services: &ServiceSet) -> Result<Vec<String>, Problem> {
    let port = |service: Service| {
        let protocol = match service.protocol {
            Protocol::TCP => "TCP",
            Protocol::UDP => "UDP",
            Protocol::SCTP => "SCTP",
            _ => return Err(Problem::Protocol { service: service.to_string() }),
        };
        match (service.low, service.high) {
            (0, u16::MAX) => Ok(format!("protocol: {protocol}\n")),
            (0, _) => Err(Problem::PortZero { service: service.to_string() }),
            (low, high) if low == high => Ok(format!("protocol: {protocol}\nport: {low}\n")),
            (low, high) => Ok(format!("protocol: {protocol}\nport: {low}\nendPort: {high}\n")),
        }
    };
    services.services().into_iter().map(port).collect()
}

/// The lines of each peer: one selector when the peers are exactly the workloads that it selects, else blocks.
fn peer_lines(plan: &Plan, point: &PlanPoint, peers: &IpSet, everybody: &IpSet) -> Vec<String> {
    if let Some(lines) = selector_lines(plan, point, peers, everybody) {
        return vec![lines];
    }
    let block = |block: super::blocks::Block| {
        let mut lines = format!("ipBlock:\n  cidr: {}\n", quoted(&block.cidr.to_string()));
        if !block.except.is_empty() {
            lines.push_str("  except:\n");
        }
        for except in block.except {
            let _ = writeln!(lines, "    - {}", quoted(&except.to_string()));
        }
        lines
    };
    blocks(peers).into_iter().map(block).collect()
}

fn selector_lines(plan: &Plan, point: &PlanPoint, peers: &IpSet, everybody: &IpSet) -> Option<String> {
    let reachable = |other: &PlanPoint| other.addresses.intersect(everybody);
    let is_member = |other: &&PlanPoint| {
        let addresses = reachable(other);
        !addresses.is_empty() && addresses.is_subset(peers)
    };
    let members: Vec<&PlanPoint> = plan.points.iter().filter(is_member).collect();
    let (first, rest) = members.split_first()?;
    let together = members.iter().fold(IpSet::default(), |all, member| all.union(&reachable(member)));
    if together != *peers {
        return None;
    }
    let mut shared = first.labels.clone();
    shared.retain(|key, value| rest.iter().all(|member| member.labels.get(key) == Some(value)));
    let selects = |other: &PlanPoint| shared.iter().all(|(key, value)| other.labels.get(key) == Some(value));
    let selected = plan.points.iter().filter(|other| selects(other)).count();
    let namespace = shared.remove(NAMESPACE_LABEL);
    let are_apart = members.iter().any(|member| member.labels.get(NAMESPACE_LABEL) != namespace.as_ref());
    if selected != members.len() || shared.is_empty() || are_apart {
        return None;
    }
    if shared.iter().any(|(key, value)| !is_key(key) || !is_value(value)) {
        return None;
    }
    let mut lines = String::new();
    let own = point.labels.get(NAMESPACE_LABEL);
    if own != namespace.as_ref() {
        let namespace = namespace.filter(|_| own.is_some())?;
        let _ = write!(
            lines,
            "namespaceSelector:\n  matchLabels:\n    {NAMESPACE_LABEL}: {}\n",
            quoted(&namespace)
        );
    }
    lines.push_str("podSelector:\n  matchLabels:\n");
    for (key, value) in &shared {
        let _ = writeln!(lines, "    {key}: {}", quoted(value));
    }
    Some(lines)
}

/// Keys that these workloads lack and that others with all their labels have: without them, the others would be
/// selected too.
fn absent_keys<'a>(labels: &'a Labels, all: impl Iterator<Item = &'a Labels>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let namespace = |labels: &'a Labels| labels.get(NAMESPACE_LABEL);
    for other in all.filter(|other| *other != labels && namespace(other) == namespace(labels)) {
        let covers = labels.iter().all(|(key, value)| other.get(key) == Some(value));
        let mut extra = other.keys().filter(|key| !labels.contains_key(*key));
        if covers && !extra.clone().any(|key| keys.contains(key)) {
            keys.extend(extra.next().cloned());
        }
    }
    keys
}

fn document(name: &str, labels: &Labels, absent: &BTreeSet<String>, spec: &Spec) -> String {
    let mut text =
        format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n");
    if let Some(namespace) = labels.get(NAMESPACE_LABEL) {
        let _ = writeln!(text, "  namespace: {}", quoted(namespace));
    }
    text.push_str("  labels:\n    ringfence.io/managed: \"true\"\n  annotations:\n");
    for (annotation, entries) in RULES_ANNOTATION.iter().zip(spec) {
        let ids: Vec<&str> = entries.iter().map(|entry| entry.rule.as_str()).collect();
        let ids = serde_json::Value::from(ids).to_string();
        let _ = writeln!(text, "    {annotation}: {}", quoted(&ids));
    }
    text.push_str("spec:\n  podSelector:\n    matchLabels:\n");
    for (key, value) in labels.iter().filter(|(key, _)| *key != NAMESPACE_LABEL) {
        let _ = writeln!(text, "      {key}: {}", quoted(value));
    }
    if !absent.is_empty() {
        text.push_str("    matchExpressions:\n");
    }
    for key in absent {
        let _ = writeln!(text, "      - key: {key}\n        operator: DoesNotExist");
    }
    text.push_str("  policyTypes:\n    - Ingress\n    - Egress\n");
    for (side, entries) in ["ingress", "egress"].iter().zip(spec) {
        if entries.is_empty() {
            let _ = writeln!(text, "  {side}: []");
            continue;
        }
        let _ = writeln!(text, "  {side}:");
        for entry in entries {
            write_entry(&mut text, if *side == "ingress" { "from" } else { "to" }, entry);
        }
    }
    text
}

fn write_entry(text: &mut String, word: &str, entry: &Entry) {
    let _ = writeln!(text, "    # {}", entry.rule.escape_default());
    let mut body = String::new();
    for (word, items) in [(word, &entry.peers), ("ports", &entry.ports)] {
        let Some(items) = items else { continue };
        let _ = writeln!(body, "{word}:");
        for item in items {
            body.push_str(&indented(item, "  - ", "    "));
        }
    }
    if body.is_empty() {
        text.push_str("    - {}\n");
    } else {
        text.push_str(&indented(&body, "    - ", "      "));
    }
}

fn indented(lines: &str, first: &str, rest: &str) -> String {
    let prefixes = std::iter::once(first).chain(std::iter::repeat(rest));
    lines.lines().zip(prefixes).map(|(line, prefix)| format!("{prefix}{line}\n")).collect()
}

/// A JSON string, which is a YAML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn name(labels: &Labels) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let values = labels.iter().filter(|(key, _)| *key != NAMESPACE_LABEL).map(|(_, value)| value.as_str());
    let joined: String = values.collect::<Vec<_>>().join("-").chars().map(legal).take(200).collect();
    format!("ringfence-{}", joined.trim_matches('-')).trim_end_matches('-').to_owned()
}

fn unique(used: &mut BTreeSet<String>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|candidate| !used.contains(candidate));
    let free = free.unwrap_or_default();
    used.insert(free.clone());
    free
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63 && bytes.iter().all(|c| inner(*c)) && edge(bytes.first()) && edge(bytes.last())
}

fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((prefix, name)) => {
            let part =
                |part: &str| is_name(part) && !part.contains(['_', '.']) && part.to_lowercase() == part;
            prefix.len() <= 253 && prefix.split('.').all(part) && is_name(name)
        }
    }
}
