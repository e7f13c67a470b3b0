"""Corrections of p values for the number of tests in a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, get_args

Correction = Literal["holm", "bonferroni", "bh", "none"]
CORRECTIONS: Final = get_args(Correction)


def adjusted(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Adjusted p values in the order given. A test without a p value stays without, and does not count in the family.

    Raises ``ValueError`` for a p value outside of 0 to 1 and for an unknown correction.
    """
    known = [p for p in p_values if p is not None]
    if not all(0.0 <= p <= 1.0 for p in known):
        message = f"p_out_of_range: {[p for p in known if not 0.0 <= p <= 1.0]}; a p value lies between 0 and 1"
        raise ValueError(message)
    if correction not in _RULES:
        message = f"{correction!r} is no correction; expected one of {', '.join(CORRECTIONS)}"
        raise ValueError(message)
    corrected = iter(_RULES[correction](known))
    return [None if p is None else next(corrected) for p in p_values]


def _none(p_values: Sequence[float]) -> list[float]:
    return list(p_values)


def _bonferroni(p_values: Sequence[float]) -> list[float]:
    """P times the number of tests (Dunn, JASA 56, 1961): bounds the chance of any false finding."""
    return [min(1.0, len(p_values) * p) for p in p_values]


def _holm(p_values: Sequence[float]) -> list[float]:
    """The running maximum of (m - i) p(i), p sorted from i = 0 (Holm, Scandinavian Journal of Statistics 6, 1979).

    Bounds the chance of any false finding, as Bonferroni's, and never finds less.
    """
    m = len(p_values)
    result = [0.0] * m
    largest = 0.0
    for place, index in enumerate(sorted(range(m), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (m - place) * p_values[index]))
        result[index] = largest
    return result


def _bh(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up (JRSS B 57, 1995), by scipy.stats.false_discovery_control.

    Bounds the share of false findings among all, if the tests are independent or positively dependent.
    """
    if not p_values:
        return []
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values, method="bh")]


_RULES: Mapping[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": _holm,
    "bonferroni": _bonferroni,
    "bh": _bh,
    "none": _none,
}
