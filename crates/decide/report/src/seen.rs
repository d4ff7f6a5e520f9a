//! What was seen and what was missed: exporters down, time across.

use model::Micros;
use serde::{Deserialize, Serialize};

use crate::markup::{Text, count, moment, plural, put};

/// How much of what happened was seen.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryVisibility {
    /// Probability that a conversation that passed an exporter was seen, 0 to 1.
    pub score: f64,
    /// The arithmetic, in a sentence.
    pub why: String,
    /// Workloads that no exporter saw anything of.
    pub unseen: u64,
    /// Starts of the columns, ascending.
    pub columns: Vec<Micros>,
    /// How many hours a column stands for.
    pub column_hours: u32,
    /// The rows, worst first.
    pub exporters: Vec<StoryExporter>,
    /// What is missing.
    pub gaps: Vec<StoryGap>,
}

/// A row of the heat map.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryExporter {
    /// Its name.
    pub name: String,
    /// The format that it reports in.
    pub source: String,
    /// Flows decoded.
    pub flows: u64,
    /// Its score over the window.
    pub score: f64,
    /// The lowest score of each column's hours, 0 where it was silent and usually is not; none where nothing was expected.
    pub cells: Vec<Option<f64>>,
    /// The arithmetic, in a sentence.
    pub why: String,
}

/// Something that is missing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoryGap {
    /// Whose.
    pub exporter: String,
    /// What.
    pub what: String,
    /// What mends it.
    pub remedy: String,
}

/// Exporters that are drawn; the rest is counted.
const MOST_EXPORTERS: usize = 40;
/// Columns that have room for a number in each cell.
const ROOMY: usize = 24;
/// Gaps that are told.
const MOST_GAPS: usize = 20;

/// A probability as a percentage that never claims more than there is: 99.96 % is not 100 %.
pub(crate) fn percent(share: f64) -> String {
    if share.is_nan() {
        return String::from("\u{2013}");
    }
    let tenths = (share.clamp(0.0, 1.0) * 1_000.0 + 1e-9).floor() / 10.0;
    if tenths == 100.0 { String::from("100%") } else { format!("{tenths:.1}%") }
}

/// Writes the panel.
pub(crate) fn seen(out: &mut String, found: &StoryVisibility) {
    put!(
        out,
        "<p class=\"lead\">Of what passed the exporters, a conversation is here with a probability of <b>{}</b>. {}.</p>",
        percent(found.score),
        Text(&found.why)
    );
    legend(out, found.column_hours);
    let tight = if found.columns.len() > ROOMY { " tight" } else { "" };
    put!(
        out,
        "<div class=\"scroll grid\" tabindex=\"0\" role=\"region\" aria-label=\"Coverage by exporter and time\">\
         <table class=\"matrix heat{tight}\"><caption class=\"vh\">Probability that a conversation was seen, by exporter and \
         time</caption><thead><tr><td></td><th scope=\"col\" class=\"sum\">all</th>"
    );
    for at in &found.columns {
        let full = moment(*at);
        let (day, hour) = (full.get(5..10).unwrap_or_default(), full.get(11..13).unwrap_or_default());
        let label = if found.column_hours < 24 { format!("{day} {hour}h") } else { day.to_owned() };
        put!(out, "<th scope=\"col\"><span>{}</span></th>", Text(&label));
    }
    out.push_str("</tr></thead><tbody>");
    for exporter in found.exporters.iter().take(MOST_EXPORTERS) {
        row(out, exporter);
    }
    out.push_str("</tbody></table></div>");
    let hidden = found.exporters.len().saturating_sub(MOST_EXPORTERS);
    if hidden > 0 {
        put!(
            out,
            "<p class=\"hint\">{} with higher scores not shown.</p>",
            plural(hidden as u64, "exporter", "exporters")
        );
    }
    if found.unseen > 0 {
        put!(
            out,
            "<p class=\"hint\">{} of the inventory had no traffic that any exporter saw: idle, or out of sight.</p>",
            plural(found.unseen, "workload", "workloads")
        );
    }
    gaps(out, &found.gaps);
}

fn legend(out: &mut String, hours: u32) {
    out.push_str("<div class=\"legend\">");
    for (class, word) in [
        ("h4", "99% or more"),
        ("h3", "90% or more"),
        ("h2", "half or more"),
        ("h1", "less than half"),
        ("h0", "silent, and usually not"),
    ] {
        put!(out, "<span class=\"key\"><i class=\"cell {class}\"></i>{word}</span>");
    }
    let each = if hours == 1 { "an hour".to_owned() } else { format!("{hours} hours, by the worst of them") };
    put!(out, "<span class=\"hint\">Each column is {each} (UTC).</span></div>");
}

fn row(out: &mut String, exporter: &StoryExporter) {
    put!(
        out,
        "<tr><th scope=\"row\">{}<span class=\"of\">{}, {} flows</span></th>",
        Text(&exporter.name),
        Text(&exporter.source),
        count(exporter.flows)
    );
    put!(out, "<td class=\"sum\" title=\"{}\">{}</td>", Text(&exporter.why), percent(exporter.score));
    for cell in &exporter.cells {
        match cell {
            None => out.push_str("<td></td>"),
            Some(score) => put!(
                out,
                "<td><span class=\"cell {}\" title=\"{}\">{}</span></td>",
                class(*score),
                percent(*score),
                // Rounded down to whole percents: the full number is in the title.
                (score.clamp(0.0, 1.0) * 100.0 + 1e-9).floor()
            ),
        }
    }
    out.push_str("</tr>");
}

fn class(score: f64) -> &'static str {
    match score {
        score if score >= 0.99 => "h4",
        score if score >= 0.9 => "h3",
        score if score >= 0.5 => "h2",
        score if score > 0.0 => "h1",
        _ => "h0",
    }
}

fn gaps(out: &mut String, gaps: &[StoryGap]) {
    if gaps.is_empty() {
        return;
    }
    out.push_str("<h3>What is missing, and what mends it</h3><ul class=\"gaps\">");
    for gap in gaps.iter().take(MOST_GAPS) {
        put!(
            out,
            "<li><b>{}</b> {}. <span class=\"sub\">{}</span></li>",
            Text(&gap.exporter),
            Text(&gap.what),
            Text(&gap.remedy)
        );
    }
    out.push_str("</ul>");
    if gaps.len() > MOST_GAPS {
        put!(out, "<p class=\"hint\">{} more: <code>ringfence doctor</code>.</p>", gaps.len() - MOST_GAPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_never_claim_more_than_there_is() {
        assert_eq!(
            [1.0, 0.9996, 0.5, 0.0, f64::NAN].map(percent),
            ["100%", "99.9%", "50.0%", "0.0%", "\u{2013}"]
        );
    }

    #[test]
    fn silence_is_not_the_same_as_nothing_expected() {
        let exporter = StoryExporter {
            name: "<r1>".into(),
            cells: vec![Some(1.0), None, Some(0.0), Some(0.42)],
            ..StoryExporter::default()
        };
        let mut out = String::new();
        row(&mut out, &exporter);
        assert!(out.contains("&lt;r1&gt;") && !out.contains("<r1>"));
        for part in
            ["cell h4\" title=\"100%\">100<", "<td></td>", "cell h0\"", "cell h1\" title=\"42.0%\">42<"]
        {
            assert!(out.contains(part), "{part} in {out}");
        }
    }
}
