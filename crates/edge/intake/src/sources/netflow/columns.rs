//! Runs a template's operations over a set of records, column by column.
//!
//! For each operation one loop goes over all records of the set with a fixed stride and fills one column: the branch on
//! what to do is taken once for a set, not once for a record and field.

use model::{Client, Direction, FlowBatch, Micros, Verdict};
use netset::Ip;

use super::element::{Clock, Slot};
use super::template::{Operation, Template};

/// How sure a stateful exporter is of who opened a connection. Not 1: its state may have begun in the middle.
pub(super) const STATED: f32 = 0.99;

/// Seconds from 1900 to 1970.
const NTP_EPOCH_S: i64 = 2_208_988_800;

/// What a datagram's header says of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// When the datagram left the exporter.
    pub(super) export: Micros,
    /// Milliseconds that the exporter was up then, modulo 2^32, if it said.
    pub(super) uptime: Option<u32>,
    /// What is added to all times in the end, because the exporter's clock is wrong.
    pub(super) shift: Micros,
}

/// Values of the set at hand that have no column of their own. A vector is empty when the template lacks the field.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) observed: Vec<Micros>,
    pub(super) duration: Vec<Micros>,
    pub(super) icmp_type_code: Vec<u16>,
    pub(super) icmp_type: Vec<u16>,
    pub(super) icmp_code: Vec<u16>,
    pub(super) sampler: Vec<u64>,
    pub(super) interface: Vec<u64>,
    pub(super) rate: Vec<u64>,
    pub(super) taken: Vec<u64>,
    pub(super) skipped: Vec<u64>,
    pub(super) size: Vec<u64>,
    pub(super) population: Vec<u64>,
    pub(super) probability: Vec<u64>,
    pub(super) system_init: Vec<u64>,
}

impl Scratch {
    pub(super) fn clear(&mut self) {
        let Self {
            observed,
            duration,
            icmp_type_code,
            icmp_type,
            icmp_code,
            sampler,
            interface,
            rate,
            taken,
            skipped,
            size,
            population,
            probability,
            system_init,
        } = self;
        for micros in [observed, duration] {
            micros.clear();
        }
        for short in [icmp_type_code, icmp_type, icmp_code] {
            short.clear();
        }
        for long in [sampler, interface, rate, taken, skipped, size, population, probability, system_init] {
            long.clear();
        }
    }
}

/// One field of `count` records: the first begins at the start of `data`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [u8],
    stride: usize,
    length: usize,
    count: usize,
}

/// Appends the records of a template whose fields all have a fixed length; `data` is whole records of `stride` bytes.
/// Interfaces are read only when sampling depends on them.
pub(super) fn fixed(
    template: &Template,
    stride: usize,
    data: &[u8],
    (times, interfaces): (Times, bool),
    batch: &mut FlowBatch,
    scratch: &mut Scratch,
) {
    let count = data.len() / stride;
    let base = batch.len();
    batch.fill(base + count);
    for operation in &template.plan.operations {
        if operation.slot == Slot::Interface && !interfaces {
            continue;
        }
        let Some(data) = data.get(operation.offset..) else { continue };
        let rows = Rows { data, stride, length: operation.length, count };
        run(operation, rows, times, batch, base, scratch);
    }
}

/// Appends one record whose fields lie at `places`.
pub(super) fn single(
    template: &Template,
    record: &[u8],
    places: &[(usize, usize)],
    times: Times,
    batch: &mut FlowBatch,
    scratch: &mut Scratch,
) {
    let base = batch.len();
    batch.fill(base + 1);
    for operation in &template.plan.operations {
        let Some((offset, length)) = places.get(operation.field) else { continue };
        let Some(data) = record.get(*offset..*offset + *length) else { continue };
        let address = matches!(operation.slot, Slot::Source | Slot::Destination);
        if *length == 0 || *length > 8 && !(address && *length == 16) {
            continue;
        }
        let rows = Rows { data, stride: *length, length: *length, count: 1 };
        run(operation, rows, times, batch, base, scratch);
    }
}

