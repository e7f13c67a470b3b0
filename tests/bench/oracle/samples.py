"""Samples that the cases are made of, and their moments as fractions of the very doubles."""

from collections import Counter
from fractions import Fraction

from mpmath import mp

from tests.bench.oracle.exact import big

SMALL = ([3.1, 4.7, 2.2, 5.9, 4.4, 3.8], [5.2, 6.1, 4.9, 7.3, 6.6, 5.5, 8.0, 4.1])
NEGATIVE = ([-12.5, -7.25, -9.0, -15.75], [-3.5, -20.25, -1.125, -6.0, -8.5])
CANCELLING = ([1e8 + k * 1e-6 for k in (1, 3, 4, 8, 9)], [1e8 + k * 1e-6 for k in (2, 5, 11, 12, 13, 17)])
TINY = ([1e-160 * k for k in (1, 2, 5, 7)], [1e-160 * k for k in (4, 6, 9, 10, 14)])
LARGE = ([1e180 * k for k in (3, 1, 4, 1, 5)], [1e180 * k for k in (2, 7, 1, 8)])
TIED = ([1, 2, 2, 3, 3, 3, 4], [2, 3, 3, 4, 4, 5, 5, 6])
PAIRS = ([12.1, 9.4, 10.8, 13.5, 8.8, 11.0, 9.9], [11.3, 9.9, 9.1, 12.2, 8.1, 10.2, 10.4])
GROUPS = ([6.2, 5.1, 7.8, 6.6], [8.1, 9.4, 7.7, 8.8, 10.3], [5.0, 4.2, 6.1, 5.5, 3.9, 4.8])


def drawn(seed, n, *, scale=1.0, shift=0.0, digits=3):
    """``n`` values of a fixed sequence, rounded so that they stand in the file as they are."""
    state, values = seed, []
    for _ in range(n):
        total = 0
        for _ in range(4):
            state = 48271 * state % 2147483647
            total += state
        values.append(round((total / 2147483647 - 2) * scale + shift, digits))
    return values


def exactly(values):
    return [Fraction(each) for each in values]


def mean(values):
    return sum(exactly(values), Fraction(0)) / len(values)


def squares(values):
    """Sum of squared deviations."""
    middle = mean(values)
    return sum(((each - middle) ** 2 for each in exactly(values)), Fraction(0))


def variance(values):
    return squares(values) / (len(values) - 1)


def sd(values):
    return mp.sqrt(big(variance(values)))


def median(values):
    ordered = sorted(exactly(values))
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def mid_ranks(values):
    """Ranks from 1, doubled so that they are whole; equal values share theirs."""
    ordered = sorted(values)
    first, last = {}, {}
    for place, value in enumerate(ordered, 1):
        first.setdefault(value, place)
        last[value] = place
    return [first[value] + last[value] for value in values]


def tie_sizes(values):
    return list(Counter(values).values())
