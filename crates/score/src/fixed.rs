//! Fixed-point functions: powers of two with a negative exponent, binary logarithm, division of a product.
//!
//! Two tables, made at compile time with integer operations only, define them; both are published in `docs/SCORING.md`
//! by their construction and fixed by golden tests, so another language can reproduce every bit.

/// One, with 32 fractional bits.
pub const ONE_Q32: u64 = 1 << 32;

/// One, with 16 fractional bits.
pub const ONE: u64 = 1 << 16;

/// Steps of the decay table in one half-life.
pub const DECAY_STEPS: u64 = 64;

/// `floor(2^32 · 2^(−k/64))` for k = 0..64.
pub static DECAY_Q32: [u64; 64] = decay_table();

/// `floor(2^16 · log2(1 + k/256))` for k = 0..=256.
pub static LOG2_Q16: [u64; 257] = log2_table();

/// What is left of weight one after `age_s`: 2^(−age/half-life) in Q32, in steps of a 64th of a half-life.
///
/// A half-life of 0 means no decay. The age is cut down to a whole step, so the result never falls as `age_s` falls.
pub fn decay_q32(age_s: u64, half_life_s: u64) -> u64 {
    if half_life_s == 0 {
        return ONE_Q32;
    }
    let steps = u128::from(age_s) * u128::from(DECAY_STEPS) / u128::from(half_life_s);
    let halvings = steps / u128::from(DECAY_STEPS);
    match (
        u32::try_from(halvings),
        usize::try_from(steps % u128::from(DECAY_STEPS)),
    ) {
        (Ok(halvings), Ok(step)) => DECAY_Q32[step].checked_shr(halvings).unwrap_or(0),
        _ => 0,
    }
}

/// log2(x) in Q16 for x ≥ 1, by table and linear interpolation; 0 for x = 0.
///
/// Exact at powers of two, never falling, and within 2^-15 below the true value.
pub fn log2_q16(x: u128) -> u64 {
    if x == 0 {
        return 0;
    }
    let exponent = x.ilog2();
    // The leading one moves to bit 127; the next 8 bits choose the interval, the 16 after them the place in it.
    let mantissa = x << (127 - exponent);
    let (interval, place) = (byte_at(mantissa, 119), (mantissa >> 103) & 0xffff);
    let (low, high) = (LOG2_Q16[interval], LOG2_Q16[interval + 1]);
    let within = (u128::from(high - low) * place) >> 16;
    (u64::from(exponent) << 16) + low + saturate(within)
}

/// log2(1 + mass) in Q16, the mass in Q32.
pub fn log2_one_plus_q16(mass_q32: u128) -> u64 {
    // A mass is a sum of at most 2^64 weights below 2^37; saturation only keeps the function total.
    log2_q16(mass_q32.saturating_add(u128::from(ONE_Q32))) - (32 << 16)
}

/// `floor(a · b / c)`, 0 for c = 0. Saturates, which needs a quotient of 2^64 or a product of 2^128: beyond what the
/// policy's ranges allow.
pub fn mul_div(a: u128, b: u128, c: u128) -> u64 {
    a.saturating_mul(b).checked_div(c).map_or(0, saturate)
}

/// `num / den` with 16 fractional bits, rounded down.
pub const fn q16(num: u64, den: u64) -> u64 {
    (num << 16) / den
}

/// `num / den` with 32 fractional bits, rounded down.
pub const fn q32(num: u64, den: u64) -> u64 {
    (num << 32) / den
}

/// Thousandths with 16 fractional bits.
pub fn milli_q16(milli: u64) -> u64 {
    mul_div(u128::from(milli), 1 << 16, 1000)
}

/// Basis points with 16 fractional bits.
pub fn bp_q16(bp: u64) -> u64 {
    mul_div(u128::from(bp), 1 << 16, 10_000)
}

/// Thousandths with 32 fractional bits.
pub fn milli_q32(milli: u64) -> u128 {
    u128::from(mul_div(u128::from(milli), 1 << 32, 1000))
}

/// `a · b` of which one has 16 fractional bits, rounded down.
pub fn mul_q16(a: u64, b: u64) -> u64 {
    saturate((u128::from(a) * u128::from(b)) >> 16)
}

/// `x` as u32; the callers' ranges keep it below 2^32, saturation keeps the function total.
pub fn small(x: u64) -> u32 {
    u32::try_from(x).unwrap_or(u32::MAX)
}

/// `x` as i64, saturated.
pub fn signed(x: u64) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}

/// `x` as u64, 0 below 0, saturated.
pub fn positive(x: i128) -> u64 {
    u64::try_from(x.max(0)).unwrap_or(u64::MAX)
}

