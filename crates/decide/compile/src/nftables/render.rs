//! From a plan's point to a file that `nft -f` loads in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use model::{Action, IpSet, Mode, Plan, PlanPoint, PlanRule, Protocol, Region, Service};

use super::classes::{Class, classes};
use super::floor::{floor, quiet};
use super::maps::{Maps, class_chain, write_elements};
use super::{LOG_GROUP, TABLE, TARGET};
use crate::target::{Artifact, Problem, Refusal, Rendered, Side};

/// Longest id that fits a log prefix (127 bytes) with all that stands around it.
const MAX_ID_LENGTH: usize = 100;

/// A class with more rules than this is looked up by address rather than walked. A rule that looks its peers up in a
/// set of ten costs a new packet about half a microsecond; a lookup in a map of ten thousand costs no more than one.
const MOST_RULES_IN_A_ROW: usize = 8;

pub(super) fn render(plan: &Plan) -> Rendered {
    let refusals: Vec<Refusal> = plan.points.iter().flat_map(refusals).collect();
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut used = BTreeSet::new();
    let artifact = |point: &PlanPoint| Artifact {
        target: TARGET.name,
        workload: point.workload.clone(),
        file_name: format!("{}.nft", unique(&mut used, file_stem(&point.workload.0))),
        text: Document::new(point).text(),
    };
    Ok(plan.points.iter().map(artifact).collect())
}

fn refusals(point: &PlanPoint) -> Vec<Refusal> {
    let refusal = |rule: Option<&PlanRule>, problem| Refusal {
        target: TARGET.name,
        workload: point.workload.clone(),
        rule: rule.map(|rule| rule.id.clone()),
        location: rule.map(|rule| rule.location.to_string()),
        problem,
    };
    let mut list = Vec::new();
    if point.addresses.is_empty() {
        list.push(refusal(None, Problem::NoAddress));
    }
    for rule in point.ingress.iter().chain(&point.egress) {
        if !is_printable(&rule.id) {
            list.push(refusal(Some(rule), Problem::UnprintableId { max: MAX_ID_LENGTH }));
        }
        if let Some(protocol) = partial_protocol(rule) {
            list.push(refusal(Some(rule), Problem::PartialProtocol { protocol }));
        }
    }
    list
}

fn is_printable(id: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '+' | '@');
    // `default` is how denials that no rule asked for are told.
    !id.is_empty() && id.len() <= MAX_ID_LENGTH && id.chars().all(legal) && id != "default"
}

fn partial_protocol(rule: &PlanRule) -> Option<u8> {
    let partial = |(first, last, selectors): &(u8, u8, model::IntervalSet<u16>)| {
        if *selectors == model::IntervalSet::full() {
            return None;
        }
        (*first..=*last).find(|&number| !Protocol(number).has_ports() && !Protocol(number).is_icmp())
    };
    rule.services.runs().iter().find_map(partial)
}

/// A word that serves as a file name.
fn file_stem(text: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    text.chars().map(legal).collect()
}

fn unique(used: &mut BTreeSet<String>, name: String) -> String {
    let mut candidate = name.clone();
    let mut number = 2;
    while !used.insert(candidate.clone()) {
        candidate = format!("{name}-{number}");
        number += 1;
    }
    candidate
}

/// What a mode does with what a rule or the default denies.
pub(super) struct Denial {
    /// The verdict's word.
    pub verdict: &'static str,
    /// What stands before the id in comments and log prefixes.
    pub kind: &'static str,
    /// Whether it goes to the log.
    pub logged: bool,
}

pub(super) fn denial(mode: Mode, by_guardrail: bool) -> Denial {
    let drops = mode == Mode::Enforce || (mode == Mode::Selective && by_guardrail);
    let (verdict, kind) = if drops { ("drop", "deny") } else { ("accept", "would-deny") };
    Denial { verdict, kind, logged: mode != Mode::Observe }
}

/// The family's keyword and the part of a set of addresses that belongs to it; 0 is IPv4, 1 is IPv6.
fn family_part(addresses: &IpSet, family: usize) -> (&'static str, IpSet) {
    let keyword = ["ip", "ip6"][family];
    (keyword, addresses.intersect(&whole_family(keyword)))
}

fn families(addresses: &IpSet) -> [(&'static str, IpSet); 2] {
    [0, 1].map(|family| family_part(addresses, family))
}

fn whole_family(keyword: &str) -> IpSet {
    if keyword == "ip" { IpSet::all_v4() } else { IpSet::all_v6() }
}

struct Document<'a> {
    point: &'a PlanPoint,
    /// The addresses that each side's rules are about, by family, ingress first.
    own: [[IpSet; 2]; 2],
    /// Named sets by content; the value is the name.
    sets: BTreeMap<IpSet, String>,
    names: BTreeSet<String>,
    text: String,
}

