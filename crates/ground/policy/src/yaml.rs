//! YAML text as a tree in which every node knows its place.
//!
//! Policy files use a subset: scalars are always text (`no` is a word, `1.10` keeps its zero), and anchors, aliases
//! and tags are refused, so a file means what it shows and cannot grow when read.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use model::SourceLocation;

use crate::diagnostic::Diagnostic;

/// Deepest nesting of lists and maps; a policy needs five.
const MAX_DEPTH: usize = 32;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: SourceLocation,
    /// Whether the text stands in the file as it is in the value, so that columns within it can be told.
    pub(crate) verbatim: bool,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// An empty value, `~` or `null`, unquoted.
    Null,
    Text(String),
    List(Vec<Node>),
    /// Entries in the order of the file; keys may repeat.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads all documents of a file. A document that is not YAML is left out and reported; those after it are read.
pub(crate) fn read(file: &str, text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let options = granit_parser::options! {
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    let mut tree =
        Tree { file, parser: Parser::new_from_str_with_options(text, options), problems: Vec::new() };
    let mut documents = Vec::new();
    loop {
        match tree.document() {
            Ok(Some(node)) => documents.push(node),
            Ok(None) => break,
            Err(error) => {
                tree.problems.push(tree.syntax_error(&error));
                if !matches!(tree.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    documents.retain(|node| !matches!(node.value, Value::Null));
    (documents, tree.problems)
}

struct Tree<'a> {
    file: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    problems: Vec<Diagnostic>,
}

impl<'a> Tree<'a> {
    /// The next document's root, or none at the end of the file.
    fn document(&mut self) -> Result<Option<Node>, ScanError> {
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => return Ok(None),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => return self.node(event, span).map(Some),
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, ScanError> {
        self.parser.next_event().transpose()
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, ScanError> {
        let at = self.place(&span);
        let mut verbatim = false;
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(anchor != 0, tag.is_some(), &at);
                verbatim = style == ScalarStyle::Plain;
                let null = verbatim && matches!(&*text, "" | "~" | "null");
                if null { Value::Null } else { Value::Text(text.into_owned()) }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_extras(anchor != 0, tag.is_some(), &at);
                let mut items = Vec::new();
                while let Some((event, span)) = self.next()? {
                    match event {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, span)?),
                    }
                }
                Value::List(items)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_extras(anchor != 0, tag.is_some(), &at);
                Value::Map(self.entries()?)
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let problem = Diagnostic::error(at.clone(), "an alias (`*name`) is not allowed in a policy");
                self.problems
                    .push(problem.with_help("write the value out, or quote it if it is meant as text"));
                Value::Null
            }
            _ => Value::Null,
        };
        Ok(Node { value, at, verbatim })
    }

    fn entries(&mut self) -> Result<Vec<(Node, Node)>, ScanError> {
        let mut entries = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span)?;
            let Some((event, span)) = self.next()? else { break };
            entries.push((key, self.node(event, span)?));
        }
        Ok(entries)
    }

    fn refuse_extras(&mut self, anchor: bool, tag: bool, at: &SourceLocation) {
        if anchor {
            let problem = Diagnostic::error(at.clone(), "an anchor (`&name`) is not allowed in a policy");
            self.problems.push(problem.with_help("write the value out where it is needed"));
        }
        if tag {
            let problem = Diagnostic::error(at.clone(), "a tag (`!name`) is not allowed in a policy");
            self.problems.push(problem.with_help("quote a value that starts with `!`, such as \"!legacy\""));
        }
    }

    fn place(&self, span: &Span) -> SourceLocation {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column) = (number(span.start.line()), number(span.start.col().saturating_add(1)));
        SourceLocation { file: self.file.to_owned(), line, column }
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = self.place(&Span::empty(*error.marker()));
        let message = format!("this is not YAML: {}", error.info());
        Diagnostic::error(at, message)
            .with_help("check indentation and quotes on this line and the one before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one() {
        let (documents, problems) = read("f", "---\nkind: X\nlist:\n  - a\n---\nb: 1\n");
        assert!(problems.is_empty());
        assert_eq!(documents.len(), 2);
        let Value::Map(entries) = &documents[0].value else { panic!("{documents:?}") };
        let Value::List(items) = &entries[1].1.value else { panic!("{documents:?}") };
        assert_eq!(items[0].at.to_string(), "f:4:5");
        assert_eq!(entries[0].0.at.to_string(), "f:2:1");
    }

    #[test]
    fn a_broken_document_does_not_hide_the_next() {
        let (documents, problems) = read("f", "a: [1\nb: }\n---\nc: 2\n---\nd: \"x\n");
        assert_eq!(documents.len(), 1, "{documents:?}");
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn what_grows_or_hides_is_refused() {
        let (_, problems) = read("f", "a: &x 1\nb: *x\nc: !t d\n");
        let lines: Vec<u32> = problems.iter().map(|p| p.location.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }
}
