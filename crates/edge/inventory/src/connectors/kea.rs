//! Kea's leases: the memfile backend's CSV, and the answers of `lease4-get-all` and `lease6-get-all`.

use model::Micros;
use serde::Deserialize;

use super::leases::{self, Client, Lease};
use crate::connector::{Connector, Probe, Sink, Text};
use crate::records::{Records, address, lenient, seconds, shown};
use crate::row::Place;

/// The row of Kea.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "kea",
    aliases: &["kea-dhcp", "kea-leases"],
    title: "Kea DHCP leases (memfile CSV, lease4-get-all and lease6-get-all JSON)",
    description: "A lease holds from `expire` less `valid_lifetime` (CSV) or from `cltt` (JSON) for its valid lifetime, or \
                  until the server gave the address to another. Declined addresses are nobody's; delegated prefixes are \
                  no addresses.",
    rank: 30,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    let csv = |line: &str| {
        line.starts_with("address,")
            && line.contains(",valid_lifetime,expire,")
            && line.contains(",subnet_id,")
    };
    probe.has(&["ip-address", "cltt", "valid-lft"]) || probe.head.lines().next().is_some_and(csv)
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let leases = if input.text.trim_start().starts_with(['[', '{']) {
        of_json(input.text, sink)
    } else {
        of_csv(input.text, sink)
    };
    leases::take(leases, &input.options.scope, sink);
}

/// What both forms say of a lease, as text.
#[derive(Default)]
struct Written<'a> {
    address: &'a str,
    hardware: &'a str,
    identifier: &'a str,
    hostname: &'a str,
    state: &'a str,
    kind: &'a str,
    from: Option<Micros>,
    life_s: u64,
}

/// A life that Kea writes for one without end.
const INFINITE_S: u64 = u32::MAX as u64;

fn lease(written: &Written<'_>, place: Place, sink: &mut Sink) -> Option<Lease> {
    match (written.state, written.kind) {
        ("1", _) => {
            sink.skip("addresses that were declined: somebody unknown answers there");
            return None;
        }
        (_, "2" | "IA_PD") => {
            sink.skip("delegated prefixes: blocks, not addresses");
            return None;
        }
        _ if written.life_s == 0 => {
            // The server writes when the client spoke last, not when it went: the lease before says how long it held.
            sink.skip("deletions, which do not say when");
            return None;
        }
        _ => {}
    }
    let ip = address(written.address, place, sink)?;
    let Some(from) = written.from else {
        sink.reject(place, "the lease does not say from when");
        return None;
    };
    let to = match written.life_s {
        // The field has 32 bits: what is longer than its "for ever" is no shorter.
        INFINITE_S.. => Micros::MAX,
        life => from.saturating_add(life as i64 * 1_000_000),
    };
    let client = Client::of(written.hardware, written.identifier);
    let hostname = written.hostname.trim_end_matches('.').to_owned();
    Some(Lease { ip, client, from, to, hostname, place })
}

fn of_csv(text: &str, sink: &mut Sink) -> Vec<Lease> {
    let mut lines = (1..).zip(text.lines());
    let Some((_, header)) = lines.next() else { return Vec::new() };
    let columns: Vec<&str> = header.trim().split(',').collect();
    let mut leases = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let place = Place { line: number, column: 1 };
        let cells: Vec<&str> = line.trim_end().split(',').collect();
        // Files of older versions have fewer columns; the server itself reads them so.
        if line == header {
            continue;
        }
        sink.records += 1;
        let cell = |name: &str| {
            let at = columns.iter().position(|column| *column == name)?;
            cells.get(at).copied()
        };
        let number = |name: &str| cell(name).and_then(|text| text.parse::<u64>().ok());
        let (Some(life_s), Some(expire)) = (number("valid_lifetime"), cell("expire").and_then(seconds))
        else {
            sink.reject(
                place,
                format!("expected numbers for `valid_lifetime` and `expire` in `{}`", shown(line)),
            );
            continue;
        };
        // Commas in names are written so.
        let hostname = cell("hostname").unwrap_or_default().replace("&#x2c", ",");
        let written = Written {
            address: cell("address").unwrap_or_default(),
            hardware: cell("hwaddr").unwrap_or_default(),
            identifier: cell("client_id").or(cell("duid")).unwrap_or_default(),
            hostname: &hostname,
            state: cell("state").unwrap_or_default(),
            kind: cell("lease_type").unwrap_or_default(),
            from: Some(expire.saturating_sub(life_s.min(INFINITE_S) as i64 * 1_000_000)),
            life_s,
        };
        leases.extend(lease(&written, place, sink));
    }
    leases
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    ip_address: String,
    #[serde(default, deserialize_with = "lenient")]
    hw_address: String,
    #[serde(default, deserialize_with = "lenient")]
    client_id: String,
    #[serde(default, deserialize_with = "lenient")]
    duid: String,
    #[serde(default, deserialize_with = "lenient")]
    hostname: String,
    #[serde(default, deserialize_with = "lenient")]
    state: u32,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    kind: String,
    cltt: i64,
    valid_lft: u64,
}

