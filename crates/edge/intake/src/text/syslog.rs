//! What stands before a message that came by syslog: RFC 5424, RFC 3164 and their many relatives.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Micros;

use super::bytes::decimal;
use super::times::{civil, date_time};

/// A message without what stood before it.
#[derive(Debug, PartialEq)]
pub(crate) struct Message<'a> {
    /// When it was sent, if that was said; a time without a zone is UTC.
    pub(crate) at: Option<Micros>,
    /// Who sent it.
    pub(crate) host: Option<&'a str>,
    pub(crate) text: &'a [u8],
}

/// Reads headers, and knows the year for those that do not say it: that of the message before, or the one that puts the
/// time at most a day into the future.
#[derive(Default)]
pub(crate) struct Syslog {
    /// The last time with its year.
    last: Option<Micros>,
}

/// How far a time may jump before another year is the better guess.
const HALF_YEAR: i64 = 183 * DAY;
const DAY: i64 = 86_400_000_000;

impl Syslog {
    /// The message of a line. Whatever is no header is left where it is.
    pub(crate) fn message<'a>(&mut self, line: &'a [u8]) -> Message<'a> {
        let after = priority(line.trim_ascii_start());
        if let Some(rest) = after.strip_prefix(b"1 ")
            && let Some(message) = self.structured(rest)
        {
            return message;
        }
        let after = after.strip_prefix(b":").unwrap_or(after).trim_ascii_start();
        match self.time(after) {
            Some((at, rest)) => {
                let (host, text) = host(rest);
                Message { at: Some(at), host, text }
            }
            None => Message { at: None, host: None, text: after },
        }
    }

    /// RFC 5424 behind its version: time, host, application, process, kind, structured data.
    fn structured<'a>(&mut self, rest: &'a [u8]) -> Option<Message<'a>> {
        let mut words = rest.splitn(6, |byte| *byte == b' ');
        let (time, host) = (words.next()?, words.next()?);
        let at = if time == b"-" { None } else { Some(date_time(time)?) };
        let data = words.nth(3)?;
        let text = match data.first() {
            Some(b'[') => after_data(data),
            _ => data.strip_prefix(b"-").unwrap_or(data),
        };
        self.last = at.or(self.last);
        let host = std::str::from_utf8(host).ok().filter(|host| *host != "-");
        Some(Message { at, host, text: text.trim_ascii_start() })
    }

    /// A time at the start, and what is behind it.
    fn time<'a>(&mut self, text: &'a [u8]) -> Option<(Micros, &'a [u8])> {
        if text.first().is_some_and(u8::is_ascii_digit) {
            let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
            let at = date_time(&text[..end])?;
            self.last = Some(at);
            return Some((at, &text[end..]));
        }
        let mut rest = text;
        let mut word = || {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            word
        };
        let month = month(word())?;
        let day = i64::try_from(decimal(word())?).ok()?;
        let third = word();
        let (year, clock) = match decimal(third) {
            Some(year) => (i64::try_from(year).ok(), word()),
            None => (None, third),
        };
        let clock = clock.strip_suffix(b":").unwrap_or(clock);
        let at = self.dated(year, month, day, clock)?;
        // A zone's name is no offset: it is left out, and the time taken as UTC.
        let mut named = rest.trim_ascii_start();
        for zone in [&b"UTC"[..], b"GMT"] {
            if let Some(after) = named.strip_prefix(zone)
                && after.first().is_some_and(|byte| matches!(byte, b' ' | b':'))
            {
                named = after;
            }
        }
        Some((at, named))
    }

    fn dated(&mut self, year: Option<i64>, month: i64, day: i64, clock: &[u8]) -> Option<Micros> {
        let two = |from: usize| i64::try_from(decimal(clock.get(from..from + 2)?)?).ok();
        let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
        let at = |year: i64| civil([year, month, day, hour, minute, second]);
        if let Some(year) = year {
            self.last = at(year);
            return self.last;
        }
        let (near, latest) = match self.last {
            Some(last) => (last, i64::MAX),
            None => (now(), now() + DAY),
        };
        let year = 1970 + near.div_euclid(31_556_952_000_000);
        let candidates = [year - 1, year, year + 1].into_iter().filter_map(at).filter(|at| *at <= latest);
        let best = candidates.min_by_key(|at| (at - near).abs())?;
        if (best - near).abs() <= HALF_YEAR || self.last.is_none() {
            self.last = Some(best);
        }
        Some(best)
    }
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0)
}

