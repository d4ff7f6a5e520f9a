//! Canonical text that keeps the comments of the text it comes from.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, Placement};

use crate::diagnostic::Diagnostic;
use crate::format::format;
use crate::parse::parse;
use crate::yaml::{self, Node, Value};

/// The canonical form of a policy file, with its comments: each stays with the key, the rule or the list item that it
/// stands above or beside, wherever that now stands. Blank lines go.
///
/// # Errors
/// Every problem of the file, as [`parse`] reports them.
pub fn format_text(file: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
    let set = parse(&[(file.to_owned(), text.to_owned())])?;
    let comments = comments(text);
    let formatted = format(&set).into_iter().next().map(|(_, text)| text).unwrap_or_default();
    if comments.is_empty() {
        return Ok(formatted);
    }
    Ok(weave(&formatted, &anchors(text), &anchors(&formatted), &comments))
}

/// A comment with its line in the source, counted from 1.
struct Comment {
    line: u32,
    /// Beside something, rather than on a line of its own.
    beside: bool,
    text: String,
}

fn comments(text: &str) -> Vec<Comment> {
    let options = granit_parser::options! { max_buffered_comment_events: usize::MAX };
    let mut found = Vec::new();
    // The text has been parsed before, so there is no error left to report.
    for (event, span) in Parser::new_from_str_with_options(text, options).flatten() {
        if let Event::Comment(text, placement) = event {
            let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
            let text = text.trim_end().to_owned();
            found.push(Comment { line, beside: placement == Placement::Right, text });
        }
    }
    found.sort_by_key(|comment| comment.line);
    found
}

/// Something that a comment can belong to: where it stands, and the names that lead to it.
struct Anchor {
    line: u32,
    path: Vec<String>,
}

/// Every key and list item of a file, in order.
fn anchors(text: &str) -> Vec<Anchor> {
    let (documents, _) = yaml::read("", text);
    let mut list = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        walk(document, &mut vec![index.to_string()], &mut list);
    }
    list
}

fn walk(node: &Node, path: &mut Vec<String>, list: &mut Vec<Anchor>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                path.push(name(key, 0));
                list.push(Anchor { line: key.at.line, path: path.clone() });
                walk(value, path, list);
                path.pop();
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(name(item, index));
                list.push(Anchor { line: item.at.line, path: path.clone() });
                walk(item, path, list);
                path.pop();
            }
        }
        Value::Text(_) | Value::Null => {}
    }
}

/// What a node is called among its siblings: its text, the `id` of a rule, or else its number.
fn name(node: &Node, index: usize) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Map(entries) => {
            let is_id = |key: &Node| matches!(&key.value, Value::Text(text) if text == "id");
            match entries.iter().find(|(key, _)| is_id(key)).map(|(_, value)| &value.value) {
                Some(Value::Text(id)) => id.clone(),
                _ => index.to_string(),
            }
        }
        Value::List(_) | Value::Null => index.to_string(),
    }
}

/// Puts each comment above or beside the line where its anchor stands in the formatted text.
fn weave(formatted: &str, source: &[Anchor], target: &[Anchor], comments: &[Comment]) -> String {
    let mut lines_of: BTreeMap<&[String], u32> = BTreeMap::new();
    for anchor in target {
        lines_of.entry(&anchor.path).or_insert(anchor.line);
    }
    let mut above: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    let mut beside: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    let mut last: Vec<&str> = Vec::new();
    for comment in comments {
        // Anchors stand in the order of their lines. Beside a closing bracket there is none: the comment then goes to
        // what follows, as one on a line of its own does.
        let on = source.partition_point(|anchor| anchor.line < comment.line);
        let after = source.partition_point(|anchor| anchor.line <= comment.line);
        let anchor = source.get(if comment.beside { on } else { after });
        match anchor.and_then(|anchor| line_of(&lines_of, &anchor.path)) {
            Some(line) if comment.beside => beside.entry(line).or_default().push(&comment.text),
            Some(line) => above.entry(line).or_default().push(&comment.text),
            None => last.push(&comment.text),
        }
    }
    let mut out = String::with_capacity(formatted.len() + 64 * comments.len());
    for (number, line) in (1..).zip(formatted.lines()) {
        let indent = &line[..line.len() - line.trim_start().len()];
        for text in above.get(&number).into_iter().flatten() {
            out.extend([indent, "#", text, "\n"]);
        }
        out.push_str(line);
        for text in beside.get(&number).into_iter().flatten() {
            out.extend(["  #", text]);
        }
        out.push('\n');
    }
    for text in last {
        out.extend(["#", text, "\n"]);
    }
    out
}

/// The line of a path, or of the nearest one above it that the formatted text has a line for.
fn line_of(lines: &BTreeMap<&[String], u32>, path: &[String]) -> Option<u32> {
    (1..=path.len()).rev().find_map(|length| lines.get(&path[..length]).copied())
}
