"""Results of statistical tests as records hold them: `crucible.bench.TestResult`, whole, and what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class ResultEffect(TypedDict):
    """An effect size."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    level: float | None
    side: str | None
    interval_method: str | None
    reason: str | None


class ResultAssumption(TypedDict):
    """A look at an assumption of a test; it chooses nothing."""

    name: str
    method: str
    statistic: float | None
    p_value: float | None
    note: str


class ResultComparison(TypedDict):
    """One pair of a post-hoc test, first minus second."""

    first: str
    second: str
    estimate: float | None
    statistic: float | None
    df: float | None
    p_value: float | None
    ln_p: float | None
    low: float | None
    high: float | None
    level: float | None
    side: str | None
    interval_method: str | None


class StatisticalResult(TypedDict):
    """What one statistical test has answered."""

    test: str
    method: str
    status: str
    reason: str | None
    estimate: float | None
    estimate_name: str | None
    standard_error: float | None
    statistic: float | None
    statistic_name: str | None
    p_value: float | None
    ln_p: float | None
    df: Sequence[float]
    low: float | None
    high: float | None
    level: float | None
    side: str | None
    interval_method: str | None
    effects: Sequence[ResultEffect]
    n: Sequence[int]
    n_dropped: Sequence[int]
    alternative: str
    null: float | None
    assumptions: Sequence[ResultAssumption]
    comparisons: Sequence[ResultComparison]
    details: Mapping[str, float]
    warnings: Sequence[str]
    seed: int | None
    digest: str | None
    versions: Mapping[str, str]


class DeclaredTest(TypedDict):
    """A test of an analysis: what was asked, its family, and its result."""

    label: str
    asked_json: str
    metric: str
    better: str | None
    by: str
    pairing: str
    group_a: str | None
    group_b: str | None
    family: str
    correction: str
    alpha: float | None
    family_tests: int
    p_adjusted: float | None
    ln_p_adjusted: float | None
    is_rejected: bool
    conclusion: str
    result: StatisticalResult | None
