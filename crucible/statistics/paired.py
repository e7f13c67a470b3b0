"""Two samples whose values belong together pair by pair: Student's paired test, its interval and its effect size.

The difference is always first minus second. Where no test can be made the result says so with a reason code: it never
has a p value of 0. The numbers are those of `crucible.bench`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.moments import mean_of
from crucible.bench.result import TestResult
from crucible.bench.samples import Samples
from crucible.bench.t_tests import paired_result

PairedStatus = Literal["ok", "degenerate"]
Pair = tuple[Sequence[float], Sequence[float]]

EFFECT_NAME: Final = "hedges_g_z"
METHOD: Final = "paired t (crucible.bench.t_paired)"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """What two paired samples say. Numbers that can't be had are None."""

    n: int
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    """Mean of first minus second."""
    low: float | None = None
    high: float | None = None
    """Interval of the mean difference, two-sided."""
    level: float
    statistic: float | None = None
    """Student's t."""
    p: float | None = None
    """Two-sided."""
    effect_name: str = EFFECT_NAME
    effect: float | None = None
    """Hedges' g_z: Cohen's d_z without its bias. Of two pairs there is none, and no interval."""
    effect_low: float | None = None
    effect_high: float | None = None
    """Interval of the standardized difference, by inverting the noncentral t distribution."""
    d_z: float | None = None
    """Cohen's d_z: mean difference over the standard deviation of the differences."""
    method: str = METHOD
    status: PairedStatus = "ok"
    reason: str | None = None
    """Why it is degenerate: ``no_pairs``, ``n_too_small``, ``zero_variance`` or ``zero_variance_up_to_rounding``."""


def compare_paired(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> PairedResult:
    """Student's paired t test, two-sided ("Student", Biometrika 6, 1908): the numbers of `crucible.bench.t_paired`.

    Values are finite. Raises ``ValueError`` for samples of different lengths and for values that are not finite.
    """
    import numpy as np

    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) != len(b):
        message = f"length_mismatch: {len(a)} and {len(b)} values are no pairs"
        raise ValueError(message)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        message = "nan_input: a value is not finite; leave its pair out"
        raise ValueError(message)
    if len(a) == 0:
        return PairedResult(n=0, level=level, status="degenerate", reason="no_pairs")
    with np.errstate(over="ignore"):
        differences = a - b
    if not np.isfinite(differences).all():
        return PairedResult(
            n=len(a),
            level=level,
            mean_a=mean_of(first),
            mean_b=mean_of(second),
            difference=float(differences.mean()),
            status="degenerate",
            reason="differences_too_great",
        )
    samples = Samples((a, b), (0,), None)
    return _of(paired_result(samples, 0.0, Asked(level), assumptions=False, with_average=False), level)


def compare_all(pairs: Sequence[Pair], level: float = LEVEL) -> list[PairedResult]:
    """``compare_paired`` of each two samples."""
    return [compare_paired(first, second, level) for first, second in pairs]


def _of(result: TestResult, level: float) -> PairedResult:
    """What the record of a comparison says of a test."""
    known = PairedResult(
        n=result.n[0],
        level=level,
        mean_a=result.details["mean_a"],
        mean_b=result.details["mean_b"],
        difference=result.estimate,
        status=result.status,
        reason=result.reason,
    )
    if result.status == "degenerate":
        return known
    d, g = result.effect("cohens_d_z"), result.effect(EFFECT_NAME)
    ends = g.interval if g is not None else None
    return dataclasses.replace(
        known,
        low=result.interval.low if result.interval else None,
        high=result.interval.high if result.interval else None,
        statistic=result.statistic,
        p=result.p_value,
        d_z=d.value if d is not None else None,
        effect=g.value if g is not None else None,
        effect_low=ends.low if ends else None,
        effect_high=ends.high if ends else None,
    )
