//! Names that somebody registered: hosts files, zone files, and exports of passive DNS.

use std::collections::BTreeMap;

use model::{Ip, Micros};

use crate::connector::{Connector, Probe, Sink, Text};
use crate::records::{Records, seconds, shown, time};
use crate::row::Place;

/// The row of registered names.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "dns",
    aliases: &["hosts", "zone", "passive-dns"],
    title: "names of addresses: hosts file, zone file, passive DNS (CSV, or JSON of the common output format)",
    description: "Hosts and zone files name addresses at all times; passive DNS from `time_first` to `time_last`. Names \
                  never say whose an address is.",
    rank: 5,
    detect,
    read,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Hosts,
    Zone,
    Csv,
    Json,
}

fn detect(probe: &Probe<'_>) -> bool {
    form(probe).is_some()
}

fn form(probe: &Probe<'_>) -> Option<Form> {
    if probe.has(&["rrname", "rdata"]) {
        return Some(Form::Json);
    }
    let first = probe.lines().find(|line| !line.starts_with(';'))?;
    let words: Vec<&str> = first.split_whitespace().collect();
    if first.contains("rrname") && first.contains("rdata") && !first.starts_with(['{', '[']) {
        Some(Form::Csv)
    } else if words.first().is_some_and(|word| word.parse::<Ip>().is_ok())
        && words.get(1).is_some_and(|w| host(w))
    {
        Some(Form::Hosts)
    } else if matches!(words.first(), Some(&("$ORIGIN" | "$TTL")))
        || words.contains(&"IN") && words.contains(&"SOA")
    {
        Some(Form::Zone)
    } else {
        None
    }
}

fn host(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    match form(&Probe::of(input.text)) {
        Some(Form::Json) => of_json(input.text, sink),
        Some(Form::Csv) => of_csv(input.text, sink),
        Some(Form::Zone) => of_zone(input.text, sink),
        Some(Form::Hosts) | None => of_hosts(input.text, sink),
    }
}

fn of_hosts(text: &str, sink: &mut Sink) {
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next() else { continue };
        sink.records += 1;
        // Addresses of a link carry the link's name.
        match address.split('%').next().unwrap_or_default().parse::<Ip>() {
            // The first name is the canonical one.
            Ok(ip) => match words.next() {
                Some(name) => sink.name(ip, name, Micros::MIN, Micros::MAX),
                None => sink.skip("addresses without a name"),
            },
            Err(_) => {
                let place = Place { line: number, column: 1 };
                sink.reject(place, format!("`{}` is not an IPv4 or IPv6 address", shown(address)));
            }
        }
    }
}

/// RFC 1035, section 5, as far as addresses need it.
fn of_zone(text: &str, sink: &mut Sink) {
    let (mut origin, mut owner) = (String::new(), String::new());
    let mut open = 0_usize;
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default();
        let within = open > 0;
        open = (open + line.matches('(').count()).saturating_sub(line.matches(')').count());
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || within {
            continue;
        }
        if words[0] == "$ORIGIN" {
            origin = words.get(1).map_or_else(String::new, |name| name.trim_end_matches('.').to_owned());
            continue;
        }
        if words[0].starts_with('$') {
            continue;
        }
        if !line.starts_with(char::is_whitespace) {
            owner = absolute(words.remove(0), &origin);
        }
        sink.records += 1;
        let is_meta =
            |word: &&str| word.eq_ignore_ascii_case("IN") || word.starts_with(|c: char| c.is_ascii_digit());
        let data: Vec<&str> = words.into_iter().skip_while(is_meta).collect();
        match data[..] {
            ["A" | "AAAA", ip, ..] => match ip.parse::<Ip>() {
                Ok(ip) => sink.name(ip, &owner, Micros::MIN, Micros::MAX),
                Err(_) => sink.skip("records with an address that is none"),
            },
            _ => sink.skip("records without an address"),
        }
    }
}

fn absolute(name: &str, origin: &str) -> String {
    match name.strip_suffix('.') {
        Some(absolute) => absolute.to_owned(),
        None if name == "@" => origin.to_owned(),
        None if origin.is_empty() => name.to_owned(),
        None => format!("{name}.{origin}"),
    }
}

