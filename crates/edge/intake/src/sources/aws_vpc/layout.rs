//! Which value of a record is which field.

use crate::text::bytes::{decimal, ip};

macro_rules! fields {
    ($($field:ident $name:literal),* $(,)?) => {
        /// The fields that are used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field { $($field),* }

        /// How many fields are used.
        pub(crate) const FIELDS: usize = [$(Field::$field),*].len();

        impl Field {
            /// The field of a name as AWS writes it, with hyphens.
            pub(crate) fn of_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$field),)* _ => None }
            }

            /// Its name.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$field => $name),* }
            }
        }
    };
}

fields! {
    Interface "interface-id",
    Source "srcaddr",
    Destination "dstaddr",
    PacketSource "pkt-srcaddr",
    PacketDestination "pkt-dstaddr",
    SourcePort "srcport",
    DestinationPort "dstport",
    Protocol "protocol",
    Packets "packets",
    Bytes "bytes",
    Start "start",
    End "end",
    Action "action",
    Status "log-status",
    TcpFlags "tcp-flags",
    Direction "flow-direction",
    Instance "instance-id",
    RejectReason "reject-reason",
    Resource "resource-id",
    SourceService "pkt-src-aws-service",
    DestinationService "pkt-dst-aws-service",
    EcsCluster "ecs-cluster-name",
    EcsService "ecs-service-name",
    EcsTask "ecs-task-id",
    Gateway "tgw-id",
    Attachment "tgw-attachment-id",
    LostNoRoute "packets-lost-no-route",
    LostBlackhole "packets-lost-blackhole",
}

/// The order of AWS's table of fields: the first 14 are the default format, each later version appended some. Version 10 ends it.
const DOCUMENTED: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
                          action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region \
                          az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction \
                          traffic-path ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn \
                          ecs-container-instance-id ecs-container-id ecs-second-container-id ecs-service-name \
                          ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason resource-id encryption-status";

/// How many fields each version's whole format has: 2, 3, 4, 5, 7, 8, 9 and 10. (6 is the transit gateways'.)
const LENGTHS: [usize; 8] = [14, 21, 25, 29, 39, 40, 41, 42];

/// How many fields the default format has.
const DEFAULT_FIELDS: usize = 14;

/// The format that AWS's console makes for containers: the default and these.
const CONTAINERS: &str = "ecs-cluster-name ecs-cluster-arn ecs-container-instance-id ecs-container-instance-arn \
                          ecs-service-name ecs-task-definition-arn ecs-task-id ecs-task-arn ecs-container-id \
                          ecs-second-container-id";

/// The default format of transit gateways; the last five came later.
const GATEWAYS: &str = "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id \
                        tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id \
                        tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr \
                        srcport dstport protocol packets bytes start end log-status type packets-lost-no-route \
                        packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region \
                        flow-direction pkt-src-aws-service pkt-dst-aws-service";

/// Lengths of the transit gateways' format.
const GATEWAY_LENGTHS: [usize; 2] = [31, 36];

/// Which field each value of a record is, if it is one that is used.
pub(super) struct Layout {
    pub(super) fields: Vec<Option<Field>>,
    pub(super) comma: bool,
    /// Whether there are no fields but those of the default format.
    pub(super) plain: bool,
    /// Whether a header said so; else it was taken from how a record looks.
    pub(super) told: bool,
}

impl Layout {
    fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let fields: Vec<Option<Field>> = names.map(Field::of_name).collect();
        let default = |field: &Field| {
            DOCUMENTED.split_ascii_whitespace().take(DEFAULT_FIELDS).any(|name| name == field.name())
        };
        let plain = fields.iter().flatten().all(default);
        Self { fields, comma: false, plain, told: false }
    }

    /// The layout of a header line; `None` when the line is none. Names may be written as in a format string, `${start}`,
    /// or with underscores, and separated by commas.
    pub(super) fn of_header(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let comma = line.contains(',');
        let names: Vec<String> = line
            .split(|c: char| if comma { c == ',' } else { c.is_ascii_whitespace() })
            .filter(|name| comma || !name.is_empty())
            .map(header_name)
            .collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let addressed = has("srcaddr") && has("dstaddr") || has("pkt-srcaddr") && has("pkt-dstaddr");
        let mut layout = Self::of_names(names.iter().map(String::as_str));
        (layout.comma, layout.told) = (comma, true);
        (addressed && has("start")).then_some(layout)
    }

    /// The layout of a record without a header, if it looks like one of the documented orders.
    pub(super) fn of_record(line: &[u8]) -> Option<Self> {
        let values: Vec<&[u8]> =
            line.split(u8::is_ascii_whitespace).filter(|value| !value.is_empty()).collect();
        if values.len() > 64
            || !values.first().is_some_and(|version| (2..100).contains(&decimal(version).unwrap_or(0)))
        {
            return None;
        }
        Self::of_interface(&values).or_else(|| Self::of_gateway(&values))
    }

    fn of_interface(values: &[&[u8]]) -> Option<Self> {
        let plausible = values.len() >= DEFAULT_FIELDS
            && values[3..5].iter().all(|value| is_address(value))
            && values[5..12].iter().all(|value| is_number(value))
            && matches!(values[12], b"ACCEPT" | b"REJECT" | b"-")
            && matches!(values[13], b"OK" | b"NODATA" | b"SKIPDATA");
        if !plausible {
            return None;
        }
        let default = DOCUMENTED.split_ascii_whitespace().take(DEFAULT_FIELDS);
        let containers = values.len() == DEFAULT_FIELDS + 10
            && (values[15].starts_with(b"arn:") || values[14..].iter().all(|value| *value == b"-"));
        if containers {
            return Some(Self::of_names(default.chain(CONTAINERS.split_ascii_whitespace())));
        }
        // What is behind the default has to look like its field too; else only the default is taken.
        let documented = LENGTHS.contains(&values.len())
            && values.get(17).is_none_or(|flags| is_number(flags))
            && values.get(18).is_none_or(|kind| matches!(*kind, b"IPv4" | b"IPv6" | b"EFA" | b"-"))
            && values.get(19..21).is_none_or(|pair| pair.iter().all(|value| is_address(value)));
        let known = if documented { values.len() } else { DEFAULT_FIELDS };
        let mut layout = Self::of_names(DOCUMENTED.split_ascii_whitespace().take(known));
        layout.fields.resize(values.len(), None);
        Some(layout)
    }

    fn of_gateway(values: &[&[u8]]) -> Option<Self> {
        let plausible = GATEWAY_LENGTHS.contains(&values.len())
            && values[3].starts_with(b"tgw-")
            && values[16..18].iter().all(|value| is_address(value))
            && values[18..25].iter().all(|value| is_number(value))
            && matches!(values[25], b"OK" | b"NODATA" | b"SKIPDATA");
        plausible.then(|| Self::of_names(GATEWAYS.split_ascii_whitespace().take(values.len())))
    }
}

/// A field's name as it stands in a header, in AWS's own spelling.
pub(crate) fn header_name(name: &str) -> String {
    let name = name.trim().trim_matches('"');
    name.trim_start_matches("${").trim_end_matches('}').replace('_', "-").to_ascii_lowercase()
}

fn is_address(value: &[u8]) -> bool {
    value == b"-" || ip(value).is_some()
}

fn is_number(value: &[u8]) -> bool {
    value == b"-" || decimal(value).is_some()
}
