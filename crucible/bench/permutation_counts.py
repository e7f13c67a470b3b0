"""Counting permutations, or drawing them: how many have a statistic at most, and at least, the observed one.

Subset sums are counted by meeting in the middle (Horowitz and Sahni, JACM 21, 1974): the sums of each half are listed,
and for each of the first half those of the second are counted by a binary search. Whole numbers of a small range are
counted by dynamic programming instead, whatever their number.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from crucible.bench.distributions import Tail
from crucible.bench.rank_exact import CELLS_MAX, VALUES_MAX, Null, rank_sum_null, signed_rank_null

if TYPE_CHECKING:
    from crucible.bench.samples import Real

MIDDLE_UP_TO: Final = 26
"""Values up to which meeting in the middle is tried first: 2¹³ sums in each half."""
MIDDLE_MAX: Final = 40
"""Values up to which it is done at all: 2²⁰ sums in each half."""
WORK: Final = 2_000_000_000
"""Additions of a distribution that is counted without being asked for: about a second."""
SPLITS_UP_TO: Final = 200_000
"""Splits that are listed, for statistics that are no sums, without being asked for."""
SPLITS_MAX: Final = 20_000_000
DECIMALS_MAX: Final = 8
BATCH: Final = 2**21
"""Numbers of a batch."""
ROUNDING: Final = 64 * 2.0**-52


@dataclasses.dataclass(frozen=True, slots=True)
class Tails:
    """How many permutations are at most, and at least, as observed."""

    less: int
    greater: int
    total: int
    n_permutations: int
    is_exact: bool
    ready: tuple[Tail, Tail] | None = None
    """Both tails, where probabilities were counted and no permutations."""


def whole(*samples: Real) -> tuple[Real, ...] | None:
    """Samples of short decimals as whole numbers, all times the same power of ten; None where they are no decimals."""
    import numpy as np

    peak = max(float(np.abs(sample).max()) for sample in samples)
    count = sum(len(sample) for sample in samples)
    for decimals in range(DECIMALS_MAX + 1):
        scale = 10.0**decimals
        if peak * scale * count >= 2.0**52:
            return None
        scaled = tuple(np.rint(sample * scale) for sample in samples)
        if all((each / scale == sample).all() for each, sample in zip(scaled, samples, strict=True)):
            return scaled
    return None


def _in_range(*samples: Real) -> tuple[Real, ...]:
    """Samples divided by a power of two, so that no sum of them overflows and few underflow."""
    import numpy as np

    exponent = math.frexp(max(float(np.abs(sample).max()) for sample in samples))[1]
    return tuple(np.ldexp(sample, -exponent) for sample in samples)


def _tails_of(null: Null, observed: float, n_permutations: int) -> Tails:
    ready = null.tail(observed, "less"), null.tail(observed, "greater")
    return Tails(0, 0, 1, n_permutations, is_exact=True, ready=ready)


def count_splits(a: Real, b: Real, function: Callable[..., Any] | None, *, is_asked: bool) -> Tails | None:
    """Every split of all values into samples of these sizes, by the sum of the first or a function of both."""
    import numpy as np

    n1, n = len(a), len(a) + len(b)
    if function is not None:
        if n > VALUES_MAX or math.comb(n, n1) > (SPLITS_MAX if is_asked else SPLITS_UP_TO):
            return None
        return _list_splits(a, b, function)
    numbers = whole(a, b)
    if n > MIDDLE_UP_TO and numbers is not None and n <= VALUES_MAX:
        listed = tuple(int(each) for each in np.sort(np.concatenate(numbers)))
        least = min(n1, n - n1)
        common = math.gcd(*(each - listed[0] for each in listed)) or 1
        width = sum(each - listed[0] for each in listed[n - least :]) // common
        if (least + 1) * width <= CELLS_MAX // 4 and n * least * width <= WORK:
            return _tails_of(rank_sum_null(listed, n1), float(numbers[0].sum()) / 2, math.comb(n, n1))
    if n > MIDDLE_MAX:
        return None
    first, second = numbers or _in_range(a, b)
    values = np.concatenate((first, second))
    slack = 0.25 if numbers is not None else ROUNDING * float(np.abs(values).sum())
    less, greater = _meet(values, n1, float(first.sum()), slack)
    return Tails(less, greater, math.comb(n, n1), math.comb(n, n1), is_exact=True)


def _sums(values: Real) -> tuple[Real, Any]:
    """The sum of every subset, and its size."""
    import numpy as np

    sums, sizes = np.zeros(1), np.zeros(1, np.int8)
    for value in values:
        sums = np.concatenate((sums, sums + value))
        sizes = np.concatenate((sizes, sizes + 1))
    return sums, sizes


def _meet(values: Real, chosen: int, observed: float, slack: float) -> tuple[int, int]:
    """Subsets of a size with a sum at most, and at least, the observed one."""
    import numpy as np

    half = len(values) // 2
    (left, left_sizes), (right, right_sizes) = _sums(values[:half]), _sums(values[half:])
    less = greater = 0
    for size in range(max(0, chosen - (len(values) - half)), min(half, chosen) + 1):
        some, others = np.sort(left[left_sizes == size]), np.sort(right[right_sizes == chosen - size])
        less += int(np.searchsorted(others, observed + slack - some, side="right").sum())
        greater += len(some) * len(others) - int(np.searchsorted(others, observed - slack - some, side="left").sum())
    return less, greater


def count_signs(a: Real, b: Real) -> Tails | None:
    """Every choice of the signs of the differences, by the sum of those that are positive."""
    import numpy as np

    numbers = whole(a, b)
    first, second = numbers or _in_range(a, b)
    differences = first - second
    sizes = np.abs(differences)
    plus = float(sizes[differences > 0].sum())
    n = len(sizes)
    if n > MIDDLE_UP_TO and numbers is not None and n <= VALUES_MAX:
        listed = tuple(int(each) for each in np.sort(sizes))
        common = math.gcd(*listed) or 1
        if n * (sum(listed) // common) <= WORK // 4 and sum(listed) // common <= CELLS_MAX // 4:
            return _tails_of(signed_rank_null(listed), plus / 2, 2**n)
    if n > MIDDLE_MAX:
        return None
    slack = 0.25 if numbers is not None else ROUNDING * float((np.abs(first) + np.abs(second)).sum())
    half = n // 2
    left, right = np.sort(_sums(sizes[:half])[0]), np.sort(_sums(sizes[half:])[0])
    less = int(np.searchsorted(right, plus + slack - left, side="right").sum())
    greater = 2**n - int(np.searchsorted(right, plus - slack - left, side="left").sum())
    return Tails(less, greater, 2**n, 2**n, is_exact=True)


def _list_splits(a: Real, b: Real, function: Callable[..., Any]) -> Tails:
    import numpy as np

    values = np.concatenate((a, b))
    n, n1 = len(values), len(a)
    found = []
    splits = itertools.combinations(range(n), n1)
    while True:
        some = np.array(list(itertools.islice(splits, max(1, BATCH // n))), dtype=np.intp)
        if len(some) == 0:
            break
        is_first = np.zeros((len(some), n), bool)
        np.put_along_axis(is_first, some, values=True, axis=1)
        tiled = np.broadcast_to(values, is_first.shape)
        found.append(function(tiled[is_first].reshape(-1, n1), tiled[~is_first].reshape(-1, n - n1), axis=-1))
    every = np.concatenate(found)
    less, greater = _compared(every, float(function(a, b, axis=-1)))
    return Tails(less, greater, len(every), len(every), is_exact=True)


def _compared(every: Real, observed: float) -> tuple[int, int]:
    """How many are at most and at least as observed, up to a share of 1e-12; NaN is neither, and so counts as both."""
    import numpy as np

    slack = 1e-12 * max(abs(observed), float(np.nanmedian(np.abs(every))))
    return int((~(every > observed + slack)).sum()), int((~(every < observed - slack)).sum())


def _batches(total: int, width: int) -> Iterator[int]:
    size = max(1, BATCH // max(1, width))
    for start in range(0, total, size):
        yield min(size, total - start)


def _drawn(less: int, greater: int, m: int) -> Tails:
    return Tails(less + 1, greater + 1, m + 1, m, is_exact=False)


def draw_splits(a: Real, b: Real, m: int, seed: int) -> Tails:
    """``m`` random splits, by the sum of the smaller sample's values."""
    import numpy as np

    numbers = whole(a, b)
    first, second = numbers or _in_range(a, b)
    values = np.concatenate((first, second))
    slack = 0.25 if numbers is not None else ROUNDING * float(np.abs(values).sum())
    is_first = len(a) <= len(b)
    least, observed = min(len(a), len(b)), float((first if is_first else second).sum())
    rng = np.random.default_rng(seed)
    at_most = at_least = 0
    for size in _batches(m, len(values)):
        sums = rng.permuted(np.tile(values, (size, 1)), axis=1)[:, :least].sum(axis=1)
        at_most += int((sums <= observed + slack).sum())
        at_least += int((sums >= observed - slack).sum())
    return _drawn(at_most, at_least, m) if is_first else _drawn(at_least, at_most, m)


