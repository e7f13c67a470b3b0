"""Tests of tables of counts: McNemar's, Fisher's, Barnard's, Boschloo's and chi-squared."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from crucible.bench.distributions import Tail, binomial_tail, chi2_tail, normal_tail
from crucible.bench.hypergeometric import first_cell
from crucible.bench.proportions import ln_binomial, proportion_ends
from crucible.bench.rank_exact import one_or_both
from crucible.bench.result import Alternative, Effect, Interval, TestResult
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars
from crucible.bench.table_effects import cramers_v, odds_ratio, phi

Table = Sequence[Sequence[int]]
"""Counts, row by row."""
McnemarMethod = Literal["exact", "midp", "chi2", "chi2_corrected"]
MCNEMAR_METHODS: Final[tuple[McnemarMethod, ...]] = get_args(McnemarMethod)
COUNT_MAX: Final = 2**53
SUPPORT_MAX: Final = 50_000_000
"""Values of the first cell that an exact test lists."""


def counts(checks: Checks, table: Any, *, is_2x2: bool = False) -> Any:
    """The table as an array of float64; raises for what is no table of counts."""
    import numpy as np

    try:
        array = np.ma.filled(np.ma.asarray(table, dtype=np.float64), np.nan)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.ndim != 2 or min(array.shape) < 2 or (is_2x2 and array.shape != (2, 2)):  # noqa: PLR2004
        expected = "2 rows of 2 counts" if is_2x2 else "rows of counts, 2 × 2 or larger"
        checks.add("table", "it is no such table", table, expected)
    elif not (np.isfinite(array) & (array >= 0) & (array == np.floor(array)) & (array < COUNT_MAX)).all():
        checks.add("table", "a value is no count", table, "whole numbers of at least 0")
    checks.done()
    return array


def _four(array: Any) -> tuple[int, int, int, int]:
    a, b, c, d = (int(each) for each in array.ravel())
    return a, b, c, d


def _alpha(level: float, alternative: Alternative) -> float:
    return (1 - level) / 2 if alternative == "two-sided" else 1 - level


@plain_scalars
def mcnemar(
    table: Table,
    *,
    method: McnemarMethod = "exact",
    alternative: Alternative = "two-sided",
    level: float = 0.95,
) -> TestResult:
    """McNemar's test (Psychometrika 12, 1947) of pairs: rows are a right, a wrong; columns b right, b wrong.

    With b = ``table[0][1]`` (only a is right) and c = ``table[1][0]``: ``exact`` is binomial; ``midp`` is the exact p
    less the probability of b, one-sided less half of it (Fagerland, Lydersen and Laake, BMC Medical Research
    Methodology 13, 2013; where b = c, R's contingencytables takes only half away two-sided); ``chi2`` is
    (b − c)² / (b + c), ``chi2_corrected`` with 1 less between them but never below 0, as R. All of them are in
    ``details``. The estimate is the odds ratio b / c with the exact interval; the effect ``difference_of_proportions``
    (b − c) / n has Newcombe's interval for pairs (Statistics in Medicine 17, 1998, 2635–2650, method 10).
    """
    checks = Checks()
    checks.choice("method", method, MCNEMAR_METHODS)
    checks.alternative(alternative)
    checks.open_unit("level", level)
    four = _four(counts(checks, table, is_2x2=True))
    _, b, c, _ = four
    n = sum(four)
    known = TestResult(
        test="mcnemar", method=f"McNemar, {method}", statistic_name="b" if method in {"exact", "midp"} else "chi2",
        estimate_name="odds ratio b / c", n=(n,), alternative=alternative, null=1.0, details={"b": b, "c": c},
    )  # fmt: skip
    if b + c == 0:
        details = {"b": 0.0, "c": 0.0, "exact_p": 1.0, "midp": 1.0}
        return dataclasses.replace(
            known, status="degenerate", reason="empty" if n == 0 else "no_discordant_pairs", details=details,
            p_value=None if n == 0 else 1.0, ln_p=None if n == 0 else 0.0,
        )  # fmt: skip
    tails = _mcnemar_tails(b, c, alternative)
    squares = {"chi2": (b - c) ** 2 / (b + c), "chi2_cc": max(0, abs(b - c) - 1) ** 2 / (b + c)}
    details = {
        "b": b, "c": c, "exact_p": tails["exact"].p, "midp": tails["midp"].p, "chi2": squares["chi2"],
        "chi2_p": tails["chi2"].p, "chi2_cc": squares["chi2_cc"], "chi2_cc_p": tails["chi2_corrected"].p,
    }  # fmt: skip
    statistic = {"chi2": squares["chi2"], "chi2_corrected": squares["chi2_cc"]}.get(method, float(b))
    low, high = proportion_ends(b, b + c, "clopper_pearson", _alpha(level, alternative))
    ends = (low / (1 - low) if low < 1 else math.inf), (high / (1 - high) if high < 1 else math.inf)
    tail = tails[method]
    return dataclasses.replace(
        known, statistic=statistic, df=(1,) if "chi2" in method else (), p_value=tail.p, ln_p=tail.ln_p,
        details=details, estimate=b / c if c else math.inf, effects=(_paired_difference(four, level, alternative),),
        interval=Interval.sided(*ends, level, alternative, "exact, from Clopper and Pearson's of b / (b + c)"),
    )  # fmt: skip


def _mcnemar_tails(b: int, c: int, alternative: Alternative) -> dict[str, Tail]:
    less, greater = binomial_tail(b, b + c, 0.5, "less"), binomial_tail(b, b + c, 0.5, "greater")
    exact = one_or_both(less, greater, alternative)
    ln_at = ln_binomial(b, b + c, 0.5) - (0.0 if alternative == "two-sided" else math.log(2.0))
    ln_midp = exact.ln_p + math.log1p(-math.exp(ln_at - exact.ln_p))  # half of what is observed, on each side
    root = math.sqrt(b + c)
    step = {"two-sided": math.copysign(min(1, abs(b - c)), b - c), "greater": 1.0, "less": -1.0}[alternative]
    return {
        "exact": exact,
        "midp": Tail(math.exp(ln_midp), ln_midp),
        "chi2": _chi2_or_z((b - c) / root, alternative),
        "chi2_corrected": _chi2_or_z((b - c - step) / root, alternative),
    }


def _chi2_or_z(z: float, alternative: Alternative) -> Tail:
    return chi2_tail(z * z, 1) if alternative == "two-sided" else normal_tail(z, alternative)


def _paired_difference(four: tuple[int, int, int, int], level: float, alternative: Alternative) -> Effect:
    """The difference of the margins' proportions with Newcombe's interval: Wilson's, and the correlation phi."""
    a, b, c, d = four
    n = sum(four)
    alpha = _alpha(level, alternative)
    p1, p2 = (a + b) / n, (a + c) / n
    (l1, u1), (l2, u2) = proportion_ends(a + b, n, "wilson", alpha), proportion_ends(a + c, n, "wilson", alpha)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = a * d - b * c
    continuous = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    correlation = continuous / math.sqrt(margins) if margins else 0.0
    below = math.sqrt(max(0.0, (p1 - l1) ** 2 - 2 * correlation * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2))
    above = math.sqrt(max(0.0, (p2 - l2) ** 2 - 2 * correlation * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2))
    value = (b - c) / n
    interval = Interval.sided(
        value - below, value + above, level, alternative, "Newcombe, Statistics in Medicine 17, 1998, paired, method 10"
    )
    return Effect(name="difference_of_proportions", value=value, interval=interval)


@plain_scalars
def fisher_exact(table: Table, *, alternative: Alternative = "two-sided", level: float = 0.95) -> TestResult:
    """Fisher's exact test of a 2 × 2 table; ``greater``: the odds ratio is above 1, the first row has more of column 1.

    Two-sided: the probability of every table of these margins that is no more probable (R's ``fisher.test``). The
    estimate is the conditional maximum-likelihood odds ratio with the exact interval, as R; ``statistic`` is the
    sample's odds ratio ad / bc, as SciPy. A margin of zero: p = 1, degenerate (``zero_margin``).
    """
    checks = Checks()
    checks.alternative(alternative)
    checks.open_unit("level", level)
    array = counts(checks, table, is_2x2=True)
    a, b, c, d = four = _four(array)
    known = TestResult(
        test="fisher_exact", method="Fisher's exact test", statistic_name="odds ratio ad / bc",
        estimate_name="conditional odds ratio", n=(a + b, c + d), alternative=alternative, null=1.0,
    )  # fmt: skip
    if min(a + b, c + d, a + c, b + d) == 0:
        is_empty = sum(four) == 0
        return dataclasses.replace(
            known, status="degenerate", reason="empty" if is_empty else "zero_margin",
            p_value=None if is_empty else 1.0, ln_p=None if is_empty else 0.0,
        )  # fmt: skip
    if min(a + b, c + d, a + c, b + d) > SUPPORT_MAX:
        checks.add("table", "too many tables have these margins", expected="chi2_contingency for counts like these")
        checks.done()
    cell = first_cell(four)
    tail = cell.two_sided() if alternative == "two-sided" else cell.tail(alternative)
    low, high = cell.odds_ends(_alpha(level, alternative))
    method = "exact conditional (R's fisher.test)"
    interval = Interval.sided(low, high, level, alternative, method)
    sample = a * d / (b * c) if b * c else math.inf
    return dataclasses.replace(
        known, statistic=sample, estimate=cell.most_likely_odds(), p_value=tail.p, ln_p=tail.ln_p, interval=interval,
        effects=(_odds_effect(four, level, alternative),),
    )  # fmt: skip


def _odds_effect(four: tuple[int, int, int, int], level: float, alternative: Alternative) -> Effect:
    a, b, c, d = four
    found = odds_ratio([[a, b], [c, d]], level=level, alternative=alternative)
    return Effect(name="odds_ratio", value=found.value, interval=found.interval)


@plain_scalars
def barnard(table: Table, *, alternative: Alternative = "two-sided", pooled: bool = True) -> TestResult:
    """Barnard's exact unconditional test (Nature 156, 1945), by scipy.stats.barnard_exact; rows are the samples.

    ``greater``: the first row has the larger share of column 1.
    """
    from scipy.stats import barnard_exact

    return _unconditional(
        "barnard", table, alternative,
        lambda columns: barnard_exact(columns, alternative=alternative, pooled=pooled),
        "Barnard's exact test, pooled" if pooled else "Barnard's exact test, unpooled",
    )  # fmt: skip


@plain_scalars
def boschloo(table: Table, *, alternative: Alternative = "two-sided") -> TestResult:
    """Boschloo's exact unconditional test (Statistica Neerlandica 24, 1970), by scipy.stats.boschloo_exact.

    Rows are the samples; ``greater``: the first row has the larger share of column 1. Never weaker than Fisher's.
    """
    from scipy.stats import boschloo_exact

    return _unconditional(
        "boschloo", table, alternative, lambda columns: boschloo_exact(columns, alternative=alternative),
        "Boschloo's exact test",
    )  # fmt: skip


def _unconditional(test: str, table: Table, alternative: Alternative, compute: Any, method: str) -> TestResult:
    import numpy as np

    checks = Checks()
    checks.alternative(alternative)
    array = counts(checks, table, is_2x2=True)
    a, b, c, d = _four(array)
    known = TestResult(
        test=test, method=f"{method} (scipy.stats)", statistic_name="Wald" if test == "barnard" else "Fisher's p",
        estimate_name="difference of proportions", n=(a + b, c + d), alternative=alternative,
    )  # fmt: skip
    if min(a + b, c + d) == 0:
        return dataclasses.replace(known, status="degenerate", reason="empty")
    known = dataclasses.replace(known, estimate=a / (a + b) - c / (c + d))
    if min(a + c, b + d) == 0:
        return dataclasses.replace(known, status="degenerate", reason="zero_margin", p_value=1.0, ln_p=0.0)
    found = compute(np.rint(array.T).astype(np.int64))
    p = min(1.0, float(found.pvalue))
    if not p > 0:
        return dataclasses.replace(known, statistic=found.statistic, warnings=("p is smaller than SciPy can say",))
    return dataclasses.replace(known, statistic=float(found.statistic), p_value=p, ln_p=math.log(p))


@plain_scalars
def chi2_contingency(table: Table, *, correction: bool = True, level: float = 0.95) -> TestResult:
    """Pearson's chi-squared test of independence; ``correction`` is Yates', of 2 × 2 tables only (R, SciPy).

    Effects, without the correction: ``cramers_v`` with the interval of its noncentrality, and of 2 × 2 ``phi``, signed.
    """
    checks = Checks()
    checks.open_unit("level", level)
    array = counts(checks, table)
    rows, columns, total = array.sum(axis=1), array.sum(axis=0), float(array.sum())
    df = (len(rows) - 1) * (len(columns) - 1)
    is_2x2 = array.shape == (2, 2)
    known = TestResult(
        test="chi2_contingency", statistic_name="chi2", df=(df,), n=(int(total),),
        method="Pearson's chi-squared" + (", Yates' correction" if is_2x2 and correction else ""),
    )  # fmt: skip
    if total == 0 or not (rows.all() and columns.all()):
        return dataclasses.replace(known, status="degenerate", reason="empty" if total == 0 else "zero_margin")
    expected = rows[:, None] / total * columns[None, :]
    away = abs(array - expected)
    plain = float((away**2 / expected).sum())
    shrunk = (away - away.clip(max=0.5)) if is_2x2 and correction else away
    statistic = float((shrunk**2 / expected).sum())
    tail = chi2_tail(statistic, df)
    effects: tuple[Effect, ...] = (cramers_v(plain, df, total, min(array.shape) - 1, level),)
    if is_2x2:
        effects += (phi(_four(array), level),)
    few = float(expected.min())
    return dataclasses.replace(
        known, statistic=statistic, p_value=tail.p, ln_p=tail.ln_p, effects=effects,
        details={"smallest_expected": few, "statistic_uncorrected": plain},
        warnings=("an expected count is below 5: chi-squared is rough",) if few < 5 else (),  # noqa: PLR2004
    )  # fmt: skip
