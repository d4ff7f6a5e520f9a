//! From the text of the table `inet ringfence` to its parts. Whatever is not of the form that artifacts use is an
//! error that names its line; tables of others are stepped over.

use std::collections::BTreeMap;

use model::{Ip, IpSet, Prefix, Protocol, Service};

use super::names::{self, Numbers};
use super::statement::{Rule, rule};
use super::tokens::{Kind, Token, tokens};
use super::{Misread, TABLE};
use crate::target::Side;

/// The table's parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruleset {
    pub sets: BTreeMap<String, IpSet>,
    pub maps: BTreeMap<String, Map>,
    pub chains: BTreeMap<String, Chain>,
}

/// What a verdict map looks up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Ports,
    Icmp,
    Icmpv6,
    Protocols,
    Ipv4,
    Ipv6,
}

pub(super) const KEYS: [(Key, &str, &str); 8] = [
    (Key::Ports, "inet_proto . inet_service", "meta l4proto . th dport"),
    (Key::Icmp, "icmp_type . icmp_code", "icmp type . icmp code"),
    (Key::Icmpv6, "icmpv6_type . icmpv6_code", "icmpv6 type . icmpv6 code"),
    (Key::Protocols, "inet_proto", "meta l4proto"),
    (Key::Ipv4, "ipv4_addr", "ip saddr"),
    (Key::Ipv4, "ipv4_addr", "ip daddr"),
    (Key::Ipv6, "ipv6_addr", "ip6 saddr"),
    (Key::Ipv6, "ipv6_addr", "ip6 daddr"),
];

/// What an element of a verdict map stands for.
#[derive(Clone, Debug)]
pub(super) enum Keyed {
    Services(Vec<Service>),
    Addresses(IpSet),
}

/// A verdict map: services or addresses, and the chain that they are sent to.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub key: Key,
    pub elements: Vec<(Keyed, String)>,
}

/// A chain with its rules in order.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub line: usize,
    /// Which base chain it is.
    pub hook: Option<Side>,
    pub rules: Vec<Rule>,
}

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Ruleset, Misread> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let mut found = None;
    while let Some(head) = parser.statement_or_block()? {
        let words: Vec<&str> = head.iter().map(|t| t.text).collect();
        let is_block = parser.peek().is_some_and(|t| t.is("{"));
        match (words.as_slice(), is_block) {
            (["table", "inet", TABLE], true) if found.is_some() => {
                return Err(misread(&head, "a second table"));
            }
            (["table", "inet", TABLE], true) => found = Some(parser.table()?),
            (["table" | "flush" | "delete" | "destroy", "inet", TABLE], false)
            | (["delete" | "flush" | "destroy", "table", "inet", TABLE], false) => {}
            (["table", ..], true) => parser.skip_block()?,
            _ => return Err(misread(&head, "expected `table inet ringfence { ... }`")),
        }
    }
    let nothing = || Misread {
        line: 1,
        found: String::new(),
        what: format!(
            "no table `inet {TABLE}`; give an artifact or the output of `nft list table inet {TABLE}`"
        ),
    };
    found.ok_or_else(nothing)
}

