//! NetworkPolicies read back, with workloads' labels and addresses, as exact sets.

use model::{IpSet, Labels, Mode, Prefix, Protocol, Region, Service, ServiceSet, TrafficSet};
use serde::de::DeserializeOwned;

use super::blocks::Block;
use super::schema::{Entry, Head, LabelSelector, List, PeerEntry, Policy, PortEntry};
use super::{NAMESPACE_LABEL, RULES_ANNOTATION};
use crate::carried;
use crate::target::{Peer, Read, ReadBack, ReadError, ReadRule, RuleVerdict, Side, Source};

/// A policy and where it stands.
struct Placed<'a> {
    file_name: &'a str,
    line: usize,
    policy: Policy,
}

impl Placed<'_> {
    fn wrong(&self, found: impl Into<String>, problem: impl Into<String>) -> ReadError {
        let problem = format!("policy `{}`: {}", self.policy.metadata.name, problem.into());
        ReadError { file_name: self.file_name.to_owned(), line: self.line, found: found.into(), problem }
    }

    fn types(&self) -> Result<Vec<Side>, ReadError> {
        let spec = &self.policy.spec;
        let Some(types) = &spec.policy_types else {
            let egress = spec.egress.is_some().then_some(Side::Egress);
            return Ok(std::iter::once(Side::Ingress).chain(egress).collect());
        };
        let side = |name: &String| match name.as_str() {
            "Ingress" => Ok(Side::Ingress),
            "Egress" => Ok(Side::Egress),
            other => Err(self.wrong(other, "a policy type is `Ingress` or `Egress`")),
        };
        types.iter().map(side).collect()
    }
}

pub(super) fn read(sources: &[Source], peers: &[Peer]) -> Read {
    let (mut placed, mut errors) = (Vec::new(), Vec::new());
    for source in sources {
        match policies(source) {
            Ok(list) => placed.extend(list),
            Err(error) => errors.push(error),
        }
    }
    let mut backs = Vec::new();
    for peer in peers {
        match read_peer(&placed, peer, peers) {
            Ok(back) => backs.extend(back),
            Err(error) => errors.push(error),
        }
    }
    errors.sort();
    errors.dedup();
    if errors.is_empty() { Ok(backs) } else { Err(errors) }
}

/// The NetworkPolicies of a file. Objects that decide no traffic are stepped over; policies of other kinds are errors.
fn policies(source: &Source) -> Result<Vec<Placed<'_>>, ReadError> {
    let mut list = Vec::new();
    for (line, text) in documents(&source.text) {
        let place = |policy| Placed { file_name: &source.file_name, line, policy };
        let head: Option<Head> = parse(source, line, text)?;
        let Some(head) = head else { continue };
        let wrong = |found: &str, problem: String| ReadError {
            file_name: source.file_name.clone(),
            line,
            found: found.to_owned(),
            problem,
        };
        match (head.kind.as_str(), head.api_version.as_str()) {
            ("NetworkPolicy", "networking.k8s.io/v1") => list.push(place(parse(source, line, text)?)),
            ("List" | "NetworkPolicyList", _) => {
                for item in parse::<List>(source, line, text)?.items {
                    let field = |key| item.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
                    let (kind, version) = (field("kind").to_owned(), field("apiVersion").to_owned());
                    if (kind.as_str(), version.as_str()) == ("NetworkPolicy", "networking.k8s.io/v1") {
                        let policy = serde_json::from_value(item);
                        list.push(place(policy.map_err(|error| wrong(&kind, error.to_string()))?));
                    } else if kind.contains("NetworkPolicy") {
                        return Err(wrong(&kind, not_read(&version)));
                    }
                }
            }
            (kind, version) if kind.contains("NetworkPolicy") => return Err(wrong(kind, not_read(version))),
            _ => {}
        }
    }
    Ok(list)
}

fn not_read(version: &str) -> String {
    format!("policies of this kind, `{version}`, are not read; only `networking.k8s.io/v1`")
}

fn parse<T: DeserializeOwned>(source: &Source, line: usize, text: &str) -> Result<T, ReadError> {
    // The message quotes lines of one document; the place is given for the whole file instead.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let within = error.location().map_or(1, |location| location.line() as usize);
        let problem = error.to_string();
        ReadError {
            file_name: source.file_name.clone(),
            line: line + within - 1,
            found: String::new(),
            problem,
        }
    })
}

