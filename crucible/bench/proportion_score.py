"""Miettinen and Nurminen's interval of a difference of proportions: the score statistic inverted."""

from __future__ import annotations

import math
from typing import Final

STEPS: Final = 200
"""Halvings of an interval of doubles within −1 to 1: some sixty are used."""


def score_ends(k1: int, n1: int, k2: int, n2: int, z: float) -> tuple[float, float]:
    """Differences first − second whose score statistic is ``z`` and ``−z`` (Statistics in Medicine 4, 1985)."""
    return _end((k1, n1), (k2, n2), z), -_end((k2, n2), (k1, n1), z)


def _end(first: tuple[int, int], second: tuple[int, int], z: float) -> float:
    """The lower end, by halving: the statistic falls with the difference that is tested."""
    (k1, n1), (k2, n2) = first, second
    estimate = k1 / n1 - k2 / n2
    inside, outside = estimate, -1.0
    if z <= 0:
        return estimate
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if middle in {inside, outside}:
            break
        error = math.sqrt(_variance(k1, n1, k2, n2, middle))
        if estimate - middle > z * error:
            outside = middle
        else:
            inside = middle
    return outside


def _variance(k1: int, n1: int, k2: int, n2: int, difference: float) -> float:
    """Of the estimate, at the most likely proportions that differ by ``difference``: a cubic's root (appendix 1)."""
    n, k = n1 + n2, k1 + k2
    l2 = (n1 + 2 * n2) * difference - n - k
    l1 = (n2 * difference - n - 2 * k2) * difference + k
    l0 = k2 * difference * (1 - difference)
    q = (l2 / (3 * n)) ** 3 - l1 * l2 / (6 * n * n) + l0 / (2 * n)
    p = math.copysign(math.sqrt(max(0.0, (l2 / (3 * n)) ** 2 - l1 / (3 * n))), q)
    ratio = min(1.0, max(-1.0, q / p**3)) if p else 0.0
    second = 2 * p * math.cos((math.pi + math.acos(ratio)) / 3) - l2 / (3 * n)
    second = min(1.0, max(0.0, second, -difference), 1 - max(0.0, difference))
    first = min(1.0, max(0.0, second + difference))
    return (first * (1 - first) / n1 + second * (1 - second) / n2) * n / (n - 1)
