use model::Criticality;
use proptest::prelude::*;

use super::*;

fn one(file: &str, text: &str) -> Result<Assets, Refused> {
    read(&[(file.to_owned(), text.as_bytes().to_vec())])
}

/// What the file is refused with, one problem a line.
fn refusal(file: &str, text: &str) -> Vec<String> {
    let refused = one(file, text).unwrap_err();
    refused
        .problems
        .iter()
        .map(|p| match p.location.line {
            0 => p.to_string(),
            _ => format!("{}: {}", p.location, p.fault),
        })
        .collect()
}

#[test]
fn csv_and_json_say_the_same() {
    let csv = "id,name,ip,from,to,criticality,labels,role,env\n\
               web-1,Web one,10.0.0.1; 2001:db8::1,,,high,\"app=shop,loc=ams\",web,prod\n\
               # moved on Friday\n\
               db-1,,10.0.0.2,2026-11-01T00:00:00Z,2026-11-20T12:00:00+02:00,critical,,db,prod\r\n\
               db-1,,10.0.0.3,2026-11-20T10:00:00Z,,,,,\n\
               \n\
               spare,,,,,,,,\n";
    let json = r#"{"workloads": [
      {"id": "web-1", "name": "Web one", "addresses": ["10.0.0.1", "2001:db8::1"], "criticality": "High",
       "labels": {"app": "shop", "loc": "ams"}, "role": "web", "env": "prod"},
      {"id": "db-1", "criticality": "critical", "role": "db", "env": "prod", "ip": [
        {"ip": "10.0.0.2", "from": "2026-11-01", "to": "2026-11-20T10:00:00Z"},
        {"ip": "10.0.0.3", "from": "2026-11-20T10:00:00Z", "to": null}]},
      {"id": "spare", "ip": null}]}"#;
    let a = one("a.csv", csv).unwrap();
    assert_eq!(a.workloads, one("a.json", json).unwrap().workloads);
    let ids: Vec<&str> = a.workloads.iter().map(|w| w.id.0.as_str()).collect();
    assert_eq!(ids, ["db-1", "spare", "web-1"]);
    let web = &a.workloads[2];
    assert_eq!((web.name.as_str(), web.criticality), ("Web one", Some(Criticality::High)));
    assert_eq!(web.labels.len(), 4);
    assert_eq!(web.addresses.len(), 2);
    assert_eq!(a.workloads[0].addresses[1].from, a.workloads[0].addresses[0].to);
    assert_eq!(a.locations[&WorkloadId("spare".into())].to_string(), "a.csv:7:1");
    let lines = "{\"id\":\"a\",\"ip\":\"10.0.0.1\"}\n{\"id\":\"b\",\"ip\":\"10.0.0.2\"}\n";
    assert_eq!(one("a.ndjson", lines).unwrap().workloads.len(), 2);
    let tabs = one("a.tsv", "\u{feff}hostname\tIP Address\tos\nh\t::ffff:10.0.0.1\tlinux\n").unwrap();
    assert_eq!(tabs.workloads[0].addresses[0].ip, "10.0.0.1".parse().unwrap());
}

#[test]
fn a_wrong_column_is_named_with_what_was_meant() {
    assert_eq!(
        refusal("hosts.csv", "id,adress,role\nweb,10.0.0.1,web\n"),
        [
            "hosts.csv:1:4: unknown column `adress`; did you mean `address`? rename it (every other name becomes a label)"
        ]
    );
    assert_eq!(
        refusal("hosts.csv", "id,ipp,role\nweb,10.0.0.1,web\n"),
        ["hosts.csv:1:1: expected columns id, ip (and optionally name, from, to, criticality, labels), \
          found `id`, `ipp`, `role`: `ip` is missing; did you mean it by `ipp`?"]
    );
    let missing = refusal("hosts.csv", "10.0.0.1,web\n10.0.0.2,db\n");
    assert!(missing[0].contains("found `10.0.0.1`, `web`: `id` is missing"), "{missing:?}");
    let json = refusal("hosts.json", "[{\"id\": \"web\",\n  \"addreses\": [\"10.0.0.1\"]}]");
    assert!(
        json[0].starts_with("hosts.json:2:15: unknown column `addreses`; did you mean `address"),
        "{json:?}"
    );
    assert!(refusal("h.csv", "id,ip,ip\na,1.1.1.1,\n")[0].contains("h.csv:1:7: column `ip` stands twice"));
}

