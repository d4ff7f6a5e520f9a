//! Calico's flow logs: Felix's files, and what Goldmane and Whisker hand out.

use memchr::memmem::find;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use serde::Deserialize;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::json::{Address, Count, Text, parse};
use crate::text::times::date_time;
use crate::text::values::protocol;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "calico",
    aliases: &["felix", "goldmane"],
    title: "Calico flow logs (JSON)",
    description: "Flow logs of Calico's Felix: what was counted since the last export, with workloads, policies, verdict and both \
                  directions. Each of `src` and `dst` tells of the same connection: they are two exporters. Flows that were \
                  aggregated until their addresses were gone are counted and not used, because nothing else says who they were \
                  at the time; that is all of what Goldmane and Whisker hand out. Let Felix aggregate by source port at most.",
    status: Status::Documented,
    detect,
    open,
};

/// How sure Felix is of who opened a connection: it counts by the kernel's connection table.
const BY_KERNEL: f32 = 0.97;

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    let json = head.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
    let felix = has("\"source_namespace\"") && has("\"dest_namespace\"");
    let goldmane = has("\"sourceNamespace\"") && has("\"destNamespace\"");
    json && has("\"reporter\"") && (felix || goldmane)
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["items", "flows"] };
    open_text(SOURCE.name, "flow logs of Calico", shape, input, Records)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    /// Goldmane's: what is not counted is in here.
    #[serde(rename = "Key")]
    key: Option<serde::de::IgnoredAny>,
    flow: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    host: Option<Text<'a>>,
    #[serde(borrow)]
    start_time: Option<Text<'a>>,
    #[serde(borrow)]
    end_time: Option<Text<'a>>,
    source_ip: Address,
    dest_ip: Address,
    source_port: Count,
    dest_port: Count,
    #[serde(borrow)]
    source_name: Option<Text<'a>>,
    #[serde(borrow)]
    source_name_aggr: Option<Text<'a>>,
    #[serde(borrow)]
    source_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    source_type: Option<Text<'a>>,
    #[serde(borrow)]
    dest_name: Option<Text<'a>>,
    #[serde(borrow)]
    dest_name_aggr: Option<Text<'a>>,
    #[serde(borrow)]
    dest_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    dest_type: Option<Text<'a>>,
    #[serde(borrow)]
    dest_service_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    dest_service_name: Option<Text<'a>>,
    #[serde(borrow)]
    proto: Option<Text<'a>>,
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow)]
    reporter: Option<Text<'a>>,
    #[serde(borrow)]
    policies: Option<Policies<'a>>,
    bytes_in: Count,
    bytes_out: Count,
    packets_in: Count,
    packets_out: Count,
    #[serde(borrow)]
    process_name: Option<Text<'a>>,
}

/// `tier|policy|action|rule` behind their places.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Policies<'a> {
    #[serde(borrow)]
    enforced_policies: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    all_policies: Option<Vec<Text<'a>>>,
}

struct Records;

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let record: Record<'_> = parse(text)?;
        if record.reporter.is_none() && record.key.is_none() && record.flow.is_none() {
            return Err("the record has no `reporter`; expected a flow log of Calico".into());
        }
        let (Some(_), Some(_)) = (record.source_ip.0, record.dest_ip.0) else {
            sink.skip("aggregated flow without addresses");
            return Ok(());
        };
        let flow = flow(&record)?;
        let exporter = exporter(&record);
        sink.push_with(&exporter, flow, details(&record));
        Ok(())
    }
}

fn text<'a>(text: &'a Option<Text<'_>>) -> &'a str {
    text.as_ref().map_or("", |text| &text.0)
}

/// The node if it is said, and the end of the connection: both of one node may be of the same connection.
fn exporter(record: &Record<'_>) -> String {
    let host = if text(&record.host).is_empty() { SOURCE.name } else { text(&record.host) };
    format!("{host}/{}", text(&record.reporter))
}

