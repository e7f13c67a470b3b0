"""Anytime-valid tests and intervals for values that are bounded, and for right or wrong. All are exact."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final

from crucible.bench.anytime import Evidence, Stream, alpha_of, as_interval, evidence, finite, plain, positive
from crucible.bench.result import Alternative, Interval
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

BET_MAX: Final = 0.5
"""Largest bet, as a share of the one that could lose everything."""
TINY_SHARE: Final = 1e-300
LARGEST_SHARE: Final = 1 - 2.0**-53
"""Where the search for the ends of an interval begins."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Bounded(Evidence):
    """Values within ``low`` to ``high``, as shares x of that range, and the bets that they lead to.

    The bet on value t is √(2 log(k / α) / (σ̂² t log(1 + t))), k = 2 if two-sided, with the mean and the variance σ̂² of
    the values before it and of one half (the predictable bets of Waudby-Smith and Ramdas, JRSS B 86, 2024).
    """

    alpha: float
    low: float = 0.0
    high: float = 1.0
    null: float = 0.5
    alternative: Alternative = "two-sided"
    n: int = 0
    total: Stream = 0.5
    """One half plus the sum of x."""
    squares: Stream = 0.25
    """One quarter plus the sum of (x − mean so far)²."""

    def _share(self, value: Stream) -> Stream:
        """A value as a share of the range. Raises ``StatisticsError`` for one outside."""
        value = finite(value)
        if not getattr(value, "shape", ()) and not self.low <= value <= self.high:
            checks = Checks()
            checks.add("value", "out of range", value, f"a number from {self.low:g} to {self.high:g}")
            checks.done()
        return (value - self.low) / (self.high - self.low)

    @property
    def _bet(self) -> Stream:
        """On the next value."""
        import numpy as np

        return np.sqrt(2 * self._threshold / (math.log1p(self.n + 1) * self.squares))  # the variance times t

    @property
    def estimate(self) -> Stream:
        """Mean of the values; None before the first."""
        return self.low + (self.high - self.low) * (self.total - 0.5) / self.n if self.n else None

    @property
    def _threshold(self) -> float:
        return math.log((2 if self.alternative == "two-sided" else 1) / self.alpha)

    def _seen(self, x: Stream) -> dict[str, Stream]:
        """Mean and variance after another value."""
        n = self.n + 1
        total = self.total + x
        away = x - total / (n + 1)
        return {"n": n, "total": total, "squares": self.squares + away * away}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalBernstein(_Bounded):
    """The mean of bounded values, by a predictable plug-in empirical Bernstein inequality. EXACT for any distribution.

    The conditional mean of every value given those before is the same; nothing else is assumed. Waudby-Smith and
    Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 86, 2024). The level of its
    bets is that of ``start``; an interval of another level is valid and wider than it could be.
    """

    weight: Stream = 0.0
    """Sum of the bets."""
    weighted: Stream = 0.0
    """Sum of bet times x."""
    cost: Stream = 0.0
    """Sum of 4 (x − mean before)² ψ(bet), ψ(λ) = (−log(1 − λ) − λ) / 4."""

    @classmethod
    @plain_scalars
    def start(
        cls,
        *,
        low: float = 0.0,
        high: float = 1.0,
        null: float = 0.5,
        alternative: Alternative = "two-sided",
        alpha: float = 0.05,
    ) -> EmpiricalBernstein:
        """Before the first value. Raises ``StatisticsError`` for bad input."""
        _check(low, high, null, alternative, alpha)
        return cls(low=float(low), high=float(high), null=float(null), alternative=alternative, alpha=alpha)

    def update(self, value: Stream) -> EmpiricalBernstein:
        """The state after one more value."""
        import numpy as np

        x = self._share(value)
        bet = np.minimum(self._bet, BET_MAX)
        away = x - self.total / (self.n + 1)
        weight, weighted = self.weight + bet, self.weighted + bet * x
        cost = self.cost + away * away * (-np.log1p(-bet) - bet)
        null = (self.null - self.low) / (self.high - self.low)
        gain = weighted - weight * null
        if self.alternative == "two-sided":
            ln_e = np.abs(gain) - cost - math.log(2.0)
        else:
            ln_e = (gain if self.alternative == "greater" else -gain) - cost
        return dataclasses.replace(
            self,
            **self._seen(x),
            weight=plain(weight),
            weighted=plain(weighted),
            cost=plain(cost),
            **evidence(self, ln_e),
        )

    @plain_scalars
    def bounds(self, level: float = 0.95) -> tuple[Stream, Stream] | None:
        """Ends of the interval, whatever the alternative, cut to the range; None before the first value."""
        import numpy as np

        if not self.n:
            return None
        sides = 2 if self.alternative == "two-sided" else 1
        half = (math.log(sides / alpha_of(level)) + self.cost) / self.weight
        middle, width = self.weighted / self.weight, self.high - self.low
        low, high = self.low + width * (middle - half), self.low + width * (middle + half)
        return plain(np.maximum(low, self.low)), plain(np.minimum(high, self.high))

    @plain_scalars
    def interval(self, level: float = 0.95) -> Interval | None:
        """The interval after these values."""
        method = "empirical Bernstein (Waudby-Smith and Ramdas 2024), exact"
        return as_interval(self.bounds(level), level, self.alternative, method)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Betting(_Bounded):
    """A test that the mean of bounded values is ``null``, by betting against it. EXACT for any distribution.

    One gambler bets that values are greater, one that they are less; a two-sided e value is the mean of their capitals
    (the hedged capital process of Waudby-Smith and Ramdas 2024). It finds more than
    `EmpiricalBernstein`, and has no closed interval.
    """

    ln_up: Stream = 0.0
    ln_down: Stream = 0.0
    """Logarithms of both capitals."""

    @classmethod
    @plain_scalars
    def start(
        cls,
        *,
        null: float,
        low: float = 0.0,
        high: float = 1.0,
        alternative: Alternative = "two-sided",
        alpha: float = 0.05,
    ) -> Betting:
        """Before the first value; ``null`` lies strictly within the range. Raises ``StatisticsError`` for bad input."""
        _check(low, high, null, alternative, alpha)
        return cls(low=float(low), high=float(high), null=float(null), alternative=alternative, alpha=alpha)

    def update(self, value: Stream) -> Betting:
        """The state after one more value."""
        import numpy as np

        x, bet = self._share(value), self._bet
        null = (self.null - self.low) / (self.high - self.low)
        up = self.ln_up + np.log1p(np.minimum(bet, BET_MAX / null) * (x - null))
        down = self.ln_down + np.log1p(-np.minimum(bet, BET_MAX / (1 - null)) * (x - null))
        if self.alternative == "two-sided":
            ln_e = np.logaddexp(up, down) - math.log(2.0)
        else:
            ln_e = up if self.alternative == "greater" else down
        return dataclasses.replace(self, **self._seen(x), ln_up=plain(up), ln_down=plain(down), **evidence(self, ln_e))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BetaBinomial(Evidence):
    """The share of successes among independent trials, by a beta mixture of likelihood ratios. EXACT.

    e = B(a + s, b + f) / B(a, b) / (p₀ˢ (1 − p₀)ᶠ) (Ville 1939; Robbins 1970). One-sided, the mixture is over the
    shares beyond ``p0`` only, and the null is all shares up to it.
    """

    p0: float
    a: float = 1.0
    b: float = 1.0
    alternative: Alternative = "two-sided"
    successes: Stream = 0
    failures: Stream = 0

    @classmethod
    @plain_scalars
    def start(
        cls, *, p0: float = 0.5, a: float = 1.0, b: float = 1.0, alternative: Alternative = "two-sided"
    ) -> BetaBinomial:
        """Before the first trial. Raises ``StatisticsError`` for bad input."""
        checks = Checks()
        checks.open_unit("p0", p0)
        for name, value in (("a", a), ("b", b)):
            positive(checks, name, value)
        checks.alternative(alternative)
        checks.done()
        return cls(p0=float(p0), a=float(a), b=float(b), alternative=alternative)

    def update(self, value: Stream) -> BetaBinomial:
        """The state after one more trial: 1 or True for a success, 0 or False for a failure."""
        trial = finite(value)
        if not getattr(trial, "shape", ()) and trial not in {0.0, 1.0}:
            checks = Checks()
            checks.add("value", "it is no success and no failure", value, "0 or 1")
            checks.done()
        return self.counted(trial, 1 - trial)

    def counted(self, successes: Stream, failures: Stream) -> BetaBinomial:
        """The state after so many more trials, with one look at their end."""
        s, f = self.successes + successes, self.failures + failures
        ln_e = _ln_beta_binomial(s, f, self.p0, self.a, self.b, self.alternative)
        return dataclasses.replace(self, successes=s, failures=f, **evidence(self, ln_e))

    @plain_scalars
    def interval(self, level: float = 0.95) -> Interval | None:
        """Every share that the evidence does not speak against; None before the first trial."""
        s, f = float(self.successes), float(self.failures)
        n = s + f
        ln_alpha = math.log(alpha_of(level))
        if not n:
            return None

        def excess(share: float) -> float:
            found = _ln_beta_binomial(s, f, share, self.a, self.b, self.alternative)
            return float(found) + ln_alpha

        low = _root(excess, TINY_SHARE, s / n) if s and self.alternative != "less" else 0.0
        high = _root(excess, LARGEST_SHARE, s / n) if f and self.alternative != "greater" else 1.0
        return as_interval((low, high), level, self.alternative, "beta-binomial mixture, exact")


