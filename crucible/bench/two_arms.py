"""The mixture sequential probability ratio test of two arms, which may be looked at after every value. It is exact."""

from __future__ import annotations

import dataclasses
from typing import Any

from crucible.bench.anytime import (
    SPREAD_MAX,
    Evidence,
    Stream,
    alpha_of,
    as_interval,
    evidence,
    finite,
    ln_mixture,
    positive,
    reach,
)
from crucible.bench.result import Alternative, Interval
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TwoArms(Evidence):
    """Difference of the means of two arms (first minus second): the mixture sequential probability ratio test.

    Exact for normal values of known variances, if which arm comes next does not depend on the values. The mixture is
    normal with variance ``tau2`` around ``null`` (Johari, Koomen, Pekelis and Walsh, Operations Research 70, 2022);
    arms of unequal size enter by their information 1 / (σ²(a) / n(a) + σ²(b) / n(b)), on whose scale the estimate is a
    Brownian motion. Make it with ``start``.
    """

    sigma_a: float
    sigma_b: float
    tau2: float
    null: float = 0.0
    alternative: Alternative = "two-sided"
    n_a: int = 0
    n_b: int = 0
    total_a: Stream = 0.0
    total_b: Stream = 0.0

    @classmethod
    @plain_scalars
    def start(
        cls,
        *,
        sigma_a: float,
        sigma_b: float | None = None,
        tau2: float,
        null: float = 0.0,
        alternative: Alternative = "two-sided",
    ) -> TwoArms:
        """Before the first value; ``sigma_b`` is ``sigma_a`` unless given. Raises ``StatisticsError`` for bad input."""
        checks = Checks()
        other = sigma_a if sigma_b is None else sigma_b
        for name, value in (("sigma_a", sigma_a), ("sigma_b", other)):
            positive(checks, name, value, SPREAD_MAX)
        positive(checks, "tau2", tau2)
        checks.number("null", null)
        checks.alternative(alternative)
        checks.done()
        return cls(
            sigma_a=float(sigma_a), sigma_b=float(other), tau2=float(tau2), null=float(null), alternative=alternative
        )

    def update(self, value: tuple[Stream | None, Stream | None]) -> TwoArms:
        """The state after one more value of the first arm, of the second, or of both; None: no value of that arm."""
        a, b = _two(value)
        after = dataclasses.replace(
            self,
            n_a=self.n_a + (a is not None),
            n_b=self.n_b + (b is not None),
            total_a=self.total_a if a is None else self.total_a + finite(a),
            total_b=self.total_b if b is None else self.total_b + finite(b),
        )
        if not (after.n_a and after.n_b):
            return after
        information = after.information
        ln_e = ln_mixture(information * (after.estimate - self.null), information, 1 / self.tau2, self.alternative)
        return dataclasses.replace(after, **evidence(self, ln_e))

    @property
    def information(self) -> float:
        """One over the variance of the estimate."""
        return 1 / (self.sigma_a * self.sigma_a / self.n_a + self.sigma_b * self.sigma_b / self.n_b)

    @property
    def estimate(self) -> Stream:
        """Difference of the means; None before each arm has a value."""
        return self.total_a / self.n_a - self.total_b / self.n_b if self.n_a and self.n_b else None

    @plain_scalars
    def bounds(self, level: float = 0.95) -> tuple[Stream, Stream] | None:
        """Ends of the interval, whatever the alternative; None before each arm has a value."""
        if not (self.n_a and self.n_b):
            return None
        half = reach(self.information, 1 / self.tau2, alpha_of(level), self.alternative) / self.information
        return self.estimate - half, self.estimate + half

    @plain_scalars
    def interval(self, level: float = 0.95) -> Interval | None:
        """The interval after these values."""
        return as_interval(self.bounds(level), level, self.alternative, "mSPRT (Johari et al. 2022), exact")


def _two(value: Any) -> tuple[Stream | None, Stream | None]:
    """The value of each arm. Raises ``StatisticsError`` for what is no pair."""
    if isinstance(value, tuple | list) and len(value) == 2:  # noqa: PLR2004
        return value[0], value[1]
    checks = Checks()
    checks.add("value", "this is no pair", value, "a value of each arm, or None: (1.5, None)")
    checks.done()
    raise AssertionError


@plain_scalars
def msprt(
    n: int,
    mean: float,
    *,
    sigma2: float,
    tau2: float,
    theta0: float = 0.0,
    alternative: Alternative = "two-sided",
) -> Evidence:
    """The mSPRT from the mean of ``n`` values or of ``n`` paired differences, whose variance is ``sigma2``.

    √(σ² / (σ² + n τ²)) exp(n² τ² (mean − θ₀)² / (2 σ² (σ² + n τ²))); of two arms σ² = σ²(a) + σ²(b). The p value is of
    this one look: a running one needs the states. Raises ``StatisticsError`` for bad input.
    """
    checks = Checks()
    checks.number("n", n, low=1, is_whole=True)
    checks.number("mean", mean)
    checks.number("theta0", theta0)
    for name, value in (("sigma2", sigma2), ("tau2", tau2)):
        positive(checks, name, value)
    checks.alternative(alternative)
    checks.done()
    information = n / sigma2
    ln_e = float(ln_mixture(information * (mean - theta0), information, 1 / tau2, alternative))
    return Evidence(ln_e=ln_e, ln_e_max=max(0.0, ln_e))