fn flow(record: &Record<'_>) -> Result<Flow, Fault> {
    let (src, dst) = (record.source_ip.needed("source_ip")?, record.dest_ip.needed("dest_ip")?);
    let start = moment(text(&record.start_time)).ok_or("the record has no time in `start_time`")?;
    let name = text(&record.proto);
    let number = protocol(name, src).ok_or_else(|| format!("`{name}` in `proto` is not a protocol"))?;
    let of_source = text(&record.reporter) == "src";
    let mut flow = Flow {
        start,
        end: moment(text(&record.end_time)).unwrap_or(start).max(start),
        src,
        dst,
        protocol: number,
        sampling: 1,
        verdict: match text(&record.action) {
            "allow" => Verdict::Allow,
            "deny" => Verdict::Deny,
            _ => Verdict::Unknown,
        },
        direction: if of_source { Direction::Egress } else { Direction::Ingress },
        client: Client::Src,
        client_confidence: BY_KERNEL,
        ..Flow::default()
    };
    // Connections that differ in their source port alone are usually counted together: it is absent then.
    if let Some(port) = record.dest_port.0 {
        let small = |port: u64| u16::try_from(port).map_err(|_| format!("`{port}` is not a port"));
        (flow.src_port, flow.dst_port) = (small(record.source_port.0.unwrap_or(0))?, small(port)?);
        flow.present |= FlowBatch::HAS_PORTS;
    }
    counts(record, of_source, &mut flow);
    Ok(flow)
}

/// `in` is what came to the reporter's end: for the source, the answers.
fn counts(record: &Record<'_>, of_source: bool, flow: &mut Flow) {
    let (Some(packets_in), Some(bytes_in)) = (record.packets_in.0, record.bytes_in.0) else { return };
    let (Some(packets_out), Some(bytes_out)) = (record.packets_out.0, record.bytes_out.0) else { return };
    let (forth, back) = if of_source {
        ((packets_out, bytes_out), (packets_in, bytes_in))
    } else {
        ((packets_in, bytes_in), (packets_out, bytes_out))
    };
    (flow.packets, flow.bytes) = forth;
    (flow.reverse_packets, flow.reverse_bytes) = back;
    flow.present |= FlowBatch::HAS_COUNTS | FlowBatch::HAS_REVERSE;
}

/// Seconds, or a date and time as those write it who pass the logs on.
fn moment(text: &str) -> Option<Micros> {
    match crate::text::times::seconds(text.as_bytes()) {
        Some(at) => Some(at),
        None => date_time(text.as_bytes()),
    }
}

