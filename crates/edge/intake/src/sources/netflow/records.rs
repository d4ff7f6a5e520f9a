//! One data set: records of traffic into rows, options records into what they say of the exporter.

use model::FlowBatch;

use super::columns::{self, Scratch};
use super::decoder::Message;
use super::element::Slot;
use super::finish;
use super::memory::{State, since};
use super::sampling::{Announced, Refused};
use super::template::{Operation, Template};
use crate::frame::{self, Packet, Selector};
use crate::ledger::{Ledger, Place};

/// Microseconds.
const DAY: i64 = 86_400_000_000;
const YEAR: i64 = 365 * DAY;

const NO_ADDRESSES: &str = "record without addresses";
const BAD_RECORD: &str = "record does not fit its set";
const BAD_RATE: &str = "sampling rate refused";

/// One data set and what is needed to decode it.
pub(super) struct Run<'a> {
    pub(super) message: Message,
    pub(super) template: &'a Template,
    pub(super) state: &'a mut State,
    pub(super) scratch: &'a mut Scratch,
    pub(super) places: &'a mut Vec<(usize, usize)>,
}

impl Run<'_> {
    /// Flows. Returns their number.
    pub(super) fn records(&mut self, set: &[u8], batch: &mut FlowBatch, ledger: &mut Ledger) -> u32 {
        let base = batch.len();
        match self.template.stride {
            Some(stride) => {
                let whole = &set[..set.len() / stride * stride];
                self.scratch.clear();
                self.system_init_of(whole, None);
                let how = (self.message.times, self.state.samplers.have_interfaces());
                columns::fixed(self.template, stride, whole, how, batch, self.scratch);
                self.finish(batch, base);
                self.doubt(&set[whole.len()..], batch, base, ledger);
                if !self.template.plan.details.is_empty() {
                    for (row, record) in (base..).zip(whole.chunks_exact(stride)) {
                        finish::add_details(
                            self.template,
                            record,
                            (None, &self.state.applications),
                            batch,
                            row,
                        );
                    }
                }
            }
            None => self.each_record(set, ledger, |run, record| {
                let row = batch.len();
                run.scratch.clear();
                run.system_init_of(record, Some(()));
                columns::single(run.template, record, run.places, run.message.times, batch, run.scratch);
                run.finish(batch, row);
                if !run.template.plan.details.is_empty() {
                    let names = &run.state.applications;
                    finish::add_details(run.template, record, (Some(run.places), names), batch, row);
                }
            }),
        }
        (batch.len() - base) as u32
    }

    /// Packets that the exporter shows as they were: one flow each. What of it does not say who talks to whom is counted.
    pub(super) fn sections(
        &mut self,
        section: Operation,
        set: &[u8],
        batch: &mut FlowBatch,
        ledger: &mut Ledger,
    ) -> u32 {
        let Slot::Section(link) = section.slot else { return self.skip(set, ledger) };
        let (mut count, mut unread) = (0, Vec::new());
        self.each_record(set, ledger, |run, record| {
            count += 1;
            let (offset, length) = run.places.get(section.field).copied().unwrap_or_default();
            let bytes = record.get(offset..offset + length).unwrap_or_default();
            match frame::dissect(link, bytes, bytes.len()) {
                Ok(frame) => run.section(&frame.packet, record, batch),
                Err(reason) => unread.push((reason, record.len())),
            }
        });
        for (reason, bytes) in unread {
            ledger.lose(reason, 1, bytes);
        }
        count
    }

    fn section(&mut self, packet: &Packet<'_>, record: &[u8], batch: &mut FlowBatch) {
        let row = batch.len();
        self.scratch.clear();
        self.system_init_of(record, Some(()));
        columns::single(self.template, record, self.places, self.message.times, batch, self.scratch);
        batch.src[row] = packet.src;
        batch.dst[row] = packet.dst;
        batch.protocol[row] = packet.protocol;
        let lacks = |slot: Slot| !self.template.plan.operations.iter().any(|op| op.slot == slot);
        if lacks(Slot::Packets) {
            batch.packets[row] = 1;
        }
        if lacks(Slot::Bytes) {
            batch.bytes[row] = u64::from(packet.length);
        }
        self.finish(batch, row);
        let (source, destination, selector) = match packet.selector {
            Selector::Ports(source, destination) => (source, destination, FlowBatch::HAS_PORTS),
            Selector::Icmp(kind) => (0, kind, FlowBatch::HAS_ICMP),
            Selector::Absent => (0, 0, 0),
        };
        (batch.src_port[row], batch.dst_port[row]) = (source, destination);
        batch.tcp_flags[row] = packet.tcp_flags.unwrap_or(0);
        let flags = if packet.tcp_flags.is_some() { FlowBatch::HAS_TCP_FLAGS } else { 0 };
        batch.present[row] = FlowBatch::HAS_COUNTS | selector | flags;
    }

    /// Padding that is not zero is legal and rare. Where times that cannot be come with it, the records were most likely
    /// laid out by another template than the one at hand.
    fn doubt(&self, padding: &[u8], batch: &FlowBatch, base: usize, ledger: &mut Ledger) {
        if padding.iter().all(|byte| *byte == 0) {
            return;
        }
        let (export, times) = (self.message.times.export, batch.start[base..].iter().zip(&batch.end[base..]));
        let cannot_be =
            |start: i64, end: i64| end < start || start > export + DAY || end < export.saturating_sub(YEAR);
        let unlikely = times.filter(|(start, end)| cannot_be(**start, **end)).count();
        if unlikely > 0 {
            ledger.unlikely(&self.state.name, unlikely as u64);
        }
    }

    fn finish(&mut self, batch: &mut FlowBatch, base: usize) {
        let exporter = self.state.listed_in(batch);
        let times = self.message.times;
        finish::finish(self.template, batch, base, times, exporter, &self.state.samplers, self.scratch);
    }

    /// Some exporters repeat in each record when they started; records of one set agree on it.
    fn system_init_of(&mut self, record: &[u8], located: Option<()>) {
        let plan = &self.template.plan;
        if !plan.has.system_init || self.message.version != 10 {
            return;
        }
        let Some(operation) = plan.operations.iter().find(|op| op.slot == Slot::SystemInit) else {
            return;
        };
        let (offset, length) = match located {
            Some(()) => self.places.get(operation.field).copied().unwrap_or_default(),
            None => (operation.offset, operation.length),
        };
        let init = unsigned(record.get(offset..offset + length).unwrap_or_default());
        if let Some(uptime) = since(Some(init), self.message.times.export) {
            self.message.times.uptime = Some(uptime);
        }
    }

    /// Records that are not about addresses: counted, because nobody can make a rule of them.
    pub(super) fn skip(&mut self, set: &[u8], ledger: &mut Ledger) -> u32 {
        let mut count = 0;
        self.each_record(set, ledger, |_, _| count += 1);
        ledger.drop_many(NO_ADDRESSES, count as usize, set.len());
        count
    }

    /// What the exporter says of itself: sampling and when it started.
    pub(super) fn options(&mut self, set: &[u8], ledger: &mut Ledger) -> u32 {
        let (mut count, mut refused) = (0, None);
        self.each_record(set, ledger, |run, record| {
            count += 1;
            let announced = run.announced(record);
            match announced.rate() {
                // The nearest scope: a sampler, an interface, or the whole exporter.
                Ok(Some(rate)) => match (announced.sampler, announced.interface) {
                    (Some(id), _) => run.state.learn_sampler(id, rate, false),
                    (None, Some(id)) => run.state.learn_sampler(id, rate, true),
                    (None, None) => run.state.samplers.learn_system(rate),
                },
                Ok(None) => {}
                Err(Refused(rate)) => refused = Some(rate),
            }
            run.learn_application(record);
        });
        if let Some(rate) = refused {
            let detail = format!("sampling rate {rate} from {}; expected 1 to 1000000", self.state.name.0);
            ledger.reject(BAD_RATE, 0, Place::Offset(self.message.offset), detail);
        }
        ledger.summary.options_records += u64::from(count);
        count
    }

    /// What an options record says of sampling; takes note of when the exporter started on the way.
    fn announced(&mut self, record: &[u8]) -> Announced {
        let mut announced = Announced::default();
        for operation in &self.template.plan.operations {
            let Some((offset, length)) = self.places.get(operation.field) else { continue };
            let mut value = unsigned(record.get(*offset..*offset + *length).unwrap_or_default());
            if operation.slot == Slot::SamplingProbability {
                value = columns::one_in(value, *length);
            }
            if operation.slot == Slot::SystemInit {
                self.state.system_init = Some(value);
            }
            announced.put(operation.slot, value);
        }
        announced
    }

    /// A row of the exporter's table of applications: an id and its name.
    fn learn_application(&mut self, record: &[u8]) {
        let value = |slot: Slot| {
            let operation = self.template.plan.details.iter().find(|operation| operation.slot == slot)?;
            let (offset, length) = self.places.get(operation.field)?;
            record.get(*offset..*offset + *length)
        };
        let (Some(id), Some(name)) = (value(Slot::ApplicationId), value(Slot::Application)) else { return };
        if let Some(name) = finish::text(name) {
            self.state.learn_application(unsigned(id), &name);
        }
    }

    /// Locates the fields of each record in turn.
    fn each_record(&mut self, set: &[u8], ledger: &mut Ledger, mut each: impl FnMut(&mut Self, &[u8])) {
        let (mut rest, least) = (set, self.template.least());
        while rest.len() >= least {
            let Some(length) = self.template.locate(rest, self.places) else {
                // What is left may be padding; a record that was cut is not all zero.
                if rest.iter().any(|byte| *byte != 0) {
                    let detail = format!("a record of {} runs past its set", self.state.name.0);
                    ledger.reject(BAD_RECORD, rest.len(), Place::Offset(self.message.offset), detail);
                }
                return;
            };
            // A set is padded with less than a record; with empty fields of variable length a record may be that short,
            // but then it is not all zero.
            if self.template.stride.is_none() && rest.len() < 4 && rest.iter().all(|byte| *byte == 0) {
                return;
            }
            each(self, &rest[..length]);
            rest = &rest[length..];
        }
    }
}

pub(super) fn unsigned(bytes: &[u8]) -> u64 {
    if bytes.len() > 8 { 0 } else { bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) }
}
