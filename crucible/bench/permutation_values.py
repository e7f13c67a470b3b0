"""Values whose sums are compared: which sums of them are equal, and which are not.

Sums are compared by the values that differ between them, never by their own size: one great value that both hold, or
an offset of all, hides no difference. Decimals are added as whole numbers, as are values on a coarse grid of doubles,
so that equal sums are equal and others are not. Other values are taken to be right to two units of their last place,
and two sums to be equal where that explains their difference.
"""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crucible.bench.samples import Real

DECIMALS_MAX: Final = 8
"""Places behind the point of short decimals."""
DIGITS_MAX: Final = 15
"""Significant digits of a decimal that a double always keeps."""
GRID: Final = 30
"""Values are on a coarse grid where they are multiples of a power of two, and their range holds at most 2³⁰ of them."""
EXACT: Final = 2.0**52
"""Whole numbers up to here are added as doubles, greater ones as whole numbers of any size."""
DIGITS_SPANNED: Final = 400
"""Decimal places from the greatest to the smallest digit that are kept as one whole number."""
OF_INPUT: Final = 2 * 2.0**-52
"""How far a value may be off, as a share of it."""
OF_SUMS: Final = 64 * 2.0**-52
"""What adding may lose, as a share of the values."""
ALIKE: Final = 1e-6
"""One tolerance does for all sums while it is at most this share of all values but a fiftieth."""
RARE: Final = 50
BITS: Final = 1000
"""Of values that are added exactly, those that the greatest one has; what is smaller than its last is 0."""
SPARE_BITS: Final = 16
"""Of tolerances, below the last bit of any value."""
LIMB_BITS: Final = 30
"""Of the pieces that whole numbers of any size are added in."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Summands:
    """Values of both samples (or sizes of the differences of pairs), moved and scaled alike."""

    values: Any
    """Doubles, or whole numbers of any size (dtype object)."""
    tolerance: Real | None = None
    """How far each may be off; None: they are whole numbers."""
    parts: tuple[Real, ...] = ()
    """What they were made of: the values, or the greater and the smaller of each pair."""

    @property
    def is_counted(self) -> bool:
        """Whether they are whole numbers that doubles add without error."""
        return self.tolerance is None and self.values.dtype != object

    @property
    def slack(self) -> float | None:
        """How far equal sums may be apart, where one number says so for all of them."""
        import numpy as np

        if self.tolerance is None:
            return 0.25 if self.is_counted else None
        sizes = np.abs(self.values)
        slack = float(self.tolerance.sum()) + OF_SUMS * float(sizes.sum())
        some = sizes[sizes > 0]
        return slack if slack <= ALIKE * float(np.partition(some, len(some) // RARE)[len(some) // RARE]) else None

    def exactly(self) -> tuple[Any, Any]:
        """Values and tolerances as whole numbers of any size, for sums that lose nothing."""
        import numpy as np

        if self.tolerance is None:
            return self.values, np.zeros(len(self.values), object)
        listed = [_whole_parts(each) for each in self.parts]
        values, off = listed[0] - (listed[1] if len(listed) > 1 else 0), _whole_parts(self.tolerance)
        common = math.gcd(*values.tolist())
        idle = max(0, (common & -common).bit_length() - 1 - SPARE_BITS)  # of all of them, at the end
        return values // 2**idle, off // 2**idle


def _whole_parts(values: Real) -> Any:
    import numpy as np

    return np.array([int(value) for value in np.ldexp(values, BITS).tolist()], dtype=object)


def exact_sums(is_taken: Real, values: Any) -> Any:
    """Sums of the whole numbers that each row takes (1) of others (0), in pieces that doubles add without error."""
    import numpy as np

    sizes = [abs(value) for value in values.tolist()]
    signs = np.array([1.0 if value > 0 else -1.0 for value in values.tolist()])
    found = np.zeros(len(is_taken), object)
    for start in range(0, max(sizes).bit_length(), LIMB_BITS):
        limbs = np.array([float(size >> start & (2**LIMB_BITS - 1)) for size in sizes]) * signs
        found += (is_taken @ limbs).astype(np.int64).astype(object) * 2**start
    return found


def whole(*samples: Real) -> tuple[Real, ...] | None:
    """Samples of short decimals as whole numbers, all times the same power of ten; None where they are no decimals."""
    import numpy as np

    peak = max(float(np.abs(sample).max()) for sample in samples)
    count = sum(len(sample) for sample in samples)
    for decimals in range(DECIMALS_MAX + 1):
        scale = 10.0**decimals
        if peak * scale * count >= EXACT:
            return None
        scaled = tuple(np.rint(sample * scale) for sample in samples)
        if all((each / scale == sample).all() for each, sample in zip(scaled, samples, strict=True)):
            return scaled
    return None


def in_range(*samples: Real) -> tuple[Real, ...]:
    """Samples divided by a power of two, so that no sum of them overflows and few underflow."""
    import numpy as np

    exponent = math.frexp(max(float(np.abs(sample).max()) for sample in samples))[1]
    return tuple(np.ldexp(sample, -exponent) for sample in samples)


def of_splits(a: Real, b: Real) -> Summands:
    """The values of both samples, one after the other; a split may move them all by the same."""
    import numpy as np

    numbers = whole(a, b)
    if numbers is not None:
        return Summands(np.concatenate(numbers))
    every = np.concatenate((a, b))
    listed = _decimals(every)
    if listed is not None:
        middle = sorted(listed)[len(listed) // 2]
        return _whole_numbers([each - middle for each in listed])
    (every,) = in_range(every)
    middle = np.partition(every, len(every) // 2)[len(every) // 2]
    grid = _grid(float(every.max() - every.min()), every)
    if grid is not None:
        return Summands(np.ldexp(every - middle, grid))
    return Summands(every - middle, OF_INPUT * np.abs(every), (every,))


def of_pairs(a: Real, b: Real) -> Summands:
    """The sizes of the differences of pairs."""
    import numpy as np

    high, low = np.maximum(a, b), np.minimum(a, b)
    numbers = whole(high, low)
    if numbers is not None:
        return Summands(numbers[0] - numbers[1])
    listed = _decimals(np.concatenate((high, low)))
    if listed is not None:
        return _whole_numbers([x - y for x, y in zip(listed[: len(a)], listed[len(a) :], strict=True)])
    high, low = in_range(high, low)
    away = high - low
    grid = _grid(float(away.max()), high, low)
    if grid is not None:
        return Summands(np.ldexp(away, grid))
    return Summands(away, np.where(away == 0, 0.0, OF_INPUT * (np.abs(high) + np.abs(low))), (high, low))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Sums of products of two samples, compared by the products that differ."""

    x: Real
    y: Real
    x_off: Real
    """How far each x may be off."""
    y_off: Real
    is_whole: bool

    def compared(self, orders: Any) -> tuple[int, int]:
        """How many orders of y have a sum at most, and at least, the observed one."""
        import numpy as np

        moved = self.y[orders] - self.y
        apart = moved @ self.x
        off: Any = 0.25
        if not self.is_whole:
            both = np.where(moved == 0, 0.0, self.y_off[orders] + self.y_off)
            off = np.abs(moved) @ self.x_off + both @ np.abs(self.x)
        return int((apart <= off).sum()), int((apart >= -off).sum())


