//! What a proposal can be told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use coverage::Standing;
use model::{Micros, Mode};
use policy::PolicySet;

/// How wide rules are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// Host to host on one service: nothing that was not seen.
    Exact,
    /// Segment to segment, a side being the whole segment when at least this percentage of its members was seen
    /// there, otherwise the list of the members seen.
    Support(u8),
    /// Each side of each rule as wide as makes its description shortest.
    Fitted,
    /// Everyone to everyone on each service that was seen.
    Flat,
}

impl Width {
    /// The widths of the frontier, narrowest first.
    pub const ALL: [Self; 8] = [
        Self::Exact,
        Self::Support(100),
        Self::Support(75),
        Self::Support(50),
        Self::Fitted,
        Self::Support(25),
        Self::Support(0),
        Self::Flat,
    ];
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Support(percent) => write!(f, "segment-{percent}"),
            Self::Fitted => f.write_str("fitted"),
            Self::Flat => f.write_str("flat"),
        }
    }
}

/// Text that names no width.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidWidth(pub String);

impl fmt::Display for InvalidWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a width; write `exact`, `fitted`, `flat`, or `segment-50` (any percentage)",
            self.0
        )
    }
}
impl std::error::Error for InvalidWidth {}

impl FromStr for Width {
    type Err = InvalidWidth;
    fn from_str(text: &str) -> Result<Self, InvalidWidth> {
        match text {
            "exact" => Ok(Self::Exact),
            "fitted" => Ok(Self::Fitted),
            "flat" => Ok(Self::Flat),
            _ => text
                .strip_prefix("segment-")
                .and_then(|percent| percent.parse::<u8>().ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Support)
                .ok_or_else(|| InvalidWidth(text.to_owned())),
        }
    }
}

/// What [`crate::propose`] can be told; the default suits a first look.
#[derive(Clone, PartialEq, Debug)]
pub struct ProposeOptions {
    /// Who answers for the proposed documents.
    pub owner: String,
    /// Mode of the proposed documents.
    pub mode: Mode,
    /// The moment that the graph ends at: a rule's age is told from here.
    pub as_of: Micros,
    /// Folder of the proposed files.
    pub folder: String,
    /// Write a segment as a label selector where labels pick out exactly its members among the graph's workloads.
    pub use_labels: bool,
    /// Label whose values keep apart what must not mix, such as production and development.
    pub environment_label: String,
    /// Take this width instead of the one that describes the traffic shortest.
    pub width: Option<Width>,
    /// A width with more over-permission than this is never chosen unasked.
    pub max_over_permission: f64,
    /// What one bit of permission beyond the seen costs, in bits of rules. Above 1 narrows, below 1 widens.
    pub exception_weight: f64,
    /// Least confidence in the direction for an edge to become a rule.
    pub min_confidence: f64,
    /// Sentence tests to write for each segment, at most.
    pub tests_per_segment: usize,
    /// How well each node of the graph was seen, by its id; what is not named is taken as well seen. A segment with a
    /// member that was seen through coarse sampling alone is not denied by default: what was not seen of it says nothing.
    pub standing: BTreeMap<String, Standing>,
    /// What people have written already: kept, never contradicted, never repeated.
    pub existing: Option<PolicySet>,
}

impl Default for ProposeOptions {
    fn default() -> Self {
        Self {
            owner: String::from("unowned"),
            mode: Mode::Test,
            as_of: 0,
            folder: String::from("policies"),
            use_labels: false,
            environment_label: String::from("env"),
            width: None,
            max_over_permission: 3.0,
            exception_weight: 1.0,
            min_confidence: 0.6,
            tests_per_segment: 3,
            standing: BTreeMap::new(),
            existing: None,
        }
    }
}
