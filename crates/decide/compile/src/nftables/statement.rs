//! Rules: what stands on one line of a chain.

use model::IpSet;

use super::Misread;
use super::parse::{KEYS, Key, address_run, join, misread};
use super::tokens::{Kind, Token};
use crate::target::RuleVerdict;

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub line: usize,
    /// As printed, but for the counts.
    pub text: String,
    pub packets: u64,
    pub bytes: u64,
    pub body: Body,
}

/// What a rule is for.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A counter that carries the mode.
    Mode(String),
    Floor {
        name: String,
        statement: String,
    },
    Log,
    Lookup {
        key: Key,
        /// For addresses: whether it is the source's.
        is_source: bool,
        map: String,
    },
    Act {
        guards: Vec<Guard>,
        then: Then,
    },
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Guard {
    Address {
        is_v4: bool,
        is_source: bool,
        is_not: bool,
        operand: Operand,
    },
    Family {
        is_v4: bool,
    },
    /// Broadcast or multicast frames: a condition that traffic sets do not know.
    Noise,
}

/// The right side of a condition on addresses.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Named(String),
    Inline(IpSet),
}

/// What happens to a packet that a rule matches.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Goto(String),
    Decide(RuleVerdict, String),
}

/// Parses one rule.
pub(super) fn rule(statement: &[Token<'_>]) -> Result<Rule, Misread> {
    let line = statement.first().map_or(1, |t| t.line);
    let (comment, rest) = match statement {
        [rest @ .., word, comment] if word.is("comment") && comment.kind == Kind::Quoted => {
            (Some(comment.text), rest)
        }
        rest => (None, rest),
    };
    let (counted, packets, bytes) = without_counts(rest)?;
    let text = join(&counted);
    let kind = comment.and_then(|comment| comment.split_once(':'));
    let body = match (kind, text.as_str()) {
        (Some(("mode", mode)), "counter") => Body::Mode(mode.to_owned()),
        (Some(("floor", name)), _) => Body::Floor { name: name.to_owned(), statement: text.clone() },
        _ => body(&counted, kind).map_err(|what| misread(statement, what))?,
    };
    Ok(Rule { line, text, packets, bytes, body })
}

/// The words with `packets N bytes N` taken out after `counter`.
fn without_counts<'a>(words: &[Token<'a>]) -> Result<(Vec<Token<'a>>, u64, u64), Misread> {
    let Some(at) = words.iter().position(|t| t.is("counter")) else { return Ok((words.to_vec(), 0, 0)) };
    let [packets_word, packets, bytes_word, bytes, rest @ ..] = &words[at + 1..] else {
        return Ok((words.to_vec(), 0, 0));
    };
    if !packets_word.is("packets") || !bytes_word.is("bytes") {
        return Ok((words.to_vec(), 0, 0));
    }
    match (packets.text.parse(), bytes.text.parse()) {
        (Ok(packets), Ok(bytes)) => Ok(([&words[..=at], rest].concat(), packets, bytes)),
        _ => Err(misread(words, "a counter's values are not numbers")),
    }
}

