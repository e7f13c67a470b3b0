"""Kinds of reference cases that are about the choice of a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crucible.bench.comparison import compare
from crucible.bench.reference.cases import Kind

CALLED: Final[Mapping[str, str]] = {"permutation_independent": "permutation"}
"""Tests that such a file calls by a shorter name."""


def auto_compare(inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two independent samples: which test decides, which stand beside it, and their p values."""
    level = options.get("confidence_level", 0.95)
    found = compare(inputs["a"], inputs["b"], level=level, is_paired=False)
    ranks = next(each for each in found.beside if each.test == "mannwhitney")
    return {
        "primary": found.primary.test,
        "report_also": [CALLED.get(each.test, each.test) for each in found.beside],
        "t_welch_p": found.primary.p_value,
        "mwu_p": ranks.p_value,
        "status": found.primary.status,
        "reason": found.primary.reason,
    }


KINDS: Final[Mapping[str, Kind]] = {"auto_compare": auto_compare}
