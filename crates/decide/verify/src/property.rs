//! Properties as values, and as words.

use std::fmt;
use std::str::FromStr;

use model::{Service, TrafficSet};
use policy::{BadTerm, PeerTerm};

/// A side of a property: a term of the policy language. Where it is a bare word that is no label's key, it means the
/// segment, or else the workload, of that name.
pub type Side = PeerTerm;

/// Something that a policy may be asked to fulfil.
#[derive(Clone, PartialEq, Debug)]
pub enum Property {
    /// Everyone of `from` can reach everyone of `to` on every service; with no services, on some service.
    Reach {
        /// Who asks.
        from: Side,
        /// Who is asked.
        to: Side,
        /// For what.
        services: Vec<Service>,
    },
    /// Nobody of `from` can reach anybody of `to` on any of the services; with no services, on any at all.
    Isolate {
        /// Who asks.
        from: Side,
        /// Who is asked.
        to: Side,
        /// For what.
        services: Vec<Service>,
    },
    /// What passes is exactly this set, such as what another policy lets pass.
    Equal(TrafficSet),
    /// All of this set passes.
    Contains(TrafficSet),
    /// No rule is beaten everywhere by rules of higher precedence.
    Shadowed,
    /// No rule could be removed without changing what passes.
    Redundant,
    /// Not a demand but a question: whom could an intruder on this workload reach, and in how many hops?
    BlastRadius {
        /// The workload's id or name.
        workload: String,
        /// Most hops to follow; none follows to the end. 1 is what the workload itself can reach.
        hops: Option<u32>,
    },
}

/// How a property is written, for help and messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// The first word.
    pub name: &'static str,
    /// The whole, with parts to fill in as capitals.
    pub form: &'static str,
    /// What it proves.
    pub help: &'static str,
}

/// Every property that can be written in words.
pub const PROPERTIES: [Form; 5] = [
    Form {
        name: "reach",
        form: "reach FROM -> TO [on SERVICE[, SERVICE]]",
        help: "everyone of FROM can reach everyone of TO",
    },
    Form {
        name: "isolate",
        form: "isolate FROM -> TO [on SERVICE[, SERVICE]]",
        help: "nobody of FROM can reach anybody of TO",
    },
    Form {
        name: "shadowed",
        form: "shadowed",
        help: "no rule is beaten everywhere by rules of higher precedence",
    },
    Form {
        name: "redundant",
        form: "redundant",
        help: "no rule could be removed without changing what passes",
    },
    Form {
        name: "blast-radius",
        form: "blast-radius WORKLOAD [hops N]",
        help: "whom an intruder on WORKLOAD could reach",
    },
];

impl FromStr for Property {
    type Err = BadTerm;

    /// Reads one of [`PROPERTIES`].
    fn from_str(text: &str) -> Result<Self, BadTerm> {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match name {
            "reach" => sides(text, rest).map(|(from, to, services)| Self::Reach { from, to, services }),
            "isolate" => sides(text, rest).map(|(from, to, services)| Self::Isolate { from, to, services }),
            "shadow" | "shadowed" if rest.is_empty() => Ok(Self::Shadowed),
            "redundant" if rest.is_empty() => Ok(Self::Redundant),
            "blast-radius" if !rest.is_empty() => radius(text, rest),
            _ => Err(unreadable(text)),
        }
    }
}

fn unreadable(text: &str) -> BadTerm {
    let forms: Vec<String> = PROPERTIES.iter().map(|form| format!("`{}`", form.form)).collect();
    BadTerm {
        message: format!("`{text}` is not a property"),
        help: format!("write one of {}", forms.join(", ")),
        offset: 0,
    }
}

fn sides(text: &str, rest: &str) -> Result<(Side, Side, Vec<Service>), BadTerm> {
    let (from, rest) = rest.split_once("->").ok_or_else(|| unreadable(text))?;
    let (to, services) = match rest.rsplit_once(" on ") {
        Some((to, list)) => (to, list.split(',').map(policy::service).collect::<Result<_, _>>()?),
        None => (rest, Vec::new()),
    };
    Ok((policy::peer_term(from)?, policy::peer_term(to)?, services))
}

fn radius(text: &str, rest: &str) -> Result<Property, BadTerm> {
    let (workload, hops) = match rest.rsplit_once(" hops ") {
        Some((workload, hops)) => (workload, Some(hops.trim().parse().map_err(|_| unreadable(text))?)),
        None => (rest, None),
    };
    Ok(Property::BlastRadius { workload: workload.trim().to_owned(), hops })
}

impl fmt::Display for Property {
    /// As it is written; sets, which have no words, by what is asked of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |f: &mut fmt::Formatter<'_>, services: &[Service]| {
            let list: Vec<String> = services.iter().map(ToString::to_string).collect();
            if list.is_empty() { Ok(()) } else { write!(f, " on {}", list.join(", ")) }
        };
        match self {
            Self::Reach { from, to, services } => {
                write!(f, "reach {from} -> {to}")?;
                on(f, services)
            }
            Self::Isolate { from, to, services } => {
                write!(f, "isolate {from} -> {to}")?;
                on(f, services)
            }
            Self::Equal(_) => f.write_str("equal to the given traffic"),
            Self::Contains(_) => f.write_str("contains the given traffic"),
            Self::Shadowed => f.write_str("shadowed"),
            Self::Redundant => f.write_str("redundant"),
            Self::BlastRadius { workload, hops: None } => write!(f, "blast-radius {workload}"),
            Self::BlastRadius { workload, hops: Some(hops) } => {
                write!(f, "blast-radius {workload} hops {hops}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_print_as_they_parse() {
        for text in [
            "reach role=web -> role=db on tcp/5432",
            "reach web -> db",
            "isolate env=dev,role in (a,b) -> env=prod on tcp/22, udp/53",
            "isolate any -> segment:db",
            "shadowed",
            "redundant",
            "blast-radius web-1",
            "blast-radius web-1 hops 2",
        ] {
            assert_eq!(text.parse::<Property>().unwrap().to_string(), text);
        }
        for form in PROPERTIES {
            assert!(form.form.starts_with(form.name));
        }
        for text in [
            "",
            "reach",
            "reach a",
            "reach a ->",
            "isolate a -> b on x/1",
            "shadowed x",
            "blast-radius",
            "fly",
        ] {
            assert!(text.parse::<Property>().is_err(), "{text}");
        }
    }
}
