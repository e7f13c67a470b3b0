"""Effect sizes of tables of counts, with intervals: odds and risk ratio, phi, Cramér's V, Cohen's kappa."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

from crucible.bench.distributions import normal_quantile, normal_tail
from crucible.bench.estimates import Estimate
from crucible.bench.result import Alternative, Effect, Interval, TestResult
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

CORRECTED: Final = "a cell is zero: one half was added to every cell (Haldane, Annals of Human Genetics 20, 1956)"


def _half_width(level: float, alternative: Alternative = "two-sided") -> float:
    return -normal_quantile((1 - level) / (2 if alternative == "two-sided" else 1))


def _ratio(
    name: str, table: Sequence[Sequence[int]], level: float, alternative: Alternative, *, variance: Any, ratio: Any
) -> Estimate:
    """A ratio whose logarithm is about normal; half a count is added to each cell if one is zero."""
    from crucible.bench.tables import counts

    checks = Checks()
    checks.open_unit("level", level)
    checks.alternative(alternative)
    array = counts(checks, table, is_2x2=True)
    cells = [float(each) for each in array.ravel()]
    n = (int(cells[0] + cells[1]), int(cells[2] + cells[3]))
    method = f"{name}, Wald interval of its logarithm (Woolf, Annals of Human Genetics 19, 1955)"
    if min(n) == 0 or cells[0] + cells[2] == 0 or (name == "odds ratio" and cells[1] + cells[3] == 0):
        reason = "empty" if sum(n) == 0 else "zero_margin"
        return Estimate(name=name, method=method, n=n, status="degenerate", reason=reason)
    has_zero = min(cells) == 0
    used = [cell + 0.5 for cell in cells] if has_zero else cells
    value, error = ratio(*used), math.sqrt(max(0.0, variance(*used)))
    half = _half_width(level, alternative) * error
    ends = math.exp(math.log(value) - half), math.exp(math.log(value) + half)
    return Estimate(
        name=name, method=method, value=value, n=n, interval=Interval.sided(*ends, level, alternative, method),
        details={"ln_ratio": math.log(value), "ln_standard_error": error}, warnings=(CORRECTED,) if has_zero else (),
    )  # fmt: skip


@plain_scalars
def odds_ratio(
    table: Sequence[Sequence[int]], *, level: float = 0.95, alternative: Alternative = "two-sided"
) -> Estimate:
    """The odds ratio ad / bc of a 2 × 2 table with Woolf's interval; ½ is added to every cell if one is zero."""
    return _ratio(
        "odds ratio", table, level, alternative,
        variance=lambda a, b, c, d: 1 / a + 1 / b + 1 / c + 1 / d, ratio=lambda a, b, c, d: a / b * (d / c),
    )  # fmt: skip


@plain_scalars
def risk_ratio(
    table: Sequence[Sequence[int]], *, level: float = 0.95, alternative: Alternative = "two-sided"
) -> Estimate:
    """Share of column 1 in the first row over that in the second, with Katz' interval (Biometrics 34, 1978)."""
    return _ratio(
        "risk ratio", table, level, alternative,
        variance=lambda a, b, c, d: 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d),
        ratio=lambda a, b, c, d: a / (a + b) / (c / (c + d)),
    )  # fmt: skip


def phi(cells: tuple[int, int, int, int], level: float = 0.95) -> Effect:
    """The correlation of a 2 × 2 table a b / c d, signed; interval by Fisher's z with the multinomial variance.

    The variance is that of a correlation's influence function, without assuming normal values (the delta
    method of Bishop, Fienberg and Holland, Discrete Multivariate Analysis, 1975). Measured coverage at 95 % of tables
    with 5, 20 and 200 counts: .86, .95 and .94.
    """
    a, b, c, d = cells
    margins = (a + b), (c + d), (a + c), (b + d)
    if min(margins) == 0:
        return Effect(name="phi", value=None, reason="zero_margin")
    n = sum(cells)
    value = (a * d - b * c) / math.sqrt(margins[0] * margins[1]) / math.sqrt(margins[2] * margins[3])
    value = max(-1.0, min(1.0, value))
    if abs(value) == 1:
        return Effect(name="phi", value=value, reason="perfect_correlation")
    rows = math.sqrt(margins[1] / margins[0]), -math.sqrt(margins[0] / margins[1])
    columns = math.sqrt(margins[3] / margins[2]), -math.sqrt(margins[2] / margins[3])
    places = ((a, 0, 0), (b, 0, 1), (c, 1, 0), (d, 1, 1))
    influence = [(count, rows[i] * columns[j] - value / 2 * (rows[i] ** 2 + columns[j] ** 2)) for count, i, j in places]
    error = math.sqrt(sum(count * each * each for count, each in influence)) / n / (1 - value * value)
    z, half = math.atanh(value), _half_width(level) * error
    method = "Fisher z with the multinomial variance of a correlation (delta method)"
    interval = Interval.sided(math.tanh(z - half), math.tanh(z + half), level, "two-sided", method)
    return Effect(name="phi", value=value, interval=interval)


