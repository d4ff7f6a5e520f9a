//! Policy values to canonical text: the same policy always gives the same bytes, and parsing them gives the policy.

use std::fmt::Write;

use crate::ast::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned,
};
use crate::resolve::mode_name;

/// Every file of a policy with its canonical text, sorted by file name.
pub fn format(set: &PolicySet) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut sorted: Vec<&(String, Document)> = set.documents.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for (file, document) in sorted {
        let text = format_document(document);
        match files.last_mut() {
            Some((last, all)) if last == file => {
                all.push_str("---\n");
                all.push_str(&text);
            }
            _ => files.push((file.clone(), text)),
        }
    }
    files
}

/// One document, ending with a line break and without `---`.
pub fn format_document(document: &Document) -> String {
    let mut out = Text::default();
    match document {
        Document::Segment(segment) => out.segment(segment),
        Document::Guardrail(guardrail) => out.guardrail(guardrail),
        Document::SegmentPolicy(policy) => out.segment_policy(policy),
    }
    out.text
}

#[derive(Default)]
struct Text {
    text: String,
    /// What the next line starts with: the indent, or `- ` once for the first key of a list's item.
    margin: &'static str,
    item: bool,
}

impl Text {
    fn line(&mut self, key: &str, value: &str) {
        let margin = if self.item { "  - " } else { self.margin };
        self.item = false;
        self.text.push_str(margin);
        self.text.push_str(key);
        self.text.push(':');
        if !value.is_empty() {
            self.text.push(' ');
            self.text.push_str(value);
        }
        self.text.push('\n');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.line(key, &scalar(value, false));
    }

    /// A list of texts, one a line.
    fn list<'a>(&mut self, key: &str, items: impl IntoIterator<Item = &'a str>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.line(key, "");
        }
        for item in items {
            self.text.push_str("  - ");
            self.text.push_str(&scalar(item, false));
            self.text.push('\n');
        }
    }

    fn rules<T>(&mut self, key: &str, rules: &[T], mut write: impl FnMut(&mut Self, &T)) {
        if rules.is_empty() {
            return;
        }
        self.line(key, "");
        self.margin = "    ";
        for rule in rules {
            self.item = true;
            write(self, rule);
        }
        self.margin = "";
    }

    fn segment(&mut self, segment: &SegmentDocument) {
        let SegmentDocument { name, members, selector, confidence, reasons } = segment;
        self.line("kind", "Segment");
        self.text("name", &name.value);
        if let Some(selector) = selector {
            self.text("selector", &selector.value.to_string());
        }
        if let Some(confidence) = confidence {
            self.line("confidence", &confidence.to_string());
        }
        self.list("reasons", reasons.iter().map(String::as_str));
        match (members.is_empty(), selector) {
            (true, None) => self.line("members", "[]"),
            _ => self.list("members", members.iter().map(|member| member.value.as_str())),
        }
    }

    fn guardrail(&mut self, guardrail: &Guardrail) {
        let Guardrail { owner, deny, allow, tests } = guardrail;
        self.line("kind", "Guardrail");
        self.text("owner", owner);
        self.rules("deny", deny, Self::guardrail_deny);
        self.rules("allow", allow, Self::guardrail_allow);
        self.tests(tests);
    }

    fn guardrail_deny(&mut self, rule: &GuardrailDeny) {
        let GuardrailDeny { id, from, except, to, ports, why } = rule;
        self.text("id", &id.value);
        self.peer("from", from);
        if !except.is_empty() {
            self.peer("except", except);
        }
        self.peer("to", to);
        self.ports(ports);
        self.text("why", why);
    }

    fn guardrail_allow(&mut self, rule: &GuardrailAllow) {
        let GuardrailAllow { id, from, to, ports, why, evidence } = rule;
        self.text("id", &id.value);
        self.peer("from", from);
        self.peer("to", to);
        self.ports(ports);
        self.text("why", why);
        self.evidence(evidence.as_ref());
    }

    fn segment_policy(&mut self, policy: &SegmentPolicy) {
        let SegmentPolicy { scope, owner, mode, allow, tests } = policy;
        self.line("kind", "SegmentPolicy");
        self.peer("scope", scope);
        self.text("owner", owner);
        self.line("mode", mode_name(*mode));
        self.rules("allow", allow, Self::rule);
        self.tests(tests);
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule { id, from, to, ports, why, evidence, ticket, expires } = rule;
        self.text("id", &id.value);
        self.peer("from", from);
        self.peer("to", to);
        self.ports(ports);
        self.text("why", why);
        self.evidence(evidence.as_ref());
        if let Some(ticket) = ticket {
            self.text("ticket", ticket);
        }
        if let Some(expires) = expires {
            self.line("expires", &date(&expires.value));
        }
    }

    fn peer(&mut self, key: &str, peer: &Peer) {
        match peer.as_slice() {
            [one] => self.text(key, &one.value.to_string()),
            many => {
                let terms: Vec<String> =
                    many.iter().map(|term| scalar(&term.value.to_string(), true)).collect();
                self.line(key, &format!("[{}]", terms.join(", ")));
            }
        }
    }

    fn ports(&mut self, ports: &[Spanned<model::Service>]) {
        if !ports.is_empty() {
            let ports: Vec<String> = ports.iter().map(|port| port.value.to_string()).collect();
            self.line("ports", &format!("[{}]", ports.join(", ")));
        }
    }

    fn evidence(&mut self, evidence: Option<&Evidence>) {
        let Some(Evidence { flows, days, last_seen, confidence, clients, servers, visibility }) = evidence
        else {
            return;
        };
        let mut text = format!("{{flows: {flows}, days: {days}");
        // Writing to a String cannot fail.
        if let Some(last_seen) = last_seen {
            let _ = write!(text, ", last_seen: {}", date(last_seen));
        }
        if let Some(confidence) = confidence {
            let _ = write!(text, ", confidence: {confidence}");
        }
        if let Some(clients) = clients {
            let _ = write!(text, ", clients: {clients}");
        }
        if let Some(servers) = servers {
            let _ = write!(text, ", servers: {servers}");
        }
        if let Some(visibility) = visibility {
            let _ = write!(text, ", visibility: {visibility}");
        }
        text.push('}');
        self.line("evidence", &text);
    }

    fn tests(&mut self, tests: &[Assertion]) {
        self.list("tests", tests.iter().map(|test| test.text.value.as_str()));
    }
}

