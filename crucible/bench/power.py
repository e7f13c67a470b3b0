"""Power, sample size, and the least effect that a design detects, from the noncentral distributions with both tails.

All of it is for designs. There is no power of an effect that was observed: it says no more than the p value does
(Hoenig and Heisey, The American Statistician 55, 2001).
"""

from __future__ import annotations

import functools
import math
from typing import Final

from crucible.bench.designs import (
    ALPHA,
    GROUPS_MAX,
    N_MAX,
    POWER,
    RATIO_MAX,
    Kind,
    Power,
    design,
    least_effect,
    power_checks,
    sized,
    smallest_size,
)
from crucible.bench.distributions import f_quantile, t_quantile
from crucible.bench.noncentral import noncentral_f_upper, noncentral_t, noncentral_t_upper
from crucible.bench.result import Alternative
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

T_METHOD: Final = "noncentral t, exact for normal values"
T_INDEPENDENT: Final = Kind("t_independent", T_METHOD, "cohens_d")
T_PAIRED: Final = Kind("t_paired", T_METHOD, "cohens_d_z")
ANOVA: Final = Kind("anova", "noncentral F, exact for normal values of one variance", "cohens_f")


@plain_scalars
def power_t_independent(
    effect: float,
    n: float,
    n_b: float | None = None,
    *,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """Power of Student's t test of two samples of ``n`` and ``n_b`` (else ``n``) values; ``effect`` is Cohen's d."""
    checks = power_checks(alpha, alternative, effect=effect)
    sizes = (n, n if n_b is None else n_b)
    for name, size in zip(("n", "n_b"), sizes, strict=True):
        checks.number(name, size, low=1, high=N_MAX)
    if not checks.problems and sum(sizes) <= 2:  # noqa: PLR2004
        checks.add("n", "too small", n, "more than two values in all")
    checks.done()
    power = _t_independent(effect, sizes[0], sizes[1], alpha, alternative)
    return design(T_INDEPENDENT, effect, alpha, alternative, n=sizes, power=power)


@plain_scalars
def sample_size_t_independent(
    effect: float,
    *,
    power: float = POWER,
    ratio: float = 1.0,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """The least whole sizes with this power; the second group has ``ratio`` times as many values, rounded up."""
    checks = power_checks(alpha, alternative, power, effect=effect)
    checks.number("ratio", ratio, low=1 / RATIO_MAX, high=RATIO_MAX)
    checks.done()
    least = max(1.0, 1.0 / ratio, 3 / (1 + ratio))

    def at(n: float) -> float:
        return _t_independent(effect, n, ratio * n, alpha, alternative)

    def whole(n: int) -> tuple[int, int]:
        return n, max(1, math.ceil(ratio * n * (1 - 1e-12)))

    def at_whole(n: int) -> float:
        n_a, n_b = whole(n)
        return _t_independent(effect, n_a, n_b, alpha, alternative) if n_a + n_b > 2 else 0.0  # noqa: PLR2004

    found = smallest_size(at, at_whole, power, least, 1)
    known = design(T_INDEPENDENT, effect, alpha, alternative)
    return sized(known, found, whole)


@plain_scalars
def minimal_effect_t_independent(
    n: float,
    n_b: float | None = None,
    *,
    power: float = POWER,
    alpha: float = ALPHA,
    alternative: Alternative = "two-sided",
) -> Power:
    """The least Cohen's d that two samples of these sizes detect with this power; negative for ``less``."""
    checks = power_checks(alpha, alternative, power)
    sizes = (n, n if n_b is None else n_b)
    for name, size in zip(("n", "n_b"), sizes, strict=True):
        checks.number(name, size, low=1, high=N_MAX)
    if not checks.problems and sum(sizes) <= 2:  # noqa: PLR2004
        checks.add("n", "too small", n, "more than two values in all")
    checks.done()
    effect, power = least_effect(
        lambda d: _t_independent(d, sizes[0], sizes[1], alpha, alternative), power, alternative
    )
    return design(T_INDEPENDENT, effect, alpha, alternative, n=sizes, power=power)


@plain_scalars
def power_t_paired(effect: float, n: float, *, alpha: float = ALPHA, alternative: Alternative = "two-sided") -> Power:
    """Power of Student's t test of ``n`` pairs, or of one sample; ``effect`` is Cohen's d_z."""
    checks = power_checks(alpha, alternative, effect=effect)
    checks.number("n", n, low=2, high=N_MAX)
    checks.done()
    power = _t_once(effect, n, alpha, alternative)
    return design(T_PAIRED, effect, alpha, alternative, n=(n,), power=power)


@plain_scalars
def sample_size_t_paired(
    effect: float, *, power: float = POWER, alpha: float = ALPHA, alternative: Alternative = "two-sided"
) -> Power:
    """The least number of pairs, or of values of one sample, with this power."""
    power_checks(alpha, alternative, power, effect=effect).done()
    at = functools.partial(_t_once, effect, alpha=alpha, alternative=alternative)
    found = smallest_size(at, at, power, 2.0, 2)
    known = design(T_PAIRED, effect, alpha, alternative)
    return sized(known, found, lambda n: (n,))


@plain_scalars
def minimal_effect_t_paired(
    n: float, *, power: float = POWER, alpha: float = ALPHA, alternative: Alternative = "two-sided"
) -> Power:
    """The least Cohen's d_z that ``n`` pairs, or values of one sample, detect with this power."""
    checks = power_checks(alpha, alternative, power)
    checks.number("n", n, low=2, high=N_MAX)
    checks.done()
    effect, power = least_effect(lambda d: _t_once(d, n, alpha, alternative), power, alternative)
    return design(T_PAIRED, effect, alpha, alternative, n=(n,), power=power)


@plain_scalars
def power_anova(effect: float, n: float, groups: int, *, alpha: float = ALPHA) -> Power:
    """Power of a one-way analysis of variance of ``groups`` of ``n`` values each; ``effect`` is Cohen's f."""
    checks = _anova_checks(alpha, groups, effect=effect)
    checks.number("n", n, low=2, high=N_MAX)
    checks.done()
    return design(ANOVA, effect, alpha, n=(n,) * groups, power=_anova(effect, n, groups, alpha))


@plain_scalars
def sample_size_anova(effect: float, groups: int, *, power: float = POWER, alpha: float = ALPHA) -> Power:
    """The least whole number of values per group with this power."""
    checks = _anova_checks(alpha, groups, power, effect=effect)
    checks.done()

    def at(n: float) -> float:
        return _anova(effect, n, groups, alpha)

    found = smallest_size(at, at, power, 2.0, 2)
    return sized(design(ANOVA, effect, alpha), found, lambda n: (n,) * groups)


@plain_scalars
def minimal_effect_anova(n: float, groups: int, *, power: float = POWER, alpha: float = ALPHA) -> Power:
    """The least Cohen's f that ``groups`` of ``n`` values each detect with this power."""
    checks = _anova_checks(alpha, groups, power)
    checks.number("n", n, low=2, high=N_MAX)
    checks.done()
    effect, power = least_effect(lambda f: _anova(f, n, groups, alpha), power, "two-sided")
    return design(ANOVA, effect, alpha, n=(n,) * groups, power=power)


def _t_independent(effect: float, n_a: float, n_b: float, alpha: float, alternative: Alternative) -> float:
    return _t(effect * math.sqrt(n_a / (n_a + n_b) * n_b), n_a + n_b - 2, alpha, alternative)


def _t_once(effect: float, n: float, alpha: float, alternative: Alternative) -> float:
    return _t(effect * math.sqrt(n), n - 1, alpha, alternative)


def _t(noncentral: float, df: float, alpha: float, alternative: Alternative) -> float:
    if alternative == "two-sided":
        bound = -t_quantile(alpha / 2, df)
        return min(1.0, noncentral_t_upper(bound, df, noncentral) + noncentral_t(-bound, df, noncentral))
    bound = -t_quantile(alpha, df)
    if alternative == "greater":
        return noncentral_t_upper(bound, df, noncentral)
    return noncentral_t(-bound, df, noncentral)


def _anova(effect: float, n: float, groups: int, alpha: float) -> float:
    df = groups - 1.0, groups * (n - 1.0)
    bound = 1 / f_quantile(alpha, df[1], df[0])  # the upper quantile: the lower one of 1 / F
    return noncentral_f_upper(bound, *df, effect * effect * n * groups)


def _anova_checks(alpha: float, groups: int, power: float = POWER, **numbers: float) -> Checks:
    checks = power_checks(alpha, "two-sided", power, **numbers)
    checks.number("groups", groups, low=2, high=GROUPS_MAX, is_whole=True)
    return checks