/// The documents of a stream with their first lines; a marker in the first column separates even inside a scalar.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let (mut list, mut start, mut first_line, mut offset) = (Vec::new(), 0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_marker = line.trim_end() == "---" || line.starts_with("--- ");
        offset += line.len();
        if is_marker {
            list.push((first_line, &text[start..offset - line.len()]));
            start = offset;
            first_line = index + 2;
        }
    }
    list.push((first_line, &text[start..]));
    let says_something = |document: &str| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    list.retain(|(_, document)| says_something(document));
    list
}

fn read_peer(placed: &[Placed<'_>], peer: &Peer, peers: &[Peer]) -> Result<Option<ReadBack>, ReadError> {
    let mut selecting = Vec::new();
    for policy in placed {
        let same_place = namespace(policy) == namespace_of(peer);
        let selector = policy.policy.spec.pod_selector.as_ref();
        if same_place && selector.map_or(Ok(true), |selector| selects(policy, selector, &peer.labels))? {
            selecting.push(policy);
        }
    }
    if selecting.is_empty() {
        return Ok(None);
    }
    let mut back = ReadBack {
        workload: Some(peer.workload.clone()),
        mode: Mode::Enforce,
        ingress: TrafficSet::default(),
        egress: TrafficSet::default(),
        rules: Vec::new(),
        floor: vec!["replies to allowed connections".into()],
    };
    for side in Side::BOTH {
        let mut isolating = Vec::new();
        for policy in &selecting {
            if policy.types()?.contains(&side) {
                isolating.push(*policy);
            }
        }
        let mut parts = Vec::new();
        for policy in &isolating {
            let rules = rules(policy, side, peer, peers)?;
            parts.extend(rules.iter().map(|rule| rule.traffic.clone()));
            back.rules.extend(rules);
        }
        if isolating.is_empty() {
            parts.push(traffic(side, peer, &IpSet::full(), &ServiceSet::full()));
        }
        let allowed = TrafficSet::union_all(parts);
        match side {
            Side::Ingress => back.ingress = allowed,
            Side::Egress => back.egress = allowed,
        }
    }
    back.rules.sort_by(|a, b| (a.side, &a.id, a.line).cmp(&(b.side, &b.id, b.line)));
    Ok(Some(back))
}

fn namespace<'a>(policy: &'a Placed<'_>) -> Option<&'a str> {
    policy.policy.metadata.namespace.as_deref()
}

fn namespace_of(peer: &Peer) -> Option<&str> {
    peer.labels.get(NAMESPACE_LABEL).map(String::as_str)
}

fn traffic(side: Side, peer: &Peer, others: &IpSet, services: &ServiceSet) -> TrafficSet {
    carried(&match side {
        Side::Ingress => TrafficSet::product(others, &peer.addresses, services),
        Side::Egress => TrafficSet::product(&peer.addresses, others, services),
    })
}

fn rules(policy: &Placed<'_>, side: Side, peer: &Peer, peers: &[Peer]) -> Result<Vec<ReadRule>, ReadError> {
    let spec = &policy.policy.spec;
    let (entries, annotation) = match side {
        Side::Ingress => (&spec.ingress, RULES_ANNOTATION[0]),
        Side::Egress => (&spec.egress, RULES_ANNOTATION[1]),
    };
    let entries: &[Entry] = entries.as_deref().unwrap_or_default();
    let annotations = policy.policy.metadata.annotations.as_ref();
    let ids =
        annotations.and_then(|all| all.get(annotation)).and_then(|text| serde_json::from_str(text).ok());
    let ids: Vec<String> = ids.unwrap_or_default();
    let rule = |(index, entry): (usize, &Entry)| {
        let others = match (side, &entry.from, &entry.to) {
            (Side::Ingress, others, None) | (Side::Egress, None, others) => others,
            _ => return Err(policy.wrong("", "`from` is for ingress and `to` for egress")),
        };
        let others = match others.as_deref() {
            None | Some([]) => IpSet::full(),
            Some(list) => list.iter().try_fold(IpSet::default(), |all, other| {
                Ok(all.union(&peer_addresses(policy, other, peers)?))
            })?,
        };
        let services = match entry.ports.as_deref() {
            None | Some([]) => ServiceSet::full(),
            Some(list) => {
                let services: Result<Vec<Service>, ReadError> =
                    list.iter().map(|port| service(policy, port)).collect();
                ServiceSet::of(services?)
            }
        };
        let named = (ids.len() == entries.len()).then(|| ids.get(index).cloned()).flatten();
        let id = named.unwrap_or_else(|| format!("{}/{side}[{index}]", policy.policy.metadata.name));
        let traffic = traffic(side, peer, &others, &services);
        let verdict = RuleVerdict::Allow;
        Ok(ReadRule { side, id, verdict, traffic, packets: 0, bytes: 0, line: policy.line })
    };
    entries.iter().enumerate().map(rule).collect()
}

fn service(policy: &Placed<'_>, entry: &PortEntry) -> Result<Service, ReadError> {
    let protocol = match entry.protocol.as_deref().unwrap_or("TCP") {
        "TCP" => Protocol::TCP,
        "UDP" => Protocol::UDP,
        "SCTP" => Protocol::SCTP,
        other => return Err(policy.wrong(other, "a protocol is TCP, UDP or SCTP")),
    };
    let Some(port) = &entry.port else {
        return match entry.end_port {
            None => Ok(Service::all(protocol)),
            Some(end) => Err(policy.wrong(end.to_string(), "an `endPort` without a `port`")),
        };
    };
    let number = port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let low = number.ok_or_else(|| {
        policy.wrong(port.to_string(), "ports are numbers from 1 to 65535; named ones need the containers")
    })?;
    match entry.end_port.unwrap_or(low) {
        high if high >= low => Ok(Service::range(protocol, low, high)),
        high => Err(policy.wrong(high.to_string(), "an `endPort` below its `port`")),
    }
}

fn peer_addresses(policy: &Placed<'_>, entry: &PeerEntry, peers: &[Peer]) -> Result<IpSet, ReadError> {
    match (&entry.ip_block, &entry.pod_selector, &entry.namespace_selector) {
        (Some(block), None, None) => {
            let prefix = |text: &String| {
                text.parse::<Prefix>().map_err(|error| policy.wrong(text.as_str(), error.to_string()))
            };
            let except: Result<Vec<Prefix>, ReadError> = block.except.iter().flatten().map(prefix).collect();
            Ok(Block { cidr: prefix(&block.cidr)?, except: except? }.addresses())
        }
        (None, None, None) | (Some(_), ..) => {
            Err(policy.wrong("", "a peer is either an `ipBlock` or selectors"))
        }
        (None, pods, namespaces) => {
            let mut all = IpSet::default();
            for peer in peers {
                let in_namespace = match namespaces {
                    None => namespace(policy) == namespace_of(peer),
                    Some(selector) => selects_namespace(policy, selector, peer)?,
                };
                if in_namespace
                    && pods.as_ref().map_or(Ok(true), |pods| selects(policy, pods, &peer.labels))?
                {
                    all = all.union(&peer.addresses);
                }
            }
            Ok(all)
        }
    }
}

/// Of a namespace only the name is known: a selector on other labels cannot be answered.
fn selects_namespace(policy: &Placed<'_>, selector: &LabelSelector, peer: &Peer) -> Result<bool, ReadError> {
    let keys = selector.match_labels.iter().flatten().map(|(key, _)| key);
    let mut keys = keys.chain(selector.match_expressions.iter().flatten().map(|expression| &expression.key));
    if let Some(key) = keys.find(|key| *key != NAMESPACE_LABEL) {
        return Err(policy.wrong(key.as_str(), format!("of a namespace only `{NAMESPACE_LABEL}` is known")));
    }
    let known = namespace_of(peer).map(|name| (NAMESPACE_LABEL.to_owned(), name.to_owned()));
    selects(policy, selector, &known.into_iter().collect())
}

fn selects(policy: &Placed<'_>, selector: &LabelSelector, labels: &Labels) -> Result<bool, ReadError> {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let mut all = equal;
    for expression in selector.match_expressions.iter().flatten() {
        let value = labels.get(&expression.key);
        let listed = || {
            let values = expression.values.as_deref().unwrap_or_default();
            value.is_some_and(|value| values.contains(value))
        };
        all &= match expression.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => return Err(policy.wrong(other, "an operator is In, NotIn, Exists or DoesNotExist")),
        };
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_lines() {
        let text = "# head\n---\na: 1\n---\n# nothing\n---\nb: 2\n";
        let list = documents(text);
        assert_eq!(list, [(3, "a: 1\n"), (7, "b: 2\n")]);
    }
}
