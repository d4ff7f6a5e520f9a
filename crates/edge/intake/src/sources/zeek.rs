//! stub
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source};
pub(crate) static SOURCE: Source = Source { name: "zeek", aliases: &[], title: "", description: "", detect: |_| false, open };
fn open(_: Input) -> Result<Box<dyn FlowReader>, IntakeError> { Err(IntakeError::UnknownFormat { name: String::new(), known: String::new() }) }