def of_products(x: Real, y: Real) -> Products:
    """Both samples, each moved so that most of its values are small: the sums of all orders move alike."""
    import numpy as np

    numbers = whole(x, y)
    if numbers is not None and 2 * float(np.abs(numbers[0]).sum() * np.abs(numbers[1]).max()) < EXACT:
        return Products(numbers[0], numbers[1], numbers[0], numbers[1], is_whole=True)
    (x,), (y,) = in_range(x), in_range(y)
    middle = len(x) // 2
    first, second = x - np.partition(x, middle)[middle], y - np.partition(y, middle)[middle]
    return Products(first, second, OF_SUMS * np.abs(first) + OF_INPUT * np.abs(x), OF_INPUT * np.abs(y), is_whole=False)


def _decimals(values: Real) -> list[int] | None:
    """Decimals of few digits as whole numbers, however far apart; None where one has more digits than a double keeps.

    A double stands for the shortest decimal that is read as it.
    """
    parts = []
    for value in values.tolist():
        sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
        is_exact = value.is_integer() and abs(value) <= 2.0**53
        if (len(digits) > DIGITS_MAX and not is_exact) or not isinstance(exponent, int):
            return None
        parts.append(((-1) ** sign * int("".join(map(str, digits))), exponent))
    places = [exponent for number, exponent in parts if number]
    least, most = min(places), max(places)
    if most - least > DIGITS_SPANNED:
        return None
    return [number * 10 ** (exponent - least) if number else 0 for number, exponent in parts]


def _whole_numbers(listed: list[int]) -> Summands:
    import numpy as np

    fits = max(map(abs, listed)) * len(listed) < EXACT
    return Summands(np.array(listed, dtype=np.float64 if fits else object))


def _grid(span: float, *samples: Real) -> int | None:
    """The exponent that makes whole numbers of values on a coarse grid."""
    import numpy as np

    count = sum(len(sample) for sample in samples)
    exponent = min(GRID, 51 - count.bit_length()) - math.frexp(span)[1]
    with np.errstate(over="ignore"):
        scaled = [np.ldexp(sample, exponent) for sample in samples]
    return exponent if all((np.rint(each) == each).all() for each in scaled) else None
