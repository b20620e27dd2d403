//! What each rating is worth: who says it, whether others say the same, and what speaks against it.
//!
//! ```text
//! facts of pairs ─▶ voice ─▶ reading of a subject (weights, change points) ─▶ outside view ─▶ suspicion ─▶ dampening
//!                     ▲                                                                                     │
//!                     └───────────────────────────── a few rounds ──────────────────────────────────────────┘
//! ```
//!
//! Sections 5 to 10 of `docs/SCORING.md`, formula by formula. Pairs are in the order of their subjects, so all that is asked of one
//! subject reads memory from front to back and subjects are shared among threads; sums by rater are taken one after the other.

mod changes;
mod components;
mod outside;
mod reading;
mod suspicion;
mod values;
mod voice;
mod wash;

use std::ops::Range;

use rayon::prelude::*;

pub(crate) use self::{
    changes::Changes,
    outside::{Excess, Outside},
    reading::{Reader, Reading, report_weight_q32},
    suspicion::{Reason, Suspect, core, dampening, reasons},
    values::{ValueSplit, value_split},
    voice::{Voice, plain_voice_q32, voices},
    wash::link,
};
use crate::{
    fixed::mul_div,
    pairs::Pairs,
    ranges::{balanced, split},
};

/// Pairs that one task goes through.
const TASK: usize = 1 << 13;

/// Goes through the subjects in parallel; each gets its pairs and their part of `items`.
fn by_subject<T: Send>(
    pairs: &Pairs,
    items: &mut [T],
    each: impl Fn(usize, Range<usize>, &mut [T]) + Sync,
) {
    let tasks = balanced(&pairs.about, TASK);
    let lengths = tasks
        .iter()
        .map(|task| pairs.about(task.end - 1).end - pairs.about(task.start).start);
    let parts: Vec<_> = tasks.iter().zip(split(items, lengths)).collect();
    parts.into_par_iter().for_each(|(task, mut items)| {
        for subject in task.clone() {
            let range = pairs.about(subject);
            let (here, rest) = items.split_at_mut(range.len());
            items = rest;
            each(subject, range, here);
        }
    });
}

/// Badness by others (Q16) from sums of weight (Q32) and weight · badness (Q48), drawn to 0.4 by `prior_q32`.
fn loo_q16(bad: u128, weight: u128, prior_q32: u64) -> u64 {
    let prior = u128::from(prior_q32);
    mul_div(bad + prior * 26_214, 1, weight + prior)
}
