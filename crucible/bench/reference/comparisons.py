"""Kinds of reference cases that are about the choice of a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crucible.bench.comparison import compare
from crucible.bench.ranks import mannwhitney
from crucible.bench.reference.cases import Kind
from crucible.bench.t_tests import t_welch

CALLED: Final[Mapping[str, str]] = {"permutation_independent": "permutation"}
"""Tests that such a file calls by a shorter name."""


def auto_compare(inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two independent samples: which test decides, which stand beside it, and their p values.

    A comparison has no side, its tests do: with an ``alternative`` the same two are made again for that side.
    """
    level, alternative = options.get("confidence_level", 0.95), options.get("alternative", "two-sided")
    a, b = inputs["a"], inputs["b"]
    found = compare(a, b, level=level, is_paired=False)
    ranks = next(each for each in found.beside if each.test == "mannwhitney")
    primary = found.primary
    if alternative != "two-sided":
        primary = t_welch(a, b, alternative=alternative, level=level)
        ranks = mannwhitney(a, b, method="asymptotic", alternative=alternative, level=level, shift=False)
    return {
        "primary": found.primary.test,
        "report_also": [CALLED.get(each.test, each.test) for each in found.beside],
        "t_welch_p": primary.p_value,
        "mwu_p": ranks.p_value,
        "status": primary.status,
        "reason": primary.reason,
    }


KINDS: Final[Mapping[str, Kind]] = {"auto_compare": auto_compare}
