//! What a table of ours does, as exact sets of traffic.

use std::collections::{BTreeMap, BTreeSet};

use model::{IpSet, Mode, Region, Service, ServiceSet, TrafficSet};

use super::Misread;
use super::floor::floor;
use super::parse::{Chain, Key, Keyed, Map, Ruleset};
use super::render::{denial, mode_name};
use super::statement::{Body, Guard, Operand, Rule, Then};
use crate::carried;
use crate::target::{ReadBack, ReadRule, RuleVerdict, Side};

/// The id of denials that no rule asked for.
const DEFAULT: &str = "default";

/// The kernel allows 16 chains deep.
const MAX_DEPTH: usize = 16;

pub(super) fn evaluate(ruleset: &Ruleset) -> Result<ReadBack, Misread> {
    let mut back = ReadBack {
        workload: None,
        mode: Mode::Observe,
        ingress: TrafficSet::default(),
        egress: TrafficSet::default(),
        rules: Vec::new(),
        floor: Vec::new(),
    };
    let mut modes = BTreeSet::new();
    for side in Side::BOTH {
        let (name, chain) = base_chain(ruleset, side)?;
        let (mode, rules) = head(side, chain)?;
        modes.insert(mode);
        let mut walk = Walk { ruleset, side, mode, decided: BTreeMap::new(), counted: BTreeSet::new() };
        walk.chain(name, rules, carried(&TrafficSet::full()), 0)?;
        let rules = walk.rules();
        let allows =
            |rule: &&ReadRule| matches!(rule.verdict, RuleVerdict::Allow | RuleVerdict::GuardrailAllow);
        let allowed = TrafficSet::union_all(rules.iter().filter(allows).map(|rule| rule.traffic.clone()));
        match side {
            Side::Ingress => back.ingress = allowed,
            Side::Egress => back.egress = allowed,
        }
        back.rules.extend(rules);
        back.floor.extend(floor(side).iter().map(|r| format!("{side} {}: {}", r.name, r.statement(mode))));
        back.mode = mode;
    }
    if modes.len() > 1 {
        return Err(wrong(1, "", "the chains `input` and `output` are in different modes"));
    }
    Ok(back)
}

fn wrong(line: usize, found: &str, what: impl Into<String>) -> Misread {
    Misread { line, found: found.to_owned(), what: what.into() }
}

fn base_chain(ruleset: &Ruleset, side: Side) -> Result<(&str, &Chain), Misread> {
    let mut chains = ruleset.chains.iter().filter(|(_, chain)| chain.hook == Some(side));
    match (chains.next(), chains.next()) {
        (Some((name, chain)), None) => Ok((name, chain)),
        (Some(_), Some((_, second))) => Err(wrong(second.line, "", "a second chain on one hook")),
        (None, _) => Err(wrong(1, "", format!("no chain on the hook for traffic going {side}"))),
    }
}

/// Checks the mode's line and the floor; gives the mode and the rules that follow.
fn head(side: Side, chain: &Chain) -> Result<(Mode, &[Rule]), Misread> {
    let Some((Rule { body: Body::Mode(name), line, text, .. }, mut rest)) = chain.rules.split_first() else {
        return Err(wrong(chain.line, "", "the chain does not begin with the counter that names the mode"));
    };
    let modes = [Mode::Observe, Mode::Test, Mode::Selective, Mode::Enforce];
    let mode = modes.into_iter().find(|mode| mode_name(*mode) == name);
    let mode = mode.ok_or_else(|| wrong(*line, text, format!("`{name}` is not a mode")))?;
    for expected in floor(side) {
        let statement = expected.statement(mode);
        match rest.split_first() {
            Some((Rule { body: Body::Floor { name, statement: found }, .. }, after))
                if name == expected.name && *found == statement =>
            {
                rest = after;
            }
            other => {
                let (line, found) =
                    other.map_or((chain.line, ""), |(rule, _)| (rule.line, rule.text.as_str()));
                return Err(wrong(line, found, format!("expected the floor's `{statement}`")));
            }
        }
    }
    Ok((mode, rest))
}