impl<'a> Document<'a> {
    fn new(point: &'a PlanPoint) -> Self {
        let own = Side::BOTH.map(|side| families(&own_addresses(point, side)).map(|(_, own)| own));
        Self { point, own, sets: BTreeMap::new(), names: BTreeSet::new(), text: String::new() }
    }

    fn text(mut self) -> String {
        let point = self.point;
        let mut body = Body::default();
        for side in Side::BOTH {
            for (keyword, own) in families(&own_addresses(point, side)) {
                self.name_set("own", keyword, &own);
            }
        }
        for rule in point.ingress.iter().chain(&point.egress) {
            for (keyword, own) in families(&rule.own) {
                self.name_set(&format!("own_{}", escaped(&rule.id)), keyword, &own);
            }
            for (keyword, peers) in families(&rule.peers) {
                self.name_set(&format!("peers_{}", escaped(&rule.id)), keyword, &peers);
            }
        }
        for side in Side::BOTH {
            self.side(side, &mut body);
        }
        self.header();
        self.set_definitions(&body);
        self.text.push_str(&body.chains);
        self.text.push_str(&body.maps);
        self.text.push_str(body.hooks.trim_end());
        self.text.push_str("\n}\n");
        self.text
    }

    fn header(&mut self) {
        let name = self.point.workload.0.escape_default();
        let _ = write!(
            self.text,
            "#!/usr/sbin/nft -f\n# workload {name}\n\ntable inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
        );
    }

    /// Gives a set a name when one prefix or range is not enough to write it; equal sets share the first one's name.
    fn name_set(&mut self, stem: &str, keyword: &str, addresses: &IpSet) {
        let single = addresses.runs().len() <= 1 || *addresses == whole_family(keyword);
        if single || self.sets.contains_key(addresses) {
            return;
        }
        let family = if keyword == "ip" { 4 } else { 6 };
        let name = unique(&mut self.names, format!("{stem}_{family}"));
        self.sets.insert(addresses.clone(), name);
    }

    fn set_definitions(&mut self, body: &Body) {
        let words = body.chains.split_whitespace().chain(body.hooks.split_whitespace());
        let used: BTreeSet<&str> = words.filter_map(|word| word.strip_prefix('@')).collect();
        let mut sets: Vec<(&String, &IpSet)> = self.sets.iter().map(|(set, name)| (name, set)).collect();
        sets.retain(|(name, _)| used.contains(name.as_str()));
        sets.sort();
        for (name, set) in sets {
            let kind = if set.is_subset(&IpSet::all_v4()) { "ipv4_addr" } else { "ipv6_addr" };
            let elements = set.runs().iter().map(|&run| address_run(run));
            let _ = writeln!(self.text, "\tset {name} {{\n\t\ttype {kind}\n\t\tflags interval");
            write_elements(&mut self.text, elements);
        }
    }

    /// `ip saddr @peers` and the like; empty when every address of the family matches anyway, `None` when none does.
    fn address_match(&self, keyword: &str, field: &str, is_not: bool, addresses: &IpSet) -> Option<String> {
        let whole = *addresses == whole_family(keyword);
        let number = if keyword == "ip" { "ipv4" } else { "ipv6" };
        match (is_not, whole, addresses.is_empty()) {
            (false, true, _) | (true, _, true) => return Some(format!("meta nfproto {number}")),
            (false, _, true) | (true, true, _) => return None,
            _ => {}
        }
        let operand = match self.sets.get(addresses) {
            Some(name) => format!("@{name}"),
            None => address_run(*addresses.runs().first()?),
        };
        let operator = if is_not { "!= " } else { "" };
        Some(format!("{keyword} {field} {operator}{operand}"))
    }

    fn side(&self, side: Side, body: &mut Body) {
        let rules = rules_of(self.point, side);
        self.default_chain(side, body);
        self.deny_chains(side, rules, body);
        let classes = classes(rules);
        for class in &classes {
            let name = class_chain(side, class);
            let mut lines = if self.is_crowded(side, rules, class) {
                self.dispatch(side, rules, class, &name, body)
            } else {
                self.rule_lines(side, rules, &class.rules, Some(&class.services))
            };
            lines.push(format!("goto {side}_default"));
            body.chain(&name, lines);
        }
        let maps = Maps::of(side, &classes);
        maps.define(side, &mut body.maps);
        let mut lines = Vec::new();
        let (hook, own) = match side {
            Side::Ingress => ("input", "daddr"),
            Side::Egress => ("output", "saddr"),
        };
        lines.push(format!("type filter hook {hook} priority filter; policy accept;"));
        lines.push(format!("counter comment \"mode:{}\"", mode_name(self.point.mode)));
        for rule in floor(side) {
            lines.push(format!("{} comment \"floor:{}\"", rule.statement(self.point.mode), rule.name));
        }
        for (keyword, addresses) in families(&own_addresses(self.point, side)) {
            if let Some(elsewhere) = self.address_match(keyword, own, true, &addresses) {
                lines.push(format!("{elsewhere} goto {side}_default"));
            }
        }
        lines.extend(maps.lookups(side));
        let full: Vec<usize> = (0..rules.len()).filter(|&i| rules[i].services.is_full()).collect();
        lines.extend(self.rule_lines(side, rules, &full, None));
        lines.push(format!("goto {side}_default"));
        write_block(&mut body.hooks, &format!("chain {hook}"), lines);
    }

