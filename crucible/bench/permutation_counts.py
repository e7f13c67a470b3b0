"""Counting permutations, or drawing them: how many have a statistic at most, and at least, the observed one.

Subset sums are counted by meeting in the middle (Horowitz and Sahni, JACM 21, 1974): the sums of each half are listed,
and for each of the first half those of the second are counted by a binary search. Whole numbers of a small range are
counted by dynamic programming instead, whatever their number. Which sums are equal `permutation_values` says.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from crucible.bench.distributions import Tail
from crucible.bench.permutation_values import Summands, exact_sums, of_pairs, of_products, of_splits
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
BATCH: Final = 2**21
"""Numbers of a batch."""
FUNCTIONS_ALIKE: Final = 64 * 2.0**-52
"""Statistics that are closer, as a share of the observed one, are equal."""


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
    summands = of_splits(a, b)
    values = summands.values
    if n > MIDDLE_UP_TO and summands.is_counted and n <= VALUES_MAX:
        listed = tuple(int(each) for each in np.sort(values))
        least = min(n1, n - n1)
        common = math.gcd(*(each - listed[0] for each in listed)) or 1
        width = sum(each - listed[0] for each in listed[n - least :]) // common
        if (least + 1) * width <= CELLS_MAX // 4 and n * least * width <= WORK:
            return _tails_of(rank_sum_null(listed, n1), float(values[:n1].sum()) / 2, math.comb(n, n1))
    if n > MIDDLE_MAX:
        return None
    less, greater = _counted(summands, np.arange(n) < n1, n1)
    return Tails(less, greater, math.comb(n, n1), math.comb(n, n1), is_exact=True)


def _counted(summands: Summands, is_in: Any, chosen: int | None) -> tuple[int, int]:
    """Subsets (of a size) whose sum is at most, and at least, that of the observed one.

    Where tolerances differ much, the sum of a subset less the observed one is added up from the values that only one
    of both has, each made smaller, or greater, by its tolerance.
    """
    import numpy as np

    slack = summands.slack
    if slack is not None:
        values = summands.values
        halves = list(_halves(np.zeros_like(values), values, chosen))
        observed = values[is_in].sum()
        return _at_most(halves, observed + slack), _at_least(halves, observed - slack)
    values, off = summands.exactly()
    less = _halves(np.where(is_in, -values - off, 0), np.where(is_in, 0, values - off), chosen)
    greater = _halves(np.where(is_in, off - values, 0), np.where(is_in, 0, values + off), chosen)
    return _at_most(less, 0), _at_least(greater, 0)


def _at_most(halves: Iterable[tuple[Any, Any]], bound: Any) -> int:
    import numpy as np

    return sum(int(np.searchsorted(others, bound - some, side="right").sum()) for some, others in halves)


def _at_least(halves: Iterable[tuple[Any, Any]], bound: Any) -> int:
    import numpy as np

    return sum(
        len(some) * len(others) - int(np.searchsorted(others, bound - some, side="left").sum())
        for some, others in halves
    )


def _halves(without: Any, with_it: Any, chosen: int | None) -> Iterator[tuple[Any, Any]]:
    """Sums of the subsets of each half, sorted: those of both together have the size that is chosen."""
    import numpy as np

    n = len(without)
    half = n // 2
    left, left_sizes = _sums(without[:half], with_it[:half])
    right, right_sizes = _sums(without[half:], with_it[half:])
    if chosen is None:
        yield np.sort(left), np.sort(right)
        return
    for size in range(max(0, chosen - (n - half)), min(half, chosen) + 1):
        yield np.sort(left[left_sizes == size]), np.sort(right[right_sizes == chosen - size])


def _sums(without: Any, with_it: Any) -> tuple[Any, Any]:
    """The sum of every subset, and its size."""
    import numpy as np

    sums, sizes = np.zeros(1, without.dtype), np.zeros(1, np.int8)
    for left_out, taken in zip(without, with_it, strict=True):
        sums = np.concatenate((sums + left_out, sums + taken))
        sizes = np.concatenate((sizes, sizes + 1))
    return sums, sizes


def count_signs(a: Real, b: Real) -> Tails | None:
    """Every choice of the signs of the differences, by the sum of those that are positive."""
    import numpy as np

    summands, is_in = of_pairs(a, b), a > b
    sizes, n = summands.values, len(a)
    if n > MIDDLE_UP_TO and summands.is_counted and n <= VALUES_MAX:
        listed = tuple(int(each) for each in np.sort(sizes))
        common = math.gcd(*listed) or 1
        if n * (sum(listed) // common) <= WORK // 4 and sum(listed) // common <= CELLS_MAX // 4:
            return _tails_of(signed_rank_null(listed), float(sizes[is_in].sum()) / 2, 2**n)
    if n > MIDDLE_MAX:
        return None
    less, greater = _counted(summands, is_in, None)
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
    """How many are at most and at least as observed, up to rounding; NaN is neither, and so counts as both."""
    import numpy as np

    slack = FUNCTIONS_ALIKE * max(abs(observed), float(np.nanmedian(np.abs(every))))
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

    summands = of_splits(a, b)
    values, slack, n = summands.values, summands.slack, len(a) + len(b)
    is_first = len(a) <= len(b)
    is_in = (np.arange(n) < len(a)) == is_first
    least, observed = min(len(a), len(b)), values[is_in].sum()
    rng = np.random.default_rng(seed)
    at_most = at_least = 0
    for size in _batches(m, n):
        if slack is None:
            places = rng.permuted(np.tile(np.arange(n), (size, 1)), axis=1)[:, :least]
            taken = np.zeros((size, n), bool)
            np.put_along_axis(taken, places, values=True, axis=1)
            less, greater = _moved(summands, is_in, taken)
        else:
            sums = rng.permuted(np.tile(values, (size, 1)), axis=1)[:, :least].sum(axis=1)
            less, greater = int((sums <= observed + slack).sum()), int((sums >= observed - slack).sum())
        at_most, at_least = at_most + less, at_least + greater
    return _drawn(at_most, at_least, m) if is_first else _drawn(at_least, at_most, m)


def _moved(summands: Summands, is_in: Any, taken: Any) -> tuple[int, int]:
    """How many subsets have at most, and at least, the observed sum, by the values that only one of both has."""
    import numpy as np

    values, off = summands.exactly()
    changed = (taken != is_in).astype(np.float64)
    apart, off = exact_sums(changed, np.where(is_in, -values, values)), exact_sums(changed, off)
    return int((apart <= off).sum()), int((apart >= -off).sum())


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

    summands, is_in = of_pairs(a, b), a > b
    values, slack = summands.values, summands.slack
    rng = np.random.default_rng(seed)
    less = greater = 0
    for size in _batches(m, len(a)):
        taken = rng.integers(0, 2, (size, len(a)), dtype=np.uint8)
        if slack is None:
            some, more = _moved(summands, is_in, taken == 1)
        else:
            sums, observed = taken.astype(np.float64) @ values, values[is_in].sum()
            some, more = int((sums <= observed + slack).sum()), int((sums >= observed - slack).sum())
        less, greater = less + some, greater + more
    return _drawn(less, greater, m)


def count_pairings(x: Real, y: Real) -> Tails:
    """Every order of y, by the sum of products with x; listed by which value comes first."""
    import numpy as np

    products, n = of_products(x, y), len(x)
    orders = np.array(list(itertools.permutations(range(n - 1))), dtype=np.int8).reshape(-1, n - 1)
    less = greater = 0
    for place in range(n):
        others = np.delete(np.arange(n, dtype=np.int8), place)
        for start in range(0, len(orders), BATCH // 4):
            rest = others[orders[start : start + BATCH // 4]]
            every = np.column_stack((np.full(len(rest), place, np.int8), rest))
            some, more = products.compared(every)
            less, greater = less + some, greater + more
    total = math.factorial(n)
    return Tails(less, greater, total, total, is_exact=True)


def draw_pairings(x: Real, y: Real, m: int, seed: int) -> Tails:
    """``m`` random orders of y."""
    import numpy as np

    products = of_products(x, y)
    rng = np.random.default_rng(seed)
    less = greater = 0
    for size in _batches(m, len(x)):
        some, more = products.compared(rng.permuted(np.tile(np.arange(len(x)), (size, 1)), axis=1))
        less, greater = less + some, greater + more
    return _drawn(less, greater, m)
