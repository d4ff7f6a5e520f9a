//! What an exporter's clocks say: how far it is from ours, and whether it started anew.

use model::Micros;

/// Beyond this an exporter's clock is taken for wrong: no exporter holds a datagram back so long.
const WRONG: Micros = 300 * 1_000_000;
/// Below this it is taken for right again. Between the two nothing changes, so that a clock at the edge does not flutter.
const RIGHT: Micros = 60 * 1_000_000;

/// Beyond this it is no clock that is wrong, but a recording of other days that is played again.
const REPLAYED: Micros = 7 * 86_400 * 1_000_000;
/// Before this nobody exported flows in earnest: a clock that was never set begins in 1970, 1993 or 2000.
const NEVER_SET: Micros = 978_307_200 * 1_000_000;

/// By how much the times of an exporter are moved, because its clock is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skew {
    shift: Micros,
}

impl Skew {
    /// What to add to the times of a datagram, by when it was sent and received; 0 when either is not known.
    ///
    /// The shift stays as it is while the clock runs beside ours: what two datagrams say of each other is not disturbed by
    /// how long each took.
    pub(super) fn shift(&mut self, export: Micros, received: Micros) -> Micros {
        if export == 0 || received == 0 {
            return 0;
        }
        let off = received.saturating_sub(export);
        if off.saturating_abs() > REPLAYED && export >= NEVER_SET {
            self.shift = 0;
            return 0;
        }
        let drift = off.saturating_sub(self.shift);
        if self.shift != 0 && off.abs() < RIGHT {
            self.shift = 0;
        } else if drift.abs() > WRONG {
            self.shift = off;
        }
        self.shift
    }
}

/// What a version 9 header says of the exporter's life, to compare with the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) export: Micros,
    /// Milliseconds since it started, modulo 2^32; version 9 has it.
    pub(super) uptime: Option<u32>,
    pub(super) sequence: u32,
}

/// Restarts of one exporter closer than this are not believed: more likely are two processes behind one address.
const RESTART_APART: Micros = 600 * 1_000_000;
/// Nor are those of an exporter that was silent for longer: whatever it was, it has told its templates again since, and
/// recordings of different days that somebody put together look like it too.
const RESTART_WITHIN: Micros = 3_600 * 1_000_000;
/// How far a start must have moved to be another one. Export times have whole seconds, and clocks are set.
const ANOTHER_START_MS: i32 = 60_000;
/// How far back a count of records jumps that began anew. Datagrams that overtook each other jump by less.
const BEGAN_ANEW: u32 = 1 << 16;

/// Notices restarts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restarts {
    last: Option<Life>,
    restarted: Option<Micros>,
}

impl Restarts {
    /// Whether the exporter started anew between the last datagram and this one: numbers went back and, where it tells for
    /// how long it was up, it started at another time. Either alone has other reasons.
    pub(super) fn noticed(&mut self, now: Life) -> bool {
        let Some(last) = self.last.replace(now) else { return false };
        let passed = now.export.saturating_sub(last.export);
        if !(0..=RESTART_WITHIN).contains(&passed) {
            return false;
        }
        let anew = match (last.uptime, now.uptime) {
            (Some(before), Some(after)) => {
                let passed_ms = (passed / 1_000) as u32;
                let moved = passed_ms.wrapping_sub(after.wrapping_sub(before)).cast_signed();
                // It cannot be up for longer than since it was heard last.
                let since = after <= passed_ms.saturating_add(ANOTHER_START_MS as u32);
                let back = after < before && now.sequence < last.sequence;
                back && since && moved.saturating_abs() > ANOTHER_START_MS
            }
            _ => {
                let back = last.sequence.wrapping_sub(now.sequence);
                now.sequence < BEGAN_ANEW && (BEGAN_ANEW..1 << 31).contains(&back)
            }
        };
        let known = self.restarted.is_some_and(|at| (now.export - at).abs() < RESTART_APART);
        if anew && !known {
            self.restarted = Some(now.export);
        }
        anew && !known
    }

    /// Nothing is to be compared with the next datagram.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = 1_000_000;
    const NOW: Micros = 1_700_000_000 * S;

    #[test]
    fn a_clock_is_wrong_beyond_five_minutes_until_it_is_right_within_one() {
        let mut skew = Skew::default();
        let mut off = |seconds: i64| skew.shift(NOW, NOW + seconds * S) / S;
        // Off by so much: moved by so much.
        let course = [
            (0, 0),
            (299, 0),
            (-299, 0),
            (3_600, 3_600),
            (3_650, 3_600),
            (3_300, 3_300 + 300),
            (3_299, 3_299),
            (61, 61),
            (59, 0),
            (200, 0),
            (-301, -301),
            (-100, -301),
            (-59, 0),
        ];
        for (seconds, moved) in course {
            assert_eq!(off(seconds), moved, "off by {seconds}");
        }
        assert_eq!((Skew::default().shift(0, NOW), Skew::default().shift(NOW, 0)), (0, 0));
        assert_eq!(Skew::default().shift(i64::MIN, i64::MAX), i64::MAX);
        assert_eq!(Skew::default().shift(NOW - 30 * 86_400 * S, NOW), 0, "an old recording keeps its times");
        assert_eq!(Skew::default().shift(7_200 * S, NOW), NOW - 7_200 * S, "a clock that was never set");
    }

    fn life(second: i64, uptime_ms: Option<u32>, sequence: u32) -> Life {
        Life { export: NOW + second * S, uptime: uptime_ms, sequence }
    }

    #[test]
    fn restarts_are_told_from_what_looks_like_them() {
        let noticed = |before: Life, after: Life| {
            let mut restarts = Restarts::default();
            (restarts.noticed(before), restarts.noticed(after)).1
        };
        let day = 86_400_000;
        // Up for a day, then for a second.
        assert!(noticed(life(0, Some(day), 5_000), life(100, Some(1_000), 0)));
        assert!(!noticed(life(0, Some(day), 5_000), life(100, Some(1_000), 5_001)), "the numbers go on");
        assert!(
            !noticed(life(0, Some(u32::MAX - 999), 5_000), life(100, Some(99_000), 0)),
            "the counter wrapped"
        );
        assert!(!noticed(life(1, Some(day), 5_000), life(0, Some(day - 1_000), 4_999)), "out of order");
        assert!(!noticed(life(0, Some(day), 5_000), life(7_200, Some(day + 1), 5_001)), "the clock was set");
        assert!(
            !noticed(life(0, Some(day), 5_000), life(4_000, Some(1_000), 0)),
            "silent for more than an hour"
        );
        assert!(
            !noticed(life(0, Some(day), 5_000), life(-100, Some(1_000), 0)),
            "an earlier day's recording"
        );
        assert!(
            !noticed(life(0, Some(day), 5_000), life(100, Some(day / 2), 0)),
            "up since before it was heard last"
        );
        assert!(noticed(life(0, None, 900_000), life(1, None, 0)));
        assert!(!noticed(life(0, None, 900_000), life(-1, None, 0)), "an earlier day's recording");
        assert!(!noticed(life(0, None, 900_000), life(1, None, 899_000)), "out of order");
        assert!(!noticed(life(0, None, u32::MAX), life(1, None, 10)), "the number wrapped");
        // Two processes that take turns are noticed once.
        let mut restarts = Restarts::default();
        let turns = (0..20).filter(|turn| {
            let (uptime, sequence) = if turn % 2 == 0 { (day, 5_000) } else { (1_000, 7) };
            restarts.noticed(life(*turn, Some(uptime), sequence))
        });
        assert_eq!(turns.count(), 1);
    }
}
