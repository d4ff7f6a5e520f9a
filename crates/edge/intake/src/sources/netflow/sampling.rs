//! Which part of the packets an exporter looked at.

use super::columns::Scratch;
use super::element::Slot;

/// The largest rate that is believed. Beyond it a value came from a field that means something else.
const RATE_MAX: u64 = 1_000_000;

/// Samplers or interfaces remembered for an exporter.
const KEPT: usize = 4_096;

/// The sampling rates that an exporter announced in its options data.
#[derive(Default, Debug)]
pub(super) struct Samplers {
    /// The rate of the whole exporter.
    pub(super) system: Option<u32>,
    pub(super) by_id: Vec<(u64, u32)>,
    pub(super) by_interface: Vec<(u64, u32)>,
}

/// What one options record says of sampling.
#[derive(Default, Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) sampler: Option<u64>,
    pub(super) interface: Option<u64>,
    rate: u64,
    taken: u64,
    skipped: u64,
    size: u64,
    population: u64,
    one_in: u64,
}

/// A rate that was announced and makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u64);

impl Announced {
    /// Takes note of a field.
    pub(super) fn put(&mut self, slot: Slot, value: u64) {
        let place = match slot {
            Slot::SamplerId => return self.sampler = Some(value),
            Slot::Interface => return self.interface = Some(value),
            Slot::SamplingRate => &mut self.rate,
            Slot::SamplingTaken => &mut self.taken,
            Slot::SamplingSkipped => &mut self.skipped,
            Slot::SamplingSize => &mut self.size,
            Slot::SamplingPopulation => &mut self.population,
            // The caller turned it into what it means: its bits are no number.
            Slot::SamplingProbability => &mut self.one_in,
            _ => return,
        };
        if *place == 0 {
            *place = value;
        }
    }

    /// One packet in so many; `None` when the fields do not speak of it.
    pub(super) fn rate(&self) -> Result<Option<u32>, Refused> {
        // Size out of population is the most exact statement. A count taken without a count skipped is half of one.
        let rate = if self.population > 0 && self.size > 0 {
            self.population / self.size
        } else if self.taken > 0 && self.skipped > 0 {
            self.taken.saturating_add(self.skipped) / self.taken
        } else if self.rate > 0 {
            self.rate
        } else if self.one_in > 0 {
            self.one_in
        } else {
            return Ok(None);
        };
        if (1..=RATE_MAX).contains(&rate) { Ok(Some(rate as u32)) } else { Err(Refused(rate)) }
    }
}

impl Samplers {
    /// Sets the rate of the whole exporter.
    pub(super) fn learn_system(&mut self, rate: u32) {
        self.system = Some(rate);
    }

    /// Takes a saved rate of the whole exporter, unless it announced one since.
    #[allow(dead_code, reason = "for what the collector keeps across restarts")]
    pub(super) fn restore(&mut self, system: Option<u32>) {
        self.system = self.system.or(system);
    }

    /// Whether a sampler or interface has a rate.
    pub(super) fn knows(&self, id: u64, interface: bool) -> bool {
        get(if interface { &self.by_interface } else { &self.by_id }, id).is_some()
    }

    /// Sets the rate of a sampler or interface.
    pub(super) fn put(&mut self, id: u64, rate: u32, interface: bool) {
        put(if interface { &mut self.by_interface } else { &mut self.by_id }, id, rate);
    }

    /// The rate of the whole exporter, for records that name no sampler.
    pub(super) fn system(&self) -> u32 {
        self.system.unwrap_or(1)
    }

    /// Whether interfaces have rates of their own.
    pub(super) fn have_interfaces(&self) -> bool {
        !self.by_interface.is_empty()
    }

    /// The rate of one record of the set at hand.
    pub(super) fn rate_of(&self, row: usize, scratch: &Scratch) -> u32 {
        let at = |column: &[u64]| column.get(row).copied().unwrap_or(0);
        let in_record = Announced {
            rate: at(&scratch.rate),
            taken: at(&scratch.taken),
            skipped: at(&scratch.skipped),
            size: at(&scratch.size),
            population: at(&scratch.population),
            one_in: at(&scratch.probability),
            ..Announced::default()
        };
        if let Ok(Some(rate)) = in_record.rate() {
            return rate;
        }
        let sampler = scratch.sampler.get(row);
        if let Some(rate) = sampler.and_then(|id| get(&self.by_id, *id)) {
            return rate;
        }
        // Sampler 0 is how exporters say that a record was not sampled, whatever the rest of the box does.
        if sampler == Some(&0) {
            return 1;
        }
        match scratch.interface.get(row).and_then(|id| get(&self.by_interface, *id)) {
            Some(rate) => rate,
            None => self.system(),
        }
    }
}

fn get(list: &[(u64, u32)], id: u64) -> Option<u32> {
    list.iter().find(|(known, _)| *known == id).map(|(_, rate)| *rate)
}

fn put(list: &mut Vec<(u64, u32)>, id: u64, rate: u32) {
    if let Some(entry) = list.iter_mut().find(|(known, _)| *known == id) {
        entry.1 = rate;
    } else if list.len() < KEPT {
        list.push((id, rate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(fields: &[(Slot, u64)]) -> Announced {
        let mut announced = Announced::default();
        for (slot, value) in fields {
            announced.put(*slot, *value);
        }
        announced
    }

    #[test]
    fn rates_come_in_three_shapes() {
        let rate = |fields: &[(Slot, u64)]| announced(fields).rate();
        assert_eq!(rate(&[(Slot::SamplingRate, 1_000)]), Ok(Some(1_000)));
        assert_eq!(rate(&[(Slot::SamplingTaken, 1), (Slot::SamplingSkipped, 99)]), Ok(Some(100)));
        let cisco = [(Slot::SamplingTaken, 1), (Slot::SamplingSize, 1), (Slot::SamplingPopulation, 256)];
        assert_eq!(rate(&cisco), Ok(Some(256)));
        assert_eq!(rate(&[(Slot::SamplingTaken, 1)]), Ok(None));
        assert_eq!(rate(&[]), Ok(None));
        assert_eq!(rate(&[(Slot::SamplingRate, 1_000_001)]), Err(Refused(1_000_001)));
        assert_eq!(rate(&[(Slot::SamplingSize, 9), (Slot::SamplingPopulation, 2)]), Err(Refused(0)));
    }

    #[test]
    fn the_nearest_scope_wins() {
        let mut samplers = Samplers::default();
        samplers.learn_system(10);
        samplers.put(7, 20, false);
        samplers.put(3, 30, true);
        let scratch = Scratch { sampler: vec![7, 8, 0], interface: vec![3, 3, 3], ..Scratch::default() };
        assert_eq!([0, 1, 2].map(|row| samplers.rate_of(row, &scratch)), [20, 30, 1]);
        assert_eq!(samplers.rate_of(0, &Scratch::default()), 10);
        let in_record = Scratch { rate: vec![50, 0], ..Scratch::default() };
        assert_eq!([0, 1].map(|row| samplers.rate_of(row, &in_record)), [50, 10]);
    }
}
