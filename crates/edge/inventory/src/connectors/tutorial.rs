//! The connector of `docs/recipes/add-an-inventory-connector.md`. It has no row in the table.

// recipe: begin
use model::Labels;

use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{address, claim, mac_key, shown, time};
use crate::row::Place;

/// The row of this system.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "racks",
    aliases: &[],
    title: "rack lines (the tutorial's format)",
    description: "One server a line: `rack R7 SERIAL MAC ADDRESS FROM UNTIL`; `-` for an end that is open.",
    rank: 35,
    detect,
    read,
};

/// Looks at content alone, and at more than one word of it: other formats are text too.
fn detect(probe: &Probe<'_>) -> bool {
    probe.lines().next().is_some_and(|line| line.starts_with("rack ") && line.split_whitespace().count() == 7)
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    for (number, line) in (1..).zip(input.text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = Place { line: number, column: 1 };
        sink.records += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["rack", rack, serial, mac, ip, from, to] = words[..] else {
            sink.reject(
                place,
                format!("expected `rack R7 SERIAL MAC ADDRESS FROM UNTIL`, found `{}`", shown(line)),
            );
            continue;
        };
        if serial == "EMPTY" {
            sink.skip("empty slots");
            continue;
        }
        let Some(ip) = address(ip, place, sink) else { continue };
        let Some(from) = time(from) else {
            sink.reject(place, format!("`{}` is not a time", shown(from)));
            continue;
        };
        sink.sight(
            Sighting {
                id: format!("server/{serial}"),
                // By these it is the same thing as what a DHCP server or a scanner saw.
                keys: mac_key(mac).into_iter().collect(),
                scope: input.options.scope.clone(),
                labels: Labels::from([("loc".into(), rack.into())]),
                claims: vec![claim(ip, Some(from), time(to))],
                seen: from,
                ..Sighting::default()
            },
            place,
        );
    }
}
// recipe: end

#[test]
fn good_lines_are_workloads_and_bad_ones_are_rejected() {
    let text = "rack R7 S123 00:16:3e:aa:bb:01 10.0.0.1 2026-11-20T08:00:00Z -\n\
                rack R7 EMPTY - - - -\n\
                rack R7 S124 00:16:3e:aa:bb:02 10.0.0.2 yesterday -\n";
    assert!((CONNECTOR.detect)(&Probe::of(text)) && !(CONNECTOR.detect)(&Probe::of("rack me\n")));
    let mut sink = Sink::default();
    read(&Text { text, options: &crate::ReadOptions::default() }, &mut sink);
    let ids: Vec<&str> = sink.sightings.iter().map(|(s, _)| s.id.as_str()).collect();
    assert_eq!((ids, sink.records, sink.flaws.len()), (vec!["server/S123"], 3, 1));
    assert_eq!(sink.flaws[0].fault.to_string(), "`yesterday` is not a time");
}

#[test]
fn the_recipe_shows_this_very_code() {
    let recipe = include_str!("../../../../../docs/recipes/add-an-inventory-connector.md");
    let here = include_str!("tutorial.rs");
    let from = here.find("// recipe: begin\n").unwrap() + "// recipe: begin\n".len();
    let to = here.find("// recipe: end").unwrap();
    assert!(recipe.contains(&here[from..to]), "copy the code between the marks into the recipe");
}
