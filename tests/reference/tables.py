"""Fixed-point numbers and the two tables of docs/SCORING.md (notation, section 2). Integers only."""

from math import isqrt

ONE = 1 << 16
Q32 = 1 << 32
Q48 = 1 << 48
FLOW = 1 << 48  # all flow, section 4


def q16(numerator, denominator=1):
    """16(x) of the text, x = numerator / denominator. Python's // rounds down, of negative numbers too."""
    return (numerator << 16) // denominator


def q32(numerator, denominator=1):
    """32(x) of the text."""
    return (numerator << 32) // denominator


def q48(numerator, denominator=1):
    """48(x) of the text."""
    return (numerator << 48) // denominator


def div(numerator, denominator):
    """A division that rounds down; by 0 it gives 0."""
    return numerator // denominator if denominator else 0


def clip(x):
    """x, at least 0 and at most ONE."""
    return max(0, min(ONE, x))


def _decay_table():
    """DECAY_Q32[k] = floor(2^32 · 2^(-k/64)): six nested square roots with 62 fractional bits, multiplied by the bits of k."""
    roots, root = [], 1 << 61  # one half
    for _ in range(6):
        root = isqrt(root << 62)
        roots.append(root)  # 2^(-1/2), 2^(-1/4), … 2^(-1/64)
    table = []
    for k in range(64):
        product = 1 << 62
        for place, root in enumerate(roots):
            if k >> (5 - place) & 1:
                product = product * root >> 62
        table.append(product >> 30)
    return table


def _log2_table():
    """LOG2_Q16[k] = floor(2^16 · log2(1 + k/256)), k = 0..256: squared 16 times, each square gives one bit.

    Only 256 fractional bits of each square are kept; a test compares with all of them."""
    table = []
    for k in range(257):
        x, log2 = (256 + k) << 248, 0  # 1 + k/256
        for _ in range(16):
            x *= x
            cut = x.bit_length() - 257
            x >>= cut
            log2 = 2 * log2 + cut - 256
        table.append(log2)
    return table


DECAY_Q32 = _decay_table()
LOG2_Q16 = _log2_table()


def lg(x):
    """log2 of an integer x >= 1, Q16: table over 8 bits of the mantissa, linear over the next 16."""
    exponent = x.bit_length() - 1
    mantissa = (x << 24) >> exponent
    k, rest = mantissa >> 16 & 0xFF, mantissa & 0xFFFF
    return (exponent << 16) + LOG2_Q16[k] + ((LOG2_Q16[k + 1] - LOG2_Q16[k]) * rest >> 16)


def lg1p(x):
    """log2(1 + x) of a Q32 number x >= 0, Q16."""
    return lg(x + Q32) - (32 << 16)


def decay(age, half_life):
    """2^(-age/half_life), Q32; both in seconds, half-life 0 is no decay."""
    if half_life == 0:
        return Q32
    k = 64 * max(0, age) // half_life
    return DECAY_Q32[k % 64] >> (k // 64)
