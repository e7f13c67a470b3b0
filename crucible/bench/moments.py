"""Mean and spread of samples such that nothing cancels, overflows or underflows on the way.

Values are taken in units of a common power of two where their squares would not fit into doubles. A mean is held as a
double and what its rounding left, so that the difference of two means near 10¹² keeps the digits that the values have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

PLAIN: Final = 400
"""Values between 2^-400 and 2^400 are taken as they are: their squares, and sums of these, are normal doubles."""
EXACT_N: Final = 1000
"""Values up to which sums are exact; beyond they are pairwise, which is as good as the values' own last digits."""
DOWN: Final = 2.0**-64
"""Values times this have sums that doubles hold; a power of two rounds nothing."""
BLOCK: Final = 1 << 14
"""Values that are summed at a time: they stay in a processor's cache, and sums of blocks are added exactly."""
ROUNDING: Final = 8 * 2.0**-52
"""A standard deviation up to this share of the largest value is rounding and no variance."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation of one sample; not a number where there are too few values."""

    n: int
    mean: float
    rest: float
    """What the rounding of ``mean`` left."""
    sd: float
    """With n − 1."""
    error: float
    """Standard error of the mean: sd / √n."""
    peak: float
    """Largest absolute value."""
    is_constant: bool

    @property
    def is_rounding(self) -> bool:
        """What spread there is comes from the rounding of the values."""
        return self.is_constant or self.sd <= ROUNDING * self.peak


@dataclasses.dataclass(frozen=True, slots=True)
class Scaled:
    """Moments of samples in units of 2^``exponent``."""

    exponent: int
    of: tuple[Moments, ...]

    def plain(self, value: float) -> float:
        """A value in the units of the data; infinite where no double holds it."""
        return times_power(value, self.exponent)

    def units(self, value: float) -> float:
        """A value of the data in units of the moments."""
        return times_power(value, -self.exponent)


def times_power(value: float, exponent: int) -> float:
    """``value`` times 2^``exponent``; infinite where no double holds it."""
    if not exponent:
        return value
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def moments(*samples: Real, beside: float = 0.0) -> Scaled:
    """Moments of finite samples in a common unit, which also suits the number ``beside``."""
    ranges = [_range(sample) for sample in samples]
    exponent = power_of(max(abs(beside), *(abs(end) for ends in ranges for end in ends), 0.0))
    return Scaled(exponent, tuple(_moments(*each, exponent) for each in zip(samples, ranges, strict=True)))


def listed_moments(values: Sequence[float]) -> Scaled:
    """`moments` of finite values, of which there is at least one, by exact sums and without NumPy: for short lists."""
    low, high = min(values), max(values)
    exponent = power_of(max(-low, high))
    if exponent:
        values = [times_power(value, -exponent) for value in values]
        low, high = times_power(low, -exponent), times_power(high, -exponent)
    return Scaled(exponent, (_exact(values, low, high),))


def mean_of(values: Sequence[float]) -> float:
    """Arithmetic mean by exact summation, in the order-free sense of ``math.fsum``; of the greatest values too."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # the sum is more than a double holds, the mean never is
        return math.fsum(value * DOWN for value in values) / len(values) / DOWN


def sum_of(values: Sequence[float]) -> float:
    """The sum by ``math.fsum``; infinite if it is more than a double holds."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.fsum(value * DOWN for value in values) / DOWN


def power_of(peak: float) -> int:
    """The power of two to divide values by of which ``peak`` is the largest; 0 where they need none."""
    if peak == 0:
        return 0
    exponent = math.frexp(peak)[1]
    return 0 if abs(exponent) < PLAIN else exponent


def in_units(sample: Real, exponent: int) -> Real:
    """The values in units of 2^``exponent``."""
    import numpy as np

    return np.ldexp(sample, -exponent) if exponent else sample


def difference(a: Moments, b: Moments) -> float:
    """Mean of a minus mean of b."""
    return (a.mean - b.mean) + (a.rest - b.rest)


def _range(sample: Real) -> tuple[float, float]:
    return (float(sample.min()), float(sample.max())) if len(sample) else (0.0, 0.0)


def _moments(sample: Real, ends: tuple[float, float], exponent: int) -> Moments:
    n, low, high = len(sample), times_power(ends[0], -exponent), times_power(ends[1], -exponent)
    if n == 0:
        return Moments(0, math.nan, math.nan, math.nan, math.nan, 0.0, is_constant=True)
    if low == high:
        none = 0.0 if n > 1 else math.nan
        return Moments(n, low, 0.0, none, none, abs(low), is_constant=True)
    if n <= EXACT_N:
        return _exact(in_units(sample, exponent).tolist(), low, high)
    mean = math.fsum(float(in_units(block, exponent).sum()) for block in _blocks(sample)) / n
    small = power_of(max(high - mean, mean - low))  # beside a large value of another sample this one may be tiny
    away, squares = _away(sample, exponent, mean, small)
    return _from_squares((n, mean, away / n), squares, small, (low, high))


def _exact(listed: Sequence[float], low: float, high: float) -> Moments:
    """Of values between ``low`` and ``high`` in units in which the largest is no extreme, by exact sums."""
    n = len(listed)
    mean = math.fsum(listed) / n
    rest = math.fsum((*listed, *[-mean] * n)) / n
    small = power_of(max(high - mean, mean - low))
    away = [times_power(value - mean, -small) for value in listed] if small else [value - mean for value in listed]
    return _from_squares((n, mean, rest), math.fsum([value * value for value in away]), small, (low, high))


def _from_squares(center: tuple[int, float, float], squares: float, small: int, ends: tuple[float, float]) -> Moments:
    """From n, mean and what its rounding left, and the sum of squared differences in units of 2^(2 ``small``)."""
    n, mean, rest = center
    low, high = ends
    peak, is_constant = max(abs(low), abs(high)), low == high
    if n < 2:  # noqa: PLR2004
        return Moments(n, mean, rest, math.nan, math.nan, peak, is_constant)
    variance = max(0.0, squares - n * times_power(rest, -small) ** 2) / (n - 1)
    sd, error = times_power(math.sqrt(variance), small), times_power(math.sqrt(variance / n), small)
    return Moments(n, mean, rest, sd, error, peak, is_constant)


def _away(sample: Real, exponent: int, mean: float, small: int) -> tuple[float, float]:
    """Sum of the differences from ``mean``, and of their squares in units of 2^(2 ``small``)."""
    import numpy as np

    away, squares = [], []
    room = np.empty(min(len(sample), BLOCK))
    for block in _blocks(sample):
        values = np.subtract(in_units(block, exponent), mean, out=room[: len(block)])
        away.append(float(values.sum()))
        if small:
            np.ldexp(values, -small, out=values)
        squares.append(float(np.square(values, out=values).sum()))
    return math.fsum(away), math.fsum(squares)


def _blocks(sample: Real) -> Iterator[Real]:
    return (sample[start : start + BLOCK] for start in range(0, len(sample), BLOCK))
