"""Power, sample size and the least difference of two proportions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

from crucible.bench.designs import (
    ALPHA,
    N_MAX,
    POWER,
    RATIO_MAX,
    Kind,
    Power,
    design,
    power_checks,
    root,
    sized,
    smallest_size,
)
from crucible.bench.distributions import normal_quantile
from crucible.bench.result import Alternative
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

PROPORTIONS: Final = Kind(
    "proportions",
    "normal approximation of the pooled z test (Fleiss, Levin and Paik 2003)",
    "difference of proportions",
)
EXACT_MAX: Final = 4_000_000
"""Outcomes of two proportions up to which the power is also summed exactly."""


@plain_scalars
def power_proportions(
    p_a: float,
    p_b: float,
    n: float,
    n_b: float | None = None,
    *,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """Power of the pooled z test of two proportions, by the normal approximation; the effect is ``p_a`` − ``p_b``.

    ``details`` has ``exact``, the test's true probability to reject summed over all outcomes, of whole sizes that are
    not too large. At equal proportions that is its true level, which the approximation takes for ``alpha``.
    """
    checks = power_checks(alpha, alternative)
    sizes = (n, n if n_b is None else n_b)
    for name, share in (("p_a", p_a), ("p_b", p_b)):
        _share(checks, name, share)
    for name, size in zip(("n", "n_b"), sizes, strict=True):
        checks.number(name, size, low=1, high=N_MAX)
    checks.done()
    power = _proportions(p_a, p_b, sizes[0], sizes[1], alpha=alpha, alternative=alternative)
    details = {"p_a": p_a, "p_b": p_b}
    if all(size == int(size) for size in sizes) and sizes[0] * sizes[1] <= EXACT_MAX:
        details["exact"] = _proportions_exact(
            p_a, p_b, int(sizes[0]), int(sizes[1]), alpha=alpha, alternative=alternative
        )
    return dataclasses.replace(_design(p_a, p_b, alpha, alternative, n=sizes, power=power), details=details)


@plain_scalars
def sample_size_proportions(
    p_a: float,
    p_b: float,
    *,
    power: float = POWER,
    ratio: float = 1.0,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """The least whole sizes with this power by the normal approximation; the second is ``ratio`` times the first."""
    checks = power_checks(alpha, alternative, power)
    for name, share in (("p_a", p_a), ("p_b", p_b)):
        _share(checks, name, share)
    checks.number("ratio", ratio, low=1 / RATIO_MAX, high=RATIO_MAX)
    checks.done()

    def whole(n: int) -> tuple[int, ...]:
        return n, max(1, math.ceil(ratio * n * (1 - 1e-12)))

    def at_whole(n: int) -> float:
        sizes = whole(n)
        return _proportions(p_a, p_b, sizes[0], sizes[1], alpha=alpha, alternative=alternative)

    def at(n: float) -> float:
        return _proportions(p_a, p_b, n, ratio * n, alpha=alpha, alternative=alternative)

    found = smallest_size(at, at_whole, power, max(1.0, 1.0 / ratio), 1)
    return sized(_design(p_a, p_b, alpha, alternative), found, whole)


@plain_scalars
def minimal_effect_proportions(
    p_b: float,
    n: float,
    n_b: float | None = None,
    *,
    power: float = POWER,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """The ``p_a`` nearest to ``p_b`` that is told from it with this power: above, and below for ``less``."""
    checks = power_checks(alpha, alternative, power)
    _share(checks, "p_b", p_b)
    sizes = (n, n if n_b is None else n_b)
    for name, size in zip(("n", "n_b"), sizes, strict=True):
        checks.number(name, size, low=1, high=N_MAX)
    checks.done()
    end = 0.0 if alternative == "less" else 1.0

    def at(share: float) -> float:
        return _proportions(p_b + share * (end - p_b), p_b, sizes[0], sizes[1], alpha=alpha, alternative=alternative)

    by_chance = at(0.0)
    if by_chance >= power:
        share: float | None = 0.0
        power = by_chance
    else:
        share = root(lambda share: at(share) - power, 0.0, 1.0) if at(1.0) >= power else None
    p_a = None if share is None else p_b + share * (end - p_b)
    return _design(p_a, p_b, alpha, alternative, n=sizes, power=power)


def _design(p_a: float | None, p_b: float, alpha: float, alternative: Alternative, **known: Any) -> Power:
    found = design(PROPORTIONS, None if p_a is None else p_a - p_b, alpha, alternative, **known)
    details = {"p_b": p_b} if p_a is None else {"p_a": p_a, "p_b": p_b}
    return dataclasses.replace(found, details=details)


def _share(checks: Checks, name: str, value: float) -> None:
    before = len(checks.problems)
    checks.number(name, value)
    if len(checks.problems) == before and not 0 <= value <= 1:
        checks.add(name, "out of range", value, "a proportion from 0 to 1")


def _proportions(p_a: float, p_b: float, n_a: float, n_b: float, *, alpha: float, alternative: Alternative) -> float:
    from scipy.special import ndtr

    gap, pooled = p_a - p_b, (n_a * p_a + n_b * p_b) / (n_a + n_b)
    under_null = math.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    error = math.sqrt(p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b)
    z = -normal_quantile(alpha / 2 if alternative == "two-sided" else alpha)
    sides = {"two-sided": (gap, -gap), "greater": (gap,), "less": (-gap,)}[alternative]
    if error == 0:  # both are 0 or 1: the outcome is certain
        return 1.0 if any(side > z * under_null for side in sides) else 0.0
    return min(1.0, math.fsum(float(ndtr((side - z * under_null) / error)) for side in sides))


def _proportions_exact(p_a: float, p_b: float, n_a: int, n_b: int, *, alpha: float, alternative: Alternative) -> float:
    import numpy as np
    from scipy.stats import binom

    a, b = np.arange(n_a + 1)[:, None], np.arange(n_b + 1)[None, :]
    gap, pooled = a / n_a - b / n_b, (a + b) / (n_a + n_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    z = -normal_quantile(alpha / 2 if alternative == "two-sided" else alpha)
    side = {"two-sided": np.abs(gap), "greater": gap, "less": -gap}[alternative]
    chances = binom.pmf(a, n_a, p_a) * binom.pmf(b, n_b, p_b)
    return float(chances[(side >= z * error) & (error > 0)].sum())