def draw_statistic(a: Real, b: Real, function: Callable[..., Any], m: int, seed: int) -> Tails:
    """``m`` random splits, by a function of both samples."""
    import numpy as np

    values = np.concatenate((a, b))
    rng = np.random.default_rng(seed)
    found = []
    for size in _batches(m, len(values)):
        mixed = rng.permuted(np.tile(values, (size, 1)), axis=1)
        found.append(function(mixed[:, : len(a)], mixed[:, len(a) :], axis=-1))
    less, greater = _compared(np.concatenate(found), float(function(a, b, axis=-1)))
    return _drawn(less, greater, m)


def draw_signs(a: Real, b: Real, m: int, seed: int) -> Tails:
    """``m`` random choices of the signs."""
    import numpy as np

    numbers = whole(a, b)
    first, second = numbers or _in_range(a, b)
    sizes = np.abs(first - second)
    plus = float(sizes[first > second].sum())
    slack = 0.25 if numbers is not None else ROUNDING * float((np.abs(first) + np.abs(second)).sum())
    rng = np.random.default_rng(seed)
    less = greater = 0
    for size in _batches(m, len(sizes)):
        sums = rng.integers(0, 2, (size, len(sizes)), dtype=np.uint8).astype(np.float64) @ sizes
        less += int((sums <= plus + slack).sum())
        greater += int((sums >= plus - slack).sum())
    return _drawn(less, greater, m)


