//! Coverage as a listing: what `ringfence flows --coverage` prints.

use std::collections::BTreeMap;

use coverage::{ExporterScore, HourScore, Period};
use model::{Coverage, Micros, format_time};
use serde_json::{Map, Value, json};

use crate::output::{Listing, grouped};
use crate::seen::{Seen, share};

/// What coverage is told by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum By {
    /// All hours of an exporter together.
    Exporter,
    /// All exporters of an hour together.
    Hour,
    /// All exporters of a day together.
    Day,
}

const COLUMNS: [&str; 9] =
    ["exporter", "hour", "received", "decoded", "dropped", "missing", "sampling", "score", "why"];

/// The rows, with the whole as the document.
pub(crate) fn listing(seen: &Seen, by: Option<By>, limit: usize) -> anyhow::Result<Listing> {
    let found = &seen.assessment;
    let mut listing = match by {
        None => by_exporter_and_hour(seen),
        Some(By::Exporter) => {
            let mut listing = without(&["hour"]);
            found.exporters.iter().for_each(|exporter| whole(&mut listing, exporter));
            listing
        }
        Some(By::Hour) => periods(found.by_period(lake::HOUR_US), "hour"),
        Some(By::Day) => periods(found.by_period(lake::DAY_US), "day"),
    };
    let says = |coverage: &Coverage| {
        !coverage.dropped.is_empty() || coverage.missing_datagrams > 0 || coverage.flows > 0
    };
    for row in found.rest.iter().filter(|row| by.is_none() && says(&row.coverage)) {
        let object = object(&row.source, &row.exporter.0, None, &row.coverage);
        let cells = [row.exporter.0.to_string(), String::new()];
        push(&mut listing, cells.into(), &row.coverage, None, String::new(), object);
    }
    let hidden = listing.rows.len().saturating_sub(limit);
    listing.rows.truncate(limit);
    let rows = listing.objects.clone();
    listing.objects.truncate(limit);
    listing.document(json!({ "visibility": seen.json(), "rows": rows,
        "gaps": coverage::gaps(found, &seen.baseline) }));
    let more = if hidden > 0 {
        format!("{} more rows (--limit, --by)\n", grouped(hidden as u64))
    } else {
        String::new()
    };
    listing.summary = format!("{more}{}", seen.line());
    Ok(listing)
}

fn without(columns: &[&str]) -> Listing {
    let kept: Vec<&'static str> = COLUMNS.into_iter().filter(|column| !columns.contains(column)).collect();
    Listing::new(&kept)
}

/// Hours as they were, and those in which an exporter was expected and silent.
fn by_exporter_and_hour(seen: &Seen) -> Listing {
    let mut listing = Listing::new(&COLUMNS);
    let mut hours: BTreeMap<(&str, &str), Vec<&HourScore>> = BTreeMap::new();
    for hour in &seen.assessment.hours {
        hours.entry((&hour.row.source, &hour.row.exporter.0)).or_default().push(hour);
    }
    for exporter in &seen.assessment.exporters {
        let heard = hours.remove(&(&*exporter.source, &*exporter.exporter.0)).unwrap_or_default();
        let heard = heard.into_iter().map(|hour| (hour.row.hour, Some(hour)));
        let mut all: Vec<_> = heard.chain(exporter.silent.iter().map(|hour| (*hour, None))).collect();
        all.sort_by_key(|(hour, found)| (*hour, found.is_none()));
        for (at, hour) in all {
            one(&mut listing, exporter, at, hour);
        }
    }
    listing
}

fn one(listing: &mut Listing, exporter: &ExporterScore, at: Micros, hour: Option<&HourScore>) {
    let nothing = Coverage::default();
    let coverage = hour.map_or(&nothing, |hour| &hour.row.coverage);
    let mut object = object(&exporter.source, &exporter.exporter.0, Some(("hour", at)), coverage);
    let why = match hour {
        None => String::from("silent, and usually is not"),
        Some(hour) => {
            let lost = |left: f64| format!("{:.3}", 1.0 - left);
            let mut parts: Vec<String> =
                hour.factors.iter().map(|(why, left)| format!("(1 - {} {why})", lost(*left))).collect();
            if hour.sampled < 1.0 {
                parts.push(format!("{} of conversations sampled", share(hour.sampled)));
            }
            parts.join(" x ")
        }
    };
    let score = hour.map_or(0.0, |hour| hour.score);
    object.insert("kept".to_owned(), json!(hour.map_or(0.0, |hour| hour.kept)));
    object.insert("sampled".to_owned(), json!(hour.map_or(1.0, |hour| hour.sampled)));
    object.insert("silent".to_owned(), json!(hour.is_none()));
    let cells = vec![exporter.exporter.0.to_string(), hour_text(at)];
    push(listing, cells, coverage, Some(score), why, object);
}