fn of_json(text: &str, sink: &mut Sink) -> Vec<Lease> {
    let records = Records::of(text, sink);
    let mut leases = Vec::new();
    for record in records.below(&["arguments", "leases"]) {
        let Some(entry) = records.read::<Entry>(record, sink) else { continue };
        let state = entry.state.to_string();
        let written = Written {
            address: &entry.ip_address,
            hardware: &entry.hw_address,
            identifier: if entry.client_id.is_empty() { &entry.duid } else { &entry.client_id },
            hostname: &entry.hostname,
            state: &state,
            kind: &entry.kind,
            from: entry.cltt.checked_mul(1_000_000),
            life_s: entry.valid_lft.min(INFINITE_S),
        };
        leases.extend(lease(&written, records.place(record), sink));
    }
    leases
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    #[test]
    fn a_lifetime_beyond_the_longest_is_for_ever() {
        // What fuzzing found: it does not fit the sum.
        let text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n\
                    10.0.0.1,00:16:3e:00:00:01,,30003603333333,1600003600,1,0,0,,0,\n";
        let lasting = read_as("kea", &text.replace("30003603333333", "4294967295"));
        assert_eq!(history(&read_as("kea", text)), history(&lasting));
        assert_eq!(history(&lasting).len(), 1);
    }

    #[test]
    fn the_files_of_version_4_and_6_are_history() {
        let v4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n\
                  10.0.0.10,00:16:3e:aa:bb:01,01:00:16:3e:aa:bb:01,3600,1600003600,1,0,0,alice&#x2claptop.,0,,0\n\
                  10.0.0.10,00:16:3e:aa:bb:01,01:00:16:3e:aa:bb:01,3600,1600005400,1,0,0,alice,0,,0\n\
                  10.0.0.10,00:16:3e:aa:bb:02,,3600,1600007200,1,0,0,,0,,0\n\
                  10.0.0.11,,,86400,1600003600,1,0,0,,1,,0\n\
                  10.0.0.10,00:16:3e:aa:bb:02,,0,1600003600,1,0,0,,0,,0\n\
                  10.0.0.12,00:16:3e:aa:bb:03,,soon,1600003600,1,0,0,,0,,0\n\
                  10.0.0.13,00:16:3e:aa:bb:04,,4294967295,5894967295,1,0,0,,0,,0\n";
        let read = read_as("kea", v4);
        assert_eq!(
            history(&read),
            [
                // Renewed, and then given to another before the renewed lease was over.
                "mac:00:16:3e:aa:bb:01 10.0.0.10 2020-09-13T12:26:40.000Z..2020-09-13T13:26:40.000Z",
                "mac:00:16:3e:aa:bb:02 10.0.0.10 2020-09-13T13:26:40.000Z..2020-09-13T14:26:40.000Z",
                "mac:00:16:3e:aa:bb:04 10.0.0.13 2020-09-13T12:26:40.000Z..",
            ]
        );
        assert_eq!((read.rejects.len(), read.skipped.values().sum::<u64>()), (1, 2));
        let v6 = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context\n\
                  2001:db8::10,00:03:00:01:00:16:3e:aa:bb:05,600,1600000600,1,300,0,1,128,1,1,v6.example.,,0,\n\
                  2001:db8:1::,00:03:00:01:00:16:3e:aa:bb:05,600,1600000600,1,300,2,1,56,1,1,,,0,\n";
        let read = read_as("kea", v6);
        assert_eq!(
            history(&read),
            [
                "client-id:0003000100163eaabb05 2001:db8::10 2020-09-13T12:26:40.000Z..2020-09-13T12:36:40.000Z"
            ]
        );
    }

    #[test]
    fn answers_of_the_control_channel_are_read() {
        let text = r#"[{"arguments": {"leases": [
            {"client-id": "42:42", "cltt": 1600000000, "fqdn-fwd": false, "fqdn-rev": true, "hostname": "a.example.com.",
             "hw-address": "00:16:3e:aa:bb:01", "ip-address": "192.0.2.1", "state": 0, "subnet-id": 44, "valid-lft": 3600},
            {"cltt": 1600000000, "ip-address": "192.0.2.2", "valid-lft": "long"}]},
            "result": 0, "text": "2 IPv4 lease(s) found."}]"#;
        let read = read_as("kea", text);
        assert_eq!(
            history(&read),
            ["mac:00:16:3e:aa:bb:01 192.0.2.1 2020-09-13T12:26:40.000Z..2020-09-13T13:26:40.000Z"]
        );
        assert!(
            read.rejects[0].to_string().contains(":4:13: the record is not as expected"),
            "{}",
            read.rejects[0]
        );
        assert_eq!(read.accounts[0].workloads[0].name, "a.example.com");
    }
}