fn body(words: &[Token<'_>], kind: Option<(&str, &str)>) -> Result<Body, String> {
    if words.first().is_some_and(|t| t.is("limit")) {
        return log(words);
    }
    if let [key @ .., vmap, map] = words
        && vmap.is("vmap")
    {
        let text = join(key);
        let key = KEYS.iter().find(|(.., printed)| *printed == text).map(|(key, ..)| *key);
        let name = map.text.strip_prefix('@');
        return match (key, name) {
            (Some(key), Some(name)) => {
                Ok(Body::Lookup { key, is_source: text.ends_with("saddr"), map: name.to_owned() })
            }
            _ => Err("not a look-up that is known".into()),
        };
    }
    let (mut guards, mut rest) = (Vec::new(), words);
    while let Some((guard, after)) = guard(rest)? {
        guards.push(guard);
        rest = after;
    }
    let then = match rest {
        [goto, chain] if goto.is("goto") => Then::Goto(chain.text.to_owned()),
        [counter, verdict] if counter.is("counter") => decision(verdict, kind)?,
        _ => return Err("not a rule that is known".into()),
    };
    Ok(Body::Act { guards, then })
}

fn decision(verdict: &Token<'_>, kind: Option<(&str, &str)>) -> Result<Then, String> {
    let Some((kind, id)) = kind else { return Err("a verdict without a rule's id in its comment".into()) };
    let verdict = match (verdict.text, kind) {
        ("accept", "guardrail-allow") => RuleVerdict::GuardrailAllow,
        ("accept", "allow") => RuleVerdict::Allow,
        ("accept", "would-deny") => RuleVerdict::WouldDeny,
        ("drop", "deny") => RuleVerdict::Deny,
        _ => return Err("the verdict is not what the comment says".into()),
    };
    Ok(Then::Decide(verdict, id.to_owned()))
}

/// `limit rate N/UNIT [burst N packets] log prefix ".." group N`.
fn log(words: &[Token<'_>]) -> Result<Body, String> {
    let words: Vec<&str> = words.iter().map(|t| t.text).collect();
    let rest = match words.as_slice() {
        ["limit", "rate", _, "burst", _, "packets", rest @ ..] | ["limit", "rate", _, rest @ ..] => rest,
        _ => return Err("not a limit that is known".into()),
    };
    match rest {
        ["log", "prefix", prefix, "group", _] if prefix.starts_with("ringfence:") => Ok(Body::Log),
        _ => Err("not a log line that is known".into()),
    }
}

type Rest<'s, 'a> = &'s [Token<'a>];

fn guard<'s, 'a>(words: Rest<'s, 'a>) -> Result<Option<(Guard, Rest<'s, 'a>)>, String> {
    let [first, second, rest @ ..] = words else { return Ok(None) };
    match (first.text, second.text) {
        ("meta", "nfproto") => {
            let [family, rest @ ..] = rest else { return Err("a family is missing".into()) };
            let is_v4 = match family.text {
                "ipv4" | "2" => true,
                "ipv6" | "10" => false,
                _ => return Err("not a family that is known".into()),
            };
            Ok(Some((Guard::Family { is_v4 }, rest)))
        }
        ("meta", "pkttype") if rest.len() >= 5 && join(&rest[..5]) == "{ broadcast, multicast }" => {
            Ok(Some((Guard::Noise, &rest[5..])))
        }
        ("ip" | "ip6", "saddr" | "daddr") => {
            let (is_v4, is_source) = (first.is("ip"), second.is("saddr"));
            let (is_not, rest) = match rest {
                [not, rest @ ..] if not.is("!=") => (true, rest),
                rest => (false, rest),
            };
            let (operand, rest) = operand(rest, is_v4)?;
            Ok(Some((Guard::Address { is_v4, is_source, is_not, operand }, rest)))
        }
        _ => Ok(None),
    }
}

fn operand<'s, 'a>(words: Rest<'s, 'a>, is_v4: bool) -> Result<(Operand, Rest<'s, 'a>), String> {
    let run = |token: &Token<'_>| address_run(token, is_v4).map_err(|misread| misread.what);
    match words {
        [open, rest @ ..] if open.is("{") => {
            let end = rest.iter().position(|t| t.is("}")).ok_or("a brace is not closed")?;
            let members = rest[..end].iter().filter(|t| !t.is(","));
            let runs: Result<Vec<_>, String> = members.map(run).collect();
            Ok((Operand::Inline(IpSet::from_ranges(runs?.into_iter().flatten())), &rest[end + 1..]))
        }
        [one, rest @ ..] => match one.text.strip_prefix('@') {
            Some(name) => Ok((Operand::Named(name.to_owned()), rest)),
            None => Ok((Operand::Inline(IpSet::from_ranges(run(one)?)), rest)),
        },
        [] => Err("an address is missing".into()),
    }
}
