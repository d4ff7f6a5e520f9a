//! Azure's flow logs: of network security groups (versions 1 and 2) and of virtual networks (version 4).

mod tuple;

use std::borrow::Cow;

use model::FlowDetails;
use serde::Deserialize;

use self::tuple::{Kind, tuple};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "azure",
    aliases: &["azure-nsg", "azure-vnet"],
    title: "Azure flow logs (NSG and VNet JSON)",
    description: "Flow logs of network security groups (versions 1 and 2) and of virtual networks (version 4), as Azure writes \
                  them (`PT1H.json`, also while it grows) or one record a line. Each tuple is a flow: what begins has no counts, \
                  what continues or ends has those since the tuple before, so that they add up. Azure follows connections and \
                  writes who opened them first. A denied tuple is a flow with the verdict deny; the rule is kept.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(head, text).is_some();
    let json = head.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
    json && (has(b"\"NetworkSecurityGroupFlowEvent\"")
        || has(b"\"FlowLogFlowEvent\"")
        || has(b"\"flowRecords\"")
        || has(b"\"flowTuples\""))
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["records"] };
    open_text(SOURCE.name, "records of an Azure flow log", shape, input, Records)
}

/// A record: what one network interface saw in about a minute.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, rename = "resourceId")]
    group: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "targetResourceID")]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "macAddress")]
    mac: Option<Cow<'a, str>>,
    /// Of network security groups.
    #[serde(borrow)]
    properties: Option<Properties<'a>>,
    /// Of virtual networks.
    #[serde(borrow, rename = "flowRecords")]
    records: Option<FlowRecords<'a>>,
    /// Records within a record, as Azure's documentation has them.
    #[serde(borrow, default, rename = "records")]
    inner: Vec<Self>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    flows: Vec<Rule<'a>>,
}

#[derive(Deserialize)]
struct Rule<'a> {
    #[serde(borrow, default)]
    rule: Cow<'a, str>,
    #[serde(borrow, default)]
    flows: Vec<Interface<'a>>,
}

#[derive(Deserialize)]
struct Interface<'a> {
    #[serde(borrow, default)]
    mac: Cow<'a, str>,
    #[serde(borrow, default, rename = "flowTuples")]
    tuples: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct FlowRecords<'a> {
    #[serde(borrow, default)]
    flows: Vec<Acl<'a>>,
}

#[derive(Deserialize)]
struct Acl<'a> {
    #[serde(borrow, default, rename = "flowGroups")]
    groups: Vec<Group<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow, default)]
    rule: Cow<'a, str>,
    #[serde(borrow, default, rename = "flowTuples")]
    tuples: Vec<Cow<'a, str>>,
}

const BAD_TUPLE: &str = "tuple cannot be read";
const NO_TUPLES: &str = "record without tuples";

struct Records;

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let record: Record<'_> = serde_json::from_slice(text)
            .map_err(|error| format!("the record is not one of a flow log: {error}"))?;
        if record.properties.is_none() && record.records.is_none() && record.inner.is_empty() {
            return Err("expected an object with `properties.flows` or `flowRecords.flows`".into());
        }
        if take(&record, sink) == 0 {
            sink.skip(NO_TUPLES);
        }
        Ok(())
    }
}

/// Gives a record's tuples to the sink; says how many there were.
fn take(record: &Record<'_>, sink: &mut Sink<'_>) -> usize {
    let mut count = 0;
    let resource = record.target.as_deref().or(record.group.as_deref()).map(last_part).unwrap_or_default();
    for rule in record.properties.iter().flat_map(|properties| &properties.flows) {
        for interface in &rule.flows {
            let mac = if interface.mac.is_empty() { record.mac.as_deref() } else { Some(&*interface.mac) };
            count += tuples(Kind::Group, &rule.rule, &observer(resource, mac), &interface.tuples, sink);
        }
    }
    for acl in record.records.iter().flat_map(|records| &records.flows) {
        for group in &acl.groups {
            let exporter = observer(resource, record.mac.as_deref());
            count += tuples(Kind::Network, &group.rule, &exporter, &group.tuples, sink);
        }
    }
    count + record.inner.iter().map(|inner| take(inner, sink)).sum::<usize>()
}

/// Name of a resource: the last part of its path.
fn last_part(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// A network interface as one log sees it: the same interface in a group's and in a network's log are two observers of the
/// same traffic.
fn observer(resource: &str, mac: Option<&str>) -> String {
    match (resource.is_empty(), mac) {
        (true, None) => "azure".to_owned(),
        (true, Some(mac)) => mac.to_owned(),
        (false, None) => resource.to_owned(),
        (false, Some(mac)) => format!("{resource}/{mac}"),
    }
}

fn tuples(kind: Kind, rule: &str, exporter: &str, tuples: &[Cow<'_, str>], sink: &mut Sink<'_>) -> usize {
    for text in tuples {
        match tuple(kind, text.as_bytes()) {
            Ok(flow) if rule.is_empty() => sink.push(exporter, flow),
            Ok(flow) => {
                let details = FlowDetails { rule: Some(rule.to_owned()), ..FlowDetails::default() };
                sink.push_with(exporter, flow, details);
            }
            Err(why) => sink.reject_part(BAD_TUPLE, text.len(), why),
        }
    }
    tuples.len()
}