/// What is behind `<166>`.
fn priority(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"<") else { return line };
    match rest.iter().take(4).position(|byte| *byte == b'>') {
        Some(at) if decimal(&rest[..at]).is_some() => &rest[at + 1..],
        _ => line,
    }
}

/// What is behind structured data, `[id name="value"][..]`.
fn after_data(text: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match (quoted, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => quoted = !quoted,
            (false, _, b']') if text.get(at + 1) != Some(&b'[') => return &text[at + 1..],
            _ => {}
        }
    }
    b""
}

/// The host that a message begins with, if it is one: a word before the message's own beginning.
fn host(rest: &[u8]) -> (Option<&str>, &[u8]) {
    let rest = rest.trim_ascii_start();
    if let Some(own) = rest.strip_prefix(b":") {
        return (None, own.trim_ascii_start());
    }
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let word = &rest[..end];
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let sound = end < rest.len() && !word.is_empty() && word.iter().all(name) && word.last() != Some(&b':');
    match std::str::from_utf8(word) {
        Ok(word) if sound => {
            let text = rest[end..].trim_ascii_start();
            (Some(word), text.strip_prefix(b": ").unwrap_or(text))
        }
        _ => (None, rest),
    }
}

fn month(word: &[u8]) -> Option<i64> {
    let names: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let at = names.iter().position(|name| *name == word)?;
    i64::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use model::format_time;

    use super::*;

    fn check(line: &str) -> (Option<String>, Option<String>, String) {
        let message = Syslog { last: Some(1_600_000_000_000_000) }.message(line.as_bytes()).clone_parts();
        (message.0.map(format_time), message.1, message.2)
    }

    impl Message<'_> {
        fn clone_parts(&self) -> (Option<Micros>, Option<String>, String) {
            (self.at, self.host.map(str::to_owned), String::from_utf8_lossy(self.text).into_owned())
        }
    }

    #[test]
    fn headers_of_many_kinds() {
        let at = Some("2020-09-13T12:26:40.000Z".to_owned());
        let fw = Some("fw1".to_owned());
        for (line, at, host) in [
            ("%ASA-6-1: x", &None, &None),
            ("<166>%ASA-6-1: x", &None, &None),
            ("<166>Sep 13 2020 12:26:40: %ASA-6-1: x", &at, &None),
            ("<166>Sep 13 2020 12:26:40 fw1 : %ASA-6-1: x", &at, &fw),
            ("<166>:Sep 13 12:26:40 UTC: %ASA-6-1: x", &at, &None),
            ("Sep 13 12:26:40 fw1 %ASA-6-1: x", &at, &fw),
            ("2020-09-13T14:26:40+02:00 fw1 %ASA-6-1: x", &at, &fw),
            ("<166>1 2020-09-13T12:26:40Z fw1 app 7 id - %ASA-6-1: x", &at, &fw),
            ("<166>1 2020-09-13T12:26:40Z fw1 - - - [a b=\"]\\\"\"][c] %ASA-6-1: x", &at, &fw),
            ("<166>1 - - - - - - %ASA-6-1: x", &None, &None),
        ] {
            assert_eq!(check(line), (at.clone(), host.clone(), "%ASA-6-1: x".to_owned()), "{line}");
        }
        assert_eq!(check("<9999>1 x").2, "<9999>1 x");
    }

    #[test]
    fn a_year_that_is_not_said_is_that_of_the_message_before() {
        let mut syslog = Syslog::default();
        let mut at = |line: &str| syslog.message(line.as_bytes()).at.map(format_time).unwrap_or_default();
        assert_eq!(at("2020-12-31T23:59:59Z fw x"), "2020-12-31T23:59:59.000Z");
        assert_eq!(at("Jan  1 00:00:01 fw x"), "2021-01-01T00:00:01.000Z");
        assert_eq!(at("Dec 31 23:59:58 fw x"), "2020-12-31T23:59:58.000Z");
        let alone = Syslog::default().message(b"Jan  1 00:00:01 fw x").at.unwrap();
        assert!((now() - 366 * DAY..=now() + DAY).contains(&alone));
    }
}