    fn default_chain(&self, side: Side, body: &mut Body) {
        let denial = denial(self.point.mode, false);
        let comment = |id: &str| format!("counter {} comment \"{}:{id}\"", denial.verdict, denial.kind);
        let mut lines: Vec<String> =
            quiet(side).iter().map(|matches| format!("{matches} {}", comment("default"))).collect();
        lines.extend(log_line(&denial, "default", side));
        lines.push(comment("default"));
        body.chain(&format!("{side}_default"), lines);
    }

    /// One chain for each guardrail deny, so that its log line, its counter and its verdict stand once.
    fn deny_chains(&self, side: Side, rules: &[PlanRule], body: &mut Body) {
        let denial = denial(self.point.mode, true);
        let ids: BTreeSet<&str> =
            rules.iter().filter(|r| r.action == Action::GuardrailDeny).map(|r| r.id.as_str()).collect();
        for id in ids {
            let mut lines: Vec<String> = log_line(&denial, id, side).into_iter().collect();
            lines.push(format!("counter {} comment \"{}:{id}\"", denial.verdict, denial.kind));
            body.chain(&deny_chain(side, id), lines);
        }
    }

    /// Whether a class has so many rules that looking its peers up one rule after the other would be felt.
    fn is_crowded(&self, side: Side, rules: &[PlanRule], class: &Class) -> bool {
        let own = self.own[side as usize][0].union(&self.own[side as usize][1]);
        class.rules.len() > MOST_RULES_IN_A_ROW && class.rules.iter().all(|&index| rules[index].own == own)
    }

    /// A crowded class: one lookup of the peer, which sends it to the chain of the first rule that names it.
    fn dispatch(
        &self,
        side: Side,
        rules: &[PlanRule],
        class: &Class,
        name: &str,
        body: &mut Body,
    ) -> Vec<String> {
        let field = if side == Side::Ingress { "saddr" } else { "daddr" };
        let mut lines = Vec::new();
        for (family, number) in [(0, 4), (1, 6)] {
            let (keyword, mut left) = family_part(&IpSet::full(), family);
            let (mut elements, mut last) = (Vec::new(), None);
            for rule in by_precedence(rules, &class.rules) {
                let (_, peers) = family_part(&rule.peers, family);
                if peers == whole_family(keyword) {
                    // Whoever is left: no later rule is reached.
                    last = Some(rule);
                    break;
                }
                for run in peers.intersect(&left).runs() {
                    elements.push((*run, body.rule_chain(side, rule)));
                }
                left = left.subtract(&peers);
            }
            elements.sort();
            if !elements.is_empty() {
                let kind = if family == 0 { "ipv4_addr" } else { "ipv6_addr" };
                let _ = writeln!(
                    body.chains,
                    "\tmap {name}_{number} {{\n\t\ttype {kind} : verdict\n\t\tflags interval"
                );
                let elements =
                    elements.iter().map(|(run, chain)| format!("{} : goto {chain}", address_run(*run)));
                write_elements(&mut body.chains, elements);
                lines.push(format!("{keyword} {field} vmap @{name}_{number}"));
            }
            let nfproto = if family == 0 { "ipv4" } else { "ipv6" };
            lines.extend(last.map(|rule| format!("meta nfproto {nfproto} {}", rule_verdict(side, rule))));
        }
        lines
    }

    /// The conditions of a rule for one family; `None` when no packet of it fulfils them.
    fn rule_matches(&self, side: Side, rule: &PlanRule, family: usize) -> Option<String> {
        let (own_field, peer_field) = match side {
            Side::Ingress => ("daddr", "saddr"),
            Side::Egress => ("saddr", "daddr"),
        };
        let (keyword, own) = family_part(&rule.own, family);
        let (_, peers) = family_part(&rule.peers, family);
        let whole = &self.own[side as usize][family];
        let peers = self.address_match(keyword, peer_field, false, &peers)?;
        if own == *whole {
            return (!own.is_empty()).then_some(peers);
        }
        let own = self.address_match(keyword, own_field, false, &own)?;
        Some(format!("{own} {peers}"))
    }

