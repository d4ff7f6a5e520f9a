//! The small languages inside a policy file's values: peers, services, dates, sentence tests.

use model::{InvalidSelector, Micros, Prefix, Selector, Service};

use crate::ast::{PeerTerm, Verb};

/// A piece of text that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadTerm {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Where in the text, in characters from 0.
    pub offset: usize,
}

impl std::fmt::Display for BadTerm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}
impl std::error::Error for BadTerm {}

fn bad(message: impl Into<String>, help: impl Into<String>) -> BadTerm {
    BadTerm { message: message.into(), help: help.into(), offset: 0 }
}

const PREFIXES: [&str; 4] = ["segment", "cidr", "group", "fqdn"];

/// Reads one way to name the side of a rule: `any`, `internet`, `cidr:..`, `segment:..`, `group:..`, `fqdn:..` or a
/// label selector.
pub fn peer_term(text: &str) -> Result<PeerTerm, BadTerm> {
    let text = text.trim();
    match text {
        "any" => return Ok(PeerTerm::Any),
        "internet" => return Ok(PeerTerm::Internet),
        _ => {}
    }
    // A label's key may hold digits, dots and slashes, so an address would pass for one.
    if text.parse::<Prefix>().is_ok() {
        return Err(bad(format!("`{text}` is not a selector"), format!("write `cidr:{text}` for addresses")));
    }
    if let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| !kind.contains(['=', ' ', '(', ',']))
    {
        return prefixed(kind, rest.trim());
    }
    text.parse().map(PeerTerm::Labels).map_err(|error| bad_selector(text, error))
}

fn prefixed(kind: &str, rest: &str) -> Result<PeerTerm, BadTerm> {
    if rest.is_empty() {
        return Err(bad(format!("`{kind}:` names nothing"), format!("write `{kind}:NAME`")));
    }
    if kind != "cidr" && rest.contains(char::is_whitespace) {
        return Err(bad(
            format!("the name in `{kind}:{rest}` holds a space"),
            "write the name without spaces",
        ));
    }
    match kind {
        "cidr" => {
            let block: Result<Prefix, _> = rest.parse();
            block.map(PeerTerm::Cidr).map_err(|error| bad(error.to_string(), "write `cidr:10.0.0.0/8`"))
        }
        "segment" => Ok(PeerTerm::Segment(rest.to_owned())),
        "group" => Ok(PeerTerm::Group(rest.to_owned())),
        "fqdn" => Ok(PeerTerm::Fqdn(rest.to_owned())),
        _ => Err(bad(
            format!("`{kind}:` is not a kind of peer"),
            match crate::diagnostic::nearest(kind, PREFIXES) {
                Some(meant) => format!("did you mean `{meant}:{rest}`?"),
                None => String::from(
                    "write `segment:NAME`, `cidr:BLOCK`, `group:NAME`, `fqdn:NAME` or a selector",
                ),
            },
        )),
    }
}

fn bad_selector(text: &str, error: InvalidSelector) -> BadTerm {
    let help = String::from("write `app=payments,role in (web,api),env!=dev`");
    let offset = text.get(..error.offset).map_or(0, |before| before.chars().count());
    BadTerm { message: format!("`{text}` is not a selector: {}", error.problem), help, offset }
}

/// Reads a service such as `tcp/443`.
pub fn service(text: &str) -> Result<Service, BadTerm> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let help = match text.parse::<u16>() {
            Ok(port) => format!("name the protocol: `tcp/{port}` or `udp/{port}`"),
            Err(_) => String::from("write `tcp/443`, `udp/30000-32767`, `tcp`, `icmp/8` or `ip47`"),
        };
        bad(format!("`{text}` is not a service"), help)
    })
}

/// A sentence test taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sentence {
    /// Who asks.
    pub from: PeerTerm,
    /// Can or cannot.
    pub verb: Verb,
    /// Who is asked.
    pub to: PeerTerm,
    /// For what; empty means any service.
    pub services: Vec<Service>,
}