impl std::fmt::Display for PeerTerm {
    /// The term as a policy file writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Internet => f.write_str("internet"),
            Self::Cidr(block) => write!(f, "cidr:{block}"),
            Self::Segment(name) => write!(f, "segment:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Fqdn(name) => write!(f, "fqdn:{name}"),
            Self::Labels(selector) => selector.fmt(f),
        }
    }
}

/// A date goes unquoted, as people write it; whatever else stands in its place goes by the common rule.
fn date(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+'))
        && !text.ends_with(':');
    if plain { text.to_owned() } else { scalar(text, true) }
}

/// A text as a YAML scalar: plain where every reader takes it for this very text, quoted elsewhere. `flow`: between
/// brackets, where commas and brackets end a plain scalar.
fn scalar(text: &str, flow: bool) -> String {
    let starts_safely = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '(' | '.'));
    let hides = text.contains(": ")
        || text.contains(" #")
        || text.ends_with([':', ' '])
        || text.contains(|c: char| c.is_control() || !is_common(c));
    let in_brackets = flow && text.contains([',', '[', ']', '{', '}', ':', '(', ' ']);
    if starts_safely && !hides && !in_brackets && !means_something_else(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if !c.is_control() && is_common(c) => quoted.push(c),
            c if u32::from(c) > 0xffff => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that every YAML reader takes inside a scalar: letters, digits, signs; no line or paragraph separators,
/// marks of byte order, or private characters.
fn is_common(c: char) -> bool {
    c == ' '
        || c.is_alphanumeric()
        || c.is_ascii_punctuation()
        || ('\u{00a1}'..='\u{02ff}').contains(&c)
        || ('\u{2010}'..='\u{2027}').contains(&c)
        || ('\u{2190}'..='\u{21ff}').contains(&c)
}

/// Whether a YAML reader may take the plain word for a number, a truth value, a date or nothing.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let numeric =
        |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | '-' | '+' | '_' | ':' | 'x' | 'o' | 'T' | 'Z');
    let starts_as_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || (starts_as_number && text.chars().all(numeric))
        || text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_quoted_where_needed() {
        for (text, written) in [
            ("checkout calls the payment API", "checkout calls the payment API"),
            ("app=*,env=dev", "app=*,env=dev"),
            ("no", "\"no\""),
            ("12", "\"12\""),
            ("1e5", "\"1e5\""),
            ("2026-11-19", "\"2026-11-19\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("!legacy", "\"!legacy\""),
            ("a\nb\\\"", "\"a\\nb\\\\\\\"\""),
            ("\u{2028}", "\"\\u2028\""),
            ("inf", "\"inf\""),
            ("PCI DSS 1.3.1", "PCI DSS 1.3.1"),
        ] {
            assert_eq!(scalar(text, false), written);
        }
        assert_eq!(scalar("a=b,c=d", true), "\"a=b,c=d\"");
    }
}