fn details(record: &Record<'_>) -> FlowDetails {
    let said = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty() && value != "-");
    let workload = |kind: &str, namespace: &str, name: &str, aggregate: &str| {
        // Networks have no names of their own: `pub` and `pvt` say what the address says.
        let name = said(name).or_else(|| said(aggregate)).filter(|_| kind != "net")?;
        Some(said(namespace).map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}")))
    };
    let policies = record
        .policies
        .as_ref()
        .and_then(|policies| policies.enforced_policies.as_ref().or(policies.all_policies.as_ref()));
    let policies: Vec<&str> = policies.into_iter().flatten().map(|policy| &*policy.0).collect();
    let service = said(text(&record.dest_service_name)).map(|name| {
        said(text(&record.dest_service_namespace))
            .map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"))
    });
    FlowDetails {
        src_workload: workload(
            text(&record.source_type),
            text(&record.source_namespace),
            text(&record.source_name),
            text(&record.source_name_aggr),
        ),
        dst_workload: workload(
            text(&record.dest_type),
            text(&record.dest_namespace),
            text(&record.dest_name),
            text(&record.dest_name_aggr),
        ),
        service_name: service,
        process: said(text(&record.process_name)),
        rule: said(&policies.join(", ")),
        ..FlowDetails::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (FlowBatch, crate::Summary) {
        let mut reader = open(Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()))).unwrap();
        let mut batch = FlowBatch::new(reader.source());
        while reader.read(&mut batch).unwrap() {}
        (batch, reader.summary().clone())
    }

    /// As Felix writes it: members of `JSONOutput` in felix/collector/flowlog.
    fn felix(members: &str) -> String {
        format!(
            "{{\"start_time\":1600000000,\"end_time\":1600000300,\"source_ip\":\"10.0.0.1\",\"source_name\":\"-\",\"source_name_aggr\":\"web-5d-*\",\
             \"source_namespace\":\"shop\",\"source_port\":null,\"source_type\":\"wep\",\"dest_ip\":\"10.0.0.2\",\"dest_name\":\"db-0\",\
             \"dest_name_aggr\":\"db-*\",\"dest_namespace\":\"data\",\"dest_port\":5432,\"dest_type\":\"wep\",\"dest_service_namespace\":\"data\",\
             \"dest_service_name\":\"db\",\"dest_service_port\":\"-\",\"proto\":\"tcp\",\"bytes_in\":900,\"bytes_out\":70,\"packets_in\":9,\
             \"packets_out\":7,\"process_name\":\"-\",\"policies\":{{\"enforced_policies\":[\"0|default|data/default.db|allow|0\"]}},{members}}}\n"
        )
    }

    #[test]
    fn both_ends_tell_the_same_in_one_orientation() {
        let dst = felix("\"action\":\"allow\",\"reporter\":\"dst\"");
        let src = felix("\"action\":\"deny\",\"reporter\":\"src\",\"host\":\"node1\"");
        let (batch, summary) = read(&format!("{dst}{src}"));
        assert_eq!(summary.rejects.len(), 0);
        assert_eq!(
            (batch.bytes.as_slice(), batch.reverse_packets.as_slice()),
            ([900, 70].as_slice(), [7, 9].as_slice())
        );
        assert_eq!(batch.verdict, [Verdict::Allow, Verdict::Deny]);
        assert_eq!(batch.direction, [Direction::Ingress, Direction::Egress]);
        assert_eq!((batch.src_port[0], batch.dst_port[0], batch.client[0]), (0, 5_432, Client::Src));
        assert_eq!((batch.start[0], batch.end[0]), (1_600_000_000_000_000, 1_600_000_300_000_000));
        let names: Vec<_> = batch.exporters.iter().map(|exporter| &*exporter.0).collect();
        assert_eq!(names, ["calico/dst", "node1/src"]);
        let details = &batch.details[&0];
        assert_eq!(details.src_workload.as_deref(), Some("shop/web-5d-*"));
        assert_eq!(details.dst_workload.as_deref(), Some("data/db-0"));
        assert_eq!((details.service_name.as_deref(), details.process.as_deref()), (Some("data/db"), None));
        assert_eq!(details.rule.as_deref(), Some("0|default|data/default.db|allow|0"));
    }

    #[test]
    fn flows_without_addresses_are_counted() {
        let gone = felix("\"action\":\"allow\",\"reporter\":\"dst\"").replace("\"10.0.0.1\"", "null");
        let goldmane = "{\"Key\":{\"sourceName\":\"web-*\",\"sourceNamespace\":\"shop\",\"destNamespace\":\"data\",\"destPort\":\"5432\",\
                        \"proto\":\"tcp\",\"reporter\":\"Src\",\"action\":\"Allow\"},\"startTime\":\"1600000000\",\"packetsIn\":\"11\"}\n";
        let whisker = "{\"total\":{\"totalPages\":1},\"items\":[{\"start_time\":\"2020-09-13T12:26:40Z\",\"action\":\"Allow\",\
                       \"source_name\":\"web-*\",\"source_namespace\":\"shop\",\"dest_name\":\"db-*\",\"dest_namespace\":\"data\",\
                       \"protocol\":\"tcp\",\"dest_port\":5432,\"reporter\":\"Src\"}]}\n";
        let (batch, summary) = read(&format!("{gone}{goldmane}{{\"a\":1}}\n"));
        assert_eq!((batch.len(), summary.rejects.len()), (0, 1));
        assert!(summary.dropped.contains_key("aggregated flow without addresses"));
        assert!(detect(goldmane.as_bytes()) && detect(whisker.as_bytes()) && detect(gone.as_bytes()));
    }

    #[test]
    fn what_is_written_for_nothing_is_absent() {
        let odd = felix("\"action\":\"allow\",\"reporter\":\"dst\"")
            .replace("\"dest_port\":5432", "\"dest_port\":null")
            .replace("\"proto\":\"tcp\"", "\"proto\":\"icmp\"")
            .replace("\"source_type\":\"wep\"", "\"source_type\":\"net\"");
        let (batch, _) = read(&odd);
        assert_eq!((batch.protocol[0], batch.present[0] & FlowBatch::HAS_PORTS), (1, 0));
        assert_eq!(batch.details[&0].src_workload, None);
    }
}
