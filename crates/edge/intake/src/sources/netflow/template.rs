//! Templates: what the exporter says its records look like, compiled once into operations.

use super::element::{CLIENT, Clock, DELTA, Slot, TOTAL, slot};

/// The length that announces a field of variable length (RFC 7011, 7).
const VARIABLE: u16 = 65_535;

/// One field of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    /// 0 for the IANA registry.
    pub(super) enterprise: u32,
    pub(super) id: u16,
    /// Bytes, or 65,535 for a length that each record gives.
    pub(super) length: u16,
}

/// A template, ready for use.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) fields: Vec<Field>,
    /// How many of the fields are an options record's scope; `None` for records of traffic.
    pub(super) scopes: Option<usize>,
    /// Bytes of a record when all fields have a fixed length.
    pub(super) stride: Option<usize>,
    /// What to do with a record.
    pub(super) plan: Plan,
}

/// What to do with a set of records.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In order: of several for one slot, the later ones fill only what is still zero.
    pub(super) operations: Vec<Operation>,
    /// Text fields and translated addresses, which few templates have.
    pub(super) details: Vec<Operation>,
    /// The beginning of a packet, of which everything else is read when the record has no addresses.
    pub(super) section: Option<Operation>,
    /// Which things the records have; see [`Has`].
    pub(super) has: Has,
}

/// Copies one field into one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// Index into the template's fields.
    pub(super) field: usize,
    /// Where the field begins, when all before it have a fixed length.
    pub(super) offset: usize,
    /// Bytes; meaningless for a field of variable length.
    pub(super) length: usize,
    pub(super) slot: Slot,
    /// Whether no operation before this one fills the slot.
    pub(super) first: bool,
}

/// What the records of a template have.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Has {
    pub(super) addresses: bool,
    pub(super) ports: bool,
    pub(super) icmp: bool,
    pub(super) tcp_flags: bool,
    pub(super) counts: bool,
    pub(super) reverse: bool,
    /// Both times, in uptime: nothing is left to repair.
    pub(super) uptimes: bool,
    /// Any time in uptime.
    pub(super) any_uptime: bool,
    pub(super) system_init: bool,
    pub(super) sampler: bool,
    pub(super) interface: bool,
    pub(super) sampling: bool,
    /// The exporter is stateful, and the source of a record is who opened the connection.
    pub(super) initiator: bool,
    /// The exporter says which side of a two-sided record is the initiator, or that it does not know.
    pub(super) biflow: bool,
}

impl Template {
    pub(super) fn new(fields: Vec<Field>, scopes: Option<usize>) -> Self {
        let stride = fields.iter().try_fold(0_usize, |sum, field| {
            (field.length != VARIABLE).then(|| sum + usize::from(field.length))
        });
        let plan = Plan::compile(&fields);
        Self { fields, scopes, stride, plan }
    }

    /// The least bytes that a record can have.
    pub(super) fn least(&self) -> usize {
        self.fields.iter().map(|f| if f.length == VARIABLE { 1 } else { usize::from(f.length) }).sum()
    }

