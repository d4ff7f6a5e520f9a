//! The policy language: what people write, what it means exactly.
//!
//! [`parse`] reads files and reports every problem with its place; [`format()`] and [`format_text`] write the one
//! canonical form. [`resolve`] joins a policy with the inventory of a moment into rules with addresses and the exact
//! set of traffic that they allow; [`Resolved::decide`] is the plain reference for it. [`plan`] says what each
//! enforcement point has to do.
//!
//! ```
//! let text = "\
//! kind: SegmentPolicy
//! scope: app=shop
//! owner: team-shop
//! allow:
//!   - {id: web-to-db, from: role=web, to: role=db, ports: [tcp/5432], why: orders}
//! ";
//! let set = policy::parse(&[("shop.yaml".into(), text.into())]).map_err(|problems| problems[0].to_string())?;
//! let nobody = model::Inventory::default();
//! let resolved = policy::resolve(&set, &nobody.as_of(0));
//! assert_eq!(resolved.rules[0].id, "web-to-db");
//! assert!(resolved.diagnostics[0].message.contains("matches no workload"));
//! # Ok::<(), String>(())
//! ```

mod ast;
mod comments;
mod diagnostic;
mod directory;
mod format;
mod parse;
mod plan;
mod plan_file;
mod reader;
mod resolve;
mod schema;
mod terms;
mod yaml;

pub use ast::{
    Assertion, Document, Evidence, Guardrail, GuardrailAllow, GuardrailDeny, Peer, PeerTerm, PolicySet, Rule,
    SegmentDocument, SegmentPolicy, Spanned, Verb,
};
pub use comments::format_text;
pub use diagnostic::Diagnostic;
pub use directory::Directory;
pub use format::{format, format_document};
pub use parse::parse;
pub use plan::{PlanDiff, PointDiff, RulesDiff, plan, plan_diff};
pub use plan_file::{InvalidPlan, PLAN_FORMAT_VERSION, plan_from_json, plan_to_json};
pub use resolve::{Decision, ExpiredRule, Resolved, ResolvedRule, Verdict, resolve};
pub use schema::schema;
pub use terms::{BadTerm, Sentence, label_selector, peer_term, sentence, service};