    /// The lines of some of the rules, in order of precedence.
    fn rule_lines(
        &self,
        side: Side,
        rules: &[PlanRule],
        which: &[usize],
        services: Option<&[Service]>,
    ) -> Vec<String> {
        let only = |number| services.is_some_and(|list| list.iter().all(|s| s.protocol == number));
        let mut lines = Vec::new();
        for rule in by_precedence(rules, which) {
            let of_family = |(family, foreign)| {
                if only(foreign) { None } else { self.rule_matches(side, rule, family) }
            };
            let matches = [(0, Protocol::ICMPV6), (1, Protocol::ICMP)].map(of_family);
            if matches.iter().flatten().eq(["meta nfproto ipv4", "meta nfproto ipv6"]) {
                lines.push(rule_verdict(side, rule));
                continue;
            }
            for matches in matches.into_iter().flatten() {
                lines.push(format!("{matches} {}", rule_verdict(side, rule)));
            }
        }
        lines
    }
}

/// Some of the rules: guardrail allows, guardrail denies, allows.
fn by_precedence<'r>(rules: &'r [PlanRule], which: &[usize]) -> Vec<&'r PlanRule> {
    let mut list: Vec<&PlanRule> = which.iter().map(|&index| &rules[index]).collect();
    // A stable sort: within one action the plan's order stays.
    list.sort_by_key(|rule| match rule.action {
        Action::GuardrailAllow => 0,
        Action::GuardrailDeny => 1,
        Action::Allow => 2,
    });
    list
}

fn rules_of(point: &PlanPoint, side: Side) -> &[PlanRule] {
    if side == Side::Ingress { &point.ingress } else { &point.egress }
}

/// The addresses that one side's rules are about: the workload's.
fn own_addresses(point: &PlanPoint, side: Side) -> IpSet {
    let rules = rules_of(point, side).iter().filter(|rule| !rule.own.is_subset(&point.addresses));
    rules.fold(point.addresses.clone(), |all, rule| all.union(&rule.own))
}

fn rule_verdict(side: Side, rule: &PlanRule) -> String {
    let id = &rule.id;
    match rule.action {
        Action::GuardrailAllow => format!("counter accept comment \"guardrail-allow:{id}\""),
        Action::Allow => format!("counter accept comment \"allow:{id}\""),
        Action::GuardrailDeny => format!("goto {} comment \"guardrail-deny:{id}\"", deny_chain(side, id)),
    }
}

/// The limit stands on the log line alone: a flood cannot fill the log, and the counter still sees every packet.
fn log_line(denial: &Denial, id: &str, side: Side) -> Option<String> {
    let kind = denial.kind;
    let line = format!(
        "limit rate 10/second burst 50 packets log prefix \"ringfence:{kind}:{id}:{side} \" group {LOG_GROUP}"
    );
    denial.logged.then_some(line)
}

pub(super) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Test => "test",
        Mode::Selective => "selective",
        Mode::Enforce => "enforce",
    }
}

fn deny_chain(side: Side, id: &str) -> String {
    format!("{side}_deny_{}", escaped(id))
}

/// An id as a part of a name. Names have no `:+@`, so these become `/c /p /a` and `/` doubles: no two ids meet.
fn escaped(id: &str) -> String {
    id.replace('/', "//").replace(':', "/c").replace('+', "/p").replace('@', "/a")
}

fn address_run((low, high): (model::Ip, model::Ip)) -> String {
    match IpSet::range(low, high).to_prefixes().as_slice() {
        [one] if low == high => one.first().to_string(),
        [one] => one.to_string(),
        _ => format!("{low}-{high}"),
    }
}

/// The parts of the table in the order of the file: what a map or a hook names stands above it.
#[derive(Default)]
struct Body {
    chains: String,
    maps: String,
    hooks: String,
    rule_chains: BTreeSet<String>,
}

impl Body {
    /// The chain of one rule, which is its verdict alone; written once.
    fn rule_chain(&mut self, side: Side, rule: &PlanRule) -> String {
        let kind = match rule.action {
            Action::GuardrailDeny => return deny_chain(side, &rule.id),
            Action::GuardrailAllow => "guardrail",
            Action::Allow => "allow",
        };
        let name = format!("{side}_{kind}_{}", escaped(&rule.id));
        if self.rule_chains.insert(name.clone()) {
            self.chain(&name, vec![rule_verdict(side, rule)]);
        }
        name
    }

    fn chain(&mut self, name: &str, lines: Vec<String>) {
        write_block(&mut self.chains, &format!("chain {name}"), lines);
    }
}

fn write_block(text: &mut String, head: &str, lines: Vec<String>) {
    let _ = writeln!(text, "\t{head} {{");
    for line in lines {
        let _ = writeln!(text, "\t\t{line}");
    }
    text.push_str("\t}\n\n");
}