def _centered(x: Real, y: Real) -> tuple[Real, Real, float]:
    """Both samples without their means, and how far apart equal sums of their products may be by rounding."""
    import numpy as np

    numbers = whole(x, y)
    if numbers is not None and float(np.abs(numbers[0]).sum() * np.abs(numbers[1]).max()) < 2.0**52:
        return numbers[0], numbers[1], 0.25
    (x,), (y,) = _in_range(x), _in_range(y)
    first, second = x - x.mean(), y - y.mean()
    return first, second, ROUNDING * float(np.abs(x).sum() * np.abs(y).max())


def count_pairings(x: Real, y: Real) -> Tails:
    """Every order of y, by the sum of products with x; listed by which value comes first."""
    import numpy as np

    first, second, slack = _centered(x, y)
    n = len(first)
    observed = float(first @ second)
    orders = np.array(list(itertools.permutations(range(n - 1))), dtype=np.int8).reshape(-1, n - 1)
    less = greater = 0
    for place in range(n):
        others = np.delete(second, place)
        for start in range(0, len(orders), BATCH // 4):
            sums = others[orders[start : start + BATCH // 4]] @ first[1:] + first[0] * second[place]
            less += int((sums <= observed + slack).sum())
            greater += int((sums >= observed - slack).sum())
    total = math.factorial(n)
    return Tails(less, greater, total, total, is_exact=True)


def draw_pairings(x: Real, y: Real, m: int, seed: int) -> Tails:
    """``m`` random orders of y."""
    import numpy as np

    first, second, slack = _centered(x, y)
    observed = float(first @ second)
    rng = np.random.default_rng(seed)
    less = greater = 0
    for size in _batches(m, len(first)):
        sums = rng.permuted(np.tile(second, (size, 1)), axis=1) @ first
        less += int((sums <= observed + slack).sum())
        greater += int((sums >= observed - slack).sum())
    return _drawn(less, greater, m)
