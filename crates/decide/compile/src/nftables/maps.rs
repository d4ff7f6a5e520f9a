//! Verdict maps: from a packet's service to the chain of its class.

use std::fmt::Write;

use model::{Protocol, Service};

use super::classes::Class;
use crate::target::Side;

/// The verdict maps of one side: key to class.
#[derive(Default)]
pub(super) struct Maps {
    ports: Vec<String>,
    icmp: Vec<String>,
    icmpv6: Vec<String>,
    protocols: Vec<String>,
}

impl Maps {
    pub(super) fn of(side: Side, classes: &[Class]) -> Self {
        let mut keyed: Vec<(Service, String)> = classes
            .iter()
            .flat_map(|class| class.services.iter().map(|s| (*s, class_chain(side, class))))
            .collect();
        keyed.sort();
        let mut maps = Self::default();
        for (service, chain) in keyed {
            let Service { protocol, low, high } = service;
            if protocol.has_ports() {
                maps.ports.push(format!("{} . {} : goto {chain}", key_name(protocol), number_run(low, high)));
            } else if protocol.is_icmp() {
                let map = if protocol == Protocol::ICMP { &mut maps.icmp } else { &mut maps.icmpv6 };
                map.extend(
                    icmp_rectangles(low, high).map(|(kind, code)| format!("{kind} . {code} : goto {chain}")),
                );
            } else {
                maps.protocols.push(format!("{} : goto {chain}", key_name(protocol)));
            }
        }
        maps
    }

    fn rows(&self, side: Side) -> [(String, &'static str, &'static str, &[String]); 4] {
        [
            (
                format!("{side}_ports"),
                "inet_proto . inet_service",
                "meta l4proto . th dport",
                self.ports.as_slice(),
            ),
            (format!("{side}_icmp"), "icmp_type . icmp_code", "icmp type . icmp code", &self.icmp),
            (
                format!("{side}_icmpv6"),
                "icmpv6_type . icmpv6_code",
                "icmpv6 type . icmpv6 code",
                &self.icmpv6,
            ),
            (format!("{side}_protocols"), "inet_proto", "meta l4proto", &self.protocols),
        ]
    }

    pub(super) fn define(&self, side: Side, text: &mut String) {
        for (name, key, _, elements) in self.rows(side) {
            if !elements.is_empty() {
                let _ = writeln!(text, "\tmap {name} {{\n\t\ttype {key} : verdict\n\t\tflags interval");
                write_elements(text, elements.iter().cloned());
            }
        }
    }

    pub(super) fn lookups(&self, side: Side) -> Vec<String> {
        let used = self.rows(side).into_iter().filter(|(.., elements)| !elements.is_empty());
        used.map(|(name, _, key, _)| format!("{key} vmap @{name}")).collect()
    }
}

/// `type * 256 + code` runs as rectangles of types and codes.
fn icmp_rectangles(low: u16, high: u16) -> impl Iterator<Item = (String, String)> {
    let ((first, code), (last, end)) = ((low >> 8, low & 255), (high >> 8, high & 255));
    let mut parts = Vec::new();
    if first == last {
        parts.push((first, first, code, end));
    } else {
        let (mut from, mut to) = (first, last);
        if code > 0 {
            parts.push((first, first, code, 255));
            from += 1;
        }
        if end < 255 {
            to -= 1;
        }
        if from <= to {
            parts.push((from, to, 0, 255));
        }
        if end < 255 {
            parts.push((last, last, 0, end));
        }
    }
    parts.into_iter().map(|(from, to, code, end)| (number_run(from, to), number_run(code, end)))
}

fn key_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::TCP => "tcp".into(),
        Protocol::UDP => "udp".into(),
        Protocol(number) => number.to_string(),
    }
}

/// The chain of a class, named by its first service, which no other class has.
pub(super) fn class_chain(side: Side, class: &Class) -> String {
    let first = class.services.first().map(ToString::to_string).unwrap_or_default();
    format!("{side}_{}", first.replace('/', "_"))
}

fn number_run(low: u16, high: u16) -> String {
    if low == high { low.to_string() } else { format!("{low}-{high}") }
}

/// One element a line: a changed element is one changed line.
pub(super) fn write_elements(text: &mut String, elements: impl Iterator<Item = String>) {
    text.push_str("\t\telements = {\n");
    for element in elements {
        let _ = writeln!(text, "\t\t\t{element},");
    }
    text.push_str("\t\t}\n\t}\n\n");
}