fn run(
    operation: &Operation,
    rows: Rows<'_>,
    times: Times,
    batch: &mut FlowBatch,
    base: usize,
    scratch: &mut Scratch,
) {
    let first = operation.first;
    match operation.slot {
        Slot::Source => addresses(&mut batch.src[base..], rows, first),
        Slot::Destination => addresses(&mut batch.dst[base..], rows, first),
        Slot::Protocol => numbers(&mut batch.protocol[base..], rows, first, |v| v as u8),
        Slot::SourcePort => numbers(&mut batch.src_port[base..], rows, first, |v| v as u16),
        Slot::DestinationPort => numbers(&mut batch.dst_port[base..], rows, first, |v| v as u16),
        Slot::TcpFlags => numbers(&mut batch.tcp_flags[base..], rows, first, |v| v as u8),
        Slot::Packets => numbers(&mut batch.packets[base..], rows, first, |v| v),
        Slot::Bytes => numbers(&mut batch.bytes[base..], rows, first, |v| v),
        Slot::ReversePackets => numbers(&mut batch.reverse_packets[base..], rows, first, |v| v),
        Slot::ReverseBytes => numbers(&mut batch.reverse_bytes[base..], rows, first, |v| v),
        Slot::Start(clock) => moments(&mut batch.start[base..], rows, first, clock, times),
        Slot::End(clock) => moments(&mut batch.end[base..], rows, first, clock, times),
        Slot::Direction => numbers(&mut batch.direction[base..], rows, first, direction),
        Slot::FirewallEvent => numbers(&mut batch.verdict[base..], rows, false, firewall_verdict),
        Slot::ForwardingStatus => numbers(&mut batch.verdict[base..], rows, false, forwarding_verdict),
        Slot::BiflowDirection => numbers(&mut batch.client[base..], rows, first, initiator),
        slot => run_scratch(slot, first, rows, times, scratch),
    }
}

fn run_scratch(slot: Slot, first: bool, rows: Rows<'_>, times: Times, scratch: &mut Scratch) {
    let long = |column: &mut Vec<u64>| numbers(sized(column, rows.count), rows, first, |v| v);
    let short = |column: &mut Vec<u16>| numbers(sized(column, rows.count), rows, first, |v| v as u16);
    match slot {
        Slot::Observed(clock) => moments(sized(&mut scratch.observed, rows.count), rows, first, clock, times),
        Slot::DurationMillis => {
            numbers(sized(&mut scratch.duration, rows.count), rows, first, |v| scaled(v, 1_000));
        }
        Slot::DurationMicros => {
            numbers(sized(&mut scratch.duration, rows.count), rows, first, |v| scaled(v, 1))
        }
        Slot::IcmpTypeCode => short(&mut scratch.icmp_type_code),
        Slot::IcmpType => short(&mut scratch.icmp_type),
        Slot::IcmpCode => short(&mut scratch.icmp_code),
        Slot::SamplerId => long(&mut scratch.sampler),
        Slot::Interface => long(&mut scratch.interface),
        Slot::SamplingRate => long(&mut scratch.rate),
        Slot::SamplingTaken => long(&mut scratch.taken),
        Slot::SamplingSkipped => long(&mut scratch.skipped),
        Slot::SamplingSize => long(&mut scratch.size),
        Slot::SamplingPopulation => long(&mut scratch.population),
        Slot::SamplingProbability => {
            let length = rows.length;
            numbers(sized(&mut scratch.probability, rows.count), rows, first, |v| one_in(v, length));
        }
        Slot::SystemInit => long(&mut scratch.system_init),
        _ => {}
    }
}

/// How many packets stand behind one that was taken with a probability, given as a float of 4 or 8 bytes (IE 311); 0 when
/// it is none.
pub(super) fn one_in(bits: u64, length: usize) -> u64 {
    let probability = match length {
        4 => f64::from(f32::from_bits(bits as u32)),
        8 => f64::from_bits(bits),
        _ => return 0,
    };
    // What is so small becomes a rate that is refused.
    if probability > 0.0 && probability <= 1.0 { (1.0 / probability).round().min(1e12) as u64 } else { 0 }
}

/// A scratch column of `count` values, zero where it was not filled yet.
fn sized<T: Clone + Default>(column: &mut Vec<T>, count: usize) -> &mut [T] {
    column.resize(count, T::default());
    column
}

fn addresses(column: &mut [Ip], rows: Rows<'_>, first: bool) {
    match rows.length {
        4 => each::<4, _>(column, rows, |ip, bytes| {
            let new = Ip::v4(u32::from_be_bytes(bytes));
            if first || unset(*ip) && bytes != [0; 4] {
                *ip = new;
            }
        }),
        16 => each::<16, _>(column, rows, |ip, bytes| {
            // A template may have both families with one of them zero.
            if first || unset(*ip) && bytes != [0; 16] {
                *ip = Ip::from_bytes(bytes);
            }
        }),
        _ => {}
    }
}

fn unset(ip: Ip) -> bool {
    ip == Ip(0) || ip == Ip::v4(0)
}

fn moments(column: &mut [Micros], rows: Rows<'_>, first: bool, clock: Clock, times: Times) {
    let export = times.export;
    match clock {
        Clock::Millis => numbers(column, rows, first, |v| scaled(v, 1_000)),
        Clock::Seconds => numbers(column, rows, first, |v| scaled(v, 1_000_000)),
        Clock::Ntp => numbers(column, rows, first, ntp),
        Clock::MicrosBefore => numbers(column, rows, first, move |v| export.saturating_sub(scaled(v, 1))),
        Clock::Uptime => {
            // The difference is taken modulo 2^32, so that a start before the counter's last wrap comes out right.
            let uptime = times.uptime.unwrap_or(0);
            numbers(column, rows, first, move |v| {
                export - i64::from(uptime.wrapping_sub(v as u32).cast_signed()) * 1_000
            });
        }
    }
}

