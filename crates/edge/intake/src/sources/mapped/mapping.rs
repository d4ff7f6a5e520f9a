//! What a mapping file says: which column is which field, and how its values are written.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::clock::{Clock, TimeFormat, Zone};
use super::field::{FIELDS, Field, KNOWN};
use crate::error::IntakeError;

/// The longest mapping file that is read.
const FILE_BYTES: u64 = 1024 * 1024;

/// How the inner form of the input is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// By the content.
    #[default]
    Auto,
    Csv,
    Json,
    Parquet,
}

/// A column and the field that it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) field: Field,
    /// The column's header, its number from 1 where there is none, or the path of a JSON member.
    pub(super) name: String,
    /// Lower is better, where several columns would be the same field.
    pub(super) rank: usize,
}

/// How the values of one field are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Writing {
    /// What a number is multiplied with.
    pub(super) times: Option<f64>,
    /// Words, and what they stand for.
    pub(super) words: Vec<(String, String)>,
}

/// A mapping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapping {
    pub(super) form: Form,
    pub(super) delimiter: Option<u8>,
    /// Whether the first line names the columns.
    pub(super) headless: bool,
    /// Lines before the header.
    pub(super) skip: usize,
    /// Values that mean that there is none.
    pub(super) nothing: Vec<String>,
    pub(super) columns: Vec<Column>,
    pub(super) writing: Vec<Writing>,
    /// Values for fields that no column has, or that a record leaves empty.
    pub(super) constants: Vec<(Field, String)>,
    pub(super) clock: Clock,
    /// Whether counts are still to be multiplied with the sampling.
    pub(super) unscaled: bool,
}

/// An error at a place in the file.
struct Wrong(std::ops::Range<usize>, String);

impl Mapping {
    /// The mapping for columns with well-known names.
    pub(super) fn known() -> Self {
        Self { nothing: vec!["-".to_owned()], ..Self::empty() }
    }

    fn empty() -> Self {
        Self { writing: vec![Writing::default(); FIELDS], ..Self::default() }
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that is not understood: then with the line.
    pub(super) fn file(path: &Path) -> Result<Self, IntakeError> {
        let file = path.display().to_string();
        let failed = |action, source| IntakeError::Io { action, file: file.clone(), source };
        let opened = std::fs::File::open(path).map_err(|source| failed("open", source))?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(opened, FILE_BYTES), &mut text)
            .map_err(|source| failed("read", source))?;
        Self::parse(&text).map_err(|Wrong(span, reason)| {
            let before = text.get(..span.start).unwrap_or(&text);
            IntakeError::Header { file: file.clone(), line: before.matches('\n').count() as u64 + 1, reason }
        })
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let table = DeTable::parse(text)
            .map_err(|error| Wrong(error.span().unwrap_or_default(), error.message().to_owned()))?;
        let mut mapping = Self { nothing: vec!["-".to_owned()], unscaled: true, ..Self::empty() };
        for (key, value) in table.get_ref() {
            mapping.top(key.get_ref(), key.span(), value)?;
        }
        for needed in [Field::Source, Field::Destination] {
            let constant = mapping.constants.iter().any(|(field, _)| *field == needed);
            if !constant && !mapping.columns.iter().any(|column| column.field == needed) {
                let why = format!(
                    "no column is `{}`; every flow has to have one: say which under `[columns]`",
                    needed.name()
                );
                return Err(Wrong(0..0, why));
            }
        }
        Ok(mapping)
    }