/// Reads `PEER can|cannot reach PEER [on SERVICE[, SERVICE]]`.
pub fn sentence(text: &str) -> Result<Sentence, BadTerm> {
    const FORM: &str = "write `role=web can reach role=db on tcp/5432` or `env=dev cannot reach env=prod`";
    let verbs = [(" cannot reach ", Verb::CannotReach), (" can reach ", Verb::CanReach)];
    let found = verbs.iter().find_map(|(words, verb)| text.find(words).map(|at| (at, words.len(), *verb)));
    let Some((at, length, verb)) = found else {
        return Err(bad(format!("`{text}` is not a test"), FORM));
    };
    let (from, rest) = (&text[..at], &text[at + length..]);
    let (to, on) = match rest.rfind(" on ") {
        Some(split) => (&rest[..split], Some(&rest[split + 4..])),
        None => (rest, None),
    };
    let shift = |start: &str, inner: &str| {
        let leading = inner.len() - inner.trim_start().len();
        start.chars().count() + inner[..leading].chars().count()
    };
    let within = |before: &str, inner: &str, mut problem: BadTerm| {
        problem.offset += shift(before, inner);
        problem
    };
    let services = match on {
        None => Vec::new(),
        Some(list) => list.split(',').map(service).collect::<Result<_, _>>().map_err(|mut problem| {
            problem.offset = text.chars().count() - list.chars().count();
            problem
        })?,
    };
    Ok(Sentence {
        from: peer_term(from).map_err(|problem| within("", from, problem))?,
        verb,
        to: peer_term(to).map_err(|problem| within(&text[..at + length], to, problem))?,
        services,
    })
}

/// The first moment at which a rule that expires so no longer holds: the end of a day, or an RFC 3339 time.
pub(crate) fn expiry(text: &str) -> Result<Micros, BadTerm> {
    const DAY_US: Micros = 86_400_000_000;
    let dated = text.len() == 10 && !text.ends_with(|c: char| c.is_ascii_alphabetic());
    // A span such as `7d` would be read against a clock that a policy file does not have.
    let written_out = text.len() >= 10;
    let parsed = if written_out { model::parse_time(text, 0).ok() } else { None };
    let at = parsed.ok_or_else(|| {
        bad(
            format!("`{text}` is not a date"),
            "write the last day, `2027-05-20`, or a time, `2027-05-20T12:00:00Z`",
        )
    })?;
    Ok(if dated { at.saturating_add(DAY_US) } else { at })
}

/// A label selector, for callers that take nothing else.
pub fn label_selector(text: &str) -> Result<Selector, BadTerm> {
    match peer_term(text)? {
        PeerTerm::Labels(selector) => Ok(selector),
        _ => Err(bad(format!("`{text}` is not a label selector"), "write `app=payments,env=prod`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_taken_apart() {
        let test = sentence("app=*,role in (web, api) cannot reach role=db on tcp/5432, udp/53").unwrap();
        assert_eq!(test.verb, Verb::CannotReach);
        assert_eq!(test.services, [Service::tcp(5432), Service::udp(53)]);
        assert_eq!(test.from, peer_term("app=*,role in (api,web)").unwrap());
        assert_eq!(sentence("any can reach internet").unwrap().to, PeerTerm::Internet);
    }

    #[test]
    fn a_bad_sentence_says_where() {
        for (text, offset) in [
            ("role=web can reach role= on tcp/1", 19),
            ("role=web can reach role=db on tcpp/1", 30),
            ("role= can reach role=db", 0),
            ("role=web reaches role=db", 0),
        ] {
            assert_eq!(sentence(text).unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn peers_say_what_was_meant() {
        for (text, hint) in [
            ("10.0.0.0/8", "cidr:10.0.0.0/8"),
            ("segmnt:web", "segment:web"),
            ("cidr:10.0.0.0/99", "cidr:10.0.0.0/8"),
            ("segment:", "segment:NAME"),
            ("role=", "app=payments"),
        ] {
            let problem = peer_term(text).unwrap_err();
            assert!(problem.help.contains(hint), "{text}: {problem}");
        }
        assert!(matches!(peer_term("cidr:2001:db8::/32"), Ok(PeerTerm::Cidr(_))));
    }

    #[test]
    fn a_day_lasts_to_its_end() {
        assert_eq!(expiry("1970-01-01").unwrap(), 86_400_000_000);
        assert_eq!(expiry("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
        for text in ["7d", "tomorrow", "2027-13-01", "99999999999d"] {
            assert!(expiry(text).is_err(), "{text}");
        }
    }
}
