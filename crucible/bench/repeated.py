"""Repeated samples of a question: what varies between questions and what within them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from crucible.bench.clustered import Labels, averages, codes, deviations, independent_error
from crucible.bench.samples import Checks, NanPolicy, Values, paired
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VarianceSplit:
    """Where the variance of scores comes from, by repeated samples of each question."""

    between: float
    """Variance of the questions' expected scores (ω² of Miller): at least 0."""
    within: float
    """Mean variance of the samples of one question (σ² of Miller)."""
    samples: float
    """Samples per question: their harmonic mean."""


@plain_scalars
def variance_split(scores: Values, question: Labels, *, nan_policy: NanPolicy = "propagate") -> VarianceSplit | None:
    """Variance between questions and within them; None without two questions and a repeated one, and for NaN.

    σ² is the mean of the questions' sample variances, ω² = s²(averages) − mean(σᵢ² / Kᵢ), at least 0
    (after Miller, arXiv 2411.00640). A question with one sample has the σ² of the others.
    """
    checks = Checks()
    numbers = codes(checks, "question", question)
    samples = paired(checks, nan_policy, scores=scores, question=numbers)
    if samples.reason is not None or not len(samples.values[0]):
        return None
    return split(samples.values[0], samples.values[1])


def split(scores: Real, question: Real) -> VarianceSplit | None:
    """``variance_split`` of finite scores; ``question`` are numbers."""
    import numpy as np

    means, counts, _ = averages(scores, question)
    if len(means) == 1 or counts.max() == 1:
        return None
    _, place = np.unique(question, return_inverse=True)
    away = deviations(scores - means[place])
    squares = np.bincount(place, weights=away.values * away.values)
    repeated = counts > 1
    within = float((squares[repeated] / (counts[repeated] - 1)).mean())
    noise = float((np.where(repeated, squares / np.maximum(counts - 1, 1), within) / counts).mean())
    error = independent_error(deviations(means))
    assert error is not None
    unit = away.scale * away.scale
    return VarianceSplit(
        between=max(0.0, error * error * len(means) - noise * unit),
        within=within * unit,
        samples=1 / float((1 / counts).mean()),
    )