struct Walk<'a> {
    ruleset: &'a Ruleset,
    side: Side,
    mode: Mode,
    decided: BTreeMap<(String, RuleVerdict), (ReadRule, Vec<TrafficSet>)>,
    /// Lines whose counts are in: a chain may be entered from several.
    counted: BTreeSet<usize>,
}

impl<'a> Walk<'a> {
    fn rules(self) -> Vec<ReadRule> {
        let finish = |(mut rule, parts): (ReadRule, Vec<TrafficSet>)| {
            rule.traffic = TrafficSet::union_all(parts);
            rule
        };
        self.decided.into_values().map(finish).collect()
    }

    fn chain(
        &mut self,
        name: &str,
        rules: &'a [Rule],
        mut traffic: TrafficSet,
        depth: usize,
    ) -> Result<(), Misread> {
        for rule in rules {
            let matched = match &rule.body {
                Body::Log => continue,
                Body::Mode(_) | Body::Floor { .. } => {
                    return Err(wrong(rule.line, &rule.text, "stands where a rule was expected"));
                }
                Body::Lookup { key, is_source, map } => {
                    let map = match self.ruleset.maps.get(map) {
                        Some(found) if found.key == *key => found,
                        _ => return Err(wrong(rule.line, &rule.text, "no such map for this key")),
                    };
                    self.lookup(rule, map, *is_source, &traffic, depth)?
                }
                Body::Act { guards, .. } if guards.iter().any(|guard| matches!(guard, Guard::Noise)) => {
                    self.noise(rule, rules)?;
                    continue;
                }
                Body::Act { guards, then } => {
                    let matched = self.matched(rule, guards, &traffic)?;
                    match then {
                        Then::Goto(target) => self.goto(target, rule, matched.clone(), depth)?,
                        Then::Decide(verdict, id) => self.decide(rule, *verdict, id, matched.clone())?,
                    }
                    matched
                }
            };
            traffic = traffic.subtract(&matched);
        }
        match traffic.witness() {
            None => Ok(()),
            Some(packet) => {
                let line = rules.last().map_or(1, |rule| rule.line);
                Err(wrong(line, name, format!("traffic such as {packet} leaves the chain without a verdict")))
            }
        }
    }

    /// Sends each part of the traffic to its chain; gives what was sent.
    fn lookup(
        &mut self,
        rule: &Rule,
        map: &'a Map,
        is_source: bool,
        traffic: &TrafficSet,
        depth: usize,
    ) -> Result<TrafficSet, Misread> {
        let mut by_chain: BTreeMap<&str, (Vec<Service>, IpSet)> = BTreeMap::new();
        for (keyed, chain) in &map.elements {
            let (services, addresses) = by_chain.entry(chain).or_default();
            match keyed {
                Keyed::Services(list) => services.extend(list),
                Keyed::Addresses(set) => *addresses = addresses.union(set),
            }
        }
        let all = IpSet::full();
        let matched = |services: &[Service], addresses: &IpSet| {
            let part = match (map.key, is_source) {
                (Key::Ipv4 | Key::Ipv6, true) => TrafficSet::product(addresses, &all, &ServiceSet::full()),
                (Key::Ipv4 | Key::Ipv6, false) => TrafficSet::product(&all, addresses, &ServiceSet::full()),
                _ => TrafficSet::product(&all, &all, &ServiceSet::of(services.iter().copied())),
            };
            traffic.intersect(&part)
        };
        let (mut every_service, mut every_address) = (Vec::new(), Vec::new());
        for (target, (services, addresses)) in by_chain {
            self.goto(target, rule, matched(&services, &addresses), depth)?;
            every_service.extend(services);
            every_address.extend_from_slice(addresses.runs());
        }
        Ok(matched(&every_service, &IpSet::from_ranges(every_address)))
    }

