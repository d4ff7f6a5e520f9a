//! Plans as JSON files. Address sets are written once and referred to by index, since many points share them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use foldhash::fast::FixedState;
use model::{
    Action, Ip, IpSet, Labels, Mode, Plan, PlanPoint, PlanRule, Prefix, Region, Service, ServiceSet,
    SourceLocation, WorkloadId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the file format that [`plan_to_json`] writes and [`plan_from_json`] reads.
pub const PLAN_FORMAT_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    format_version: u32,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parent: Option<String>,
    /// Microseconds since the Unix epoch, UTC.
    as_of_us: i64,
    #[serde(flatten)]
    content: Content,
}

/// What the id hashes.
#[derive(Serialize, Deserialize, Default)]
struct Content {
    address_sets: Vec<Vec<String>>,
    service_sets: Vec<Vec<String>>,
    points: Vec<PointFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointFile {
    workload: WorkloadId,
    labels: Labels,
    addresses: usize,
    mode: Mode,
    ingress: Vec<RuleFile>,
    egress: Vec<RuleFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    id: String,
    action: Action,
    own: usize,
    peers: usize,
    services: usize,
    location: SourceLocation,
}

/// A plan file that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidPlan {
    /// Not JSON of the expected shape; the text says where.
    Shape(String),
    /// Written by another version.
    Version(u32),
    /// A rule or point refers to a set that is not in the file.
    MissingSet(usize),
    /// Text in a set that is neither an address, a range, a block nor `any`; or not a service.
    Entry(String),
    /// The content does not give the id: the file was changed after it was made.
    Tampered {
        /// The id that the file states.
        stated: String,
        /// The id of its content.
        actual: String,
    },
}

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(problem) => {
                write!(f, "this is not a plan file: {problem}; make it with `ringfence plan --out FILE`")
            }
            Self::Version(version) => write!(
                f,
                "the plan file has format version {version}, and this program reads {PLAN_FORMAT_VERSION}; make the plan again"
            ),
            Self::MissingSet(index) => {
                write!(f, "the plan file refers to set {index}, which it does not hold; make the plan again")
            }
            Self::Entry(text) => {
                write!(f, "`{text}` in the plan file is neither addresses nor a service; make the plan again")
            }
            Self::Tampered { stated, actual } => write!(
                f,
                "the plan file was changed after it was made: it states id `{stated}`, its content gives `{actual}`; make the plan again"
            ),
        }
    }
}
impl std::error::Error for InvalidPlan {}

