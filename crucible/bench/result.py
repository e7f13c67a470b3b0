"""What every test of `crucible.bench` answers: one frozen value that says what was computed, how, and how far it goes.

Conventions: a difference is a − b; ``greater`` means a > b; a one-sided test has a one-sided interval; numbers that
can't be had are None, with ``status`` degenerate and a reason code: a degenerate result never has p = 0. A p value that
no double holds is 0.0 with a finite ``ln_p``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Self, get_args

Alternative = Literal["two-sided", "less", "greater"]
ALTERNATIVES: Final[tuple[Alternative, ...]] = get_args(Alternative)
Status = Literal["ok", "degenerate"]
Number = float | int

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "all_tied": "all values are equal: ranks say nothing",
        "empty": "there are no values",
        "length_mismatch": "paired samples have different lengths",
        "n_too_small": "too few values for this test",
        "nan_excluded_from_family": "a p value is NaN: it stays NaN and does not count in the family",
        "nan_input": "a value is NaN, and the policy is not to omit it",
        "infinite_input": "a value is infinite",
        "no_difference": "no pair differs",
        "no_discordant_pairs": "no pair is discordant",
        "not_binary": "a value is neither 0 nor 1",
        "impossible": "the data cannot be under the hypothesis: their probability is exactly 0",
        "one_class": "there is only one class",
        "one_cluster": "there is only one cluster",
        "p_out_of_range": "a p value lies outside 0 to 1",
        "perfect_correlation": "the points lie on a line",
        "zero_margin": "a row or column of the table sums to zero",
        "zero_variance": "there is no variance",
        "zero_variance_up_to_rounding": "what variance there is comes from rounding",
        "not_reachable": "no sample size reaches this",
        "too_many": "more than 10¹¹ values per group are needed: so large a size is not looked for",
        "undefined": "the statistic, or its standard error, is not a number for some of the data",
        "too_great": "a sum or square is more than a double holds",
    }
)
"""Every reason code with its meaning."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval; an open side is None, an end that no double holds is infinite."""

    low: float | None
    high: float | None
    level: float
    """Coverage, strictly between 0 and 1."""
    side: Alternative = "two-sided"
    """Which alternative it belongs to: ``greater`` has only a low end, ``less`` only a high one."""
    method: str = ""
    """How it was made, with its source."""

    @classmethod
    def sided(cls, low: float, high: float, level: float, side: Alternative, method: str) -> Self:
        """The interval of an alternative, whose other side is open.

        Of a one-sided one, ``low`` or ``high`` was made with the whole 1 − ``level`` on its side.
        """
        return cls(
            low=None if side == "less" else float(low),
            high=None if side == "greater" else float(high),
            level=level,
            side=side,
            method=method,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An effect size: exactly named, signed as the difference, with an interval where there is one."""

    name: str
    """``cohens_d``, ``cohens_d_av``, ``cohens_d_z``, ``hedges_g``, ``glass_delta``, ``cliffs_delta``, ``cles``, …"""
    value: float | None
    interval: Interval | None = None
    reason: str | None = None
    """Why there is no value or no interval: one of `REASONS`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A look at an assumption of the test. It is reported and never chooses the test."""

    name: str
    """``normality of a``, ``equal variances``, …"""
    method: str
    statistic: float | None
    p_value: float | None
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One pair of a post-hoc test; the difference is first − second."""

    first: str
    second: str
    estimate: float | None
    statistic: float | None
    df: float | None
    p_value: float | None
    """Adjusted for the family, as the method says."""
    ln_p: float | None
    interval: Interval | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The answer of one test."""

    __test__: ClassVar = False

    test: str
    """Kind: ``t_welch``, ``mannwhitney``, …"""
    method: str
    """What was computed, in words, with the library function or the paper."""
    status: Status = "ok"
    reason: str | None = None
    """Why it is degenerate: one of `REASONS`."""
    estimate: float | None = None
    estimate_name: str | None = None
    """What ``estimate`` is: ``difference of means``, ``odds ratio``, …"""
    standard_error: float | None = None
    statistic: float | None = None
    statistic_name: str | None = None
    """``t``, ``F``, ``U``, ``W+``, ``chi2``, ``z``, …"""
    p_value: float | None = None
    ln_p: float | None = None
    """Natural logarithm of the p value; finite where ``p_value`` underflows."""
    df: tuple[float, ...] = ()
    """Degrees of freedom: none, one, or numerator and denominator."""
    interval: Interval | None = None
    """Of ``estimate``."""
    effects: tuple[Effect, ...] = ()
    n: tuple[int, ...] = ()
    """Values of each group that were used; of pairs, their number once."""
    n_dropped: tuple[int, ...] = ()
    """Values, or pairs, that were left out because they are NaN."""
    alternative: Alternative = "two-sided"
    null: float = 0.0
    """Value of the estimate under the hypothesis that is tested."""
    assumptions: tuple[Assumption, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    """Of a post-hoc test: every pair."""
    details: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """More numbers of this test, by name: ``ss_between``, ``n_zero``, ``n_permutations``, …"""
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    """Of what was drawn; None if nothing was."""
    digest: str | None = None
    """SHA-256 of the input, once the result is recorded."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Libraries that computed it, once the result is recorded."""

    def __post_init__(self) -> None:
        """Hold what the conventions promise, whatever computed it."""
        if (self.status == "degenerate") != (self.reason is not None):
            message = f"{self.test}: a degenerate result has a reason, another has none"
            raise ValueError(message)
        if self.reason is not None and self.reason not in REASONS:
            message = f"{self.test}: unknown reason {self.reason!r}"
            raise ValueError(message)
        if self.p_value == 0.0 and (self.status == "degenerate" or self.ln_p is None or not math.isfinite(self.ln_p)):
            message = f"{self.test}: p = 0 without a finite logarithm"
            raise ValueError(message)

    def effect(self, name: str) -> Effect | None:
        """The effect size of this name."""
        return next((effect for effect in self.effects if effect.name == name), None)

    def is_significant(self, alpha: float = 0.05) -> bool:
        """Whether p is at most ``alpha``; a test without a p value is not."""
        return self.p_value is not None and self.p_value <= alpha
