//! Policy x inventory at a moment: rules with addresses, and the exact set of traffic that they allow.

use std::collections::BTreeMap;

use model::{
    Action, InventoryView, IpSet, Mode, Packet, Region, Service, ServiceSet, Severity, SourceLocation,
    TrafficSet, WorkloadId,
};

use crate::ast::{Document, Guardrail, Peer, PolicySet, Rule, SegmentDocument, SegmentPolicy, Spanned};
use crate::diagnostic::Diagnostic;
use crate::directory::{Directory, union_all};
use crate::terms;

/// A rule with the addresses that its peers meant at the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedRule {
    /// Unique in the policy.
    pub id: String,
    /// What it does.
    pub action: Action,
    /// Who asks; a guardrail's `except` is taken out already.
    pub from: IpSet,
    /// Who is asked.
    pub to: IpSet,
    /// For what.
    pub services: ServiceSet,
    /// The mode of the document that it stands in; guardrails have none of their own and say `enforce`.
    pub mode: Mode,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub why: String,
    /// Where it is written.
    pub location: SourceLocation,
}

impl ResolvedRule {
    /// Whether the rule speaks of the packet.
    pub fn matches(&self, packet: &Packet) -> bool {
        self.from.contains(packet.source)
            && self.to.contains(packet.destination)
            && self.services.has(packet.protocol, packet.selector)
    }

    /// The traffic that the rule speaks of.
    pub fn traffic(&self) -> TrafficSet {
        TrafficSet::product(&self.from, &self.to, &self.services)
    }
}

/// A rule that no longer held at the moment, and was left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiredRule {
    /// Its id.
    pub id: String,
    /// Its `expires` as written, and where.
    pub expires: Spanned<String>,
}

/// What happens to a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A rule allows it.
    Allow,
    /// A guardrail denies it, or nothing allows it and an endpoint is governed.
    Deny,
    /// No rule speaks of it and neither endpoint is governed: it passes, and nobody watches.
    Unmanaged,
}

/// What happens to a packet, and which rule says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// Index into [`Resolved::rules`]; none for the default deny and for unmanaged traffic.
    pub rule: Option<usize>,
}

/// A policy's exact meaning at one moment.
///
/// Precedence: guardrail allow, guardrail deny, allow, and the default deny for what a governed workload sends or
/// receives. Traffic between two endpoints that nobody governs is unmanaged unless a rule speaks of it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The rules in order of precedence, and within one action in the order of the files: the first that matches
    /// a packet decides.
    pub rules: Vec<ResolvedRule>,
    /// Addresses of the governed workloads: those in the scope of a segment policy.
    pub governed: IpSet,
    /// The exact traffic that rules allow. Unmanaged traffic is not in it: see [`Resolved::permitted`].
    pub allowed: TrafficSet,
    /// What should be looked at: names that mean nobody, guardrails that contradict each other, expired rules.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules left out because they had expired.
    pub expired: Vec<ExpiredRule>,
    modes: BTreeMap<WorkloadId, Mode>,
}

impl Resolved {
    /// The mode of a governed workload; none for a workload that nobody governs. Where several policies govern it,
    /// the least strict holds: nothing is dropped before every owner has said so.
    pub fn mode_of(&self, workload: &WorkloadId) -> Option<Mode> {
        self.modes.get(workload).copied()
    }

    /// The governed workloads with their modes, sorted by id.
    pub fn governed_workloads(&self) -> impl Iterator<Item = (&WorkloadId, Mode)> {
        self.modes.iter().map(|(id, mode)| (id, *mode))
    }

    /// What happens to a packet, found by trying one rule after the other: the reference that every faster
    /// evaluation must agree with.
    pub fn decide(&self, packet: &Packet) -> Decision {
        let rule = self.rules.iter().position(|rule| rule.matches(packet));
        let verdict = match rule.map(|index| self.rules[index].action) {
            Some(Action::GuardrailAllow | Action::Allow) => Verdict::Allow,
            Some(Action::GuardrailDeny) => Verdict::Deny,
            None if self.governs(packet) => Verdict::Deny,
            None => Verdict::Unmanaged,
        };
        Decision { verdict, rule }
    }

    /// Whether an endpoint of the packet is governed.
    pub fn governs(&self, packet: &Packet) -> bool {
        self.governed.contains(packet.source) || self.governed.contains(packet.destination)
    }

    /// The exact traffic that passes although nobody governs it: both endpoints ungoverned and no guardrail deny.
    pub fn unmanaged(&self) -> TrafficSet {
        let outside = self.governed.complement();
        let free = TrafficSet::product(&outside, &outside, &ServiceSet::full());
        free.subtract(&self.of(Action::GuardrailDeny)).subtract(&self.allowed)
    }

