//! Events as those who ship them write them in JSON: flat (NXLog), below `winlog` (Winlogbeat), below `Event` (evtx tools),
//! with Sysmon's own names for what is in an event.

use serde::Deserialize;

use super::Event;
use crate::text::json::{Text, parse};

/// An object at any depth of the forms: all of them have the same names, at different places.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node<'a> {
    #[serde(borrow, rename = "EventID")]
    event_id: Option<Text<'a>>,
    #[serde(borrow, rename = "event_id")]
    event_id_of_beats: Option<Text<'a>>,
    #[serde(borrow, rename = "Id")]
    event_id_of_powershell: Option<Text<'a>>,
    #[serde(borrow, rename = "Computer")]
    computer: Option<Text<'a>>,
    #[serde(borrow)]
    computer_name: Option<Text<'a>>,
    #[serde(borrow, rename = "Hostname")]
    hostname: Option<Text<'a>>,
    #[serde(borrow, rename = "MachineName")]
    machine_name: Option<Text<'a>>,
    #[serde(borrow, rename = "@timestamp")]
    timestamp: Option<Text<'a>>,
    #[serde(borrow, rename = "UtcTime")]
    utc_time: Option<Text<'a>>,
    #[serde(borrow, rename = "Image")]
    image: Option<Text<'a>>,
    #[serde(borrow, rename = "User")]
    user: Option<Text<'a>>,
    #[serde(borrow, rename = "Protocol")]
    protocol: Option<Text<'a>>,
    #[serde(borrow, rename = "Initiated")]
    initiated: Option<Text<'a>>,
    #[serde(borrow, rename = "SourceIp")]
    source_ip: Option<Text<'a>>,
    #[serde(borrow, rename = "SourcePort")]
    source_port: Option<Text<'a>>,
    #[serde(borrow, rename = "SourceHostname")]
    source_host: Option<Text<'a>>,
    #[serde(borrow, rename = "DestinationIp")]
    destination_ip: Option<Text<'a>>,
    #[serde(borrow, rename = "DestinationPort")]
    destination_port: Option<Text<'a>>,
    #[serde(borrow, rename = "DestinationHostname")]
    destination_host: Option<Text<'a>>,
    #[serde(borrow, rename = "DestinationPortName")]
    destination_port_name: Option<Text<'a>>,
    #[serde(borrow)]
    winlog: Option<Box<Node<'a>>>,
    #[serde(borrow)]
    event_data: Option<Box<Node<'a>>>,
    #[serde(borrow, rename = "Event")]
    event: Option<Box<Node<'a>>>,
    #[serde(borrow, rename = "System")]
    system: Option<Box<Node<'a>>>,
    #[serde(borrow, rename = "EventData")]
    data: Option<Box<Node<'a>>>,
}

/// Which member is looked for.
type Value = for<'n, 'a> fn(&'n Node<'a>) -> Option<&'n Text<'a>>;

impl Node<'_> {
    /// The first value there is, here or below.
    fn find(&self, value: Value) -> Option<String> {
        if let Some(found) = value(self).filter(|text| !text.0.is_empty()) {
            return Some(found.0.clone().into_owned());
        }
        let below = [&self.winlog, &self.event_data, &self.event, &self.system, &self.data];
        below.into_iter().flatten().find_map(|node| node.find(value))
    }
}

/// The connection of an event 3; `None` for other events.
pub(super) fn event(text: &[u8]) -> Result<Option<Event>, String> {
    let node: Node<'_> = parse(text)?;
    let id = node.find(|node| {
        node.event_id.as_ref().or(node.event_id_of_beats.as_ref()).or(node.event_id_of_powershell.as_ref())
    });
    let Some(ip) = node.find(|node| node.source_ip.as_ref()) else { return Ok(None) };
    if id.as_deref() != Some("3") {
        return Ok(None);
    }
    let mut event =
        Event { logged: node.find(|node| node.timestamp.as_ref()).unwrap_or_default(), ..Event::default() };
    event.host = node
        .find(|node| {
            let newer = node.computer.as_ref().or(node.computer_name.as_ref());
            newer.or(node.hostname.as_ref()).or(node.machine_name.as_ref())
        })
        .unwrap_or_default();
    event.set("SourceIp", ip);
    let values = [
        ("UtcTime", node.find(|node| node.utc_time.as_ref())),
        ("Image", node.find(|node| node.image.as_ref())),
        ("User", node.find(|node| node.user.as_ref())),
        ("Protocol", node.find(|node| node.protocol.as_ref())),
        ("Initiated", node.find(|node| node.initiated.as_ref())),
        ("SourcePort", node.find(|node| node.source_port.as_ref())),
        ("SourceHostname", node.find(|node| node.source_host.as_ref())),
        ("DestinationIp", node.find(|node| node.destination_ip.as_ref())),
        ("DestinationPort", node.find(|node| node.destination_port.as_ref())),
        ("DestinationHostname", node.find(|node| node.destination_host.as_ref())),
        ("DestinationPortName", node.find(|node| node.destination_port_name.as_ref())),
    ];
    for (name, value) in values {
        event.set(name, value.unwrap_or_default());
    }
    Ok(Some(event))
}
