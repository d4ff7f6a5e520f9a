//! Istio's text format. What stands before the byte counts has changed from release to release; the five values in quotes
//! behind them, and the addresses behind those, have not.

use std::borrow::Cow;

use super::Request;
use crate::text::bytes::decimal;
use crate::text::json::Text;
use crate::text::utf8;

/// As many values as a line is cut into.
const VALUES_MAX: usize = 64;

/// Whether a line begins as those of an access log: `[2020-09-13T12:26:40.000Z] "`.
pub(super) fn begins(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.first() == Some(&b'[')
        && line.get(11) == Some(&b'T')
        && line.iter().position(|byte| *byte == b']').is_some_and(|at| line[at..].starts_with(b"] \""))
}

#[derive(Clone, Copy)]
struct Value<'a> {
    text: &'a str,
    quoted: bool,
}

/// The request of a line.
pub(super) fn request(line: &[u8]) -> Result<Request<'_>, String> {
    const EXPECTED: &str = "expected a line of an access log: `[TIME] \"METHOD PATH PROTOCOL\" ..`";
    if !begins(line) {
        return Err(EXPECTED.to_owned());
    }
    let line = utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?.trim();
    let (time, rest) = line.get(1..).and_then(|line| line.split_once("] ")).ok_or(EXPECTED)?;
    let values = values(rest);
    // Bytes received and sent, duration and the service's time, then five values in quotes: the client's words among them may
    // have quotes of their own, the last of them is the upstream host's address.
    let counts = |values: &[Value<'_>]| {
        values
            .iter()
            .all(|value| !value.quoted && (value.text == "-" || decimal(value.text.as_bytes()).is_some()))
    };
    let at = (5..values.len()).find(|at| values[*at].quoted && counts(&values[at - 4..*at]));
    let host = values.iter().rposition(|value| value.quoted);
    let (Some(at), Some(host)) = (at, host.filter(|host| at.is_some_and(|at| *host >= at + 4))) else {
        return Err("the line has no byte counts with the upstream host behind them; expected Istio's or Envoy's format".to_owned());
    };
    let text = |at: usize| values.get(at).map(|value| Text(Cow::Borrowed(value.text)));
    let first = values.first().map_or("", |value| value.text);
    let details = values[..at].iter().find(|value| value.text.starts_with("rbac_access_denied"));
    Ok(Request {
        start_time: Some(Text(Cow::Borrowed(time))),
        duration: text(at - 2),
        protocol: first.rsplit(' ').next().map(|protocol| Text(Cow::Borrowed(protocol))),
        response_code_details: details.map(|value| Text(Cow::Borrowed(value.text))),
        authority: text(host - 1),
        upstream_host: text(host),
        upstream_cluster: text(host + 1),
        upstream_local_address: text(host + 2),
        downstream_local_address: text(host + 3),
        downstream_remote_address: text(host + 4),
        pod_name: None,
    })
}

/// Values between spaces; what is in quotes is one, up to a quote before a space or the end.
fn values(text: &str) -> Vec<Value<'_>> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && values.len() < VALUES_MAX {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find("\" ").unwrap_or_else(|| quoted.trim_end().len().saturating_sub(1));
            let (text, behind) = quoted.split_at_checked(end).unwrap_or((quoted, ""));
            values.push(Value { text, quoted: true });
            rest = behind.strip_prefix('"').unwrap_or("").trim_start();
        } else {
            let (text, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            values.push(Value { text, quoted: false });
            rest = behind.trim_start();
        }
    }
    values
}