/// The plan as a JSON document with `format_version`; the same plan always gives the same bytes.
pub fn plan_to_json(plan: &Plan) -> String {
    let Plan { id, parent, as_of, points } = plan;
    let file = PlanFile {
        format_version: PLAN_FORMAT_VERSION,
        id: id.clone(),
        parent: parent.clone(),
        as_of_us: *as_of,
        content: content(points),
    };
    // Maps with text keys and plain values cannot fail to serialise.
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

/// Reads what [`plan_to_json`] wrote, and checks that the content still gives the id.
pub fn plan_from_json(text: &str) -> Result<Plan, InvalidPlan> {
    let file: serde_json::Value = serde_json::from_str(text).map_err(shape)?;
    let version = file.get("format_version").and_then(serde_json::Value::as_u64);
    let version = version.ok_or_else(|| InvalidPlan::Shape("`format_version` is missing".into()))?;
    if version != u64::from(PLAN_FORMAT_VERSION) {
        return Err(InvalidPlan::Version(u32::try_from(version).unwrap_or(u32::MAX)));
    }
    let PlanFile { format_version: _, id, parent, as_of_us, content } =
        serde_json::from_str(text).map_err(shape)?;
    let points = points(content)?;
    let actual = content_id(&points);
    if actual != id {
        return Err(InvalidPlan::Tampered { stated: id, actual });
    }
    Ok(Plan { id, parent, as_of: as_of_us, points })
}

fn shape(error: serde_json::Error) -> InvalidPlan {
    InvalidPlan::Shape(error.to_string())
}

/// SHA-256 of the points' canonical JSON, hexadecimal.
pub(crate) fn content_id(points: &[PlanPoint]) -> String {
    let mut hash = Hashed(Sha256::new());
    // Neither the hash nor maps with text keys can fail.
    let _ = serde_json::to_writer(&mut hash, &content(points));
    hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what is written, so that a large plan's text never stands in memory.
struct Hashed(Sha256);

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Numbers sets by first use.
#[derive(Default)]
struct Interner<'a> {
    /// Copies of a set mostly share their memory, which is quicker to compare than their runs.
    by_memory: BTreeMap<usize, usize>,
    addresses: BTreeMap<&'a [(Ip, Ip)], usize>,
    services: HashMap<&'a ServiceSet, usize, FixedState>,
    content: Content,
}

impl<'a> Interner<'a> {
    fn addresses(&mut self, set: &'a IpSet) -> usize {
        if let Some(index) = set.identity().and_then(|identity| self.by_memory.get(&identity)) {
            return *index;
        }
        let list = &mut self.content.address_sets;
        let index = *self.addresses.entry(set.runs()).or_insert_with(|| {
            list.push(address_texts(set));
            list.len() - 1
        });
        self.by_memory.extend(set.identity().map(|identity| (identity, index)));
        index
    }

    fn services(&mut self, set: &'a ServiceSet) -> usize {
        let list = &mut self.content.service_sets;
        *self.services.entry(set).or_insert_with(|| {
            let texts = || set.services().iter().map(ToString::to_string).collect();
            list.push(if set.is_full() { vec![String::from("any")] } else { texts() });
            list.len() - 1
        })
    }

    fn rule(&mut self, rule: &'a PlanRule) -> RuleFile {
        let PlanRule { id, action, own, peers, services, location } = rule;
        RuleFile {
            id: id.clone(),
            action: *action,
            own: self.addresses(own),
            peers: self.addresses(peers),
            services: self.services(services),
            location: location.clone(),
        }
    }
}

fn content(points: &[PlanPoint]) -> Content {
    let mut interner = Interner::default();
    for point in points {
        let PlanPoint { workload, labels, addresses, mode, ingress, egress } = point;
        let point = PointFile {
            workload: workload.clone(),
            labels: labels.clone(),
            addresses: interner.addresses(addresses),
            mode: *mode,
            ingress: ingress.iter().map(|rule| interner.rule(rule)).collect(),
            egress: egress.iter().map(|rule| interner.rule(rule)).collect(),
        };
        interner.content.points.push(point);
    }
    interner.content
}

/// Each run as `any`, an address, a block where it is one, or `first-last`.
fn address_texts(set: &IpSet) -> Vec<String> {
    if *set == IpSet::full() {
        return vec![String::from("any")];
    }
    let text = |&(low, high): &(Ip, Ip)| {
        if low == high {
            return low.to_string();
        }
        match IpSet::range(low, high).to_prefixes().as_slice() {
            [block] => block.to_string(),
            _ => format!("{low}-{high}"),
        }
    };
    set.runs().iter().map(text).collect()
}

fn parse_addresses(texts: &[String]) -> Result<IpSet, InvalidPlan> {
    let mut runs = Vec::with_capacity(texts.len());
    for text in texts {
        let run = match text.split_once('-') {
            _ if text == "any" => Some((Ip(0), Ip(u128::MAX))),
            Some((low, high)) => low.parse().ok().zip(high.parse().ok()),
            None => text.parse::<Prefix>().ok().map(|block| (block.first(), block.last())),
        };
        runs.push(run.ok_or_else(|| InvalidPlan::Entry(text.clone()))?);
    }
    Ok(IpSet::from_ranges(runs))
}

fn parse_services(texts: &[String]) -> Result<ServiceSet, InvalidPlan> {
    if texts == ["any"] {
        return Ok(ServiceSet::full());
    }
    let parse = |text: &String| text.parse::<Service>().map_err(|_| InvalidPlan::Entry(text.clone()));
    Ok(ServiceSet::of(texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?))
}

fn points(content: Content) -> Result<Vec<PlanPoint>, InvalidPlan> {
    let Content { address_sets, service_sets, points } = content;
    let addresses = address_sets.iter().map(|set| parse_addresses(set)).collect::<Result<Vec<_>, _>>()?;
    let services = service_sets.iter().map(|set| parse_services(set)).collect::<Result<Vec<_>, _>>()?;
    fn get<T: Clone>(sets: &[T], index: usize) -> Result<T, InvalidPlan> {
        sets.get(index).cloned().ok_or(InvalidPlan::MissingSet(index))
    }
    let rule = |file: RuleFile| -> Result<PlanRule, InvalidPlan> {
        let RuleFile { id, action, own, peers, services: of, location } = file;
        let (own, peers) = (get(&addresses, own)?, get(&addresses, peers)?);
        Ok(PlanRule { id, action, own, peers, services: get(&services, of)?, location })
    };
    let point = |file: PointFile| -> Result<PlanPoint, InvalidPlan> {
        let PointFile { workload, labels, addresses: own, mode, ingress, egress } = file;
        let rules = |files: Vec<RuleFile>| files.into_iter().map(rule).collect::<Result<Vec<_>, _>>();
        let (ingress, egress) = (rules(ingress)?, rules(egress)?);
        Ok(PlanPoint { workload, labels, addresses: get(&addresses, own)?, mode, ingress, egress })
    };
    points.into_iter().map(point).collect()
}