def cramers_v(chi2: float, df: int, n: float, least: int, level: float = 0.95) -> Effect:
    """Cramér's V, √(χ² / (n · (min(rows, columns) − 1))), with the interval of χ²'s noncentrality λ.

    λ = n · least · V² of the population; its ends are where the noncentral χ² has its tails at the observed value
    (Smithson, Confidence Intervals, 2003, chapter 4, without his addition of df). Measured coverage at 95 % of 2 × 3
    tables with 20 and 200 counts: .97 and .98.
    """
    value = min(1.0, math.sqrt(chi2 / (n * least)))
    alpha = (1 - level) / 2
    ends = (noncentrality_chi2(chi2, df, probability) for probability in (1 - alpha, alpha))
    low, high = (min(1.0, math.sqrt(end / (n * least))) for end in ends)
    method = "noncentral chi-squared inverted (Smithson, 2003)"
    return Effect(name="cramers_v", value=value, interval=Interval.sided(low, high, level, "two-sided", method))


def noncentrality_chi2(x: float, df: float, probability: float) -> float:
    """Noncentrality at which P(χ² ≤ ``x``) is ``probability``; 0 where it is less at 0 already."""
    from scipy.optimize import brentq
    from scipy.special import chndtr, gammainc

    def above(noncentral: float) -> float:
        found = gammainc(df / 2, x / 2) if noncentral == 0 else chndtr(x, df, noncentral)
        return float(found) - probability

    if x <= 0 or above(0.0) <= 0:
        return 0.0
    high = max(1.0, x)
    while above(high) > 0:
        high += 4 * math.sqrt(high) + 4
    return float(brentq(above, 0.0, high, xtol=1e-12, rtol=1e-13))


@plain_scalars
def cohens_kappa(
    table: Sequence[Sequence[int]],
    *,
    weights: Literal["none", "linear", "quadratic"] = "none",
    alternative: Alternative = "two-sided",
    level: float = 0.95,
) -> TestResult:
    """Cohen's kappa (Educational and Psychological Measurement 20, 1960): agreement beyond chance of two raters.

    ``table`` counts items by the first rater's class (row) and the second's (column). The interval has the large-sample
    variance of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969), the test its variance at kappa = 0.
    Measured coverage at 95 % of three classes with 5, 20 and 200 items: .71, .93 and .95.
    """
    import numpy as np

    from crucible.bench.tables import counts

    checks = Checks()
    checks.choice("weights", weights, ("none", "linear", "quadratic"))
    checks.alternative(alternative)
    checks.open_unit("level", level)
    array = counts(checks, table)
    k = len(array)
    if array.shape != (k, k):
        checks.add("table", f"it has {array.shape[0]} rows and {array.shape[1]} columns", expected="as many of each")
    checks.done()
    total = float(array.sum())
    known: dict[str, Any] = {
        "test": "cohens_kappa", "method": f"Cohen's kappa, weights: {weights}", "estimate_name": "kappa",
        "statistic_name": "z", "n": (int(total),), "alternative": alternative,
    }  # fmt: skip
    if total == 0:
        return TestResult(**known, status="degenerate", reason="empty")
    p = array / total
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    agree = {"none": np.eye(k), "linear": 1 - apart, "quadratic": 1 - apart**2}[weights]
    observed, chance = float((agree * p).sum()), float((agree * np.outer(rows, columns)).sum())
    if np.count_nonzero(rows) == 1 and np.count_nonzero(columns) == 1 and chance >= 1 - 2.0**-50:
        return TestResult(**known, status="degenerate", reason="one_class")
    kappa = (observed - chance) / (1 - chance)
    spread = np.add.outer(agree @ columns, agree.T @ rows)
    error = (p * (agree - spread * (1 - kappa)) ** 2).sum() - (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt(max(0.0, float(error) / total)) / (1 - chance)
    null = float((np.outer(rows, columns) * (agree - spread) ** 2).sum()) - chance**2
    half = _half_width(level, alternative) * error
    interval = Interval.sided(
        max(-1.0, kappa - half), min(1.0, kappa + half), level, alternative, "Fleiss, Cohen and Everitt, 1969"
    )
    known |= {"estimate": kappa, "standard_error": error, "interval": interval}
    known["details"] = {"observed_agreement": observed, "chance_agreement": chance}
    if null <= 0:
        return TestResult(**known, status="degenerate", reason="zero_variance")
    z = kappa * (1 - chance) / math.sqrt(null / total)
    tail = normal_tail(z, alternative)
    return TestResult(**known, statistic=z, p_value=tail.p, ln_p=tail.ln_p)
