//! Policy files to values.

use std::collections::BTreeMap;

use model::{Mode, SourceLocation};

use crate::ast::{
    Assertion, Document, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned,
};
use crate::diagnostic::{Diagnostic, nearest, quote};
use crate::reader::{Fields, Reader, listed};
use crate::terms;
use crate::yaml::{self, Node};

/// Kinds of documents with their keys, `kind` first. The schema and the messages are made from it.
pub(crate) const KINDS: [(&str, &[&str]); 3] = [
    ("Segment", &["kind", "name", "members", "selector", "confidence", "reasons"]),
    ("Guardrail", &["kind", "owner", "deny", "allow", "tests"]),
    ("SegmentPolicy", &["kind", "scope", "owner", "mode", "allow", "tests"]),
];

pub(crate) const RULE_KEYS: &[&str] = &["id", "from", "to", "ports", "why", "evidence", "ticket", "expires"];
pub(crate) const GUARDRAIL_ALLOW_KEYS: &[&str] = &["id", "from", "to", "ports", "why", "evidence"];
pub(crate) const GUARDRAIL_DENY_KEYS: &[&str] = &["id", "from", "except", "to", "ports", "why"];

const WHY: &str =
    "say why in a few words, with the ticket or the requirement: a rule without a reason is never removed";
const ID: &str = "give it a short name that is unique in the policy, such as `web-to-api`";
const OWNER: &str = "name the team that answers for it, such as `owner: team-payments`";

/// Reads policy files, each as `(file name, text)`, in the order of their names.
///
/// # Errors
/// Every problem of every file, in order of file and place.
pub fn parse(files: &[(String, String)]) -> Result<PolicySet, Vec<Diagnostic>> {
    let mut sorted: Vec<&(String, String)> = files.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut reader = Reader::default();
    let mut set = PolicySet::default();
    for (file, text) in sorted {
        let (nodes, problems) = yaml::read(file, text);
        reader.problems.extend(problems);
        for node in &nodes {
            if let Some(document) = reader.document(node) {
                set.documents.push((file.clone(), document));
            }
        }
    }
    reader.unique_names(&set);
    let mut problems = reader.problems;
    if problems.is_empty() {
        return Ok(set);
    }
    problems.sort_by(|a, b| a.location.cmp(&b.location));
    quote(&mut problems, files);
    Err(problems)
}

impl Reader {
    fn document(&mut self, node: &Node) -> Option<Document> {
        let every: Vec<&str> = KINDS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        // The kind decides which keys are known, so it is looked up before the keys are checked.
        let kind = match &node.value {
            yaml::Value::Map(entries) => entries.iter().find_map(|(key, value)| match &key.value {
                yaml::Value::Text(name) if name == "kind" => Some(value),
                _ => None,
            }),
            _ => None,
        };
        let Some(kind) = kind else {
            if self.fields(node, "a document", &every).is_some() {
                self.error(
                    &node.at,
                    "the document lacks `kind`",
                    format!("start it with `kind: ` and one of {}", listed(&kinds)),
                );
            }
            return None;
        };
        let kind = self.text(kind, "kind");
        let Some((_, keys)) = KINDS.iter().find(|(name, _)| *name == kind.value) else {
            if !kind.value.is_empty() {
                let help = match nearest(&kind.value, kinds.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("write one of {}", listed(&kinds)),
                };
                self.error(&kind.at, format!("`{}` is not a kind of document", kind.value), help);
            }
            return None;
        };
        match kind.value.as_str() {
            "Segment" => self.fields(node, "a segment", keys).map(|f| Document::Segment(self.segment(&f))),
            "Guardrail" => {
                self.fields(node, "a guardrail", keys).map(|f| Document::Guardrail(self.guardrail(&f)))
            }
            _ => self
                .fields(node, "a segment policy", keys)
                .map(|f| Document::SegmentPolicy(self.segment_policy(&f))),
        }
    }

    fn segment(&mut self, fields: &Fields<'_>) -> SegmentDocument {
        let name = self.required_text(fields, "name", "name it, so that rules can say `segment:NAME`");
        if name.value.contains(char::is_whitespace) {
            self.error(
                &name.at,
                format!("the segment name `{}` holds a space", name.value),
                "join the words with `-`",
            );
        }
        let members: Vec<Spanned<String>> =
            self.items(fields, "members").iter().map(|item| self.text(item, "members")).collect();
        let selector = fields.get("selector").and_then(|node| self.selector(node, "selector"));
        if fields.get("members").is_some() == fields.get("selector").is_some() {
            let message = "a segment needs either `members` or `selector`";
            self.error(
                fields.at(),
                message,
                "list workload ids under `members`, or write `selector: app=payments`",
            );
        }
        let reasons =
            self.items(fields, "reasons").iter().map(|item| self.text(item, "reasons").value).collect();
        SegmentDocument { name, members, selector, confidence: self.fraction(fields, "confidence"), reasons }
    }

    fn guardrail(&mut self, fields: &Fields<'_>) -> Guardrail {
        let owner = self.required_text(fields, "owner", OWNER).value;
        let deny = self.items(fields, "deny").iter().filter_map(|node| self.guardrail_deny(node)).collect();
        let allow =
            self.items(fields, "allow").iter().filter_map(|node| self.guardrail_allow(node)).collect();
        Guardrail { owner, deny, allow, tests: self.tests(fields) }
    }

    fn guardrail_deny(&mut self, node: &Node) -> Option<GuardrailDeny> {
        let fields = self.fields(node, "a guardrail's deny", GUARDRAIL_DENY_KEYS)?;
        let except = fields.get("except").map(|node| self.terms(node, "except")).unwrap_or_default();
        Some(GuardrailDeny {
            id: self.id(&fields),
            from: self.peer(&fields, "from"),
            except,
            to: self.peer(&fields, "to"),
            ports: self.ports(&fields),
            why: self.required_text(&fields, "why", WHY).value,
        })
    }

