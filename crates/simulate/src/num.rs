//! Conversions between the numbers of the model and those of the files: every cast of the crate is here.
//!
//! The model computes in `f64` with `+ − × ÷` and comparisons, which IEEE 754 fixes to the bit, and with `exp` and `log`
//! from `libm`'s portable code: the same bytes on every machine.

/// Within 0..=1.
pub(crate) fn clip(x: f64) -> f64 {
    x.clamp(0.0, 1.0)
}

/// A share of 1 in basis points, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clipped to 0..=10000 before"
)]
pub(crate) fn bp(share: f64) -> u16 {
    (clip(share) * 10_000.0 + 0.5) as u16
}

/// Rounded down; negative is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float saturates, which is what is wanted"
)]
pub(crate) fn whole(x: f64) -> u64 {
    x as u64
}

/// A count, rounded to the nearest.
pub(crate) fn count(x: f64) -> usize {
    usize::try_from(whole(x + 0.5)).unwrap_or(usize::MAX)
}

/// Exact below 2^53, which all counts, times and amounts here are.
#[expect(clippy::cast_precision_loss, reason = "all below 2^53")]
pub(crate) fn real(n: u64) -> f64 {
    n as f64
}

/// As [`real`].
pub(crate) fn size(n: usize) -> f64 {
    real(u64::try_from(n).unwrap_or(u64::MAX))
}
