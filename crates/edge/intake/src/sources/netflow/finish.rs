//! What is left to do for the records of a set once their fields are in the columns.

use model::{Client, FlowBatch, FlowDetails};
use netset::{Ip, Protocol};

use super::columns::{STATED, Scratch, Times};
use super::element::Slot;
use super::memory::Applications;
use super::records::unsigned;
use super::sampling::Samplers;
use super::template::{Has, Template};

/// Completes the rows from `base` on: times, what is present, sampling, who the client is, who observed.
pub(super) fn finish(
    template: &Template,
    batch: &mut FlowBatch,
    base: usize,
    times: Times,
    exporter: u32,
    samplers: &Samplers,
    scratch: &Scratch,
) {
    let has = template.plan.has;
    if has.any_uptime && times.uptime.is_none() {
        anchor(batch, base, times);
    }
    if !(has.uptimes && times.uptime.is_some()) {
        complete_times(batch, base, times, scratch);
    }
    mark_present(has, batch, base, scratch);
    scale(has, batch, base, samplers, scratch);
    batch.exporter[base..].fill(exporter);
    if has.initiator {
        batch.client[base..].fill(Client::Src);
    }
    if !(has.initiator || has.biflow) {
        return;
    }
    for (client, confidence) in batch.client[base..].iter().zip(&mut batch.client_confidence[base..]) {
        if *client != Client::Unknown {
            *confidence = STATED;
        }
    }
}

/// IPFIX may give uptimes without saying when the exporter started. The two times of a record still tell how long it
/// took; its end is then taken to be the moment of export.
fn anchor(batch: &mut FlowBatch, base: usize, times: Times) {
    for (start, end) in batch.start[base..].iter_mut().zip(&mut batch.end[base..]) {
        let took = if *start == 0 || *end == 0 { 0 } else { (*end - *start).max(0) };
        *end = times.export;
        *start = times.export - took;
    }
}

/// Fills times that the exporter left out: the end from the event's time or the duration, the start likewise, and both
/// from the moment of export when nothing else is there.
fn complete_times(batch: &mut FlowBatch, base: usize, times: Times, scratch: &Scratch) {
    let rows = batch.start[base..].iter_mut().zip(&mut batch.end[base..]).enumerate();
    for (row, (start, end)) in rows {
        if *start != 0 && *end != 0 {
            continue;
        }
        let observed = scratch.observed.get(row).copied().filter(|at| *at != 0);
        let duration = scratch.duration.get(row).copied().unwrap_or(0);
        if *end == 0 {
            *end = match (*start, duration) {
                (0, _) => observed.unwrap_or(times.export),
                (_, 0) => observed.unwrap_or(*start),
                (_, took) => start.saturating_add(took),
            };
        }
        if *start == 0 {
            *start = end.saturating_sub(duration);
        }
    }
}

fn mark_present(has: Has, batch: &mut FlowBatch, base: usize, scratch: &Scratch) {
    let (always, allowed) = present_bits(has);
    let FlowBatch { protocol, present, src_port, dst_port, .. } = batch;
    let rows = protocol[base..].iter().zip(&mut present[base..]);
    let ports = src_port[base..].iter_mut().zip(&mut dst_port[base..]);
    for (row, ((protocol, present), (source, destination))) in rows.zip(ports).enumerate() {
        *present = always | BY_PROTOCOL[usize::from(*protocol)] & allowed;
        if *present & FlowBatch::HAS_PORTS != 0 {
            continue;
        }
        *source = 0;
        if *present & FlowBatch::HAS_ICMP == 0 {
            *destination = 0;
        } else if let Some(stated) = icmp(row, scratch) {
            *destination = stated;
        }
    }
}

/// The `HAS_*` bits that a record of each protocol can have.
static BY_PROTOCOL: [u8; 256] = {
    let mut bits = [0; 256];
    let mut number = 0;
    while number < 256 {
        let protocol = Protocol(number as u8);
        if protocol.has_ports() {
            bits[number] |= FlowBatch::HAS_PORTS;
        }
        if protocol.is_icmp() {
            bits[number] |= FlowBatch::HAS_ICMP;
        }
        number += 1;
    }
    bits[Protocol::TCP.0 as usize] |= FlowBatch::HAS_TCP_FLAGS;
    bits
};

/// The `HAS_*` bits that every record of a template has, and those that it has where its protocol does.
fn present_bits(has: Has) -> (u8, u8) {
    let when = |condition: bool, bit: u8| if condition { bit } else { 0 };
    let always = when(has.counts, FlowBatch::HAS_COUNTS) | when(has.reverse, FlowBatch::HAS_REVERSE);
    // Routers put type and code into the destination port where they have no field of their own for them.
    let allowed = when(has.tcp_flags, FlowBatch::HAS_TCP_FLAGS)
        | when(has.ports, FlowBatch::HAS_PORTS)
        | when(has.icmp || has.ports, FlowBatch::HAS_ICMP);
    (always, allowed)
}

