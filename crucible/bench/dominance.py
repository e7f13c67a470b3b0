"""How often a value of one sample exceeds one of the other: Cliff's δ and the common language effect size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import t_quantile
from crucible.bench.result import Alternative, Effect, Interval
from crucible.bench.samples import NanPolicy, Values, independent
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

METHOD: Final = (
    "asymmetric, unbiased variance of δ, Student's t (Feng and Cliff, J. Modern Applied Statistical Methods 3, 2004)"
)


@plain_scalars
def cliffs_delta(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Cliff's δ: P(a > b) − P(a < b) (Cliff, Psychological Bulletin 114, 1993)."""
    return _of(a, b, Asked(level, alternative), nan_policy)[0]


@plain_scalars
def cles(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Common language effect size: P(a > b) + P(a = b) / 2 (Vargha and Delaney's A, 2000), (δ + 1) / 2."""
    return _of(a, b, Asked(level, alternative), nan_policy)[1]


def _of(a: Values, b: Values, asked: Asked, nan_policy: NanPolicy) -> tuple[Effect, Effect]:
    samples = independent(asked.check(), nan_policy, a=a, b=b)
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return Effect(name="cliffs_delta", value=None, reason=reason), Effect(name="cles", value=None, reason=reason)
    return dominance_effects(samples.values[0], samples.values[1], asked)


def dominance_effects(a: Real, b: Real, asked: Asked) -> tuple[Effect, Effect]:
    """Cliff's δ and the common language effect size of samples that have finite values."""
    value, variance = _delta(a, b)
    if variance is None:
        reason = "n_too_small"
        return (
            Effect(name="cliffs_delta", value=value, reason=reason),
            Effect(name="cles", value=(value + 1) / 2, reason=reason),
        )
    quantile = -t_quantile(asked.tail, len(a) + len(b) - 2)  # of normals few values would be covered too rarely
    low, high = _ends(value, variance, min(len(a), len(b)), quantile)
    return (
        Effect(
            name="cliffs_delta",
            value=value,
            interval=Interval.sided(low, high, asked.level, asked.alternative, METHOD),
        ),
        Effect(
            name="cles",
            value=(value + 1) / 2,
            interval=Interval.sided((low + 1) / 2, (high + 1) / 2, asked.level, asked.alternative, METHOD),
        ),
    )


def _delta(a: Real, b: Real) -> tuple[float, float | None]:
    """δ and its unbiased variance; counts are whole numbers, so that δ is rounded once."""
    import numpy as np

    first, second, n, m = np.sort(a), np.sort(b), len(a), len(b)
    below, upto = np.searchsorted(second, first, "left"), np.searchsorted(second, first, "right")
    rows = below + upto - m  # of each a: how many b it exceeds, less how many exceed it
    columns = np.searchsorted(first, second, "left") + np.searchsorted(first, second, "right") - n
    total = int(rows.sum())
    delta = total / (n * m)
    if min(n, m) < 2:  # noqa: PLR2004
        return delta, None
    untied = n * m - int((upto - below).sum())
    by_rows = float(np.square(rows / m - delta).sum()) * m * m
    by_columns = float(np.square(columns / n + delta).sum()) * n * n
    each = untied - n * m * delta * delta
    variance = (by_rows + by_columns - each) / (n * m * (n - 1) * (m - 1))
    return delta, max(variance, (1 - delta * delta) / (n * m - 1))


def _ends(delta: float, variance: float, n: int, z: float) -> tuple[float, float]:
    square = z * z
    if abs(delta) == 1:  # of samples that do not overlap the variance is unknown
        bound = (n - square) / (n + square)
        return (bound, 1.0) if delta > 0 else (-1.0, -bound)
    half = z * math.sqrt(variance) * math.sqrt((1 - delta * delta) ** 2 + square * variance)
    below = 1 - delta * delta + square * variance
    center = delta - delta**3
    return max(-1.0, (center - half) / below), min(1.0, (center + half) / below)