    /// Where each field of the record at the start of `data` lies, and the record's length; `None` when it does not fit.
    pub(super) fn locate(&self, data: &[u8], places: &mut Vec<(usize, usize)>) -> Option<usize> {
        places.clear();
        let mut at = 0;
        for field in &self.fields {
            let mut length = usize::from(field.length);
            if field.length == VARIABLE {
                length = usize::from(*data.get(at)?);
                at += 1;
                if length == 255 {
                    length = usize::from(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
                    at += 2;
                }
            }
            places.push((at, length));
            at += length;
        }
        (at <= data.len()).then_some(at)
    }
}

impl Plan {
    fn compile(fields: &[Field]) -> Self {
        let mut ranked = Vec::new();
        let mut offset = 0;
        for (index, field) in fields.iter().enumerate() {
            let length = usize::from(field.length);
            if let Some((slot, rank)) = slot(field.enterprise, field.id)
                && (field.length == VARIABLE || fits(slot, length))
            {
                ranked.push((rank, Operation { field: index, offset, length, slot, first: false }));
            }
            offset += length;
        }
        // Stable, so that of repeated elements the first in the record is asked first.
        ranked.sort_by_key(|(rank, _)| *rank);
        // An exporter that gives real times and uptimes too is believed on the real ones: uptimes need a second value,
        // the moment it started, that it may not give.
        for uptime in [Slot::Start(Clock::Uptime), Slot::End(Clock::Uptime)] {
            if ranked.iter().any(|(_, op)| op.slot != uptime && op.slot.same_column(uptime)) {
                ranked.retain(|(_, op)| op.slot != uptime);
            }
        }
        let has = Has::of(&ranked);
        let section = ranked.iter().map(|(_, op)| *op).find(|op| matches!(op.slot, Slot::Section(_)));
        ranked.retain(|(_, op)| !matches!(op.slot, Slot::Section(_)));
        // Totals since the flow began are no second chance for a zero of what was added since the last record.
        let counts = [Slot::Packets, Slot::Bytes, Slot::ReversePackets, Slot::ReverseBytes];
        if ranked.iter().any(|(rank, op)| *rank == DELTA && counts.contains(&op.slot)) {
            ranked.retain(|(rank, op)| *rank != TOTAL || !counts.contains(&op.slot));
        }
        // Counters "after" the box count only when there are no others: they are no second chance for a zero.
        let counted = |slot: Slot| ranked.iter().any(|(rank, op)| op.slot == slot && *rank < 9);
        let (packets, bytes) = (counted(Slot::Packets), counted(Slot::Bytes));
        ranked.retain(|(rank, op)| {
            *rank < 9 || !(op.slot == Slot::Packets && packets || op.slot == Slot::Bytes && bytes)
        });
        let mut plan = Self { has, section, ..Self::default() };
        for (_, mut operation) in ranked {
            if operation.slot.is_detail() {
                plan.details.push(operation);
            } else {
                operation.first = !plan.operations.iter().any(|known| known.slot.same_column(operation.slot));
                plan.operations.push(operation);
            }
        }
        plan
    }
}

impl Has {
    fn of(ranked: &[(u8, Operation)]) -> Self {
        let any = |wanted: fn(Slot) -> bool| ranked.iter().any(|(_, op)| wanted(op.slot));
        let has = |slot: Slot| ranked.iter().any(|(_, op)| op.slot == slot);
        let from_initiator = |slot: Slot| ranked.iter().any(|(rank, op)| op.slot == slot && *rank == 2);
        let ranked_as = |slot: Slot, wanted: u8| {
            let mut ranks = ranked.iter().filter(|(_, op)| op.slot == slot).map(|(rank, _)| *rank);
            ranks.next().is_some_and(|first| first == wanted)
        };
        let addresses_of_client = ranked_as(Slot::Source, CLIENT) && ranked_as(Slot::Destination, CLIENT);
        let (start, end) = (has(Slot::Start(Clock::Uptime)), has(Slot::End(Clock::Uptime)));
        let times = ranked.iter().filter(|(_, op)| matches!(op.slot, Slot::Start(_) | Slot::End(_))).count();
        Self {
            addresses: has(Slot::Source) && has(Slot::Destination),
            ports: has(Slot::SourcePort) || has(Slot::DestinationPort),
            icmp: has(Slot::IcmpTypeCode) || has(Slot::IcmpType),
            tcp_flags: has(Slot::TcpFlags),
            counts: has(Slot::Packets) || has(Slot::Bytes),
            reverse: has(Slot::ReversePackets) || has(Slot::ReverseBytes),
            uptimes: start && end && times == 2,
            any_uptime: start || end,
            system_init: has(Slot::SystemInit),
            sampler: has(Slot::SamplerId),
            interface: has(Slot::Interface),
            biflow: has(Slot::BiflowDirection),
            sampling: any(|slot| {
                matches!(
                    slot,
                    Slot::SamplingRate
                        | Slot::SamplingTaken
                        | Slot::SamplingPopulation
                        | Slot::SamplingProbability
                )
            }),
            // Initiator and responder counters (231, 232, 298, 299), or ASA's events, whose tuple is the connection's.
            initiator: addresses_of_client
                || from_initiator(Slot::Bytes)
                || from_initiator(Slot::Packets)
                || has(Slot::NselEvent) && has(Slot::FirewallEvent),
        }
    }
}

impl Slot {
    /// Whether two slots are written to one column.
    fn same_column(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Start(_), Self::Start(_))
                | (Self::End(_), Self::End(_))
                | (Self::Observed(_), Self::Observed(_))
        ) || self == other
    }

    fn is_detail(self) -> bool {
        matches!(
            self,
            Self::NatSource
                | Self::NatDestination
                | Self::NatSourcePort
                | Self::NatDestinationPort
                | Self::User
                | Self::Application
                | Self::ApplicationId
                | Self::AccessList
        )
    }
}

