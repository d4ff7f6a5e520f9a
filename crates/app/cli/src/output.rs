//! What commands print: one value, shown as table, JSON, NDJSON, CSV or YAML.

use std::io::{self, IsTerminal, Write};

use anyhow::Context as _;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
    /// One YAML document.
    Yaml,
    /// Graphviz (`map`).
    Dot,
    /// Mermaid (`map`).
    Mermaid,
    /// One self-contained page (`map`, `report`).
    Html,
    /// JUnit XML (`test`).
    Junit,
}

/// Rows under a header, with the document that they are a view of.
#[derive(Default)]
pub(crate) struct Listing {
    /// Column names, as in the JSON.
    pub(crate) columns: Vec<&'static str>,
    /// Cells as text; the same number in every row.
    pub(crate) rows: Vec<Vec<String>>,
    /// Objects behind the rows, for NDJSON; when empty, made from the cells.
    pub(crate) objects: Vec<Value>,
    /// The whole, for JSON and YAML; when null, `{format_version, items: objects}`.
    pub(crate) document: Value,
    /// A closing line for people.
    pub(crate) summary: String,
}

impl Listing {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), ..Self::default() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Sets the JSON document; `format_version` is added.
    pub(crate) fn document(&mut self, value: Value) {
        self.document = versioned(value);
    }

    /// Prints to stdout in the format.
    pub(crate) fn print(&self, format: Format) -> anyhow::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match format {
            Format::Table => self.write_table(&mut out)?,
            Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&self.whole())?)?,
            Format::Yaml => {
                write!(out, "{}", serde_saphyr::to_string(&self.whole()).context("cannot write YAML")?)?;
            }
            Format::Ndjson => {
                for object in self.all_objects() {
                    writeln!(out, "{object}")?;
                }
            }
            Format::Csv => self.write_csv(&mut out)?,
            Format::Dot | Format::Mermaid | Format::Html | Format::Junit => {
                return Err(crate::UsageError(format!(
                    "this command cannot print {}; it prints table, json, ndjson, csv and yaml",
                    format!("{format:?}").to_lowercase()
                ))
                .into());
            }
        }
        out.flush()?;
        Ok(())
    }

    fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        if self.columns.is_empty() {
            // Told to people in sentences: the objects' own keys are the columns.
            let Some(Value::Object(first)) = self.objects.first() else { return Ok(()) };
            writeln!(out, "{}", first.keys().map(|key| csv_cell(key)).collect::<Vec<_>>().join(","))?;
            for object in &self.objects {
                let cells = first.keys().map(|key| match &object[key] {
                    Value::String(text) => csv_cell(text),
                    other => csv_cell(&other.to_string()),
                });
                writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
            }
            return Ok(());
        }
        writeln!(out, "{}", self.columns.join(","))?;
        for (index, row) in self.rows.iter().enumerate() {
            let cells = (0..row.len()).map(|column| csv_cell(&self.plain(index, column)));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }

    /// A cell for machines: numbers as they are, not as people like them.
    fn plain(&self, row: usize, column: usize) -> String {
        let name = self.columns.get(column).copied().unwrap_or_default();
        match self.objects.get(row).and_then(|object| object.get(name)) {
            Some(Value::Number(number)) => number.to_string(),
            _ => self.rows[row][column].clone(),
        }
    }

    fn all_objects(&self) -> Vec<Value> {
        if !self.objects.is_empty() {
            return self.objects.clone();
        }
        let object = |row: &Vec<String>| {
            let pairs = self.columns.iter().zip(row).map(|(k, v)| ((*k).to_owned(), json!(v)));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    fn whole(&self) -> Value {
        if self.document.is_null() {
            versioned(json!({ "items": self.all_objects() }))
        } else {
            self.document.clone()
        }
    }

    fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.rows.is_empty() {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            if let Some(width) = terminal_width() {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            table.set_header(self.columns.iter().map(|c| Cell::new(c.replace('_', " ").to_uppercase())));
            for row in &self.rows {
                table.add_row(row.iter().map(|cell| printable(cell)));
            }
            for line in table.lines() {
                writeln!(out, "{}", line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()))?;
            }
        }
        if self.summary.is_empty() { Ok(()) } else { writeln!(out, "{}", printable(&self.summary)) }
    }
}

/// The width for tables: the terminal's, or `COLUMNS`; none when the output goes to a file or a pipe.
fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).or(Some(140))
}

/// Prints text as it is. Unlike `print!` it fails when the reader has gone, and so a closed pipe stays quiet.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn versioned(value: Value) -> Value {
    match value {
        Value::Object(mut map) => {
            map.entry("format_version").or_insert(json!(1));
            Value::Object(map)
        }
        other => other,
    }
}

/// Names come from the network: control characters must not reach a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Counts for people: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people: `12.3 MB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A share for people: `97.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!((bytes_text(999), bytes_text(12_345_678)), ("999 B".into(), "12.3 MB".into()));
    }

    #[test]
    fn cells_are_quoted_and_harmless() {
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(printable("a\u{1b}[31m"), "a\u{fffd}[31m");
        let mut shown = Vec::new();
        let summary = "`a\u{1b}]0;x\u{7}` is in\n  no segment".to_owned();
        Listing { summary, ..Listing::default() }.write_table(&mut shown).unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "`a\u{fffd}]0;x\u{fffd}` is in\n  no segment\n");
    }
}
