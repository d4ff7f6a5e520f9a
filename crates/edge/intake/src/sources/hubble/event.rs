//! An event as Hubble writes it: the JSON form of its protocol buffers.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::text::json::{Address, Count, Moment, Text};

/// A line: an event in `flow`, or, as older releases print it, the event itself.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) flow: Option<Event<'a>>,
    #[serde(borrow)]
    pub(super) node_name: Option<Text<'a>>,
    #[serde(default)]
    pub(super) time: Moment,
    pub(super) lost_events: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(default)]
    pub(super) time: Moment,
    #[serde(borrow)]
    pub(super) verdict: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) drop_reason_desc: Option<Text<'a>>,
    #[serde(rename = "IP")]
    pub(super) ip: Option<Addresses>,
    pub(super) l4: Option<Transport>,
    #[serde(borrow)]
    pub(super) source: Option<Endpoint<'a>>,
    #[serde(borrow)]
    pub(super) destination: Option<Endpoint<'a>>,
    #[serde(borrow, rename = "Type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) node_name: Option<Text<'a>>,
    pub(super) l7: Option<Application>,
    /// Before there was `is_reply`: true or, for everything else and everything unknown, false.
    pub(super) reply: Option<bool>,
    pub(super) is_reply: Option<bool>,
    #[serde(borrow)]
    pub(super) destination_service: Option<Service<'a>>,
    #[serde(borrow)]
    pub(super) traffic_direction: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) trace_observation_point: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) egress_allowed_by: Option<Vec<Policy<'a>>>,
    #[serde(borrow)]
    pub(super) ingress_allowed_by: Option<Vec<Policy<'a>>>,
    #[serde(borrow)]
    pub(super) egress_denied_by: Option<Vec<Policy<'a>>>,
    #[serde(borrow)]
    pub(super) ingress_denied_by: Option<Vec<Policy<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Addresses {
    #[serde(default)]
    pub(super) source: Address,
    #[serde(default)]
    pub(super) destination: Address,
    /// The source address after it was masqueraded.
    #[serde(default)]
    pub(super) source_xlated: Address,
}

#[derive(Deserialize)]
pub(super) struct Transport {
    #[serde(rename = "TCP")]
    pub(super) tcp: Option<Ports>,
    #[serde(rename = "UDP")]
    pub(super) udp: Option<Ports>,
    #[serde(rename = "SCTP")]
    pub(super) sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    pub(super) icmp_v4: Option<Icmp>,
    #[serde(rename = "ICMPv6")]
    pub(super) icmp_v6: Option<Icmp>,
    #[serde(rename = "VRRP")]
    pub(super) vrrp: Option<IgnoredAny>,
    #[serde(rename = "IGMP")]
    pub(super) igmp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Ports {
    #[serde(default)]
    pub(super) source_port: Count,
    #[serde(default)]
    pub(super) destination_port: Count,
    pub(super) flags: Option<Flags>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
#[derive(Default)]
pub(super) struct Flags {
    fin: bool,
    syn: bool,
    rst: bool,
    psh: bool,
    ack: bool,
    urg: bool,
    ece: bool,
    cwr: bool,
}

impl Flags {
    /// As in the TCP header.
    pub(super) fn bits(&self) -> u8 {
        let all = [self.fin, self.syn, self.rst, self.psh, self.ack, self.urg, self.ece, self.cwr];
        all.into_iter().enumerate().fold(0, |bits, (place, set)| bits | u8::from(set) << place)
    }
}

#[derive(Deserialize)]
pub(super) struct Icmp {
    #[serde(rename = "type", default)]
    pub(super) kind: Count,
    #[serde(default)]
    pub(super) code: Count,
}

/// What a request or an answer was of.
#[derive(Deserialize)]
pub(super) struct Application {
    dns: Option<IgnoredAny>,
    http: Option<IgnoredAny>,
    kafka: Option<IgnoredAny>,
}

impl Application {
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Self { dns: Some(_), .. } => Some("dns"),
            Self { http: Some(_), .. } => Some("http"),
            Self { kafka: Some(_), .. } => Some("kafka"),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Endpoint<'a> {
    #[serde(borrow)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) pod_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) workloads: Owner<'a>,
    #[serde(borrow, default)]
    pub(super) labels: Labels<'a>,
}

#[derive(Deserialize)]
pub(super) struct Service<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) namespace: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Policy<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
}

impl Policy<'_> {
    /// `namespace/name`; policies of the whole cluster have no namespace.
    pub(super) fn full_name(&self) -> Option<String> {
        let name = Text::owned(self.name.as_ref())?;
        Some(match Text::owned(self.namespace.as_ref()) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        })
    }
}

/// The first of the workloads that own a pod: its name and kind.
#[derive(Default)]
pub(super) struct Owner<'a>(pub(super) Option<(Text<'a>, Text<'a>)>);

#[derive(Deserialize)]
struct Workload<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Owner<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let workloads = Option::<FirstOf<Workload<'a>>>::deserialize(deserializer)?;
        let first = workloads.and_then(|workloads| workloads.0);
        Ok(Self(first.filter(|first| !first.name.0.is_empty()).map(|first| (first.name, first.kind))))
    }
}

/// The identity that Cilium reserves for what is no pod, of an endpoint's labels.
#[derive(Default)]
pub(super) struct Labels<'a>(Option<Text<'a>>);

impl Labels<'_> {
    /// The reserved identity, unless it only says that the address is outside.
    pub(super) fn reserved(&self) -> Option<&str> {
        let label = &*self.0.as_ref()?.0;
        let inside = label.starts_with("reserved:")
            && !matches!(
                label,
                "reserved:world" | "reserved:world-ipv4" | "reserved:world-ipv6" | "reserved:unknown"
            );
        inside.then_some(label)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A pod has no reserved label; what has one has it first.
        Ok(Self(Option::<FirstOf<Text<'a>>>::deserialize(deserializer)?.and_then(|labels| labels.0)))
    }
}

/// The first value of a list; the others are passed over.
struct FirstOf<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FirstOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(std::marker::PhantomData))
    }
}

struct List<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = FirstOf<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let first = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FirstOf(first))
    }
}