/// Whether a field of this many bytes can fill the slot. Zero-length fields are legal and say nothing.
fn fits(slot: Slot, length: usize) -> bool {
    match slot {
        Slot::Source | Slot::Destination | Slot::NatSource | Slot::NatDestination => matches!(length, 4 | 16),
        Slot::User | Slot::Application | Slot::Section(_) => length > 0,
        Slot::AccessList => length == 12,
        Slot::NselEvent => true,
        // Reduced-size encoding (RFC 7011, 6.2) lets any integer have 1 to 8 bytes.
        _ => (1..=8).contains(&length),
    }
}

/// What a template set brought.
pub(super) struct Parsed {
    pub(super) definitions: Vec<Definition>,
    /// Bytes at the end that are no template: padding when all are zero.
    pub(super) rest: usize,
    /// Why the rest could not be read, if it is not padding.
    pub(super) corrupt: Option<String>,
}

/// One definition of a template set.
pub(super) struct Definition {
    pub(super) id: u16,
    pub(super) kind: Kind,
}

/// A template, or the end of one.
pub(super) enum Kind {
    /// Fields and, for options, how many of them are scope.
    Fields(Vec<Field>, Option<usize>),
    /// The exporter takes the template back (RFC 7011, 8.1).
    Withdrawn,
}

/// How the template sets of a version are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    V9,
    V9Options,
    Ipfix,
    IpfixOptions,
}

/// Reads a template set's body.
pub(super) fn parse_set(layout: Layout, body: &[u8]) -> Parsed {
    let plain = parse_with(layout, body, matches!(layout, Layout::Ipfix | Layout::IpfixOptions));
    // Version 9 has no enterprise numbers, and Cisco and ntop use types with the top bit set as they are. Some exporters
    // put enterprise numbers there all the same: only then does the plain reading leave a rest that makes no sense.
    if plain.corrupt.is_some() && layout == Layout::V9 {
        let enterprise = parse_with(layout, body, true);
        if enterprise.corrupt.is_none() {
            return enterprise;
        }
    }
    plain
}

fn parse_with(layout: Layout, body: &[u8], enterprise: bool) -> Parsed {
    let mut parsed = Parsed { definitions: Vec::new(), rest: 0, corrupt: None };
    let mut reader = Reader { bytes: body };
    while reader.bytes.len() >= 4 {
        let before = reader.bytes;
        match definition(layout, &mut reader, enterprise) {
            Ok(Some(definition)) => parsed.definitions.push(definition),
            Ok(None) => {
                reader.bytes = before;
                break;
            }
            Err(reason) => {
                reader.bytes = before;
                parsed.corrupt = Some(reason);
                break;
            }
        }
    }
    parsed.rest = reader.bytes.len();
    parsed
}

/// One definition; `None` at padding.
fn definition(
    layout: Layout,
    reader: &mut Reader<'_>,
    enterprise: bool,
) -> Result<Option<Definition>, String> {
    let (Some(id), Some(count)) = (reader.u16(), reader.u16()) else { return Ok(None) };
    if id == 0 && count == 0 {
        return Ok(None);
    }
    let withdrawal = count == 0 && matches!(layout, Layout::Ipfix | Layout::IpfixOptions);
    if id < 256 && !(withdrawal && matches!(id, 2 | 3)) {
        return Err(format!("a template has the id {id}; expected 256 or more"));
    }
    if withdrawal {
        return Ok(Some(Definition { id, kind: Kind::Withdrawn }));
    }
    let cut = || format!("template {id} runs past the end of its set");
    let (count, scopes) = match layout {
        Layout::V9 | Layout::Ipfix => (usize::from(count), None),
        // Version 9 counts bytes of scope and of options here, IPFIX fields and fields of scope.
        Layout::V9Options => {
            let options = reader.u16().ok_or_else(cut)?;
            let scopes = usize::from(count) / 4;
            (scopes + usize::from(options) / 4, Some(scopes))
        }
        Layout::IpfixOptions => (usize::from(count), Some(usize::from(reader.u16().ok_or_else(cut)?))),
    };
    if scopes.is_some_and(|scopes| scopes > count) {
        return Err(format!("options template {id} has more scope fields than fields"));
    }
    if reader.bytes.len() < count * 4 {
        return Err(cut());
    }
    let fields: Option<Vec<Field>> = (0..count).map(|_| reader.field(enterprise)).collect();
    let mut fields = fields.ok_or_else(cut)?;
    if layout == Layout::V9Options {
        number_scopes(&mut fields, scopes.unwrap_or_default());
    }
    Ok(Some(Definition { id, kind: Kind::Fields(fields, scopes) }))
}

