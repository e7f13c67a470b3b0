"""Exact null distributions of rank statistics, conditional on the ties that the data have.

Distributions are counted by dynamic programming over whole numbers: doubled mid-ranks, divided by what they have in
common. Every term is positive, so that each tail is right to rounding.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Final

from crucible.bench.distributions import Tail, tail_of
from crucible.bench.result import Alternative

if TYPE_CHECKING:
    from crucible.bench.samples import Real

WORK_MAX: Final = 20_000_000_000
"""Additions of one exact distribution: some twenty seconds."""
CELLS_MAX: Final = 40_000_000
"""Numbers that one distribution may hold at a time."""
VALUES_MAX: Final = 1000
"""Values of an exact distribution: with more, a count is more than a double holds."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Null:
    """Probabilities of a statistic that takes the values ``first``, ``first + step``, … under the hypothesis."""

    first: float
    step: float
    weights: Real
    """Probability of each value; they sum to one."""

    def tail(self, observed: float, alternative: Alternative) -> Tail:
        """P value: the probability of what is at least as far out; two-sided twice the smaller of both tails."""
        place = round((observed - self.first) / self.step)
        below, at, above = self.weights[:place].sum(), self.weights[place], self.weights[place + 1 :].sum()
        return one_or_both(
            tail_of(float(below + at), float(above)), tail_of(float(above + at), float(below)), alternative
        )

    def lower_quantile(self, probability: float) -> float | None:
        """Largest value with at most ``probability`` at or below it; None: there is none."""
        import numpy as np

        place = int(np.searchsorted(np.cumsum(self.weights), probability * (1 + 1e-12), side="right")) - 1
        lowest = int(np.argmax(self.weights > 0))
        return self.first + self.step * place if place >= lowest else None


def one_or_both(less: Tail, greater: Tail, alternative: Alternative) -> Tail:
    """The tail of an alternative; two-sided twice the smaller one, at most 1."""
    if alternative != "two-sided":
        return less if alternative == "less" else greater
    smaller = less if less.ln_p <= greater.ln_p else greater
    if smaller.p >= 0.5:  # noqa: PLR2004
        return Tail(1.0, 0.0)
    return Tail(2 * smaller.p, smaller.ln_p + math.log(2.0))


def doubled(ranks: Real) -> tuple[int, ...]:
    """Mid-ranks as whole numbers, sorted."""
    import numpy as np

    return tuple(np.sort(np.rint(2 * ranks).astype(np.int64)).tolist())


def is_countable_sum(ranks: Real, chosen: int) -> bool:
    """Whether ``rank_sum_null`` of these can be had in reasonable time and memory."""
    n = len(ranks)
    least = min(chosen, n - chosen)
    width = 2 * least * (n - least) + 1
    return n <= VALUES_MAX and least * width <= CELLS_MAX and n * least * width <= WORK_MAX


@functools.lru_cache(maxsize=64)
def rank_sum_null(ranks: tuple[int, ...], chosen: int) -> Null:
    """Sum of ``chosen`` of the doubled ``ranks`` (sorted), each choice as likely as any other.

    The count of choices by size and sum, rank by rank, those tied at once (Streitberg and Röhmel, Statistical
    Software Newsletter 12, 1986). Values are sums of ranks, no longer doubled.
    """
    import numpy as np

    n = len(ranks)
    least = min(chosen, n - chosen)
    lowest = ranks[0]
    common = math.gcd(*(rank - lowest for rank in ranks)) or 1
    small = [(rank - lowest) // common for rank in ranks]
    width = sum(small[n - least :]) + 1
    counts = np.zeros((least + 1, width))
    counts[0, 0] = 1.0
    filled, reach = 0, 0
    for value, times in _tied(small):
        top = min(least, filled + times)
        before = counts[: filled + 1, : reach + 1].copy()
        new_reach = min(width - 1, reach + value * min(times, least))
        for taken in range(1, min(times, top) + 1):
            rows = min(filled, top - taken) + 1
            columns = min(reach, width - 1 - taken * value) + 1
            if columns > 0:
                part = before[:rows, :columns] * float(math.comb(times, taken))
                counts[taken : taken + rows, taken * value : taken * value + columns] += part
        filled, reach = top, new_reach
    weights = counts[least] / float(math.comb(n, least))
    first = (lowest * least + 0.0) / 2
    if least != chosen:  # those left over were counted: their sum is all of the rest
        total = sum(ranks) / 2
        return Null(total - (first + common / 2 * (width - 1)), common / 2, weights[::-1].copy())
    return Null(first, common / 2, weights)


def _tied(values: list[int]) -> list[tuple[int, int]]:
    """Sorted values, each with how often it is there."""
    found: dict[int, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return list(found.items())


def is_countable_signs(ranks: Real) -> bool:
    """Whether ``signed_rank_null`` of these can be had in reasonable time and memory."""
    return len(ranks) <= VALUES_MAX


@functools.lru_cache(maxsize=64)
def signed_rank_null(ranks: tuple[int, ...]) -> Null:
    """Sum of those of the doubled ``ranks`` whose sign is positive, each sign as likely as the other.

    By convolution, one rank after another (Streitberg and Röhmel, 1986). Values are sums of ranks, no longer doubled.
    """
    import numpy as np

    common = math.gcd(*ranks) or 1
    small = [rank // common for rank in ranks]
    weights = np.zeros(sum(small) + 1)
    weights[0] = 1.0
    reach = 0
    for value in small:
        before = weights[: reach + 1] / 2
        weights[: reach + 1] = before
        weights[value : value + reach + 1] += before
        reach += value
    return Null(0.0, common / 2, weights)