fn of_csv(text: &str, sink: &mut Sink) {
    let mut lines =
        (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((_, header)) = lines.next() else { return };
    let separator = if header.contains('\t') { '\t' } else { ',' };
    let plain = |text: &'_ str| text.trim().trim_matches('"').to_owned();
    let columns: BTreeMap<String, usize> = header.split(separator).map(plain).zip(0..).collect();
    for (number, line) in lines {
        let cells: Vec<String> = line.split(separator).map(plain).collect();
        let cell = |name: &str| columns.get(name).and_then(|at| cells.get(*at)).map_or("", String::as_str);
        seen(&cell, Place { line: number, column: 1 }, sink);
    }
}

fn of_json(text: &str, sink: &mut Sink) {
    let records = Records::of(text, sink);
    for record in records.below(&["data", "results"]) {
        let Some(entry) = records.read::<BTreeMap<String, serde_json::Value>>(record, sink) else { continue };
        // One string or several.
        let answers = match entry.get("rdata") {
            Some(serde_json::Value::Array(several)) => several.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        for answer in answers {
            let cells: BTreeMap<&str, String> = entry
                .iter()
                .map(|(key, value)| (key.as_str(), if key == "rdata" { &answer } else { value }))
                .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect();
            seen(&|name| cells.get(name).map_or("", String::as_str), records.place(record), sink);
        }
    }
}

/// One observation of the common output format (draft-dulaunoy-dnsop-passive-dns-cof).
fn seen<'a>(cell: &dyn Fn(&str) -> &'a str, place: Place, sink: &mut Sink) {
    sink.records += 1;
    if !matches!(cell("rrtype"), "" | "A" | "AAAA") {
        return sink.skip("records without an address");
    }
    let Ok(ip) = cell("rdata").parse::<Ip>() else {
        return sink.reject(place, format!("`{}` is not an IPv4 or IPv6 address", shown(cell("rdata"))));
    };
    let moment = |name: &str| seconds(cell(name)).or_else(|| time(cell(name)));
    match (moment("time_first"), moment("time_last")) {
        // The last observation was good for at least its own second.
        (Some(first), Some(last)) => sink.name(ip, cell("rrname"), first, last.saturating_add(1_000_000)),
        _ => sink.reject(place, "expected `time_first` and `time_last`"),
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::read_as;

    fn names(text: &str) -> Vec<String> {
        read_as("dns", text).names.iter().map(|n| format!("{} {}", n.ip, n.name)).collect()
    }

    #[test]
    fn hosts_and_zones_name_addresses() {
        assert_eq!(
            names("127.0.0.1\tlocalhost\n10.0.0.1 web.example web # front\nfe80::1%eth0 link\nnowhere x\n"),
            ["10.0.0.1 web.example", "127.0.0.1 localhost", "fe80::1 link"]
        );
        let zone = "$ORIGIN example.com.\n$TTL 1h\n@ IN SOA ns admin (\n 1 ; serial\n 7200 )\n  IN NS ns\n\
                    ns 300 IN A 10.0.0.53\nweb IN AAAA 2001:db8::1\n  A 10.0.0.1\nmail.other.example. A 10.0.0.9\n";
        assert_eq!(
            names(zone),
            [
                "10.0.0.1 web.example.com",
                "10.0.0.9 mail.other.example",
                "10.0.0.53 ns.example.com",
                "2001:db8::1 web.example.com"
            ]
        );
    }

    #[test]
    fn passive_dns_says_when() {
        let csv = "rrname,rrtype,rdata,time_first,time_last,count\nwww.example.com.,A,192.0.2.7,1600000000,1600000100,3\n\
                   www.example.com.,NS,ns.example.com.,1,2,1\n";
        let read = read_as("dns", csv);
        assert_eq!((read.names[0].from, read.names[0].to), (1_600_000_000_000_000, 1_600_000_101_000_000));
        let json = r#"{"rrname":"www.example.com","rrtype":"A","rdata":["192.0.2.7"],"time_first":1600000000,"time_last":1600000100}"#;
        assert_eq!(read_as("dns", json).names, read.names);
    }
}
