"""Tests that belong together: what is corrected for their number, and shown in one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from crucible.bench.corrections import Correction, adjust
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One test of a family."""

    label: str
    """What was compared."""
    result: TestResult
    p_adjusted: float | None
    """Corrected for the family; None for a test without a p value, which does not count in it."""
    ln_p_adjusted: float | None
    is_rejected: bool
    """Whether the corrected p value is at most the family's alpha."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tests with one correction."""

    name: str
    correction: Correction
    alpha: float
    members: tuple[Member, ...]

    @property
    def n_tests(self) -> int:
        """Tests that count: those with a p value."""
        return sum(member.p_adjusted is not None for member in self.members)

    def member(self, label: str) -> Member:
        """The test of this label. Raises ``KeyError``."""
        for member in self.members:
            if member.label == label:
                return member
        raise KeyError(label)


@plain_scalars
def family(
    results: Mapping[str, TestResult], *, correction: Correction = "holm", alpha: float = 0.05, name: str = ""
) -> Family:
    """Correct tests for their number (`crucible.bench.corrections.adjust`).

    Raises ``StatisticsError`` for what are no results, an unknown correction and an alpha outside of 0 to 1.
    """
    checks = Checks()
    given: Any = results
    called: Any = name
    if not isinstance(given, Mapping) or not all(isinstance(each, TestResult) for each in given.values()):
        checks.add("results", "these are no results by label", results, "a mapping from labels to results of tests")
    elif len({str(label) for label in results}) != len(results):
        checks.add("results", "two labels are the same text", list(results), "different labels")
    if not isinstance(called, str):
        checks.add("name", "it is no text", name, "a text")
    checks.done()
    found = adjust(
        [result.p_value for result in results.values()],
        correction,
        alpha=alpha,
        ln_p=[result.ln_p for result in results.values()],
    )
    parts = zip(results.items(), found.p_values, found.ln_p, found.is_rejected, strict=True)
    members = [
        Member(label=str(label), result=result, p_adjusted=p, ln_p_adjusted=ln_p, is_rejected=is_rejected)
        for (label, result), p, ln_p, is_rejected in parts
    ]
    return Family(name=name, correction=correction, alpha=alpha, members=tuple(members))
