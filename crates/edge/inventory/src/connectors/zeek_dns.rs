//! Zeek's dns.log, TSV or JSON: which names meant which addresses, and for how long.

use std::collections::BTreeMap;

use model::{Ip, Micros};
use serde::Deserialize;

use crate::connector::{Connector, Probe, Sink, Text};
use crate::records::{Records, lenient, shown, time};
use crate::row::Place;

/// The row of dns.log.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "zeek-dns",
    aliases: &["dns-log"],
    title: "Zeek dns.log (TSV, JSON): names of addresses",
    description: "The name that was asked for is good for each address in the answers, from the time of the query for the \
                  answer's time to live. Names never say whose an address is.",
    rank: 5,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    let fields =
        |line: &str| line.starts_with("#fields") && line.contains("query") && line.contains("answers");
    probe.has(&["ts", "query", "id.orig_h"]) && probe.has(&["qtype_name"]) || probe.head.lines().any(fields)
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    if input.text.trim_start().starts_with(['[', '{']) {
        of_json(input.text, sink)
    } else {
        of_tsv(input.text, sink)
    }
}

/// The addresses among the answers with the time to live of each; the last is taken where they are fewer.
fn answered(at: Micros, query: &str, answers: &[&str], lives_s: &[f64], sink: &mut Sink) {
    let mut any = false;
    for (index, answer) in answers.iter().enumerate() {
        let Ok(ip) = answer.parse::<Ip>() else { continue };
        let life = lives_s.get(index).or(lives_s.last()).copied().unwrap_or(0.0).clamp(0.0, 604_800.0);
        // An answer that must not be kept is good for the connection that was asked for.
        sink.name(ip, query, at, at.saturating_add((life.max(60.0) * 1e6) as Micros));
        any = true;
    }
    if !any {
        sink.skip("queries without an address in the answer");
    }
}

#[derive(Deserialize)]
struct Entry {
    ts: serde_json::Value,
    #[serde(default, deserialize_with = "lenient")]
    query: String,
    #[serde(default, deserialize_with = "lenient")]
    answers: Vec<String>,
    #[serde(default, rename = "TTLs", deserialize_with = "lenient")]
    lives_s: Vec<f64>,
}

fn of_json(text: &str, sink: &mut Sink) {
    let records = Records::of(text, sink);
    for record in records.below(&[]) {
        let Some(entry) = records.read::<Entry>(record, sink) else { continue };
        let at = match &entry.ts {
            serde_json::Value::String(text) => time(text),
            other => other.as_f64().and_then(of_epoch),
        };
        let Some(at) = at else {
            sink.reject(records.place(record), format!("`{}` is not a time", shown(&entry.ts.to_string())));
            continue;
        };
        let answers: Vec<&str> = entry.answers.iter().map(String::as_str).collect();
        answered(at, &entry.query, &answers, &entry.lives_s, sink);
    }
}

fn of_epoch(seconds: f64) -> Option<Micros> {
    (seconds.is_finite() && seconds.abs() < 9e12).then(|| (seconds * 1e6).round() as Micros)
}

fn of_tsv(text: &str, sink: &mut Sink) {
    let (mut separator, mut set_separator, mut unset) = ('\t', ',', "-");
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(rest) = line.strip_prefix("#separator ") {
            let code = rest.trim().strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex, 16).ok());
            separator = code.map_or(separator, char::from);
        } else if line.starts_with('#') {
            let mut words = line.split(separator);
            match words.next().unwrap_or_default() {
                "#set_separator" => {
                    set_separator = words.next().and_then(|w| w.chars().next()).unwrap_or(',')
                }
                "#unset_field" => unset = words.next().unwrap_or("-"),
                "#fields" => columns = words.zip(0..).collect(),
                _ => {}
            }
        } else if !line.is_empty() {
            sink.records += 1;
            let cells: Vec<&str> = line.split(separator).collect();
            let cell = |name: &str| {
                let text = cells.get(*columns.get(name)?).copied()?;
                (text != unset && text != "(empty)").then_some(text)
            };
            let at = cell("ts").and_then(|text| text.parse().ok().and_then(of_epoch).or_else(|| time(text)));
            let (Some(at), true) = (at, columns.contains_key("query")) else {
                let place = Place { line: number, column: 1 };
                sink.reject(
                    place,
                    "expected a line with the columns of `#fields`, among them `ts` and `query`",
                );
                continue;
            };
            let list = |name: &str| -> Vec<&str> {
                cell(name).map_or_else(Vec::new, |c| c.split(set_separator).collect())
            };
            let lives: Vec<f64> = list("TTLs").iter().map(|life| life.parse().unwrap_or(0.0)).collect();
            answered(at, cell("query").unwrap_or_default(), &list("answers"), &lives, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::read_as;

    const TSV: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
        #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\tqtype_name\trcode_name\tanswers\tTTLs\n\
        1600000000.000000\tC1\t10.0.0.5\t4000\t10.0.0.53\t53\tudp\twww.Example.com\tA\tNOERROR\tcdn.example.net,192.0.2.7\t300.000000,120.000000\n\
        1600000001.000000\tC2\t10.0.0.5\t4001\t10.0.0.53\t53\tudp\tnone.example\tA\tNXDOMAIN\t-\t-\n\
        broken\n";

    #[test]
    fn a_name_is_good_for_the_time_to_live_of_its_address() {
        let read = read_as("zeek-dns", TSV);
        assert_eq!((read.names.len(), read.rejects.len(), read.skipped.values().sum::<u64>()), (1, 1, 1));
        let name = &read.names[0];
        assert_eq!(
            (name.name.as_str(), name.from, name.to),
            ("www.example.com", 1_600_000_000_000_000, 1_600_000_120_000_000)
        );
        assert!(read.accounts.is_empty());
    }

    #[test]
    fn json_says_the_same() {
        let json = r#"{"ts":1600000000.0,"uid":"C1","id.orig_h":"10.0.0.5","query":"www.example.com","qtype_name":"A","answers":["cdn.example.net","192.0.2.7"],"TTLs":[300.0,120.0]}"#;
        assert_eq!(read_as("zeek-dns", json).names, read_as("zeek-dns", TSV).names);
    }
}
