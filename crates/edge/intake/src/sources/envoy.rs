//! Access logs of Envoy and of Istio's proxies, as text and as JSON.

mod line;

use memchr::memmem::find;
use model::{Client, Direction, Flow, FlowBatch, FlowDetails, Micros, Verdict};
use netset::Ip;
use serde::Deserialize;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{self, decimal};
use crate::text::json::{Text, parse};
use crate::text::times::date_time;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "envoy",
    aliases: &["istio"],
    title: "Envoy and Istio access logs (text or JSON)",
    description: "Access logs in Istio's text format of all its releases, and in JSON with the usual keys (`start_time`, \
                  `downstream_remote_address`, `upstream_host`, ..). A record is a request or a TCP connection. A proxy beside \
                  its workload gives one flow, from client to server as they are, with the service from the cluster's name; a \
                  gateway gives two, the client's and its own. Bodies' bytes are not traffic, so the flows have no counts. A \
                  request that Istio's authorization refused is a denial, with its policy. Envoy's own default format names no \
                  client: its records are counted and not used.",
    status: Status::Documented,
    detect,
    open,
};

/// A proxy knows who connected to it and to whom it connected.
const BY_PROXY: f32 = 0.99;

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    if head.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'[')) && has("\":") {
        return has("\"downstream_remote_address\"")
            && (has("\"upstream_host\"") || has("\"downstream_local_address\""));
    }
    let mut lines = head.split(|byte| *byte == b'\n').take(20);
    lines.any(|line| line::request(line).is_ok())
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "lines of an access log of Envoy or Istio", Shape::JSON, input, Requests)
}

/// A record in either form. `-` is an empty value everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    start_time: Option<Text<'a>>,
    #[serde(borrow)]
    duration: Option<Text<'a>>,
    #[serde(borrow)]
    protocol: Option<Text<'a>>,
    #[serde(borrow)]
    response_code_details: Option<Text<'a>>,
    #[serde(borrow)]
    authority: Option<Text<'a>>,
    #[serde(borrow)]
    upstream_host: Option<Text<'a>>,
    #[serde(borrow)]
    upstream_cluster: Option<Text<'a>>,
    #[serde(borrow)]
    upstream_local_address: Option<Text<'a>>,
    #[serde(borrow)]
    downstream_local_address: Option<Text<'a>>,
    #[serde(borrow)]
    downstream_remote_address: Option<Text<'a>>,
    #[serde(borrow)]
    pod_name: Option<Text<'a>>,
}

struct Requests;

impl TextFormat for Requests {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if text.first() == Some(&b'{') {
            let request: Request<'_> = parse(text)?;
            if request.start_time.is_none() {
                return Err("the record has no `start_time`; expected an access log of Envoy".into());
            }
            return give(&request, sink);
        }
        if !line::begins(text) {
            // A proxy's own log goes to the same place.
            sink.skip("line of another log");
            return Ok(());
        }
        give(&line::request(text)?, sink)
    }
}

fn value<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(|text| &*text.0).filter(|text| !text.is_empty() && *text != "-")
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`. Pipes, names and Envoy's own inner listeners are none.
fn side(text: &Option<Text<'_>>) -> Option<(Ip, u16)> {
    let (ip, port) = value(text)?.rsplit_once(':')?;
    let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    Some((bytes::ip(ip.as_bytes())?, u16::try_from(decimal(port.as_bytes())?).ok()?))
}

fn give(request: &Request<'_>, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let start = value(&request.start_time).and_then(|text| date_time(text.as_bytes()));
    let start = start.ok_or("the record has no time in `start_time`")?;
    let lasted = value(&request.duration).and_then(|text| decimal(text.as_bytes())).unwrap_or(0);
    let end = start.saturating_add(i64::try_from(lasted).unwrap_or(0).saturating_mul(1_000));
    let Some(client) = side(&request.downstream_remote_address) else {
        sink.skip("request without its client's address");
        return Ok(());
    };
    let cluster = value(&request.upstream_cluster).unwrap_or("");
    let inbound = cluster.starts_with("inbound|") || cluster == "InboundPassthroughClusterIpv4";
    let upstream = if inbound { None } else { side(&request.upstream_host) };
    let local = side(&request.upstream_local_address);
    let near = side(&request.downstream_local_address);
    let quic = value(&request.protocol) == Some("HTTP/3");
    let times = (start, end);
    let mut any = false;
    // Beside the workload, what comes from it is the workload's own: only what goes on from there is on the network.
    let beside = upstream.is_some()
        && (local.is_some_and(|local| local.0 == client.0)
            || local.is_none() && cluster.starts_with("outbound|"));
    if let (Some(near), false) = (near, beside) {
        let direction = Direction::Ingress;
        let flow = Flow { protocol: if quic { 17 } else { 6 }, direction, ..flow(client, near, times) };
        push(request, near.0, flow, sink);
        any = true;
    }
    if let Some(upstream) = upstream {
        let from = local.unwrap_or((if beside { client.0 } else { near.map_or(client.0, |near| near.0) }, 0));
        let flow = Flow { direction: Direction::Egress, ..flow(from, upstream, times) };
        push(request, from.0, flow, sink);
        any = true;
    }
    if !any {
        sink.skip("request without a server's address");
    }
    Ok(())
}

fn flow(src: (Ip, u16), dst: (Ip, u16), (start, end): (Micros, Micros)) -> Flow {
    Flow {
        start,
        end,
        src: src.0,
        dst: dst.0,
        protocol: 6,
        src_port: src.1,
        dst_port: dst.1,
        sampling: 1,
        client: Client::Src,
        client_confidence: BY_PROXY,
        present: FlowBatch::HAS_PORTS,
        ..Flow::default()
    }
}

fn push(request: &Request<'_>, proxy: Ip, mut flow: Flow, sink: &mut Sink<'_>) {
    let why = value(&request.response_code_details).unwrap_or("");
    let mut details = FlowDetails { service_name: service(request), ..FlowDetails::default() };
    // `rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]`, or `[none]` where no policy allowed it.
    if let Some(policy) = why.strip_prefix("rbac_access_denied_matched_policy[") {
        flow.verdict = Verdict::Deny;
        details.rule = Some(policy.strip_suffix(']').unwrap_or(policy).to_owned());
    }
    match value(&request.pod_name) {
        Some(pod) => sink.push_with(pod, flow, details),
        None => sink.push_with(&format!("envoy/{proxy}"), flow, details),
    }
}

/// `outbound|8080|v1|reviews.shop.svc.cluster.local`: the service; else what the client asked for.
fn service(request: &Request<'_>) -> Option<String> {
    let named =
        value(&request.upstream_cluster).and_then(|cluster| cluster.rsplit_once('|')).map(|(_, host)| host);
    named.filter(|host| !host.is_empty()).or_else(|| value(&request.authority)).map(str::to_owned)
}

#[cfg(test)]
mod tests;