    fn guardrail_allow(&mut self, node: &Node) -> Option<GuardrailAllow> {
        let fields = self.fields(node, "a guardrail's allow", GUARDRAIL_ALLOW_KEYS)?;
        Some(GuardrailAllow {
            id: self.id(&fields),
            from: self.peer(&fields, "from"),
            to: self.peer(&fields, "to"),
            ports: self.ports(&fields),
            why: self.required_text(&fields, "why", WHY).value,
            evidence: self.evidence(&fields),
        })
    }

    fn segment_policy(&mut self, fields: &Fields<'_>) -> SegmentPolicy {
        SegmentPolicy {
            scope: self.scope(fields),
            owner: self.required_text(fields, "owner", OWNER).value,
            mode: self.mode(fields),
            allow: self.items(fields, "allow").iter().filter_map(|node| self.rule(node)).collect(),
            tests: self.tests(fields),
        }
    }

    fn scope(&mut self, fields: &Fields<'_>) -> Peer {
        const HELP: &str = "write whom it governs: `scope: app=payments,env=prod` or `scope: segment:NAME`";
        let Some(node) = self.required(fields, "scope", HELP) else { return Peer::new() };
        let scope = self.terms(node, "scope");
        for term in &scope {
            if !matches!(term.value, PeerTerm::Labels(_) | PeerTerm::Segment(_)) {
                self.error(&term.at, "a scope must be a label selector or `segment:NAME`", HELP);
            }
        }
        scope
    }

    fn mode(&mut self, fields: &Fields<'_>) -> Mode {
        const MODES: [(&str, Mode); 4] = [
            ("observe", Mode::Observe),
            ("test", Mode::Test),
            ("selective", Mode::Selective),
            ("enforce", Mode::Enforce),
        ];
        let Some(text) = self.optional_text(fields, "mode") else { return Mode::default() };
        let found = MODES.iter().find(|(name, _)| *name == text.value);
        if found.is_none() && !text.value.is_empty() {
            let help = match nearest(&text.value, MODES.map(|(name, _)| name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write one of {}", listed(&MODES.map(|(name, _)| name))),
            };
            self.error(&text.at, format!("`{}` is not a mode", text.value), help);
        }
        found.map(|(_, mode)| *mode).unwrap_or_default()
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let fields = self.fields(node, "a rule", RULE_KEYS)?;
        let expires = self.optional_text(&fields, "expires").filter(|text| !text.value.is_empty());
        if let (Some(text), Some(node)) = (&expires, fields.get("expires"))
            && let Err(problem) = terms::expiry(&text.value)
        {
            self.bad_term(node, 0, problem);
        }
        Some(Rule {
            id: self.id(&fields),
            from: self.peer(&fields, "from"),
            to: self.peer(&fields, "to"),
            ports: self.ports(&fields),
            why: self.required_text(&fields, "why", WHY).value,
            evidence: self.evidence(&fields),
            ticket: self.optional_text(&fields, "ticket").map(|text| text.value),
            expires,
        })
    }

    fn id(&mut self, fields: &Fields<'_>) -> Spanned<String> {
        let id = self.required_text(fields, "id", ID);
        // Ids go into file names, log prefixes and rule comments of targets.
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
        if !id.value.chars().all(legal) {
            let message =
                format!("the id `{}` holds other characters than letters, digits and `-_./:`", id.value);
            self.error(&id.at, message, "use letters, digits and `-`, such as `web-to-api`");
        }
        id
    }

    fn tests(&mut self, fields: &Fields<'_>) -> Vec<Assertion> {
        self.items(fields, "tests").iter().filter_map(|node| self.test(node)).collect()
    }

    fn test(&mut self, node: &Node) -> Option<Assertion> {
        let before = self.problems.len();
        let text = self.text(node, "tests");
        if self.problems.len() > before {
            return None;
        }
        match terms::sentence(&text.value) {
            Ok(terms::Sentence { from, verb, to, services }) => {
                let at = text.at.clone();
                let peer = |value| vec![Spanned { value, at: at.clone() }];
                Some(Assertion { from: peer(from), verb, to: peer(to), services, text })
            }
            Err(problem) => {
                self.bad_term(node, 0, problem);
                None
            }
        }
    }

    /// Rule ids and segment names must each be unique in the whole set, since plans, logs and reports name them alone.
    fn unique_names(&mut self, set: &PolicySet) {
        let (mut ids, mut names) = (BTreeMap::new(), BTreeMap::new());
        for (_, document) in &set.documents {
            match document {
                Document::Segment(segment) => self.unique(&mut names, &segment.name, "segment"),
                Document::Guardrail(guardrail) => {
                    guardrail.deny.iter().for_each(|rule| self.unique(&mut ids, &rule.id, "rule"));
                    guardrail.allow.iter().for_each(|rule| self.unique(&mut ids, &rule.id, "rule"));
                }
                Document::SegmentPolicy(policy) => {
                    policy.allow.iter().for_each(|rule| self.unique(&mut ids, &rule.id, "rule"));
                }
            }
        }
    }

    fn unique<'a>(
        &mut self,
        seen: &mut BTreeMap<&'a str, &'a SourceLocation>,
        name: &'a Spanned<String>,
        what: &str,
    ) {
        if name.value.is_empty() {
            return;
        }
        if let Some(first) = seen.get(name.value.as_str()) {
            let message = format!("the {what} `{}` is already defined at {first}", name.value);
            self.error(&name.at, message, format!("give one {what} another name"));
        } else {
            seen.insert(&name.value, &name.at);
        }
    }
}
