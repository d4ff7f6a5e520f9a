//! What is wrong with a policy, and where.

use std::fmt;

use model::{Severity, SourceLocation};
use serde::Serialize;

/// One problem of a policy file, for the person who wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// How bad. Only errors keep a policy from being used.
    pub severity: Severity,
    /// Where.
    pub location: SourceLocation,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The line of the file, or empty when the text was not at hand.
    pub line: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem that keeps the policy from being used.
    pub fn error(location: SourceLocation, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, location, message)
    }

    /// A problem that should be looked at.
    pub fn warning(location: SourceLocation, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, location, message)
    }

    pub(crate) fn new(severity: Severity, location: SourceLocation, message: impl Into<String>) -> Self {
        Self { severity, location, message: message.into(), line: String::new(), help: None }
    }

    /// The same, with advice.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Fills in the quoted line, at most 400 characters of it, from the text of the file that the problem is in, if it
    /// is among these `(file, text)` pairs.
    pub fn quote(&mut self, files: &[(String, String)]) {
        quote(std::slice::from_mut(self), files);
    }
}

/// Fills in the quoted lines of many problems, going through each text once.
pub(crate) fn quote(problems: &mut [Diagnostic], files: &[(String, String)]) {
    // One problem's line may be the whole file, and every key of it a problem.
    const MAX_QUOTED_CHARACTERS: usize = 400;
    for (file, text) in files {
        let lines: Vec<&str> = text.lines().collect();
        for problem in problems.iter_mut().filter(|problem| problem.location.file == *file) {
            let index = (problem.location.line as usize).saturating_sub(1);
            let line = lines.get(index).copied().unwrap_or_default();
            problem.line = line.chars().take(MAX_QUOTED_CHARACTERS).collect();
        }
    }
}

impl fmt::Display for Diagnostic {
    /// Message, place, the line quoted with a mark below the column, advice; without a final line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        write!(f, "{word}: {}\n  --> {}", self.message, self.location)?;
        let reaches = self.line.chars().count() >= (self.location.column as usize).saturating_sub(1);
        if reaches && !self.line.trim().is_empty() {
            let number = self.location.line.to_string();
            let margin = " ".repeat(number.len());
            // A tab keeps its width below itself, so the mark stands where the eye expects it.
            let before = self.line.chars().take((self.location.column as usize).saturating_sub(1));
            let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n {margin} |\n {number} | {}\n {margin} | {indent}^", self.line.trim_end())?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  = help: {help}"),
            None => Ok(()),
        }
    }
}

/// The known name nearest to what was written, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let limit = (written.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (edit_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours. Inputs are cut at 64
/// characters to bound the cost.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_what_was_meant() {
        let known = ["allow", "deny", "owner", "scope", "expires"];
        for (written, meant) in
            [("alow", Some("allow")), ("dney", Some("deny")), ("Owner", Some("owner")), ("xyz", None)]
        {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }

    #[test]
    fn a_problem_shows_its_line() {
        let at = SourceLocation { file: "a.yaml".into(), line: 2, column: 3 };
        let mut problem = Diagnostic::error(at, "`x` is unknown").with_help("remove it");
        problem.quote(&[("a.yaml".into(), "a: 1\n  x: 2\n".into())]);
        assert_eq!(
            problem.to_string(),
            "error: `x` is unknown\n  --> a.yaml:2:3\n   |\n 2 |   x: 2\n   |   ^\n  = help: remove it"
        );
    }
}