/// `x` as u64; the callers' ranges keep it below 2^64, saturation keeps the function total.
pub fn saturate(x: u128) -> u64 {
    u64::try_from(x).unwrap_or(u64::MAX)
}

/// Bits `shift..shift+8` of `x`.
fn byte_at(x: u128, shift: u32) -> usize {
    usize::from((x >> shift).to_le_bytes()[0])
}

/// Each root is the floor of the integer square root of the one before, with 62 fractional bits; entries are products
/// of roots, cut to 32 bits. The error before the last cut is below 2^-58, and no entry lies that near an integer.
const fn decay_table() -> [u64; 64] {
    let mut table = [0; 64];
    let mut k = 0;
    while k < 64 {
        let mut product: u128 = 1 << 62;
        let mut root: u128 = 1 << 61; // 2^-1
        let mut bit = 32;
        while bit > 0 {
            root = (root << 62).isqrt();
            if k & bit != 0 {
                product = (product * root) >> 62;
            }
            bit >>= 1;
        }
        table[k] = narrow(product >> 30);
        k += 1;
    }
    table
}

/// Each entry by the classic digit recurrence: square the mantissa, a carry past two is the next bit of the logarithm.
const fn log2_table() -> [u64; 257] {
    let mut table = [0; 257];
    let mut k: u128 = 0;
    let mut i = 0;
    while i < 256 {
        let mut mantissa: u128 = (256 + k) << 54; // in [1, 2) with 62 fractional bits
        let mut bits = 0;
        let mut n = 0;
        while n < 16 {
            mantissa = (mantissa * mantissa) >> 62;
            bits <<= 1;
            if mantissa >= 1 << 63 {
                bits += 1;
                mantissa >>= 1;
            }
            n += 1;
        }
        table[i] = bits;
        i += 1;
        k += 1;
    }
    table[256] = 1 << 16;
    table
}

/// The low 64 bits, in a constant context, where `try_from` is not available.
const fn narrow(x: u128) -> u64 {
    let b = x.to_le_bytes();
    u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decay_golden() {
        // floor(2^32 · 2^(−k/64)) from 60-digit decimal arithmetic.
        for (k, value) in [
            (0, 4_294_967_296),
            (1, 4_248_701_964),
            (16, 3_611_622_602),
            (32, 3_037_000_499),
            (48, 2_553_802_833),
            (63, 2_170_868_211),
        ] {
            assert_eq!(DECAY_Q32[k], value, "{k}");
        }
        assert!(DECAY_Q32.windows(2).all(|w| w[0] > w[1]));
    }

    #[test]
    fn log2_golden() {
        for (k, value) in [
            (0, 0),
            (1, 368),
            (64, 21_097),
            (128, 38_336),
            (255, 65_351),
            (256, 65_536),
        ] {
            assert_eq!(LOG2_Q16[k], value, "{k}");
        }
        assert_eq!(log2_q16(0), 0);
        assert_eq!(log2_q16(1), 0);
        assert_eq!(log2_q16(1 << 100), 100 << 16);
        assert_eq!(log2_q16(3), 103_872); // 1.58496…
        assert_eq!(log2_q16(10), 217_705); // 3.32193…
        assert_eq!(log2_q16(u128::MAX) >> 16, 127);
        assert_eq!(log2_one_plus_q16(u128::from(ONE_Q32)), 1 << 16);
        assert_eq!(log2_one_plus_q16(0), 0);
    }

    #[test]
    fn decay_of_ages() {
        assert_eq!(decay_q32(u64::MAX, 0), ONE_Q32);
        assert_eq!(decay_q32(0, 100), ONE_Q32);
        assert_eq!(decay_q32(100, 100), ONE_Q32 / 2);
        assert_eq!(decay_q32(350, 100), DECAY_Q32[32] >> 3);
        assert_eq!(decay_q32(u64::MAX, 1), 0);
        assert_eq!(decay_q32(6400, 100), 0);
    }

    #[test]
    fn division_of_products() {
        assert_eq!(mul_div(7, 3, 2), 10);
        assert_eq!(mul_div(7, 3, 0), 0);
        assert_eq!(mul_div(u128::MAX, 2, 1), u64::MAX);
    }

    proptest! {
        #[test]
        fn logarithm_never_falls(x in 1..u128::MAX) {
            prop_assert!(log2_q16(x) <= log2_q16(x + 1));
            prop_assert!(x.ilog2() == u32::try_from(log2_q16(x) >> 16).unwrap());
        }

        #[test]
        fn decay_never_rises_with_age(age in 0..u64::MAX, half_life: u64) {
            prop_assert!(decay_q32(age, half_life) >= decay_q32(age + 1, half_life));
        }
    }
}
