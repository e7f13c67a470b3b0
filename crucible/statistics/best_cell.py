"""How sure it is which cell is best: the share of resamples of the repeats in which each cell has the best mean.

The repeats of all cells share their seeds, so that a resample takes the same repeats of every cell (the paired
bootstrap: Efron, Annals of Statistics 7, 1979). It is no posterior probability; with few repeats it is coarse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from crucible.bench.moments import ROUNDING

if TYPE_CHECKING:
    import numpy as np

REPEATS_MIN: Final = 2
"""One repeat leaves nothing to resample."""
GREATEST: Final = 2.0**512
"""Sums of greater values may be more than a double holds."""
NUMBERS_AT_ONCE: Final = 2_000_000
"""Sums of resamples that are held at once."""


def best_shares(
    values: Sequence[Sequence[float]], rng: np.random.Generator, resamples: int, *, is_lower_better: bool
) -> list[float] | None:
    """For each cell, the share of resamples in which it is best; cells that tie share a resample.

    ``values[cell][repeat]`` are finite, the same repeats in the same order for every cell. None with fewer than two
    repeats. Means that differ by no more than rounding tie. Sums are taken in the order of the repeats, whatever the
    number of threads.
    """
    import numpy as np

    table = np.asarray(values, float).T
    if table.ndim != 2 or table.shape[0] < REPEATS_MIN:  # noqa: PLR2004  repeats by cells
        return None
    repeats, cells = table.shape
    table = -table if is_lower_better else table
    if float(np.abs(table).max()) > GREATEST:
        table = table / GREATEST  # a power of two: nothing is rounded, and sums are finite
    margin = ROUNDING * repeats * float(np.abs(table).max())
    won = np.zeros(cells)
    at_once = max(1, NUMBERS_AT_ONCE // cells)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=count).astype(float)
        sums = np.zeros((count, cells))
        for repeat in range(repeats):
            sums += drawn[:, repeat, None] * table[repeat]
        is_best = sums >= sums.max(axis=1, keepdims=True) - margin
        tied = is_best.sum(axis=1)
        for ties in np.unique(tied):
            won += is_best[tied == ties].sum(axis=0) / ties
    return [float(share) for share in won / resamples]
