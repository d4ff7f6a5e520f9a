//! An event as Suricata writes it.

use netset::Ip;
use serde::Deserialize;

use crate::text::json::{Address, Count, Moment, Text};

/// An event; members that do not matter here are left out.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(default)]
    pub(super) timestamp: Moment,
    #[serde(borrow)]
    event_type: Option<Text<'a>>,
    #[serde(default)]
    flow_id: Count,
    #[serde(default)]
    pub(super) src_ip: Address,
    #[serde(default)]
    pub(super) src_port: Count,
    #[serde(default)]
    pub(super) dest_ip: Address,
    #[serde(default)]
    pub(super) dest_port: Count,
    #[serde(borrow)]
    pub(super) proto: Option<Text<'a>>,
    #[serde(default)]
    pub(super) icmp_type: Count,
    #[serde(default)]
    pub(super) icmp_code: Count,
    #[serde(borrow)]
    pub(super) app_proto: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) direction: Option<Text<'a>>,
    /// The sensor's name.
    #[serde(borrow)]
    pub(super) host: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) flow: Option<Embedded<'a>>,
    #[serde(borrow)]
    pub(super) netflow: Option<Embedded<'a>>,
    pub(super) tcp: Option<Flags>,
    #[serde(borrow)]
    pub(super) alert: Option<Alert<'a>>,
    pub(super) stats: Option<Stats>,
}

impl Event<'_> {
    pub(super) fn kind(&self) -> &str {
        self.event_type.as_ref().map_or("", |kind| &kind.0)
    }

    pub(super) fn id(&self) -> Option<u64> {
        self.flow_id.0
    }

    /// Whether the packet that caused the event went to the client.
    pub(super) fn to_client(&self) -> bool {
        self.direction.as_ref().is_some_and(|direction| direction.0 == "to_client")
    }

    /// Whether the event says that traffic was refused.
    pub(super) fn refused(&self) -> bool {
        self.kind() == "drop"
            || self.alert.as_ref().is_some_and(|alert| {
                alert
                    .action
                    .as_ref()
                    .is_some_and(|action| matches!(&*action.0, "blocked" | "drop" | "reject"))
            })
    }
}

/// What an event says of its connection, or of a half of it.
#[derive(Deserialize)]
pub(super) struct Embedded<'a> {
    #[serde(default)]
    pub(super) pkts_toserver: Count,
    #[serde(default)]
    pub(super) pkts_toclient: Count,
    #[serde(default)]
    pub(super) bytes_toserver: Count,
    #[serde(default)]
    pub(super) bytes_toclient: Count,
    #[serde(default)]
    pub(super) pkts: Count,
    #[serde(default)]
    pub(super) bytes: Count,
    #[serde(default)]
    pub(super) start: Moment,
    #[serde(default)]
    pub(super) end: Moment,
    #[serde(borrow)]
    pub(super) action: Option<Text<'a>>,
    /// The side that opened the connection, where the event's own addresses are those of a packet.
    #[serde(default)]
    src_ip: Address,
    #[serde(default)]
    src_port: Count,
}

impl Embedded<'_> {
    pub(super) fn initiator(&self) -> Option<(Ip, Option<u16>)> {
        let port = self.src_port.0.and_then(|port| u16::try_from(port).ok());
        self.src_ip.0.map(|ip| (ip, port))
    }
}

/// TCP flags as two hexadecimal digits, together and by direction.
#[derive(Deserialize)]
pub(super) struct Flags {
    #[serde(default)]
    tcp_flags: Hex,
    #[serde(default)]
    tcp_flags_ts: Hex,
    #[serde(default)]
    tcp_flags_tc: Hex,
}

impl Flags {
    pub(super) const SYN: u8 = 2;
    const RST: u8 = 4;

    pub(super) fn all(&self) -> Option<u8> {
        self.tcp_flags.0
    }

    /// What the client sent, where anything was followed.
    pub(super) fn toserver(&self) -> Option<u8> {
        self.tcp_flags_ts.0
    }

    /// Whether the server only ever said no.
    pub(super) fn refused(&self) -> bool {
        let opened = self.tcp_flags_ts.0.is_some_and(|flags| flags & Self::SYN != 0);
        opened && self.tcp_flags_tc.0.is_some_and(|flags| flags & Self::RST != 0 && flags & Self::SYN == 0)
    }
}

#[derive(Default)]
struct Hex(Option<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        Ok(Self(u8::from_str_radix(&text.0, 16).ok()))
    }
}

/// The rule that spoke.
#[derive(Deserialize)]
pub(super) struct Alert<'a> {
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(default)]
    signature_id: Count,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

impl Alert<'_> {
    /// Its number and its words.
    pub(super) fn rule(&self) -> Option<String> {
        let words = self.signature.as_ref().map_or("", |text| &text.0);
        match (self.signature_id.0, words) {
            (None, "") => None,
            (None, words) => Some(words.to_owned()),
            (Some(id), "") => Some(id.to_string()),
            (Some(id), words) => Some(format!("{id} {words}")),
        }
    }
}

/// What Suricata says of itself.
#[derive(Deserialize)]
pub(super) struct Stats {
    pub(super) capture: Option<Capture>,
}

/// Counters since Suricata's start.
#[derive(Deserialize)]
pub(super) struct Capture {
    #[serde(default)]
    pub(super) kernel_packets: Count,
    #[serde(default)]
    pub(super) kernel_drops: Count,
}