def _root(excess: Callable[[float], float], outer: float, inner: float) -> float:
    """Where the evidence crosses between a share that it speaks against and the one that was seen."""
    from scipy.optimize import brentq

    inner = min(max(inner, TINY_SHARE), LARGEST_SHARE)
    return outer if excess(outer) <= 0 else float(brentq(excess, outer, inner, xtol=1e-300, rtol=1e-12, maxiter=2000))


@plain_scalars
def beta_binomial(
    successes: int,
    failures: int,
    *,
    p0: float = 0.5,
    a: float = 1.0,
    b: float = 1.0,
    alternative: Alternative = "two-sided",
) -> BetaBinomial:
    """The evidence after one look at so many trials. Raises ``StatisticsError`` for bad input."""
    checks = Checks()
    checks.number("successes", successes, low=0, is_whole=True)
    checks.number("failures", failures, low=0, is_whole=True)
    checks.done()
    return BetaBinomial.start(p0=p0, a=a, b=b, alternative=alternative).counted(successes, failures)


def _ln_beta_binomial(  # noqa: PLR0917  the symbols of one formula
    s: Stream, f: Stream, p0: float, a: float, b: float, alternative: Alternative
) -> Stream:
    import numpy as np
    from scipy.special import betainc, betaincc, betaln, xlog1py, xlogy

    ln_e = betaln(a + s, b + f) - betaln(a, b) - xlogy(s, p0) - xlog1py(f, -p0)
    if alternative == "two-sided":
        return ln_e
    tail = betaincc if alternative == "greater" else betainc
    with np.errstate(divide="ignore"):
        return ln_e + np.log(tail(a + s, b + f, p0)) - np.log(tail(a, b, p0))


def _check(low: float, high: float, null: float, alternative: Alternative, alpha: float) -> None:
    checks = Checks()
    for name, value in (("low", low), ("high", high), ("null", null)):
        checks.number(name, value)
    if not checks.problems and not low < null < high:
        checks.add("null", "out of range", null, f"low < null < high, strictly between {low:g} and {high:g}")
    checks.alternative(alternative)
    checks.open_unit("alpha", alpha)
    checks.done()
