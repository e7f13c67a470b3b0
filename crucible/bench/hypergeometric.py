"""The first cell of a 2 × 2 table whose margins are given: Fisher's noncentral hypergeometric distribution."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crucible.bench.distributions import Tail, tail_of

if TYPE_CHECKING:
    from crucible.bench.samples import Real

ALIKE: Final = 1e-7
"""Probabilities up to this share apart count as equal, as in R's ``fisher.test``."""
STEPS: Final = 400
LN_ODDS_MAX: Final = 700.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FirstCell:
    """Its possible values with the logarithms of their weights, at an odds ratio of 1."""

    observed: int
    values: Real
    ln_weights: Real

    def tail(self, side: str, ln_odds: float = 0.0) -> Tail:
        """P(X ≤ observed) (``less``) or P(X ≥ observed) (``greater``) at an odds ratio."""
        ln = self.ln_weights + (self.values - self.observed) * ln_odds
        at = self.observed - int(self.values[0])
        inside, outside = (ln[: at + 1], ln[at + 1 :]) if side == "less" else (ln[at:], ln[:at])
        return _share(ln, inside, outside)

    def two_sided(self) -> Tail:
        """Of every value that is no more probable than the one observed."""
        at = self.observed - int(self.values[0])
        is_out = self.ln_weights <= self.ln_weights[at] + math.log1p(ALIKE)
        return _share(self.ln_weights, self.ln_weights[is_out], self.ln_weights[~is_out])

    def mean(self, ln_odds: float) -> float:
        """Expected value at an odds ratio."""
        import numpy as np

        ln = self.ln_weights + (self.values - self.observed) * ln_odds
        weights = np.exp(ln - ln.max())
        return float((weights * self.values).sum() / weights.sum())

    def most_likely_odds(self) -> float:
        """The odds ratio at which the observed value is the expected one: the conditional maximum-likelihood one."""
        if self.observed == self.values[0]:
            return 0.0
        if self.observed == self.values[-1]:
            return math.inf
        return math.exp(_root(lambda ln_odds: self.mean(ln_odds) - self.observed))

    def odds_ends(self, alpha: float) -> tuple[float, float]:
        """Odds ratios at which each tail has ``alpha``: the exact interval of R's ``fisher.test``."""
        low, high = 0.0, math.inf
        if self.observed > self.values[0]:
            low = math.exp(_root(lambda ln_odds: self.tail("greater", ln_odds).p - alpha))
        if self.observed < self.values[-1]:
            high = math.exp(_root(lambda ln_odds: alpha - self.tail("less", ln_odds).p))
        return low, high


def _share(every: Real, inside: Real, outside: Real) -> Tail:
    import numpy as np

    peak = float(every.max())
    total = float(np.exp(every - peak).sum())
    if len(outside) == 0:
        return Tail(1.0, 0.0)
    top = float(inside.max())
    ln_p = top + math.log(float(np.exp(inside - top).sum())) - peak - math.log(total)
    rest = float(np.exp(outside - peak).sum()) / total
    if rest < 0.5:  # noqa: PLR2004
        p = float(np.exp(inside - peak).sum()) / total
        return tail_of(min(1.0, p), rest)
    return Tail(math.exp(ln_p), ln_p)


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of the logarithm of an odds ratio is zero (scipy.optimize.brentq)."""
    from scipy.optimize import brentq

    low, high = -1.0, 1.0
    while rising(low) > 0 and low > -LN_ODDS_MAX:
        low *= 2
    while rising(high) < 0 and high < LN_ODDS_MAX:
        high *= 2
    return float(brentq(rising, low, high, xtol=1e-15, rtol=1e-14, maxiter=STEPS))


def first_cell(table: tuple[int, int, int, int]) -> FirstCell:
    """Of the table a b / c d, row by row. Weights by the ratios of neighbours, summed from the middle."""
    import numpy as np

    a, b, c, d = table
    row, column, total = a + b, a + c, a + b + c + d
    lowest, highest = max(0, row + column - total), min(row, column)
    values = np.arange(lowest, highest + 1, dtype=np.float64)
    after = values[1:]
    ratios = np.log((row - after + 1) * (column - after + 1)) - np.log(after * (total - row - column + after))
    ln = np.concatenate(([0.0], np.cumsum(ratios, dtype=np.longdouble)))
    return FirstCell(a, values, np.asarray(ln - ln.max(), np.float64))
