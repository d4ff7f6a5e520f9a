//! Classes: values that no rule tells apart.
//!
//! The bounds of all rules' sets cut a field (source, destination, service) into elementary intervals. Intervals that
//! lie in the same rules' sets are one class, and a class is stored as the set of those rules. A packet's rules are
//! then the intersection of three stored sets, found without looking at any rule (the cross-producting of Lakshman
//! and Stiliadis, SIGCOMM 1998, with their bit vectors made sparse).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use netset::IntervalSet;

/// A discrete field of a packet.
pub(crate) trait Field: Copy + Ord {
    const LEAST: Self;
    fn after(self) -> Option<Self>;
}

impl Field for netset::Ip {
    const LEAST: Self = Self(0);
    fn after(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Field for u32 {
    const LEAST: Self = 0;
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

const WORD_BITS: usize = 64;

/// The classes of one field.
///
/// Each class is a set of rules in the arena: first one bit for each word of 64 rules that is not zero (the summary),
/// then those words. Its size follows the rules that the class is in, not the rules that there are.
pub(crate) struct Classes<T> {
    /// Start of each interval, and its class; sorted, the first starts at the least value.
    starts: Vec<(T, u32)>,
    /// Where each class starts in the arena.
    offsets: Vec<usize>,
    arena: Vec<u64>,
    summary_words: usize,
}

impl<T: Field> Classes<T> {
    /// From the set of each rule, as intervals; a rule's number is its place.
    pub(crate) fn new<'a>(rules: impl ExactSizeIterator<Item = Vec<(T, T)>> + 'a) -> Self {
        let count = rules.len();
        let words = count.div_ceil(WORD_BITS);
        let mut bounds: Vec<(T, u32)> = Vec::new();
        for (rule, runs) in rules.enumerate() {
            for (low, high) in runs {
                bounds.push((low, rule as u32));
                bounds.extend(high.after().map(|after| (after, rule as u32)));
            }
        }
        bounds.sort_unstable();
        let mut classes = Self {
            starts: Vec::new(),
            offsets: Vec::new(),
            arena: Vec::new(),
            summary_words: words.div_ceil(WORD_BITS),
        };
        let mut known: HashMap<Vec<u64>, u32, FixedState> = HashMap::default();
        // Rules whose set holds the current interval. A bound flips its rule: in at the start, out after the end.
        let mut active = vec![0_u64; words];
        let mut at = 0;
        if bounds.first().is_none_or(|(start, _)| *start > T::LEAST) {
            classes.open(T::LEAST, &active, &mut known);
        }
        while let Some(&(start, _)) = bounds.get(at) {
            while let Some(&(_, rule)) = bounds.get(at).filter(|bound| bound.0 == start) {
                active[rule as usize / WORD_BITS] ^= 1 << (rule as usize % WORD_BITS);
                at += 1;
            }
            classes.open(start, &active, &mut known);
        }
        classes
    }

    fn open(&mut self, start: T, active: &[u64], known: &mut HashMap<Vec<u64>, u32, FixedState>) {
        let mut encoded = vec![0_u64; self.summary_words];
        for (index, word) in active.iter().enumerate().filter(|(_, word)| **word != 0) {
            encoded[index / WORD_BITS] |= 1 << (index % WORD_BITS);
            encoded.push(*word);
        }
        let class = match known.get(&encoded) {
            Some(class) => *class,
            None => {
                let class = self.offsets.len() as u32;
                self.offsets.push(self.arena.len());
                self.arena.extend(&encoded);
                known.insert(encoded, class);
                class
            }
        };
        if self.starts.last().is_none_or(|(_, last)| *last != class) {
            self.starts.push((start, class));
        }
    }

    /// The class of a value. `O(log n)`.
    pub(crate) fn of(&self, value: T) -> u32 {
        let after = self.starts.partition_point(|(start, _)| *start <= value);
        self.starts[after.saturating_sub(1)].1
    }

    /// The classes of all values from `low` to `high`, in order, with repetitions.
    pub(crate) fn between(&self, low: T, high: T) -> impl Iterator<Item = u32> {
        let first = self.starts.partition_point(|(start, _)| *start <= low).saturating_sub(1);
        self.starts[first..].iter().take_while(move |(start, _)| *start <= high).map(|(_, class)| *class)
    }

    /// The rules of a class, as encoded.
    pub(crate) fn rules(&self, class: u32) -> &[u64] {
        &self.arena[self.offsets[class as usize]..]
    }

    pub(crate) fn summary_words(&self) -> usize {
        self.summary_words
    }

    /// How many classes there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }
}

/// The least rule that is in all three sets. Rules are numbered by precedence, so it is the one that decides.
pub(crate) fn first_common(sets: [&[u64]; 3], summary_words: usize) -> Option<usize> {
    let [a, b, c] = sets;
    let mut ranks = [summary_words; 3];
    for block in 0..summary_words {
        let mut common = a[block] & b[block] & c[block];
        while common != 0 {
            let bit = common.trailing_zeros();
            let below = (1_u64 << bit) - 1;
            let word = |set: &[u64], rank: usize| set[rank + (set[block] & below).count_ones() as usize];
            let rules = word(a, ranks[0]) & word(b, ranks[1]) & word(c, ranks[2]);
            if rules != 0 {
                let word_index = block * WORD_BITS + bit as usize;
                return Some(word_index * WORD_BITS + rules.trailing_zeros() as usize);
            }
            common &= common - 1;
        }
        for (rank, set) in ranks.iter_mut().zip(sets) {
            *rank += set[block].count_ones() as usize;
        }
    }
    None
}

/// The rules of a set, least first.
pub(crate) fn each(set: &[u64], summary_words: usize) -> impl Iterator<Item = usize> {
    let blocks =
        (0..summary_words).flat_map(move |block| bits(set[block]).map(move |bit| block * WORD_BITS + bit));
    let words = blocks.zip(set[summary_words..].iter());
    words.flat_map(|(index, word)| bits(*word).map(move |bit| index * WORD_BITS + bit))
}

fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// The runs of a set of addresses.
pub(crate) fn runs(set: &IntervalSet<netset::Ip>) -> Vec<(netset::Ip, netset::Ip)> {
    set.runs().to_vec()
}