pub(super) fn misread(tokens: &[Token<'_>], what: impl Into<String>) -> Misread {
    let line = tokens.first().map_or(1, |t| t.line);
    Misread { line, found: join(tokens), what: what.into() }
}

/// Tokens as one line, the way nftables prints them.
pub(super) fn join(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    for token in tokens {
        if !text.is_empty() && !token.is(",") {
            text.push(' ');
        }
        match token.kind {
            Kind::Quoted => {
                text.push('"');
                text.push_str(token.text);
                text.push('"');
            }
            _ => text.push_str(token.text),
        }
    }
    text
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token<'a>> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    /// The words up to the end of a statement, or up to the brace that opens a block. `None` at the end of the text.
    fn statement_or_block(&mut self) -> Result<Option<Vec<Token<'a>>>, Misread> {
        let mut words = Vec::new();
        while let Some(token) = self.peek() {
            if token.is("{") && token.kind == Kind::Mark {
                break;
            }
            self.at += 1;
            match token.kind {
                Kind::End if words.is_empty() => {}
                Kind::End => return Ok(Some(words)),
                _ => words.push(*token),
            }
        }
        if words.is_empty() {
            return match self.peek() {
                Some(brace) => Err(misread(std::slice::from_ref(brace), "a block without a head")),
                None => Ok(None),
            };
        }
        Ok(Some(words))
    }

    /// One statement inside a block, braces and the line ends within them included; `None` at the closing brace,
    /// which is consumed.
    fn statement(&mut self) -> Result<Option<Vec<Token<'a>>>, Misread> {
        let (mut words, mut depth): (Vec<Token<'a>>, usize) = (Vec::new(), 0);
        while let Some(token) = self.next() {
            match (token.kind, token.text) {
                (Kind::End, _) if depth > 0 || words.is_empty() => {}
                (Kind::End, _) => return Ok(Some(words)),
                (Kind::Mark, "}") if depth == 0 => {
                    if words.is_empty() {
                        return Ok(None);
                    }
                    self.at -= 1;
                    return Ok(Some(words));
                }
                (Kind::Mark, "{") => {
                    depth += 1;
                    words.push(*token);
                }
                (Kind::Mark, "}") => {
                    depth -= 1;
                    words.push(*token);
                }
                _ => words.push(*token),
            }
        }
        Err(self.cut_short())
    }

    fn cut_short(&self) -> Misread {
        let line = self.tokens.last().map_or(1, |t| t.line);
        Misread { line, found: String::new(), what: "the text ends inside a block".into() }
    }

    fn skip_block(&mut self) -> Result<(), Misread> {
        self.at += 1;
        let mut depth = 1_usize;
        while depth > 0 {
            let token = self.next().ok_or_else(|| self.cut_short())?;
            match (token.kind, token.text) {
                (Kind::Mark, "{") => depth += 1,
                (Kind::Mark, "}") => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn table(&mut self) -> Result<Ruleset, Misread> {
        self.at += 1;
        let mut ruleset = Ruleset::default();
        loop {
            let mut head = Vec::new();
            while let Some(token) = self.peek() {
                match (token.kind, token.text) {
                    (Kind::Mark, "{") => break,
                    (Kind::Mark, "}") if head.is_empty() => {
                        self.at += 1;
                        return Ok(ruleset);
                    }
                    (Kind::End, _) if head.is_empty() => {}
                    (Kind::End, _) => return Err(misread(&head, "not a part of the table that is known")),
                    _ => head.push(*token),
                }
                self.at += 1;
            }
            if self.next().is_none() {
                return Err(self.cut_short());
            }
            self.part(&head, &mut ruleset)?;
        }
    }

    fn part(&mut self, head: &[Token<'a>], ruleset: &mut Ruleset) -> Result<(), Misread> {
        let [kind, name] = head else { return Err(misread(head, "not a part of the table that is known")) };
        let name_text = name.text.to_owned();
        let is_new = match kind.text {
            "set" => {
                let statements = self.statements()?;
                ruleset.sets.insert(name_text, address_set(head, &statements)?).is_none()
            }
            "map" => {
                let statements = self.statements()?;
                ruleset.maps.insert(name_text, verdict_map(head, &statements)?).is_none()
            }
            "chain" => {
                let statements = self.statements()?;
                ruleset.chains.insert(name_text, chain(head, &statements)?).is_none()
            }
            _ => return Err(misread(head, "expected `set`, `map` or `chain`")),
        };
        if is_new { Ok(()) } else { Err(misread(head, "this name is already taken")) }
    }

    fn statements(&mut self) -> Result<Vec<Vec<Token<'a>>>, Misread> {
        let mut list = Vec::new();
        while let Some(statement) = self.statement()? {
            list.push(statement);
        }
        Ok(list)
    }
}

/// Checks `type`, `flags interval` and takes `elements = { .. }` apart at its commas.
fn elements<'s, 'a>(
    head: &[Token<'a>],
    statements: &'s [Vec<Token<'a>>],
) -> Result<(String, Vec<&'s [Token<'a>]>), Misread> {
    let (mut kind, mut elements, mut is_interval) = (None, Vec::new(), false);
    for statement in statements {
        let words: Vec<&str> = statement.iter().map(|t| t.text).collect();
        match words.as_slice() {
            ["type", rest @ ..] => kind = Some(rest.join(" ")),
            ["flags", "interval"] => is_interval = true,
            ["elements", "=", "{", .., "}"] => {
                let inner = &statement[3..statement.len() - 1];
                elements = inner.split(|t| t.is(",")).filter(|element| !element.is_empty()).collect();
            }
            _ => return Err(misread(statement, "not a property of a set or map that is known")),
        }
    }
    match kind {
        Some(kind) if is_interval => Ok((kind, elements)),
        _ => Err(misread(head, "`type` or `flags interval` is missing")),
    }
}

fn address_set(head: &[Token<'_>], statements: &[Vec<Token<'_>>]) -> Result<IpSet, Misread> {
    let (kind, elements) = elements(head, statements)?;
    let is_v4 = match kind.as_str() {
        "ipv4_addr" => true,
        "ipv6_addr" => false,
        _ => return Err(misread(head, format!("a set of `{kind}` where one of addresses was expected"))),
    };
    let mut runs = Vec::new();
    for element in elements {
        match element {
            [one] => runs.extend(address_run(one, is_v4)?),
            _ => return Err(misread(element, "expected one address, block or range")),
        }
    }
    Ok(IpSet::from_ranges(runs))
}

pub(super) fn address_run(token: &Token<'_>, is_v4: bool) -> Result<Option<(Ip, Ip)>, Misread> {
    let wrong = || misread(std::slice::from_ref(token), "not an address, block or range of this family");
    let parse = |text: &str| text.parse::<Ip>().ok().filter(|ip| ip.is_v4() == is_v4).ok_or_else(wrong);
    let (low, high) = match (token.text.split_once('-'), token.text.split_once('/')) {
        (Some((low, high)), _) => (parse(low)?, parse(high)?),
        (None, Some((base, _))) => {
            parse(base)?;
            let block: Prefix = token.text.parse().map_err(|_| wrong())?;
            (block.first(), block.last())
        }
        (None, None) => (parse(token.text)?, parse(token.text)?),
    };
    if low > high { Err(wrong()) } else { Ok(Some((low, high))) }
}

fn verdict_map(head: &[Token<'_>], statements: &[Vec<Token<'_>>]) -> Result<Map, Misread> {
    let (kind, elements) = elements(head, statements)?;
    let kind = kind.strip_suffix(" : verdict").unwrap_or(&kind);
    let Some((key, ..)) = KEYS.iter().find(|(_, name, _)| *name == kind) else {
        return Err(misread(head, format!("a map of `{kind}` is not known")));
    };
    let mut map = Map { key: *key, elements: Vec::new() };
    for element in elements {
        let [left @ .., colon, goto, chain] = element else {
            return Err(misread(element, "expected `key : goto chain`"));
        };
        if !colon.is(":") || !goto.is("goto") {
            return Err(misread(element, "expected `key : goto chain`"));
        }
        let keyed = match (map.key, left) {
            (Key::Ipv4 | Key::Ipv6, [addresses]) => {
                Keyed::Addresses(IpSet::from_ranges(address_run(addresses, map.key == Key::Ipv4)?))
            }
            (Key::Protocols, [protocol]) => Keyed::Services(protocol_services(protocol)?),
            (Key::Ports | Key::Icmp | Key::Icmpv6, [first, dot, second]) if dot.is(".") => {
                Keyed::Services(pair_services(map.key, first, second)?)
            }
            _ => return Err(misread(element, "not a key of this map")),
        };
        map.elements.push((keyed, chain.text.to_owned()));
    }
    Ok(map)
}

fn number_run(token: &Token<'_>, numbers: Numbers) -> Result<(u16, u16), Misread> {
    let wrong = || {
        let hint = "not a number, a range or a name that is known; list with `nft --numeric`";
        misread(std::slice::from_ref(token), hint)
    };
    names::run(token.text, numbers).ok_or_else(wrong)
}

fn protocol_services(token: &Token<'_>) -> Result<Vec<Service>, Misread> {
    let (low, high) = number_run(token, Numbers::Protocol)?;
    Ok((low..=high).map(|number| Service::all(Protocol(number as u8))).collect())
}

fn pair_services(key: Key, first: &Token<'_>, second: &Token<'_>) -> Result<Vec<Service>, Misread> {
    if key == Key::Ports {
        let (protocols, ports) = (number_run(first, Numbers::Protocol)?, number_run(second, Numbers::Port)?);
        let with_ports = |number: u16| {
            let protocol = Protocol(number as u8);
            protocol.has_ports().then_some(Service::range(protocol, ports.0, ports.1))
        };
        let services: Option<Vec<Service>> = (protocols.0..=protocols.1).map(with_ports).collect();
        return services.ok_or_else(|| misread(std::slice::from_ref(first), "this protocol has no ports"));
    }
    let (protocol, kinds, codes) = match key {
        Key::Icmp => (Protocol::ICMP, Numbers::IcmpType, Numbers::IcmpCode),
        _ => (Protocol::ICMPV6, Numbers::Icmpv6Type, Numbers::Icmpv6Code),
    };
    let ((from, to), (low, high)) = (number_run(first, kinds)?, number_run(second, codes)?);
    Ok((from..=to).map(|kind| Service::range(protocol, kind << 8 | low, kind << 8 | high)).collect())
}

fn chain(head: &[Token<'_>], statements: &[Vec<Token<'_>>]) -> Result<Chain, Misread> {
    let mut chain = Chain { line: head.first().map_or(1, |t| t.line), hook: None, rules: Vec::new() };
    for statement in statements {
        let words: Vec<&str> = statement.iter().map(|t| t.text).collect();
        match words.as_slice() {
            ["type", "filter", "hook", "input", "priority", "filter" | "0"] => {
                chain.hook = Some(Side::Ingress)
            }
            ["type", "filter", "hook", "output", "priority", "filter" | "0"] => {
                chain.hook = Some(Side::Egress)
            }
            ["type", ..] => {
                return Err(misread(statement, "a base chain of ours hooks input or output at 0"));
            }
            ["policy", "accept"] if chain.hook.is_some() => {}
            _ => chain.rules.push(rule(statement)?),
        }
    }
    Ok(chain)
}
