//! CloudWatch's wrappings of a log's lines. Network Firewall's logs come in the same ones.

use std::borrow::Cow;

use serde::Deserialize;

use crate::text::{Fault, Sink};

/// An event, or a subscription's envelope of several.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "logEvents")]
    events: Option<Vec<Event<'a>>>,
    #[serde(borrow, rename = "messageType")]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

const BAD_EVENT: &str = "event cannot be read";

/// Calls `read` for each log line in a JSON object of CloudWatch. A bad one among several loses none of the others.
pub(crate) fn each_message(
    object: &[u8],
    sink: &mut Sink<'_>,
    mut read: impl FnMut(&[u8], &mut Sink<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let wrapped: Wrapped<'_> = serde_json::from_slice(object)
        .map_err(|error| format!("the record is not a JSON object: {error}"))?;
    if let Some(message) = wrapped.message {
        return read(message.as_bytes(), sink);
    }
    if wrapped.kind.as_deref() == Some("CONTROL_MESSAGE") {
        sink.skip("control message of CloudWatch");
        return Ok(());
    }
    let events = wrapped
        .events
        .ok_or("expected text, or a JSON object with the record in `message` or records in `logEvents`")?;
    for event in events {
        if let Err(Fault::Record(why) | Fault::Input(why)) = read(event.message.as_bytes(), sink) {
            sink.reject_part(BAD_EVENT, event.message.len(), why);
        }
    }
    Ok(())
}

/// A record without the time that CloudWatch's export to S3 puts in front: `2026-11-19T08:00:00.000Z 2 1234..`.
pub(crate) fn without_time(line: &[u8]) -> &[u8] {
    let Some(at) = line.iter().position(|byte| *byte == b' ') else { return line };
    let time = &line[..at];
    let is_time = time.len() >= 20 && time[4] == b'-' && time[10] == b'T' && time.ends_with(b"Z");
    if is_time { &line[at + 1..] } else { line }
}

/// The first log line in the beginning of a JSON input, if it is CloudWatch's.
pub(crate) fn first_message(head: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    let at = text.find("\"message\"")? + "\"message\"".len();
    let rest = text[at..].trim_start().strip_prefix(':')?.trim_start();
    let message = serde_json::Deserializer::from_str(rest).into_iter::<Text<'_>>().next()?.ok()?.0;
    Some(match message {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