    fn goto(&mut self, target: &str, rule: &Rule, traffic: TrafficSet, depth: usize) -> Result<(), Misread> {
        let Some(chain) = self.ruleset.chains.get(target) else {
            return Err(wrong(rule.line, &rule.text, format!("no chain `{target}`")));
        };
        if chain.hook.is_some() || depth >= MAX_DEPTH {
            return Err(wrong(rule.line, &rule.text, "chains that go in circles, or back to a hook"));
        }
        self.chain(target, &chain.rules, traffic, depth + 1)
    }

    fn matched(&self, rule: &Rule, guards: &[Guard], traffic: &TrafficSet) -> Result<TrafficSet, Misread> {
        let (mut sources, mut destinations) = (IpSet::full(), IpSet::full());
        for guard in guards {
            let (is_v4, is_source, addresses) = match guard {
                Guard::Family { is_v4 } => (*is_v4, true, None),
                Guard::Address { is_v4, is_source, is_not, operand } => {
                    let set = match operand {
                        Operand::Inline(set) => set,
                        Operand::Named(name) => match self.ruleset.sets.get(name) {
                            Some(set) => set,
                            None => return Err(wrong(rule.line, &rule.text, format!("no set `{name}`"))),
                        },
                    };
                    (*is_v4, *is_source, Some((set, *is_not)))
                }
                Guard::Noise => continue,
            };
            let family = if is_v4 { IpSet::all_v4() } else { IpSet::all_v6() };
            let wanted = match addresses {
                None => family,
                Some((set, true)) => family.subtract(set),
                Some((set, false)) => family.intersect(set),
            };
            let side = if is_source { &mut sources } else { &mut destinations };
            *side = side.intersect(&wanted);
        }
        Ok(traffic.intersect(&TrafficSet::product(&sources, &destinations, &ServiceSet::full())))
    }

    /// A rule on the kind of frame changes nothing when the whole chain does the same to every frame.
    fn noise(&mut self, rule: &'a Rule, chain: &[Rule]) -> Result<(), Misread> {
        let denies = |rule: &Rule| match &rule.body {
            Body::Act { then: Then::Decide(verdict, _), .. } => {
                matches!(verdict, RuleVerdict::Deny | RuleVerdict::WouldDeny)
            }
            Body::Log => true,
            _ => false,
        };
        match &rule.body {
            Body::Act { then: Then::Decide(verdict, id), .. } if chain.iter().all(denies) => {
                self.decide(rule, *verdict, id, TrafficSet::default())
            }
            _ => Err(wrong(
                rule.line,
                &rule.text,
                "a verdict by kind of frame outside a chain that denies all",
            )),
        }
    }

    fn decide(
        &mut self,
        rule: &Rule,
        verdict: RuleVerdict,
        id: &str,
        traffic: TrafficSet,
    ) -> Result<(), Misread> {
        let drops = denial(self.mode, id != DEFAULT).verdict == "drop";
        if (verdict == RuleVerdict::Deny && !drops) || (verdict == RuleVerdict::WouldDeny && drops) {
            let what = format!("mode `{}` treats denials otherwise", mode_name(self.mode));
            return Err(wrong(rule.line, &rule.text, what));
        }
        let fresh = || {
            let rule = ReadRule {
                side: self.side,
                id: id.to_owned(),
                verdict,
                traffic: TrafficSet::default(),
                packets: 0,
                bytes: 0,
                line: rule.line,
            };
            (rule, Vec::new())
        };
        let (entry, parts) = self.decided.entry((id.to_owned(), verdict)).or_insert_with(fresh);
        if self.counted.insert(rule.line) {
            entry.packets += rule.packets;
            entry.bytes += rule.bytes;
        }
        // The default deny is all that is left: as a set it is huge, and no rule's.
        if !traffic.is_empty() && id != DEFAULT {
            parts.push(traffic);
        }
        Ok(())
    }
}