#[test]
fn every_bad_cell_is_named_at_its_place() {
    let found = refusal(
        "h.csv",
        "id,ip,from,to,criticality,labels\n\
         a,10.0.0.1; 10.0.0.256,,,,\n\
         b,10.0.0.0/24,,,,\n\
         c,10.0.0.3,yesterday,,,\n\
         d,10.0.0.4,2026-02-01,2026-01-01,,\n\
         e,10.0.0.5,,,vital,\n\
         f,10.0.0.6,,,,\"role=web,prod\"\n\
         ,10.0.0.7,,,,\n\
         g,10.0.0.8\n",
    );
    let expected = [
        "h.csv:2:13: `10.0.0.256` is not an IPv4 or IPv6 address",
        "h.csv:3:3: `10.0.0.0/24` is a block of addresses; a workload owns single addresses: list them, separated by `;`",
        "h.csv:4:12: `yesterday` is not a time; write RFC 3339 such as `2026-11-20T08:00:00Z`",
        "h.csv:5:3: the address is owned from 2026-02-01T00:00:00.000Z to 2026-01-01T00:00:00.000Z, which is no time at all",
        "h.csv:6:14: `vital` is not a criticality; write `low`, `medium`, `high` or `critical`",
        "h.csv:7:24: `prod` is not a label; write `key=value`, several separated by `,`",
        "h.csv:8:1: the workload has neither `id` nor `name`",
        "h.csv:9:1: the row has 2 cells, the header has 6 columns; quote cells that hold the separator",
    ];
    assert_eq!(found, expected);
    let quoted = one("h.csv", "id,ip\na,10.0.0.1\nb,nowhere\n").unwrap_err().to_string();
    assert_eq!(quoted, "h.csv:3:3: `nowhere` is not an IPv4 or IPv6 address\n  | b,nowhere");
}

#[test]
fn broken_files_say_where_they_break() {
    assert!(refusal("e.csv", " \n")[0].starts_with("e.csv:1:1: the file is empty"));
    assert!(
        refusal("q.csv", "id,ip\n\"a,10.0.0.1\n")[0].starts_with("q.csv:2:1: this quote is never closed")
    );
    assert!(refusal("j.json", "[{\"id\": \"a\",}]")[0].starts_with("j.json:1:13: not JSON: "));
    assert!(refusal("j.json", "[3]")[0].contains("expected an object that describes a workload, found `3`"));
    let bytes = vec![b'i', b'd', b'\n', 0xff, 0xfe];
    let refused = read(&[("b.csv".to_owned(), bytes)]).unwrap_err();
    assert!(refused.to_string().starts_with("b.csv:2:1: not UTF-8 text"), "{refused}");
    let gone = read_paths(&[PathBuf::from("/no/such/assets.csv")]).unwrap_err().to_string();
    assert!(gone.starts_with("/no/such/assets.csv: cannot read it: "), "{gone}");
    let many = format!("id,ip\n{}", "x,nowhere\n".repeat(150));
    let refused = one("m.csv", &many).unwrap_err();
    assert_eq!((refused.problems.len(), refused.more), (100, 50));
}

#[test]
fn an_address_with_two_owners_is_refused_with_both_lines() {
    assert_eq!(
        refusal(
            "h.csv",
            "id,ip,from,to\nz,10.0.0.9,2026-01-01,2026-03-01\na,10.0.0.1,,\nb,10.0.0.9,2026-02-01,\n"
        ),
        ["h.csv:4:3: `b` owns 10.0.0.9 from 2026-02-01T00:00:00.000Z to 2026-03-01T00:00:00.000Z, \
          but so does `z` at h.csv:2:3; give both rows `from` and `to` that do not overlap"]
    );
    let always = refusal("h.json", "[{\"id\":\"a\",\"ip\":\"::1\"},\n{\"id\":\"b\",\"ip\":\"::1\"}]");
    assert!(
        always[0].starts_with("h.json:2:17: `b` owns ::1 at all times, but so does `a` at h.json:1:18"),
        "{always:?}"
    );
}

#[test]
fn rows_of_one_workload_must_agree() {
    let found = refusal("h.csv", "id,ip,role\na,10.0.0.1,web\na,10.0.0.2,db\n");
    assert_eq!(found, ["h.csv:3:12: `a` has the label `role` `db` here, but `web` at h.csv:2:1"]);
}

#[test]
fn folders_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("b.json"), "[{\"id\":\"b\",\"ip\":\"10.0.0.2\"}]").unwrap();
    fs::write(folder.path().join("a.csv"), "id,ip\na,10.0.0.1\n").unwrap();
    fs::write(folder.path().join("notes.txt"), "not a list").unwrap();
    let assets = read_paths(&[folder.path().to_path_buf()]).unwrap();
    assert_eq!(assets.workloads.len(), 2);
    let empty = tempfile::tempdir().unwrap();
    let refused = read_paths(&[empty.path().to_path_buf()]).unwrap_err();
    assert_eq!(*refused.problems[0].fault, Fault::EmptyFolder);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[{\"a-d:,;=\n0-9.ip}\\]]{0,120}") {
        let of = |bytes: Vec<u8>| read(&[("f".to_owned(), bytes)]);
        for result in [of(bytes), of(text.into_bytes())] {
            match result {
                Ok(assets) => prop_assert!(assets.workloads.len() == assets.locations.len()),
                Err(refused) => prop_assert!(!refused.problems.is_empty()),
            }
        }
    }

    #[test]
    fn quoted_cells_keep_their_text(cells in proptest::collection::vec("[a-z\",;\n]{1,8}", 1..6)) {
        let mut text = String::from("id,ip,note\n");
        for (index, cell) in cells.iter().enumerate() {
            text.push_str(&format!("w{index},10.0.0.{index},\"{}\"\n", cell.replace('"', "\"\"")));
        }
        let assets = one("f.csv", &text).unwrap();
        for (workload, cell) in assets.workloads.iter().zip(&cells) {
            prop_assert_eq!(workload.labels.get("note").map_or("", String::as_str), cell.trim());
        }
    }
}
