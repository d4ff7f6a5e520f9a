//! Flows in other people's columns: delimited text and JSON whose fields have well-known names, or names that a mapping file
//! tells.

mod clock;
mod csv;
mod field;
mod json;
mod mapping;
pub(crate) mod parquet;
mod record;

use std::path::Path;

use self::csv::Csv;
use self::json::Json;
use self::mapping::{Form, Mapping};
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, SOURCES, Source, Status};
use crate::text::{Shape, open_text};

/// The row of delimited text.
pub(crate) static CSV: Source = Source {
    name: "csv",
    aliases: &["tsv"],
    title: "delimited text with well-known column names (CSV, TSV)",
    description: "A header line, then one flow a line; commas, semicolons, tabs or bars. Columns are known by the names of ECS, OCSF, \
                  CIM, IPFIX and of `ringfence decode`, whatever their case, points and underscores. For other names write a \
                  mapping file and name it as the format: `mapping:FILE.toml`.",
    status: Status::Documented,
    detect: |head| Csv::is_known(head) && !is_of_its_own(head),
    open: |input| open_csv(input, Mapping::known()),
};

/// The row of JSON.
pub(crate) static JSON: Source = Source {
    name: "json",
    aliases: &["ndjson", "ecs", "ocsf"],
    title: "JSON objects with well-known member names (ECS, OCSF, `ringfence decode`)",
    description: "One flow an object, on lines, in an array or in `records`. Members are known by the names of ECS, OCSF, IPFIX and of \
                  `ringfence decode`, as members of members or with points in their names. For other names write a mapping file \
                  and name it as the format: `mapping:FILE.toml`.",
    status: Status::Documented,
    detect: |head| Json::is_known(head) && !is_of_its_own(head),
    open: |input| open_json(input, Mapping::known()),
};

/// The row of Parquet.
pub(crate) static PARQUET: Source = Source {
    name: "parquet",
    aliases: &[],
    title: "Parquet files with well-known column names, AWS VPC flow logs among them",
    description: "Columns of any codec and type, also within structs, read as they are needed. AWS VPC flow logs are known by their \
                  columns and read as the text ones are; other tables by the names that `csv` knows, or by a mapping file: \
                  `mapping:FILE.toml`.",
    status: Status::Documented,
    detect: |head| head.starts_with(b"PAR1"),
    open: |input| parquet::open(input, Mapping::known()),
};

/// Whether a format of its own, with a row of its own, recognises the input: many have well-known names too.
fn is_of_its_own(head: &[u8]) -> bool {
    let generic = [CSV.name, JSON.name];
    SOURCES.iter().any(|source| !generic.contains(&source.name) && (source.detect)(head))
}

/// What stands before the name of a mapping file where a format is named.
pub(crate) const PREFIX: &str = "mapping:";

/// Starts reading an input as a mapping file says.
pub(crate) fn open_mapped(file: &str, mut input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let mapping = Mapping::file(Path::new(file))?;
    let head = input.peek()?;
    let json = head.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
    match mapping.form {
        Form::Parquet => parquet::open(input, mapping),
        Form::Auto if head.starts_with(b"PAR1") => parquet::open(input, mapping),
        Form::Json => open_json(input, mapping),
        Form::Auto if json => open_json(input, mapping),
        Form::Csv | Form::Auto => open_csv(input, mapping),
    }
}

fn open_csv(input: Input, mapping: Mapping) -> Result<Box<dyn FlowReader>, IntakeError> {
    let format = Csv::new(CSV.name, mapping);
    open_text(CSV.name, "a header line with the columns' names, and flows", Shape::LINES, input, format)
}

fn open_json(input: Input, mapping: Mapping) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["records", "events", "hits", "data"] };
    open_text(JSON.name, "JSON objects with a flow each", shape, input, Json::new(JSON.name, mapping))
}
