//! AWS VPC flow logs as text: one record a line, fields by name.

pub(crate) mod layout;
pub(crate) mod record;
pub(crate) mod wrapped;

use self::layout::{FIELDS, Field, Layout};
use self::record::Values;
use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::bytes::{decimal, shown};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "aws-vpc",
    aliases: &["vpc-flow-logs"],
    title: "AWS VPC flow logs as text",
    description: "Records of AWS VPC and transit gateway flow logs, versions 2 to 10, one a line. Fields are found by the \
                  header line's names, in any order, separated by spaces or commas; without a header the documented orders \
                  are taken (the default, all fields of a version, transit gateways, containers). CloudWatch's forms are \
                  unwrapped: objects with a `message`, `filter-log-events`, subscriptions, exports to S3. The packet's own \
                  addresses come first; the interface's, where they differ, are kept as `nat_*`. `NODATA` and `SKIPDATA` \
                  records are counted, `REJECT` becomes the verdict deny.",
    status: Status::Verified,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let is_record = |text: &[u8]| {
        Layout::of_header(text).is_some() || Layout::of_record(wrapped::without_time(text)).is_some()
    };
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    if head.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'[')) {
        return wrapped::first_message(head).is_some_and(|message| is_record(&message));
    }
    lines.take(3).any(is_record)
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let shape = Shape { json: true, containers: &["events", "logEvents"] };
    open_text(SOURCE.name, "lines of an AWS VPC flow log", shape, input, Records { layout: None })
}

struct Records {
    layout: Option<Layout>,
}

impl TextFormat for Records {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if text.first() == Some(&b'{') {
            return wrapped::each_message(text, sink, |message, sink| self.line(message, sink));
        }
        self.line(text, sink)
    }
}

impl Records {
    fn line(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if let Some(layout) = &self.layout
            && let Ok(values) = Text::cut(layout, text)
            && record::take(&values, sink).is_ok()
        {
            return Ok(());
        }
        self.other_line(text.trim_ascii(), sink)
    }

    /// A line that is no record as they were so far: a header, a record behind a time, one of another layout, or a bad one.
    fn other_line(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if let Some(layout) = Layout::of_header(text) {
            self.layout = Some(layout);
            sink.header();
            return Ok(());
        }
        let text = wrapped::without_time(text);
        if !self.layout.as_ref().is_some_and(|layout| layout.told)
            && let Some(layout) = Layout::of_record(text)
        {
            self.layout = Some(layout);
        }
        let layout = self.layout.as_ref().ok_or(
            "there is no header line with the fields' names, and the record is not in a documented order; put the flow \
             log's format line in front",
        )?;
        record::take(&Text::cut(layout, text)?, sink)
    }
}

/// The values of a line.
struct Text<'a> {
    /// Empty where the record has none.
    values: [&'a [u8]; FIELDS],
    plain: bool,
}

impl<'a> Text<'a> {
    fn cut(layout: &Layout, text: &'a [u8]) -> Result<Self, String> {
        let mut cut = Self { values: [&[]; FIELDS], plain: layout.plain };
        let mut width = 0;
        let mut keep = |value: &'a [u8]| {
            if let Some(Some(field)) = layout.fields.get(width) {
                cut.values[*field as usize] = if value == b"-" { &[] } else { value };
            }
            width += 1;
        };
        if layout.comma {
            text.split(|byte| *byte == b',').for_each(|value| keep(unquoted(value)));
        } else {
            spaced(text, keep);
        }
        if width != layout.fields.len() {
            let expected = layout.fields.len();
            return Err(format!("the record has {width} values; expected {expected} as named by the header"));
        }
        Ok(cut)
    }
}

/// Calls for each value between white space.
fn spaced<'a>(text: &'a [u8], mut keep: impl FnMut(&'a [u8])) {
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte <= b' ' {
            if at > from {
                keep(&text[from..at]);
            }
            from = at + 1;
        }
    }
    if from < text.len() {
        keep(&text[from..]);
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

impl Values for Text<'_> {
    #[inline]
    fn text(&self, field: Field) -> Option<&[u8]> {
        let value = self.values[field as usize];
        (!value.is_empty()).then_some(value)
    }

    #[inline]
    fn number(&self, field: Field) -> Result<Option<u64>, String> {
        let Some(text) = self.text(field) else { return Ok(None) };
        decimal(text).map(Some).ok_or_else(|| format!("`{}` is not a number", shown(text)))
    }

    #[inline]
    fn plain(&self) -> bool {
        self.plain
    }
}
