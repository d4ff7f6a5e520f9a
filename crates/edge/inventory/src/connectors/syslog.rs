//! The head of a line in a log: when, which program, and what it said.

use model::Micros;

use crate::records::time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_US: Micros = 86_400_000_000;

/// When a line was written, the program's name without its process number, and the message. Lines without a year are of
/// the last year in which they do not lie in the future; times without a zone are UTC.
pub(crate) fn split(line: &str, now: Micros) -> Option<(Micros, &str, &str)> {
    let (at, rest) = when(line, now)?;
    // With a host before the program or without it.
    let colon = rest.find(": ")?;
    let program = rest[..colon].split_whitespace().next_back()?;
    let program = program.split('[').next().unwrap_or_default();
    Some((at, program, rest[colon + 2..].trim()))
}

fn when(line: &str, now: Micros) -> Option<(Micros, &str)> {
    let (first, rest) = line.split_once(' ')?;
    if let Some(at) = time(first) {
        return Some((at, rest));
    }
    let month = MONTHS.iter().position(|month| *month == first)? + 1;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (clock, rest) = rest.trim_start().split_once(' ')?;
    let day: u8 = day.parse().ok()?;
    let year: i64 = model::format_time(now).get(..4)?.parse().ok()?;
    // The 29th of February is of the last leap year.
    let in_year = |year: i64| time(&format!("{year:04}-{month:02}-{day:02}T{clock}Z"));
    let at = (0..8).filter_map(|back| in_year(year - back)).find(|at| *at <= now.saturating_add(DAY_US))?;
    Some((at, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_the_last_that_fits() {
        let now = time("2026-01-02T00:00:00Z").unwrap();
        let at = |line| split(line, now).map(|(at, program, said)| (model::format_time(at), program, said));
        let dnsmasq = at("Dec 31 23:59:58 router dnsmasq-dhcp[12]: DHCPACK(eth0) x");
        assert_eq!(dnsmasq, Some(("2025-12-31T23:59:58.000Z".into(), "dnsmasq-dhcp", "DHCPACK(eth0) x")));
        assert_eq!(at("Feb  9 00:00:00 dnsmasq[1]: a").unwrap().0, "2025-02-09T00:00:00.000Z");
        assert_eq!(at("Feb 29 00:00:00 dnsmasq: a").unwrap().0, "2024-02-29T00:00:00.000Z");
        assert_eq!(at("2026-01-01T08:00:00+01:00 h dnsmasq[1]: a").unwrap().0, "2026-01-01T07:00:00.000Z");
        assert_eq!(
            (at("nothing"), at("Foo 1 00:00:00 h p: x"), at("Feb 31 00:00:00 h p: x")),
            (None, None, None)
        );
    }
}
