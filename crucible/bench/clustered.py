"""Standard errors of a mean whose values are not all independent: clustered in one way or in two.

Values are scaled before they are squared, so that none overflows and none underflows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from crucible.bench.samples import Checks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

Labels = Iterable[Hashable]
"""A cluster, question or seed of each value: strings or numbers, equal ones belong together."""
ROUNDING: Final = 8 * 2.0**-52
"""A standard deviation up to this share of the largest value is rounding and no variance."""


def codes(checks: Checks, name: str, labels: Labels) -> Real:
    """The labels as numbers from 0, in the order in which they are first seen."""
    import numpy as np

    given: Any = labels
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        checks.add(name, "these are no labels", labels, "a sequence with a label for each value")
        return np.empty(0)
    dimensions = getattr(given, "ndim", 1)
    if dimensions != 1:
        checks.add(name, f"it has {dimensions} dimensions", expected="one dimension")
        return np.empty(0)
    known: dict[Hashable, int] = {}
    found: list[float] = []
    for label in given.tolist() if hasattr(given, "tolist") else list(given):
        try:
            if label is None or label != label:  # noqa: PLR0124  NaN is no label
                checks.add(name, "a label is missing", label, "a label for each value")
                return np.empty(0)
            found.append(known.setdefault(label, len(known)))
        except (TypeError, ValueError):  # lists and arrays
            checks.add(name, "this is no label", label, "strings or numbers")
            return np.empty(0)
    return np.array(found, dtype=np.float64)


@dataclasses.dataclass(frozen=True, slots=True)
class Deviations:
    """Values minus their mean, in units of ``scale``, which is a power of two."""

    mean: float
    values: Real
    scale: float
    largest: float
    """Largest absolute value of the sample."""

    @property
    def squares(self) -> float:
        """Sum of their squares, in units of ``scale`` squared."""
        return math.fsum((self.values * self.values).tolist())

    def is_rounding(self, error: float) -> bool:
        """Whether a standard error of the mean is no more than what rounding makes."""
        return error * math.sqrt(len(self.values)) <= ROUNDING * self.largest


def deviations(values: Real) -> Deviations:
    """Deviations from the mean of at least one finite value; the mean by ``math.fsum``."""
    import numpy as np

    largest = float(np.abs(values).max())
    unit = _power_of_two(largest)
    scaled = values / unit
    mean = math.fsum(scaled.tolist()) / len(values)
    away = scaled - mean
    away -= math.fsum(away.tolist()) / len(values)
    inner = _power_of_two(float(np.abs(away).max()))
    return Deviations(mean * unit, away / inner, unit * inner, largest)


def _power_of_two(largest: float) -> float:
    """The power of two at or below; 1 for zero. Not below 2^-1000, whose inverse is still a double."""
    return 2.0 ** max(math.frexp(largest)[1] - 1, -1000) if largest > 0 else 1.0


def independent_error(away: Deviations) -> float | None:
    """Standard error of a mean of independent values; None of a single one."""
    n = len(away.values)
    return away.scale * math.sqrt(away.squares / (n - 1) / n) if n > 1 else None


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterErrors:
    """Standard errors of a mean whose values are dependent within clusters."""

    n_clusters: int
    cr0: float
    """Root of the sum of squared sums of deviations per cluster, over n: Liang and Zeger's sandwich (1986)."""
    corrected: float | None
    """``cr0`` · √(G / (G − 1)) with G clusters, as inspect_ai and R's evaluatellm have it; None of one cluster."""
    miller: float | None
    """√(SE² + n⁻² Σ products within clusters), SE of independent values (Miller, arXiv 2411.00640)."""


def cluster_errors(away: Deviations, cluster: Real) -> ClusterErrors:
    """Of deviations from a mean; ``cluster`` are numbers from 0."""
    n = len(away.values)
    sums = _sums(away.values, cluster)
    squares = math.fsum((sums * sums).tolist())
    groups = len(sums)
    cr0 = away.scale * math.sqrt(squares) / n
    return ClusterErrors(
        n_clusters=groups,
        cr0=cr0,
        corrected=cr0 * math.sqrt(groups / (groups - 1)) if groups > 1 else None,
        miller=away.scale * math.sqrt(squares + away.squares / (n - 1)) / n if n > 1 else None,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TwoWayErrors:
    """Standard errors of a mean over questions (or clusters of them) crossed with seeds.

    In a simulation with 5, 20 and 200 questions and 2 to 10 seeds, ``cgm`` covers as little as 70 % at 95 %: what it
    subtracts is an estimate as well. ``both`` with ``df`` covers at least 95 % there, up to 100 % with few seeds that
    do not matter; with the degrees of freedom of Satterthwaite it would cover as little as 88 %.
    """

    question: float
    """Clustered by question: would other questions give another mean?"""
    seed: float
    """Clustered by seed: would other seeds?"""
    cgm: float
    """√(V(question) + V(seed) − V(both)) (Cameron, Gelbach and Miller, JBES 29, 2011), at least 0."""
    both: float
    """√(V(question) + V(seed)): the conservative choice, without the term that is subtracted."""
    df: int
    """The smaller of both numbers of clusters, minus one, as Cameron, Gelbach and Miller have it."""


def two_way_errors(away: Deviations, question: Real, seed: Real) -> TwoWayErrors | None:
    """Of deviations from a mean; None where there is one question or one seed."""
    n = len(away.values)
    cells = question * (seed.max() + 1) + seed
    v_question, questions = _corrected_squares(away.values, question)
    v_seed, seeds = _corrected_squares(away.values, seed)
    if questions == 1 or seeds == 1:
        return None
    v_cell, _ = _corrected_squares(away.values, cells)
    unit = away.scale / n
    total = v_question + v_seed
    return TwoWayErrors(
        question=unit * math.sqrt(v_question),
        seed=unit * math.sqrt(v_seed),
        cgm=unit * math.sqrt(max(0.0, total - v_cell)),
        both=unit * math.sqrt(total),
        df=min(questions, seeds) - 1,
    )


def _corrected_squares(values: Real, group: Real) -> tuple[float, int]:
    """G / (G − 1) times the sum of squared sums per group, and G."""
    sums = _sums(values, group)
    groups = len(sums)
    return (math.fsum((sums * sums).tolist()) * groups / (groups - 1) if groups > 1 else 0.0), groups


def _sums(values: Real, group: Real) -> Real:
    """Sum of each group that is there."""
    import numpy as np

    _, place = np.unique(group, return_inverse=True)
    return cast("Real", np.bincount(place, weights=values))


def averages(values: Real, group: Real) -> tuple[Real, NDArray[np.int64], NDArray[np.int64]]:
    """Mean of each group, how many values it has, and the place of one of its values."""
    import numpy as np

    _, first, place, counts = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    unit = _power_of_two(float(np.abs(values).max()))
    return np.bincount(place, weights=values / unit) / counts * unit, counts, first
