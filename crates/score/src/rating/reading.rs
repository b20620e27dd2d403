//! All that is said of one subject as a seller, as it counts: weights, badness as read, segments of time (sections 6.5, 6.7 and 7).

use super::{
    changes::{self, Bin, Changes},
    voice::{Voice, as_read_q16},
};
use crate::{
    evidence::Evidence,
    fixed::{mul_div, q16, q32, saturate, small},
    pairs::{Pairs, badness_q16, delivered, standing},
    policy::Scoring,
};

/// One report of a rating pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// Place in [`Evidence::rows`].
    pub(crate) place: usize,
    /// Its pair.
    pub(crate) pair: usize,
    /// v, Q32: before anything is forgotten.
    pub(crate) weight_q32: u64,
    /// v', Q32.
    pub(crate) kept_q32: u64,
    /// y, Q16.
    pub(crate) bad_q16: u32,
    /// s, Q32.
    pub(crate) standing_q32: u64,
    /// Number of the segment of time.
    pub(crate) segment: usize,
    /// Whether something was delivered.
    pub(crate) delivered: bool,
}

/// What is said of one subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// Reports of its rating pairs, in the order of evidence.
    pub(crate) reports: Vec<Read>,
    /// Its change points.
    pub(crate) changes: Changes,
}

/// Reads one subject after the other. Used again for the next, so that millions of subjects are not millions of allocations.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) reading: Reading,
    standing: Vec<u64>,
    by_bin: Vec<(u64, usize)>,
    bins: Vec<Bin>,
}

impl Reader {
    /// Reads a subject; the result is in `reading`.
    pub(crate) fn read(
        &mut self,
        pairs: &Pairs,
        evidence: &Evidence,
        s: &Scoring,
        voices: &[Voice],
        subject: usize,
    ) {
        let reports = &mut self.reading.reports;
        reports.clear();
        for pair in pairs.about(subject) {
            if !pairs.facts[pair].is_rating() {
                continue;
            }
            let range = pairs.reports(pair);
            let rows = &evidence.rows[range.clone()];
            standing(rows, s, &mut self.standing);
            let valued = pairs.masses(pair).1;
            let voice = voices[pair];
            for ((place, row), standing_q32) in range.zip(rows).zip(&self.standing) {
                let delivered = delivered(row);
                let weight = report_weight_q32(pairs, place, voice.voice_q32, valued);
                let weight_q32 = if delivered {
                    weight
                } else {
                    part(weight, s.undelivered_weight_milli)
                };
                reports.push(Read {
                    place,
                    pair,
                    weight_q32,
                    kept_q32: weight_q32,
                    bad_q16: small(as_read_q16(badness_q16(row.quality_bp), voice.leniency_q16)),
                    standing_q32: *standing_q32,
                    segment: 0,
                    delivered,
                });
            }
        }
        self.reading.changes = Changes::default();
        if s.change_splits > 0 {
            self.find_changes(evidence, s);
        }
    }

    fn find_changes(&mut self, evidence: &Evidence, s: &Scoring) {
        let Reading { reports, changes } = &mut self.reading;
        let test = |read: &Read| test_weight(read.weight_q32 >> 16, read.delivered, s);
        let all: u128 = reports.iter().map(|r| u128::from(test(r))).sum();
        if all <= u128::from(q16(6, 10)) {
            return;
        }
        let number = |read: &Read| evidence.rows[read.place].closed_at / s.change_bin_s;
        self.by_bin.clear();
        // One that weighs nothing makes no bin: whoever is not heard could put a border wherever it liked.
        let tested = reports.iter().enumerate().filter(|(_, r)| test(r) > 0);
        let numbered = tested.map(|(n, read)| (number(read), n));
        self.by_bin.extend(numbered);
        self.by_bin.sort_unstable();
        self.bins.clear();
        for (number, n) in &self.by_bin {
            if self.bins.last().is_none_or(|bin| bin.number != *number) {
                self.bins.push(Bin {
                    number: *number,
                    ..Bin::default()
                });
            }
            if let Some(bin) = self.bins.last_mut() {
                let weight = u128::from(test(&reports[*n]));
                bin.weight += weight;
                bin.bad += weight * u128::from(reports[*n].bad_q16);
                bin.squares += weight * weight;
            }
        }
        if self.bins.len() < 2 {
            return;
        }
        let bad: u128 = self.bins.iter().map(|bin| bin.bad).sum();
        let usual = (bad + u128::from(q32(12, 100))) / (all + u128::from(q16(3, 10)));
        let prior = u128::from(q16(15, 100));
        let mut squares = 0_u128;
        let mut bin = 0;
        for (number, n) in &self.by_bin {
            while self.bins[bin].number != *number {
                bin += 1;
            }
            let (read, weight) = (&reports[*n], u128::from(test(&reports[*n])));
            let (of, own) = (&self.bins[bin], weight * u128::from(read.bad_q16));
            let around = saturate((of.bad - own + prior * usual) / (of.weight - weight + prior));
            let distance = u128::from(u64::from(read.bad_q16).abs_diff(around));
            squares += weight * distance * distance;
        }
        *changes = changes::changes(&self.bins, changes::noise_q32(squares, all), s);
        if changes.splits.is_empty() {
            return;
        }
        for read in reports {
            let (bits, segment) = changes.of(number(read));
            read.kept_q32 = read.weight_q32 >> bits;
            read.segment = segment;
        }
    }
}

/// A report's part of its pair's voice: ⌊e · w · A / PA⌋, Q32.
pub(crate) fn report_weight_q32(pairs: &Pairs, place: usize, voice_q32: u64, valued: u128) -> u64 {
    if voice_q32 == 0 {
        return 0;
    }
    // Below 2^36 · 2^20.
    let part = u128::from(pairs.fresh_q32[place]) * u128::from(pairs.value_milli[place]);
    mul_div(u128::from(voice_q32), part, valued)
}

/// A weight of section 7 or 10: less for what was not delivered.
pub(super) fn test_weight(weight: u64, delivered: bool, s: &Scoring) -> u64 {
    if delivered {
        weight
    } else {
        part(weight, s.undelivered_test_milli)
    }
}

fn part(weight: u64, milli: u64) -> u64 {
    mul_div(u128::from(weight), u128::from(milli), 1000)
}