    /// The exact traffic that passes, allowed or unmanaged: what a proof that something cannot happen must look at.
    pub fn permitted(&self) -> TrafficSet {
        self.allowed.union(&self.unmanaged())
    }

    fn of(&self, action: Action) -> TrafficSet {
        let rules = self.rules.iter().filter(|rule| rule.action == action);
        TrafficSet::union_all(rules.map(ResolvedRule::traffic))
    }
}

/// Resolves a policy against the inventory as it was at the view's moment. Always answers; what is doubtful is in
/// [`Resolved::diagnostics`].
pub fn resolve(set: &PolicySet, view: &InventoryView<'_>) -> Resolved {
    let mut work = Work {
        directory: Directory::new(set, view),
        view,
        rules: Vec::new(),
        diagnostics: Vec::new(),
        expired: Vec::new(),
        modes: BTreeMap::new(),
    };
    for (_, document) in &set.documents {
        match document {
            Document::Segment(segment) => work.segment(segment),
            Document::Guardrail(guardrail) => work.guardrail(guardrail),
            Document::SegmentPolicy(policy) => work.segment_policy(policy),
        }
    }
    work.finish()
}

struct Work<'a> {
    directory: Directory<'a>,
    view: &'a InventoryView<'a>,
    rules: Vec<ResolvedRule>,
    diagnostics: Vec<Diagnostic>,
    expired: Vec<ExpiredRule>,
    modes: BTreeMap<WorkloadId, Mode>,
}

/// What the rules of one document share.
struct Context<'a> {
    scope: &'a Peer,
    owner: &'a str,
    mode: Mode,
}