/// A time in microseconds from one in `micros`-sized units, without overflow.
fn scaled(value: u64, micros: u64) -> Micros {
    value.saturating_mul(micros).min(i64::MAX as u64) as i64
}

fn ntp(value: u64) -> Micros {
    if value == 0 {
        return 0;
    }
    let seconds = (value >> 32) as i64 - NTP_EPOCH_S;
    let fraction = ((value & 0xffff_ffff) * 1_000_000) >> 32;
    seconds * 1_000_000 + fraction as i64
}

fn direction(code: u64) -> Direction {
    match code {
        0 => Direction::Ingress,
        1 => Direction::Egress,
        _ => Direction::Unknown,
    }
}

/// IE 233: created, deleted and updated mean that the connection passed; an alert says nothing of it.
fn firewall_verdict(event: u64) -> Verdict {
    match event {
        1 | 2 | 5 => Verdict::Allow,
        3 => Verdict::Deny,
        _ => Verdict::Unknown,
    }
}

/// IE 89: only the drops by an access list are a decision on the traffic; no route or a bad checksum is none, and a
/// router that forwards did not judge.
fn forwarding_verdict(status: u64) -> Verdict {
    // Some exporters send four bytes with the status in the first of them.
    let status = if status > 0xff { status >> 24 } else { status };
    if matches!(status, 129 | 130) { Verdict::Deny } else { Verdict::Unknown }
}

/// IE 239 (RFC 5103): the source is the initiator, or the answering side. Arbitrary and perimeter say nothing.
fn initiator(code: u64) -> Client {
    match code {
        1 => Client::Src,
        2 => Client::Dst,
        _ => Client::Unknown,
    }
}

/// Fills a column of numbers; if another field filled it before, only where that was zero.
fn numbers<T: Copy + Default + PartialEq>(
    column: &mut [T],
    rows: Rows<'_>,
    first: bool,
    convert: impl Fn(u64) -> T + Copy,
) {
    match rows.length {
        1 => numbers_of::<1, T>(column, rows, first, convert),
        2 => numbers_of::<2, T>(column, rows, first, convert),
        4 => numbers_of::<4, T>(column, rows, first, convert),
        8 => numbers_of::<8, T>(column, rows, first, convert),
        3 => numbers_of::<3, T>(column, rows, first, convert),
        5 => numbers_of::<5, T>(column, rows, first, convert),
        6 => numbers_of::<6, T>(column, rows, first, convert),
        7 => numbers_of::<7, T>(column, rows, first, convert),
        _ => {}
    }
}

fn numbers_of<const LENGTH: usize, T: Copy + Default + PartialEq>(
    column: &mut [T],
    rows: Rows<'_>,
    first: bool,
    convert: impl Fn(u64) -> T,
) {
    if first {
        each::<LENGTH, _>(column, rows, |slot, bytes| *slot = convert(number(bytes)));
    } else {
        each::<LENGTH, _>(column, rows, |slot, bytes| {
            if *slot == T::default() {
                *slot = convert(number(bytes));
            }
        });
    }
}

/// Goes over the rows of one field.
fn each<const LENGTH: usize, T>(column: &mut [T], rows: Rows<'_>, mut put: impl FnMut(&mut T, [u8; LENGTH])) {
    for (slot, record) in column.iter_mut().zip(rows.data.chunks(rows.stride)) {
        if let Some(bytes) = record.first_chunk::<LENGTH>() {
            put(slot, *bytes);
        }
    }
}

fn number<const LENGTH: usize>(bytes: [u8; LENGTH]) -> u64 {
    let mut eight = [0; 8];
    eight[8 - LENGTH..].copy_from_slice(&bytes);
    u64::from_be_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_wrap() {
        let times = Times { export: 1_000_000_000, uptime: Some(3_381), shift: 0 };
        let mut column = [0; 2];
        let mut data = Vec::from(u32::MAX.to_be_bytes());
        data.extend(3_000_u32.to_be_bytes());
        let rows = Rows { data: &data, stride: 4, length: 4, count: 2 };
        moments(&mut column, rows, true, Clock::Uptime, times);
        assert_eq!(column, [1_000_000_000 - 3_382_000, 1_000_000_000 - 381_000]);
    }

    #[test]
    fn times_of_any_size_do_not_overflow() {
        assert_eq!(scaled(u64::MAX, 1_000_000), i64::MAX);
        assert_eq!(ntp((NTP_EPOCH_S as u64 + 1) << 32 | 0x8000_0000), 1_500_000);
        let _ = (ntp(u64::MAX), ntp(1));
    }

    #[test]
    fn forwarding_status_in_one_byte_or_four() {
        assert_eq!(forwarding_verdict(129), Verdict::Deny);
        assert_eq!(forwarding_verdict(129 << 24), Verdict::Deny);
        assert_eq!(forwarding_verdict(64), Verdict::Unknown);
    }
}
