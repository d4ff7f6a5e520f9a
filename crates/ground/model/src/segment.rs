//! Segments: named sets of workloads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::inventory::WorkloadId;

/// A segment's identity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentId(pub String);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named set of workloads that was discovered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Identity; stays from run to run while the members largely do.
    pub id: SegmentId,
    /// What people call it, from what the members offer and use; unique in a segmentation.
    pub name: String,
    /// Members, sorted.
    pub members: Vec<WorkloadId>,
    /// How well the members belong together and apart from others, 0 to 1.
    pub confidence: f64,
    /// What the members share that others lack, in words and numbers.
    pub reasons: Vec<String>,
}

/// A workload that no segment can claim with confidence.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Unassigned {
    /// Who.
    pub workload: WorkloadId,
    /// Nearest segments with their similarity, best first.
    pub nearest: Vec<(SegmentId, f64)>,
    /// Why it was left alone.
    pub reason: String,
}

/// A partition of workloads.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Segmentation {
    /// Segments, sorted by name.
    pub segments: Vec<Segment>,
    /// Who is in none.
    pub unassigned: Vec<Unassigned>,
}