/// The ICMP type and code from their own fields, if those are there and say anything.
fn icmp(row: usize, scratch: &Scratch) -> Option<u16> {
    // Fields of their own for type and code are believed as they are. The joined field is often there and zero while the
    // destination port has the answer.
    if let Some(kind) = scratch.icmp_type.get(row) {
        let code = scratch.icmp_code.get(row).copied().unwrap_or(0);
        return Some(kind << 8 | code & 0xff);
    }
    scratch.icmp_type_code.get(row).copied().filter(|joined| *joined != 0)
}

fn scale(has: Has, batch: &mut FlowBatch, base: usize, samplers: &Samplers, scratch: &Scratch) {
    let by_record = has.sampler || has.sampling || has.interface && samplers.have_interfaces();
    if !by_record && samplers.system() == 1 {
        return;
    }
    for row in base..batch.len() {
        let rate = if by_record { samplers.rate_of(row - base, scratch) } else { samplers.system() };
        scale_row(batch, row, rate);
    }
}

/// Multiplies a row's counts by its sampling rate.
pub(super) fn scale_row(batch: &mut FlowBatch, row: usize, rate: u32) {
    if rate <= 1 {
        return;
    }
    batch.sampling[row] = rate;
    for counter in [
        &mut batch.packets[row],
        &mut batch.bytes[row],
        &mut batch.reverse_packets[row],
        &mut batch.reverse_bytes[row],
    ] {
        *counter = counter.saturating_mul(u64::from(rate));
    }
}

/// Adds translated addresses and texts to a row, where its record has them. Names of applications come from the record,
/// or from the exporter's table of them.
pub(super) fn add_details(
    template: &Template,
    record: &[u8],
    (places, applications): (Option<&[(usize, usize)]>, &Applications),
    batch: &mut FlowBatch,
    row: usize,
) {
    let mut details = FlowDetails::default();
    for operation in &template.plan.details {
        let (offset, length) = match places {
            Some(places) => places.get(operation.field).copied().unwrap_or_default(),
            None => (operation.offset, operation.length),
        };
        let Some(bytes) = record.get(offset..offset + length) else { continue };
        match operation.slot {
            Slot::NatSource => details.nat_src_ip = details.nat_src_ip.or(address(bytes)),
            Slot::NatDestination => details.nat_dst_ip = details.nat_dst_ip.or(address(bytes)),
            Slot::NatSourcePort => details.nat_src_port = port(bytes),
            Slot::NatDestinationPort => details.nat_dst_port = port(bytes),
            Slot::AccessList => details.rule = details.rule.or(access_list(bytes)),
            Slot::User => details.user = details.user.or(text(bytes)),
            Slot::Application => details.service_name = text(bytes).or(details.service_name),
            Slot::ApplicationId if details.service_name.is_none() => {
                let name = applications.get(&unsigned(bytes));
                details.service_name = name.map(|name| name.as_ref().to_owned());
            }
            _ => {}
        }
    }
    forget_untranslated(&mut details, batch, row);
    if details != FlowDetails::default() {
        batch.details.insert(row as u32, Box::new(details));
    }
}

/// Firewalls repeat the original address where nothing was translated: that is no translation.
fn forget_untranslated(details: &mut FlowDetails, batch: &FlowBatch, row: usize) {
    let same_source = details.nat_src_ip.is_none_or(|ip| ip == batch.src[row])
        && details.nat_src_port.is_none_or(|port| port == batch.src_port[row]);
    if same_source {
        (details.nat_src_ip, details.nat_src_port) = (None, None);
    }
    let same_destination = details.nat_dst_ip.is_none_or(|ip| ip == batch.dst[row])
        && details.nat_dst_port.is_none_or(|port| port == batch.dst_port[row]);
    if same_destination {
        (details.nat_dst_ip, details.nat_dst_port) = (None, None);
    }
}

/// The hash of an access list's entry, as `show access-list` prints it.
fn access_list(bytes: &[u8]) -> Option<String> {
    let hashes = bytes.as_chunks::<4>().0.iter().map(|hash| u32::from_be_bytes(*hash));
    let [list, entry, _] = hashes.collect::<Vec<_>>()[..] else { return None };
    match (list, entry) {
        (0, 0) => None,
        (list, 0) => Some(format!("{list:#010x}")),
        (_, entry) => Some(format!("{entry:#010x}")),
    }
}

fn address(bytes: &[u8]) -> Option<Ip> {
    let ip = match bytes.len() {
        4 => Ip::v4(u32::from_be_bytes(bytes.try_into().ok()?)),
        16 => Ip::from_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    (ip != Ip(0) && ip != Ip::v4(0)).then_some(ip)
}

fn port(bytes: &[u8]) -> Option<u16> {
    let port = bytes.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    (port != 0).then_some(port as u16)
}

/// A text field without its padding, if it says anything. Fields are long and mostly empty in the wild.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