/// Version 9 numbers the scopes of options on their own (RFC 3954, 6.1): 2 is an interface, the others say nothing here.
fn number_scopes(fields: &mut [Field], scopes: usize) {
    for field in fields.iter_mut().take(scopes) {
        field.id = if field.id == 2 { 10 } else { 0 };
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn u16(&mut self) -> Option<u16> {
        let (two, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u16::from_be_bytes(*two))
    }

    fn field(&mut self, enterprise: bool) -> Option<Field> {
        let (id, length) = (self.u16()?, self.u16()?);
        if !enterprise || id & 0x8000 == 0 {
            return Some(Field { enterprise: 0, id, length });
        }
        let (four, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(Field { enterprise: u32::from_be_bytes(*four), id: id & 0x7fff, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn sets_hold_several_templates_and_padding() {
        let body = words(&[256, 2, 8, 4, 12, 4, 257, 1, 1, 8, 0]);
        let parsed = parse_set(Layout::V9, &body);
        assert_eq!(parsed.definitions.iter().map(|d| d.id).collect::<Vec<_>>(), [256, 257]);
        assert_eq!((parsed.rest, parsed.corrupt), (2, None));
    }

    #[test]
    fn a_template_that_runs_out_is_corrupt() {
        let parsed = parse_set(Layout::V9, &words(&[256, 1, 8, 4, 257, 9, 12, 4]));
        assert_eq!(parsed.definitions.len(), 1);
        assert!(parsed.corrupt.unwrap().contains("template 257 runs past"));
        assert_eq!(parsed.rest, 8);
    }

    #[test]
    fn enterprise_fields_in_ipfix_and_where_needed_in_version_9() {
        let fields = |layout, body: &[u8]| match parse_set(layout, body).definitions.remove(0).kind {
            Kind::Fields(fields, _) => fields,
            Kind::Withdrawn => panic!("withdrawn"),
        };
        let body = words(&[256, 2, 8, 4, 0x8001, 8, 0, 29_305]);
        let reverse = Field { enterprise: 29_305, id: 1, length: 8 };
        assert_eq!(fields(Layout::Ipfix, &body)[1], reverse);
        assert_eq!(fields(Layout::V9, &body)[1], reverse);
        // ASA's own types have the top bit set and no enterprise number behind them.
        let asa = words(&[256, 2, 8, 4, 33_002, 2]);
        assert_eq!(fields(Layout::V9, &asa)[1], Field { enterprise: 0, id: 33_002, length: 2 });
    }

    #[test]
    fn withdrawals_are_ipfix_only() {
        let body = words(&[300, 0]);
        assert!(matches!(parse_set(Layout::Ipfix, &body).definitions[0].kind, Kind::Withdrawn));
        assert!(
            matches!(parse_set(Layout::V9, &body).definitions[0].kind, Kind::Fields(ref f, _) if f.is_empty())
        );
        assert!(matches!(parse_set(Layout::Ipfix, &words(&[2, 0])).definitions[0].kind, Kind::Withdrawn));
    }

    #[test]
    fn repeated_counters_are_asked_in_turn() {
        let field = |id, length| Field { enterprise: 0, id, length };
        let template =
            Template::new(vec![field(85, 4), field(8, 4), field(1, 4), field(1, 4), field(23, 4)], None);
        let bytes: Vec<_> = template
            .plan
            .operations
            .iter()
            .filter(|op| op.slot == Slot::Bytes)
            .map(|op| (op.offset, op.first))
            .collect();
        // Neither the total, at 0, nor what left the box, at 16.
        assert_eq!(bytes, [(8, true), (12, false)]);
        assert_eq!(template.stride, Some(20));
    }

    #[test]
    fn variable_lengths_are_located() {
        let field = |id, length| Field { enterprise: 0, id, length };
        let template = Template::new(vec![field(96, 65_535), field(8, 4), field(96, 65_535)], None);
        assert_eq!((template.stride, template.least()), (None, 6));
        let mut data = vec![2, b'h', b'i', 10, 0, 0, 1, 255, 1, 0];
        data.extend([7; 256]);
        let mut places = Vec::new();
        assert_eq!(template.locate(&data, &mut places), Some(data.len()));
        assert_eq!(places, [(1, 2), (3, 4), (10, 256)]);
        assert_eq!(template.locate(&data[..data.len() - 1], &mut places), None);
        assert_eq!(template.locate(&[], &mut places), None);
    }
}
