"""Tests that a difference is small enough: equivalence within two bounds, and non-inferiority beyond one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final, Literal, get_args

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.result import TestResult
from crucible.bench.samples import Checks, NanPolicy, Values
from crucible.bench.scalars import plain_scalars
from crucible.bench.t_tests import t_paired, t_student, t_welch

Design = Literal["welch", "pooled", "paired"]
DESIGNS: Final[tuple[Design, ...]] = get_args(Design)
TESTS: Final[dict[Design, Callable[..., TestResult]]] = {"welch": t_welch, "pooled": t_student, "paired": t_paired}
TOST: Final = "two one-sided t tests, {design} (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987)"
NON_INFERIORITY: Final = "one-sided t test against the margin, {design}"


@plain_scalars
def tost(
    a: Values,
    b: Values,
    *,
    low: float,
    high: float,
    design: Design = "welch",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Whether the difference a − b lies between ``low`` and ``high``, in the units of the data.

    A small p value says that it does. It is the greater one of both one-sided tests, and its statistic stands beside
    it; ``details`` has both (``p_lower`` against ``low``). The interval has level 1 − 2 (1 − ``level``): it lies
    between the bounds if and only if p is below 1 − ``level``. ``null`` is the bound that decided. Of pairs raises
    ``StatisticsError`` for different lengths.
    """
    checks = _checks(level, design)
    for name, bound in (("low", low), ("high", high)):
        checks.number(name, bound)
    if not checks.problems and low >= high:
        checks.add("low", "it is not below high", low, f"less than {high}")
    if not checks.problems and level <= 0.5:  # noqa: PLR2004
        checks.add("level", "too small", level, "more than one half: the interval has level 2 level − 1")
    checks.done()
    test = TESTS[design]
    above = test(a, b, null=low, alternative="greater", level=level, nan_policy=nan_policy, assumptions=assumptions)
    below = test(a, b, null=high, alternative="less", level=level, nan_policy=nan_policy, assumptions=False)
    known = dataclasses.replace(above, test="tost", method=TOST.format(design=design), alternative="two-sided")
    if above.ln_p is None or below.ln_p is None:
        return dataclasses.replace(known, p_value=None, ln_p=None, interval=None, statistic=None)
    both = test(a, b, level=2 * level - 1, nan_policy=nan_policy, assumptions=False)
    decided = above if above.ln_p >= below.ln_p else below
    details = {
        **above.details,
        "low": low,
        "high": high,
        "p_lower": _number(above.p_value),
        "p_upper": _number(below.p_value),
        "ln_p_lower": above.ln_p,
        "ln_p_upper": below.ln_p,
        "t_lower": _number(above.statistic),
        "t_upper": _number(below.statistic),
    }
    return dataclasses.replace(
        known,
        statistic=decided.statistic,
        p_value=decided.p_value,
        ln_p=decided.ln_p,
        null=decided.null,
        interval=both.interval,
        effects=both.effects,
        details=details,
    )


@plain_scalars
def non_inferiority(
    a: Values,
    b: Values,
    *,
    margin: float,
    is_lower_better: bool = False,
    design: Design = "welch",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Whether ``a`` is not worse than ``b`` by ``margin`` or more, which is above 0, in the units of the data.

    Where higher is better the hypothesis is a − b ≤ −margin, else a − b ≥ margin. The interval is one-sided.
    """
    checks = _checks(level, design)
    checks.number("margin", margin)
    if not checks.problems and margin <= 0:
        checks.add("margin", "too small", margin, "a number above 0")
    checks.done()
    result = TESTS[design](
        a,
        b,
        null=margin if is_lower_better else -margin,
        alternative="less" if is_lower_better else "greater",
        level=level,
        nan_policy=nan_policy,
        assumptions=assumptions,
    )
    details = {**result.details, "margin": margin}
    return dataclasses.replace(
        result, test="non_inferiority", method=NON_INFERIORITY.format(design=design), details=details
    )


def _number(value: float | None) -> float:
    assert value is not None
    return value


def _checks(level: float, design: str) -> Checks:
    checks = Asked(level).check()
    checks.choice("design", design, DESIGNS)
    return checks
