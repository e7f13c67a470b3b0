"""The distribution of a statistic over resamples: all of them with their weights, or some that are drawn."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from crucible.bench.samples import Real

    Places = NDArray[np.integer[Any]]

BATCH: Final = 2**20
"""Numbers of a batch: eight megabytes."""
COMPLETE_UP_TO: Final = 8
"""Units of which every resample is listed without being asked for: 6,435 up to order."""
COMPLETE_MAX: Final = 11
ROUNDING: Final = 64 * 2.0**-52
"""Statistics that are closer, as a share of the largest, are equal."""

Statistic = Callable[..., Any]
"""A function of an array and ``axis`` that takes the statistic along that axis."""
Of = Callable[[Any], Any]
"""The statistic of resamples, given as places (resamples × units) in the units."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Units:
    """What is drawn with replacement: values, pairs or clusters, and the statistic of places in them."""

    n: int
    of: Of
    """Statistic of a two-dimensional array of places."""
    error_of: Of | None = None
    """Its standard error, of the same."""
    left_out: Callable[[], Real] | None = None
    """The statistic without each unit in turn, where that is known without computing each."""

    def jackknife(self) -> Real:
        """The statistic without each unit in turn."""
        import numpy as np

        if self.left_out is not None:
            return self.left_out()
        rows = max(1, BATCH // self.n)
        every = np.arange(self.n - 1)[None, :]
        found = []
        for start in range(0, self.n, rows):
            without = np.arange(start, min(self.n, start + rows))[:, None]
            found.append(self.of(every + (every >= without)))
        return np.asarray(np.concatenate(found), np.float64)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Values of a statistic over resamples, sorted, each with how many resamples have it."""

    values: Real
    weights: Real | None
    """None: one each."""

    @property
    def total(self) -> float:
        """Resamples in all."""
        return float(len(self.values)) if self.weights is None else float(self.weights.sum())

    def mean_and_variance(self) -> tuple[float, float]:
        """Of all resamples; the variance of drawn ones is over one less than their number."""
        import numpy as np

        if self.weights is None:
            return float(self.values.mean()), float(self.values.var(ddof=1)) if len(self.values) > 1 else 0.0
        mean = float(np.dot(self.values, self.weights) / self.total)
        return mean, float(np.dot((self.values - mean) ** 2, self.weights) / self.total)

    def below(self, value: float) -> float:
        """Share of resamples below ``value``, of those equal up to rounding one half (SciPy's mid-rank)."""
        import numpy as np

        slack = ROUNDING * max(abs(float(self.values[0])), abs(float(self.values[-1])))
        at = (
            int(np.searchsorted(self.values, value - slack, side="left")),
            int(np.searchsorted(self.values, value + slack, side="right")),
        )
        if self.weights is None:
            return (at[0] + at[1]) / 2 / len(self.values)
        sums = np.concatenate(([0.0], np.cumsum(self.weights)))
        return float(sums[at[0]] + sums[at[1]]) / 2 / self.total

    def quantile(self, share: float) -> float:
        """Quantile by linear interpolation of all resamples in order (numpy.quantile).

        Between a finite value and an infinite one it is infinite, between both infinities NaN.
        """
        import numpy as np

        if self.weights is None:
            place = share * (len(self.values) - 1)
            low, high = (float(self.values[int(bound(place))]) for bound in (math.floor, math.ceil))
        else:
            sums = np.cumsum(self.weights)
            place = share * (self.total - 1)
            low, high = (
                float(self.values[min(len(sums) - 1, int(np.searchsorted(sums, bound(place), side="right")))])
                for bound in (math.floor, math.ceil)
            )
        part = place - math.floor(place)
        if low == high or part == 0:
            return low
        if math.isinf(low) or math.isinf(high):
            return low + high
        return low + (high - low) * part


def sorted_distribution(values: Real, weights: Real | None = None) -> Distribution:
    """A distribution of values in any order."""
    import numpy as np

    if weights is None:
        return Distribution(np.sort(values), None)
    order = np.argsort(values, kind="stable")
    return Distribution(values[order], weights[order])


@functools.lru_cache(maxsize=4)
def every_resample(n: int) -> tuple[Places, Real]:
    """Every choice of n of n with replacement, up to order, and how many orders each has."""
    import numpy as np

    places = np.array(list(itertools.combinations_with_replacement(range(n), n)), dtype=np.int8)
    factorials = np.array([math.factorial(count) for count in range(n + 1)], dtype=np.float64)
    counts = np.stack([(places == place).sum(axis=1) for place in range(n)])
    return places, math.factorial(n) / factorials[counts].prod(axis=0)


def listed(units: Units, of: Of | None = None) -> tuple[Real, Real]:
    """A statistic of every resample, and the weights of these."""
    import numpy as np

    places, weights = every_resample(units.n)
    rows = max(1, BATCH // units.n)
    found = [(of or units.of)(places[start : start + rows]) for start in range(0, len(places), rows)]
    return np.asarray(np.concatenate(found), np.float64), weights


def drawn(groups: Sequence[Units], m: int, seed: int) -> Iterator[list[Places]]:
    """Places of ``m`` resamples of each group, drawn in batches whose size depends on the number of units alone."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = max(1, BATCH // max(units.n for units in groups))
    for start in range(0, m, rows):
        size = min(rows, m - start)
        yield [rng.integers(0, units.n, (size, units.n), dtype=np.int32) for units in groups]
