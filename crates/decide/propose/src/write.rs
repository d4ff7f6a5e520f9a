//! Drafts as documents of the policy language: one file for guardrails, one for segments, one for each segment's
//! policy, and one for the policies of workloads that are in no segment.

use std::collections::BTreeMap;

use model::{IpSet, Mode, Service};
use policy::{
    Assertion, Document, Guardrail, GuardrailAllow, Peer, PeerTerm, PolicySet, Rule, SegmentPolicy, Spanned,
};

use crate::cards;
use crate::cells::CellKind;
use crate::existing::Existing;
use crate::group::Kind;
use crate::names::{Unique, slug};
use crate::peers::{Peers, term_text, unwritten};
use crate::proposal::{NeedsReview, RuleCard};
use crate::review;
use crate::sentences::Sentences;
use crate::triage::Fate;
use crate::well_known::service_name;
use crate::width::{Draft, Drafter, Side};

/// The documents and the rules' cards.
pub(crate) struct Written {
    /// Sorted by file, in the order of the file.
    pub(crate) documents: Vec<(String, Document)>,
    /// Sorted by id.
    pub(crate) cards: Vec<RuleCard>,
    /// By segment.
    pub(crate) needs_review: Vec<NeedsReview>,
}

/// Names that are taken and may not be given again.
pub(crate) struct Taken {
    pub(crate) ids: Unique,
    pub(crate) files: Unique,
}

pub(crate) struct Writer<'a> {
    pub(crate) drafter: &'a Drafter<'a>,
    pub(crate) fates: &'a [Fate],
    pub(crate) existing: Option<&'a Existing>,
}