fn whole(listing: &mut Listing, exporter: &ExporterScore) {
    let mut object = object(&exporter.source, &exporter.exporter.0, None, &exporter.total);
    for (name, value) in [("kept", exporter.kept), ("sampled", exporter.sampled)] {
        object.insert(name.to_owned(), json!(value));
    }
    object.insert("by_hour".to_owned(), json!(exporter.by_hour));
    object.insert("by_record".to_owned(), json!(exporter.by_record));
    object.insert("hours_reported".to_owned(), json!(exporter.reported));
    object.insert("hours_silent".to_owned(), json!(exporter.silent.len()));
    let cells = vec![exporter.exporter.0.to_string()];
    push(listing, cells, &exporter.total, Some(exporter.score), exporter.why.clone(), object);
}

fn periods(periods: Vec<Period>, name: &'static str) -> Listing {
    let mut columns = COLUMNS.to_vec();
    (columns[0], columns[1]) = (name, "exporters");
    let mut listing = Listing::new(&columns);
    for period in periods {
        let mut object = object("", "", Some((name, period.from)), &period.total);
        object.insert("exporters".to_owned(), json!(period.exporters));
        object.insert("silent".to_owned(), json!(period.silent));
        let why = match period.silent {
            0 => String::new(),
            silent => format!("{silent} expected exporter-hours without a word"),
        };
        let text =
            if name == "day" { format_time(period.from)[..10].to_owned() } else { hour_text(period.from) };
        let cells = vec![text, period.exporters.to_string()];
        push(&mut listing, cells, &period.total, Some(period.score), why, object);
    }
    listing
}

fn push(
    listing: &mut Listing,
    mut cells: Vec<String>,
    coverage: &Coverage,
    score: Option<f64>,
    why: String,
    mut object: Map<String, Value>,
) {
    let dropped: Vec<String> = coverage
        .dropped
        .iter()
        .map(|(reason, dropped)| format!("{} {reason}", grouped(dropped.count)))
        .collect();
    let missing = [
        (coverage.missing_records, "records"),
        (coverage.missing_datagrams, "datagrams"),
        (coverage.lost_intervals, "intervals"),
    ];
    let missing: Vec<String> = missing
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{} {unit}", grouped(count)))
        .collect();
    let sampling = match (coverage.sampling_typical(), coverage.sampling_worst()) {
        (1, 1) => String::new(),
        (typical, worst) if typical == worst => format!("1 in {worst}"),
        (typical, worst) => format!("1 in {typical}, up to {worst}"),
    };
    object.insert("score".to_owned(), json!(score));
    object.insert("why".to_owned(), json!(why));
    cells.extend([
        grouped(coverage.received),
        grouped(coverage.flows),
        dropped.join(", "),
        missing.join(", "),
        sampling,
        score.map(share).unwrap_or_default(),
        why,
    ]);
    listing.objects.push(object.into());
    listing.row(cells);
}

/// The names that scripts rely on.
fn object(
    source: &str,
    exporter: &str,
    at: Option<(&str, Micros)>,
    coverage: &Coverage,
) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    if !exporter.is_empty() {
        put("source", json!(source));
        put("exporter", json!(exporter));
    }
    if let Some((name, at)) = at {
        put(name, json!(format_time(at)));
    }
    put("received", json!(coverage.received));
    put("bytes", json!(coverage.bytes));
    put("decoded", json!(coverage.flows));
    put("dropped", json!(coverage.dropped));
    put("lost", json!(coverage.lost));
    put("missing_records", json!(coverage.missing_records));
    put("missing_datagrams", json!(coverage.missing_datagrams));
    put("gaps", json!(coverage.gaps));
    put("resets", json!(coverage.resets));
    put("silent_intervals", json!(coverage.silent_intervals));
    put("lost_intervals", json!(coverage.lost_intervals));
    put("lost_seconds", json!(coverage.lost_us as f64 / 1e6));
    put("sampling_typical", json!(coverage.sampling_typical()));
    put("sampling_worst", json!(coverage.sampling_worst()));
    put("clock_ahead_seconds", json!(coverage.clock_ahead_us as f64 / 1e6));
    put("clock_behind_seconds", json!(coverage.clock_behind_us as f64 / 1e6));
    if let Some((first, last)) = coverage.span {
        put("first", json!(format_time(first)));
        put("last", json!(format_time(last)));
    }
    object
}

/// `2026-11-20 08:00`.
fn hour_text(at: Micros) -> String {
    format_time(at).get(..16).unwrap_or_default().replace('T', " ")
}