impl Work<'_> {
    fn segment(&mut self, segment: &SegmentDocument) {
        for member in &segment.members {
            if self.view.addresses(&WorkloadId(member.value.clone())).is_empty() {
                let message = format!(
                    "segment `{}` lists `{}`, which has no address then",
                    segment.name.value, member.value
                );
                let help = "check the workload's id in the inventory, or remove it from the segment";
                self.diagnostics.push(Diagnostic::warning(member.at.clone(), message).with_help(help));
            }
        }
        if let Some(Spanned { value, at }) = &segment.selector {
            let term = Spanned { value: crate::PeerTerm::Labels(value.clone()), at: at.clone() };
            self.diagnostics.extend(self.directory.explain_nobody(&term, &Peer::new()));
        }
    }

    fn guardrail(&mut self, guardrail: &Guardrail) {
        let everywhere = Peer::new();
        let context = Context { scope: &everywhere, owner: &guardrail.owner, mode: Mode::Enforce };
        for rule in &guardrail.deny {
            let except = self.peer(&rule.except, &everywhere);
            let from = self.peer(&rule.from, &everywhere).subtract(&except);
            let to = self.peer(&rule.to, &everywhere);
            self.push(Action::GuardrailDeny, &rule.id, (from, to), &rule.ports, &rule.why, &context);
        }
        for rule in &guardrail.allow {
            let sides = (self.peer(&rule.from, &everywhere), self.peer(&rule.to, &everywhere));
            self.push(Action::GuardrailAllow, &rule.id, sides, &rule.ports, &rule.why, &context);
        }
    }

    fn segment_policy(&mut self, policy: &SegmentPolicy) {
        let governed = self.peer(&policy.scope, &Peer::new());
        for workload in self.directory.workloads(&governed) {
            self.set_mode(workload, policy);
        }
        let context = Context { scope: &policy.scope, owner: &policy.owner, mode: policy.mode };
        for rule in &policy.allow {
            if !self.has_expired(rule) {
                let sides = (self.peer(&rule.from, context.scope), self.peer(&rule.to, context.scope));
                self.push(Action::Allow, &rule.id, sides, &rule.ports, &rule.why, &context);
            }
        }
    }

    fn set_mode(&mut self, workload: WorkloadId, policy: &SegmentPolicy) {
        let known = self.modes.get(&workload).copied();
        if let Some(other) = known.filter(|other| *other != policy.mode) {
            let message = format!(
                "`{workload}` is governed by two policies of different mode; `{}` holds",
                mode_name(other.min(policy.mode))
            );
            let at = policy.scope.first().map(|term| term.at.clone()).unwrap_or_default();
            self.diagnostics.push(
                Diagnostic::warning(at, message).with_help("give both policies one mode, or narrow a scope"),
            );
        }
        let mode = known.map_or(policy.mode, |other| other.min(policy.mode));
        self.modes.insert(workload, mode);
    }

    fn has_expired(&mut self, rule: &Rule) -> bool {
        let Some(expires) = &rule.expires else { return false };
        // Text that is no date cannot come out of `parse`; in a policy built by hand it must not live for ever.
        if terms::expiry(&expires.value).is_ok_and(|end| self.view.at < end) {
            return false;
        }
        let message = format!("rule `{}` expired on {} and is left out", rule.id.value, expires.value);
        self.diagnostics.push(
            Diagnostic::warning(expires.at.clone(), message).with_help("renew `expires`, or remove the rule"),
        );
        self.expired.push(ExpiredRule { id: rule.id.value.clone(), expires: expires.clone() });
        true
    }

    /// Addresses of a peer; says of each term that means nobody why.
    fn peer(&mut self, peer: &Peer, scope: &Peer) -> IpSet {
        for term in peer {
            self.diagnostics.extend(self.directory.explain_nobody(term, scope));
        }
        self.directory.peer(peer, scope)
    }

    fn push(
        &mut self,
        action: Action,
        id: &Spanned<String>,
        (from, to): (IpSet, IpSet),
        ports: &[Spanned<Service>],
        why: &str,
        context: &Context<'_>,
    ) {
        let services = match ports {
            [] => ServiceSet::full(),
            ports => ServiceSet::of(ports.iter().map(|port| port.value)),
        };
        self.rules.push(ResolvedRule {
            id: id.value.clone(),
            action,
            from,
            to,
            services,
            mode: context.mode,
            owner: context.owner.to_owned(),
            why: why.to_owned(),
            location: id.at.clone(),
        });
    }

    fn finish(mut self) -> Resolved {
        self.rules.sort_by_key(|rule| rule.action);
        let governed = union_all(self.modes.keys().map(|id| self.view.addresses(id)));
        self.contradictions();
        self.unenforced(&governed);
        let mut resolved = Resolved {
            rules: self.rules,
            governed,
            allowed: TrafficSet::default(),
            diagnostics: self.diagnostics,
            expired: self.expired,
            modes: self.modes,
        };
        let ordinary = resolved.of(Action::Allow).subtract(&resolved.of(Action::GuardrailDeny));
        resolved.allowed = ordinary.union(&resolved.of(Action::GuardrailAllow));
        resolved.diagnostics.sort_by(|a, b| (&a.location, &a.message).cmp(&(&b.location, &b.message)));
        resolved.diagnostics.dedup();
        resolved
    }

    /// Guardrail denies that a guardrail allow breaks. The allow wins, which its author may not know.
    fn contradictions(&mut self) {
        let of = |action| self.rules.iter().filter(move |rule| rule.action == action);
        for deny in of(Action::GuardrailDeny) {
            for allow in of(Action::GuardrailAllow) {
                let Some(witness) = common(deny, allow) else { continue };
                let message = format!(
                    "guardrail deny `{}` does not hold for {witness}: guardrail allow `{}` beats it",
                    deny.id, allow.id
                );
                let help = format!("narrow one of the two; the allow is at {}", allow.location);
                self.diagnostics.push(Diagnostic::warning(deny.location.clone(), message).with_help(help));
            }
        }
    }

    /// Guardrail denies between workloads that nobody governs: the policy says no, and no enforcement point hears it.
    fn unenforced(&mut self, governed: &IpSet) {
        let free = self.directory.known().subtract(governed);
        for rule in self.rules.iter().filter(|rule| rule.action == Action::GuardrailDeny) {
            let (from, to) = (rule.from.intersect(&free), rule.to.intersect(&free));
            let (Some(source), Some(destination)) = (from.first(), to.first()) else { continue };
            let message = format!(
                "guardrail deny `{}` also speaks of {source} -> {destination}, and nobody governs either",
                rule.id
            );
            let problem = Diagnostic::new(Severity::Info, rule.location.clone(), message);
            self.diagnostics
                .push(problem.with_help("put one side in the scope of a segment policy to enforce it"));
        }
    }
}

/// A packet that both rules speak of.
fn common(a: &ResolvedRule, b: &ResolvedRule) -> Option<Packet> {
    let source = a.from.intersect(&b.from).first()?;
    let destination = a.to.intersect(&b.to).first()?;
    let services = a.services.intersect(&b.services);
    let (protocol, _, selectors) = services.runs().first()?;
    Some(Packet { source, destination, protocol: model::Protocol(*protocol), selector: selectors.first()? })
}

pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Test => "test",
        Mode::Selective => "selective",
        Mode::Enforce => "enforce",
    }
}