impl Writer<'_> {
    pub(crate) fn write(&self, drafts: &[Draft], peers: &mut Peers<'_>, taken: &mut Taken) -> Written {
        let files = self.files(taken);
        let mut cards = Vec::new();
        let mut rules: BTreeMap<usize, Vec<Rule>> = BTreeMap::new();
        let mut guardrail = self.guardrail();
        for draft in drafts {
            let id = taken.ids.take(&self.id(draft));
            let (from, to) = (peer(peers.terms(&draft.from)), peer(peers.terms(&draft.to)));
            let rule = self.rule(id, from, to, draft);
            match self.home(draft) {
                Home::Guardrail => {
                    cards.push(self.card(&rule, draft, &files.guardrails, true));
                    guardrail.allow.push(allow(rule));
                }
                Home::Cell(cell) => {
                    cards.push(self.card(&rule, draft, &files.of[&cell], false));
                    rules.entry(cell).or_default().push(rule);
                }
            }
        }
        let mut documents = Vec::new();
        if !guardrail.allow.is_empty() {
            documents.push((files.guardrails.clone(), Document::Guardrail(guardrail)));
        }
        let segments = peers.documents().into_iter();
        documents.extend(segments.map(|segment| (files.segments.clone(), Document::Segment(segment))));
        let mut needs_review = Vec::new();
        let sentences = Sentences::new(self.drafter, drafts, self.existing);
        for &cell in &self.drafter.governed.cells {
            let allow = rules.remove(&cell).unwrap_or_default();
            let policy = self.policy(cell, allow, sentences.of(cell, peers), peers);
            let Some(mut policy) = policy else { continue };
            // What people enforce already stays as they have it.
            let ours = self.existing.is_none_or(|existing| {
                existing.mode_of(&peers.members(&self.drafter.cells.list[cell])).is_none()
            });
            if let Some(review) = review::of(self.drafter, cell, &files.of[&cell]).filter(|_| ours) {
                policy.mode = policy.mode.min(Mode::Observe);
                needs_review.push(review);
            }
            documents.push((files.of[&cell].clone(), Document::SegmentPolicy(policy)));
        }
        documents.sort_by(|a, b| a.0.cmp(&b.0));
        cards.sort_by(|a, b| a.id.cmp(&b.id));
        Written { documents, cards, needs_review }
    }

    /// A cell's policy. Where people govern all of it already, their mode stands, since of two modes the milder holds
    /// and a proposal must not loosen what is enforced; without a rule to add there is then nothing to say.
    fn policy(
        &self,
        cell: usize,
        allow: Vec<Rule>,
        tests: Vec<Assertion>,
        peers: &Peers<'_>,
    ) -> Option<SegmentPolicy> {
        let members = peers.members(&self.drafter.cells.list[cell]);
        let theirs = self.existing.and_then(|existing| existing.mode_of(&members));
        if theirs.is_some() && allow.is_empty() {
            return None;
        }
        Some(SegmentPolicy {
            scope: peer(peers.cell_terms(cell).into_iter().filter(is_segment).collect()),
            owner: self.drafter.options.owner.clone(),
            mode: theirs.unwrap_or(self.drafter.options.mode),
            allow,
            tests,
        })
    }

    fn files(&self, taken: &mut Taken) -> Files {
        let folder = &self.drafter.options.folder;
        let mut path = |name: &str| {
            let wanted = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let stem = taken.files.take(wanted.trim_end_matches(".yaml"));
            format!("{stem}.yaml")
        };
        let (guardrails, segments) = (path("00-guardrails.yaml"), path("segments.yaml"));
        let mut unassigned: Option<String> = None;
        let mut of = BTreeMap::new();
        for &cell in &self.drafter.governed.cells {
            let entry = &self.drafter.cells.list[cell];
            let file = match entry.kind {
                CellKind::Segment(_) => path(&entry.name),
                _ => unassigned.get_or_insert_with(|| path("unassigned.yaml")).clone(),
            };
            of.insert(cell, file);
        }
        Files { guardrails, segments, of }
    }

    fn guardrail(&self) -> Guardrail {
        let owner = self.drafter.options.owner.clone();
        Guardrail { owner, deny: Vec::new(), allow: Vec::new(), tests: Vec::new() }
    }

    /// The file that a draft belongs in: guardrails for what is everybody's, else the server's, else the client's.
    fn home(&self, draft: &Draft) -> Home {
        let governed = &self.drafter.governed.cells;
        // A guardrail's allow would beat a guardrail's deny, and people's denies are not for learning to beat: where one
        // speaks of the traffic, the rule is an ordinary allow.
        let denied = self.existing.is_some_and(|existing| {
            existing.denies(&self.addresses(&draft.from), &self.addresses(&draft.to), &draft.services)
        });
        match draft.kind {
            Kind::SharedServer(cell) | Kind::SharedClient(cell) if denied && governed.contains(&cell) => {
                Home::Cell(cell)
            }
            Kind::SharedServer(_) | Kind::SharedClient(_) => Home::Guardrail,
            Kind::Pair(_, server) if governed.contains(&server) => Home::Cell(server),
            Kind::Pair(client, _) if governed.contains(&client) => Home::Cell(client),
            // A flat rule begins with a pair that may lie outside; it is everybody's all the same.
            Kind::Pair(..) => Home::Guardrail,
        }
    }

    fn addresses(&self, sides: &[Side]) -> IpSet {
        let cells = |cells: &mut dyn Iterator<Item = usize>| -> Vec<u32> {
            cells.flat_map(|cell| self.drafter.cells.list[cell].nodes.iter().copied()).collect()
        };
        let nodes = sides.iter().flat_map(|side| match side {
            Side::Everybody => cells(&mut self.drafter.governed.cells.iter().copied()),
            Side::Cell(cell) => cells(&mut std::iter::once(*cell)),
            Side::Node(node) => vec![*node],
        });
        let ips = nodes.flat_map(|node| &self.drafter.graph.nodes[node as usize].addresses);
        IpSet::from_ranges(ips.map(|ip| (*ip, *ip)))
    }

    fn rule(&self, id: String, from: Peer, to: Peer, draft: &Draft) -> Rule {
        let evidence = cards::evidence(self.drafter, self.fates, draft);
        Rule {
            id: unwritten(id),
            from,
            to,
            ports: draft.services.iter().map(|service| unwritten(*service)).collect(),
            why: cards::why(self.drafter, draft, &evidence),
            evidence: Some(cards::written(&evidence)),
            ticket: None,
            expires: None,
        }
    }

    fn card(&self, rule: &Rule, draft: &Draft, file: &str, guardrail: bool) -> RuleCard {
        let texts = |peer: &Peer| peer.iter().map(|term| term_text(&term.value)).collect();
        RuleCard {
            id: rule.id.value.clone(),
            file: file.to_owned(),
            guardrail,
            from: texts(&rule.from),
            to: texts(&rule.to),
            services: draft.services.clone(),
            why: rule.why.clone(),
            evidence: cards::evidence(self.drafter, self.fates, draft),
            samples: cards::samples(self.drafter.graph, draft),
        }
    }

    /// `web-to-db-postgresql`; before it is made unique.
    fn id(&self, draft: &Draft) -> String {
        let service = draft.services.first().map_or_else(String::new, |s: &Service| service_name(*s));
        format!("{}-to-{}-{service}", self.side_name(&draft.from), self.side_name(&draft.to))
    }

    fn side_name(&self, sides: &[Side]) -> String {
        let cells = &self.drafter.cells;
        match sides {
            [Side::Cell(cell)] => cells.list[*cell].name.clone(),
            [Side::Node(node)] => slug(&self.drafter.graph.nodes[*node as usize].id.0),
            [Side::Node(node), ..] => format!("some-{}", cells.list[cells.of[*node as usize]].name),
            [Side::Everybody, ..] => String::from("all"),
            _ => String::from("many"),
        }
    }
}

enum Home {
    Guardrail,
    Cell(usize),
}

struct Files {
    guardrails: String,
    segments: String,
    of: BTreeMap<usize, String>,
}

/// People's documents first as they are, then ours; in the order of file names.
pub(crate) fn together(existing: Option<&PolicySet>, proposed: Vec<(String, Document)>) -> PolicySet {
    let mut documents: Vec<(String, Document)> =
        existing.iter().flat_map(|set| set.documents.iter().cloned()).chain(proposed).collect();
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    PolicySet { documents }
}

fn allow(rule: Rule) -> GuardrailAllow {
    let Rule { id, from, to, ports, why, evidence, .. } = rule;
    GuardrailAllow { id, from, to, ports, why, evidence }
}

fn peer(terms: Vec<PeerTerm>) -> Vec<Spanned<PeerTerm>> {
    terms.into_iter().map(unwritten).collect()
}

fn is_segment(term: &PeerTerm) -> bool {
    matches!(term, PeerTerm::Segment(_))
}