    fn top(
        &mut self,
        key: &str,
        at: std::ops::Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Wrong> {
        match key {
            "format" => {
                self.form = match text(value)? {
                    "csv" => Form::Csv,
                    "json" => Form::Json,
                    "parquet" => Form::Parquet,
                    other => {
                        return wrong(
                            value,
                            format!("`{other}` is not a form; expected `csv`, `json` or `parquet`"),
                        );
                    }
                };
            }
            "delimiter" => {
                self.delimiter = match (text(value)?, text(value)?.as_bytes()) {
                    ("tab", _) => Some(b'\t'),
                    (_, [byte]) if *byte != b'"' && *byte != b'\n' => Some(*byte),
                    (other, _) => {
                        return wrong(
                            value,
                            format!("`{other}` is not a delimiter; expected one character or `tab`"),
                        );
                    }
                };
            }
            "header" => self.headless = !truth(value)?,
            "skip" => self.skip = whole(value)?,
            "empty" => self.nothing = texts(value)?,
            "scaled" => self.unscaled = !truth(value)?,
            "time" => self.time(value)?,
            "columns" => self.columns(value)?,
            "constants" => {
                for (key, value) in entries(value)? {
                    let field = field(key)?;
                    let given = scalar(value)?;
                    self.constants.push((field, given));
                }
            }
            other => {
                let known = "`format`, `delimiter`, `header`, `skip`, `empty`, `scaled`, `[time]`, `[columns]`, `[constants]`";
                return Err(Wrong(at, format!("`{other}` is not known here; expected {known}")));
            }
        }
        Ok(())
    }

    fn time(&mut self, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        for (key, value) in entries(value)? {
            match &**key.get_ref() {
                "format" => {
                    let format = TimeFormat::of(text(value)?);
                    self.clock.format = format.or_else(|why| wrong(value, why))?;
                }
                "zone" => {
                    self.clock.zone = Zone::of(text(value)?).or_else(|why| wrong(value, why))?;
                }
                other => {
                    return Err(Wrong(
                        key.span(),
                        format!("`{other}` is not known here; expected `format` or `zone`"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn columns(&mut self, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        for (key, value) in entries(value)? {
            let field = field(key)?;
            match value.get_ref() {
                DeValue::Table(table) => self.column(field, table, value)?,
                DeValue::Array(names) => {
                    for (rank, name) in names.iter().enumerate() {
                        self.columns.push(Column { field, name: scalar(name)?, rank });
                    }
                }
                _ => self.columns.push(Column { field, name: scalar(value)?, rank: 0 }),
            }
        }
        Ok(())
    }

    fn column(
        &mut self,
        field: Field,
        table: &DeTable<'_>,
        whole: &Spanned<DeValue<'_>>,
    ) -> Result<(), Wrong> {
        let before = self.columns.len();
        for (key, value) in table {
            match &**key.get_ref() {
                "column" => self.columns.push(Column { field, name: scalar(value)?, rank: 0 }),
                "times" => self.writing[field as usize].times = Some(number(value)?),
                "unit" => {
                    let seconds = match text(value)? {
                        "s" => 1.0,
                        "ms" => 1e-3,
                        "us" => 1e-6,
                        "ns" => 1e-9,
                        other => {
                            return wrong(
                                value,
                                format!("`{other}` is not a unit; expected `s`, `ms`, `us` or `ns`"),
                            );
                        }
                    };
                    self.writing[field as usize].times = Some(seconds);
                }
                "values" => {
                    for (word, value) in entries(value)? {
                        let words = (word.get_ref().clone().into_owned(), scalar(value)?);
                        self.writing[field as usize].words.push(words);
                    }
                }
                other => {
                    let known = "expected `column`, `values`, `times` or `unit`";
                    return Err(Wrong(key.span(), format!("`{other}` is not known here; {known}")));
                }
            }
        }
        if self.columns.len() == before {
            return wrong(whole, format!("`{}` names no `column`", field.name()));
        }
        Ok(())
    }
}

fn wrong<T>(at: &Spanned<DeValue<'_>>, why: String) -> Result<T, Wrong> {
    Err(Wrong(at.span(), why))
}

fn field(key: &Spanned<std::borrow::Cow<'_, str>>) -> Result<Field, Wrong> {
    Field::of_name(key.get_ref()).ok_or_else(|| {
        let known: Vec<&str> = KNOWN.iter().map(|(_, name, _)| *name).collect();
        Wrong(
            key.span(),
            format!("`{}` is not a field of a flow; expected one of {}", key.get_ref(), known.join(", ")),
        )
    })
}

fn entries<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
) -> Result<impl Iterator<Item = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)>, Wrong> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table.iter()),
        _ => wrong(value, "expected a table".to_owned()),
    }
}

fn text<'a>(value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, Wrong> {
    value.get_ref().as_str().ok_or_else(|| Wrong(value.span(), "expected text in quotes".to_owned()))
}

fn truth(value: &Spanned<DeValue<'_>>) -> Result<bool, Wrong> {
    value.get_ref().as_bool().ok_or_else(|| Wrong(value.span(), "expected `true` or `false`".to_owned()))
}

/// Text or a number, as text.
fn scalar(value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => wrong(value, "expected text in quotes, or a number".to_owned()),
    }
}

fn texts(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Wrong> {
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(scalar).collect(),
        _ => wrong(value, "expected a list".to_owned()),
    }
}

fn number(value: &Spanned<DeValue<'_>>) -> Result<f64, Wrong> {
    let number = scalar(value)?.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| Wrong(value.span(), "expected a number above zero".to_owned()))
}

fn whole(value: &Spanned<DeValue<'_>>) -> Result<usize, Wrong> {
    scalar(value)?.parse().map_err(|_| Wrong(value.span(), "expected a whole number".to_owned()))
}
