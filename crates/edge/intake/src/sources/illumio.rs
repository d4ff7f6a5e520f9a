//! Illumio: traffic flow summaries of its policy compute engine, as JSON, bare or behind a syslog header.

use memchr::memmem::find;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Verdict};
use netset::Protocol;
use serde::Deserialize;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::json::{self, Address, Count, Moment, Text};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "illumio",
    aliases: &["illumio-pce"],
    title: "Illumio traffic flow summaries (JSON)",
    description: "Summaries as the policy compute engine exports them by syslog or Fluentd, in JSON. The policy decision is the \
                  verdict: what is only potentially blocked has passed. A summary has no source port and, here, no counts; \
                  process and user are those of the end that reports, which is the exporter; both ends may report.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    has("\"pd\":") && has("\"src_ip\"") && has("\"dst_ip\"") && has("\"interval_sec\"")
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "Illumio's traffic flow summaries", Shape::JSON, input, Summaries)
}

#[derive(Deserialize)]
struct Summary<'a> {
    #[serde(default)]
    timestamp: Moment,
    #[serde(default)]
    interval_sec: Count,
    #[serde(default)]
    src_ip: Address,
    #[serde(default)]
    dst_ip: Address,
    #[serde(default)]
    proto: Count,
    #[serde(default)]
    dst_port: Count,
    #[serde(rename = "type", default)]
    icmp_type: Count,
    #[serde(default)]
    code: Count,
    #[serde(default)]
    pd: Count,
    #[serde(borrow, default)]
    dir: Text<'a>,
    #[serde(borrow)]
    pn: Option<Text<'a>>,
    #[serde(borrow)]
    un: Option<Text<'a>>,
    #[serde(borrow)]
    sn: Option<Text<'a>>,
    #[serde(borrow)]
    src_hostname: Option<Text<'a>>,
    #[serde(borrow)]
    dst_hostname: Option<Text<'a>>,
}

struct Summaries;

impl TextFormat for Summaries {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let at = memchr::memchr(b'{', text).ok_or("expected a traffic flow summary as a JSON object")?;
        let summary: Summary<'_> = json::parse(&text[at..])?;
        if summary.pd.0.is_none() && summary.src_ip.0.is_none() {
            sink.skip("event of another kind");
            return Ok(());
        }
        let flow = flow(&summary)?;
        let reporter = match flow.direction {
            Direction::Ingress => summary.dst_hostname.as_ref(),
            Direction::Egress => summary.src_hostname.as_ref(),
            Direction::Unknown => None,
        };
        let details = FlowDetails {
            src_workload: Text::owned(summary.src_hostname.as_ref()),
            dst_workload: Text::owned(summary.dst_hostname.as_ref()),
            process: Text::owned(summary.pn.as_ref()),
            user: Text::owned(summary.un.as_ref()),
            service_name: Text::owned(summary.sn.as_ref()),
            ..FlowDetails::default()
        };
        let name = reporter.filter(|name| !name.0.is_empty()).map_or(SOURCE.name, |name| &name.0);
        sink.push_with(name, flow, details);
        Ok(())
    }
}

fn flow(summary: &Summary<'_>) -> Result<Flow, Fault> {
    let number = summary.proto.0.and_then(|number| u8::try_from(number).ok());
    let protocol = Protocol(number.ok_or("the record has no protocol number in `proto`")?);
    let start = summary.timestamp.0.ok_or("the record has no time in `timestamp`")?;
    let span = summary.interval_sec.0.unwrap_or(0).min(u64::from(u32::MAX)) as i64 * 1_000_000;
    let mut flow = Flow {
        start,
        end: start.saturating_add(span),
        src: summary.src_ip.needed("src_ip")?,
        dst: summary.dst_ip.needed("dst_ip")?,
        protocol: protocol.0,
        sampling: 1,
        client: Client::Src,
        client_confidence: 0.97,
        verdict: match summary.pd.0 {
            Some(0 | 1) => Verdict::Allow,
            Some(2) => Verdict::Deny,
            _ => Verdict::Unknown,
        },
        direction: match &*summary.dir.0 {
            "I" | "inbound" => Direction::Ingress,
            "O" | "outbound" => Direction::Egress,
            _ => Direction::Unknown,
        },
        ..Flow::default()
    };
    if protocol.is_icmp() {
        if let Some(kind) = summary.icmp_type.0 {
            flow.dst_port = ((kind & 0xff) << 8 | summary.code.0.unwrap_or(0) & 0xff) as u16;
            flow.present |= FlowBatch::HAS_ICMP;
        }
    } else if protocol.has_ports()
        && let Some(port) = summary.dst_port.0
    {
        // There is no source port: a summary is of all of them.
        flow.dst_port = u16::try_from(port).map_err(|_| format!("`{port}` is not a port"))?;
        flow.present |= FlowBatch::HAS_PORTS;
    }
    Ok(flow)
}
