//! The vocabulary of Ringfence: the plain values that the layers hand to each other.
//!
//! Nothing here reads a clock, a file or a socket. Times are microseconds since the Unix epoch, UTC ([`Micros`]).

mod batch;
pub mod canonical;
mod conversation;
mod coverage;
mod finding;
mod inventory;
mod plan;
mod segment;
mod selector;
mod time;

pub use batch::{Client, Direction, Exporter, Flow, FlowBatch, FlowDetails, Verdict};
pub use conversation::{Conversation, Endpoint, RollupRow};
pub use coverage::{
    Coverage, CoverageRow, CoverageTable, Dropped, KERNEL, KERNEL_DROP, SIZE_CLASSES, UNATTRIBUTED,
    rate_class,
};
pub use finding::{Severity, SourceLocation};
pub use inventory::{
    Account, AddressClaim, AddressConflict, AddressName, Claimant, Criticality, Inventory, InventoryView,
    JoinOptions, LIST, LIST_RANK, Labels, Overlap, Workload, WorkloadId, later_end,
};
pub use netset::{IntervalSet, Ip, IpSet, Packet, Prefix, Protocol, Region, Service, ServiceSet, TrafficSet};
pub use plan::{Action, Mode, Plan, PlanPoint, PlanRule};
pub use segment::{Segment, SegmentId, Segmentation, Unassigned};
pub use selector::{InvalidSelector, Requirement, Selector};
pub use time::{InvalidTime, Micros, TimeWindow, format_time, parse_time};
